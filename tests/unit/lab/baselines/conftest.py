"""Rows of two banks and a holder, made up."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fedrisk.data.features import Feature
from fedrisk.lab.split import Split


def made_up(rows=700, seed=1):
    """Debts with a special code, a category with a value that no dictionary states, and a holder that knows a part."""
    rng = np.random.default_rng(seed)
    debt = np.exp(rng.normal(9, 1.5, rows))
    sales = rng.normal(0, 1, rows)
    grade = rng.choice(["A", "B", "C", "Z"], rows, p=[0.5, 0.3, 0.15, 0.05])
    worse = pd.Series(grade).map({"A": -0.5, "B": 0.0, "C": 1.0, "Z": 0.5}).to_numpy()
    late = rng.integers(0, 5, rows).astype(float)
    label = rng.random(rows) < expit(-1.6 + 0.8 * (np.log(debt) - 9) - 1.0 * sales + worse + 0.5 * late - 1)
    debt[rng.random(rows) < 0.1] = -9
    debt[rng.random(rows) < 0.1] = np.nan
    unknown = rng.random(rows) < 0.3
    frame = pd.DataFrame(
        {
            "bank.debt": debt,
            "bank.grade": pd.Series(grade, dtype=object).mask(rng.random(rows) < 0.05),
            "bank.late": late,
            "tax.sales": np.where(unknown, np.nan, sales),
            "tax.audited": np.where(unknown, np.nan, (rng.random(rows) < 0.2).astype(float)),
        }
    )
    features = (
        Feature(institution="bank", column="debt", low=0, high=1e7, grid="log", special=(("-9", "none"),)),
        Feature(institution="bank", column="grade", kind="category", bins=("A", "B", "C")),
        Feature(institution="bank", column="late", bins=(0.5, 1.5, 3.5)),
        Feature(institution="tax", column="sales", low=-3, high=3, missing=False),
        Feature(institution="tax", column="audited", kind="flag"),
    )
    return Split(
        frame=frame,
        label=label.astype(float),
        training=rng.random(rows) < 0.7,
        bank=np.where(rng.random(rows) < 0.6, "alfa", "beta").astype(str),
        features=features,
    )


@pytest.fixture(scope="session")
def split():
    return made_up()
