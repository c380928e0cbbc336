"""Bins of a score by its two classes, and the mean probability in them."""

import numpy as np
import pytest

from fedrisk.errors import ConfigError
from fedrisk.metrics import auc, from_histogram
from fedrisk.models.fitted_card import card_from_weights
from support.cards import card, fitted


def test_probabilities_of_bins_are_means_of_scores_in_them():
    """Of 400,000 scores of the two normal classes from which the bins come, within 2 % of each mean: with 2,000 scores in
    the thinnest bin and a spread of at most a third of the mean, that is more than twice the standard error."""
    c = card(gap=40.0)
    rng = np.random.default_rng(0)
    low, high, within = c.classes()
    label = rng.random(400_000) < c.rate
    score = np.where(label, low, high) + within * rng.standard_normal(len(label))
    edges = c.score_bins(12)
    place = c.risk_bins(score, edges)
    p = c.probability(score)
    means = [p[place == k].mean() for k in range(12)]
    assert c.bin_probabilities(edges).tolist() == pytest.approx(means, rel=0.02)
    assert c.probability(c.bin_middles(edges))[::-1][-1] < 0.98 * means[-1]


def test_score_bins_rise_and_risk_bins_reverse_them():
    c = card()
    edges = c.score_bins(10)
    assert len(edges) == 9
    assert (np.diff(edges) > 0).all()
    assert c.risk_bins([edges[0] - 1, edges[-1] + 1, edges[0]], edges).tolist() == [9, 0, 8]
    p = c.bin_probabilities(edges)
    assert len(p) == 10
    assert (np.diff(p) > 0).all()
    with pytest.raises(ConfigError):
        c.score_bins(1)


def test_a_binned_evaluation_agrees_with_the_rows():
    y, codes, bins, f, counts, curves = fitted(n=20_000)
    got = card_from_weights("s", bins, f, counts, curves)
    score = (
        got.base_points + got.institution_points("bank", codes[:1]) + got.institution_points("tax", codes[1:])
    )
    edges = got.score_bins(20)
    place = got.risk_bins(score, edges)
    found = from_histogram(
        np.bincount(place, y, 20), np.bincount(place, 1 - y, 20), got.bin_probabilities(edges)
    )
    assert found.auc == pytest.approx(auc(y, -score), abs=0.01)
    assert found.brier == pytest.approx(np.mean((y - got.probability(score)) ** 2), abs=0.003)


def test_calibration_bins_are_even_and_reach_further_towards_risk():
    """By hand: mean 560, sd 30; edges from 4.5 deviations below to 2.5 above in ten even steps."""
    own = card()
    edges = own.calibration_bins(12)
    assert edges.tolist() == pytest.approx(np.linspace(560 - 135, 560 + 75, 11).tolist())
    middles = own.bin_middles(edges)
    assert middles.tolist() == pytest.approx(
        [425 - 10.5, *(425 + 10.5 + 21 * k for k in range(10)), 635 + 10.5]
    )
    with pytest.raises(ConfigError, match="at least 3"):
        own.calibration_bins(2)
