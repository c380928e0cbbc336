"""What a validation stands on at a bank: exact counts of its own rows, and what the study released beside."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.validation.evidence import Column, Evidence, card_errors, shares_of
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.analysis.validation.overrides import Overrides, overrides
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.calibration_errors import CalibrationErrors
from fedrisk.models.own_rows import OwnRows
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.validation_rows import ValidationRows
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARED = "shared"
"""What the consortium's model is called among models that can be validated."""

LEAST_DEFAULTS = 5
"""Defaults of a period below which it is joined with its neighbour."""


def row_evidence(
    rows: OwnRows, more: ValidationRows, scale: MasterScale, *, model: str = SHARED, level: float = 0.05
) -> Evidence:
    """Evidence of one model of a bank. model: SHARED, or one of the bank's own by name, such as ``recalibrated``.

    ConfigError where there is no such model, DataError where the hold-out has no defaults or nothing else.
    """
    name = rows.main if model == SHARED else model
    if name not in rows.probability:
        there = ", ".join([SHARED, *(m for m in rows.probability if m != rows.main)])
        raise ConfigError(
            f"{rows.institution} has no probabilities of model {model} in this attempt; there are {there}"
        )
    probability, plain = rows.probability[name], np.isin(rows.label, (0.0, 1.0))
    now, before = rows.held_out, rows.rows_of("training") & plain
    if not 0 < rows.label[now].sum() < now.sum():
        raise DataError(
            f"the hold-out of {rows.institution} has no defaults, or nothing but defaults, so that no test says "
            "anything; validate on released numbers of all banks, or on a longer period"
        )
    shared = model == SHARED
    return Evidence(
        model=model,
        sample=more.sample,
        now=_counts(rows.label, probability, now),
        before=_counts(rows.label, probability, before) if rows.label[before].any() else None,
        columns=_columns(rows, more, now, before),
        periods=_periods(rows, probability, now),
        card=rows.card if shared else None,
        calibration=_calibration(rows.card, more) if shared else None,
        bin_shares=_bin_shares(rows, more, scale.codes(probability), now, scale) if shared else {},
        own=True,
        overrides=_overrides(rows, more, probability, scale, level),
        facts=_facts(rows, more),
    )


def _counts(label: Floats, probability: Floats, which: Bools) -> ScoreCounts:
    return counts_of_rows(label[which], probability[which], axis="probability")


def _facts(rows: OwnRows, more: ValidationRows) -> dict[str, object]:
    split = {name: int(rows.rows_of(name).sum()) for name in ("training", "holdout", "unused", "no label")}
    return {
        "institution": rows.institution,
        "study": rows.study,
        "attempt": rows.attempt,
        "when": rows.when,
        "research": rows.research,
        "rows": split,
        "columns_by": "bins" if more.from_table else "points",
        "released_rate": None if rows.card is None else rows.card.rate,
        "released_rate_error": None if rows.card is None else rows.card.rate_error,
    }


def _columns(rows: OwnRows, more: ValidationRows, now: Bools, before: Bools) -> tuple[Column, ...]:
    kinds = {} if rows.card is None else {b.feature.column: b.feature.kind for b in rows.card.bins}
    whole = _whole(rows) if more.from_table else {}

    def counted(column: str, which: Bools) -> Histogram:
        code = more.codes[column][which]
        return Histogram.of(np.bincount(code[code >= 0], minlength=more.sizes[column]).astype(float), 0.0)

    return tuple(
        Column(
            name=name,
            before=counted(name, before),
            now=counted(name, now),
            whole=whole.get(name),
            ordered=kinds.get(name) == "number",
        )
        for name in more.codes
    )


def _whole(rows: OwnRows) -> Mapping[str, Histogram]:
    """Training rows of all banks by bin of each common column, released with noise, where bins are the card's."""
    if rows.released is None or rows.card is None:
        return {}
    sizes = {b.feature.column: b.size for b in rows.card.bins if b.feature.institution == BANK}
    out, counts = {}, rows.released.counts
    columns = [b for b in rows.released.bins if b.feature.kind != "pair"]
    for b, n1, n0, variance in zip(columns, counts.n1, counts.n0, counts.variance, strict=False):
        if b.feature.institution == BANK and sizes.get(b.feature.column) == len(n1):
            out[b.feature.column] = Histogram.of(n1 + n0, 2 * float(variance))
    return out


def _calibration(card: Scorecard | None, more: ValidationRows) -> CalibrationErrors | None:
    if card is None or more.calibration is None:
        return None
    return card_errors(card, more.calibration.edges, more.calibration.total, more.calibration.variance)


def _bin_shares(
    rows: OwnRows, more: ValidationRows, grade: NDArray[np.intp], now: Bools, scale: MasterScale
) -> dict[int, Floats]:
    """Shares of customers by bin for each column of the card.

    Own columns: the hold-out's customers by grade, (g, bins), zeros for empty grades. Holders' columns: all banks'
    training rows by released counts, (1, bins).
    """
    card, released = rows.card, rows.released
    if card is None or not more.from_table:
        return {}
    out = {} if released is None else shares_of(card, released.bins, released.counts)
    for j in card.columns_of(BANK):
        column = card.bins[j].feature.column
        if column not in more.codes:
            continue
        there = now & (more.codes[column] >= 0)
        size = more.sizes[column]
        counted = np.bincount(
            grade[there] * size + more.codes[column][there], minlength=scale.size * size
        ).reshape(scale.size, size)
        out[j] = counted / np.maximum(counted.sum(1, keepdims=True), 1)
    return out


def _periods(rows: OwnRows, probability: Floats, now: Bools) -> tuple[tuple[str, ScoreCounts], ...]:
    """The hold-out by year, quarter or month of the bank's dates, the first that makes three periods."""
    if rows.day is None:
        return ()
    dated = now & ~np.isnat(rows.day)
    month = rows.day.astype("datetime64[M]").astype(np.int64)
    for months in (12, 3, 1):
        place = np.where(dated, month // months, -1)
        names = np.unique(place[dated])
        found = [(_name(int(p), months), dated & (place == p)) for p in names]
        enough = [(n, w) for n, w in found if rows.label[w].sum() >= LEAST_DEFAULTS]
        if len(enough) >= 3 or (months == 1 and enough):
            return tuple((n, _counts(rows.label, probability, w)) for n, w in enough)
    return ()


def _name(place: int, months: int) -> str:
    """What a period is called.

    >>> _name(54, 12), _name(219, 3), _name(656, 1)
    ('2024', '2024-Q4', '2024-09')
    """
    year, part = divmod(place, 12 // months)
    suffix = {12: "", 3: f"-Q{part + 1}", 1: f"-{part + 1:02d}"}[months]
    return f"{1970 + year}{suffix}"


def _overrides(
    rows: OwnRows, more: ValidationRows, probability: Floats, scale: MasterScale, level: float
) -> Overrides | None:
    if more.recorded is None:
        return None
    there = np.array([g is not None for g in more.recorded])
    unknown = sorted({str(g) for g in more.recorded[there]} - set(scale.names))
    if unknown:
        raise ConfigError(
            f"recorded grades name {', '.join(unknown[:5])}, which the master scale has not; it has "
            f"{', '.join(scale.names)}. Name the grades in the rules: [scale] names"
        )
    final = np.array([scale.names.index(str(g)) for g in more.recorded[there]], np.intp)
    return overrides(
        scale.codes(probability[there]), final, rows.label[there], probability[there], scale.size, level
    )
