"""Sums over groups: one party has the rows' cells, the other their numbers, and neither sees the other's.

The **left** party has a cell code for each of n rows, the **right** one a matrix Y, (n, k). What comes out are two
matrices that add up, modulo 2^32, to the sums of Y's rows in each of C cells. Per row about 2 + 2 sqrt(C ln C / n) rows
of numbers travel, in place of the C numbers of a one-hot product (``product``).

Rows go through the three permutations of ``group_slots``, which the left party knows and the right one does not. Each
is a **share translation** (Chase, Ghosh & Poburinnaya 2020, Secret-shared shuffle, section 3), whose correlated
randomness is dealt by the hub as a commodity server (Beaver 1997). For each stage, before any data is used, the hub
draws a random permutation p and a random matrix D, which the left party has as one secret, a random matrix a, which the
right party has as one secret, and sends b = p(a) - D to the right party. Then, for numbers Y of the right party and a
secret permutation s of the left:

    right -> left   Y - a
    left -> right   d = s after the inverse of p, which is as uniform as p
    left has        s(Y - a) + d(D)
    right has       d(b), and both add up to s(Y)

Sums over public segments of slots each party takes by itself; the right party's sums are its numbers in the next
stage. All messages of the left party are made at once, and all of the right party once it has these: two exchanges.

**What each sees.** The left: Y - a and its like of later stages, uniform as a is used once; D and p, which are random.
The right: d, uniform among all permutations; a and b. Neither learns anything (``test_group_sums.py``). The hub: its
own random numbers; messages travel sealed. **The hub knows a, b, D and p**: no share may leave without the pair masks
of ``masked_sum`` and the institution's noise, and hub and one party together open the other's, as in ``product``.

**A hub that deals wrong numbers** would add errors of its choice to rows of its choice before they are grouped, and see
in the totals in which cell a row is: unlike in ``product``, where it can only shift the result. So the right party
appends CHECKS columns t = Y K to its matrix, with random coefficients K that the hub does not know. It tells K, and a
digest of its shares of t - Y K in every slot, with its second message; the left party goes on only where its own shares
are their negatives: a secret-shared message authentication code over each row, as Eskandarian & Boneh (2022, Clarion,
section 4) check a shuffle. Numbers are modulo 2^64 and results modulo 2^32, as in SPDZ2k (Cramer, Damgard, Escudero,
Scholl & Xing 2018), so an error that changes a result passes with probability 2^-33 in each of CHECKS columns: below
2^-65. An error stands in some slot whatever the cells are, so whether it is noticed tells the hub nothing of them.

**A left party that lies** can send other permutations and nothing else, and what is no permutation is refused. Since
any permutation puts each row into one slot of each stage, each row of Y is in one cell at most, with weight 1: it could
as well have had other cells. (In a one-hot product it could weigh a row as it likes.) **A right party that lies** can
send other numbers: numbers as large as it likes, as in ``product``, which make a row's cell stand out of the noise.
**It can also use the check** (selective failure, Kiraz & Schoenmakers 2006): errors of its own pass where it knows in
which slot they arrive. In stages 1 and 2 slots are random (``left_places``), so a guess about a row's cell passes
about as rarely whether it is right or not. In stage 3 slots are the cells: whether the left party goes on can tell it
that one cell is the r-th largest, and nobody is charged for that where it is not.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure.group_messages import (
    BLOCK_ROWS,
    CHECKS,
    Carried,
    GroupShape,
    Ring,
    checked_permutation,
    malformed,
)
from fedrisk.secure.group_slots import STAGES, Places, Slots
from fedrisk.secure.keystream import Label, expand

Shares = npt.NDArray[np.uint32]


def deal(left_secret: bytes, right_secret: bytes, label: Label, shape: GroupShape) -> tuple[Ring, ...]:
    """The hub's matrices b = p(a) - D for the right party, by stage; made before any data.

    ProtocolError: both secrets are equal, so that each party could open the other's numbers.
    """
    if left_secret == right_secret:
        raise ProtocolError("left_secret and right_secret are equal; draw one for each party")
    out = []
    for stage in STAGES:
        slots, rows = shape.slots.sizes[stage], shape.slots.inputs[stage]
        a = _whole(right_secret, label, "a", stage, rows, shape.width)
        order = _permutation(left_secret, label, stage, shape)
        b = np.empty((slots, shape.width), np.uint64)
        for start, d in _drawn(left_secret, label, "D", stage, slots, shape.width):
            stop = start + len(d)
            np.subtract(_moved(a, order[start:stop]), d, out=b[start:stop])
        out.append(b)
    return tuple(out)


# ------------------------------------------------------------------------------------------------ left party


def left_places(
    own: bytes, label: Label, codes: npt.NDArray[np.integer], shape: GroupShape
) -> tuple[Places, ...]:
    """Where the left party's rows go, by stage, in an order of its own. own: a secret that hub and right party lack.

    In an order that follows from the cells the right party could make its messages fit a guess about one row's cell,
    and see in whether the left party goes on if that is right.
    """
    slots = shape.slots
    chunk_keys = expand(own, replace(label, role="chunks"), (slots.inputs[1],), np.uint64)
    slot_keys = expand(own, replace(label, role="slots"), (slots.sizes[0],), np.uint64)
    return slots.spread(slots.place(codes), chunk_keys, slot_keys)


def left_message(
    secret: bytes, label: Label, places: Sequence[Places], shape: GroupShape
) -> tuple[Places, ...]:
    """The left party's only message, d by stage: uniform permutations of the slots. places: of :func:`left_places`."""
    return tuple(_d(secret, label, places[stage], stage, shape) for stage in STAGES)


