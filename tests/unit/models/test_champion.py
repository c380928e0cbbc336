"""Champion: uses the external score and raw categories, refuses what it cannot use."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc
from fedrisk.models.champion import EXTERNAL_COLUMN, bank_alone, fit_champion

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
    assert 1 <= with_score.rounds <= 60
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


def test_bad_use_is_refused(data):
    x, y, external = data
    model = fit_champion(x, y, external, **FAST)
    with pytest.raises(DataError, match="external"):
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
    with pytest.raises(ConfigError):
        fit_champion(x.assign(**{EXTERNAL_COLUMN: 0.0}), y)
