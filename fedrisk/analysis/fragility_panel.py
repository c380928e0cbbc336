"""From the release records of some quarters to one array of figures by indicator, quarter and cell.

Figures are read from the sums themselves. A mean of one quarter alone is a ratio of two noisy numbers, and in a small
cell says nothing; but how many enterprises a cell has hardly changes from quarter to quarter, and all measures of one
institution count the same rows. So counts are pooled over quarters and measures, and each figure is a noisy sum over a
count that is known well: its error is that of the sum, normal and of known variance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.fragility_settings import FragilitySettings, Indicator
from fedrisk.analysis.random_effects import Floats
from fedrisk.analysis.sums import Statistics, statistics
from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import compose, epsilon_for
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import MEAN_COUNT, UNKNOWN, Measure

RELATIVE = ("count", "sum")
"""Kinds of measures whose moves are relative to the cell's own usual figure: they grow with the cell."""

KNOWN = 4.0
"""A pooled count below so many of its own standard deviations divides nothing: the cell has no figure."""

SUM_PART = math.sqrt(1 - MEAN_COUNT**2)
Cell = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a quarter's studies cost together: Gaussian-DP mu, and that as epsilon at the largest delta of them."""

    studies: tuple[str, ...]
    mu: float
    epsilon: float
    delta: float


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Figures of all indicators.

    axes: of the cells. cells: their categories. values, errors: (indicators, quarters, cells), errors as variances of
    noise; NaN where there is no figure. rows: (indicators, cells) enterprises behind each, about; 1 where that is not
    known. group: (cells,) number of the group whose moves are common; groups: their categories (one empty tuple for the
    province). relative: whether an indicator's moves are relative. absent: (quarter, indicator) without a record.
    """

    axes: tuple[str, ...]
    cells: tuple[Cell, ...]
    quarters: tuple[str, ...]
    indicators: tuple[Indicator, ...]
    values: Floats
    errors: Floats
    rows: Floats
    group: NDArray[np.int64]
    groups: tuple[Cell, ...]
    relative: tuple[bool, ...]
    absent: tuple[tuple[str, str], ...] = ()
    prices: tuple[Price, ...] = ()
    research: bool = False


@dataclass(frozen=True, kw_only=True)
class CellSums:
    """One indicator's sums in one quarter.

    whose: measures of one ``whose`` count the same rows. cells: their categories. total: (cells, columns of the
    measure). variance: (cells,) of the noise in each. included: probability with which an enterprise is among the rows.
    """

    measure: Measure
    whose: tuple[str, ...]
    cells: tuple[Cell, ...]
    total: Floats
    variance: Floats
    included: float = 1.0


def load_records(settings: FragilitySettings, beside: Path) -> list[list[ReleaseRecord]]:
    """Read and verify all records; paths are relative to the folder of the file. ConfigError, EnvelopeError."""
    return [[ReleaseRecord.load(beside / r) for r in q.records] for q in settings.quarters]


def panel_of(settings: FragilitySettings, records: Sequence[Sequence[ReleaseRecord]]) -> Panel:
    """The figures of the quarters' records, in the order of ``settings.quarters``.

    ConfigError where a record has no statistics, an indicator is in no record, or two records of a quarter have it.
    """
    found: dict[tuple[int, int], CellSums] = {}
    known: set[str] = set()
    for q, of_quarter in enumerate(records):
        read = [(r, statistics(r)) for r in of_quarter]
        known |= {
            f"{m.name} by {' and '.join(t.axes)}"
            for _, s in read
            for t in s.tables
            for m in s.layout.measures
        }
        for i, indicator in enumerate(settings.indicators):
            hits = [sums for r, s in read if (sums := _sums(r, s, settings, indicator)) is not None]
            if len(hits) > 1:
                raise ConfigError(
                    f"indicator {indicator.name}: {len(hits)} records of {settings.quarters[q].name} have the measure "
                    f"{indicator.measure} by {' and '.join(settings.cells)}; name the study of one"
                )
            if hits:
                found[i, q] = hits[0]
    _all_there(settings, found, known)
    return replace(
        assemble(settings, found),
        prices=tuple(_price(of_quarter) for of_quarter in records),
        research=any(r.research for of_quarter in records for r in of_quarter),
    )


def assemble(settings: FragilitySettings, found: Mapping[tuple[int, int], CellSums]) -> Panel:
    """The panel of sums by (indicator, quarter)."""
    cells = sorted({cell for sums in found.values() for cell in sums.cells})
    shape = (len(settings.indicators), len(settings.quarters), len(cells))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    rows = np.full((shape[0], shape[2]), np.nan)
    found = {at: _in_order(sums, cells) for at, sums in found.items()}
    for whose in sorted({sums.whose for sums in found.values()}):
        mine = {at: sums for at, sums in found.items() if sums.whose == whose}
        counts = _pooled_counts(mine, shape)
        for (i, q), sums in mine.items():
            values[i, q], errors[i, q] = _figures(sums, counts[i, q])
            rows[i] = np.nanmax(counts[i], axis=0) if np.isfinite(counts[i]).any() else np.nan
    keys = [tuple(cell[settings.cells.index(a)] for a in settings.common) for cell in cells]
    groups = sorted(set(keys))
    kinds = {i: sums.measure.kind for (i, _), sums in found.items()}
    return Panel(
        axes=settings.cells,
        cells=tuple(cells),
        quarters=tuple(q.name for q in settings.quarters),
        indicators=settings.indicators,
        values=values,
        errors=errors,
        rows=np.maximum(np.nan_to_num(rows, nan=1.0), 1.0),
        group=np.array([groups.index(k) for k in keys]),
        groups=tuple(groups),
        relative=tuple(kinds[i] in RELATIVE for i in range(shape[0])),
        absent=tuple(
            (q.name, x.name)
            for k, q in enumerate(settings.quarters)
            for i, x in enumerate(settings.indicators)
            if (i, k) not in found
        ),
    )


def relative_to_usual(panel: Panel, held: Sequence[int]) -> Panel:
    """Counts and sums divided by the cell's middle over the earlier quarters; none where that is not positive."""
    values, errors = panel.values.copy(), panel.errors.copy()
    for i, relative in enumerate(panel.relative):
        if relative:
            earlier = values[i, held[:-1]]
            there: NDArray[np.bool_] = np.asarray(np.isfinite(earlier).any(axis=0))
            base = np.nanmedian(np.where(there, earlier, 0.0), axis=0)
            # Below its noise it is no base.
            clear = there & (
                base > KNOWN * np.sqrt(np.nanmedian(np.where(there, errors[i, held[:-1]], 0.0), axis=0))
            )
            base = np.where(clear, base, np.nan)
            values[i], errors[i] = values[i] / base, errors[i] / base**2
    return replace(panel, values=values, errors=errors)