def left_share(
    secret: bytes,
    label: Label,
    places: Sequence[Places],
    first: Iterable[Ring],
    carried: Carried,
    shape: GroupShape,
) -> Shares:
    """The left party's share of the sums, (cells, columns).

    first, carried: the right party's messages. ProtocolError where these have another size, or what the hub dealt is
    not right (see the module): nothing may be computed from it then.
    """
    digest, own = hashlib.sha256(), _gathered(first, shape)
    for stage, theirs in zip(STAGES, (None, carried.chunks, carried.ranks), strict=True):
        rows = own if theirs is None else own + theirs
        dealt = _whole(secret, label, "D", stage, shape.slots.sizes[stage], shape.width)
        order, d = places[stage], _d(secret, label, places[stage], stage, shape)
        parts = []
        for block in _slot_blocks(shape.slots, stage):
            moved = _moved(rows, order[block])
            moved += dealt[d[block]]
            digest.update(_residues(moved, carried.coefficients).tobytes())
            parts.append(shape.slots.summed(stage, moved))
        own = np.concatenate(parts)
    if not hmac.compare_digest(digest.digest(), carried.digest):
        raise ProtocolError(
            "the random numbers that the hub dealt for a grouping do not fit together; nothing is computed from them. "
            "Run the study again; where it happens again, ask the consortium's operator"
        )
    return _low(own, shape)


# ------------------------------------------------------------------------------------------------ right party


def fresh_secret() -> bytes:
    """A secret of the right party's own."""
    return secrets.token_bytes(32)


def coefficients(secret: bytes, label: Label, shape: GroupShape) -> Ring:
    """The right party's random coefficients K, (CHECKS, columns), from a secret of its own that the hub lacks."""
    return expand(secret, replace(label, role="K"), (CHECKS, shape.columns), np.uint64)


def right_first(
    secret: bytes, label: Label, numbers: npt.NDArray[Any], factors: Ring, shape: GroupShape
) -> Iterator[Ring]:
    """The right party's first message Y - a, block of rows by block of rows.

    numbers: (rows, columns) signed integers. factors: :func:`coefficients`. DataError: other numbers.
    """
    if numbers.shape != (shape.rows, shape.columns) or numbers.dtype.kind != "i":
        raise DataError(
            f"numbers to be grouped are {numbers.dtype}{numbers.shape}; expected whole numbers "
            f"{(shape.rows, shape.columns)}"
        )
    for start, a in _drawn(secret, label, "a", 0, shape.rows, shape.width):
        own = numbers[start : start + len(a)].astype(np.int64).view(np.uint64)
        np.subtract(own, a[:, : shape.columns], out=a[:, : shape.columns])
        np.subtract(_times(own, factors), a[:, shape.columns :], out=a[:, shape.columns :])
        yield a


