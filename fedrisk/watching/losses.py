"""Expected losses of a watched month: what is outstanding of each loan, and which share of it a default loses.

An enterprise may have several loans: all of its active rows count, each with its own share.

Both are columns of the bank's own table, which is another one in each month. So they are read when the month's page is
first written, and their sums are kept beside the scores (``losses/2026-05.json``).
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedrisk.alignment.ids import Scheme
from fedrisk.clients.node import Node
from fedrisk.data.source import read_header, read_texts
from fedrisk.errors import ConfigError, DataError
from fedrisk.files import read_json, write_atomic
from fedrisk.institution import Institution
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.history import Kept
from fedrisk.watching.loans import is_active
from fedrisk.watching.month import Month
from fedrisk.watching.spelling import scheme_of, spelt

_REMEDY = "remove it; without it the page has no losses of that month"


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Of the loans with a score. exposure: outstanding. loss: expected; None where no column says what is lost.

    rows: active ones of these loans. no_exposure, no_share: of those, without an amount, and without a share that is
    lost; both count as 0. All three are None in files of earlier versions.
    """

    exposure: float
    loss: float | None
    rows: int | None = None
    no_exposure: int | None = None
    no_share: int | None = None


def month_losses(node: Node, kept: Kept, month: Month, rows: pd.DataFrame) -> Losses | None:
    """Of a month, as they are kept, or else from the table where the month is the newest. rows: `drift_counts.scored`.

    None where the bank's file names no column of exposure, or the month's table is gone. ConfigError where a column is
    not there, DataError where the table cannot be read, or a number in it cannot be.
    """
    file = kept.folder / "losses" / f"{month}.json"
    if file.is_file():
        return Losses(**read_json(file, _REMEDY))
    rules = node.institution.watch
    if rules is None or rules.exposure is None or month != kept.newest() or node.institution.table is None:
        return None
    found = _from_table(node.institution, rows, rules)
    write_atomic(file, json.dumps(vars(found)).encode())
    return found


def _from_table(institution: Institution, rows: pd.DataFrame, rules: WatchRules) -> Losses:
    assert institution.table is not None and institution.dictionary is not None and rules.exposure is not None
    id, header = institution.dictionary.id, read_header(institution.table, institution.folder)
    exposure, lost = rules.exposure, rules.loss_given_default
    names = [exposure] if lost is None else [exposure, lost]
    for key, name in zip(("exposure", "loss_given_default"), names, strict=False):
        if name not in header:
            raise ConfigError(
                f"watch.{key}: the bank's table has no column {name}; name one that it has, or remove the key"
            )
    wanted = [id, *names, *([] if rules.active is None else [rules.active])]
    blocks = read_texts(institution.table, institution.folder, list(dict.fromkeys(wanted)))
    scheme = scheme_of(institution)
    found = pd.concat([_numbers(block, id, names, rules.active, scheme) for block in blocks])
    probability = rows["probability"].set_axis(spelt([str(one) for one in rows.index], scheme))
    found = found[found.index.isin(probability.index)]
    _check(found, exposure, lost)
    missing = found.isna().sum()
    found = found.fillna(0.0)
    loss = None
    if lost is not None:
        loss = float((probability.reindex(found.index) * found[exposure] * found[lost]).to_numpy().sum())
    return Losses(
        exposure=float(found[exposure].sum()),
        loss=loss,
        rows=len(found),
        no_exposure=int(missing[exposure]),
        no_share=None if lost is None else int(missing[lost]),
    )


def _numbers(
    block: pd.DataFrame, id: str, names: list[str], active: str | None, scheme: Scheme
) -> pd.DataFrame:
    """Columns of a block's active rows as numbers, by the one spelling of ids; what is no number is missing."""
    numbers = {name: pd.to_numeric(block[name], errors="coerce").astype(np.float64) for name in names}
    frame = pd.DataFrame(numbers).set_axis(spelt([text or "" for text in block[id]], scheme))
    return frame if active is None else frame[[is_active(text, active) for text in block[active]]]


def _check(found: pd.DataFrame, exposure: str, lost: str | None) -> None:
    """DataError where an amount is below 0, or a share is none, as in percent."""
    if (found[exposure] < 0).any():
        raise DataError(f"watch.exposure: column {exposure} has amounts below 0; name what is outstanding")
    if lost is not None and not found[lost].dropna().between(0, 1).all():
        raise DataError(
            f"watch.loss_given_default: column {lost} has values outside 0 to 1; write shares, 0.45 for 45 %"
        )
