"""Smoothing: the mode is the mode, and it denoises."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from fedrisk.models.smoothing import (
    AGAINST,
    LEVEL,
    MISSING_SPREAD,
    SHARES,
    STEPS,
    prior_precision,
    residuals,
    shared_beliefs,
    shift_modes,
    smooth_log_odds,
    step_belief,
)


@pytest.mark.parametrize(("ordered", "missing"), [(8, False), (7, True), (0, False), (0, True)])
def test_curve_is_the_posterior_mode(ordered, missing):
    rng = np.random.default_rng(ordered + missing)
    n = rng.integers(200, 900, 8).astype(float)
    n1 = np.rint(n * np.linspace(0.05, 0.4, 8)) + rng.normal(0, 15, 8)
    n0 = n - n1 + rng.normal(0, 15, 8)
    got = smooth_log_odds(n1, n0, 225.0, 0.2, ordered=ordered, apart=missing, steps=(0.3,))
    prior = prior_precision(8, ordered, 0.3, missing)
    spread = residuals(n1, n0, 225.0, 0.2, got.shift)[1]  # variances as at the solution

    def loss(f):
        r = n1 - np.maximum(n1 + n0, 1.0) * 0.2 * np.exp(f)
        return 0.5 * (r**2 / spread).sum() + 0.5 * f @ prior @ f

    best = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-9})
    assert np.allclose(got.shift, best.x, atol=1e-5)


def test_without_noise_and_much_data_the_curve_is_the_log_relative_risk():
    n1, n0 = np.array([1e6, 2e6, 4e6]), np.array([9e6, 8e6, 6e6])
    got = smooth_log_odds(n1, n0, 0.0, 7 / 30, ordered=3)
    assert np.allclose(got.shift, np.log(np.array([0.1, 0.2, 0.4]) * 30 / 7), atol=1e-3)


def test_evidence_picks_small_steps_for_flat_and_large_for_steep_curves():
    n = np.full(12, 2000.0)
    flat = smooth_log_odds(n * 0.1, n * 0.9, 400.0, 0.1, ordered=12)
    rate = np.tile([0.02, 0.2], 6)
    rough = smooth_log_odds(n * rate, n * (1 - rate), 400.0, 0.11, ordered=12)
    assert flat.tau < 0.1
    assert rough.tau >= 0.8


def test_denoises():
    """Squared error against the truth, smoothed against raw; 200 repetitions, ratio under one half."""
    rng = np.random.default_rng(5)
    truth = 0.1 * np.exp(np.linspace(-0.8, 0.8, 16))
    n, noise, raw, smooth = np.full(16, 600.0), 20.0, 0.0, 0.0
    for _ in range(200):
        n1 = rng.binomial(600, truth) + rng.normal(0, noise, 16)
        n0 = n - n1 + rng.normal(0, noise, 16)
        f = smooth_log_odds(n1, n0, noise**2, 0.1, ordered=16).shift
        target = np.log(truth / 0.1)
        smooth += ((f - target) ** 2).sum()
        raw += ((np.log(np.maximum(n1, 5) / (n1 + n0) / 0.1) - target) ** 2).sum()
    assert smooth < 0.5 * raw


def test_empty_and_negative_bins_stay_finite_and_near_their_neighbours():
    got = smooth_log_odds(
        np.array([-40.0, 60, 0, 55]), np.array([-30.0, 500, 0, 520]), 900.0, 0.1, ordered=3, apart=1
    )
    assert np.isfinite(got.shift).all()
    assert np.abs(got.shift).max() < 1.0


def test_special_codes_and_missing_have_levels_of_their_own():
    """Neither neighbours of ordered bins nor of one another, each with the same fixed spread whatever tau is."""
    for tau in (0.1, 1.0):
        got = prior_precision(6, 3, tau, apart=3)
        assert np.allclose(got[3:, 3:], np.eye(3) * (LEVEL + 1 / MISSING_SPREAD**2))
        assert not got[:3, 3:].any()
    with_other = prior_precision(5, 0, 0.5, apart=2)  # two categories and "other", then two apart
    assert np.allclose(np.diag(with_other)[:3], LEVEL + 4)
    assert np.allclose(np.diag(with_other)[3:], LEVEL + 1 / MISSING_SPREAD**2)


def test_a_special_code_does_not_move_its_neighbours():
    n = np.full(6, 5000.0)
    rate = np.array([0.05, 0.06, 0.07, 0.08, 0.4, 0.02])
    with_codes = smooth_log_odds(n * rate, n * (1 - rate), 400.0, 0.1, ordered=4, apart=2, steps=(0.2,)).shift
    alone = smooth_log_odds((n * rate)[:4], (n * (1 - rate))[:4], 400.0, 0.1, ordered=4, steps=(0.2,)).shift
    assert np.allclose(with_codes[:4], alone, atol=1e-8)
    assert with_codes[4] > 1 > 0 > -1 > with_codes[5]


def test_with_a_direction_the_curve_is_the_mode_of_a_skew_prior():
    """The prior of each step times Phi(AGAINST step / tau), here against the noisy counts."""
    rng = np.random.default_rng(4)
    n = rng.integers(200, 900, 8).astype(float)
    n1 = np.rint(n * np.linspace(0.05, 0.3, 8)) + rng.normal(0, 30, 8)
    n0 = n - n1 + rng.normal(0, 30, 8)
    for way in (1, -1):
        got = smooth_log_odds(n1, n0, 900.0, 0.2, ordered=7, apart=1, direction=way, steps=(0.3,))
        prior = prior_precision(8, 7, 0.3, apart=1)
        spread = residuals(n1, n0, 900.0, 0.2, got.shift)[1]

        def loss(f, way=way, prior=prior, spread=spread):
            r = n1 - np.maximum(n1 + n0, 1.0) * 0.2 * np.exp(f)
            leaning = norm.logcdf(way * AGAINST * np.diff(f[:7]) / 0.3).sum()
            return 0.5 * (r**2 / spread).sum() + 0.5 * f @ prior @ f - leaning

        best = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-9})
        assert np.allclose(got.shift, best.x, atol=1e-5)


def test_a_direction_straightens_noise_and_lets_a_clear_turn_be():
    n = np.full(8, 3000.0)
    wiggly = 0.1 + 0.01 * np.arange(8) + 0.012 * np.tile([1, -1], 4)  # falls by .014, one error of about .02
    noisy = smooth_log_odds(n * wiggly, n * (1 - wiggly), 3600.0, 0.135, ordered=8, direction=1, steps=(0.4,))
    free = smooth_log_odds(n * wiggly, n * (1 - wiggly), 3600.0, 0.135, ordered=8, steps=(0.4,))
    assert np.maximum(-np.diff(noisy.shift), 0).sum() < 0.25 * np.maximum(-np.diff(free.shift), 0).sum()
    turning = np.array([0.05, 0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.05])
    found = smooth_log_odds(100 * n * turning, 100 * n * (1 - turning), 100.0, 0.1625, ordered=8, direction=1)
    assert np.allclose(found.shift, np.log(turning / 0.1625), atol=0.02)


def test_without_counts_a_direction_leans_and_nothing_is_certain_of_the_mirror():
    zero = np.zeros(5)
    up, down = (smooth_log_odds(zero, zero, 1e6, 0.1, ordered=5, direction=d).shift for d in (1, -1))
    assert (np.diff(up) > 0).all()
    assert np.allclose(up, -down, atol=1e-6)


@pytest.mark.parametrize("direction", [0, 1])
def test_the_covariance_is_how_the_curve_varies(direction):
    """400 repetitions with one step: the standard deviation of each bin, stated against found, within 15 %.

    Rates are low: at high ones the variance of a residual is an upper bound, and so is the error.
    """
    rng = np.random.default_rng(6)
    truth = 0.01 * np.exp(np.linspace(-0.8, 0.8, 8))
    found = []
    for _ in range(400):
        n1 = rng.poisson(20_000 * truth) + rng.normal(0, 20, 8)
        n0 = rng.poisson(20_000 * (1 - truth)) + rng.normal(0, 20, 8)
        found.append(smooth_log_odds(n1, n0, 400.0, 0.01, ordered=8, direction=direction, steps=(0.2,)))
    got = np.std([f.shift for f in found], axis=0)
    stated = np.sqrt(np.mean([np.diag(f.covariance) for f in found], axis=0))
    assert np.abs(stated / got - 1).max() < 0.15


def counts_of(shift, n, rate, rng, sd):
    n1 = n * rate * np.exp(shift) + rng.normal(0, sd, len(shift))
    return n1, n - n1 + rng.normal(0, sd, len(shift))


def test_with_an_unknown_curve_there_is_one_share_and_the_modes_are_as_ever():
    n1, n0 = np.array([10.0, 30, 60]), np.array([990.0, 970, 940])
    modes = shift_modes(n1, n0, 25.0, 0.033, ordered=3)
    assert np.array_equal(modes.tau, STEPS) and not modes.share.any()
    np.testing.assert_allclose(modes.likeliest().shift, smooth_log_odds(n1, n0, 25.0, 0.033, ordered=3).shift)


def test_where_counts_are_all_noise_the_curve_is_the_mean_share_of_the_known_one():
    known = np.array([-0.5, 0.0, 0.5])
    modes = shift_modes(np.zeros(3), np.zeros(3), 1e8, 0.1, ordered=3, known=known)
    np.testing.assert_allclose(
        modes.averaged(np.zeros(len(modes.tau))).shift, np.mean(SHARES) * known, atol=0.01
    )


def test_a_known_curve_helps_and_one_of_the_wrong_sign_is_seen_as_such():
    """Squared error over 4 draws of 12 features: known below half of unknown; half turned round, still below it."""
    rng = np.random.default_rng(7)
    truth = np.linspace(-0.6, 0.6, 8)
    n, rate, sd = np.full(8, 2500.0), 0.06, 60.0
    errors = {"none": 0.0, "known": 0.0, "half": 0.0}
    for _ in range(4):
        drawn = [counts_of(truth, n, rate, rng, sd) for _ in range(12)]
        sign = {"known": np.ones(12), "half": np.r_[np.ones(6), -np.ones(6)]}
        for name in errors:
            if name == "none":
                shifts = [smooth_log_odds(*c, sd**2, rate, ordered=8).shift for c in drawn]
            else:
                modes = [
                    shift_modes(*c, sd**2, rate, ordered=8, known=s * truth)
                    for c, s in zip(drawn, sign[name], strict=True)
                ]
                shifts = [m.averaged(b).shift for m, b in zip(modes, shared_beliefs(modes), strict=True)]
            errors[name] += sum(float(((f - f.mean() - truth) ** 2).sum()) for f in shifts)
    assert errors["known"] < 0.5 * errors["none"]
    assert errors["half"] < errors["none"]


def test_shares_that_are_frequent_in_others_are_likelier_in_each():
    rng = np.random.default_rng(3)
    known = np.linspace(-1, 1, 6)
    modes = [
        shift_modes(*counts_of(known, np.full(6, 5000.0), 0.1, rng, 20.0), 400.0, 0.1, ordered=6, known=known)
        for _ in range(9)
    ]
    belief = shared_beliefs(modes)[0]
    by_share = {s: belief[modes[0].share == s].max() for s in (-1.0, 0.0, 1.0)}
    assert by_share[1.0] > by_share[0.0] + 1 and by_share[1.0] > by_share[-1.0] + 1
    assert shared_beliefs([]) == []


def test_freedom_of_a_mean_counts_that_the_share_was_chosen():
    known = np.linspace(-1, 1, 6)
    counts = counts_of(0.5 * known, np.full(6, 1000.0), 0.1, np.random.default_rng(1), 15.0)
    modes = shift_modes(*counts, 225.0, 0.1, ordered=6, known=known)
    one = replace(modes, evidence=np.where(modes.share == 0.5, modes.evidence, -1e9))
    assert modes.averaged(np.zeros(len(modes.tau))).freedom > one.averaged(np.zeros(len(modes.tau))).freedom


def test_a_declared_strength_makes_curves_of_its_size_likelier():
    """A strong feature whose counts say little is steeper than a weak one with the same counts."""
    n1, n0 = np.array([95.0, 120, 140, 165]), np.full(4, 2000.0)
    weak, none, strong = (
        np.ptp(smooth_log_odds(n1, n0, 900.0, 0.06, ordered=4, direction=1, strength=s).shift)
        for s in ("weak", None, "strong")
    )
    assert weak < strong and none <= strong
    assert not step_belief(None, 4, 4, 1, STEPS).any()
    # A step of 1 between two categories, and a declared deviation of .42: the belief peaks at .4.
    assert STEPS[int(np.argmax(step_belief("medium", 0, 3, 0, STEPS)))] == 0.4
