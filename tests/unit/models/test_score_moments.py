"""Moments of a score from released numbers: by hand, and what an unknown enterprise is worth."""

import math

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.data.features import Feature, known_feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves, fit_curves
from fedrisk.models.fitted_card import card_from_weights
from fedrisk.models.label_counts import LabelCounts, with_known
from fedrisk.models.score_moments import (
    CORRELATION,
    class_shares,
    first_calibration,
    score_moments,
    unknown_log_odds,
)
from fedrisk.models.scorecard import FACTOR

HALF = np.full(2, 0.5)


def two(institution, column, kind="flag", unknown=False):
    if kind == "known":
        return Bins.public(known_feature(institution))
    return Bins(
        Feature(institution=institution, column=column, kind="flag", missing=False), (0.5,), (), unknown
    )


def curves_of(curve, rate=0.1, weight=None):
    weight = tuple(np.full(len(c), 1 / len(c)) for c in curve) if weight is None else weight
    spread = np.array([float(w @ c**2) for w, c in zip(weight, curve, strict=True)])
    count = len(curve)
    return Curves(rate, 1000.0, curve, np.ones(count), weight, spread, (2,) * count, (0,) * count)


def test_moments_without_a_matrix_by_hand():
    """Three flags of standard deviations 3, 4 and 12, any two correlated by .1; the last says who is known."""
    bins = [two("bank", "a"), two("tax", "b"), two("tax", "", "known")]
    parts = [np.array([-s, s]) for s in (3.0, 4.0, 12.0)]
    # Defaults fall in the second bin by .75, .5 and .5; others by .5 each.
    counts = LabelCounts(
        (np.array([25.0, 75.0]), *(np.array([50.0, 50.0]),) * 2), (np.array([50.0, 50.0]),) * 3, np.ones(3)
    )
    got = score_moments(parts, counts, curves_of(tuple(parts)), bins)
    assert got.variance == pytest.approx(9 + 16 + 144 + 2 * CORRELATION * (12 + 36 + 48))
    assert got.gap == pytest.approx(0.5 * 3)
    assert got.partial == pytest.approx({"bank": 9.0, "tax": 16 + 144 + 2 * CORRELATION * 48})
    assert got.columns == pytest.approx({"bank": 9.0, "tax": 16.0})


def test_a_card_that_says_nothing_has_hardly_any_variance():
    bins, zero = [two("bank", "a")], (np.zeros(2),)
    counts = LabelCounts((np.ones(2),), (np.ones(2),), np.ones(1))
    got = score_moments(zero, counts, curves_of(zero), bins)
    assert 0 < got.variance < 1e-9 and got.gap == 0.0


def test_class_shares_by_hand():
    """Relative risks .5 and 1.5 at a rate of .1: of 100, 10 default, 2.5 and 7.5 of them by bin."""
    ones, zeros = class_shares(curves_of((np.log([0.5, 1.5]),)), 0)
    assert ones.tolist() == pytest.approx([0.25, 0.75])
    assert zeros.tolist() == pytest.approx([0.475, 0.425])


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_first_calibration_finds_the_scale_of_independent_columns(rate, scale):
    """Six columns whose log-odds have the spread .75, stated on another scale: slope 1 / scale, and the rate is met."""
    rng = np.random.default_rng(3)
    truth = [np.sort(rng.normal(0, 0.3, 6)) for _ in range(6)]
    codes = rng.integers(0, 6, (6, 200_000))
    z = sum(t[c] for t, c in zip(truth, codes, strict=True))
    level = math.log(rate / (1 - rate)) - 0.5
    p = expit(level + z)
    rate = float(p.mean())
    risk = tuple(np.log(np.bincount(c, p, 6) / np.bincount(c, minlength=6)) for c in codes)
    weight = tuple(np.bincount(c, minlength=6) / c.size for c in codes)
    curves = curves_of(tuple(r - w @ r for r, w in zip(risk, weight, strict=True)), rate, weight)
    stated = [scale * (t - w @ t) for t, w in zip(truth, weight, strict=True)]
    intercept, slope = first_calibration(stated, curves, scale * float(z.std()))
    assert slope == pytest.approx(1 / scale, rel=0.05)
    assert intercept == pytest.approx(level + float(z.mean()), abs=0.05)


# --- unknown enterprises -------------------------------------------------------------------------------------


def test_nothing_to_know_adds_nothing():
    bins = [two("tax", "a", unknown=True), two("tax", "", "known")]
    curves = curves_of((np.zeros(3), np.zeros(2)))
    assert unknown_log_odds([np.zeros(3), np.zeros(2)], curves, bins, "tax", 1e-12) == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("known", [0.25, 0.5, 1.0])
