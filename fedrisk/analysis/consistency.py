"""Tables of one study made consistent: one number for each cell, whichever released table it is read from.

Finer and coarser tables of a study are noisy sums over the same enterprises, so the sum of noisy counties is not the
noisy prefecture. All of them are linear in the (unknown) finest cells x: table t shows y_t = A_t x + noise, with A_t
of zeros and ones. Generalised least squares over x gives the best linear unbiased numbers, and they agree with each
other (Hay, Rastogi, Miklau & Suciu 2010, for trees; Li, Miklau, Hay, McGregor & Rastogi 2015, for any set of linear
queries).

The finest cells may be many and need not be determined (a table by county and one by sector say nothing of county by
sector), so nothing is solved in them. With z_0 the cells of the largest table and z_1 those of all others, z_1 = L
z_0 + r, where L = A_1 A_0' (A_0 A_0')^-1, and r is free within the range of A_1 A_1' - L A_0 A_1'. Only combinations
of y_1 that are orthogonal to that range say anything about z_0; each is a further measurement of it, so that the
system to be solved is as small as the other tables (Woodbury). Where these are coarser than the largest one, r = 0.

Estimates are not forced to be non-negative: cutting noise at zero would lift small cells, and their sums with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from fedrisk.analysis.levels import adds_up, cell_numbers, column_groups, derived_tables, incidence
from fedrisk.releases.statistics import CellTable, Layout

Floats = NDArray[np.float64]

MOST_FINEST = 4_000_000
"""Finest cells of all tables together beyond which tables are left as they were released."""

MOST_COARSE = 6_000
"""Cells of all tables but the largest, together, beyond which tables are left as they were released."""

MOST_CROSSED = 1_500
"""Cells of tables that do not follow from the largest one, likewise."""

_CHUNK = 2_000
_RANK = 1e-9


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Numbers of one table.

    total: (cells, columns). variance: (cells,), of the noise in each number of a cell, by the variance of the noise in
    the largest released table.
    """

    total: Floats
    variance: Floats


class TooLarge(Exception):
    """More cells than are made consistent."""