def _sums(
    record: ReleaseRecord, found: Statistics, settings: FragilitySettings, indicator: Indicator
) -> CellSums | None:
    """An indicator's sums in a record; None where it has not the measure by the index's cells."""
    layout = found.layout
    table = next((t for t in found.tables if set(t.axes) == set(settings.cells)), None)
    measure = next((m for m in layout.measures if m.name == indicator.measure), None)
    if indicator.study not in (None, record.study.get("name")) or table is None or measure is None:
        return None
    if measure.kind in ("variance", "quantiles"):
        raise ConfigError(
            f"indicator {indicator.name}: {measure.name} is a measure of kind {measure.kind}; take a mean, share, "
            "count or sum"
        )
    order = [table.axes.index(a) for a in settings.cells]
    sums, places = found.of(table, measure), list(np.ndindex(*layout.shape(table)))
    named = [tuple(layout.axis(table.axes[k]).categories[place[k]] for k in order) for place in places]
    use = [n for n, cell in enumerate(named) if UNKNOWN not in cell]
    column = measure.column or f"{layout.owner}."
    return CellSums(
        measure=measure,
        whose=(layout.owner, column.split(".", 1)[0], str(layout.joined)),
        cells=tuple(named[n] for n in use),
        total=sums.total[use],
        variance=sums.variance[use],
        included=layout.included,
    )


def _in_order(sums: CellSums, cells: Sequence[Cell]) -> CellSums:
    """The same with these cells; NaN where there were none."""
    place = {cell: n for n, cell in enumerate(sums.cells)}
    at = np.array([place.get(cell, -1) for cell in cells])
    total = np.where((at >= 0)[:, None], sums.total[at], np.nan)
    return replace(
        sums, cells=tuple(cells), total=total, variance=np.where(at >= 0, sums.variance[at], np.nan)
    )


