"""Whether an institution takes part in a measure: its policy, its columns, and what two sums tell together."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.privacy.serving_policy import MeasureRule, ServingPolicy
from fedrisk.serving.current import Found
from fedrisk.serving.measure_rules import broken_rules, rule_of
from fedrisk.serving.measures import Measure, columns_of_measure

BANKS = ("alfa", "beta", "gamma", "delta", "omega")
NUMBER = {"kind": "number", "meaning": "m", "low": 0, "high": 1e9}
DICTIONARY = load_dictionary(
    {
        "id": "id",
        "columns": [
            {"name": "exposure", **NUMBER},
            {"name": "trades", **NUMBER, "special": {"-9": "no record"}},
            {"name": "branch", "kind": "category", "meaning": "m", "categories": ["a", "b"]},
            {"name": "late", "kind": "flag", "meaning": "m"},
        ],
    }
)


def policy(**rule):
    return ServingPolicy(measures=(MeasureRule(**{"measure": "exposure*", "banks": BANKS, **rule}),))


def measure(members=BANKS[:4], column="exposure", **changes):
    content = {
        "name": "exposure_elsewhere",
        "kind": "sum",
        "meaning": "m",
        "purpose": "credit_scoring",
        "banks": ("alfa",),
        "high": 1e8,
        "step": 1e4,
        "terms": [{"member": m, "column": column} for m in members],
        **changes,
    }
    return Measure.model_validate(content)


def broken(m, rules, *, others=(), dictionary=DICTIONARY, me="beta"):
    return broken_rules(m.part(me, "bank"), rules, dictionary, [o.part(me, "bank") for o in others])


def test_one_that_fits_breaks_nothing():
    assert broken(measure(), policy()) == []


def test_a_bank_that_only_asks_has_nothing_to_look_at():
    m = measure(members=BANKS[1:])
    assert broken(m, ServingPolicy(), me="alfa") == []
    assert broken(m, ServingPolicy(), me="zeta") != []


def test_a_rule_for_the_measure_and_its_bank_is_needed():
    (said,) = broken(measure(), ServingPolicy())
    assert "allows alfa to ask" in said
    (said,) = broken(measure(banks=("alfa", "zeta")), policy())
    assert "allows zeta to ask" in said
    assert broken(measure(name="other"), policy()) != []


def test_enough_must_be_behind_a_sum():
    (said,) = broken(measure(members=BANKS[:3]), policy())
    assert "2 institutions answer when alfa asks" in said
    assert broken(measure(members=BANKS[:3]), policy(least_members=2)) == []


def test_a_column_that_can_be_summed():
    assert "not in the dictionary" in broken(measure(column="gone"), policy())[0]
    assert "not in the dictionary" in broken(measure(), policy(), dictionary=None)[0]
    assert "special codes" in broken(measure(column="trades"), policy())[0]
    assert "is a category" in broken(measure(column="branch"), policy())[0]
    assert broken(measure(column="late"), policy()) == []


def test_two_sums_whose_difference_is_somebodys_number():
    one, more = measure(), measure(members=BANKS, name="exposure_more")
    (said,) = broken(more, policy(), others=[one])
    assert "omega, whose number may be the difference" in said
    assert broken(one, policy(), others=[one]) == []
    # The same institutions with other steps have no difference; other columns have nothing to do with it.
    assert broken(measure(name="exposure_again", step=2e4), policy(), others=[one]) == []
    assert broken(measure(members=BANKS, column="late"), policy(), others=[one]) == []


NINE = tuple(f"lender_{k}" for k in range(9))


def test_sums_that_are_far_apart_open_one_figure_together():
    """Four sums, each three members or more from every other: the first three less twice the last are 3 - 2 = 1 times
    beta's figure, whatever the nine others have."""
    x, y, z = NINE[:3], NINE[3:6], NINE[6:]
    groups = [x + y, y + z, x + z, x + y + z]
    figures = dict(zip(("beta", *NINE), (70, 1, 2, 3, 5, 8, 13, 21, 34, 55), strict=True))
    sums = [sum(figures[m] for m in ("beta", *group)) for group in groups]
    assert sum(sums[:3]) - 2 * sums[3] == figures["beta"]
    measures = [measure(members=("beta", *group), name=f"exposure_{k}") for k, group in enumerate(groups)]
    for k, m in enumerate(measures):
        assert bool(broken(m, policy(), others=measures[:k])) == bool(k)


def index(**changes):
    """An index of three; changes: of beta's term."""
    how = {"column": "exposure", "weight": 1.0, "mean": 0.0, "deviation": 10.0}
    terms = [{"member": m, **how, **(changes if m == "beta" else {})} for m in ("beta", "gamma", "delta")]
    kind = {"kind": "index", "high": None, "step": 0.01, "clip": 3.0, "name": f"exposure_{len(changes)}"}
    return measure(terms=terms, **kind)


@pytest.mark.parametrize("change", [{"weight": 2.0}, {"mean": 5.0}, {"deviation": 20.0}])
def test_two_indices_over_the_same_institutions_with_another_weight_or_mean(change):
    """The difference of both depends on beta's figure alone."""
    one, other = index(), index(**change)
    row = pd.DataFrame({"exposure": [12.0, 7.0]})
    told = {}
    for m in (one, other):
        for who in ("beta", "gamma", "delta"):
            found = Found(row, np.ones(2, bool), np.full(2, np.datetime64("2026-11-20")), np.zeros(2, bool))
            part = columns_of_measure(m.part(who, "bank"), found, today=date(2026, 11, 26))
            told[m.id, who] = part["sum"].tolist()
    assert told[one.id, "beta"] != told[other.id, "beta"]
    assert all(told[one.id, who] == told[other.id, who] for who in ("gamma", "delta"))
    (said,) = broken(other, policy(), others=[one])
    assert "beta, whose number may be the difference" in said


def test_two_ratios_of_the_same_columns_with_another_range():
    def ratio(low):
        terms = [
            {"member": "beta", "column": "exposure", "low": low, "high": 1e6},
            {"member": "gamma", "column": "exposure", "low": 1.0, "high": 1e6},
        ]
        return measure(kind="ratio", high=None, step=0.01, name=f"exposure_{low:.0f}", terms=terms)

    rules = policy(least_members=2)
    assert broken(ratio(1.0), rules) == []
    (said,) = broken(ratio(100.0), rules, others=[ratio(1.0)])
    assert "beta, whose number" in said


def test_one_sum_in_two_forms_has_one_range_and_one_age():
    one = measure()
    related = {"kind": "related", "most_related": 5, "name": "exposure_related"}
    assert broken(measure(**related), policy(), others=[one]) == []
    assert broken(measure(kind="count", high=None, step=None), policy(), others=[one]) == []
    (said,) = broken(measure(high=5e7, name="exposure_half"), policy(), others=[one])
    assert "clips it otherwise" in said
    (said,) = broken(measure(fresh_days=31, **related), policy(), others=[one])
    assert "other fresh_days" in said


def test_the_first_rule_that_fits_holds():
    rules = ServingPolicy(
        measures=(
            MeasureRule(measure="exposure_here", banks=("alfa",), per_month=5),
            MeasureRule(measure="*", banks=("alfa", "beta"), per_month=7),
        )
    )
    assert rule_of(rules, "exposure_here", "alfa").per_month == 5
    assert rule_of(rules, "exposure_here", "beta").per_month == 7
    assert rule_of(rules, "exposure_there", "gamma") is None
