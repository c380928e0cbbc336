"""The threshold of warnings: by hand, by what it keeps, and how often its interval holds the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.warning_threshold import (
    other_thresholds,
    right_of,
    threshold_of,
    warned_of,
    warning_point,
)
from fedrisk.models.warning_point import WarningPoint

INF = float("inf")


def test_exact_counts_by_hand():
    point = warning_point([2, 8, 90], [900, 60, 40], 0.0, [INF, 549, 499], 0.1)
    assert (point.score, point.false_alarms.value, point.recall.value) == (549, 0.1, 0.98)
    assert point.warned == pytest.approx(198 / 1100)
    stricter = warning_point([2, 8, 90], [900, 60, 40], 0.0, [INF, 549, 499], 0.099)
    assert (stricter.score, stricter.false_alarms.value, stricter.recall.value) == (499, 0.04, 0.9)


def test_no_threshold_keeps_the_rate():
    assert warning_point([1, 9], [50, 50], 0.0, [INF, 499], 0.1) is None
    assert warning_point([0, 0], [50, 1], 0.0, [INF, 499], 0.1) is None


def test_noise_keeps_a_standard_error_away_and_says_nothing_where_it_drowns_the_rate():
    bad, good, ends = [10, 20, 70], [940, 30, 30], [INF, 549, 499]
    assert warning_point(bad, good, 0.0, ends, 0.06).score == 549
    # One standard error of two noisy counts is 2.8 of 1000 enterprises and a little.
    assert warning_point(bad, good, 4.0, ends, 0.062).score == 499
    assert warning_point(bad, good, 4.0, ends, 0.064).score == 549
    assert warning_point(bad, good, 1600.0, ends, 0.06) is None


def test_a_score_at_an_edge_belongs_to_the_safer_bin():
    edges = np.array([499.5, 550.0])
    counts = ScoreCounts(
        positives=np.array([2.0, 8.0, 90.0]),
        negatives=np.array([900.0, 60.0, 40.0]),
        variance=0.0,
        low=np.r_[-INF, edges][::-1],
        high=np.r_[edges, INF][::-1],
        axis="score",
    )
    assert threshold_of(counts, 0.1).score == 549
    assert threshold_of(counts, 0.05).score == 499


def test_exact_counts_of_rows_are_of_their_scores():
    score, label = np.array([500, 500, 510, 600, 600]), np.array([1, 1, 1, 0, 0])
    counts = counts_of_rows(np.r_[label, np.zeros(95)], np.r_[score, np.full(95, 620)], axis="score")
    point = threshold_of(counts, 0.01)
    assert point.score == 510 and point.recall.value == 1
    assert point.warns([510, 511, np.nan]).tolist() == [True, False, False]


def test_it_is_kept_as_json():
    point = warning_point([2, 8, 90], [900, 60, 40], 0.0, [INF, 549, 499], 0.1)
    assert WarningPoint.model_validate_json(point.model_dump_json()) == point


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 200), min_size=3, max_size=12),
    st.floats(0.01, 0.4),
    st.floats(0, 30),
    st.integers(0, 9),
)
def test_the_rate_is_kept_and_rises_with_what_is_stated(good, stated, variance, seed):
    rng = np.random.default_rng(seed)
    noisy = np.asarray(good, float) + variance**0.5 * rng.normal(size=len(good))
    bad = np.linspace(1, 60, len(good))
    ends = np.r_[INF, np.arange(len(good) - 1, 0, -1) * 10]
    point = warning_point(bad, noisy, variance, ends, stated)
    more = warning_point(bad, noisy, variance, ends, min(1.5 * stated, 0.9))
    if point is None:
        return
    assert more is not None and more.score >= point.score
    for share in (point.false_alarms, point.recall):
        assert 0 <= share.low <= share.value <= share.high <= 1
    if variance == 0:
        assert point.false_alarms.value <= stated + 1e-9


def test_intervals_hold_the_true_rates_as_often_as_they_say():
    """400 draws: at least 92.0 % held fails by chance once in 500 where 95 % are (binomial)."""
    rng, k, sigma = np.random.default_rng(5), 40, 2.5
    fine = np.r_[np.full(10, 0.002), np.full(20, 0.006), np.full(10, 0.086)]
    good, bad = fine[::-1] / fine.sum(), np.linspace(0.2, 3, k) / np.linspace(0.2, 3, k).sum()
    ends = np.r_[INF, np.arange(k - 1, 0, -1) * 5]
    true = {int(e): (good[i:].sum(), bad[i:].sum()) for i, e in enumerate(ends) if i}
    held = []
    for _ in range(400):
        n1, n0 = (rng.multinomial(n, p) + sigma * rng.normal(size=k) for n, p in ((300, bad), (3000, good)))
        point = warning_point(n1, n0, sigma**2, ends, 0.052)
        alarms, recall = true[point.score]
        held.append(
            (
                point.false_alarms.low <= alarms <= point.false_alarms.high,
                point.recall.low <= recall <= point.recall.high,
                alarms <= 0.062,
            )
        )
    covered = np.mean(held, 0)
    assert (covered[:2] >= 0.92).all() and covered[2] >= 0.95


def test_few_with_the_outcome_take_no_threshold_away_and_recall_says_so():
    """40 with the outcome under noise of 50 on their sum: told only where noise made many of them, recall was too low.

    1,000 draws; standard error .6 points at 96.5 %.
    """
    rng, k = np.random.default_rng(5), 40
    good, bad = (np.r_[np.full(20, p / 20), np.full(20, (1 - p) / 20)] for p in (0.9, 0.1))
    variance, ends, held, told = 64.0, np.r_[INF, np.arange(k - 1, 0, -1) * 10.0], [], 0
    for _ in range(1000):
        n0 = rng.multinomial(4000, good) + 8 * rng.normal(size=k)
        n1 = rng.multinomial(40, bad) + 8 * rng.normal(size=k)
        point = warning_point(n1, n0, variance, ends, 0.052)
        if point is not None:
            told, at = told + 1, k - point.score // 10
            held.append(point.recall.low <= bad[at:].sum() <= point.recall.high)
            assert point.false_alarms.value <= 0.052
    assert told > 700 and np.mean(held) > 0.93


def exact(bad, good, ends):
    edges = np.array([*ends[:0:-1], INF])[::-1]
    return ScoreCounts(
        positives=np.array(bad, float),
        negatives=np.array(good, float),
        probability=np.linspace(0.01, 0.5, len(bad)),
        low=edges,
        high=edges,
        variance=0.0,
        axis="score",
    )


def test_who_is_warned_of_and_how_many_of_them_rightly_by_hand():
    counts = exact([2, 8, 90], [900, 60, 40], [INF, 549.0, 499.0])
    point = threshold_of(counts, 0.1)
    assert point.score == 549
    assert right_of(counts, point).value == pytest.approx(98 / 198)
    assert warned_of(counts, point).value == pytest.approx(point.warned) == pytest.approx(198 / 1100)
    found = right_of(counts, point)
    assert found.low < found.value < found.high


def test_other_rates_have_thresholds_of_their_own_and_the_stated_one_is_among_them():
    counts = exact([2, 8, 90], [900, 60, 40], [INF, 549.0, 499.0])
    points = other_thresholds(counts, 0.1)
    assert [p.score for p in points] == [499, 549]
    assert threshold_of(counts, 0.1) in points
    # Half the rate has the lower threshold; half as much again or twice of it the stated one's.
    assert [p.stated for p in points] == [0.05, 0.1]
