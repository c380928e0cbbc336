"""Means, differences and intervals of a sweep, by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from fedrisk.lab.summary import failures, mean_over_seeds, overlap_of, panels
from support import sweep_rows


@pytest.fixture(scope="module")
def table():
    return sweep_rows.rows()


def test_an_interval_is_that_of_student_and_wider_where_hold_outs_overlap():
    values = [0.70, 0.71, 0.75, 0.72]
    apart, shared = mean_over_seeds(values, 0.0), mean_over_seeds(values, 3 / 7)
    half = student.ppf(0.975, 3) * np.std(values, ddof=1)
    assert apart.high - apart.value == pytest.approx(half / 2)
    assert shared.value - shared.low == pytest.approx(half * math.sqrt(1 / 4 + 3 / 7))
    assert apart.seeds == 4


def test_the_interval_covers_over_independent_seeds():
    """Of 2,000 means of four, 95 % cover; fewer than 1,870 or more than 1,930 has a chance below 1e-3."""
    rng = np.random.default_rng(4)
    means = [mean_over_seeds(list(rng.normal(0.7, 0.02, 4)), 0.0) for _ in range(2000)]
    assert 1865 <= sum(m.low <= 0.7 <= m.high for m in means) <= 1935


def test_differences_are_taken_seed_by_seed(table):
    (panel,) = panels(table)
    card = panel.main[0]
    point = card.at(1.0)
    own = table[(table["model"] == "scorecard") & (table["epsilon"] == 1.0)].set_index("cell")["auc"]
    boosting = table[(table["model"] == "pooled boosting") & (table["epsilon"] == 1.0)].set_index("cell")[
        "auc"
    ]
    assert point.difference.value == pytest.approx((own - boosting).mean())
    # What seeds have in common is not in the difference.
    spread = point.figures["auc"].high - point.figures["auc"].low
    assert point.difference.high - point.difference.low < spread
    assert panel.named("pooled boosting").points[0].difference is None


def test_what_does_not_depend_on_epsilon_counts_each_seed_once(table):
    (panel,) = panels(table)
    boosting = panel.named("pooled boosting")
    assert boosting.flat and len(boosting.points) == 1
    assert boosting.points[0].figures["auc"].seeds == 3
    assert boosting.at(0.5) is boosting.at(math.inf)
    ebm = panel.named("DP-EBM")
    assert [p.epsilon for p in ebm.points] == [0.5, 1.0, 3.0] and ebm.at(math.inf) is None


def test_one_seed_has_the_interval_of_its_hold_out():
    (panel,) = panels(sweep_rows.rows(seeds=(1,)))
    found = panel.main[0].at(1.0)
    assert found.figures["auc"].holdout and found.figures["auc"].low is not None
    assert found.figures["calibration_slope"].low is None
    assert found.difference.low is None


def test_simulated_data_are_other_enterprises_at_each_seed():
    one = sweep_rows.rows(simulated=True, epsilons=(1.0,), baselines=())
    assert overlap_of(one) == 0.0
    same = sweep_rows.rows(epsilons=(1.0,), baselines=())
    assert overlap_of(same) == pytest.approx(9 / 21)
    # A table that is split among parties anew has other digests, and the same defaults.
    assert overlap_of(same.assign(data_digest=["a", "b", "c"])) == pytest.approx(9 / 21)


def test_series_are_told_apart_by_recipe_bins_and_institutions():
    table = sweep_rows.rows(
        recipes=("scorecard", "network"), bins=(None, 8), institutions=(None, 2), seeds=(1,), epsilons=(1.0,)
    )
    found = panels(table)
    assert [(p.data_set, p.institutions) for p in found] == [("default_credit", None), ("default_credit", 2)]
    assert [(s.recipe, s.bins) for s in found[0].main] == [
        ("scorecard", None),
        ("scorecard", 8),
        ("network", None),
        ("network", 8),
    ]


def test_the_epsilon_that_is_spoken_of_is_the_one_nearest_to_1():
    for epsilons, spoken in (((0.1, 0.5, 3.0), 0.5), ((0.1, 1.0, math.inf), 1.0), ((math.inf,), math.inf)):
        (panel,) = panels(sweep_rows.rows(epsilons=epsilons, seeds=(1,)))
        assert panel.headline_epsilon() == spoken


def test_failures_are_put_together_and_their_rows_count_nowhere(table):
    broken = table.copy()
    at = (broken["model"] == "scorecard") & (broken["epsilon"] == 0.5)
    figures = ["auc", "auc_low", "auc_high", "seconds", "rows_training"]
    broken.loc[at, figures] = np.nan
    broken.loc[at, "error"] = "budget"
    (failure,) = failures(broken)
    assert (failure.model, failure.error, failure.epsilons, failure.cells) == (
        "scorecard",
        "budget",
        (0.5,),
        3,
    )
    (panel,) = panels(broken)
    assert panel.main[0].at(0.5) is None and panel.main[0].at(1.0) is not None


def test_no_interval_of_an_auc_leaves_0_to_1():
    table = sweep_rows.rows(seeds=(1, 2))
    at = (table["model"] == "scorecard") & (table["seed"] == 1)
    table.loc[at, "auc"] = 0.95
    mean = panels(table)[0].main[0].at(1.0).figures["auc"]
    assert mean.high == 1.0 and mean.low == 0.0


def test_the_best_bank_alone_is_chosen_and_rows_of_all_seeds_are_told():
    table = sweep_rows.rows(simulated=True)
    assert panels(table)[0].best_alone().model == "bank alone, boosting"
    better = table[table["model"] == "bank alone, boosting"].assign(
        model="bank alone, binned logistic regression"
    )
    better["auc"] += 0.02
    (panel,) = panels(pd.concat([table, better], ignore_index=True))
    assert panel.best_alone().model == "bank alone, binned logistic regression"
    assert panel.rows == (30000, 30000)
    assert panel.defaults[1] - panel.defaults[0] == 2
