"""AUC, KS and whether they fell: against other code, and by hand."""

import numpy as np
import pytest

from fedrisk import metrics
from fedrisk.analysis import curves
from fedrisk.analysis.curves import area as area_of_curves
from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.validation.discrimination import area, distance, fallen
from fedrisk.metrics import Measured
from fedrisk.models.comparison import auc_covariance


def binned(n1, n0, p, variance):
    edge = np.arange(len(p), dtype=float)
    return ScoreCounts(
        positives=np.asarray(n1, float),
        negatives=np.asarray(n0, float),
        variance=variance,
        low=edge,
        high=edge + 1,
        axis="risk",
        probability=np.asarray(p, float),
    )


def test_the_area_of_rows_is_delongs():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(400), 2).clip(0.01, 0.99)
    label = (rng.random(400) < p).astype(float)
    counts = counts_of_rows(label, p, axis="probability")
    found = area(counts)
    expected, cover = auc_covariance(label, {"a": p})
    assert found.value == pytest.approx(expected[0]) and found.error == pytest.approx(cover[0, 0] ** 0.5)
    assert found.noise == 0 and area_of_curves(counts).value == pytest.approx(found.value)


def test_the_noise_of_an_area_and_a_distance_is_its_spread():
    """By 700 draws of noise; a standard deviation of so many is known to 2.7 %."""
    n1, n0, p, v = np.array([20.0, 60, 120]), np.array([900.0, 500, 200]), np.array([0.02, 0.1, 0.4]), 30.0
    rng = np.random.default_rng(0)
    draws = [[], []]
    for _ in range(700):
        counts = binned(*(x + rng.normal(0, v**0.5, 3) for x in (n1, n0)), p, v)
        for found, measure in zip(draws, (area, distance), strict=True):
            found.append(measure(counts).value)
    for found, measure in zip(draws, (area, distance), strict=True):
        stated = measure(binned(n1, n0, p, v))
        assert np.std(found) == pytest.approx(stated.noise, rel=0.12)
        assert np.mean(found) == pytest.approx(stated.value, abs=0.01)


def test_distance_by_hand():
    found = distance(binned([1, 3, 6], [60, 30, 10], [0.02, 0.1, 0.4], 0.0))
    assert found.value == pytest.approx(0.6 - 0.1)
    assert found.sampling == pytest.approx((0.1 * 0.9 / 10 + 0.6 * 0.4 / 100) ** 0.5)


def test_a_fall_is_one_sided():
    high, low = Measured(value=0.8, sampling=0.01, noise=0.0), Measured(value=0.75, sampling=0.0, noise=0.01)
    assert fallen(high, low).p == pytest.approx(0.0002, abs=5e-5)
    assert fallen(low, high).p > 0.999
    assert high.interval(0.95) == pytest.approx((0.7804, 0.8196), abs=1e-4)


def test_too_little_says_nothing():
    assert area(binned([1, 0, 0], [5, 5, 5], [0.1, 0.2, 0.3], 0.0)) is None
    assert distance(binned([9, 9, 9], [90, 90, 90], [0.1, 0.2, 0.3], 900.0)) is None


@pytest.mark.parametrize("variance", [0.0, 30.0])
def test_one_figure_has_one_value_on_every_page(variance):
    """Validation, curves of pages, and what the hub writes into its results."""
    counts = binned([-4, 60, 120], [900, 500, 200], [0.02, 0.1, 0.4], variance)
    hub = metrics.from_histogram(
        counts.positives, counts.negatives, counts.probability, variance=counts.variance
    )
    assert area(counts).value == curves.roc(counts).auc.value == pytest.approx(hub.auc)
    assert distance(counts).value == curves.ks(counts).value.value == pytest.approx(hub.ks)
    told = curves.ks(counts).value
    assert distance(counts).interval(0.95) == pytest.approx((told.low, told.high))
