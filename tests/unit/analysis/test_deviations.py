"""Deviations from what is usual: their variances hold, by draws, and shocks in the reference hardly move them."""

import numpy as np
import pytest

from fedrisk.analysis.deviations import Figures, change_matrix, deviations

QUARTERS, CELLS = 9, 300


def figures(seed, *, lag=0, noise=1.0, usual=0.5, between=2.0, shocks=0):
    rng = np.random.default_rng(seed)
    rows = np.full(CELLS, 100.0)
    level = between * rng.normal(size=CELLS)
    common = rng.normal(size=(QUARTERS, 1)).cumsum(axis=0)
    own = usual * rng.normal(size=(QUARTERS, CELLS))
    if lag:
        own = own.cumsum(axis=0)
    values = level + common + own
    values[3, :shocks] += 15.0
    values = values + noise * rng.normal(size=(QUARTERS, CELLS))
    return Figures(
        values=values,
        errors=np.full((QUARTERS, CELLS), noise**2),
        change=change_matrix(QUARTERS, lag),
        rows=rows,
        group=np.zeros(CELLS, dtype=np.int64),
    )


@pytest.mark.parametrize(("lag", "between"), [(0, 2.0), (0, 0.0), (1, 0.0)])
def test_the_stated_variance_is_that_of_the_deviations(lag, between):
    """Of changes the noise of a quarter is in two of them; the variance knows that."""
    held = list(range(lag, QUARTERS))
    found = [deviations(figures(seed, lag=lag, between=between), held) for seed in range(4)]
    ratio = np.concatenate([(d.value**2 / (d.noise + d.past + d.usual))[-1] for d in found])
    assert ratio.mean() == pytest.approx(1.0, abs=0.14)


def test_what_moved_everywhere_is_taken_out_and_told():
    plain = figures(1, noise=0.1, usual=0.05)
    moved = plain.values.copy()
    moved[-1] += 3.0
    held = list(range(QUARTERS))
    before, after = deviations(plain, held), deviations(Figures(**{**vars(plain), "values": moved}), held)
    assert np.allclose(before.value, after.value)
    assert after.moved[-1, 0] - before.moved[-1, 0] == pytest.approx(3.0)


def test_a_shock_stands_out_and_those_before_hardly_matter():
    quiet, shocked = figures(2), figures(2, shocks=30)
    held = list(range(QUARTERS))
    usual, other = deviations(quiet, held), deviations(shocked, held)
    # The cells that were shocked in an earlier quarter: a mean of eight would be off by 15 / 8.
    off = (other.value[-1] - usual.value[-1])[:30]
    assert np.abs(off).mean() < 0.7
    assert other.typical == pytest.approx(usual.typical, rel=0.35)
    assert (other.value[3, :30] > 10).all()


def test_a_later_quarter_changes_nothing_earlier():
    plain = figures(4)
    other = plain.values.copy()
    other[-1] = 99.0
    held = list(range(QUARTERS - 1))
    first = deviations(plain, held)
    second = deviations(Figures(**{**vars(plain), "values": other}), held)
    assert np.array_equal(first.value, second.value)


def test_missing_figures_are_missing_deviations():
    plain = figures(5)
    plain.values[-1, 0] = np.nan
    plain.values[:-1, 1] = np.nan
    found = deviations(plain, list(range(QUARTERS)))
    assert np.isnan(found.value[-1, 0])
    # Without earlier figures the group's level is all that is known, with its spread over cells as error.
    assert np.isfinite(found.value[-1, 1])
    assert found.past[-1, 1] > found.past[-1, 2:].max()


def test_without_noise_and_with_much_noise():
    sharp, blunt = figures(6, noise=0.0), figures(6, noise=100.0)
    held = list(range(QUARTERS))
    assert deviations(sharp, held).typical == pytest.approx(0.5, rel=0.2)
    # The usual moves are hidden; what stands for them is far below the noise.
    assert 0 < deviations(blunt, held).typical < 40
