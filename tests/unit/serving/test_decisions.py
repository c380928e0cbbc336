"""Advice: figures by hand, what a person looks at, and that worse risk never gets a better offer."""

import dataclasses
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError, DataError
from fedrisk.serving.decision_table import ORDER, POINTS, Decisions
from fedrisk.serving.decisions import NOTICE, RULES, Case, advise

LOAN = {
    "name": "loan",
    "currency": "CNY",
    "least": 10_000,
    "most": 1_000_000,
    "step": 1_000,
    "least_months": 6,
    "most_months": 24,
    "lgd": 0.5,
    "funding": 0.02,
    "operating": 0.01,
    "floor": 0.04,
    "cap": 0.10,
    "green": {"discount": 0.005},
    "grades": [
        {"grade": "A", "decision": "accept", "most": 1_000_000, "share": 0.3, "margin": 0.005},
        {"grade": "B", "decision": "accept", "most": 500_000, "share": 0.2, "margin": 0.01},
        {"grade": "C", "decision": "refer", "most": 100_000, "share": 0.1, "margin": 0.03},
        {"grade": "D", "decision": "decline"},
    ],
}
LEASE = {k: v for k, v in LOAN.items() if k not in ("green", "floor")} | {
    "name": "lease",
    "green": {"discount": 0.002, "measure": "carbon", "at_most": 0.8},
    "exposure": "owed",
}
TABLE = Decisions.model_validate(
    {
        "grades": [
            {"name": "A", "up_to": 0.01},
            {"name": "B", "up_to": 0.04},
            {"name": "C", "up_to": 0.2},
            {"name": "D", "up_to": 1},
        ],
        "refer": {"missing": 2, "old": 1},
        "reasons": {"use": "high use of limits", "external data": "data of others"},
        "products": [LOAN, LEASE],
    }
)
BASE = Case(product="loan", probability=0.03, turnover=2_000_000, months=12)


def ask(**changes):
    return advise(TABLE, dataclasses.replace(BASE, **changes))


def parts(advice):
    return {p.name: p.rate for p in advice.parts}


# --- by hand ------------------------------------------------------------------------------------------------


def test_an_accepted_loan_by_hand():
    """.02 + .01 + .03 x .5 + .01 = .055; a fifth of two million."""
    found = ask(amount=400_000)
    assert (found.decision, found.grade, found.limit, found.rate) == ("accept", "B", 400_000, 0.055)
    assert parts(found) == {"funding": 0.02, "operating": 0.01, "expected_loss": 0.015, "margin": 0.01}
    assert (found.rule, found.rules, found.reasons) == ("grade", ("grade",), ())
    assert found.notice == NOTICE and found.currency == "CNY" and found.months == 12


def test_the_floor_by_hand():
    """.02 + .01 + 0 + .005 is .035, and no loan is below .04."""
    found = ask(probability=0.0)
    assert found.rate == 0.04
    assert parts(found)["floor"] == 0.005


def test_the_cap_by_hand():
    """.02 + .01 + .12 x .5 + .03 is .12; the cap takes .02 of the margin."""
    found = ask(probability=0.12)
    assert (found.decision, found.rate, found.limit) == ("refer", 0.10, 100_000)
    assert parts(found)["cap"] == -0.02 and found.rules == ("grade",)


def test_cost_above_the_cap_is_no_offer():
    """.02 + .01 + .15 x .5 = .105 is above .10: whatever the margin, a loss."""
    found = ask(probability=0.15)
    assert (found.decision, found.rate, found.parts) == ("refer", None, ())
    assert found.rules == ("grade", "cap")


def test_a_shorter_term_by_hand():
    """1 - (1 - .0199)^.5 = .01 in half a year, so .02 a year, half of it lost."""
    assert parts(ask(probability=0.0199, months=6))["expected_loss"] == 0.01


def test_green_by_the_loan_system():
    assert ask(green=True).rate == 0.05
    assert parts(ask(green=True))["green"] == -0.005