def test_the_odds_of_unknown_ones_are_the_mean_of_the_known_ones_by_hand(known):
    """One column of log-odds -1 and 1, at a low rate: log of the mean of exp(-1) and exp(1) is log cosh 1."""
    bins = [two("tax", "a", unknown=True), two("tax", "", "known")]
    column = np.array([-1.0, 1.0, 0.0])
    weight = (np.array([known / 2, known / 2, 1 - known]), np.array([known, 1 - known]))
    curves = curves_of((column - math.log(math.cosh(1)) * (column != 0), np.zeros(2)), 0.001, weight)
    got = unknown_log_odds([column, np.zeros(2)], curves, bins, "tax", known)
    assert got == pytest.approx(math.log(math.cosh(1)), abs=0.03)


def study(unknown_rate, known=0.6, rows=200_000, seed=4):
    """A bank's column, a holder's two columns that know ``known`` of the enterprises; the others have this rate.

    Everything without noise; label counts of the columns, bins of all features, true rows.
    """
    rng = np.random.default_rng(seed)
    knows = rng.random(rows) < known
    own, *held = (rng.integers(0, 5, rows) for _ in range(3))
    z = -2.9 + 0.4 * (own - 2) + knows * sum(0.6 * (c - 2) for c in held)
    p = expit(z)
    if unknown_rate is not None:
        # The bank's column means as much as before; the level of the unknown ones alone is moved.
        for _ in range(60):
            z[~knows] += math.log(unknown_rate(p[knows].mean()) / p[~knows].mean())
            p = expit(z)
    y = rng.random(rows) < p
    edges = (0.5, 1.5, 2.5, 3.5)

    def number(institution, column):
        return Feature(institution=institution, column=column, low=-1, high=5, missing=False)

    columns = [Bins(number("bank", "a"), edges), *(Bins(number("tax", c), edges, (), True) for c in "bc")]
    bins = [*columns, Bins.public(known_feature("tax"))]
    codes = [own, *(np.where(knows, c, 5) for c in held)]
    n1, n0 = (
        tuple(np.bincount(c, w, b.size) for c, b in zip(codes, columns, strict=True))
        for w in (y * 1.0, ~y * 1.0)
    )
    counts = with_known(LabelCounts(n1, n0, np.full(3, 1e-6)), bins)
    return bins, counts, [*codes, (~knows).astype(int)], y, knows


def card_of(bins, counts):
    curves = fit_curves(counts, bins)
    return card_from_weights("s", bins, curves.curve, counts, curves), curves


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_known_and_unknown_enterprises_have_their_own_rates(times):
    """Unknown ones as risky as known ones, half as risky, twice: means of both are within .15, before a histogram."""
    bins, counts, codes, y, knows = study(lambda rate: times * rate)
    card, _ = card_of(bins, counts)
    score = (
        card.base_points
        + card.institution_points("bank", codes[:1])
        + card.institution_points("tax", codes[1:])
    )
    p = card.probability(score)
    assert p[knows].mean() == pytest.approx(y[knows].mean(), rel=0.15)
    assert p[~knows].mean() == pytest.approx(y[~knows].mean(), rel=0.15)


def test_an_unknown_group_at_the_average_rate_gets_the_mean_odds_not_the_average_log_odds():
    bins, counts, codes, _, knows = study(lambda rate: rate)
    card, curves = card_of(bins, counts)
    tax = card.institution_points("tax", codes[1:])
    unknown = tax[~knows]
    assert np.ptp(unknown) == 0
    odds = np.log(np.mean(np.exp(-tax[knows] / FACTOR)))
    assert -unknown[0] / FACTOR == pytest.approx(odds, abs=0.08)
    # The average log-odds of the known ones are those of far safer enterprises.
    assert -tax[knows].mean() / FACTOR < odds - 0.4
    assert [c[-1] for c in curves.curve[1:3]] == [0.0, 0.0]


def test_of_a_holder_that_knows_all_being_unknown_says_the_mean():
    bins, counts, codes, y, knows = study(None, known=1.0)
    card, _ = card_of(bins, counts)
    assert knows.all() and np.isfinite(card.averages).all() and abs(card.points[3][0]) <= 1
    score = (
        card.base_points
        + card.institution_points("bank", codes[:1])
        + card.institution_points("tax", codes[1:])
    )
    assert card.probability(score).mean() == pytest.approx(y.mean(), rel=0.1)
    stranger = (
        card.base_points + card.institution_points("bank", codes[:1]) + sum(p[-1] for p in card.points[1:])
    )
    assert card.probability(stranger).mean() == pytest.approx(y.mean(), rel=0.25)
