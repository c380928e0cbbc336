"""Estimates with intervals from the released sums of a statistics study.

The shape that everything else of this package reads. What the figures are of:

- A *count* is of enterprises in the cell, a *sum* of the values of those that have one: a missing value, or an
  enterprise that the measure's owner does not know, adds nothing.
- A *mean*, *share*, *variance* or *quantile* is of the enterprises that have a value.
- Values are clipped to the measure's public bounds before they are added.
- Tables of a study agree with each other (analysis/consistency); tables by levels that were not released follow.

A cell that says less than its noise (analysis/marking) has no figure in the frame, so that none can be printed, saved
or sent by mistake. Arithmetic that carries the errors on may use all cells: ``computed``, or the sums themselves
(analysis/sums), which are the release.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedrisk.analysis.intervals import reach
from fedrisk.analysis.measures import columns_of
from fedrisk.analysis.sums import Statistics, statistics
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import AFTER, BEFORE, FIGURES, CellTable, Layout, Measure

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Figures of a statistics study.

    frame: one row for each table, cell and measure (and quantile), with the columns
        table, measure, kind, quantile (NaN but for quantiles), one column for each axis (its category; None where the
        table has not that axis), estimate, standard_error, low, high (interval at ``level``), says (False where a cell
        says less than its noise: then all figures are NaN; the error of a mean would tell its withheld count), unit.
        All errors include the privacy noise, and of joined studies the draw of who is included.
    layout: of the study. tables: released ones, then those by levels. consistent: whether the tables agree.
    """

    frame: pd.DataFrame
    layout: Layout
    tables: tuple[CellTable, ...] = ()
    level: float = LEVEL
    research: bool = False
    consistent: bool = True

    @property
    def withheld(self) -> int:
        """How many figures are not there because their cells say less than their noise."""
        return int((~self.frame["says"]).sum())


def estimates(record: ReleaseRecord, *, level: float = LEVEL) -> Estimates:
    """Estimates of a statistics study from its release record; ConfigError where it is of another recipe.

    Which cells say less than their noise does not depend on ``level``: a figure that is withheld at one is at all.
    """
    found = computed(record, level=level)
    frame = found.frame
    frame.loc[~frame["says"], [*FIGURES, "standard_error"]] = math.nan
    return found


def computed(record: ReleaseRecord, *, level: float = LEVEL) -> Estimates:
    """The same with the figures of all cells, for arithmetic that carries their errors on; never to be shown."""
    if not 0 < level < 1:
        raise ConfigError(
            f"the level of an interval is {level}; it must lie between 0 and 1, for example 0.95"
        )
    sums = statistics(record)
    parts = [_rows(sums, table, measure, level) for table in sums.tables for measure in sums.layout.measures]
    columns = [*BEFORE, *(axis.name for axis in sums.layout.axes), *AFTER]
    frame = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    return Estimates(
        frame=frame,
        layout=sums.layout,
        tables=sums.tables,
        level=level,
        research=sums.research,
        consistent=sums.consistent,
    )


def _rows(sums: Statistics, table: CellTable, measure: Measure, level: float) -> pd.DataFrame:
    """Rows of one measure in one table: cell by cell, the quantiles of a cell one after the other."""
    shown = columns_of(sums, table, measure, reach(level))
    marked = shown if level == LEVEL else columns_of(sums, table, measure, reach(LEVEL))
    labels = cell_labels(sums.layout, table)
    parts = []
    for k, (column, mark) in enumerate(zip(shown, marked, strict=True)):
        found = column.found
        data = {
            "table": table.name,
            "measure": measure.name,
            "kind": measure.kind,
            "quantile": column.quantile,
            **{a.name: labels.get(a.name) for a in sums.layout.axes},
            "estimate": found.estimate,
            "standard_error": found.error,
            "low": found.low,
            "high": found.high,
            "says": mark.says & np.isfinite(found.estimate),
            "unit": measure.unit,
        }
        parts.append(pd.DataFrame(data, index=np.arange(len(found.estimate)) * len(shown) + k))
    return pd.concat(parts).sort_index(ignore_index=True)


def cell_labels(layout: Layout, table: CellTable) -> dict[str, list[str]]:
    """Categories of each axis of a table, cell by cell in row-major order."""
    if not table.axes:
        return {}
    places = np.indices(layout.shape(table)).reshape(len(table.axes), -1)
    return {
        name: [layout.axis(name).categories[k] for k in place]
        for name, place in zip(table.axes, places.tolist(), strict=True)
    }