def right_second(
    secret: bytes,
    label: Label,
    dealt: Sequence[Ring],
    message: Sequence[npt.NDArray[Any]],
    factors: Ring,
    shape: GroupShape,
) -> tuple[Carried, Shares]:
    """The right party's second message, and its share of the sums, (cells, columns).

    dealt: b by stage. message: the left party's. ProtocolError where one of them has another size, or what should be
    a permutation is none: it could count a row twice.
    """
    slots, digest, sent = shape.slots, hashlib.sha256(), []
    own = np.empty((0, shape.width), np.uint64)
    for stage in STAGES:
        if dealt[stage].shape != shape.dealt[stage] or dealt[stage].dtype != np.uint64:
            raise ProtocolError("what the hub dealt for a grouping has another size; run the study again")
        order, parts = checked_permutation(message[stage], slots.sizes[stage]), []
        if stage:
            sent.append(own - _whole(secret, label, "a", stage, slots.inputs[stage], shape.width))
        for block in _slot_blocks(slots, stage):
            moved = dealt[stage][order[block]]
            digest.update((-_residues(moved, factors)).tobytes())
            parts.append(slots.summed(stage, moved))
        own = np.concatenate(parts)
    return Carried(sent[0], sent[1], factors, digest.digest()), _low(own, shape)


# ------------------------------------------------------------------------------------------------ parts


def _permutation(secret: bytes, label: Label, stage: int, shape: GroupShape) -> npt.NDArray[np.int64]:
    """The dealt permutation p of a stage: which row stands in each slot."""
    size = shape.slots.sizes[stage]
    keys = expand(secret, replace(label, role=f"p{stage}"), (size,), np.uint64)
    return np.argsort(keys, kind="stable")


def _d(secret: bytes, label: Label, places: Places, stage: int, shape: GroupShape) -> Places:
    """The permutation s after the inverse of p: slot j takes what p brought to slot d[j]."""
    dealt = _permutation(secret, label, stage, shape)
    where = np.empty(len(dealt), np.uint32)
    where[dealt] = np.arange(len(dealt), dtype=np.uint32)
    return where[places]


def _moved(rows: Ring, places: npt.NDArray[Any]) -> Ring:
    """Rows in the order of ``places``; from the last row on they are zeros."""
    out: Ring = np.take(rows, places, 0, mode="clip")
    out[places >= len(rows)] = 0
    return out


def _slot_blocks(slots: Slots, stage: int) -> Iterator[slice]:
    """Slots of a stage in parts that are summed by themselves: whole chunks of the first stage, all of the others."""
    size = slots.sizes[stage]
    step = size if stage else max(1, BLOCK_ROWS // slots.chunk) * slots.chunk
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def _residues(slots: Ring, factors: Ring) -> Ring:
    """Shares of t - Y K in each slot, (slots, CHECKS), little-endian."""
    columns = factors.shape[1]
    found: Ring = slots[:, columns:] - _times(slots[:, :columns], factors)
    return found.astype("<u8", copy=False)


def _times(numbers: Ring, factors: Ring) -> Ring:
    """Numbers times the transposed factors modulo 2^64, (rows, CHECKS)."""
    return np.stack([np.einsum("ij,j->i", numbers, row) for row in factors], 1)


def _drawn(
    secret: bytes, label: Label, role: str, stage: int, rows: int, columns: int
) -> Iterator[tuple[int, Ring]]:
    """A stream of a stage, block of rows by block of rows, each with the number of its first row."""
    for block, start in enumerate(range(0, rows, BLOCK_ROWS)):
        size = min(BLOCK_ROWS, rows - start)
        yield (
            start,
            expand(secret, replace(label, role=f"{role}{stage}", block=block), (size, columns), np.uint64),
        )


def _whole(secret: bytes, label: Label, role: str, stage: int, rows: int, columns: int) -> Ring:
    out = np.empty((rows, columns), np.uint64)
    for start, part in _drawn(secret, label, role, stage, rows, columns):
        out[start : start + len(part)] = part
    return out


def _gathered(blocks: Iterable[Ring], shape: GroupShape) -> Ring:
    out, filled = np.empty((shape.rows, shape.width), np.uint64), 0
    for block in blocks:
        if block.shape[1:] != (shape.width,) or filled + len(block) > shape.rows:
            raise malformed()
        out[filled : filled + len(block)] = block
        filled += len(block)
    if filled != shape.rows:
        raise malformed()
    return out


def _low(own: Ring, shape: GroupShape) -> Shares:
    return own[:, : shape.columns].astype(np.uint32)


def aggregate(shares: Shares, groups: npt.NDArray[np.integer], cells: int) -> Shares:
    """Shares of coarser cells: those of finer ones added up. groups: (finer cells,) the coarser cell of each.

    >>> aggregate(np.array([[1], [2], [4]], np.uint32), np.array([0, 1, 0]), 2).tolist()
    [[5], [2]]
    """
    out = np.zeros((cells, shares.shape[1]), np.uint32)
    np.add.at(out, groups, shares)
    return out
