"""Policy: each rule refuses on its own, several are named together, and the rest is allowed."""

import math

import pytest
from pydantic import ValidationError

from fedrisk.errors import PolicyError
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.policy import Policy
from fedrisk.study import study_from

BY_DATE = {"kind": "out_of_time", "from_date": "2025-01-01"}


def study(**parts):
    content = {
        "name": "s",
        "purpose": "credit_scoring",
        "privacy": {"epsilon": 1.0},
        "institutions": [{"name": "b1", "role": "bank"}],
    }
    return study_from({**content, **parts})


def two_banks(colluders):
    return study(
        institutions=[{"name": "b1", "role": "bank"}, {"name": "b2", "role": "bank"}],
        privacy={"epsilon": 1.0, "colluders": colluders},
    )


def refusal(policy, asked, *, research=False):
    with pytest.raises(PolicyError) as caught:
        policy.check(asked, institution="b1", research=research)
    assert caught.value.code == "refused"
    text = str(caught.value)
    assert text.startswith("b1 takes no part in study s: ")
    assert "Change the study, or the policy" in text
    return text


def test_a_plain_study_is_allowed_by_default():
    Policy().check(study(), institution="b1", research=False)


@pytest.mark.parametrize(
    ("policy", "asked", "research", "says"),
    [
        (Policy(), study(purpose="marketing"), False, "purpose marketing is not among policy.purposes"),
        (Policy(recipes=("other",)), study(), False, "recipe scorecard is not among policy.recipes"),
        (Policy(), study(), True, "policy.research is false"),
        (Policy(), study(privacy={"epsilon": 3.01}), False, "above policy.max_epsilon = 3"),
        (
            Policy(),
            study(privacy={"epsilon": 3.0, "delta": 1e-3}),
            False,
            "privacy.epsilon = 3 at delta 0.001 is epsilon 4.688 at delta 1e-06, which is above policy.max_epsilon = 3",
        ),
        (Policy(), study(holdout=BY_DATE), False, "policy.out_of_time is false"),
        (Policy(research=True), study(privacy={"epsilon": math.inf}), False, "research runs only"),
        (Policy(research=True), study(holdout={"seed": 1}), False, "holdout.seed draws a second hold-out"),
        (Policy(), two_banks(0), False, "privacy.colluders = 0 is below policy.least_colluders = 1"),
        (Policy(research=True), two_banks(0), True, "policy.least_colluders = 1"),
    ],
)
def test_each_rule_refuses_alone(policy, asked, research, says):
    text = refusal(policy, asked, research=research)
    assert says in text
    assert text.count(";") == (1 if "remove it" in text else 0)  # one rule, one reason


def test_all_broken_rules_are_named_together():
    text = refusal(Policy(), study(purpose="marketing", privacy={"epsilon": 5.0}, holdout={"seed": 2}))
    assert all(word in text for word in ("marketing", "max_epsilon", "holdout.seed"))


@pytest.mark.parametrize(
    ("policy", "asked", "research"),
    [
        (Policy(), study(privacy={"epsilon": 3.0}), False),  # the bound itself is allowed
        (Policy(research=True), study(privacy={"epsilon": math.inf}), True),
        (
            Policy(),
            study(privacy={"epsilon": 3.5, "delta": 1e-9}),
            False,
        ),  # less than epsilon 3 at delta 1e-6
        (Policy(research=True), study(holdout={"seed": 1}), True),
        (Policy(out_of_time=True), study(holdout=BY_DATE), False),
        (Policy(research=True), study(holdout=BY_DATE), True),
        (Policy(research=True), study(privacy={"epsilon": 50.0}), True),
        (Policy(), two_banks(1), False),
        (Policy(least_colluders=0), two_banks(0), False),
        (Policy(), study(privacy={"epsilon": 1.0, "colluders": 0}), False),  # one bank has no fellow banks
        (Policy(purposes=("a", "b")), study(purpose="b"), False),
    ],
)
def test_what_is_allowed(policy, asked, research):
    policy.check(asked, institution="b1", research=research)


def test_the_rule_on_dates_is_for_banks_whose_dates_they_are():
    asked = study(
        institutions=[{"name": "b1", "role": "bank"}, {"name": "tax", "role": "holder"}], holdout=BY_DATE
    )
    Policy().check(asked, institution="tax", research=False)
    refusal(Policy(), asked)


def test_the_cap_in_mu_reads_back_as_epsilon():
    assert epsilon_for(Policy(cap_epsilon=2.5).caps.limits().whole, 1e-6) == pytest.approx(2.5, rel=1e-9)


def test_the_default_cap_holds_twelve_studies_of_epsilon_one_and_not_thirteen():
    one = Policy(cap_epsilon=1.0).caps.limits().whole
    assert math.sqrt(12) * one <= Policy().caps.limits().whole < math.sqrt(13) * one


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_epsilon": 0},
        {"max_epsilon": math.inf},
        {"cap_epsilon": -1},
        {"cap_epsilon": 101},
        {"least_rows": 0},
        {"least_colluders": -1},
        {"scores": "exact"},
        {"reserch": True},
    ],
)
def test_a_malformed_policy_is_no_policy(wrong):
    with pytest.raises(ValidationError):
        Policy(**wrong)


def test_a_policy_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        Policy().research = True
