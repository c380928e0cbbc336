"""Sums over groups: exact, blind on both sides, and stopped where the hub deals wrong numbers or a party lies."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure import group_messages, group_sums, keystream
from fedrisk.secure.envelope import _raw
from fedrisk.secure.group_messages import CHECKS, Carried, GroupShape, first_of, message_of
from fedrisk.secure.group_slots import STAGES
from fedrisk.secure.keystream import Label

LABEL = Label(
    study="s", attempt="1", release="A", sender="tax", counterparty="bank", bank_list="bank", matrix="cells"
)
TO_LEFT, TO_RIGHT, OWN = b"l" * 32, b"r" * 32, b"k" * 32


@dataclass
class Parties:
    """Both parties of one grouping, and everything that travels between them."""

    codes: np.ndarray
    numbers: np.ndarray
    cells: int
    to_left: bytes = TO_LEFT
    to_right: bytes = TO_RIGHT
    own: bytes = OWN
    lefts: bytes = b"q" * 32

    def __post_init__(self):
        self.shape = GroupShape(len(self.codes), self.cells, self.numbers.shape[1])
        self.dealt = list(group_sums.deal(self.to_left, self.to_right, LABEL, self.shape))
        self.places = group_sums.left_places(self.lefts, LABEL, self.codes, self.shape)
        self.message = group_sums.left_message(self.to_left, LABEL, self.places, self.shape)
        self.factors = group_sums.coefficients(self.own, LABEL, self.shape)

    def first(self):
        return list(group_sums.right_first(self.to_right, LABEL, self.numbers, self.factors, self.shape))

    def second(self):
        return group_sums.right_second(
            self.to_right, LABEL, self.dealt, self.message, self.factors, self.shape
        )

    def left(self, first, carried):
        return group_sums.left_share(self.to_left, LABEL, self.places, first, carried, self.shape)

    def total(self):
        carried, right = self.second()
        return (self.left(self.first(), carried) + right).view(np.int32)


def expected(codes, numbers, cells):
    out = np.zeros((cells, numbers.shape[1]), np.int64)
    np.add.at(out, codes, numbers)
    return out


def some(rows=40, cells=6, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    return Parties(rng.integers(0, cells, rows), rng.integers(-500, 500, (rows, columns)), cells)


def test_four_rows_by_hand():
    parties = Parties(np.array([2, 0, 2, 2]), np.array([[1], [10], [100], [-1000]]), 3)
    assert parties.total().tolist() == [[10], [0], [-899]]


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 90),
    cells=st.integers(1, 50),
    columns=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    extreme=st.booleans(),
)
def test_shares_add_up_exactly_in_the_ring(rows, cells, columns, seed, extreme):
    rng = np.random.default_rng(seed)
    reach = 2**31 if extreme else 1000
    numbers = rng.integers(-reach, reach, (rows, columns), endpoint=True)
    codes = rng.integers(0, cells, rows)
    total = Parties(codes, numbers, cells).total()
    assert np.array_equal(total.view(np.uint32), expected(codes, numbers, cells).astype(np.uint32))


def test_blocks_of_rows_and_of_slots_change_nothing(monkeypatch):
    whole = some(rows=100, cells=5).total()
    for name in (group_messages, group_sums):
        monkeypatch.setattr(name, "BLOCK_ROWS", 7)
    assert np.array_equal(some(rows=100, cells=5).total(), whole)


def test_messages_travel_as_blocks_of_bytes():
    parties = some()
    message = message_of([bytes(_raw(part)) for part in parties.message], parties.shape)
    assert all(np.array_equal(a, b) for a, b in zip(message, parties.message, strict=True))
    carried, right = parties.second()
    there = Carried.of([bytes(_raw(block)) for block in carried.blocks()], parties.shape)
    first = first_of([bytes(_raw(block)) for block in parties.first()], parties.shape)
    total = (parties.left(first, there) + right).view(np.int32)
    assert np.array_equal(total, expected(parties.codes, parties.numbers, parties.cells))


# ------------------------------------------------------------------------------------------------ views


def test_the_right_party_sees_uniform_permutations_whatever_the_cells_are():
    """Six orders of three slots, 600 draws of the hub: each is seen 100 times but for 5 standard deviations of 9."""
    shape = GroupShape(3, 3, 1)
    for codes in ([0, 0, 0], [1, 0, 0]):
        places, found = shape.slots.place(np.array(codes)), Counter()
        for draw in range(600):
            message = group_sums.left_message(draw.to_bytes(4, "big") * 8, LABEL, places, shape)
            found[tuple(message[2].tolist())] += 1
        assert len(found) == 6
        assert all(abs(count - 100) < 46 for count in found.values())


def test_the_left_party_sees_the_same_bytes_whatever_the_numbers_are(monkeypatch):
    """With masks that differ by what two matrices differ by, it sees the very same bytes of both.

    Masks are uniform, so what it sees is distributed alike for all matrices.
    """
    one, other = some(seed=1), some(seed=1)
    first, (carried, _) = one.first(), one.second()
    other.numbers = one.numbers + np.arange(one.numbers.size).reshape(one.numbers.shape)
    rows, slots = (other.numbers - one.numbers).astype(np.uint64), one.shape.slots
    apart = {"a0": np.concatenate([rows, rows @ one.factors.T], 1)}
    for stage in (0, 1):
        moved = group_sums._moved(apart[f"a{stage}"], one.places[stage])
        apart[f"a{stage + 1}"] = slots.summed(stage, moved)

    def shifted(secret, label, shape, dtype):
        out = keystream.expand(secret, label, shape, dtype)
        return out + apart[label.role] if label.role in apart else out

    monkeypatch.setattr(group_sums, "expand", shifted)
    other.dealt = list(group_sums.deal(TO_LEFT, TO_RIGHT, LABEL, other.shape))
    there, right = other.second()
    for mine, theirs in zip([*first, *carried.blocks()], [*other.first(), *there.blocks()], strict=True):
        assert bytes(_raw(mine)) == bytes(_raw(theirs))
    total = (other.left(other.first(), there) + right).view(np.int32)
    assert np.array_equal(total, expected(other.codes, other.numbers, other.cells))


def test_every_message_of_the_right_party_is_masked_afresh():
    """Bits of all masked numbers are even, also where all numbers are zeros: 5 standard deviations."""
    parties = Parties(np.arange(400) % 7, np.zeros((400, 3), int), 7)
    carried, share = parties.second()
    for numbers in (*parties.first(), carried.chunks, carried.ranks, share):
        bits = np.unpackbits(np.ascontiguousarray(numbers).view(np.uint8))
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_no_stream_is_drawn_for_two_purposes(monkeypatch):
    drawn = []

    def noted(secret, label, shape, dtype):
        drawn.append((secret, label.encode()))
        return keystream.expand(secret, label, shape, dtype)

    monkeypatch.setattr(group_sums, "expand", noted)
    group_sums.deal(TO_LEFT, TO_RIGHT, LABEL, GroupShape(50, 4, 2))
    assert len(drawn) == len(set(drawn)) == 9
    assert {label for secret, label in drawn if secret == TO_LEFT}.isdisjoint(
        label for secret, label in drawn if secret == TO_RIGHT
    )


# ------------------------------------------------------------------------------------------------ lies


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("column", [0, 2, 3, 4])
@pytest.mark.parametrize("error", [1, 2**20, 2**31])
def test_a_hub_that_adds_to_a_row_of_its_choice_is_found_out(stage, column, error):
    """An error of 2^20 in one row would show that row's cell in the totals."""
    parties = some()
    parties.dealt[stage][5, column] += np.uint64(error)
    carried, _ = parties.second()
    with pytest.raises(ProtocolError, match="do not fit together"):
        parties.left(parties.first(), carried)


