"""Rules of a month: kept with it, what is looked for for the first time, and why a warning sign is missing."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fedrisk.clients import own_results
from fedrisk.errors import ConfigError, StoreError
from fedrisk.models.warning_point import WarningPoint
from fedrisk.watch_rules import WatchRules
from fedrisk.watching import month_rules
from fedrisk.watching.alerts import Rules
from fedrisk.watching.history import SCORES, WARNING, Kept
from fedrisk.watching.month import Month
from fedrisk.watching.month_rules import check_threshold, first_looked_for, kept_rules, rules_of_month
from support.watching import MODEL, write

SOME = {"value": 0.05, "low": 0.04, "high": 0.06}
POINT = WarningPoint(stated=0.052, score=460, false_alarms=SOME, recall=SOME, warned=0.05)
JANUARY, FEBRUARY = Month(2026, 1), Month(2026, 2)


def part(name="early", warning=POINT, edited=""):
    return SimpleNamespace(name=name, warning=warning, edited=edited, attempt="a" * 16)


def node(monkeypatch, *, stated=True, **parts):
    """A bank whose store has these models; stated: whether their studies state a rate of false alarms."""
    monkeypatch.setattr(own_results, "find", lambda _node, attempt: attempt)
    monkeypatch.setattr(own_results, "study_of", lambda _node, _entry: {"warning": {}} if stated else {})
    return SimpleNamespace(
        store=SimpleNamespace(models=SimpleNamespace(part=parts.get), path=Path("nothing is kept here")),
        institution=SimpleNamespace(file="bank.toml"),
    )


@pytest.fixture
def kept(tmp_path):
    made = Kept(tmp_path / "watch").opened()
    write(made, "2026-01", {"a": 600}, model="card")
    write(made, "2026-01", {"a": 600}, model="early", of=WARNING)
    return made


def test_a_month_keeps_the_rules_that_it_went_by(kept, monkeypatch):
    bank = node(monkeypatch, card=part("card", None), early=part())
    rules = WatchRules(probability=0.1, warning="early")
    found = rules_of_month(bank, rules, kept, JANUARY)
    assert (found.fall, found.probability, found.warning, found.warns) == (40, 0.1, 460, "early")
    assert found.false_alarms == 0.052 and kept_rules(kept, JANUARY) == found
    assert rules_of_month(bank, WatchRules(fall=99), kept, JANUARY) == found
    (kept.folder / "rules" / "2026-01.json").write_text("{")
    with pytest.raises(StoreError, match=r"2026-01\.json"):
        kept_rules(kept, JANUARY)


@pytest.mark.parametrize(
    ("rules", "parts", "stated", "without"),
    [
        (WatchRules(), {"early": part(warning=None)}, True, "unconfirmed"),
        (WatchRules(), {"early": part(warning=None, edited="e")}, True, "edited"),
        (WatchRules(), {"early": part(warning=None)}, False, ""),
        (WatchRules(warning_threshold=470), {"early": part(warning=None)}, True, ""),
    ],
)
def test_why_there_is_no_warning_sign(kept, monkeypatch, rules, parts, stated, without):
    found = rules_of_month(node(monkeypatch, stated=stated, **parts), rules, kept, JANUARY)
    assert (found.without, found.warning) == (without, rules.warning_threshold)
    assert found.false_alarms is None


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("untold", "has not told this bank"),
        ("unconfirmed", "not all of its banks have confirmed"),
        ("noise", "noise and the size of the hold-out"),
    ],
)
def test_it_is_said_how_far_a_threshold_came(kept, monkeypatch, why, said):
    """Where noise left none, no confirmation will ever bring one."""
    bank = node(monkeypatch, early=part(warning=None))
    monkeypatch.setattr(month_rules, "why_no_threshold", lambda _node, _attempt: (why, 0.052))
    assert rules_of_month(bank, WatchRules(), kept, JANUARY).without == why
    asked = {SCORES: part("card"), WARNING: part(warning=None)}
    with pytest.raises(ConfigError, match=said):
        check_threshold(bank, WatchRules(warning="early"), asked)


def test_a_model_that_was_named_after_the_month_was_begun(tmp_path, monkeypatch):
    made = Kept(tmp_path / "watch").opened()
    write(made, "2026-01", {"a": 600}, model="card")
    found = rules_of_month(node(monkeypatch, card=part("card")), WatchRules(warning="early"), made, JANUARY)
    assert (found.without, found.warning) == ("later", None)


@pytest.mark.parametrize(
    ("stated", "edited", "said"),
    [
        (True, "", "not all of its banks have confirmed"),
        (True, "e", "of an edited card"),
        (False, "", "its study stated no rate"),
    ],
)
def test_a_warning_model_without_a_threshold_is_named_before_anybody_is_asked(
    monkeypatch, stated, edited, said
):
    asked = {SCORES: part("card"), WARNING: part(warning=None, edited=edited)}
    bank = node(monkeypatch, stated=stated)
    with pytest.raises(ConfigError, match=said):
        check_threshold(bank, WatchRules(warning="early"), asked)
    check_threshold(bank, WatchRules(warning="early", warning_threshold=470), asked)


def test_what_is_looked_for_for_the_first_time(tmp_path, monkeypatch):
    made, bank = (
        Kept(tmp_path / "watch").opened(),
        node(monkeypatch, **{MODEL: part(warning=None), "b": part()}),
    )
    write(made, "2026-01", {"a": 600})
    first = rules_of_month(bank, WatchRules(fall=0, probability=0.1, warning_threshold=450), made, JANUARY)
    assert first_looked_for(made, JANUARY, first) == {"fall", "probability", "warning"}
    write(made, "2026-02", {"a": 600})
    for now, new in (
        (Rules(fall=None, probability=0.1, warning=450), set()),
        (Rules(fall=None, probability=0.2, warning=440), set()),
        (Rules(fall=40, probability=0.05, warning=451), {"fall", "probability", "warning"}),
        (Rules(fall=None), set()),
    ):
        assert first_looked_for(made, FEBRUARY, now) == new
    write(made, "2026-03", {"a": 600}, model="b")
    rules_of_month(bank, WatchRules(fall=0, probability=0.1, warning_threshold=450), made, FEBRUARY)
    other = Rules(fall=None, probability=0.1, warning=450)
    assert first_looked_for(made, Month(2026, 3), other) == {"probability", "warning"}
