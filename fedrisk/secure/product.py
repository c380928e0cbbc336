"""The product X'Y of two institutions' matrices, which neither of them sees, exact in a ring.

Commodity-server multiplication (Beaver 1991, 1998). Before any data is used, the hub deals correlated
randomness: R to the left party, S and T to the right party (as one secret each), and the correction R'S - T
to the left party. The parties exchange D = X - R and E = Y - S in sealed envelopes that the hub cannot open.
Then

    left share   R'E + (R'S - T) = R'Y - T
    right share  D'Y + T         = X'Y - R'Y + T

and the shares add up to X'Y. **The hub knows R, S and T, so an unmasked share gives it R'Y or D'Y.** No share
may leave an institution without the pair masks of ``masked_sum`` and the institution's noise.

Everything runs over blocks of rows, so that memory stays flat: matrices are passed as iterables of blocks.
The label's role and block are set here (R, S per block; T once); the caller sets all other fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.ring import ring_dtype, ring_product

Side = Literal["left", "right"]
DEFAULT_BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class Shape:
    """The public sizes of one product: X is (rows, left) and Y is (rows, right), over the ring ``dtype``.

    >>> Shape(40_000, 80, 2, "uint32").blocks
    3
    >>> Shape(40_000, 80, 2, "uint32").span(2)
    (32768, 40000)
    """

    rows: int
    left: int
    right: int
    dtype: Literal["uint16", "uint32", "uint64"]
    block_rows: int = DEFAULT_BLOCK_ROWS

    def __post_init__(self) -> None:
        ring_dtype(self.dtype)
        for name in ("rows", "left", "right", "block_rows"):
            if getattr(self, name) < 1:
                raise ProtocolError(f"{name} of a product is {getattr(self, name)}; it must be at least 1")

    @property
    def blocks(self) -> int:
        """Number of row blocks."""
        return -(-self.rows // self.block_rows)

    def span(self, block: int) -> tuple[int, int]:
        """First row of a block, and the row after its last."""
        return block * self.block_rows, min((block + 1) * self.block_rows, self.rows)

    def of(self, side: Side, block: int) -> tuple[int, int]:
        """Shape of one block of X (left) or Y (right)."""
        start, stop = self.span(block)
        return stop - start, self.left if side == "left" else self.right


def deal(left_secret: bytes, right_secret: bytes, label: Label, shape: Shape) -> npt.NDArray[Any]:
    """The left party's correction R'S - T, (left, right) in the ring; the hub makes it before any data.

    Raises:
        ProtocolError: both secrets are equal, so that each party could open the other's matrix.
    """
    if left_secret == right_secret:
        raise ProtocolError("left_secret and right_secret are equal; draw one for each party")
    total = np.zeros((shape.left, shape.right), shape.dtype)
    for k in range(shape.blocks):
        r = _draw(left_secret, label, "left", k, shape)
        total += ring_product(r, _draw(right_secret, label, "right", k, shape))
    total -= _draw_t(right_secret, label, shape)
    return total


def mask(
    secret: bytes, label: Label, side: Side, blocks: Iterable[npt.NDArray[Any]], shape: Shape
) -> Iterator[npt.NDArray[Any]]:
    """D = X - R (left) or E = Y - S (right), one block at a time; only the counterpart may see it.

    Each masked block is uniform to whoever lacks the secret. The hub has the secret, so blocks travel sealed.

    Raises:
        ProtocolError: wrong shape, dtype or number of blocks; raised when the block concerned is reached.
    """
    for k, block in enumerate(_checked(blocks, side, shape, "own")):
        masked = _draw(secret, label, side, k, shape)
        np.subtract(block, masked, out=masked)
        yield masked


def left_share(
    left_secret: bytes,
    label: Label,
    correction: npt.NDArray[Any],
    counterpart_blocks: Iterable[npt.NDArray[Any]],
    shape: Shape,
) -> npt.NDArray[Any]:
    """Sum of R'E over the blocks, plus the correction; (left, right). X itself is no longer needed."""
    if correction.shape != (shape.left, shape.right) or correction.dtype != np.dtype(shape.dtype):
        raise ProtocolError(
            f"the correction is {correction.dtype}{correction.shape}; "
            f"expected {shape.dtype}{(shape.left, shape.right)}"
        )
    total = correction.copy()
    for k, e in enumerate(_checked(counterpart_blocks, "right", shape, "counterpart")):
        total += ring_product(_draw(left_secret, label, "left", k, shape), e)
    return total


def right_share(
    right_secret: bytes,
    label: Label,
    own_blocks: Iterable[npt.NDArray[Any]],
    counterpart_blocks: Iterable[npt.NDArray[Any]],
    shape: Shape,
    *,
    own_bits: int | None = None,
) -> npt.NDArray[Any]:
    """Sum of D'Y over the blocks, plus T; (left, right).

    ``own_bits``: states that every entry of Y is below 2**own_bits, which saves time (see ``ring_product``).
    """
    total = _draw_t(right_secret, label, shape)
    theirs = _checked(counterpart_blocks, "left", shape, "counterpart")
    # Strict, so that both iterators are used up: each checks its number of blocks at its end.
    for y, d in zip(_checked(own_blocks, "right", shape, "own"), theirs, strict=True):
        total += ring_product(d, y, right_bits=own_bits)
    return total


