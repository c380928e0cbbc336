"""What a validation at a bank needs beside its rows, gathered from its own store and table; nothing of it leaves."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.alignment.ids import normalise
from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import Entry
from fedrisk.clients.row_order import RowOrder
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.errors import ConfigError, DataError, FedriskError
from fedrisk.models.own_rows import OwnRows
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.validation_rows import CalibrationHistogram, ValidationRows
from fedrisk.releases.totals import checked_totals
from fedrisk.study_members import BANK


def validation_rows(node: Node, entry: Entry, rows: OwnRows, overrides: Path | None = None) -> ValidationRows:
    """What there is of an attempt. overrides: CSV file with ``id`` and ``grade``, the grades that people gave.

    ConfigError where that file cannot be read or names nobody of the attempt.
    """
    node = own_results.in_study(node, entry)
    ids = own_results.scores(node, entry)["id"]
    codes, sizes = _codes(node, rows.card, ids)
    from_table = bool(codes)
    if not from_table:
        codes, sizes = _levels(rows)
    return ValidationRows(
        codes=codes,
        sizes=sizes,
        from_table=from_table,
        recorded=None if overrides is None else _recorded(node, ids, overrides),
        sample=_sample(node, entry),
        calibration=_calibration(node, entry),
    )


def _codes(
    node: Node, card: Scorecard | None, ids: "pd.Series[str]"
) -> tuple[dict[str, NDArray[np.int64]], dict[str, int]]:
    """Bins of own columns by the table as it is now; nothing where it is not at hand or is another."""
    if card is None:
        return {}, {}
    try:
        table = node.institution.read()
        place = pd.Index(table.ids).get_indexer(pd.Index(ids))
        own = [card.bins[j] for j in card.columns_of(BANK)]
        found = {b.feature.column: b.codes(table.frame[b.feature.column]).astype(np.int64) for b in own}
    except (FedriskError, OSError, KeyError, ValueError):
        return {}, {}
    if (place < 0).mean() > 0.5:
        return {}, {}
    codes = {name: np.where(place >= 0, code[place], -1) for name, code in found.items()}
    return codes, {b.feature.column: b.size for b in own}


def _levels(rows: OwnRows) -> tuple[dict[str, NDArray[np.int64]], dict[str, int]]:
    """Customers with equal points in a column as one bin, where the table is not at hand."""
    codes, sizes = {}, {}
    for column, points in rows.points.items():
        levels, place = np.unique(points, return_inverse=True)
        if len(levels) > 1:
            codes[column], sizes[column] = place.astype(np.int64), len(levels)
    return codes, sizes


def _sample(node: Node, entry: Entry) -> str:
    try:
        begun = node.store.attempt(entry.attempt).find(Begun)
    except FedriskError:
        begun = None
    kind = None if begun is None else dict(begun.study.get("holdout") or {}).get("kind")
    return "out_of_time" if kind == "out_of_time" else "holdout"


def _calibration(node: Node, entry: Entry) -> CalibrationHistogram | None:
    """The calibration histogram as it was told; None where the attempt's messages are gone, or it had none."""
    try:
        attempt = Attempt(node, node.store.attempt(entry.attempt))
        if not (attempt.was_told("calibration") and attempt.was_told("card")):
            return None
        first = Scorecard.from_json(attempt.told("card").get("scorecard"))
        training = float(attempt.state.load(RowOrder).training)
        plan, told = attempt.plan.release("calibration"), attempt.told("calibration").blobs
        block = checked_totals(plan, told, training, signed=False).block(BANK)
    except FedriskError:
        return None
    return CalibrationHistogram(
        edges=first.calibration_bins(len(block.total)),
        total=block.total,
        variance=float(block.variance or 0.0),
    )


def _recorded(node: Node, ids: "pd.Series[str]", file: Path) -> NDArray[np.object_]:
    """The grade that people gave each customer, None where the file has none; (n,)."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read as CSV"
        raise ConfigError(
            f"--overrides {file} {why}; give a CSV file with the columns id and grade"
        ) from None
    if not {"id", "grade"} <= set(table.columns):
        raise ConfigError(f"--overrides {file} needs the columns id and grade")
    dictionary = node.institution.dictionary
    spelt, refused = normalise(
        table["id"].to_numpy(object), "opaque" if dictionary is None else dictionary.id_scheme
    )
    kept = pd.Series(table["grade"].str.strip().to_numpy(object), index=pd.Index(spelt))[~refused]
    if kept.index.has_duplicates:
        raise DataError(f"--overrides {file}: some ids come twice; keep the last grade of each customer")
    found = kept.reindex(pd.Index(ids))
    if found.isna().all():
        raise ConfigError(
            f"--overrides {file} names no customer of this attempt; see that ids are spelt alike"
        )
    return np.array(
        [None if gone else grade for gone, grade in zip(found.isna(), found, strict=True)], object
    )
