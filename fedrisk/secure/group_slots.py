"""Where rows go when they are grouped by permutations alone, into segments whose sizes are public.

A permutation known to one party moves rows; sums are taken over segments of slots that everybody knows. So the segments
must be large enough for every way in which rows can fall into cells, and what nobody needs is filled with zero rows, as
oblivious algorithms do. Three stages keep that filling small, for n rows and C cells:

1. **Chunks.** Each cell's rows fill chunks of B slots. However the rows fall, n + min(n, C) (B - 1) slots are enough.
   The sum of each chunk is one row of stage 2.
2. **Ranks.** The r-th largest cell has at most n // r rows, since r cells have at least as many. So segment r, of
   ceil((n // r) / B) chunks, has room for the cell of rank r, whatever cell that is. Together they are about
   n ln(C) / B chunks. Chunks without rows fill what is left; where there are more of them than room, the rest of the
   slots belongs to no segment.
3. **Cells.** The C sums, one for each rank, are brought into the order of the cells.

Which chunk of stage 1 is which cell's, and where in it a row stands, are **drawn at random** (:meth:`Slots.spread`): a
row's slot is uniform over all slots, whatever its cell is.

B makes stages 1 and 2 together as short as possible: about n + 2 sqrt(n C ln C) slots. **Every row is in exactly one
slot of each stage, whatever permutations are taken**: no choice of them counts a row twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedrisk.errors import DataError, ProtocolError

Places = npt.NDArray[np.uint32]

STAGES = (0, 1, 2)
MOST_CELLS = 1 << 20
MOST_ROWS = 1 << 30


@dataclass(frozen=True)
class Slots:
    """The public sizes of one grouping: of how many rows, into how many cells.

    >>> small = Slots(rows=10, cells=3)
    >>> small.chunk, small.inputs, small.sizes
    (2, (10, 6, 3), (12, 10, 3))
    >>> small.ranks.tolist()
    [5, 3, 2]
    """

    rows: int
    cells: int

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= MOST_ROWS and 1 <= self.cells <= MOST_CELLS):
            raise ProtocolError(
                f"{self.rows} rows in {self.cells} cells cannot be grouped: there must be 1 to {MOST_ROWS} rows and "
                f"1 to {MOST_CELLS} cells"
            )

    @cached_property
    def _most(self) -> npt.NDArray[np.int64]:
        """Rows that the cell of each rank has at most."""
        return self.rows // np.arange(1, self.cells + 1, dtype=np.int64)

    @cached_property
    def chunk(self) -> int:
        """Slots of a chunk, B: that for which stages 1 and 2 have the fewest slots."""
        filled = min(self.rows, self.cells)
        near = math.isqrt(int(self._most.sum()) // filled)
        return min(
            range(max(1, near // 2), 2 * near + 2), key=lambda b: self._chunks(b) * b + self._ranked(b)
        )

    def _chunks(self, chunk: int) -> int:
        return (self.rows + min(self.rows, self.cells) * (chunk - 1)) // chunk

    def _ranked(self, chunk: int) -> int:
        return max(int((-(-self._most // chunk)).sum()), self._chunks(chunk))

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """(cells,) slots of each segment of stage 2."""
        return -(-self._most // self.chunk)

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Slots of each stage."""
        return self._chunks(self.chunk) * self.chunk, self._ranked(self.chunk), self.cells

    @cached_property
    def inputs(self) -> tuple[int, int, int]:
        """Rows that come into each stage; its other slots are filled with zeros."""
        return self.rows, self._chunks(self.chunk), self.cells

    def summed(self, stage: int, slots: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Sums of the segments of a stage, from all its slots, (slots, columns): (inputs of the next, columns)."""
        if stage == 0:
            chunks: npt.NDArray[np.uint64] = slots.reshape(-1, self.chunk, slots.shape[1]).sum(
                1, dtype=np.uint64
            )
            return chunks
        if stage == 1:
            ends = np.cumsum(self.ranks)
            running = np.concatenate(
                [np.zeros((1, slots.shape[1]), np.uint64), np.cumsum(slots, 0, np.uint64)]
            )
            ranked: npt.NDArray[np.uint64] = running[ends] - running[ends - self.ranks]
            return ranked
        return slots

    def place(self, codes: npt.NDArray[np.integer]) -> tuple[Places, Places, Places]:
        """For each stage, which of its rows stands in each slot; from its inputs on they are rows of zeros.

        codes: (rows,) cells of the rows. DataError where there are not as many, or one is no cell.

        >>> first, second, third = Slots(rows=3, cells=2).place(np.array([1, 0, 1]))
        """
        if codes.shape != (self.rows,) or codes.dtype.kind not in "iu":
            raise DataError(
                f"{len(codes)} cell codes for {self.rows} rows; give one whole number for each row"
            )
        if codes.min() < 0 or codes.max() >= self.cells:
            raise DataError(f"a cell code is outside 0 to {self.cells - 1}; count the table again")
        counts = np.bincount(codes, minlength=self.cells)
        chunks = -(-counts // self.chunk)
        first = self._into_chunks(codes, counts, chunks)
        by_size = np.argsort(-counts, kind="stable")
        rank = np.empty(self.cells, np.int64)
        rank[by_size] = np.arange(self.cells)
        return first, self._into_ranks(chunks, by_size), rank.astype(np.uint32)

    def spread(
        self, places: Sequence[Places], chunk_keys: npt.NDArray[np.uint64], slot_keys: npt.NDArray[np.uint64]
    ) -> tuple[Places, Places, Places]:
        """The same grouping with chunks, and the slots of each, in random order.

        places: of :meth:`place`. chunk_keys, slot_keys: random numbers for each chunk and slot of stage 1.
        """
        first, second, third = places
        chunks = self.inputs[1]
        order = np.argsort(chunk_keys, kind="stable")
        within = np.argsort(slot_keys.reshape(chunks, self.chunk), axis=1, kind="stable")
        mixed = np.take_along_axis(first.reshape(chunks, self.chunk)[order], within, 1).ravel()
        where = np.arange(len(second), dtype=np.uint32)
        where[order] = np.arange(chunks, dtype=np.uint32)
        return mixed, where[second], third

    def _into_chunks(
        self, codes: npt.NDArray[np.integer], counts: npt.NDArray[np.int64], chunks: npt.NDArray[np.int64]
    ) -> Places:
        """Rows in the order of their cells, each cell's from the beginning of a chunk of its own on."""
        order = np.argsort(codes, kind="stable")
        start = (np.cumsum(chunks) - chunks) * self.chunk
        within = np.arange(self.rows) - np.repeat(np.cumsum(counts) - counts, counts)
        taken = np.repeat(start, counts) + within
        return _filled(self.sizes[0], taken, order)

    def _into_ranks(self, chunks: npt.NDArray[np.int64], by_size: npt.NDArray[np.int64]) -> Places:
        """Chunks in the segment of their cell's rank."""
        start = np.cumsum(self.ranks) - self.ranks
        first = (np.cumsum(chunks) - chunks)[by_size]
        ranked = chunks[by_size]
        within = np.arange(int(ranked.sum())) - np.repeat(np.cumsum(ranked) - ranked, ranked)
        return _filled(self.sizes[1], np.repeat(start, ranked) + within, np.repeat(first, ranked) + within)


def _filled(slots: int, taken: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Places:
    """A permutation of all slots with ``rows`` in the slots ``taken``, and all others in order in the rest."""
    out = np.empty(slots, np.uint32)
    free, others = np.ones(slots, bool), np.ones(slots, bool)
    free[taken], others[rows] = False, False
    out[taken] = rows
    out[free] = np.flatnonzero(others)
    return out
