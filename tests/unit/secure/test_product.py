"""The product of two parties: exact with noise, blocked, and no key stream used twice."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure import keystream, product
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.product import Shape, one_hot, with_last
from fedrisk.secure.ring import from_signed

LABEL = Label(
    study="s",
    attempt="1",
    release="A",
    sender="tax",
    counterparty="bank",
    bank_list="bank",
    matrix="counts",
)
TO_LEFT, TO_RIGHT, PAIR = b"l" * 32, b"r" * 32, b"p" * 32


def split(matrix, shape):
    return [matrix[slice(*shape.span(k))] for k in range(shape.blocks)]


def shares(x, y, shape, label=LABEL, to_left=TO_LEFT, to_right=TO_RIGHT, own_bits=None):
    correction = product.deal(to_left, to_right, label, shape)
    d = list(product.mask(to_left, label, "left", split(x, shape), shape))
    e = list(product.mask(to_right, label, "right", split(y, shape), shape))
    left = product.left_share(to_left, label, correction, e, shape)
    right = product.right_share(to_right, label, split(y, shape), d, shape, own_bits=own_bits)
    return left, right


def test_two_rows_by_hand():
    x, y = np.array([[1, 0], [0, 1]], np.uint32), np.array([[3], [5]], np.uint32)
    left, right = shares(x, y, Shape(2, 2, 1, "uint32", 1))
    assert (left + right).tolist() == [[3], [5]]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 50),
    left=st.integers(1, 6),
    right=st.integers(1, 4),
    block_rows=st.integers(1, 60),
    dtype=st.sampled_from(["uint16", "uint32", "uint64"]),
    seed=st.integers(0, 2**32),
    extreme=st.sampled_from([None, "lowest", "highest"]),
)
def test_product_plus_noise_is_exact_in_the_ring(rows, left, right, block_rows, dtype, seed, extreme):
    rng = np.random.default_rng(seed)
    signed = np.dtype(dtype.replace("u", ""))
    info = np.iinfo(signed)
    shape = Shape(rows, left, right, dtype, block_rows)
    if extreme is None:
        x = rng.integers(info.min, info.max, (rows, left), signed, endpoint=True)
        y = rng.integers(info.min, info.max, (rows, right), signed, endpoint=True)
    else:
        value = info.min if extreme == "lowest" else info.max
        x, y = np.full((rows, left), value, signed), np.full((rows, right), value, signed)
    noise = rng.integers(-(2**40), 2**40, (2, left, right)).astype(object)
    a, b = shares(from_signed(x, dtype), from_signed(y, dtype), shape)
    a += from_signed(noise[0], dtype) + pair_mask({"bank": PAIR}, "tax", LABEL, a.shape, dtype)
    b += from_signed(noise[1], dtype) + pair_mask({"tax": PAIR}, "bank", LABEL, b.shape, dtype)
    expected = x.astype(object).T @ y.astype(object) + noise.sum(axis=0)
    assert np.array_equal(a + b, from_signed(expected, dtype))


def test_narrow_own_matrix_gives_the_same_share():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, (70, 5), dtype=np.uint32)
    y = rng.integers(0, 2, (70, 2), dtype=np.uint32)
    shape = Shape(70, 5, 2, "uint32", 32)
    for a, b in zip(shares(x, y, shape), shares(x, y, shape, own_bits=1), strict=True):
        assert np.array_equal(a, b)


def test_blocks_are_drawn_one_at_a_time():
    shape, drawn = Shape(30, 2, 1, "uint32", 10), []

    def own():
        for k in range(shape.blocks):
            drawn.append(k)
            yield np.zeros(shape.of("left", k), np.uint32)

    masked = product.mask(TO_LEFT, LABEL, "left", own(), shape)
    next(masked)
    assert drawn == [0]


@pytest.fixture
def drawn(monkeypatch):
    """(secret, encoded label, key) of every stream, in the order in which they were drawn."""
    seen = []
    original = keystream._stream_key

    def observed(secret, label):
        key = original(secret, label)
        seen.append((secret, label.encode(), key))
        return key

    monkeypatch.setattr(keystream, "_stream_key", observed)
    return seen


def streams_of_one_product(drawn, label, shape):
    """(streams that the hub deals, streams that cover matrices) of one product and its masked sum."""

    def during(work):
        drawn.clear()
        work()
        return list(drawn)

    x, y = np.ones((7, 2), np.uint32), np.ones((7, 2), np.uint32)
    me, other = label.sender, label.counterparty
    # One label for both directions would give them the same Z, so the sum's label names the direction.
    summed = replace(label, matrix=f"counts, {me} left")
    dealt = during(lambda: product.deal(TO_LEFT, TO_RIGHT, label, shape))
    pads = during(lambda: list(product.mask(TO_LEFT, label, "left", split(x, shape), shape)))
    pads += during(lambda: list(product.mask(TO_RIGHT, label, "right", split(y, shape), shape)))
    mine = during(lambda: pair_mask({other: PAIR}, me, summed, (2, 2), "uint32"))
    # The partner draws the very same mask: that is its purpose.
    assert during(lambda: pair_mask({me: PAIR}, other, summed, (2, 2), "uint32")) == mine
    return dealt, pads + mine


def test_no_key_stream_is_used_twice(drawn):
    """Whole products over attempts, releases, lists, directions and blocks: each mask covers one matrix."""
    shape = Shape(7, 2, 2, "uint32", 3)
    pads, dealt, runs = [], [], 0
    for attempt, release, bank in itertools.product("12", "AB", ("bank1", "bank2")):
        for sender, receiver in (("tax", bank), (bank, "tax")):
            names = {"sender": sender, "counterparty": receiver, "bank_list": bank}
            label = replace(LABEL, attempt=attempt, release=release, **names)
            hub, parties = streams_of_one_product(drawn, label, shape)
            dealt += hub
            pads += parties
            runs += 1
    assert len(pads) == runs * (2 * shape.blocks + 1)
    assert len(dealt) == runs * (2 * shape.blocks + 1)
    assert max(Counter((secret, label) for secret, label, _ in pads).values()) == 1
    assert max(Counter(key for *_, key in pads).values()) == 1
    assert max(Counter(key for *_, key in dealt).values()) == 1
    masks_of_the_hub = {key for *_, key in dealt}
    once = {key for *_, key in pads}
    # R and S cover the matrices; T (only dealt) and Z (only in pads) are separate streams
    assert len(masks_of_the_hub & once) == runs * 2 * shape.blocks
    assert len(masks_of_the_hub - once) == runs
    assert len(once - masks_of_the_hub) == runs


@pytest.mark.parametrize("side", ["left", "right"])
def test_own_blocks_are_checked(side):
    shape = Shape(5, 2, 1, "uint32", 2)
    columns = shape.of(side, 0)[1]
    good = [np.zeros((r, columns), np.uint32) for r in (2, 2, 1)]
    wrong = {
        "expected": [good[0], good[1], good[1]],
        "int64": [good[0].astype(np.int64), *good[1:]],
        "more than 3": [*good, good[0]],
        "send them all": good[:2],
    }
    assert len(list(product.mask(TO_LEFT, LABEL, side, good, shape))) == 3
    for text, blocks in wrong.items():
        with pytest.raises(ProtocolError, match=text):
            list(product.mask(TO_LEFT, LABEL, side, blocks, shape))


def test_shares_check_their_inputs():
    shape = Shape(4, 2, 1, "uint32", 2)
    d = [np.zeros((2, 2), np.uint32)] * 2
    e = [np.zeros((2, 1), np.uint32)] * 2
    correction = np.zeros((2, 1), np.uint32)
    with pytest.raises(ProtocolError, match="correction"):
        product.left_share(TO_LEFT, LABEL, correction.T, e, shape)
    with pytest.raises(ProtocolError, match="1 counterpart blocks"):
        product.left_share(TO_LEFT, LABEL, correction, e[:1], shape)
    with pytest.raises(ProtocolError, match="1 counterpart blocks"):
        product.right_share(TO_RIGHT, LABEL, e, d[:1], shape)
    with pytest.raises(ProtocolError, match="1 own blocks"):
        product.right_share(TO_RIGHT, LABEL, e[:1], d, shape)
    with pytest.raises(ProtocolError, match="more than 2"):
        product.right_share(TO_RIGHT, LABEL, e, [*d, d[0]], shape)


def test_one_secret_for_both_sides_is_refused():
    with pytest.raises(ProtocolError, match="one for each"):
        product.deal(TO_LEFT, TO_LEFT, LABEL, Shape(2, 1, 1, "uint32"))


@pytest.mark.parametrize("field", ["rows", "left", "right", "block_rows"])
def test_shape_refuses_nothing(field):
    sizes = {"rows": 1, "left": 1, "right": 1, "block_rows": 1, field: 0}
    with pytest.raises(ProtocolError, match=field):
        Shape(**sizes, dtype="uint32")


def test_unpack_reads_what_was_sent():
    shape = Shape(5, 2, 1, "uint64", 3)
    x = np.arange(10, dtype=np.uint64).reshape(5, 2)
    sent = [block.astype("<u8").tobytes() for block in split(x, shape)]
    assert np.array_equal(np.concatenate(list(product.unpack(sent, "left", shape))), x)
    for wrong in ([sent[0][:-1]], [sent[1]], [*sent, sent[1]]):
        with pytest.raises(ProtocolError, match="bytes; expected"):
            list(product.unpack(wrong, "left", shape))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.integers(0, 20), st.integers(0, 2**32))
def test_one_hot_rows(sizes, rows, seed):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, rows) for size in sizes], 1).astype(np.uint16)
    offsets = np.cumsum([0, *sizes[:-1]])
    out = one_hot(codes, sizes, "uint32", rows // 3, rows)
    assert out.shape == (rows - rows // 3, sum(sizes))
    assert np.array_equal(np.nonzero(out)[1].reshape(-1, len(sizes)), codes[rows // 3 :] + offsets)
    assert out.sum() == out.shape[0] * len(sizes)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    lists=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    right=st.integers(1, 2),
    dtype=st.sampled_from(["uint16", "uint32"]),
    seed=st.integers(0, 2**32),
)
def test_last_bins_follow_from_the_others(sizes, lists, right, dtype, seed):
    """One holder with several lists: shares without the last columns add up to the whole product."""
    rng = np.random.default_rng(seed)
    mine, theirs, expected = 0, 0, 0
    for number, rows in enumerate(lists):
        codes = np.stack([rng.integers(0, size, rows) for size in sizes], 1).astype(np.uint8)
        x = one_hot(codes, sizes, dtype, last=False)
        assert np.array_equal(x, np.delete(one_hot(codes, sizes, dtype), np.cumsum(sizes) - 1, axis=1))
        y = rng.integers(0, 2**16, (rows, right)).astype(dtype)
        label = replace(LABEL, bank_list=str(number))
        left, own = shares(x, y, Shape(rows, x.shape[1], right, dtype, 7), label)
        mine = mine + left
        theirs = theirs + with_last(own, sizes, y.sum(axis=0))
        expected = expected + one_hot(codes, sizes, "uint64").T @ y.astype(np.uint64)
    assert np.array_equal(with_last(mine, sizes) + theirs, expected.astype(dtype))


def test_last_bins_of_another_shape_are_refused():
    for sizes in ([3], [2, 2], [1, 3]):
        with pytest.raises(ProtocolError, match="another number"):
            with_last(np.zeros((3, 1), np.uint16), sizes)
    assert with_last(np.zeros((3, 1), np.uint16), [4]).shape == (4, 1)


def test_one_hot_refuses_codes_without_a_bin():
    codes = np.array([[0, 3]], np.uint8)
    with pytest.raises(DataError, match="column 1"):
        one_hot(codes, [1, 3], "uint32")
    with pytest.raises(DataError, match="columns"):
        one_hot(codes, [4], "uint32")
    with pytest.raises(DataError, match="unsigned"):
        one_hot(codes.astype(float), [4, 4], "uint32")
