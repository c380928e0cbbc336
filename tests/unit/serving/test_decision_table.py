"""The table of decisions: what is refused when it is read, and losses worked out by hand."""

import copy
import tomllib
from pathlib import Path

import pytest

import fedrisk
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.serving.decision_table import Decisions, expected_loss, load_decisions

EXAMPLE = Path(fedrisk.__file__).parents[1] / "configs" / "decisions.toml"
CONTENT = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))


def read(content):
    return checked(Decisions, content, where="table")


def faults(change):
    content = copy.deepcopy(CONTENT)
    change(content, content["products"][0])
    with pytest.raises(ConfigError) as caught:
        read(content)
    return str(caught.value)


def test_the_example_is_taken():
    table = load_decisions(EXAMPLE)
    assert [p.name for p in table.products] == ["working_capital", "equipment"]


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match="table of decisions"):
        load_decisions("nowhere.toml")


def row(product, number, **changes):
    product["grades"][number] |= changes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c, p: c["grades"].pop(), "probabilities above that would have no grade"),
        (
            lambda c, p: c["grades"][1].update(up_to=0.01),
            "grade B goes up to 0.01 and A before it up to 0.01: they over",
        ),
        (lambda c, p: c["grades"][1].update(name="A"), "grade A is there twice"),
        (lambda c, p: c["grades"][0].update(up_to=float("nan")), "grades"),
        (lambda c, p: c["products"].append(p), "product working_capital is there twice"),
        (lambda c, p: p["grades"].pop(1), "product working_capital: grades lacks B"),
        (lambda c, p: p["grades"].append({"grade": "F", "decision": "decline"}), "has F, which is no grade"),
        (lambda c, p: p["grades"].reverse(), "stand in another order"),
        (
            lambda c, p: row(p, 3, decision="accept") or row(p, 2, decision="refer"),
            "accept is better than refer",
        ),
        (
            lambda c, p: row(p, 1, most=3_000_000) or row(p, 0, most=2_000_000),
            "most 3000000 is above 2000000",
        ),
        (lambda c, p: row(p, 1, share=0.31), "a share of at most 0.3 is needed"),
        (lambda c, p: p["grades"][1].pop("share"), "a share of at most 0.3 is needed"),
        (lambda c, p: row(p, 1, margin=0.0079), "margin 0.0079 is below 0.008"),
        (lambda c, p: row(p, 4, most=1000), "grade E is declined; remove"),
        (lambda c, p: p["grades"][0].pop("margin"), "grade A needs most and margin"),
        (lambda c, p: row(p, 0, most=4_000_000), "most 4000000 is not between"),
        (lambda c, p: row(p, 3, most=9_000), "most 9000 is not between"),
        (lambda c, p: p.update(least=4_000_000), "least 4000000 is above most"),
        (lambda c, p: p.update(least_months=48), "least_months is above most_months"),
        (lambda c, p: p.update(floor=0.2), "floor 0.2 is above cap"),
        (lambda c, p: p.update(cap=0.049), "grade C is accepted up to a probability of 0.05"),
        (
            lambda c, p: c["grades"][2].update(up_to=0.5) or c["grades"][3].update(up_to=0.6),
            "above the cap 0.124",
        ),
        (lambda c, p: p["green"].update(discount=0.0081), "the green discount is above its margin 0.008"),
        (lambda c, p: p["green"].update(measure="carbon"), "name measure and at_most together"),
        (lambda c, p: p.update(funding=1.8), "at most 1"),
        (lambda c, p: p.update(funding=0.01805), "whole number of hundredths of a per cent"),
        (lambda c, p: p.update(currency="yuan"), "currency"),
        (
            lambda c, p: p.update(exposure="owed") or [g.pop("share", 0) for g in p["grades"]],
            "no grade has a share",
        ),
        (lambda c, p: p.update(lgd=float("inf")), "lgd"),
        (lambda c, p: c.update(most_reasons=5), "most_reasons"),
        (lambda c, p: c.update(rules={"olde": "x"}), "olde is no rule"),
        (lambda c, p: c["reasons"].update(sales="a\nb"), "reasons"),
        (lambda c, p: c.update(margn=1), "margn"),
    ],
)
def test_what_a_table_may_not_say(change, says):
    assert says in faults(change)


def test_several_faults_are_told_at_once():
    text = faults(lambda c, p: row(p, 1, most=3_000_001, margin=0.001))
    assert "margin 0.001 is below" in text and "most 3000001 is not between" in text


@pytest.mark.parametrize(
    ("probability", "lgd", "months", "loss"),
    [
        (0.03, 0.45, 12, 135),  # .03 x .45 = .0135
        (0.05, 0.40, 12, 200),
        (0.03, 0.45, 24, 133),  # (1 - .97^2) x .45 / 2 = .0591 x .225 = .0132975, rounded up
        (0.19, 0.50, 6, 1000),  # 1 - .81^.5 = .1 in half a year: .1 x .5 / .5
        (0.0, 0.45, 12, 0),
        (1.0, 0.45, 12, 4500),
        (1.0, 0.45, 36, 1500),
        (0.001, 0.45, 12, 5),  # 4.5 hundredths of a per cent
    ],
)
def test_expected_loss_by_hand(probability, lgd, months, loss):
    assert expected_loss(probability, lgd, months, 12) == loss


def test_a_probability_over_two_years_is_no_yearly_one():
    assert expected_loss(0.0591, 0.45, 12, 24) == 135


def test_grades_end_where_they_say():
    table = read(CONTENT)
    assert [table.grade(p).name for p in (0.0, 0.01, 0.010001, 0.025, 0.1, 0.1000001, 1.0)] == list("AABBDEE")


def test_words_of_reasons():
    table = read(CONTENT)
    assert table.wording("limit_used") == "high use of existing credit limits"
    assert table.wording("months_since_default (no record)") == "a default in the past (no record)"
    assert table.wording("turnover_change") == "turnover_change"
    assert table.wording("external data").startswith("data of public bodies")
