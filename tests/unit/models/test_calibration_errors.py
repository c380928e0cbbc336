"""Errors of a calibration are the spread of calibrations, by noise and by sampling apart."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.models.calibration import ScoreCounts, fit_calibration
from fedrisk.models.calibration_errors import calibration_errors

MIDDLES = np.linspace(-6.0, 1.0, 12)
SIZE = np.array([300, 900, 2000, 3500, 5000, 5500, 4500, 3000, 1600, 800, 300, 100])
AT = np.array([-5.0, -3.0, -1.0])
FITS = 60


def spread(rng, *, variance, sampling):
    """Log-odds at AT of many calibrations of counts that vary by sampling, by noise, or both."""
    p = expit(-0.2 + 0.8 * MIDDLES)
    found = []
    for _ in range(FITS):
        n1 = rng.binomial(SIZE, p) if sampling else SIZE * p
        noisy = [x + rng.normal(0, variance**0.5, 12) for x in (n1, SIZE - n1)]
        error = 1e-3 if variance else 1e-9
        rate = n1.sum() / SIZE.sum() + rng.normal(0, error)
        rows = ScoreCounts(
            positives=noisy[0],
            negatives=noisy[1],
            variance=300.0,
            middles=MIDDLES,
            rate=rate,
            rate_error=1e-3,
        )
        fitted = fit_calibration(rows, -2.0)
        if fitted.straight:
            found.append(fitted.log_odds(AT))
    expected = ScoreCounts(
        positives=SIZE * p,
        negatives=SIZE * (1 - p),
        variance=300.0,
        middles=MIDDLES,
        rate=float(SIZE @ p / SIZE.sum()),
        rate_error=1e-3,
    )
    return np.std(found, axis=0), calibration_errors(expected, fit_calibration(expected, -2.0))


def test_errors_are_the_spread_by_sampling_and_by_noise():
    """A standard deviation of 60 draws is known to 9 %; those with a bend are left out, which narrows a little."""
    rng = np.random.default_rng(0)
    by_sampling, errors = spread(rng, variance=0.0, sampling=True)
    by_noise, _ = spread(rng, variance=300.0, sampling=False)
    sampling, noise = errors.of(AT)
    assert by_sampling == pytest.approx(sampling, rel=0.35)
    assert by_noise == pytest.approx(noise, rel=0.35)


def test_without_noise_no_error_is_by_noise():
    p = expit(MIDDLES)
    rows = ScoreCounts(
        positives=SIZE * p,
        negatives=SIZE * (1 - p),
        variance=0.0,
        middles=MIDDLES,
        rate=float(SIZE @ p / SIZE.sum()),
        rate_error=0.0,
    )
    fitted = fit_calibration(rows, -2.0)
    assert calibration_errors(rows, fitted).of(AT)[1] == pytest.approx(0, abs=1e-9)
    bent = replace(fitted, bend=0.1)
    assert calibration_errors(rows, bent).sampling.shape == (3, 3)
