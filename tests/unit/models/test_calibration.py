"""Calibration: the sample's moments, logistic fits by hand, and fits to histograms of known truth and of noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtri

from fedrisk.errors import ConfigError
from fedrisk.models.calibration import (
    LEAST_SLOPE,
    ROUNDS,
    Calibration,
    ScoreCounts,
    class_scores,
    curve,
    fit_calibration,
    logistic_fit,
)


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


# --- the first calibration: a logistic regression on two samples ---------------------------------------------


@pytest.mark.parametrize(
    ("rate", "among_ones", "among_zeros"), [(0.1, 0.75, 0.25), (0.5, 0.6, 0.5), (0.02, 0.9, 0.1)]
)
def test_a_logistic_fit_of_two_values_by_hand(rate, among_ones, among_zeros):
    """Scores are 1 or -1; the odds of default at each value are those of the counts, and the line meets both."""
    ones = np.where(np.arange(100) < 100 * among_ones, 1.0, -1.0)
    zeros = np.where(np.arange(100) < 100 * among_zeros, 1.0, -1.0)
    up = math.log(rate * among_ones / ((1 - rate) * among_zeros))
    down = math.log(rate * (1 - among_ones) / ((1 - rate) * (1 - among_zeros)))
    assert logistic_fit(rate, ones, zeros) == pytest.approx(((up + down) / 2, (up - down) / 2), abs=1e-6)


def test_wide_scores_of_a_strong_label_have_a_slope_too():
    """Whole steps of Newton's method go to and fro there."""
    normal = ndtri((np.arange(100) + 0.5) / 100)
    for size in (0.5, 1.0, 2.0):
        intercept, slope = logistic_fit(0.05, size * (10 + 2 * normal), size * 2 * normal)
        assert (intercept, slope * size) == pytest.approx((-31.648, 5.6592), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.005, 0.6), st.floats(0.2, 2.0), st.floats(0.1, 4.0))
def test_of_two_normal_classes_of_one_spread_the_slope_is_gap_over_variance(rate, gap, spread):
    quantiles = np.sort(np.random.default_rng(1).normal(size=20_000))
    quantiles = (quantiles - quantiles[::-1]) / 2
    quantiles /= quantiles.std()
    gap = gap * spread
    intercept, slope = logistic_fit(rate, gap / 2 + spread * quantiles, -gap / 2 + spread * quantiles)
    assert slope == pytest.approx(gap / spread**2, rel=0.06)
    # Half-way between the classes the odds are those of the rate.
    assert intercept == pytest.approx(math.log(rate / (1 - rate)), abs=0.15)


def test_a_logistic_fit_settles_where_scores_are_far_from_zero():
    """Many deviations away: the same line as about zero, moved."""
    rng = np.random.default_rng(4)
    ones, zeros = rng.normal(0.25, 0.5, 60), rng.normal(0.0, 0.5, 6000)
    intercept, slope = logistic_fit(0.01, ones, zeros)
    assert logistic_fit(0.01, ones - 8, zeros - 8) == pytest.approx((intercept + 8 * slope, slope), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.7), st.floats(0.3, 3.0), st.floats(-1.0, 1.0))
def test_the_mean_of_a_logistic_fit_is_the_rate_on_any_scale(seed, rate, scale, shift):
    rng = np.random.default_rng(seed)
    ones, zeros = ((x + shift) * scale for x in (rng.gamma(2.0, size=500) - 1, rng.normal(0, 1, 700)))
    a, b = logistic_fit(rate, ones, zeros)
    assert rate * expit(a + b * ones).mean() + (1 - rate) * expit(a + b * zeros).mean() == pytest.approx(
        rate, rel=1e-4
    )
    c, d = logistic_fit(rate, 2 * ones, 2 * zeros)
    assert (c, d) == pytest.approx((a, b / 2), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, -0.5, 2.0])
def test_a_logistic_fit_needs_a_rate(rate):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        logistic_fit(rate, np.ones(2), np.zeros(2))


# --- the form of a calibration -------------------------------------------------------------------------------


def test_a_calibration_by_hand():
    """At the centre the level; far in the safe tail the slope .5, far in the risky tail .5 + .7."""
    bent = Calibration(centre=-1.0, level=-2.0, slope=0.5, bend=0.7, line=(-2.0, 0.9))
    assert curve(np.array([-1.0]), -1.0).tolist() == [[0.0, 0.0]]
    assert bent.log_odds(np.array([-1.0])).tolist() == [-2.0]
    steps = np.diff(bent.log_odds(np.array([-41.0, -40.0, 40.0, 41.0])))
    assert steps[[0, 2]].tolist() == pytest.approx([0.5, 1.2])
    assert bent.log_odds(np.array([0.0])).tolist() == pytest.approx(
        [-1.5 + 0.7 * (math.log1p(math.e) - math.log(2))]
    )
    assert bent.log_odds(np.zeros((3, 2))).shape == (3, 2)
    assert not bent.straight
    assert Calibration(0.0, 0.0, 1.0, 0.0, (0.0, 1.0)).straight


# --- fits to histograms --------------------------------------------------------------------------------------