@pytest.mark.parametrize(
    ("measures", "off"), [({"carbon": 0.8}, True), ({"carbon": 0.81}, False), ({}, False)]
)
def test_green_by_a_measure(measures, off):
    found = ask(product="lease", measures={"owed": 0.0, **measures}, green=True)
    assert ("green" in parts(found)) is off
    assert found.rate == (0.053 if off else 0.055)


def test_what_other_banks_lent_is_taken_off_the_limit():
    assert ask(product="lease", measures={"owed": 150_500.0}).limit == 249_000
    assert ask(product="lease", measures={"owed": 5e6}).limit == 0


def test_limits_are_rounded_down_and_never_a_step_too_low():
    assert ask(turnover=1_004_999).limit == 200_000
    assert ask(turnover=1_005_000).limit == 201_000
    assert ask(probability=0.005, turnover=1_000_000).limit == 300_000


# --- what a person looks at ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"probability": None}, ("no_score",)),
        ({"missing": 2}, ("missing",)),
        ({"old": 1}, ("old",)),
        ({"missing": 3, "old": 1, "probability": 0.1}, ("missing", "old", "grade")),
        ({"months": 25}, ("term",)),
        ({"months": 5}, ("term",)),
        ({"turnover": None}, ("turnover",)),
        ({"turnover": 40_000}, ("limit",)),
        ({"turnover": 0}, ("limit",)),
        ({"amount": 400_001}, ("amount",)),
        ({"amount": 9_999}, ("amount",)),
        ({"product": "lease"}, ("exposure",)),
        ({"probability": 0.1}, ("grade",)),
        ({"probability": 0.5, "old": 1}, ("old", "grade")),
    ],
)
def test_referred(changes, rules):
    found = ask(**changes)
    assert (found.decision, found.rules, found.rule) == ("refer", rules, rules[0])


@pytest.mark.parametrize(
    "changes", [{"missing": 1}, {"missing": None, "old": None}, {"amount": 10_000}, {"months": 24}]
)
def test_not_referred(changes):
    assert ask(**changes).decision == "accept"


def test_ages_that_are_withheld_can_be_a_reason():
    table = TABLE.model_copy(update={"refer": TABLE.refer.model_copy(update={"withheld": True})})
    assert advise(table, dataclasses.replace(BASE, old=None)).rules == ("withheld",)
    assert advise(table, BASE).decision == "accept"


def test_only_a_grade_declines():
    found = ask(probability=0.3)
    assert (found.decision, found.rules, found.limit, found.rate) == ("decline", ("grade",), None, None)


# --- reasons ------------------------------------------------------------------------------------------------


def test_reasons_are_in_the_banks_words():
    found = ask(probability=0.3, reasons=("use", "external data", "term (no record)"))
    assert found.reasons == ("high use of limits", "data of others", "term (no record)")


def test_at_most_four_reasons():
    found = ask(probability=0.3, old=1, reasons=("a", "b", "a", "c", "d", "e"))
    assert found.reasons == (RULES["old"], "a", "b", "c")


def test_reasons_of_the_score_are_told_where_the_score_is_why():
    asked = {"reasons": ("use",)}
    assert ask(amount=400_001, **asked).reasons == (RULES["amount"], "high use of limits")
    assert ask(old=1, **asked).reasons == (RULES["old"],)
    assert ask(probability=0.005, amount=900_000, **asked).reasons == (RULES["amount"],)
    assert ask(probability=0.3).reasons == (RULES["grade"],)


def test_the_bank_has_its_own_words_for_rules():
    table = TABLE.model_copy(update={"rules": {"old": "data too old"}})
    assert advise(table, dataclasses.replace(BASE, old=1)).reasons == ("data too old",)


# --- input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"probability": float("nan")},
        {"probability": -0.1},
        {"probability": 1.1},
        {"amount": float("inf")},
        {"amount": -1},
        {"turnover": float("nan")},
        {"months": 0},
        {"missing": -1},
        {"measures": {"owed": float("nan")}},
    ],
)
def test_numbers_that_cannot_be(changes):
    with pytest.raises(DataError) as caught:
        ask(**changes)
    assert next(iter(changes)).removesuffix("s") in str(caught.value)


