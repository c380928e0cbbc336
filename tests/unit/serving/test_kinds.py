"""What a question may ask of a score or an index: purposes, lists, months, agents, and what is counted of each."""

from types import SimpleNamespace

import pytest

from fedrisk.privacy.policy import Policy
from fedrisk.privacy.serving_policy import MONITORING, OWN_INFORMATION, ServingPolicy
from fedrisk.serving.kinds import KINDS
from fedrisk.serving.messages import Asked

SCORE = KINDS["scorecard"]
NOW = 1_780_000_000.0
BOTH = ("credit_scoring", MONITORING)
REACH = SimpleNamespace(months_back=lambda columns: 17)
"""Histories that reach back so many months."""


def asked(purpose="credit_scoring", **more):
    fields = {"id": "0" * 32, "model": "0" * 16, "asker": "alfa", "made": int(NOW), "epoch": "2026W22"}
    return Asked(**fields, keys={"tax": "0" * 64}, purpose=purpose, ids=("A",), consents=("",), **more)


def part(index=True, purpose="credit_scoring", **more):
    served = SimpleNamespace(moving=(), still=()) if index else None
    return SimpleNamespace(banks=("alfa",), holders=("tax",), purpose=purpose, index=served, sums=(), **more)


def policy(purposes=BOTH, **serving):
    return Policy(purposes=purposes, serving=ServingPolicy(**serving))


def test_loans_that_run_are_not_allowed_until_a_policy_says_a_number_and_names_the_purpose():
    question = asked(MONITORING)
    assert ServingPolicy().monitoring == 0 and ServingPolicy().consent_for(MONITORING) == "token"
    assert SCORE.refused(question, part(), policy()) == "purpose"
    assert SCORE.refused(question, part(), policy(purposes=("credit_scoring",), monitoring=9)) == "purpose"
    named = policy(monitoring=9, purposes=BOTH).model_copy(
        update={"serving": ServingPolicy(monitoring=9, purposes=("credit_scoring",))}
    )
    assert SCORE.refused(question, part(), named) == "purpose"
    assert SCORE.refused(question, part(), policy(monitoring=9)) == ""


def test_a_list_that_a_bank_looks_through_is_none_of_loans_that_run():
    """Its own limit, 0 by default, and its consents were passed by under the other purpose."""
    rules = policy(monitoring=9, monitoring_consent="none", screening=0)
    assert SCORE.refused(asked(MONITORING, screening=True), part(), rules) == "purpose"
    (per_day, screening) = SCORE.limits(asked(screening=True), part(), rules, NOW)
    assert (per_day.what, screening.what, screening.most) == ("scores", "screening", 0)


@pytest.mark.parametrize(
    ("purpose", "months", "given"),
    [("credit_scoring", 1, 1), ("credit_scoring", 18, 12), (MONITORING, 18, 1), (MONITORING, 1, 1)],
)
def test_months_of_an_index_need_the_consent_of_its_own_purpose(purpose, months, given):
    rules = policy(monitoring=9, monitoring_consent="none", index_months=12)
    question = asked(purpose, months=months)
    assert SCORE.refused(question, part(), rules) == ""
    assert SCORE.months(question, part(), rules, REACH) == given
    assert SCORE.months(question, part(index=False), rules, REACH) == 1
    what = "monitoring" if purpose == MONITORING else "scores"
    assert [limit.what for limit in SCORE.limits(question, part(), rules, NOW)] == [what]


def test_only_an_index_has_months():
    assert SCORE.refused(asked(months=2), part(index=False), policy()) == "form"
    assert SCORE.refused(asked(months=2), part(), policy()) == ""
    assert SCORE.refused(asked(row_of=(0,)), part(), policy()) == "form"


@pytest.mark.parametrize(
    ("purpose", "more", "code"),
    [
        (OWN_INFORMATION, {}, ""),
        (OWN_INFORMATION, {"months": 18}, ""),
        (OWN_INFORMATION, {"screening": True}, "form"),
        ("credit_scoring", {}, "purpose"),
        (MONITORING, {}, "purpose"),
    ],
)
def test_an_agent_asks_for_own_information_and_nothing_else(purpose, more, code):
    rules = policy(monitoring=9, monitoring_consent="none", agents=("service",))
    question = asked(purpose, **more).model_copy(update={"asker": "service"})
    assert SCORE.refused(question, part(), rules) == code


def test_an_index_tells_nothing_of_how_old_records_are():
    """The numbers of a month and no more: each further one would be bits that nobody shows."""
    rules = policy(ages="always", index_months=3)
    assert list(SCORE.columns(part(), rules, 2)) == ["points", "points_ago_1"]
    assert {"fresh", "aging", "old", "missing"} <= set(SCORE.columns(part(index=False), rules, 1))


def test_a_bank_does_not_ask_as_an_agent():
    """It would be asked for less by a policy that takes banks' words: its own purposes are its own."""
    rules = policy(purposes=(*BOTH, OWN_INFORMATION), agents=("alfa",))
    assert SCORE.refused(asked(OWN_INFORMATION), part(), rules) == "purpose"


def test_a_measure_has_no_consents_of_its_own_for_loans_that_run():
    rules = ServingPolicy(monitoring=9, monitoring_consent="none")
    assert rules.consent_for(MONITORING) == "none"
    assert rules.consent_for(MONITORING, scores=False) == "token"
