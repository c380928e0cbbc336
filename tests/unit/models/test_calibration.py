"""The copula sample has the moments it was asked for, and the intercept hits the rate."""

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.errors import ConfigError
from fedrisk.models.calibration import calibrated_intercept, class_scores


def features(count: int = 8, size: int = 5) -> tuple[list, list, list]:
    rng = np.random.default_rng(3)
    value = [np.sort(rng.normal(0, 0.4, size)) for _ in range(count)]
    weight = [rng.dirichlet(np.ones(size) * 5) for _ in range(count)]
    tilted = [w * np.exp(v) for w, v in zip(weight, value, strict=True)]
    return value, [t / t.sum() for t in tilted], weight


def test_sample_is_centred_with_the_spread_asked_for_and_defaults_score_higher():
    value, positive, negative = features()
    rate = 0.2
    for sd in (0.9, 1.3, 1.8):
        ones, zeros = class_scores(value, positive, negative, rate, sd)
        mean = rate * ones.mean() + (1 - rate) * zeros.mean()
        square = rate * np.square(ones).mean() + (1 - rate) * np.square(zeros).mean()
        assert mean == pytest.approx(0, abs=1e-9)
        assert np.sqrt(square) == pytest.approx(sd, rel=1e-9)
        assert ones.mean() > zeros.mean()


def test_gap_between_the_classes_follows_from_the_counts():
    value, positive, negative = features()
    gap = sum(float(p @ v - n @ v) for v, p, n in zip(value, positive, negative, strict=True))
    ones, zeros = class_scores(value, positive, negative, 0.2, 1.6)
    assert ones.mean() - zeros.mean() == pytest.approx(gap, rel=0.1)


def test_intercept_hits_the_rate():
    rng = np.random.default_rng(0)
    ones, zeros = rng.normal(1, 1, 1000), rng.normal(-0.25, 1, 1000)
    a = calibrated_intercept(0.07, ones, zeros)
    assert 0.07 * expit(a + ones).mean() + 0.93 * expit(a + zeros).mean() == pytest.approx(0.07)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_rate_out_of_range_is_refused(rate):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        calibrated_intercept(rate, np.zeros(3), np.zeros(3))
