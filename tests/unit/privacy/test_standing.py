"""Standing rules: each limit on its own, and never more than the limits together allow."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.policy import Policy
from fedrisk.privacy.standing import StandingRule, above, mu_of
from fedrisk.study import study_from
from fedrisk.study_sections import Privacy

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULE = {
    "study": "refit_*",
    "recipe": "scorecard",
    "purpose": "credit_scoring",
    "counterparties": ("bank", "power"),
    "max_epsilon": 1.0,
    "every": "28d",
    "until": date(2026, 12, 31),
}


def a_study(
    name="refit_2026", recipe="scorecard", purpose="credit_scoring", members=("bank", "tax"), **privacy
):
    roles = {"bank": "bank"}
    return study_from(
        {
            "name": name,
            "recipe": recipe,
            "purpose": purpose,
            "institutions": [{"name": m, "role": roles.get(m, "holder")} for m in members],
            "privacy": {"epsilon": 1.0, **privacy},
        }
    )


def missing(study, *, price=None, now=NOW, approved=(), **rule):
    made = StandingRule(**{**RULE, **rule})
    price = mu_of(study.privacy) if price is None else price
    return made.missing(study, "tax", price=price, now=now, approved=approved)


def test_a_study_within_all_limits_is_covered():
    assert missing(a_study()) == []
    assert missing(a_study(members=("bank", "tax", "power")), roles=("holder",)) == []


def test_a_rule_covers_the_label_that_it_names_and_default_alone_without_one():
    about = a_study().model_copy(update={"label": "distress"})
    assert any("label distress, not default" in said for said in missing(about))
    assert missing(about, label="distress") == []
    assert any("label default, not distress" in said for said in missing(a_study(), label="distress"))


def test_a_policy_may_name_the_labels_of_studies():
    about = a_study().model_copy(update={"label": "distress"})
    for policy, broken in (
        (Policy(), 0),
        (Policy(labels=("default",)), 1),
        (Policy(labels=("distress",)), 0),
    ):
        said = policy.broken(about, institution="tax", research=False)
        assert sum("policy.labels" in one for one in said) == broken


@pytest.mark.parametrize(
    ("study", "how", "why"),
    [
        (a_study(name="other"), {}, "name"),
        (a_study(name="refit"), {}, "name"),
        (a_study(recipe="network"), {}, "recipe"),
        (a_study(purpose="marketing"), {}, "purpose"),
        (a_study(members=("bank", "tax", "customs")), {}, "customs"),
        (a_study(), {"counterparties": ()}, "bank"),
        (a_study(epsilon=1.01), {}, "max_epsilon"),
        (a_study(epsilon=1.0, delta=1e-4), {}, "max_epsilon"),
        (a_study(epsilon=math.inf), {}, "max_epsilon"),
        (a_study(), {"price": mu_for(1.2, 1e-6)}, "costs epsilon 1.2"),
        (a_study(), {"price": math.inf}, "no price"),
        (a_study(), {"price": math.nan}, "no price"),
        (a_study(), {"now": datetime(2027, 1, 1, tzinfo=UTC)}, "until"),
        (a_study(), {"roles": ("bank",)}, "role holder"),
        (a_study(), {"approved": [NOW - timedelta(days=27.9)]}, "every"),
        (a_study(), {"approved": [NOW + timedelta(days=400)]}, "every"),
    ],
)
def test_each_limit_alone_keeps_a_study_out(study, how, why):
    (only,) = missing(study, **how)
    assert why in only


def test_the_pause_is_over_after_its_days():
    assert missing(a_study(), approved=[NOW - timedelta(days=28), NOW - timedelta(days=90)]) == []


def test_the_last_day_is_within():
    assert missing(a_study(), now=datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == []


@pytest.mark.parametrize("left_out", sorted(RULE))
def test_a_rule_names_every_limit(left_out):
    with pytest.raises(ValidationError, match=left_out):
        StandingRule(**{k: v for k, v in RULE.items() if k != left_out})


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": "0d"},
        {"every": "28"},
        {"every": "4w"},
        {"study": "Refit*"},
        {"max_epsilon": 101},
        {"more": 1},
    ],
)
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(ValidationError):
        StandingRule(**{**RULE, **wrong})


def test_rules_stand_in_the_policy():
    assert Policy().standing == ()
    assert Policy(standing=[RULE]).standing[0].pause == timedelta(days=28)


names = st.sampled_from(["refit_1", "refit_2", "other", "refit"])
members = st.lists(st.sampled_from(["bank", "power", "customs", "water"]), unique=True, min_size=1)


@given(
    name=names,
    recipe=st.sampled_from(["scorecard", "network"]),
    purpose=st.sampled_from(["credit_scoring", "marketing"]),
    others=members,
    epsilon=st.floats(0.01, 20),
    delta=st.sampled_from([1e-6, 1e-5, 1e-4, 1e-9]),
    price=st.floats(0, 10) | st.just(math.inf),
    days=st.integers(-400, 400),
    approved=st.lists(st.integers(-100, 100), max_size=4),
    limits=st.fixed_dictionaries(
        {
            "study": st.sampled_from(["refit_*", "*", "refit_?", "other"]),
            "recipe": st.sampled_from(["scorecard", "network"]),
            "counterparties": members,
            "max_epsilon": st.sampled_from([0.5, 1.0, 8.0]),
            "every": st.sampled_from(["1d", "28d", "90d"]),
            "roles": st.sampled_from([None, ("holder",), ("bank",)]),
        }
    ),
)
@example(
    name="refit_1", recipe="scorecard", purpose="credit_scoring", others=["bank"], epsilon=1.0, delta=1e-6,
    price=0.1, days=0, approved=[], limits={**RULE, "counterparties": ["bank"], "roles": None},
)  # fmt: skip
def test_what_breaks_a_limit_is_never_covered(
    name, recipe, purpose, others, epsilon, delta, price, days, approved, limits
):
    study = a_study(name, recipe, purpose, (*others, "tax"), epsilon=epsilon, delta=delta)
    now = NOW + timedelta(days=days)
    rule = StandingRule(**{**RULE, **limits})
    earlier = [now - timedelta(days=d) for d in approved]
    if rule.missing(study, "tax", price=price, now=now, approved=earlier):
        return
    # Written anew from the meaning of each limit.
    pattern = limits["study"]
    assert {"*": True, "refit_*": name.startswith("refit_"), "refit_?": name in ("refit_1", "refit_2")}.get(
        pattern, name == pattern
    )
    assert (recipe, purpose) == (limits["recipe"], "credit_scoring")
    assert set(others) <= set(limits["counterparties"])
    assert mu_for(epsilon, delta) <= mu_for(limits["max_epsilon"], 1e-6) * (1 + 1e-7)
    assert price <= mu_for(limits["max_epsilon"], 1e-6) * (1 + 1e-7)
    assert now.date() <= date(2026, 12, 31)
    assert all(d >= int(limits["every"][:-1]) for d in approved)
    assert limits["roles"] in (None, ("holder",))


@given(first=st.floats(0.05, 20), second=st.floats(0.05, 20), delta=st.sampled_from([1e-9, 1e-6, 1e-4]))
def test_above_goes_by_mu_whatever_the_delta(first, second, delta):
    assume(not math.isclose(mu_for(first, delta), mu_for(second, 1e-6), rel_tol=1e-6))
    assert above(Privacy(epsilon=first, delta=delta), second) == (mu_for(first, delta) > mu_for(second, 1e-6))