@dataclass(frozen=True)
class Geometry:
    """What of the tables of a study does not depend on their numbers.

    layout: of the study. relative: by table, the variance of its noise by that of the largest table. TooLarge where the
    tables have too many cells; see the constants of this file.
    """

    layout: Layout
    relative: Mapping[str, float]

    @cached_property
    def base(self) -> CellTable:
        """The largest table."""
        return max(self.layout.tables, key=self.layout.cells)

    @cached_property
    def rest(self) -> tuple[CellTable, ...]:
        """All others."""
        return tuple(t for t in self.layout.tables if t.name != self.base.name)

    @property
    def tables(self) -> tuple[CellTable, ...]:
        """Released tables in their order, then those by levels that were not released."""
        return (*self.layout.tables, *(table for table, _ in derived_tables(self.layout)))

    def fit(self, totals: Mapping[str, Floats]) -> dict[str, Fitted]:
        """Consistent numbers of all tables and of those by levels that were not released.

        totals: by table, (cells, columns); columns are fitted each by itself.
        """
        y0 = totals[self.base.name]
        z0 = y0.copy()
        z1 = np.zeros((0, y0.shape[1]))
        if self.rest:
            y1 = np.concatenate([totals[t.name] for t in self.rest])
            seen = self._whitened(y1)
            z0 += self._further.T @ (self._inverse @ (seen - self._further @ y0))
            z1 = self._part @ z0 + self._own(y1)
        out = {}
        for name, (phi, own) in self._functionals.items():
            total = phi @ z0 if own is None else own @ z1
            out[name] = Fitted(total=np.asarray(total), variance=self._variances[name])
        return out

    @cached_property
    def _functionals(self) -> dict[str, tuple[Any, Any]]:
        """By table: how its cells follow from z_0, and from z_1 where they are read there (else None)."""
        out: dict[str, tuple[Any, Any]] = {self.base.name: (_eye(self.layout.cells(self.base)), None)}
        start, size = 0, self._size
        for table in self.rest:
            cells = self.layout.cells(table)
            own = sparse.csr_array(
                (np.ones(cells), (np.arange(cells), np.arange(start, start + cells))), shape=(cells, size)
            )
            out[table.name] = (own @ self._part, own)
            start += cells
        for table, source in derived_tables(self.layout):
            add = adds_up(self.layout, source, table)
            phi, own = out[source.name]
            out[table.name] = (add @ phi, None if own is None else add @ own)
        return out

    @cached_property
    def _variances(self) -> dict[str, Floats]:
        return {name: self._variance(phi, own) for name, (phi, own) in self._functionals.items()}

    def _variance(self, phi: Any, own: Any) -> Floats:
        """Diagonal of phi cov(z_0) phi' and of what z_1 has of its own, in chunks of cells."""
        out = np.zeros(phi.shape[0])
        for start in range(0, phi.shape[0], _CHUNK):
            rows = phi[start : start + _CHUNK]
            variance = _row_squares(rows)
            if self.rest:
                through = rows @ self._further.T
                spread = through @ self._inverse
                variance = variance - (_dense(through) * spread).sum(1)
            if own is not None and self._free.shape[1]:
                part = own[start : start + _CHUNK] @ self._free
                variance = variance + (part**2).sum(1)
            out[start : start + _CHUNK] = variance
        return np.maximum(out, 0.0)

    @cached_property
    def _size(self) -> int:
        return sum(self.layout.cells(t) for t in self.rest)

    @cached_property
    def _scale(self) -> Floats:
        """Deviation of the noise of each cell of the other tables."""
        parts = [np.full(self.layout.cells(t), np.sqrt(self.relative[t.name])) for t in self.rest]
        return np.concatenate(parts)

    @cached_property
    def _tables(self) -> tuple[Any, Any, NDArray[np.bool_]]:
        """(L, range of r as S, which of z_1 do not follow from z_0); sparse."""
        a0 = self._atoms(self.base)
        a1 = sparse.vstack([self._atoms(t) for t in self.rest], format="csr")
        inside = np.asarray(a0.sum(1)).ravel()
        once = sparse.diags_array(1.0 / np.maximum(inside, 1.0))
        shared = a1 @ a0.T
        line = sparse.csr_array(shared @ once)
        left = sparse.csr_array(a1 @ a1.T - line @ shared.T)
        left.data[np.abs(left.data) < _RANK * max(float(inside.max()), 1.0)] = 0.0
        left.eliminate_zeros()
        crossed = np.asarray(abs(left).sum(1)).ravel() > 0
        return line, left, crossed

    def _atoms(self, table: CellTable) -> sparse.csr_array:
        """(cells, finest cells): incidence; finest are the combinations of all columns' own categories."""
        places, shape = [], []
        for column, size in self._columns.items():
            axes = [self.layout.axis(n) for n in table.axes if self.layout.axis(n).column == column]
            place = np.zeros(size, dtype=np.int64)
            for axis in axes:
                place = place * len(axis.categories) + column_groups(axis)
            places.append(place)
            shape.append(int(np.prod([len(a.categories) for a in axes])) if axes else 1)
        by_column = cell_numbers(places, tuple(shape))
        # Axes of the table stand in its own order, not in that of the columns.
        order = [n for c in self._columns for n in table.axes if self.layout.axis(n).column == c]
        sizes = tuple(len(self.layout.axis(n).categories) for n in order)
        number = np.arange(self.layout.cells(table)).reshape(self.layout.shape(table))
        moved = np.transpose(number, [table.axes.index(n) for n in order]).reshape(sizes)
        return incidence(moved.ravel()[by_column], self.layout.cells(table))

    @cached_property
    def _columns(self) -> dict[str, int]:
        """Columns that any table has an axis of, with how many categories of their own they have."""
        out = {}
        for table in self.layout.tables:
            for name in table.axes:
                axis = self.layout.axis(name)
                out[axis.column] = len(column_groups(axis))
        if np.prod([float(n) for n in out.values()]) > MOST_FINEST or self._size > MOST_COARSE:
            raise TooLarge
        return out

    @cached_property
    def _split(self) -> tuple[Floats, Floats]:
        """Of cells that do not follow from z_0, whitened: bases of what says nothing of z_0, and of the rest.

        Shapes (crossed, rank) and (crossed, others).
        """
        _, left, crossed = self._tables
        count = int(crossed.sum())
        if count > MOST_CROSSED:
            raise TooLarge
        if not count:
            return np.zeros((0, 0)), np.zeros((0, 0))
        scale = self._scale[crossed]
        values, vectors = linalg.eigh(
            left[crossed][:, crossed].toarray() / scale[:, None] / scale[None, :], driver="evd"
        )
        free = values > _RANK * values.max()
        return vectors[:, free], vectors[:, ~free]

    @cached_property
    def _further(self) -> Any:
        """(measurements, cells of the largest table): what the other tables measure of z_0, with unit noise."""
        line, _, crossed = self._tables
        follows = sparse.diags_array(1 / self._scale[~crossed]) @ line[~crossed]
        if not crossed.any():
            return sparse.csr_array(follows)
        seen = self._split[1].T @ (line[crossed].toarray() / self._scale[crossed][:, None])
        return np.concatenate([follows.toarray(), seen])

    def _whitened(self, y1: Floats) -> Floats:
        """The same measurements of numbers of the other tables."""
        crossed = self._tables[2]
        white = y1 / self._scale[:, None]
        return np.concatenate([white[~crossed], self._split[1].T @ white[crossed]])

    @cached_property
    def _inverse(self) -> Floats:
        further = self._further
        system = _dense(further @ further.T) + np.eye(further.shape[0])
        return np.asarray(linalg.cho_solve(linalg.cho_factor(system), np.eye(len(system))))

    @cached_property
    def _part(self) -> Any:
        """(cells of the others, cells of the largest): the part of z_1 that follows from z_0."""
        line, _, crossed = self._tables
        if not crossed.any():
            return line
        known, scale = self._split[1], self._scale[crossed]
        seen = scale[:, None] * (known @ (known.T @ (line[crossed].toarray() / scale[:, None])))
        out = line.toarray()
        out[crossed] = seen
        return out

    @cached_property
    def _free(self) -> Floats:
        """(cells of the others, rank): square root of the covariance of what z_1 has of its own."""
        crossed = self._tables[2]
        free = np.zeros((self._size, self._split[0].shape[1]))
        free[crossed] = self._scale[crossed][:, None] * self._split[0]
        return free

    def _own(self, y1: Floats) -> Floats:
        """What z_1 has that says nothing of z_0: read from its own numbers alone."""
        crossed = self._tables[2]
        out = np.zeros_like(y1)
        scale = self._scale[crossed][:, None]
        out[crossed] = scale * (self._split[0] @ (self._split[0].T @ (y1[crossed] / scale)))
        return out


def _eye(size: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(size))


def _dense(matrix: Any) -> Floats:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _row_squares(rows: Any) -> Floats:
    if sparse.issparse(rows):
        return np.asarray((rows.multiply(rows)).sum(1)).ravel()
    return np.asarray((rows**2).sum(1))
