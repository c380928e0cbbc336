"""Sizes and messages of a grouping (``group_sums``): what travels, checked by whoever opens it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import ProtocolError
from fedrisk.secure.group_slots import Places, Slots

Ring = npt.NDArray[np.uint64]

CHECKS = 2
"""Columns that show whether what was dealt is right: errors pass with probability 2^-33 in each."""

BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class GroupShape:
    """Public sizes of one grouping: rows, cells, and columns of the right party's matrix.

    >>> GroupShape(rows=60_000, cells=1_313, columns=24).slots.sizes
    (83619, 25071, 1313)
    """

    rows: int
    cells: int
    columns: int

    def __post_init__(self) -> None:
        if self.columns < 1:
            raise ProtocolError(f"a grouping has {self.columns} columns; it must have at least 1")

    @cached_property
    def slots(self) -> Slots:
        """Where rows go."""
        return Slots(self.rows, self.cells)

    @property
    def width(self) -> int:
        """Columns with those of the check."""
        return self.columns + CHECKS

    @property
    def dealt(self) -> tuple[tuple[int, int], ...]:
        """Shapes of the matrices b that the right party is dealt, by stage."""
        return tuple((size, self.width) for size in self.slots.sizes)

    @property
    def sent_bytes(self) -> int:
        """Bytes of all messages: what is dealt, the left party's permutations, the right party's masked numbers."""
        slots = self.slots
        return 8 * self.width * (sum(slots.sizes) + sum(slots.inputs)) + 4 * sum(slots.sizes)


@dataclass(frozen=True)
class Carried:
    """The right party's second message: its masked numbers of stages 2 and 3, the coefficients and the digest."""

    chunks: Ring
    ranks: Ring
    coefficients: Ring
    digest: bytes

    def blocks(self) -> list[Any]:
        """As blocks of an envelope."""
        return [self.chunks, self.ranks, self.coefficients, self.digest]

    @classmethod
    def of(cls, blocks: Iterable[bytes], shape: GroupShape) -> Carried:
        """Inverse of :meth:`blocks`; ProtocolError where they have other sizes."""
        parts = list(blocks)
        slots = shape.slots
        rows = [(slots.inputs[1], shape.width), (slots.inputs[2], shape.width), (CHECKS, shape.columns)]
        if len(parts) != 4 or len(parts[3]) != hashlib.sha256().digest_size:
            raise malformed()
        matrices = [_matrix(part, size) for part, size in zip(parts, rows, strict=False)]
        return cls(matrices[0], matrices[1], matrices[2], parts[3])


def message_of(blocks: Iterable[bytes], shape: GroupShape) -> tuple[Places, ...]:
    """The left party's message from an envelope's blocks; ProtocolError unless each is a permutation of its slots."""
    parts = list(blocks)
    sizes = shape.slots.sizes
    if len(parts) != len(sizes) or any(len(p) != 4 * n for p, n in zip(parts, sizes, strict=True)):
        raise malformed()
    return tuple(
        checked_permutation(np.frombuffer(part, "<u4").astype(np.uint32, copy=False), size)
        for part, size in zip(parts, sizes, strict=True)
    )


def checked_permutation(places: npt.NDArray[Any], size: int) -> Places:
    """The array, where it has each number below ``size`` once; ProtocolError otherwise.

    >>> checked_permutation(np.array([1, 0], np.uint32), 2)
    array([1, 0], dtype=uint32)
    """
    fits = places.shape == (size,) and places.dtype == np.uint32 and (not size or int(places.max()) < size)
    if fits:
        seen = np.zeros(size, bool)
        seen[places] = True
        fits = bool(seen.all())
    if not fits:
        raise ProtocolError(
            "the order in which a counterpart wants rows grouped names a row twice or none; nothing is computed. Run "
            "the study again"
        )
    return places


def first_of(blocks: Iterable[bytes], shape: GroupShape) -> Iterator[Ring]:
    """The right party's first message from an envelope's blocks, without copies; ProtocolError for another size."""
    for k, block in enumerate(blocks):
        rows = min(BLOCK_ROWS, shape.rows - k * BLOCK_ROWS)
        if rows < 1:
            raise malformed()
        yield _matrix(block, (rows, shape.width))


def _matrix(block: bytes, size: tuple[int, int]) -> Ring:
    if len(block) != 8 * size[0] * size[1]:
        raise malformed()
    return np.frombuffer(block, "<u8").reshape(size).astype(np.uint64, copy=False)


def malformed() -> ProtocolError:
    """The error for a message of another size."""
    return ProtocolError(
        "a message of a grouping has another size than its rows, cells and columns make; nothing is computed. Run the "
        "study again"
    )
