"""The scale of an operating health index: hand cases, order, and how far its stated error holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from fedrisk.errors import ConfigError
from fedrisk.models.index_scale import IndexScale, index_scale

EDGES = np.linspace(-3, 3, 13)


def test_hand_case():
    """400 enterprises, 100 in each bin: the edges are the quarters, and between them it goes on like a normal curve."""
    scale = index_scale([500.0, 520.0, 540.0], [100.0] * 4, variance=0.0)
    # Half an enterprise more at each end: (100 + 0.5) / 401.
    assert scale.shares == pytest.approx((100.5 / 401, 200.5 / 401, 300.5 / 401))
    assert scale.rows == 400 and scale.index([520, 500, 540]).tolist() == [50, 25, 75]
    assert scale.share(510.0) == pytest.approx(ndtr((ndtri(100.5 / 401) + ndtri(0.5)) / 2))
    # The draw of 400 enterprises alone: 1.96 sqrt(.25 / 400) is 4.9 of 100.
    assert scale.error == pytest.approx(4.9, abs=0.01)
    assert scale.index([-1e6, 1e6]).tolist() == [0, 100]


def test_noise_is_in_the_error_that_is_stated():
    quiet = index_scale([0.0, 1.0], [500.0, 500.0, 500.0], variance=0.0)
    noisy = index_scale([0.0, 1.0], [500.0, 500.0, 500.0], variance=400.0)
    # One bin below, two above the lower edge: var (1 (2/3)^2 + 2 (1/3)^2) / n^2, and the draw.
    spread = 400 * (4 / 9 + 2 / 9) / 1500**2 + (2 / 9) / 1500
    assert noisy.error == pytest.approx(196 * np.sqrt(spread), abs=0.01) and noisy.error > quiet.error


def test_a_histogram_of_noise_alone_makes_no_scale():
    with pytest.raises(ConfigError, match="more noise than enterprises"):
        index_scale([0.0, 1.0], [10.0, -3.0, 8.0], variance=100.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-50, 1000), min_size=3, max_size=30).filter(lambda c: sum(c) > 200),
    st.lists(st.floats(-2000, 2000), min_size=2, max_size=20),
)
def test_a_higher_score_never_has_a_lower_index(counts, scores):
    scale = index_scale(np.arange(len(counts) - 1.0), counts, variance=4.0)
    index = scale.index(sorted(scores))
    assert (np.diff(index) >= 0).all() and index.min() >= 0 and index.max() <= 100
    assert IndexScale.model_validate_json(scale.model_dump_json()) == scale


def test_the_index_is_the_percentile_of_the_population_within_its_error():
    """Normal scores of 20,000 enterprises with noise of sd 20: at no edge off by more than the stated error.

    40 histograms at 95 % for the worst edge; more than 6 misses have a chance below 2 %.
    """
    rng, misses = np.random.default_rng(3), 0
    for _ in range(40):
        counts = np.histogram(rng.normal(size=20_000), np.r_[-np.inf, EDGES, np.inf])[0]
        scale = index_scale(EDGES, counts + rng.normal(0, 20, len(counts)), variance=400.0)
        worst = 100 * abs(np.array(scale.shares) - ndtr(EDGES))[4:9].max()
        misses += worst > scale.error
    assert misses <= 6


def test_between_edges_a_normal_population_is_met():
    counts = 1e6 * np.diff(ndtr(np.r_[-np.inf, EDGES, np.inf]))
    x = np.linspace(-2.8, 2.8, 200)
    assert np.abs(index_scale(EDGES, counts, 0.0).share(x) - ndtr(x)).max() < 1e-4
