"""Worlds: shares of bins by class, sums over drawn rows, AUC, and correlations of the copula."""

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.worlds import (
    Column,
    World,
    added_world,
    class_shares,
    class_world,
    copula_correlation,
    hermite,
    logistic_world,
)

FLAG = Bins.public(Feature(institution="bank", column="a", kind="flag", missing=False))


def column(name: str, spread: float, bins: int = 8) -> Column:
    b = Bins(
        Feature(institution="bank", column=name, low=0, high=bins, missing=False),
        edges=tuple(float(k) for k in range(1, bins)),
    )
    curve = np.linspace(-1, 1, bins) * spread
    return Column(bins=b, curve=curve, weight=np.full(bins, 1 / bins))


def test_shares_of_a_flag_that_doubles_the_risk() -> None:
    found = Column(bins=FLAG, curve=np.log([1.0, 2.0]), weight=np.array([0.5, 0.5]))
    ones, zeros = class_shares(found, 0.03)
    assert ones == pytest.approx([1 / 3, 2 / 3])
    assert zeros == pytest.approx(np.array([0.49, 0.48]) / 0.97)


def test_an_auc_of_three_enterprises() -> None:
    world = World(
        bins=(FLAG,),
        codes=np.array([[0, 1, 1]]),
        positive=np.array([0.0, 0.5, 0.5]),
        negative=np.array([0.5, 0.5, 0.0]),
        rate=0.1,
    )
    # Half of the others lie below all defaults, half are level with them.
    assert world.auc(world.score([[0.0, 1.0]])) == pytest.approx(0.75)
    rows = world.rows(1000, np.random.default_rng(0))
    assert (rows.sum(1) == [100, 900]).all() and rows[0, 0] == 0
    assert world.counts(rows)[0].sum(0).tolist() == [100, 900]


@pytest.mark.parametrize("make", [class_world, logistic_world])
def test_both_kinds_have_the_curves_again(make) -> None:  # type: ignore[no-untyped-def]
    columns = [column("a", 0.6), column("b", 0.4)]
    bins = [c.bins for c in columns]
    both = np.array([[1.0, 0.5], [0.5, 1.0]])
    world = make(bins, columns, {}, both, 0.05, np.random.default_rng(1))
    for code, c in zip(world.codes, columns, strict=True):
        ones = np.bincount(code, world.positive, c.bins.size)
        all_shares = 0.05 * ones + 0.95 * np.bincount(code, world.negative, c.bins.size)
        risk = np.log(ones / all_shares)
        assert np.corrcoef(risk, c.curve)[0, 1] > 0.97
        assert np.ptp(risk) == pytest.approx(np.ptp(c.curve), rel=0.25)


def test_log_odds_of_parts_add_up_at_the_rate() -> None:
    columns = [column("a", 0.6), column("b", 0.4)]
    world = added_world([c.bins for c in columns], columns, {}, np.eye(2), 0.05, np.random.default_rng(1))
    score = world.score([c.curve for c in columns])
    odds = np.log(world.positive / world.negative)
    assert odds - score == pytest.approx(np.full(len(score), (odds - score)[0]))


def test_an_unknown_enterprise_is_in_the_last_bin() -> None:
    b = Bins(Feature(institution="tax", column="a", kind="flag", missing=False), edges=(0.5,), unknown=True)
    known = Column(bins=b, curve=np.zeros(2), weight=np.full(2, 0.5))
    world = class_world([b], [known], {"tax": 0.7}, np.eye(1), 0.1, np.random.default_rng(0))
    assert (world.codes[0] == 2).mean() == pytest.approx(0.3, abs=0.03)


def test_a_correlation_comes_back_through_the_copula() -> None:
    columns = [column("a", 0.6, 12), column("b", 0.4, 12)]
    a = np.stack([hermite(c) for c in columns])
    made = sum(0.6 ** (k + 1) * a[0, k] * a[1, k] for k in range(a.shape[1]))
    own = [float(c.weight @ c.curve**2) for c in columns]
    covariance = np.array([[own[0], made], [made, own[1]]])
    assert copula_correlation(covariance, columns)[0, 1] == pytest.approx(0.6, abs=1e-3)


def test_moments_that_contradict_one_another_leave_a_world_that_tells_something() -> None:
    """Two columns that are nearly one, of opposite strength: whole Newton steps ran away, and the AUC was near .5."""
    columns = [column("a", 1.2), column("b", 0.1), column("c", 0.6)]
    both = np.array([[1.0, 0.97, 0.9], [0.97, 1.0, 0.5], [0.9, 0.5, 1.0]])
    bins = [c.bins for c in columns]
    world = logistic_world(bins, columns, {}, both, 0.05, np.random.default_rng(0))
    assert world.auc(np.linspace(-1, 1, 8)[world.codes[0]]) > 0.65