def test_whether_errors_are_noticed_does_not_depend_on_the_cells():
    """Two errors that cancel in a cell are noticed as well: a study that goes on would say that two rows share one."""
    for codes in ([0, 0, 1, 1], [0, 1, 0, 1]):
        parties = Parties(np.array(codes), np.ones((4, 1), int), 2)
        for place, error in ((0, 1), (1, -1)):
            where = np.flatnonzero(group_sums._permutation(TO_LEFT, LABEL, 0, parties.shape) == place)[0]
            parties.dealt[0][where, :1] += np.array([error]).astype(np.uint64)
        carried, _ = parties.second()
        with pytest.raises(ProtocolError, match="do not fit together"):
            parties.left(parties.first(), carried)


def test_errors_above_the_result_change_nothing_of_it():
    """An error that is a multiple of 2^32 may pass the check; it is nowhere in the result."""
    for seed in range(8):
        parties = replace(some(), own=bytes([seed]) * 32)
        parties.dealt[0][3, 1] += np.uint64(2**63)
        carried, right = parties.second()
        try:
            total = (parties.left(parties.first(), carried) + right).view(np.int32)
        except ProtocolError:
            continue
        assert np.array_equal(total, expected(parties.codes, parties.numbers, parties.cells))


def test_other_secrets_than_those_dealt_for_are_found_out():
    parties = some()
    parties.to_right = b"x" * 32
    carried, _ = parties.second()
    with pytest.raises(ProtocolError, match="do not fit together"):
        parties.left(parties.first(), carried)
    with pytest.raises(ProtocolError, match="equal"):
        group_sums.deal(TO_LEFT, TO_LEFT, LABEL, parties.shape)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_what_is_no_permutation_is_refused(stage):
    parties = some()
    parties.message[stage][0] = parties.message[stage][1]
    with pytest.raises(ProtocolError, match="twice or none"):
        parties.second()


