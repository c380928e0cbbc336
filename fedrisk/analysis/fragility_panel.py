"""From the release records of some quarters to one array of figures by indicator, quarter and cell."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis import estimates
from fedrisk.analysis.fragility_settings import FragilitySettings, Indicator
from fedrisk.analysis.random_effects import Floats
from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import compose, epsilon_for
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import (
    MEAN_COUNT,
    RELEASE,
    UNKNOWN,
    VARIANCE_WEIGHTS,
    CellTable,
    Layout,
    Measure,
    block_name,
)

RELATIVE = ("count", "sum")
"""Kinds of measures whose moves are relative to the cell's own usual figure: they grow with the cell."""

Cell = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Figures of all indicators.

    axes: of the cells. cells: their categories. values, errors: (indicators, quarters, cells), errors as variances; NaN
    where there is no figure. rows: (indicators, cells) enterprises behind each, about; 1 where that is not known.
    group: (cells,) number of the group whose moves are common; groups: their categories (one empty tuple for the
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
    prices: tuple["Price", ...] = ()
    research: bool = False


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a quarter's studies cost together: Gaussian-DP mu, and that as epsilon at the largest delta of them."""

    studies: tuple[str, ...]
    mu: float
    epsilon: float
    delta: float


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One indicator's figures of one quarter, by cell."""

    values: dict[Cell, tuple[float, float]]
    rows: dict[Cell, float]
    kind: str


def panel_of(settings: FragilitySettings, records: Sequence[Sequence[ReleaseRecord]]) -> Panel:
    """The figures of the quarters' records, in the order of ``settings.quarters``.

    ConfigError where a record has no statistics, an indicator is in no record, or two records of a quarter have it.
    """
    found: dict[tuple[int, int], _Found] = {}
    for q, of_quarter in enumerate(records):
        frames = [(r, estimates.estimates(r).frame) for r in of_quarter]
        for i, indicator in enumerate(settings.indicators):
            hits = [
                _figures(record, frame, settings, indicator)
                for record, frame in frames
                if _has(record, settings, indicator)
            ]
            if len(hits) > 1:
                raise ConfigError(
                    f"indicator {indicator.name}: {len(hits)} records of {settings.quarters[q].name} have the measure "
                    f"{indicator.measure} by {', '.join(settings.cells)}; name the study of one"
                )
            if hits:
                found[i, q] = hits[0]
    _all_there(settings, found, records)
    return _arrays(settings, found, records)


def load_records(settings: FragilitySettings, beside: Path) -> list[list[ReleaseRecord]]:
    """Read and verify all records; paths are relative to the folder of the file. ConfigError, EnvelopeError."""
    return [[ReleaseRecord.load(beside / r) for r in q.records] for q in settings.quarters]


def _has(record: ReleaseRecord, settings: FragilitySettings, indicator: Indicator) -> bool:
    """Whether a record has an indicator's measure by the index's cells."""
    if indicator.study not in (None, record.study.get("name")):
        return False
    layout = layout_of(record)
    named = any(m.name == indicator.measure for m in layout.measures)
    return named and _table(layout, settings.cells) is not None


def layout_of(record: ReleaseRecord) -> Layout:
    """The layout of a statistics study's record; ConfigError where it is of another recipe."""
    released = record.find(RELEASE)
    if released is None:
        raise ConfigError(
            f"the record of {record.study.get('name')} is of the recipe {record.study.get('recipe')}; name records of "
            "statistics studies"
        )
    return Layout.from_dict(released.about["layout"])


def _table(layout: Layout, axes: Sequence[str]) -> CellTable | None:
    return next((t for t in layout.tables if set(t.axes) == set(axes)), None)


def _figures(
    record: ReleaseRecord, frame: object, settings: FragilitySettings, indicator: Indicator
) -> _Found:
    import pandas as pd

    layout = layout_of(record)
    table = _table(layout, settings.cells)
    measure = layout.measure(indicator.measure)
    if table is None or not isinstance(frame, pd.DataFrame):
        raise ConfigError(f"no table by {', '.join(settings.cells)}")
    if measure.kind == "quantiles":
        raise ConfigError(
            f"indicator {indicator.name}: {measure.name} are quantiles; take a mean, share, variance, count or sum"
        )
    mine = frame[(frame["table"] == table.name) & (frame["measure"] == measure.name)]
    cells = list(zip(*(mine[a].astype(str) for a in settings.cells), strict=True))
    values = {
        cell: (float(e), float(s) ** 2)
        for cell, e, s in zip(cells, mine["estimate"], mine["standard_error"], strict=True)
        if UNKNOWN not in cell
    }
    return _Found(
        values=values, rows=_rows(record, layout, table, measure, settings.cells), kind=measure.kind
    )


def _rows(
    record: ReleaseRecord, layout: Layout, table: CellTable, measure: Measure, axes: Sequence[str]
) -> dict[Cell, float]:
    """Enterprises behind a measure in each cell, from the sums; empty where they do not say."""
    total = record.release(RELEASE).block(block_name(table, measure)).total
    counts: dict[str, Floats] = {
        "count": total[:, 0],
        "mean": total[:, 0] / MEAN_COUNT,
        "share": total.sum(axis=1),
        "variance": total[:, 0] / VARIANCE_WEIGHTS[0],
    }
    if measure.kind not in counts:
        return {}
    order = [table.axes.index(a) for a in axes]
    return {
        tuple(cell[k] for k in order): float(n)
        for cell, n in zip(_cells(layout, table), counts[measure.kind], strict=True)
    }


def _cells(layout: Layout, table: CellTable) -> Iterator[Cell]:
    shape = layout.shape(table)
    for place in np.ndindex(*shape):
        yield tuple(layout.axis(a).categories[k] for a, k in zip(table.axes, place, strict=True))


def _all_there(
    settings: FragilitySettings,
    found: dict[tuple[int, int], _Found],
    records: Sequence[Sequence[ReleaseRecord]],
) -> None:
    """ConfigError naming the indicators that no record has."""
    there = {i for i, _ in found}
    lost = [x.measure for i, x in enumerate(settings.indicators) if i not in there]
    if lost:
        layouts = [layout_of(r) for of_quarter in records for r in of_quarter]
        known = sorted({m.name for layout in layouts for m in layout.measures})
        tables = sorted({" by ".join(("", ", ".join(t.axes))) for layout in layouts for t in layout.tables})
        raise ConfigError(
            f"no record has {', '.join(lost)} by {', '.join(settings.cells)}; measures there: {', '.join(known)}; "
            f"tables:{','.join(tables)}"
        )


def _arrays(
    settings: FragilitySettings,
    found: dict[tuple[int, int], _Found],
    records: Sequence[Sequence[ReleaseRecord]],
) -> Panel:
    cells = sorted({cell for f in found.values() for cell in f.values})
    place = {cell: k for k, cell in enumerate(cells)}
    shape = (len(settings.indicators), len(settings.quarters), len(cells))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    rows = np.full(shape, np.nan)
    for (i, q), each in found.items():
        for cell, (value, error) in each.values.items():
            values[i, q, place[cell]], errors[i, q, place[cell]] = value, error
        for cell, n in each.rows.items():
            if cell in place:
                rows[i, q, place[cell]] = n
    bare = ~np.isfinite(values) | ~np.isfinite(errors)
    values[bare], errors[bare] = np.nan, np.nan
    keys = [tuple(cell[settings.cells.index(a)] for a in settings.common) for cell in cells]
    groups = sorted(set(keys))
    kinds = {i: f.kind for (i, _), f in found.items()}
    flat = [r for of_quarter in records for r in of_quarter]
    return Panel(
        axes=settings.cells,
        cells=tuple(cells),
        quarters=tuple(q.name for q in settings.quarters),
        indicators=settings.indicators,
        values=values,
        errors=errors,
        rows=_middle_rows(rows),
        group=np.array([groups.index(k) for k in keys]),
        groups=tuple(groups),
        relative=tuple(kinds[i] in RELATIVE for i in range(len(settings.indicators))),
        absent=tuple(
            (q.name, x.name)
            for k, q in enumerate(settings.quarters)
            for i, x in enumerate(settings.indicators)
            if (i, k) not in found
        ),
        research=any(r.research for r in flat),
        prices=tuple(_price(of_quarter) for of_quarter in records),
    )


def _price(records: Sequence[ReleaseRecord]) -> Price:
    mu = compose([released.mu for r in records for released in r.releases])
    deltas = [float(r.study.get("privacy", {}).get("delta", 0.0)) for r in records]
    delta = max(deltas, default=0.0)
    epsilon = math.inf if math.isinf(mu) or not delta else epsilon_for(mu, delta)
    names = tuple(str(r.study.get("name")) for r in records)
    return Price(studies=names, mu=mu, epsilon=epsilon, delta=delta)


def _middle_rows(rows: Floats) -> Floats:
    """(indicators, cells): middle over the quarters, of the others where an indicator's sums do not say; at least 1."""
    own = _middle(rows, 1)
    known = np.isfinite(own)
    return np.maximum(np.where(known, own, np.nan_to_num(_middle(own, 0), nan=1.0)), 1.0)


def _middle(values: Floats, axis: int) -> Floats:
    """Median over an axis; NaN where it has no figure."""
    some: NDArray[np.bool_] = np.asarray(np.isfinite(values).any(axis=axis))
    found: Floats = np.nanmedian(np.where(np.expand_dims(some, axis), values, 0.0), axis=axis)
    return np.where(some, found, np.nan)


def relative_to_usual(panel: Panel, held: Sequence[int]) -> Panel:
    """Counts and sums divided by the cell's middle over the earlier quarters; none where that is not positive."""
    values, errors = panel.values.copy(), panel.errors.copy()
    for i, relative in enumerate(panel.relative):
        if relative:
            base = _middle(values[i, held[:-1]], 0)
            base = np.where(base > 0, base, np.nan)
            values[i], errors[i] = values[i] / base, errors[i] / base**2
    return replace(panel, values=values, errors=errors)
