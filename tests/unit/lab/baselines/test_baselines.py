"""What every baseline keeps to: probabilities, seeds, no look at the hold-out's labels, private ones none at its rows."""

import math
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from fedrisk.lab.baselines import baselines
from fedrisk.lab.baselines.measured import measured
from fedrisk.lab.split import Baseline
from fedrisk.metrics import auc
from fedrisk.privacy.accounting import mu_for

NAMES = list(baselines())


SLOW = ("pooled WoE scorecard", "DP logistic regression")
"""Their packages take seconds to load."""


@pytest.fixture(scope="module")
def fitted(split):
    """By name, the probabilities of a baseline at epsilon 3; no warning of a leak may come."""

    @cache
    def of(name):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*[Pp]rivacy.*")
            return baselines()[name].fit(split, 3.0, 1e-6, 1)

    return of


def params(*late):
    return [pytest.param(n, marks=pytest.mark.long) if n in late else n for n in NAMES]


@pytest.mark.parametrize("name", params(*SLOW))
def test_probabilities_that_rank(name, fitted, split):
    p = fitted(name)
    assert p.shape == split.label.shape
    assert ((p >= 0) & (p <= 1)).all()
    held = ~split.training
    assert auc(split.label[held], p[held]) > 0.58


@pytest.mark.parametrize("name", params(*SLOW))
def test_the_hold_out_teaches_nothing_and_a_second_run_is_the_same(name, fitted, split):
    """Other labels and strange values in the hold-out leave training rows' probabilities as they were, to the bit."""
    held, frame = ~split.training, split.frame.copy()
    frame.loc[held, "bank.debt"] *= 3
    frame.loc[held, "tax.sales"] = 2.9
    frame.loc[held, "bank.grade"] = "Q"
    other = replace(split, frame=frame, label=np.where(held, 1 - split.label, split.label))
    again = baselines()[name].fit(other, 3.0, 1e-6, 1)
    assert np.array_equal(again[split.training], fitted(name)[split.training])


@pytest.mark.parametrize(
    "name", [n for n, b in baselines().items() if b.at_epsilon and n != "DP logistic regression"]
)
def test_noise_follows_epsilon_and_seed(name, split, fitted):
    fit = baselines()[name].fit
    held = ~split.training
    assert not np.array_equal(fit(split, 3.0, 1e-6, 2), fitted(name))
    clear = auc(split.label[held], fit(split, math.inf, 1e-6, 1)[held])
    tiny = [auc(split.label[held], fit(split, 0.05, 1e-6, seed)[held]) for seed in (1, 2)]
    assert clear > 0.7 > np.mean(tiny)


def test_what_each_protects():
    found = baselines()
    assert {n for n, b in found.items() if b.private} == {
        "DP-EBM",
        "DP logistic regression",
        "DP naive scorecard",
    }
    assert [n for n, b in found.items() if b.label_private] == ["randomised labels, boosting"]


def test_a_measured_baseline_fills_a_row(split):
    found = measured(baselines()["DP naive scorecard"], split, epsilon=1.0, delta=1e-6, seed=1)
    assert found["mu"] == mu_for(1.0, 1e-6) and found["private"]
    assert found["rows_training"] + found["rows_holdout"] == len(split.label)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert "error" not in found


def test_a_missing_package_is_said_and_nothing_is_fitted(split):
    absent = Baseline(name="x", private=False, needs=("no_such_package",), fit=lambda *a: 1 / 0)
    found = measured(absent, split, epsilon=1.0, delta=1e-6, seed=1)
    assert found["error"] == "package: no_such_package" and "auc" not in found


def test_a_bank_alone_knows_its_own_rows_and_columns_only(split):
    fit = baselines()["bank alone, boosting"].fit
    alone = fit(split, 1.0, 1e-6, 1)
    alfa = split.bank == "alfa"
    frame = split.frame.copy()
    frame.loc[~alfa, "bank.debt"] = 7.0
    frame["tax.sales"] = 0.0
    assert np.array_equal(fit(replace(split, frame=frame), 1.0, 1e-6, 1)[alfa], alone[alfa])


def test_a_bank_without_defaults_gives_everybody_its_rate(split):
    label = np.where(split.bank == "beta", 0.0, split.label)
    found = baselines()["bank alone, boosting"].fit(replace(split, label=label), 1.0, 1e-6, 1)
    beta = split.bank == "beta"
    n = (beta & split.training).sum()
    assert found[beta] == pytest.approx(0.5 / (n + 1))


def test_private_models_see_only_public_places(split):
    """Values beyond the bounds count as the bounds, so that no row moves the scale."""
    frame = split.frame.copy()
    at = frame.index[split.training & (frame["bank.debt"] > 0)][:1]
    found = []
    for debt in (1e7, 1e12):
        frame.loc[at, "bank.debt"] = debt
        fit = baselines()["DP-EBM"].fit
        found.append(fit(replace(split, frame=frame), 1.0, 1e-6, 1))
    assert np.array_equal(*found)


def test_columns_may_be_strings_of_pandas(split, fitted):
    frame = split.frame.assign(
        **{"bank.grade": split.frame["bank.grade"].astype(pd.StringDtype(na_value=np.nan))}
    )
    for name in ("pooled boosting", "pooled binned logistic regression", "DP naive scorecard"):
        assert np.allclose(baselines()[name].fit(replace(split, frame=frame), 3.0, 1e-6, 1), fitted(name))
