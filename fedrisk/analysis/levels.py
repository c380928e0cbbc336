"""Levels of a hierarchy: which tables follow from released ones by adding up cells, and how."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedrisk.releases.statistics import Axis, CellTable, Layout


def derived_tables(layout: Layout) -> tuple[tuple[CellTable, CellTable], ...]:
    """Tables by coarser levels that were not released, each with the released table whose cells it adds up.

    A level is an axis with groups; it takes the place of each finer axis of the same column in each released table.
    """
    known = {frozenset(t.axes) for t in layout.tables}
    names = {t.name for t in layout.tables}
    out = []
    for table in layout.tables:
        options = [[name, *_coarser(layout, layout.axis(name))] for name in table.axes]
        for axes in _products(options):
            if frozenset(axes) in known or len(set(axes)) < len(axes):
                continue
            known.add(frozenset(axes))
            name = _unused(", ".join(axes), names)
            names.add(name)
            out.append((CellTable(name=name, axes=axes), table))
    return tuple(out)


def _coarser(layout: Layout, axis: Axis) -> list[str]:
    """Levels of the same column whose groups are made of whole categories of an axis."""
    fine = column_groups(axis)
    out = []
    for other in layout.axes:
        if other.column != axis.column or other.name == axis.name:
            continue
        if len(other.categories) < len(axis.categories) and _nests(fine, column_groups(other)):
            out.append(other.name)
    return out


def _nests(fine: NDArray[np.int64], coarse: NDArray[np.int64]) -> bool:
    return len(fine) == len(coarse) and len({*zip(fine.tolist(), coarse.tolist(), strict=True)}) == len(
        {*fine}
    )


def _products(options: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = [()]
    for names in options:
        out = [(*before, name) for before in out for name in names]
    return out


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def column_groups(axis: Axis) -> NDArray[np.int64]:
    """Place among an axis' categories of each category of its column."""
    return np.arange(len(axis.categories)) if axis.groups is None else np.array(axis.groups, dtype=np.int64)


def adds_up(layout: Layout, fine: CellTable, coarse: CellTable) -> sparse.csr_array:
    """(coarse cells, fine cells) of zeros and ones: which cells of one table a cell of a coarser one is made of."""
    places = []
    for name, coarser in zip(fine.axes, coarse.axes, strict=True):
        groups = np.zeros(len(layout.axis(name).categories), dtype=np.int64)
        groups[column_groups(layout.axis(name))] = column_groups(layout.axis(coarser))
        places.append(groups)
    cells = cell_numbers(places, layout.shape(coarse))
    return incidence(cells, layout.cells(coarse))


def cell_numbers(places: Sequence[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Row-major number in ``shape`` of each combination of categories."""
    number = np.zeros(1, dtype=np.int64)
    for place, size in zip(places, shape, strict=True):
        number = (number[:, None] * size + place[None, :]).ravel()
    return number


def incidence(cells: NDArray[np.int64], count: int) -> sparse.csr_array:
    """(count, finer cells) of zeros and ones, from the cell that each finer one is in."""
    ones = np.ones(len(cells))
    return sparse.csr_array((ones, (cells, np.arange(len(cells)))), shape=(count, len(cells)))