def _counted(sums: CellSums) -> tuple[Floats, float] | None:
    """Noisy counts of values by cell, and the variance of their noise; None where the measure has none."""
    total, variance = sums.total, float(np.nanmedian(sums.variance))
    if sums.measure.kind == "mean":
        return total[:, 0] / MEAN_COUNT, variance / MEAN_COUNT**2
    if sums.measure.kind == "share":
        return total.sum(axis=1), 2 * variance
    if sums.measure.kind == "count":
        return total[:, 0], variance
    return None


def _pooled_counts(mine: Mapping[tuple[int, int], CellSums], shape: tuple[int, ...]) -> Floats:
    """(indicators, quarters, cells) values behind each figure: pooled over quarters and over measures of the same rows.

    A count is taken as (rows of the cell) x (growth of all cells to the quarter) x (share of rows that have the
    measure). NaN where the pooled count is not known well.
    """
    counted = {at: _counted(sums) for at, sums in mine.items()}
    told = {at: c for at, c in counted.items() if c is not None and np.nansum(c[0]) > 0}
    out = np.full(shape, np.nan)
    if not told:
        return out
    totals = {at: float(np.nansum(c[0])) for at, c in told.items()}
    by_quarter: dict[int, float] = {}
    for (_, q), total in totals.items():
        by_quarter[q] = max(by_quarter.get(q, 0.0), total)
    base = float(np.mean(list(by_quarter.values())))
    # Each count, brought to rows of a middle quarter, by its precision.
    share = {at: totals[at] / base for at in told}
    weight = {at: share[at] ** 2 / max(variance, 1e-12) for at, (_, variance) in told.items()}
    rows = sum(weight[at] * told[at][0] / share[at] for at in told) / sum(weight.values())
    error = 1.0 / max(sum(weight.values()), 1e-300)
    rows = np.where(rows > max(KNOWN * math.sqrt(error), 0.5), rows, np.nan)
    for at in mine:
        out[at] = rows * share.get(at, by_quarter.get(at[1], base) / base)
    return out


def _figures(sums: CellSums, counts: Floats) -> tuple[Floats, Floats]:
    """Figures of a quarter by cell, and the variances of their noise."""
    measure, total, variance = sums.measure, sums.total, sums.variance
    if measure.kind == "mean":
        middle, half = _middle_and_half(measure)
        scale = half / (SUM_PART * counts)
        return middle + scale * total[:, 1], scale**2 * variance
    if measure.kind == "share":
        # About the share of all cells, so that the noise of what is not counted helps.
        share = float(np.clip(np.nansum(total[:, 0]) / max(np.nansum(total), 1e-12), 0.0, 1.0))
        value = share + ((1 - share) * total[:, 0] - share * total[:, 1]) / counts
        return value, ((1 - share) ** 2 + share**2) * variance / counts**2
    bound = max(abs(measure.low or 0.0), abs(measure.high or 0.0)) if measure.kind == "sum" else 1.0
    unit = bound / sums.included
    return unit * total[:, 0], unit**2 * variance


def _middle_and_half(measure: Measure) -> tuple[float, float]:
    low, high = measure.low or 0.0, measure.high or 0.0
    return (low + high) / 2, (high - low) / 2


def _all_there(
    settings: FragilitySettings, found: Mapping[tuple[int, int], CellSums], known: set[str]
) -> None:
    """ConfigError naming the indicators that no record has."""
    there = {i for i, _ in found}
    lost = [x.measure for i, x in enumerate(settings.indicators) if i not in there]
    if lost:
        raise ConfigError(
            f"no record has {', '.join(lost)} by {' and '.join(settings.cells)}; there are: {', '.join(sorted(known))}"
        )


def _price(records: Sequence[ReleaseRecord]) -> Price:
    mu = compose([released.mu for r in records for released in r.releases])
    deltas = [float(r.study.get("privacy", {}).get("delta", 0.0)) for r in records]
    delta = max(deltas, default=0.0)
    epsilon = math.inf if math.isinf(mu) or not delta else epsilon_for(mu, delta)
    names = tuple(str(r.study.get("name")) for r in records)
    return Price(studies=names, mu=mu, epsilon=epsilon, delta=delta)
