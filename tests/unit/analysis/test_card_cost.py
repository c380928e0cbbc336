"""What an edit costs: two normal classes by hand, and rows."""

import numpy as np
import pytest
from scipy.special import ndtr

from fedrisk.analysis.card_cost import CardSpread, ScoreParts, believed_gram, information_value
from fedrisk.metrics import auc
from fedrisk.models.knowledge import GramMatrix
from support.edited import SMALL, sums_of


@pytest.fixture(scope="module")
def world():
    codes, label, sums = sums_of(SMALL, 3, n=40_000)
    return codes, label, CardSpread(sums, draws=100)


def parts(spread, *weights):
    return ScoreParts(contributions=[w * c for w, c in zip(weights, spread.curves.curve, strict=True)])


def test_differences_are_those_of_rows(world):
    """Of scores on rows, exact sums say the change of the AUC within a few thousandths."""
    codes, label, spread = world
    for weights in ((1.0, 0.0, 0.0), (0.5, 1.0, 0.2), (0.0, 1.0, 0.0)):
        one, other = (parts(spread, *w) for w in ((1.0, 1.0, 0.0), weights))
        rows = [sum(f[c] for f, c in zip(p.contributions, codes, strict=True)) for p in (one, other)]
        true = auc(label, rows[1]) - auc(label, rows[0])
        said = spread.change(one, other)
        assert said.change == pytest.approx(true, abs=0.012)
        assert said.low < said.change < said.high


def test_the_same_score_costs_nothing(world):
    one = parts(world[2], 1.0, 1.0, 1.0)
    found = world[2].change(one, one)
    assert (found.change, found.low, found.high, found.error) == (0.0, 0.0, 0.0, 0.0)


def test_scores_are_compared_whatever_their_scale(world):
    found = world[2].change(parts(world[2], 1.0, 1.0, 1.0), parts(world[2], 2.0, 2.0, 2.0))
    assert found.change == pytest.approx(0.0, abs=1e-12)


def test_pairs_add_to_gap_and_variance(world):
    spread = world[2]
    nothing = [np.zeros(5)] * 3
    alone = ScoreParts(contributions=nothing, variance=0.5, gap=0.6)
    rate = spread.curves.rate
    assert spread.auc(alone)[0] == pytest.approx(ndtr(0.6 / np.sqrt(2 * (0.5 - rate * (1 - rate) * 0.36))))


def test_noisy_correlations_are_drawn_to_nothing(world):
    spread = world[2]
    sums = spread.sums
    size = len(sums.second.gram)
    drowned = GramMatrix(sums.second.gram, np.full((size, size), 1e18))
    assert (
        np.abs(believed_gram(drowned, sums.bases, spread.curves).gram).max()
        < 1e-3 * np.abs(sums.second.gram).max()
    )
    clear = believed_gram(sums.second, sums.bases, spread.curves)
    apart = clear.gram != 0
    assert np.allclose(clear.gram[apart], sums.second.gram[apart])


def test_information_by_hand(world):
    """Of two bins with shares .2 and .8 among defaults and .5, .5 among others: .3 log 1.6 - .3 log .4."""
    curves = world[2].curves
    made = type(curves)(
        **{
            **vars(curves),
            "rate": 0.1,
            "curve": (np.log([0.2 / 0.47, 0.8 / 0.53]),),
            "weight": (np.array([0.47, 0.53]),),
        }
    )
    assert information_value(made, 0) == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
