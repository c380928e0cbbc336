"""Weight of evidence of a fall that stays: what each shape of a series says, gaps, the calendar, and the arithmetic."""

from itertools import pairwise

import numpy as np
import pytest

from fedrisk.models import fall_evidence as fe

NAN, JUNE_2026 = np.nan, 12 * 2026 + 5
MONTHS = 18


def weight(path, ends=None, since=0):
    known = None if ends is None else np.array([ends])
    return fe.weight_of_evidence(np.array(path, float)[:, None], 9, known, since)[0]


def noisy(path, size=0.08):
    return np.array(path) * np.exp(size * np.random.default_rng(5).normal(size=len(path)))


LEVEL = noisy([100.0] * 18)
STEP = noisy([100.0] * 12 + [70.0] + [50.0] * 5)
DIP = noisy([100.0] * 8 + [50.0] * 3 + [100.0] * 7)
LINE = noisy(100 * np.exp(-np.arange(18) / 17))
MADE_GOOD = noisy([100.0] * 5 + [50.0] * 9 + [60, 72, 86, 100])


def test_only_a_step_that_stays_has_evidence():
    assert weight(STEP) > 2
    for other in (LEVEL, DIP, LINE, MADE_GOOD):
        assert weight(other) < -1


def test_a_fall_of_the_last_month_may_be_a_dip():
    recent = np.r_[LEVEL[:-1], 55.0]
    assert weight(LEVEL) < weight(recent) < weight(STEP)


def test_a_fall_that_began_too_lately_is_held_against_it():
    """`STEP` began five months before the last one: it counts up to that, and beyond is evidence of the contrary."""
    counted = [weight(STEP, since=since) for since in (0, 5, 6)]
    assert counted[0] == pytest.approx(counted[1], abs=0.3) and counted[2] < -1
    # All shapes are in both, and only their sides differ: the chances of a step of each age add up to that of any.
    chance = [1 / (1 + np.exp(-weight(STEP, since=since))) for since in range(9)]
    assert all(earlier >= later for earlier, later in pairwise(chance))


def test_density_under_a_shape_is_the_normal_one():
    """Against the density with the level's and the size's prior written out as a covariance."""
    y = np.log(STEP) - np.log(STEP).mean()
    noise = list(fe._noises(MONTHS))[2]
    nothing = fe._Shape(False, 1.0, np.zeros(MONTHS), 0.0, 0.0, np.zeros(MONTHS))
    shape = fe._Shape(True, 1.0, np.where(np.arange(MONTHS) >= 12, -1.0, 0.0), 0.6, 0.3, np.zeros(MONTHS))
    terms = fe._of_noise([shape, nothing], noise)
    z = fe._weighted(terms.precision, y[:, None])
    found = (
        terms.constant
        + fe._weighted(terms.mean, z)
        + (terms.half * (fe._weighted(terms.change, z) - terms.shift) ** 2)
    )
    apart = np.abs(np.arange(MONTHS)[:, None] - np.arange(MONTHS))
    white = fe.WHITE[2] ** 2 * np.eye(MONTHS) + fe.FADING**2 * fe.MEMORY**apart
    expected = []
    for one in (shape, nothing):
        # A level of any size: a variance so large that it no longer matters.
        full = white + 1e6 + one.spread**2 * np.outer(one.change, one.change)
        left = y - one.mean * one.change
        expected.append(-0.5 * left @ np.linalg.solve(full, left) - 0.5 * np.linalg.slogdet(full)[1])
    assert found[0, 0] - found[1, 0] == pytest.approx(expected[0] - expected[1], abs=1e-3)


def test_gaps_are_filled_and_made_up_for():
    x = np.array([[NAN, 10.0, NAN, 20.0, 10.0, NAN]]).T
    filled, usual = fe.without_gaps(x)
    assert filled[:, 0].tolist() == [10.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    assert usual.tolist() == [pytest.approx(40 / 3)]
    kept, _ = fe.without_gaps(np.array([[10.0, NAN, 11.0, 10.0]]).T)
    assert kept[:, 0].tolist() == [10.0, 10.0, 11.0, 10.0]


def test_amounts_that_bunch_since_the_fall_add_to_it():
    """Only where the calendar is known, and only at the ends of quarters."""
    rhythm = np.where(np.arange(18) % 3 == 2, 0.35, -0.175) * (np.arange(18) >= 12)
    bunched = STEP * np.exp(rhythm)
    assert weight(bunched, JUNE_2026) > weight(bunched, JUNE_2026 + 1)
    assert weight(bunched, -1) == weight(bunched)


def test_too_few_months_or_nothing_at_all_is_unknown():
    assert np.isnan(weight([NAN] * 10 + [5.0] * 8))
    assert np.isnan(weight([0.0] * 18))
    assert not np.isnan(weight([NAN] * 9 + [5.0] * 9))
