"""Curves of a score: by hand where that can be done, against rows, and how often their intervals contain the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fedrisk.analysis import curves
from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.metrics import ks as ks_of_rows


def counts(n1, n0, noise=0.0, probability=None, axis="risk"):
    ends = np.arange(len(n1) + 1.0)
    return ScoreCounts(
        positives=np.array(n1, float),
        negatives=np.array(n0, float),
        variance=noise**2,
        low=ends[:-1],
        high=ends[1:],
        axis=axis,
        probability=None if probability is None else np.array(probability),
    )


TWO = counts([1, 3], [3, 1], probability=[0.2, 0.8])


def test_two_bins_by_hand():
    roc = curves.roc(TWO)
    assert roc.false_positive.tolist() == [0, 0.25, 1]
    assert roc.true_positive.value.tolist() == [0, 0.75, 1]
    assert roc.auc.value == pytest.approx(0.75) and roc.exact
    ks = curves.ks(TWO)
    assert (ks.value.value, ks.at, ks.cut) == (0.5, 1, 1.0)
    gains = curves.gains(TWO)
    assert gains.share.tolist() == [0, 0.5, 1] and gains.base == 0.5
    assert gains.captured.value.tolist() == [0, 0.75, 1]
    assert gains.lift.value.tolist() == [1.5, 1.5, 1]
    calibration = curves.calibration(TWO, groups=2)
    assert calibration.predicted.tolist() == [0.2, 0.8]
    assert calibration.observed.value.tolist() == [0.25, 0.75]
    (cut,) = curves.cutoffs(TWO)
    assert [getattr(cut, n).value for n in ("approved", "bad_approved", "bad_refused", "kept_out")] == [
        0.5,
        0.25,
        0.75,
        0.75,
    ]


def test_a_score_falls_with_the_risk():
    found = curves.score_distribution(counts([1, 3], [3, 1], axis="score"))
    assert found.bad.value.tolist() == [0.75, 0.25] and found.good.value.tolist() == [0.25, 0.75]
    assert curves.ks(counts([1, 3], [3, 1], axis="score")).cut == 0.0


def test_a_share_without_noise_has_wilsons_interval():
    found = curves.share_of(10, 90, 0.0, 1, 1)
    # Of 10 in 100, as in Brown, Cai & DasGupta (2001), section 3.
    assert (found.low, found.high) == pytest.approx((0.0552, 0.1744), abs=2e-4)


def test_a_share_that_is_all_noise_says_nothing():
    found = curves.share_of(3.0, -5.0, 100.0, 4, 4)
    assert (found.low, found.high) == (0.0, 1.0)


def test_noise_widens_every_interval():
    n1, n0 = [40, 60, 100], [900, 600, 300]
    exact, noisy = counts(n1, n0), counts(n1, n0, noise=12.0)
    assert curves.area(exact).value == curves.area(noisy).value
    assert curves.area(noisy).error > curves.area(exact).error
    for figure in (lambda c: curves.roc(c).true_positive, lambda c: curves.gains(c).captured):
        narrow, wide = figure(exact), figure(noisy)
        assert (wide.high - wide.low >= narrow.high - narrow.low - 1e-12).all()


def test_nothing_is_said_where_noise_hides_the_defaults():
    hidden = counts([5, -3, 2], [900, 600, 300], noise=10.0, probability=[0.1, 0.2, 0.3])
    figures = (curves.roc, curves.ks, curves.gains, curves.calibration, curves.score_distribution)
    assert [figure(hidden) for figure in figures] == [None] * 5 and curves.cutoffs(hidden) == ()
    assert curves.calibration(counts([1, 3], [3, 1])) is None


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=4, max_size=60).filter(
        lambda rows: 0 < sum(y for y, _ in rows) < len(rows)
    )
)
def test_figures_of_rows_are_those_of_their_definition(rows):
    label, risk = (np.array(v) for v in zip(*rows, strict=True))
    found = counts_of_rows(label, risk)
    roc, ks = curves.roc(found), curves.ks(found)
    assert roc.auc.value == pytest.approx(roc_auc_score(label, risk))
    apart = [(risk[label == 0] <= r).mean() - (risk[label == 1] <= r).mean() for r in risk]
    assert ks.value.value == pytest.approx(max(*apart, 0.0))
    for band in (roc.true_positive, curves.gains(found).captured):
        assert (np.diff(band.value) >= -1e-12).all()
        assert (band.low <= band.value + 1e-12).all() and (band.value <= band.high + 1e-12).all()


def test_the_error_of_rows_is_delongs():
    """Variance of placements, as DeLong, DeLong & Clarke-Pearson (1988) have it, worked out pair by pair."""
    rng = np.random.default_rng(3)
    label, risk = (
        np.repeat([1, 0], [40, 160]),
        np.round(np.r_[rng.normal(1, 1, 40), rng.normal(0, 1, 160)], 1),
    )
    bad, good = risk[label == 1], risk[label == 0]
    pairs = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    wanted = pairs.mean(1).var(ddof=1) / 40 + pairs.mean(0).var(ddof=1) / 160
    found = curves.area(counts_of_rows(label, risk))
    assert found.error**2 == pytest.approx(wanted)


def test_many_rows_have_short_curves_and_exact_figures():
    rng = np.random.default_rng(0)
    label = (rng.random(3000) < 0.2).astype(int)
    risk = rng.normal(0, 1, 3000) + label
    found = counts_of_rows(label, risk)
    roc, ks = curves.roc(found), curves.ks(found)
    assert len(roc.false_positive) <= 101 and len(ks.position) <= 102
    assert roc.auc.value == pytest.approx(roc_auc_score(label, risk))
    assert ks.value.value == pytest.approx(ks_of_rows(label, risk))
    assert ks.good[ks.at] - ks.bad[ks.at] == pytest.approx(ks.value.value)


def test_intervals_contain_the_truth_as_often_as_they_say():
    """Of 300 studies with noise: a 95 % interval covers in 275 to 294 of them but for 1 time in 500 each."""
    from scipy.special import ndtr

    rng, bins, rows, rate, noise = np.random.default_rng(11), 16, 8000, 0.06, 10.0
    inner = np.linspace(-2, 3, bins - 1)
    p1, p0 = (np.diff(ndtr(np.r_[-np.inf, inner, np.inf] - m)) for m in (1.2, 0.0))
    true = counts(p1 * rate * 1e9, p0 * (1 - rate) * 1e9)
    area, ks, roc = curves.area(true).value, curves.ks(true).value.value, curves.roc(true)
    hits = np.zeros(3)
    for _ in range(300):
        positives = rng.binomial(rows, rate)
        drawn = [
            rng.multinomial(n, p) + rng.normal(0, noise, bins)
            for n, p in ((positives, p1), (rows - positives, p0))
        ]
        found = counts(*drawn, noise=noise)
        told = curves.roc(found)
        at = [
            np.interp(0.2, told.false_positive, v) for v in (told.true_positive.low, told.true_positive.high)
        ]
        k = curves.ks(found).value
        hits += (
            told.auc.low <= area <= told.auc.high,
            k.low <= ks <= k.high,
            at[0] <= np.interp(0.2, roc.false_positive, roc.true_positive.value) <= at[1],
        )
    assert (hits >= 275).all() and (hits <= 296).all(), hits


def test_a_distribution_of_rows_has_equally_wide_round_bins():
    rng = np.random.default_rng(0)
    score, label = np.round(rng.normal(600, 40, 2000)), (np.arange(2000) < 300).astype(int)
    for axis, values in (("score", score), ("probability", rng.beta(1, 12, 2000))):
        found = curves.score_distribution(counts_of_rows(label, values, axis=axis))
        width = found.high - found.low
        assert np.allclose(width, width[0]) and len(width) <= 30
        assert width[0] in (5.0, 10.0, 20.0) if axis == "score" else width[0] <= 0.05
        wanted, _ = np.histogram(values[label == 1], np.r_[found.low, found.high[-1]])
        assert found.bad.value == pytest.approx(wanted / 300) and found.good.value.sum() == pytest.approx(1)
    one = curves.score_distribution(counts_of_rows([0, 1], [3, 3], axis="score"))
    assert one.bad.value.tolist() == [1.0]
