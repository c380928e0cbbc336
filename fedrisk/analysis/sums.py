"""The noisy sums of a statistics study, read from its record, checked, and made consistent over its tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.consistency import Fitted, Geometry, TooLarge
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import RELEASE, CellTable, Layout, Measure, block_name

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of one measure in the cells of one table.

    total: (cells, columns of the measure), in the units of releases/statistics.COLUMNS. variance: (cells,), of the
    noise in each of them; columns are independent of each other, cells of consistent tables are not.
    """

    total: Floats
    variance: Floats


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """All sums of a study: those of its tables, and of coarser levels that follow from them.

    tables: released ones in their order, then those by levels. consistent: whether they agree with each other; not
    where there are too many cells for that. research: sums without privacy.
    """

    layout: Layout
    tables: tuple[CellTable, ...]
    sums: Mapping[tuple[str, str], Sums]
    consistent: bool = True
    research: bool = False

    def of(self, table: CellTable, measure: Measure) -> Sums:
        """Sums of a measure in a table's cells."""
        return self.sums[table.name, measure.name]


def statistics(record: ReleaseRecord) -> Statistics:
    """The sums of a record; ConfigError where it is of another recipe or does not fit its own layout."""
    released = record.find(RELEASE)
    if released is None:
        raise ConfigError(
            "the record is of no statistics study: it has no release of that kind; name the results of one"
        )
    layout = layout_in(released)
    raw = {(t.name, m.name): read(released, layout, t, m) for t in layout.tables for m in layout.measures}
    found = Statistics(layout=layout, tables=layout.tables, sums=raw, research=record.research)
    if not layout.tables:
        return found
    try:
        return _consistent(found)
    except TooLarge:
        return replace(found, consistent=False)


def layout_in(released: ReleasedSums) -> Layout:
    """The layout of a release; ConfigError where it has none."""
    try:
        return Layout.from_dict(released.about["layout"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(
            "the record does not say what its statistics are of, or in a form of another version; update fedrisk, or "
            "take another copy of the record"
        ) from None


def read(released: ReleasedSums, layout: Layout, table: CellTable, measure: Measure) -> Sums:
    """Sums of a block as they were released; ConfigError where they do not fit the layout."""
    block = released.block(block_name(table, measure))
    shape = (layout.cells(table), measure.columns)
    total = np.asarray(block.total, dtype=float)
    if total.shape != shape or not np.isfinite(total).all():
        raise ConfigError(
            f"block {block.name} of the record is not the {shape[0]} cells by {shape[1]} numbers that its layout "
            "says; take another copy of the record"
        )
    if block.variance is None or not (math.isfinite(block.variance) and block.variance >= 0):
        raise ConfigError(f"block {block.name} of the record does not say the variance of its noise")
    return Sums(total=total, variance=np.full(shape[0], block.variance))


def _consistent(found: Statistics) -> Statistics:
    """Each measure made consistent over the tables; measures whose tables stand in the same ratios together."""
    layout, by_ratios = found.layout, dict[tuple[float, ...], list[Measure]]()
    for measure in layout.measures:
        of_tables = [float(found.of(t, measure).variance[0]) for t in layout.tables]
        # Numbers without noise agree already; equal weights leave them as they are.
        first = of_tables[0] if all(of_tables) else 0.0
        same = tuple(round(v / first, 6) if first else 1.0 for v in of_tables)
        by_ratios.setdefault(same, []).append(measure)
    sums = dict[tuple[str, str], Sums]()
    tables: tuple[CellTable, ...] = layout.tables
    for ratios, measures in by_ratios.items():
        relative = dict(zip((t.name for t in layout.tables), ratios, strict=True))
        base = Geometry(layout, relative).base.name
        geometry = Geometry(layout, {name: ratio / relative[base] for name, ratio in relative.items()})
        totals: Any = {
            t.name: np.concatenate([found.of(t, m).total for m in measures], 1) for t in layout.tables
        }
        fitted = geometry.fit(totals)
        tables = geometry.tables
        for name, table in fitted.items():
            sums.update(_by_measure(found, geometry.base, measures, name, table))
    return replace(found, tables=tables, sums=sums)


def _by_measure(
    found: Statistics, base: CellTable, measures: list[Measure], name: str, fitted: Fitted
) -> dict[tuple[str, str], Sums]:
    out, start = {}, 0
    for measure in measures:
        noise = float(found.of(base, measure).variance[0])
        total = fitted.total[:, start : start + measure.columns]
        out[name, measure.name] = Sums(total=total, variance=noise * fitted.variance)
        start += measure.columns
    return out
