"""Exact products and signed numbers in the rings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure import ring

RINGS = ["uint16", "uint32", "uint64"]


def big_product(a, b):
    """The product by Python's integers."""
    modulus = 1 << (a.dtype.itemsize * 8)
    exact = a.astype(object).T @ b.astype(object)
    return np.vectorize(lambda v: int(v) % modulus, otypes=[a.dtype])(exact)


@st.composite
def pairs(draw):
    dtype = np.dtype(draw(st.sampled_from(RINGS)))
    rows, left, right = draw(st.integers(1, 40)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    top = (1 << dtype.itemsize * 8) - 1
    bits = draw(st.sampled_from([None, 1, 7, 10, 11, 16, 17, 32, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    wide = draw(st.sampled_from(["random", "top"]))
    high = top if bits is None else min(top, (1 << bits) - 1)
    if wide == "top":
        return np.full((rows, left), top, dtype), np.full((rows, right), high, dtype), bits
    a = rng.integers(0, top, (rows, left), dtype, endpoint=True)
    return a, rng.integers(0, high, (rows, right), dtype, endpoint=True), bits


@given(pairs())
def test_product_equals_big_integers(pair):
    a, b, bits = pair
    expected = big_product(a, b)
    assert np.array_equal(ring.ring_product(a, b), expected)
    result = ring.ring_product(a, b, right_bits=bits)
    assert np.array_equal(result, expected)
    assert result.dtype == a.dtype


@pytest.mark.parametrize("dtype", RINGS)
@pytest.mark.parametrize("bits", [None, 1, 10, 11, 16])
def test_worst_case_rows_stay_exact(dtype, bits):
    """All entries at their greatest over several whole chunks: the largest partial sums there are."""
    rows = 2 * ring.CHUNK + 1
    top = np.iinfo(dtype).max
    high = top if bits is None else (1 << bits) - 1
    a, b = np.full((rows, 1), top, dtype), np.full((rows, 1), high, dtype)
    expected = rows * int(top) * int(high) % (int(top) + 1)
    assert int(ring.ring_product(a, b, right_bits=bits)[0, 0]) == expected


def test_limb_bounds_keep_doubles_exact():
    assert 2 * 16 + (ring.CHUNK - 1).bit_length() <= 53
    assert 32 + ring.NARROW_BITS + (ring.CHUNK - 1).bit_length() <= 53


def test_product_takes_views_that_are_not_contiguous():
    a = np.arange(24, dtype=np.uint32).reshape(4, 6)[:, ::2]
    b = np.arange(8, dtype=np.uint32).reshape(2, 4).T
    assert np.array_equal(ring.ring_product(a, b), big_product(a, b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((2, 1), np.uint32), np.zeros((3, 1), np.uint32)),
        (np.zeros((2, 1), np.uint32), np.zeros((2, 1), np.uint64)),
        (np.zeros((2, 1), np.int32), np.zeros((2, 1), np.int32)),
        (np.zeros(2, np.uint32), np.zeros((2, 1), np.uint32)),
    ],
)
def test_product_refuses_what_does_not_fit(a, b):
    with pytest.raises(ProtocolError):
        ring.ring_product(a, b)


def test_claimed_bits_are_checked():
    b = np.array([[2]], np.uint32)
    with pytest.raises(DataError, match="right_bits"):
        ring.ring_product(b, b, right_bits=1)


@given(st.lists(st.integers(-(2**80), 2**80), min_size=1, max_size=20), st.sampled_from(RINGS))
def test_python_integers_reduce_modulo_the_ring(values, dtype):
    bits = ring.width(dtype)
    got = ring.from_signed(np.array(values, object), dtype)
    assert got.dtype == dtype
    assert [int(v) for v in got] == [v % (1 << bits) for v in values]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20), st.sampled_from(RINGS))
def test_signed_round_trip(values, dtype):
    array = np.array(values, np.int64)
    if dtype == "uint16":
        array >>= 16
        values = array.tolist()
    assert ring.to_signed(ring.from_signed(array, dtype)).tolist() == values


def test_signed_extremes():
    low = np.array([-(2**63), 2**63 - 1], np.int64)
    assert ring.to_signed(ring.from_signed(low, "uint64")).tolist() == low.tolist()


@pytest.mark.parametrize("values", [np.array([1.0]), np.array([1.5], object), np.array(["1"])])
def test_only_integers_enter(values):
    with pytest.raises(DataError, match="integers"):
        ring.from_signed(values, "uint32")


def test_bound_is_tight():
    ring.check_bound(2**20, 2**5, 2**5, 2**30 - 1, "uint32")
    with pytest.raises(DataError, match=r"1048576 rows.*64-bit"):
        ring.check_bound(2**20, 2**5, 2**5, 2**30, "uint32")
    ring.check_bound(2**20, 2**5, 2**5, 2**30, "uint64")
    with pytest.raises(DataError, match=r"below 2\*\*63"):
        ring.check_bound(2**21, 2**21, 2**21, 0, "uint64")
    with pytest.raises(DataError, match="negative"):
        ring.check_bound(-1, 1, 1, 0, "uint32")


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 2**12), st.integers(1, 2**12), st.integers(0, 2**31))
def test_what_the_bound_allows_is_read_back_right(n, left, right, noise):
    try:
        ring.check_bound(n, left, right, noise, "uint32")
    except DataError:
        assert n * left * right + noise >= 2**31
        return
    a = ring.from_signed(np.full((n, 1), -left), "uint32")
    b = ring.from_signed(np.full((n, 1), right), "uint32")
    total = ring.ring_product(a, b) + ring.from_signed(np.array([[-noise]]), "uint32")
    assert int(ring.to_signed(total)[0, 0]) == -n * left * right - noise


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_range_is_read_from_its_least_number(dtype):
    top = 2 ** (8 * np.dtype(dtype).itemsize)
    numbers = np.array([-500, -1, 0, 7, top // 2, top - 501])
    assert ring.to_range(ring.from_signed(numbers, dtype), -500).tolist() == numbers.tolist()
    assert ring.to_range(ring.from_signed(np.array([top - 500]), dtype), -500).tolist() == [
        -500
    ]  # one too far
    with pytest.raises(ProtocolError, match="to_signed"):
        ring.to_range(np.zeros(1, np.uint64), 0)
