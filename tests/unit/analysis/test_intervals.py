"""Intervals: by hand, against exact tests turned round on a grid, and at the edges of what can be known."""

import numpy as np
import pytest

from fedrisk.analysis import intervals
from fedrisk.analysis.variances import Moments, variance

Q = intervals.reach(0.95)


def one(*values):
    return [np.array([float(v)]) for v in values]


def ends(found):
    return found.low.item(), found.high.item()


def test_a_total_without_a_draw_is_its_noise_and_never_below_zero():
    found = intervals.total(*one(100, 25), Q, 1.0)
    assert ends(found) == pytest.approx((100 - 5 * Q, 100 + 5 * Q))
    assert found.error.item() == pytest.approx(5)
    assert ends(intervals.total(*one(-3, 25), Q, 1.0)) == pytest.approx((0.0, -3 + 5 * Q))


def test_a_total_of_a_draw_is_the_test_turned_round():
    y, v, p = 40.0, 9.0, 0.6
    found = intervals.total(*one(y, v), Q, p)
    t = np.linspace(0, 200, 200_001)
    inside = t[(y - p * t) ** 2 <= Q**2 * (t * p * (1 - p) + v)]
    assert ends(found) == pytest.approx((inside.min(), inside.max()), abs=2e-3)
    assert found.estimate.item() == pytest.approx(y / p)


def test_a_signed_total_of_a_draw_needs_to_know_of_how_many():
    assert not intervals.signed_total(*one(5, 4), Q, 0.5, None).bounded.item()
    found = intervals.signed_total(*one(5, 4), Q, 0.5, np.array([12.0]))
    assert found.error.item() == pytest.approx(np.sqrt(4 + 12 * 0.5) / 0.5)
    assert intervals.signed_total(*one(5, 4), Q, 1.0, None).bounded.item()


@pytest.mark.parametrize("included", [1.0, 0.7])
@pytest.mark.parametrize(("n", "s"), [(60, 20), (60, -58), (9, 1), (400, 0)])
def test_a_mean_is_the_test_turned_round(n, s, included):
    vn, vs = 16.0, 9.0
    found = intervals.mean(*one(n, s), tuple(one(vn, vs)), Q, included)
    r = np.linspace(-1, 1, 200_001)
    drawn = n * (1 - included)
    inside = r[(s - r * n) ** 2 <= Q**2 * (vs + r**2 * vn + drawn * (1 - r**2))]
    assert found.bounded.item()
    assert ends(found) == pytest.approx((inside.min(), inside.max()), abs=2e-5)


@pytest.mark.parametrize("included", [1.0, 0.7])
@pytest.mark.parametrize(("ones", "others"), [(30, 70), (0, 80), (-2, 60), (55, 1)])
def test_a_share_is_the_test_turned_round(ones, others, included):
    v, n = 9.0, ones + others
    found = intervals.share(*one(ones, others, v), Q, included)
    r = np.linspace(0, 1, 200_001)
    spread = v * ((1 - r) ** 2 + r**2) + n * (1 - included) * r * (1 - r)
    inside = r[(ones - r * n) ** 2 <= Q**2 * spread]
    assert ends(found) == pytest.approx((inside.min(), inside.max()), abs=1e-5)


def test_a_ratio_over_what_may_be_nothing_is_everything():
    for found, whole in (
        (intervals.mean(*one(6, 2), tuple(one(16, 9)), Q, 1.0), (-1, 1)),
        (intervals.share(*one(2, 3, 9), Q, 1.0), (0, 1)),
        (intervals.mean(*one(-50, 2), tuple(one(16, 9)), Q, 1.0), (-1, 1)),
    ):
        assert ends(found) == whole
        assert not found.bounded.item()


def test_numbers_that_no_mean_explains_are_no_estimate():
    found = intervals.mean(*one(100, 140), tuple(one(4, 4)), Q, 1.0)
    assert not found.bounded.item()
    assert found.estimate.item() == 1.0


def moments(n, s, t, noise, included=1.0):
    return Moments(*one(n, s, t), tuple(one(*noise)), included)


def test_a_variance_holds_all_that_the_numbers_do_not_contradict():
    n, s, t, noise = 80.0, 20.0, 30.0, (16.0, 9.0, 9.0)
    found = variance(moments(n, s, t, noise), Q)
    assert found.estimate.item() == pytest.approx(t / n - (s / n) ** 2)
    m, w = np.meshgrid(np.linspace(-1, 1, 2001), np.linspace(0, 1, 1001))
    # Distance by the covariance of (s - m n, t - (m^2 + w) n), another form of the same two lines.
    a, b = s - m * n, t - (m**2 + w) * n
    va, vb = noise[1] + m**2 * noise[0], noise[2] + (m**2 + w) ** 2 * noise[0]
    c = m * (m**2 + w) * noise[0]
    distance = (vb * a**2 - 2 * c * a * b + va * b**2) / (va * vb - c**2)
    inside = w[(distance <= Q**2)]
    assert ends(found) == pytest.approx((inside.min(), inside.max()), abs=2e-3)


def test_a_variance_without_noise_is_exact():
    x = np.array([-0.5, 0.1, 0.2, 0.9])
    found = variance(moments(len(x), x.sum(), (x**2).sum(), (0, 0, 0)), Q)
    assert ends(found) == pytest.approx((x.var(), x.var()), abs=2e-6)
    assert found.bounded.item()


def test_a_variance_of_what_may_be_nothing_is_everything():
    found = variance(moments(5, 2, 3, (16, 9, 9)), Q)
    assert ends(found) == (0, 1)
    assert not found.bounded.item()


EDGES = np.array([0.0, 1, 2, 4, 8])


def test_quantiles_without_noise_are_the_bin_that_holds_them():
    found = intervals.quantiles(
        np.array([[10.0, 20, 30, 40]]), np.zeros(1), Q, 1.0, EDGES, (0.05, 0.25, 0.5, 0.9)
    )
    assert [ends(found[p]) for p in (0.05, 0.25, 0.5, 0.9)] == [(0, 1), (1, 2), (2, 4), (4, 8)]
    assert found[0.25].estimate.item() == pytest.approx(1.75)


def test_quantiles_on_noisy_counts_take_every_bin_that_may_hold_them():
    bins = np.array([[100.0, 3, 100, 0]])
    wide = intervals.quantiles(bins, np.array([16.0]), Q, 1.0, EDGES, (0.5,))[0.5]
    assert ends(wide) == (0, 4)
    # A dip in the cumulated counts is pooled: they rise.
    dip = intervals.quantiles(np.array([[50.0, -8, 50, 0]]), np.array([4.0]), Q, 1.0, EDGES, (0.46,))[0.46]
    assert 0.9 < dip.estimate.item() <= 2


def test_quantiles_of_nobody_are_everything():
    found = intervals.quantiles(np.array([[1.0, -2, 0, 0]]), np.array([16.0]), Q, 1.0, EDGES, (0.5,))[0.5]
    assert not found.bounded.item()
