"""What a joined statistics study groups, and between whom: the same at hub and institutions, from public things alone.

Cells and measures of different owners are added up by ``secure/group_sums``: the cells' owner is the left party, a
measure's owner the right one, on each list of the population. Cells of a table that are sums of another table's cells
need no grouping of their own: shares of sums are added up like sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.recipes.statistics.members import measure_owner, population
from fedrisk.recipes.statistics.settings import counted_by
from fedrisk.releases.statistics import RELEASE, CellTable, Layout, Measure
from fedrisk.secure.group_messages import GroupShape
from fedrisk.secure.keystream import Label
from fedrisk.study import Study
from fedrisk.study_members import BANK


@dataclass(frozen=True)
class Grouping:
    """One grouping by the cells of a table: on one list, between two institutions.

    place: of the table among the grouped ones. owner: of the right party's measures.
    """

    place: int
    table: CellTable
    listed: str
    left: str
    right: str
    owner: str

    @property
    def id(self) -> str:
        """Name within the release; what stands before the colon says nothing about the parties."""
        return f"{self.place}:{self.left}.{self.right}@{self.listed}"

    def partner(self, name: str) -> str:
        """The other side."""
        return self.right if name == self.left else self.left

    def measures(self, layout: Layout) -> list[Measure]:
        """The measures that it adds up, side by side, in the layout's order."""
        return [m for m in layout.measures if measure_owner(layout.owner, m) == self.owner]

    def shape(self, layout: Layout, rows: int) -> GroupShape:
        """Its public sizes on a list of so many rows that are counted."""
        return GroupShape(rows, layout.cells(self.table), sum(m.columns for m in self.measures(layout)))

    def label(self, study: Study, attempt: str) -> Label:
        """Label of its streams; hub and both parties derive the same."""
        return Label(
            study=study.digest(),
            attempt=attempt,
            release=RELEASE,
            sender=self.left,
            counterparty=self.right,
            bank_list=self.listed,
            matrix=f"groups by {self.table.name}",
        )


def groupings(study: Study, layout: Layout) -> tuple[Grouping, ...]:
    """All groupings of a joined study."""
    owners = dict.fromkeys(measure_owner(layout.owner, m) for m in layout.measures)
    return tuple(
        Grouping(place, table, listed, left, right, owner)
        for place, table in enumerate(grouped_tables(layout))
        for owner in owners
        if owner != layout.owner
        for listed in population(study)
        for left in _there(study, layout.owner, listed)
        for right in _there(study, owner, listed)
    )


def _there(study: Study, owner: str, listed: str) -> tuple[str, ...]:
    """The institutions of an owner with rows on a list."""
    return (listed,) if owner == BANK else counted_by(study, owner)


def grouped_tables(layout: Layout) -> tuple[CellTable, ...]:
    """The tables by whose cells rows are grouped: all others' cells are sums of theirs."""
    chosen: list[CellTable] = []
    for table in sorted(layout.tables, key=lambda t: (-layout.cells(t), t.name)):
        if all(coarser(layout, table, finer) is None for finer in chosen):
            chosen.append(table)
    return tuple(chosen)


def finer_of(layout: Layout, table: CellTable) -> tuple[CellTable, NDArray[np.int64]]:
    """The grouped table of whose cells a table's are sums, and for each of its cells the one that it is part of."""
    for finer in grouped_tables(layout):
        groups = coarser(layout, table, finer)
        if groups is not None:
            return finer, groups
    raise KeyError(table.name)


def coarser(layout: Layout, table: CellTable, finer: CellTable) -> NDArray[np.int64] | None:
    """For each cell of a finer table, the cell of ``table`` that it is part of; None where cells are no such sums."""
    shape, found = layout.shape(finer), np.zeros(layout.cells(finer), np.int64)
    coordinates = np.unravel_index(np.arange(len(found)), shape) if shape else ()
    for name in table.axes:
        axis = layout.axis(name)
        own = layout.own_axis(axis).name
        there = name if name in finer.axes else own
        if there not in finer.axes:
            return None
        place = coordinates[finer.axes.index(there)]
        if there != name:
            place = np.asarray(axis.groups, np.int64)[place]
        found = found * len(axis.categories) + place
    return found
