"""The one place of the stability index: by hand, with loans that are in both months, and with noise."""

import numpy as np
import pytest
from scipy.special import ndtr

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import Overlap, _upper_tail, distance, exact, stability
from fedrisk.metrics import psi


def counts(codes, bins):
    return np.bincount(codes, minlength=bins).astype(float)


def test_the_index_by_hand():
    # (0.8 - 0.5) ln 1.6 + (0.2 - 0.5) ln 0.4
    found = stability(exact([0.5, 0.5]), Histogram.of(np.array([8e6, 2e6]), 0.0))
    assert found.index == pytest.approx(0.4159, abs=1e-4) == psi([0.5, 0.5], [0.8, 0.2])
    assert found.low < found.index < found.high and found.verdict == "moved"


def test_two_bins_without_change_are_pearsons_test():
    # The squared difference of two shares over its variance: chi-squared of one degree, .95 quantile 3.841.
    old, new = Histogram.of(np.array([500.0, 500.0]), 0.0), Histogram.of(np.array([455.0, 545.0]), 0.0)
    assert distance(old, new).chance(0.0) == pytest.approx(0.044, abs=0.001)


def test_the_same_loans_in_the_same_bins_have_not_changed():
    one = Histogram.of(np.array([300.0, 200.0, 100.0]), 0.0)
    found = distance(one, one, overlap=Overlap(counts=np.diag(one.counts)))
    assert found.chance(0.0) == 1.0
    assert found.stability().index == 0 == found.stability().high


def test_a_bound_of_what_matters_makes_the_same_change_less_of_an_alarm():
    old, new = Histogram.of(np.full(4, 500.0), 0.0), Histogram.of(np.array([600.0, 560, 440, 400]), 0.0)
    found = distance(old, new)
    chances = [found.chance(bound) for bound in (0.0, 0.01, 0.05, 0.2)]
    assert chances == sorted(chances) and chances[0] < 1e-5 and chances[-1] > 0.99


@pytest.mark.parametrize("rows", [100, 10_000, 10_000_000])
@pytest.mark.parametrize("bound", [0.0, 0.02, 0.1, 1.0])
def test_chances_of_any_size_are_chances(rows, bound):
    """Also where nothing moved, or everything did: distributions of large numbers overflow."""
    old = Histogram.of(rows * np.array([0.2, 0.2, 0.3, 0.3]), 0.0)
    far = Histogram.of(rows * np.array([0.7, 0.1, 0.1, 0.1]), 0.0)
    assert distance(old, old).chance(bound) >= 0.5
    assert 0 <= distance(old, far).chance(bound) <= 0.5 and (
        bound == 1.0 or distance(old, far).chance(bound) < 0.01
    )


@pytest.mark.parametrize("centre", [1e3, 1e8, 1e9, 1e11, 1e13, 1e16, 1e20])
def test_tails_are_right_where_exact_series_lose_their_digits(centre):
    """Nearly normal, a little above it on the right; series gave a third of it at 1e12 and nothing at 1e20."""
    ends = [centre + 3 + z * np.sqrt(2 * (3 + 2 * centre)) for z in (-2, 0, 2, 4)]
    found = [_upper_tail(at, 3.0, centre) / ndtr(-z) for at, z in zip(ends, (-2, 0, 2, 4), strict=True)]
    assert min(found) > 0.98 and max(found) < (1.01 if centre > 1e6 else 4.0)


def test_noise_leaves_nothing_of_the_same_distribution():
    rng = np.random.default_rng(2)
    p = np.full(8, 1 / 8)
    found = [
        stability(*(Histogram.of(c, 144.0) for c in rng.multinomial(4000, p) + rng.normal(0, 12, (2, 8))))
        for _ in range(60)
    ]
    assert np.mean([f.index for f in found]) < 0.01
    # At .025 by chance; 7 or more of 60 would be in 1 of 600 such tests.
    assert sum(f.low > 0 for f in found) < 7
    assert (
        stability(Histogram.of(np.array([3.0, -4.0]), 100.0), Histogram.of(np.array([50.0, 50]), 0.0)) is None
    )


def months(rng, loans, edges, *, stay=0.97, left=0.03):
    """Bins of the same loans in two months of a quiet year, and their moves."""
    x = rng.normal(size=loans)
    y = stay * x + np.sqrt(1 - stay**2) * rng.normal(size=loans)
    new = rng.random(loans) < left
    y[new] = rng.normal(size=new.sum())
    a, b = np.searchsorted(edges, x), np.searchsorted(edges, y)
    bins = len(edges) + 1
    moves = np.zeros((bins, bins))
    np.add.at(moves, (a[~new], b[~new]), 1)
    old, now = Histogram.of(counts(a, bins), 0.0), Histogram.of(counts(b, bins), 0.0)
    return old, now, Overlap(counts=moves)


@pytest.mark.parametrize("pairs", [200, pytest.param(3000, marks=pytest.mark.long)])
def test_loans_that_are_scored_again_raise_false_alarms_at_the_stated_rate(pairs):
    """Without their moves nearly none are raised: such a test finds less than it could."""
    rng, edges = np.random.default_rng(4), np.array([-1.0, -0.3, 0.4, 1.2])
    paired = alone = 0
    for _ in range(pairs):
        old, now, moves = months(rng, 800, edges)
        paired += distance(old, now, overlap=moves).chance(0.0) <= 0.05
        alone += distance(old, now).chance(0.0) <= 0.05
    # Three deviations of the rate to either side.
    assert abs(paired / pairs - 0.05) <= 3 * np.sqrt(0.05 * 0.95 / pairs)
    assert alone <= paired / 4
