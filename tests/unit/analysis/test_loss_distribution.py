"""Drawn losses against what is known of them: mean, Vasicek's quantiles, the binomial's variance, the noise."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from fedrisk.analysis.loss_book import Book, Part, Sums
from fedrisk.analysis.loss_distribution import draw
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.errors import ConfigError


def rules(**model):
    return LossRules.model_validate(
        {
            "name": "r",
            "rest": "bank",
            "parties": [{"name": "bank"}],
            "segments": [{"name": "all", "layers": [{"shares": {"bank": 1.0}}]}],
            "model": model,
        }
    )


def lent(exposure, expected, error=0.0, loans=None):
    def sums(values, noise=0.0):
        figure = np.atleast_1d(np.array(values, float))
        return Sums(figure=figure, error=np.full(len(figure), noise), says=np.ones(len(figure), bool))

    found = {"exposure": sums(exposure), "expected_loss": sums(expected, error)}
    if loans is not None:
        found["enterprises"] = sums(loans)
    groups = len(found["exposure"].figure)
    parts = tuple(Part(title=f"s{k}", place=0) for k in range(groups))
    return Book(parts=(parts,), inside=(np.arange(groups),), sums=found, level=0.95)


def test_the_mean_is_the_expected_loss():
    drawn = draw(lent([1e12, 3e12], [2e10, 5e9], error=1e9), rules())
    assert drawn.losses.sum(axis=2).mean() == pytest.approx(2.5e10, rel=1e-9)
    assert drawn.expected.mean(axis=0) == pytest.approx([2e10, 5e9], rel=1e-3)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_many_loans_follow_vasicek(quantile):
    """Of infinitely many loans without noise, the quantile of the loss is known in closed form (Vasicek 2002)."""
    chance, rho, given = 0.02, 0.15, 0.4
    drawn = draw(lent(1e12, 1e12 * chance * given), rules(asset_correlation=rho, loss_given_default=given))
    known = ndtr((ndtri(chance) + np.sqrt(rho) * ndtri(quantile)) / np.sqrt(1 - rho)) * given * 1e12
    assert np.quantile(drawn.losses, quantile) == pytest.approx(known, rel=0.02)


def test_few_loans_without_a_common_factor_are_binomial():
    """100 loans whose sizes vary by their mean vary as 50 equal ones."""
    drawn = draw(lent(1e9, 1e9 * 0.1, loans=100), rules(asset_correlation=0.0, loss_given_default=1.0))
    assert drawn.losses.std() == pytest.approx(1e9 * np.sqrt(0.1 * 0.9 / 50), rel=0.02)


def test_noise_is_in_what_may_be_expected():
    drawn = draw(lent(1e12, 2e10, error=2e9), rules())
    assert drawn.expected.std() == pytest.approx(2e9, rel=0.06)


def test_the_same_seed_draws_the_same():
    book = lent([1e12, 3e12], [2e10, 5e9], error=1e9, loans=[50, 70])
    assert (draw(book, rules()).losses == draw(book, rules()).losses).all()


@pytest.mark.parametrize(
    ("book", "told"),
    [
        (lent(1e12, -5.0, error=10.0), "say less than their noise"),
        (lent(1e9, 1e9), "check that both sums are in one unit"),
    ],
)
def test_sums_that_cannot_be_are_refused(book, told):
    with pytest.raises(ConfigError, match=told):
        draw(book, rules())
