"""Sums of products: the bucket method agrees with libsodium, point by point and in all sizes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.alignment import multiscalar, ristretto
from fedrisk.errors import ProtocolError

# RFC 9496, appendix A.1: multiples 1 to 3 of the generator; A.2: encodings that must be refused.
MULTIPLES = [
    "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
    "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
]
BAD_POINTS = {
    "identity": "00" * 32,
    "not reduced": "00" + "ff" * 31,
    "field order": "ed" + "ff" * 30 + "7f",
    "above the order": "f3" + "ff" * 30 + "7f",
    "negative": "01" + "00" * 31,
    "minus one": "ec" + "ff" * 30 + "7f",
    "no square": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "no square, either": "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
    "negative xy": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "negative xy, too": "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
    "root of minus one": "b0a00e4a271beec478e42fad0618432fa7d7fb3d99004d2b0bdfc14f8024832b",
}
POINTS = ristretto.hash_multiply(
    [b"%d" % i for i in range(100)],
    [ristretto.derive_scalar(bytes([i]) * 32, b"") for i in range(100)],
)


def in_buckets(scalars, *lists):
    """``sums_of_products`` as it computes long sums."""
    curve = multiscalar._curve()
    assert curve is not None, "pycryptodome keeps its arithmetic elsewhere"
    return tuple(multiscalar._in_buckets(curve, scalars, points) for points in lists)


def test_long_sums_take_the_way_of_the_buckets(monkeypatch):
    monkeypatch.setattr(multiscalar, "_in_buckets", lambda curve, scalars, points: b"buckets")
    many = multiscalar.BUCKETS_FROM
    assert multiscalar.sums_of_products([0] * many, b"") == (b"buckets",)
    assert multiscalar.sums_of_products([1], POINTS[:32]) == (POINTS[:32],)


@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_multiples_of_the_generator(multiple):
    (found,) = in_buckets([multiple, 0], bytes.fromhex(MULTIPLES[0]) * 2)
    assert found.hex() == MULTIPLES[multiple - 1]


def test_decoding_and_encoding_are_inverse():
    pairs = multiscalar._decoded(POINTS)
    assert b"".join(multiscalar._encoded(x, y) for x, y in pairs) == POINTS
    d = -121665 * pow(121666, -1, multiscalar._P)
    assert all((y * y - x * x - 1 - d * x * x * y * y) % multiscalar._P == 0 for x, y in pairs)


SCALAR = st.one_of(
    st.integers(0, ristretto.ORDER - 1), st.sampled_from([0, 1, 2**252, ristretto.ORDER - 1, 2**128])
)


@settings(max_examples=15, deadline=None)
@given(st.lists(SCALAR, min_size=1, max_size=100), st.data())
def test_buckets_agree_with_libsodium(scalars, data):
    """Also where points are repeated, opposite or cancel."""
    places = data.draw(st.lists(st.integers(0, 9), min_size=len(scalars), max_size=len(scalars)))
    one = b"".join(POINTS[32 * i : 32 * i + 32] for i in places)
    other = POINTS[: 32 * len(scalars)]
    expected = tuple(multiscalar._one_by_one(scalars, points) for points in (one, other))
    assert in_buckets(scalars, one, other) == expected


def test_a_sum_that_cancels_is_the_identity():
    scalars = [5] * 40 + [ristretto.ORDER - 5] * 40
    assert in_buckets(scalars, POINTS[: 32 * 40] * 2) == (ristretto.IDENTITY,)


@pytest.mark.parametrize("sums", [in_buckets, multiscalar.sums_of_products], ids=["buckets", "one by one"])
@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("bad", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_bad_points_are_refused(bad, size, sums):
    points = POINTS[: 32 * (size - 1)] + bytes.fromhex(bad)
    assert not ristretto.is_point(points[-32:])
    with pytest.raises(ProtocolError, match="canonical"):
        sums([1] * size, points)


def test_without_pycryptodomes_arithmetic_libsodium_does_it(monkeypatch):
    scalars = list(range(100))
    expected = in_buckets(scalars, POINTS)
    monkeypatch.setattr(multiscalar, "_curve", lambda: None)
    monkeypatch.setattr(multiscalar, "BUCKETS_FROM", 1)
    assert multiscalar.sums_of_products(scalars, POINTS) == expected


def test_lists_that_do_not_belong_together_are_refused():
    with pytest.raises(ProtocolError, match="100 scalars"):
        in_buckets(list(range(100)), POINTS[:-32])
