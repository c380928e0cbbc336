"""Paired comparisons: by hand, against a sum over all pairs, and with the stated share of intervals that hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import DataError
from fedrisk.metrics import auc
from fedrisk.models.comparison import (
    Difference,
    auc_covariance,
    auc_difference,
    log_loss,
    log_loss_difference,
)


def by_pairs(label, risks):
    """DeLong et al. (1988) as it is written: the kernel of every pair of a default and another."""
    y, scores = np.asarray(label), [np.asarray(r, float) for r in risks]
    ones, zeros = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    kernels = [
        np.array([[1.0 if r[i] > r[j] else 0.5 if r[i] == r[j] else 0.0 for j in zeros] for i in ones])
        for r in scores
    ]
    above, below = (np.array([k.mean(axis) for k in kernels]) for axis in (1, 0))
    area = np.array([k.mean() for k in kernels])
    m, n = len(ones), len(zeros)
    s10 = (above - area[:, None]) @ (above - area[:, None]).T / (m - 1)
    s01 = (below - area[:, None]) @ (below - area[:, None]).T / (n - 1)
    return area, s10 / m + s01 / n


def test_by_hand():
    """Two defaults above two others in three of four pairs: placements 1/2 and 1, so variance 1/8 for each class."""
    area, cover = auc_covariance([0, 0, 1, 1], {"a": [1.0, 3.0, 2.0, 4.0]})
    assert area.tolist() == [0.75]
    assert cover[0, 0] == pytest.approx(0.125 / 2 + 0.125 / 2)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=30
    ).filter(lambda rows: 2 <= sum(r[0] for r in rows) <= len(rows) - 2)
)
def test_midranks_give_the_sum_over_all_pairs(rows):
    y, a, b = (np.array(v, float) for v in zip(*rows, strict=True))
    area, cover = auc_covariance(y, {"a": a, "b": b})
    area_there, cover_there = by_pairs(y, [a, b])
    np.testing.assert_allclose(area, area_there, atol=1e-12)
    np.testing.assert_allclose(cover, cover_there, atol=1e-12)
    assert area[0] == pytest.approx(auc(y, a))
    gap = auc_difference(y, a, b)
    assert gap.value == pytest.approx(area[0] - area[1])
    assert gap.error**2 == pytest.approx(
        max(cover_there[0, 0] + cover_there[1, 1] - 2 * cover_there[0, 1], 0), abs=1e-9
    )


def test_a_score_is_no_better_than_itself_in_another_unit():
    rng = np.random.default_rng(0)
    y, r = rng.integers(0, 2, 200), rng.normal(size=200)
    same = auc_difference(y, r, np.exp(3 * r))
    assert (same.value, same.error) == (0.0, 0.0)


def test_nine_of_ten_intervals_hold_the_truth():
    """400 samples: of 360 expected, 15 fewer or more is 2.5 standard deviations (a false alarm in 80)."""
    rng, held, truth = np.random.default_rng(1), 0, None
    y = np.repeat([0, 1], [150, 60])

    def scores(size):
        # Two scores with errors in common; AUC of N(d, 1) against N(0, 1) is Phi(d / sqrt(2)).
        shared = rng.normal(size=size)
        return [shared + rng.normal(size=size), 0.7 * shared + rng.normal(size=size)]

    large = np.repeat([0, 1], 100_000)
    one, other = (s + large for s in scores(len(large)))
    truth = auc(large, one) - auc(large, other)
    for _ in range(400):
        a, b = (s + y for s in scores(len(y)))
        gap = auc_difference(y, a, b)
        held += gap.low <= truth <= gap.high
    assert abs(held - 360) <= 15


def test_log_loss_by_hand():
    assert log_loss([1, 0], [0.5, 0.25]).tolist() == pytest.approx([math.log(2), -math.log(0.75)])
    gap = log_loss_difference([1, 0], [0.5, 0.25], [0.25, 0.25])
    # Rows differ by -ln 2 and 0: mean -ln 2 / 2, standard deviation ln 2 / sqrt(2), over the root of two rows.
    assert gap.value == pytest.approx(-math.log(2) / 2)
    assert gap.error == pytest.approx(math.log(2) / 2)
    assert np.isfinite(log_loss([1, 0], [0.0, 1.0])).all()


def test_an_interval_and_its_ends():
    gap = Difference(value=0.02, error=0.01)
    assert gap.low == pytest.approx(0.02 - 0.016449)
    assert gap.to_dict() == {"value": 0.02, "error": 0.01, "low": gap.low, "high": gap.high}


@pytest.mark.parametrize(
    ("label", "risk"),
    [
        ([0, 0, 1], [1, 2, 3]),
        ([0, 0, 1, 0.5], [1, 2, 3, 4]),
        ([0, 0, 1, 1], [1, 2, 3]),
        ([0, 0, 1, 1], [1, 2, 3, math.nan]),
    ],
)
def test_what_cannot_be_compared_is_refused(label, risk):
    with pytest.raises(DataError):
        auc_covariance(label, {"a": risk})


def test_one_row_has_no_error():
    with pytest.raises(DataError, match="two rows"):
        log_loss_difference([1], [0.5], [0.5])