CENTRE = -2.0
EDGES = np.linspace(-7.0, 3.0, 81)
MIDDLES = (EDGES[:-1] + EDGES[1:]) / 2


def fitted(positives, negatives, variance=0.0, middles=MIDDLES, centre=CENTRE):
    """The calibration of a histogram; nothing else says what the rate is."""
    rows = ScoreCounts(positives, negatives, variance, middles, rate=0.1, rate_error=1.0)
    return fit_calibration(rows, centre)


def histogram(truth, rows=1e6, mean=-2.5, sd=1.2):
    """Expected counts of defaults and others where stated log-odds are normal and ``truth`` makes them true ones."""
    count = np.exp(-0.5 * ((MIDDLES - mean) / sd) ** 2)
    count *= rows / count.sum()
    p = expit(truth(MIDDLES))
    return count * p, count * (1 - p)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.4, 1.6), st.floats(-1.0, 1.0))
def test_a_straight_truth_is_recovered(slope, shift):
    found = fitted(*histogram(lambda x: CENTRE + shift + slope * (x - CENTRE)))
    assert found.straight
    assert (found.level, found.slope) == pytest.approx((CENTRE + shift, slope), abs=0.02)
    assert found.line == (found.level, found.slope)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.4, 1.3), st.floats(0.3, 0.7), st.sampled_from([-1, 1]), st.floats(-0.5, 0.5))
def test_a_truth_of_two_slopes_is_recovered(slope, bend, sign, shift):
    slope += bend * (sign < 0)  # both tails rise
    truth = Calibration(CENTRE, CENTRE + shift, slope, sign * bend, (0.0, 1.0))
    found = fitted(*histogram(truth.log_odds))
    assert not found.straight
    assert (found.level, found.slope, found.bend) == pytest.approx(
        (truth.level, truth.slope, truth.bend), abs=0.05
    )
    middle = np.linspace(-5.0, 1.0, 13)
    assert np.abs(found.log_odds(middle) - truth.log_odds(middle)).max() < 0.05


def test_sampled_rows_with_noise_give_the_line_within_its_error():
    """200 draws of 20,000 rows with noise 15 a count: mean slope and level within .02, 4 of their errors at most."""
    rng = np.random.default_rng(5)
    p1, p0 = histogram(lambda x: CENTRE + 0.3 + 0.7 * (x - CENTRE), rows=20_000)
    made = [
        fitted(rng.poisson(p1) + rng.normal(0, 15, 80), rng.poisson(p0) + rng.normal(0, 15, 80), 225.0).line
        for _ in range(200)
    ]
    level, slope = np.mean(made, 0)
    assert (level, slope) == pytest.approx((CENTRE + 0.3, 0.7), abs=0.03)
    assert np.std([m[1] for m in made]) < 0.1


def test_noise_alone_leaves_the_prior():
    """150 histograms of nothing but noise: slopes stay about 1 and bends about 0, within two of the prior's errors."""
    rng = np.random.default_rng(6)
    middles = np.linspace(-5.0, 1.0, 12)
    made = [fitted(*rng.normal(0, 300, (2, 12)), 300.0**2, middles) for _ in range(150)]
    slopes = np.array([m.line[1] for m in made])
    # Four standard errors of the median of 150, at the prior's deviation of a half.
    assert np.median(slopes) == pytest.approx(1.0, abs=0.2)
    assert (np.abs(slopes - 1) < 1.0).mean() > 0.95
    assert np.mean([abs(m.bend) < 1.4 for m in made]) > 0.95
    assert np.abs([m.line[0] - CENTRE for m in made]).max() < 6.0


def test_no_rows_at_all_leave_the_card_as_it_is():
    found = fitted(np.zeros(12), np.zeros(12), 100.0, np.linspace(-5.0, 1.0, 12))
    assert found.straight
    assert found.line == pytest.approx((CENTRE, 1.0), abs=0.05)


COUNTS = st.lists(st.floats(-1e5, 1e5), min_size=12, max_size=12).map(np.array)


@settings(max_examples=100, deadline=None)
@given(COUNTS, COUNTS, st.floats(0.0, 1e6), st.floats(-6.0, 2.0))
def test_a_higher_risk_never_gets_a_lower_probability(positives, negatives, variance, centre):
    """Whatever the counts are: finite numbers, and both tails rise."""
    found = fitted(positives, negatives, variance, np.linspace(-5.0, 1.0, 12), centre)
    assert min(found.slope, found.slope + found.bend, found.line[1]) >= LEAST_SLOPE
    assert (np.diff(found.log_odds(np.linspace(-20, 20, 81))) > 0).all()
    assert np.isfinite([found.level, *found.line]).all()


def test_without_noise_the_mean_probability_is_the_rate_of_the_histogram():
    """Also where no line fits: a truth with a step in it."""
    n1, n0 = histogram(lambda x: np.where(x < -2, -4.0, -1.0))
    found = fitted(n1, n0)
    assert (n1 + n0) @ expit(found.log_odds(MIDDLES)) == pytest.approx(n1.sum(), rel=0.01)


