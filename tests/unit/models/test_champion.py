"""Boosting at one bank: uses what the consortium says and raw categories, predicts out of fold, bears any column."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc
from fedrisk.models.champion import bank_alone, fit_champion
from fedrisk.models.personal import FOLDS

pytestmark = pytest.mark.slow

FAST = {"max_rounds": 60}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    n = 3000
    sector = rng.choice(["a", "b", "c"], n)
    x = pd.DataFrame({"amount": rng.normal(0, 1, n), "sector": sector, "open": rng.random(n) < 0.5})
    x.loc[::17, "amount"] = np.nan
    x.loc[::19, "sector"] = None
    external = rng.normal(0, 1, n)
    z = -1.5 + 1.2 * (sector == "b") + 0.9 * external + 0.6 * x["amount"].fillna(0).to_numpy() ** 2
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return x, y, external


def test_external_score_helps_and_raw_columns_are_used(data):
    x, y, external = data
    half = len(x) // 2
    with_score = fit_champion(x[:half], y[:half], external[:half], **FAST)
    alone = bank_alone(x[:half], y[:half], **FAST)
    a = auc(y[half:], with_score.probability(x[half:], external[half:]))
    b = auc(y[half:], alone.probability(x[half:]))
    assert a > b + 0.03
    assert b > 0.6
    assert len(with_score.members) == FOLDS
    p = with_score.probability(x[half:], external[half:])
    assert p.mean() == pytest.approx(y[half:].mean(), abs=0.06)


def test_same_seed_same_model_and_unknown_categories_are_scored(data):
    x, y, external = data
    a = fit_champion(x, y, external, **FAST)
    b = fit_champion(x, y, external, **FAST)
    new = x.head(5).assign(sector="never seen")
    assert np.array_equal(a.probability(x, external), b.probability(x, external))
    assert np.isfinite(a.probability(new, external[:5])).all()


def test_column_order_does_not_matter(data):
    x, y, _ = data
    model = bank_alone(x, y, **FAST)
    assert np.array_equal(model.probability(x), model.probability(x[x.columns[::-1]]))


def test_rows_that_were_fitted_are_predicted_by_a_member_that_did_not_see_them(data):
    """Labels without any cause: a model that saw them ranks them well above chance, one that did not cannot."""
    x, _, _ = data
    y = (np.random.default_rng(1).random(len(x)) < 0.3).astype(int)
    model = bank_alone(x, y)
    assert auc(y, model.probability(x)) > 0.55
    assert abs(auc(y, model.held_out) - 0.5) < 0.06  # five standard errors of chance


@pytest.mark.sampled(3)
@pytest.mark.parametrize("values", ["nothing", "one", "no category", "constant", "infinite"])
def test_columns_without_use_harm_nothing(data, values):
    x, y, external = data
    n = len(x)
    column = {
        "nothing": np.full(n, np.nan),
        "one": np.r_[1.0, np.full(n - 1, np.nan)],
        "no category": np.full(n, None, dtype=object),
        "constant": np.ones(n),
        "infinite": np.full(n, np.inf),
    }[values]
    usual = fit_champion(x, y, external, **FAST)
    spoilt = fit_champion(x.assign(spoilt=column), y, external, **FAST)
    p = spoilt.probability(x.assign(spoilt=column), external)
    np.testing.assert_allclose(p, usual.probability(x, external), atol=0.05)
    alone = fit_champion(pd.DataFrame({"spoilt": column}), y, **FAST)
    assert np.isfinite(alone.held_out).all()


def test_no_name_of_a_column_is_reserved(data):
    x, y, external = data
    named = x.rename(columns={"amount": "external_score", "open": "0"})
    a, b = (fit_champion(t, y, external, **FAST).probability(t, external) for t in (x, named))
    np.testing.assert_array_equal(a, b)


def test_a_bank_with_no_columns_fits_on_what_it_is_told(data):
    x, y, external = data
    none = x[[]]
    assert auc(y, fit_champion(none, y, external, **FAST).held_out) > 0.6
    with pytest.raises(DataError, match="no column"):
        fit_champion(none, y)


def test_the_smallest_bank(data):
    x, _, external = data
    y = np.r_[np.ones(10), np.zeros(10)]
    assert np.isfinite(fit_champion(x[:20], y, external[:20]).probability(x, external)).all()


def test_bad_use_is_refused(data):
    x, y, external = data
    model = fit_champion(x, y, external, **FAST)
    with pytest.raises(DataError, match="consortium"):
        model.probability(x)
    with pytest.raises(DataError, match="absent"):
        model.probability(x[["amount"]], external)
    with pytest.raises(DataError):
        model.probability(x, external[:-1])
    with pytest.raises(DataError):
        fit_champion(x, np.full(len(x), 2))
    with pytest.raises(DataError):
        fit_champion(x, np.r_[1, np.zeros(len(x) - 1, dtype=int)])
    with pytest.raises(ConfigError):
        fit_champion(x, y, max_rounds=0)


def test_two_themes_tell_what_their_sum_hides():
    """Two parts that matter only together with the bank's own column, each the other way: the sum is useless there."""
    rng = np.random.default_rng(5)
    own = rng.integers(0, 2, 1600)
    power, tax = rng.normal(size=(2, 1600))
    risk = 1 / (1 + np.exp(1 - np.where(own == 1, 2 * (power - tax), 2 * (tax - power))))
    y, x = (rng.random(1600) < risk).astype(int), pd.DataFrame({"own": own})
    fit, held = np.arange(1600) < 1200, np.arange(1600) >= 1200
    area = {}
    for name, given in (("sum", power + tax), ("themes", np.stack([power + tax, power, tax], 1))):
        model = fit_champion(x[fit], y[fit], given[fit])
        area[name] = auc(y[held], model.probability(x[held], given[held]))
    assert area["themes"] > 0.8 > 0.65 > area["sum"]
