"""Points of small order, counted on the curve itself."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.secure.weak_points import weak
from support import edwards


def test_all_points_of_small_order_are_weak():
    small = edwards.small_points()
    assert len(set(small)) == 8 and edwards.NEUTRAL in small
    for point in small:
        assert weak(edwards.written(point))
        # With the sign of the other: where x is 0, this is a second way to write it.
        assert weak((int.from_bytes(edwards.written(point), "little") ^ 1 << 255).to_bytes(32, "little"))


def test_a_second_way_to_write_a_point_is_weak():
    for height in range(19):
        for sign in (0, 1 << 255):
            assert weak((edwards.PRIME + height | sign).to_bytes(32, "little"))
            assert weak((height | sign).to_bytes(32, "little")) == (height < 2)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, edwards.ORDER - 1), st.sampled_from(edwards.small_points()))
def test_a_signers_key_is_not_weak(number, small):
    """Nor is one with a part of small order: libraries agree about its signatures (test_ed25519)."""
    point = edwards.times(number, edwards.BASE)
    assert not weak(edwards.written(point)) and not weak(edwards.written(edwards.added(point, small)))
