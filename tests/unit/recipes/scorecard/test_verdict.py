"""The verdict from released numbers: by hand, without bias under noise, and at its thresholds."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedrisk.metrics import auc
from fedrisk.recipes.scorecard import gain_constants
from fedrisk.recipes.scorecard.expectation import GainSizes
from fedrisk.recipes.scorecard.verdict import (
    LEAST_AUC,
    Estimate,
    expected_auc,
    flattered_auc,
    joined,
    judged,
    log_loss_gain,
    released_auc,
    verdict,
)
from fedrisk.report.words import sentence

SIZES = GainSizes(positives=400, mu=0.2, own=8, external=8, banks=1, held=180)


class Card:
    """The released figures of a card."""

    def __init__(self, d, rate=0.1):
        self.rate, self.gap = rate, d * 20.0
        self.sd = math.sqrt(20.0**2 + rate * (1 - rate) * self.gap**2)


def histogram(d, positives=180, negatives=1620, bins=24, seed=None):
    """Two normal classes a distance d apart in bins of even mixture quantiles, expected or drawn counts."""
    edges = np.linspace(-2.5, 2.5 + d, bins - 1)
    share = [np.diff(np.r_[0, norm.cdf(edges - shift), 1]) for shift in (d, 0.0)]
    p = positives * share[0] / (positives * share[0] + negatives * share[1])
    if seed is None:
        return positives * share[0], negatives * share[1], p
    rng = np.random.default_rng(seed)
    return rng.multinomial(positives, share[0]) * 1.0, rng.multinomial(negatives, share[1]) * 1.0, p


def test_the_spread_of_two_normal_classes():
    """AUC of a distance of d standard deviations is Phi(d / sqrt(2)), whatever the rate."""
    for rate in (0.02, 0.3):
        card = Card(1.2, rate)
        assert flattered_auc(card.sd, card.gap, rate) == pytest.approx(norm.cdf(1.2 / math.sqrt(2)))
    assert flattered_auc(1.0, -3.0, 0.1) == 0.5


def test_what_is_expected_is_never_below_one_half(monkeypatch):
    monkeypatch.setattr(gain_constants, "EXPECTED_LINE", (0.8, -0.5, -0.1))
    monkeypatch.setattr(gain_constants, "EXPECTED_SPREAD", (0.0025, 0.01))
    found = expected_auc(0.8, 0.4, True)
    assert found.value == pytest.approx(0.5 + 0.5 * 0.3)
    assert found.error == pytest.approx(math.sqrt(0.0065))
    assert expected_auc(0.8, 1.0, True).value == pytest.approx(0.5 + 0.2 * 0.3)
    monkeypatch.setattr(gain_constants, "EXPECTED_LINE", (0.3, -0.5, 0.0))
    assert expected_auc(0.8, 1.0, False).value == 0.5


def test_without_noise_it_is_the_auc_of_the_rows():
    n1, n0, _ = histogram(1.0, seed=1)
    label = np.r_[np.ones(180), np.zeros(1620)]
    risk = np.r_[np.repeat(np.arange(24), n1.astype(int)), np.repeat(np.arange(24), n0.astype(int))]
    found = released_auc((n1, n0), 0.0, 1800, 0.1)
    assert found.value == pytest.approx(auc(label, risk))


def test_noise_draws_it_nowhere_and_the_error_is_right():
    """300 draws of rows and noise: mean within 3 errors of the mean, and errors within a fifth of the spread."""
    truth, found = auc(*_rows(1.0)), []
    rng = np.random.default_rng(5)
    for k in range(300):
        n1, n0, _ = histogram(1.0, seed=k)
        noisy = [n + 8 * rng.normal(size=24) for n in (n1, n0)]
        found.append(released_auc(noisy, 64.0, 1800, 0.1))
    values, errors = np.array([f.value for f in found]), np.array([f.error for f in found])
    assert abs(values.mean() - truth) < 3 * values.std() / math.sqrt(300)
    assert 0.8 < errors.mean() / values.std() < 1.25


def _rows(d, size=200_000):
    rng = np.random.default_rng(0)
    n1, n0, _ = histogram(d, size, size)
    draw = [rng.choice(24, size, p=n / n.sum()) for n in (n1, n0)]
    return np.repeat([1.0, 0.0], size), np.concatenate(draw)


def test_a_histogram_of_nobody_says_nothing():
    assert released_auc((np.zeros(24), np.zeros(24)), 1.0, 5, 0.1) is None


def test_log_loss_by_hand():
    """Two bins at .5 and .1 and a rate of .2: 10 of 20, and 8 of 80 default."""
    n1, n0, p = np.array([8.0, 10.0]), np.array([72.0, 10.0]), np.array([0.1, 0.5])
    gain = 8 * math.log(0.5) + 10 * math.log(2.5) + 72 * math.log(0.9 / 0.8) + 10 * math.log(0.5 / 0.8)
    found = log_loss_gain((n1, n0, p), 4.0, 100, 0.2)
    assert found.value == pytest.approx(gain / 100)
    noise = math.log(0.5) ** 2 + math.log(2.5) ** 2 + math.log(1.125) ** 2 + math.log(0.625) ** 2
    exact = log_loss_gain((n1, n0, p), 0.0, 100, 0.2)
    assert found.error**2 - exact.error**2 == pytest.approx(4 * noise / 100**2)


def test_the_more_precise_weighs_more():
    both = joined([Estimate(value=0.6, error=0.1), Estimate(value=0.9, error=0.2)])
    assert both.value == pytest.approx((0.6 * 4 + 0.9) / 5)
    assert both.error == pytest.approx(1 / math.sqrt(100 + 25))


@pytest.mark.parametrize(
    ("value", "error", "code"),
    [
        (0.599, 0.01, "card_worthless"),
        (0.601, 0.05, "card_doubtful"),
        (0.66, 0.05, "card_doubtful"),
        (0.67, 0.05, "card_worth"),
    ],
)
def test_thresholds(value, error, code):
    """A chance of one half at .60, of one in ten 1.28 errors above it."""
    assert judged(Estimate(value=value, error=error)).code == code


def said(card, counts, variance=1.0, sizes=SIZES):
    return verdict(card, sizes, rows=1800, recount=False, histogram=counts, variance=variance)


def test_a_good_card():
    found = said(Card(1.5), histogram(1.5))
    assert [f.code for f in found] == ["card_worth", "probabilities_better"]
    assert found[0].values["auc"] > 0.8
    assert all(sentence(f) for f in found)


def test_a_card_that_noise_made_worthless_is_published_as_such():
    """The points look strong on the counts that they were chosen on, the hold-out says that they rank nobody."""
    n1, n0, _ = histogram(0.1)
    p = histogram(2.0)[2]
    few = GainSizes(positives=100, mu=0.1, own=8, external=8, banks=1, held=180)
    found = said(Card(2.0), (n1, n0, p), variance=25.0, sizes=few)
    assert [f.code for f in found] == ["card_worthless", "card_fall_back", "probabilities_worse"]
    assert found[0].values["auc"] < LEAST_AUC
    assert "NOT WORTH USING" in sentence(found[0])
    assert "8 in place of 16" in sentence(found[1])
    assert "WORSE than quoting the default rate" in sentence(found[2])


def test_without_a_hold_out_the_spread_alone_speaks():
    found = said(Card(0.05), None)
    assert [f.code for f in found] == ["card_worthless", "card_fall_back"]


def test_without_noise_a_larger_epsilon_is_no_advice():
    sizes = GainSizes(positives=100, mu=math.inf, own=8, external=0, banks=2)
    found = verdict(Card(0.05), sizes, rows=1800, recount=False, histogram=None, variance=0.0)
    assert found[1].code == "card_fall_back_without_noise"
    assert "epsilon" not in sentence(found[1])