def test_a_left_party_that_lies_counts_no_row_twice():
    """Whatever permutations it sends, its counterpart's rows are in one cell each, with weight 1 or 0."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        parties = Parties(rng.integers(0, 5, 30), np.eye(30, dtype=int), 5)
        parties.places = tuple(rng.permutation(n).astype(np.uint32) for n in parties.shape.slots.sizes)
        parties.message = group_sums.left_message(TO_LEFT, LABEL, parties.places, parties.shape)
        weights = parties.total()
        assert set(np.unique(weights)) <= {0, 1}
        assert weights.sum(0).max() <= 1


def guessing(parties, column=0):
    """Messages of a right party that guesses: row 0 comes first of all rows, in the largest cell, which is the first."""
    first, slots, sent, digest = parties.first(), parties.shape.slots, [], hashlib.sha256()
    first[0][0, column] += np.uint64(1)
    own = None
    for stage in STAGES:
        if stage:
            rows = slots.inputs[stage]
            sent.append(own - group_sums._whole(TO_RIGHT, LABEL, "a", stage, rows, parties.shape.width))
        moved = parties.dealt[stage][parties.message[stage]]
        told = moved.copy()
        told[0, column] -= np.uint64(1)
        digest.update((-group_sums._residues(told, parties.factors)).tobytes())
        own = slots.summed(stage, moved)
    return first, Carried(sent[0], sent[1], parties.factors, digest.digest())


@pytest.mark.parametrize("cell", [0, 1])
def test_whether_a_right_party_is_found_out_does_not_depend_on_a_rows_cell(cell):
    codes = np.array([cell, *[0] * 30, *[1] * 9])
    parties = Parties(codes, np.zeros((40, 1), np.int64), 2)
    with pytest.raises(ProtocolError, match="do not fit together"):
        parties.left(*guessing(parties))
    # In an order that follows from the cells, the guess is found out where it is wrong, and only there.
    parties.places = parties.shape.slots.place(codes)
    parties.message = group_sums.left_message(TO_LEFT, LABEL, parties.places, parties.shape)
    if cell == 0:
        parties.left(*guessing(parties))
        return
    with pytest.raises(ProtocolError, match="do not fit together"):
        parties.left(*guessing(parties))


def test_messages_of_another_size_are_refused():
    parties = some()
    carried, _ = parties.second()
    first = parties.first()
    with pytest.raises(ProtocolError, match="size"):
        parties.left([first[0][:-1]], carried)
    with pytest.raises(ProtocolError, match="size"):
        parties.left([*first, first[0]], carried)
    blocks = [bytes(_raw(block)) for block in carried.blocks()]
    for wrong in (blocks[:3], [blocks[0][:-8], *blocks[1:]], [*blocks[:3], b"short"]):
        with pytest.raises(ProtocolError, match="size"):
            Carried.of(wrong, parties.shape)
    with pytest.raises(ProtocolError, match="size"):
        list(first_of([b"12345678"], parties.shape))
    with pytest.raises(ProtocolError, match="size"):
        message_of([bytes(_raw(part))[4:] for part in parties.message], parties.shape)
    parties.dealt[1] = parties.dealt[1][:-1]
    with pytest.raises(ProtocolError, match="another size"):
        parties.second()
    with pytest.raises(DataError, match="whole numbers"):
        list(group_sums.right_first(TO_RIGHT, LABEL, np.ones((40, 3)), parties.factors, parties.shape))


def test_bytes_of_all_messages_are_as_stated():
    parties = some()
    carried, _ = parties.second()
    sent = [*parties.dealt, *parties.first(), carried.chunks, carried.ranks]
    permutations = sum(part.nbytes for part in parties.message)
    assert parties.shape.sent_bytes == sum(block.nbytes for block in sent) + permutations
    assert parties.shape.width == 3 + CHECKS


def test_coarser_cells_are_sums_of_finer_ones():
    parties = some(cells=6)
    carried, right = parties.second()
    left, groups = parties.left(parties.first(), carried), np.array([0, 1, 0, 2, 1, 0])
    total = group_sums.aggregate(left, groups, 3) + group_sums.aggregate(right, groups, 3)
    assert np.array_equal(total.view(np.int32), expected(groups[parties.codes], parties.numbers, 3))
