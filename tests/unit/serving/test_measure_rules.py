"""Whether an institution takes part in a measure: its policy, its columns, and what two sums tell together."""

from fedrisk.data.dictionary import load_dictionary
from fedrisk.privacy.serving_policy import MeasureRule, ServingPolicy
from fedrisk.serving.measure_rules import broken_rules, rule_of
from fedrisk.serving.measures import Measure

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
    assert "omega, whose number would be the difference" in said
    assert broken(one, policy(), others=[one]) == []
    # The same institutions with other steps have no difference; other columns have nothing to do with it.
    assert broken(measure(name="exposure_again", step=2e4), policy(), others=[one]) == []
    assert broken(measure(members=BANKS, column="late"), policy(), others=[one]) == []


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