def unpack(chunks: Iterable[bytes], side: Side, shape: Shape) -> Iterator[npt.NDArray[Any]]:
    """Opened envelope blocks as ring matrices of ``side``, without copies (read-only arrays).

    Raises:
        ProtocolError: a block of the wrong size. Whoever uses the blocks checks their number.
    """
    for k, chunk in enumerate(chunks):
        expected = shape.of(side, k) if k < shape.blocks else (0, 0)
        size = expected[0] * expected[1] * np.dtype(shape.dtype).itemsize
        if len(chunk) != size or not size:
            raise ProtocolError(f"block {k} has {len(chunk)} bytes; expected {size} of {shape.blocks} blocks")
        kind = np.dtype(shape.dtype)
        yield np.frombuffer(chunk, kind.newbyteorder("<")).reshape(expected).astype(kind, copy=False)


def one_hot(
    codes: npt.NDArray[Any],
    sizes: Sequence[int],
    dtype: npt.DTypeLike,
    start: int = 0,
    stop: int | None = None,
    *,
    last: bool = True,
) -> npt.NDArray[Any]:
    """Rows ``start`` to ``stop`` of the one-hot matrix of bin codes: (rows, sum of sizes).

    Args:
        codes: (n, features) unsigned integers; column f is below ``sizes[f]``.
        sizes: number of bins of each feature.
        dtype: the ring.
        start: first row.
        stop: the row after the last; None for the end.
        last: False leaves out the last column of each feature; see ``with_last``.

    >>> one_hot(np.array([[0, 2], [1, 0]], np.uint8), [2, 3], "uint32")
    array([[1, 0, 0, 0, 1],
           [0, 1, 1, 0, 0]], dtype=uint32)
    >>> one_hot(np.array([[0, 2], [1, 0]], np.uint8), [2, 3], "uint32", last=False)
    array([[1, 0, 0],
           [0, 1, 0]], dtype=uint32)

    Raises:
        DataError: a code has no bin; the error names the column.
    """
    if codes.ndim != 2 or codes.dtype.kind != "u" or codes.shape[1] != len(sizes):
        raise DataError(
            f"codes are {codes.dtype}{codes.shape}; expected unsigned integers with {len(sizes)} columns"
        )
    part = codes[start:stop]
    widths = np.asarray(sizes, np.intp)
    if len(part):
        beyond = np.flatnonzero(part.max(axis=0) >= widths)
        if len(beyond):
            raise DataError(
                f"codes of column {beyond[0]} reach beyond its {widths[beyond[0]]} bins; bin the table again"
            )
    made = widths if last else widths - 1
    offsets = np.concatenate([[0], np.cumsum(made)[:-1]]).astype(np.intp)
    columns = int(made.sum())
    out = np.zeros((len(part), columns), ring_dtype(dtype))
    places = part + (offsets + columns * np.arange(len(part), dtype=np.intp)[:, None])
    out.reshape(-1)[places if last else places[part < made]] = 1
    return out


def with_last(
    part: npt.NDArray[Any], sizes: Sequence[int], totals: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """A share of X'Y for the full one-hot matrix X, from a share without each feature's last column.

    The one-hot columns of a feature add up to one in every row, so its rows of X'Y add up to the column sums
    of Y. For a feature's last row the owner of Y takes the column sums less the feature's other rows, and its
    counterpart takes zero less the other rows; the two shares again add up to the product.

    Args:
        part: (sum of sizes - features, right) in the ring.
        sizes: number of bins of each feature.
        totals: (right,) the column sums of Y in the ring at the party that owns Y; None at its counterpart.

    >>> with_last(np.array([[3], [4]], np.uint16), [2, 2], np.array([10], np.uint16))[:, 0].tolist()
    [3, 7, 4, 6]

    Raises:
        ProtocolError: the share does not have that shape.
    """
    widths = np.asarray(sizes, np.intp)
    if part.ndim != 2 or len(part) != widths.sum() - len(widths) or (widths < 2).any():
        raise ProtocolError(
            f"a share has {len(part)} rows; features of {list(sizes)} bins have another number of rows"
        )
    out = np.empty((int(widths.sum()), part.shape[1]), part.dtype)
    ends = np.cumsum(widths) - 1
    others = np.ones(len(out), bool)
    others[ends] = False
    out[others] = part
    sums = np.add.reduceat(part, np.concatenate([[0], np.cumsum(widths - 1)[:-1]]), axis=0, dtype=part.dtype)
    out[ends] = -sums if totals is None else totals.astype(part.dtype) - sums
    return out


def _draw(secret: bytes, label: Label, side: Side, block: int, shape: Shape) -> npt.NDArray[Any]:
    """R (left) or S (right) for one block."""
    role = "R" if side == "left" else "S"
    return expand(secret, replace(label, role=role, block=block), shape.of(side, block), shape.dtype)


def _draw_t(secret: bytes, label: Label, shape: Shape) -> npt.NDArray[Any]:
    return expand(secret, replace(label, role="T", block=0), (shape.left, shape.right), shape.dtype)


def _checked(
    blocks: Iterable[npt.NDArray[Any]], side: Side, shape: Shape, whose: str
) -> Iterator[npt.NDArray[Any]]:
    """The blocks one by one, each compared with the shape; their number is checked at the end."""
    count = 0
    for block in blocks:
        if count == shape.blocks:
            raise ProtocolError(f"more than {shape.blocks} {whose} blocks; send each row block once")
        expected = shape.of(side, count)
        if block.shape != expected or block.dtype != np.dtype(shape.dtype):
            raise ProtocolError(
                f"{whose} block {count} is {block.dtype}{block.shape}; expected {shape.dtype}{expected}"
            )
        yield block
        count += 1
    if count != shape.blocks:
        raise ProtocolError(f"{count} {whose} blocks; {shape.rows} rows make {shape.blocks}, send them all")