@pytest.mark.parametrize("bad", ["shape", "infinite", "nan"])
def test_counts_that_are_none_are_refused(bad):
    n1, n0 = np.ones(12), np.ones(12 - (bad == "shape"))
    n1[3] = {"shape": 1.0, "infinite": np.inf, "nan": np.nan}[bad]
    with pytest.raises(ConfigError, match="finite"):
        fitted(n1, n0, 1.0, np.linspace(-5.0, 1.0, 12))


# --- what else is released -----------------------------------------------------------------------------------


def test_a_bins_log_odds_are_of_its_mean_probability_by_hand():
    """Bins of width 2 about -3, -1 and 1, evenly filled: the mean of a probability over a bin, by its integral."""
    even = ScoreCounts(np.full(3, 50.0), np.full(3, 50.0), 0.0, np.array([-3.0, -1.0, 1.0]), 0.1, 0.0)

    def mean(low, high):
        p = (np.logaddexp(0, high) - np.logaddexp(0, low)) / (high - low)
        return math.log(p / (1 - p))

    assert even.stated().tolist() == pytest.approx([mean(-4, -2), mean(-2, 0), mean(0, 2)], abs=0.02)
    # Twice as many on the side of safety: rows of the middle bin lie further there.
    falling = ScoreCounts(np.array([400.0, 200, 100]), np.zeros(3), 0.0, even.middles, 0.1, 0.0)
    moved = falling.stated() - even.stated()
    assert moved[1] == pytest.approx(-math.log(2) / 6, abs=0.03) and moved[[0, 2]].tolist() == [0.0, 0.0]
    # Noise of hundreds hides which side has more.
    assert (
        ScoreCounts(falling.positives, np.zeros(3), 1e5, even.middles, 0.1, 0.0).stated() == even.stated()
    ).all()


def test_the_rate_sets_the_level_where_the_histogram_drowns():
    """Noise alone, and a rate of .02 that is known to .001: the mean probability of the noisy rows is about .02."""
    rng = np.random.default_rng(7)
    middles, made = np.linspace(-5.0, 1.0, 12), []
    count = 5000 * np.exp(-0.5 * ((middles + 2.5) / 1.2) ** 2)
    for _ in range(50):
        n1, n0 = 0.1 * count + rng.normal(0, 2000, 12), 0.9 * count + rng.normal(0, 2000, 12)
        free, told = (
            fit_calibration(ScoreCounts(n1, n0, 4e6, middles, 0.02, error), CENTRE) for error in (1.0, 0.001)
        )
        rate = [count @ expit(f.log_odds(middles)) / count.sum() for f in (free, told)]
        made.append(rate)
    free, told = np.log(np.array(made) / 0.02).T
    assert np.abs(told).mean() < 0.5 * np.abs(free).mean()
    assert np.exp(np.median(told)) == pytest.approx(1.0, abs=0.3)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.4, 1.3), st.floats(0.0, 0.25))
def test_what_the_card_owes_to_its_own_rows_is_taken_off_the_slope(truth, share):
    """Rows made bolder by a covariance of label and score, spread as a change of the slope would be: it comes off."""
    n1, n0 = histogram(lambda x: CENTRE + truth * (x - CENTRE), rows=1e6)
    count = n1 + n0
    p = n1 / count
    slope = count * p * (1 - p)
    far = slope * (MIDDLES - slope @ MIDDLES / slope.sum())
    extra = share * far
    flattery = float(extra @ MIDDLES)
    rows = ScoreCounts(n1 + extra, n0 - extra, 0.0, MIDDLES, float(n1.sum() / count.sum()), 1.0, flattery)
    honest = fit_calibration(rows, CENTRE)
    fooled = fit_calibration(ScoreCounts(n1 + extra, n0 - extra, 0.0, MIDDLES, rows.rate, 1.0), CENTRE)
    assert honest.line[1] == pytest.approx(truth, abs=0.05)
    assert fooled.line[1] == pytest.approx(truth + share, abs=0.08)


@pytest.mark.parametrize("seed", [17, 22, 47, 166])
def test_a_fit_comes_to_rest_where_noise_is_larger_than_the_counts(monkeypatch, seed):
    """With whole steps these histograms of 900 rows led to and fro for ever, and one step more gave another card."""
    rng, size, rate = np.random.default_rng(seed), 12, 0.2
    middles = (math.log(rate / (1 - rate)) + np.linspace(-1, 1.3, size) * 2.0)[::-1]
    share = np.exp(-0.5 * np.linspace(-2, 2, size) ** 2)
    share /= share.sum()
    p = expit(middles) * rate / (share @ expit(middles))
    n1, n0 = (900 * share * part + rng.normal(0, 200.0, size) for part in (p, 1 - p))
    rows = ScoreCounts(n1, n0, 200.0**2, middles, rate, 5e-4, 30.0)
    fits = []
    for further in (0, 1):
        monkeypatch.setattr("fedrisk.models.calibration.ROUNDS", ROUNDS + further)
        fits.append(fit_calibration(rows, math.log(0.25) + 0.5))
    one, other = ([f.level, f.slope, f.bend, *f.line] for f in fits)
    assert one == pytest.approx(other, abs=1e-8)