def test_a_product_that_is_not_there():
    with pytest.raises(ConfigError, match='did you mean "loan"'):
        ask(product="laon")


def test_as_json():
    found = json.loads(json.dumps(ask(probability=0.1).to_dict()))
    assert found["decision"] == "refer" and found["parts"][0] == {"name": "funding", "rate": 0.02}


# --- properties ---------------------------------------------------------------------------------------------

PROBABILITY = st.floats(0, 1) | st.sampled_from([0.01, 0.04, 0.2, 0.0, 1.0])
CASES = st.builds(
    Case,
    product=st.sampled_from(["loan", "lease"]),
    probability=PROBABILITY,
    amount=st.none() | st.floats(0, 2e6),
    months=st.none() | st.integers(1, 30),
    turnover=st.none() | st.floats(0, 1e7),
    missing=st.none() | st.integers(0, 3),
    old=st.none() | st.integers(0, 2),
    green=st.booleans(),
    measures=st.dictionaries(st.sampled_from(["owed", "carbon"]), st.floats(0, 1e6)),
    reasons=st.just(("use", "external data")),
)


@st.composite
def tables(draw):
    """Any table that is taken, of up to four grades."""
    cuts = sorted(draw(st.sets(st.floats(0.001, 0.5), max_size=3)))
    names = "ABCD"[: len(cuts) + 1]
    decisions = sorted(
        draw(st.lists(st.sampled_from(list(ORDER)), min_size=len(names), max_size=len(names))), key=ORDER.get
    )
    mosts = sorted((draw(st.integers(1_000, 1_000_000)) for _ in names), reverse=True)
    shares = sorted((draw(st.floats(0.01, 1)) for _ in names), reverse=True)
    margins = sorted(draw(st.integers(60, 500)) / POINTS for _ in names)
    rules = [
        {"grade": n, "decision": d} | ({} if d == "decline" else {"most": m, "share": s, "margin": g})
        for n, d, m, s, g in zip(names, decisions, mosts, shares, margins, strict=True)
    ]
    product = LEASE | {"least": 1_000, "grades": rules, "cap": draw(st.sampled_from([0.1, 0.5, 1.0]))}
    content = {
        "grades": [{"name": n, "up_to": u} for n, u in zip(names, [*cuts, 1.0], strict=True)],
        "products": [product, product | {"name": "loan", "exposure": None, "green": {"discount": 0.005}}],
    }
    try:
        return Decisions.model_validate(content)
    except ValueError:
        assume(False)


@settings(max_examples=150, deadline=None)
@given(st.just(TABLE) | tables(), CASES, PROBABILITY)
def test_a_worse_probability_never_gets_a_better_offer(table, case, other):
    low, high = sorted((case.probability, other))
    better, worse = (advise(table, dataclasses.replace(case, probability=p)) for p in (low, high))
    assert ORDER[worse.decision] >= ORDER[better.decision]
    assert (worse.limit or 0) <= (better.limit or 0)
    if worse.rate is not None:
        assert better.rate is not None and better.rate <= worse.rate


@settings(max_examples=150, deadline=None)
@given(st.just(TABLE) | tables(), CASES)
def test_parts_add_up_and_bounds_hold(table, case):
    found = advise(table, case)
    product = next(p for p in table.products if p.name == case.product)
    if found.rate is not None:
        points = {p.name: round(p.rate * POINTS) for p in found.parts}
        assert sum(points.values()) == round(found.rate * POINTS)
        assert product.floor <= found.rate <= product.cap
        assert round(found.rate * POINTS) >= points["funding"] + points["operating"] + points["expected_loss"]
    if found.limit is not None:
        assert 0 <= found.limit <= product.rule(found.grade).most <= product.most
        assert found.limit % product.step == 0
    if found.decision == "accept":
        assert found.limit is not None and found.rate is not None and not found.reasons
        assert case.amount is None or product.least <= case.amount <= found.limit
    else:
        assert 1 <= len(found.reasons) <= 4
    if found.decision == "decline":
        assert found.limit is None and found.rate is None
    assert set(found.rules) <= set(RULES) and found.rule == found.rules[0]
