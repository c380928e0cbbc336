"""The institution's ledger: charges, refusals, repetition, periods, grants, cancellation, restores."""

import json
import math
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import BudgetError, ConfigError, ProtocolError, StoreError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Again, Ledger
from fedrisk.privacy.ledger.rollback_guard import read_guard


def test_squares_add_up_to_the_cap_and_no_further(path, base):
    ledger = Ledger(path, caps=5.0)
    assert (ledger.spent(), ledger.left()) == (0.0, 5.0)
    ledger.debit("a", base, "d")
    assert (ledger.spent(), ledger.left()) == (3.0, 4.0)
    ledger.debit("b", replace(base, study="winter", mu=4.0), "d")
    assert (ledger.spent(), ledger.left()) == (5.0, 0.0)
    with pytest.raises(BudgetError):
        ledger.debit("c", replace(base, study="spring", mu=0.01), "d")
    assert ledger.spent() == 5.0
    assert [entry.release_id for entry in ledger.entries()] == ["a", "b"]


def test_an_attempt_is_charged_its_larger_population(path, base):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", base, "d")
    ledger.debit("b", replace(base, population="holdout", mu=2.0), "d")
    assert ledger.spent() == 3.0
    ledger.debit("c", replace(base, population="holdout", mu=math.sqrt(12.0)), "d")
    assert ledger.spent() == pytest.approx(4.0, rel=1e-15)
    ledger.debit("d", replace(base, attempt="2"), "d")
    assert ledger.spent() == pytest.approx(5.0, rel=1e-15)
    with pytest.raises(BudgetError):
        ledger.debit("e", replace(base, attempt="3", population="holdout", mu=0.1), "d")
    # Free: the training side of attempt 1 is the smaller one.
    ledger.debit("f", replace(base, mu=0.5), "d")
    assert ledger.spent() == pytest.approx(5.0, rel=1e-15)


def test_a_budget_split_into_parts_can_be_spent_to_its_end(path, base):
    cap = mu_for(1.0, 1e-6)
    ledger = Ledger(path, caps=cap)
    for name, part in {"edges": 0.06, "counts": 0.5, "gram": 0.26, "moment": 0.18}.items():
        ledger.debit(name, replace(base, release=name, mu=cap * math.sqrt(part)), "d")
    assert ledger.spent() == pytest.approx(cap, rel=1e-12)


def test_a_lowered_cap_leaves_nothing(path, base):
    Ledger(path, caps=5.0).debit("a", base, "d")
    ledger = Ledger(path, caps=2.0)
    assert (ledger.spent(), ledger.left()) == (3.0, 0.0)
    with pytest.raises(BudgetError):
        ledger.reserve_check([replace(base, mu=0.01)])


def test_research_is_recorded_at_no_charge(path, base):
    ledger = Ledger(path, caps=1.0)
    ledger.debit("a", replace(base, research=True, mu=math.inf), "d")
    ledger.debit("b", replace(base, research=True, mu=50.0), "d")
    assert ledger.spent() == 0.0
    assert [entry.spend.price for entry in ledger.entries()] == [math.inf, math.inf]
    # The mark cannot be taken off afterwards.
    with pytest.raises(ProtocolError):
        ledger.debit("b", replace(base, mu=50.0), "d")


def test_reserve_check_sees_the_whole_study_and_records_nothing(path, base):
    ledger = Ledger(path, caps=5.0)
    both = [base, replace(base, release="gram", mu=4.0), replace(base, population="holdout", mu=5.0)]
    ledger.reserve_check(both)
    assert ledger.entries() == ()
    with pytest.raises(BudgetError):
        ledger.reserve_check([*both, replace(base, release="more", mu=0.1)])
    ledger.debit("a", replace(base, study="summer", mu=0.1), "d")
    with pytest.raises(BudgetError):
        ledger.reserve_check(both)
    ledger.reserve_check([])


def test_a_cap_of_nothing_allows_nothing(path, base):
    ledger = Ledger(path, caps=0.0)
    ledger.debit("free", replace(base, mu=0.0), "d")
    with pytest.raises(BudgetError):  # its square underflows to zero
        ledger.debit("a", replace(base, mu=1e-300), "d")


def test_an_infinite_cap_is_an_explicit_choice(path, base):
    ledger = Ledger(path, caps=math.inf)
    ledger.debit("a", replace(base, mu=1e200), "d")
    assert ledger.left() == math.inf
    for cap in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="caps"):
            Ledger(path, caps=cap)


# Squares of smaller ones would underflow in the plain recomputation.
prices = st.floats(0.0, 5.0).filter(lambda mu: mu == 0.0 or mu > 1e-100)
changes = st.fixed_dictionaries(
    {
        "study": st.sampled_from(["autumn", "winter"]),
        "attempt": st.sampled_from(["1", "2"]),
        "population": st.sampled_from(["training", "holdout", "all"]),
        "mu": prices,
        "research": st.sampled_from([False, False, False, True]),
    }
)


def plain_charge(rows):
    """The rule spelled out: sum over attempts of the larger population's sum of squares."""
    attempts = {(s.study, s.attempt) for s in rows}
    return math.sqrt(
        sum(
            max(
                sum(
                    s.mu**2
                    for s in rows
                    if (s.study, s.attempt) == key and s.population in (side, "all") and not s.research
                )
                for side in ("training", "holdout")
            )
            for key in attempts
        )
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), changes), max_size=14), prices)
def test_random_debits_never_pass_the_cap_and_equal_plain_recomputation(base, steps, cap):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite", caps=cap)
        accepted = {}
        for number, change in steps:
            spend = replace(base, **change)
            name = f"r{number}"
            try:
                ledger.debit(name, spend, "d")
            except BudgetError:
                assert name not in accepted
                assert plain_charge([*accepted.values(), spend]) > cap * (1 - 1e-12)
            except ProtocolError:
                assert accepted[name] != spend
            else:
                assert accepted.setdefault(name, spend) == spend
            assert ledger.spent() <= cap * (1 + 1e-9)
        assert ledger.spent() == pytest.approx(plain_charge(list(accepted.values())), rel=1e-12, abs=1e-150)
        assert {entry.release_id: entry.spend for entry in ledger.entries()} == accepted


def test_the_same_debit_again_costs_nothing(path, base):
    ledger = Ledger(path, caps=3.0)
    ledger.debit("a", base, "d")
    ledger.debit("a", base, "d")
    Ledger(path, caps=3.0).debit("a", base, "d")
    assert ledger.spent() == 3.0
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize(("change", "digest"), [({}, "other"), ({"mu": 1.0}, "d")])
def test_an_id_with_other_content_is_refused(path, change, digest, base):
    ledger = Ledger(path, caps=9.0)
    ledger.debit("a", base, "d")
    with pytest.raises(ProtocolError, match="new attempt"):
        ledger.debit("a", replace(base, **change), digest)
    assert ledger.spent() == 3.0


def test_a_purpose_belongs_to_the_id(path, refit):
    ledger = Ledger(path, Caps())
    ledger.debit("a", refit, "d", purpose="scoring")
    ledger.debit("a", refit, "d", purpose="scoring")
    with pytest.raises(ProtocolError, match="purpose"):
        ledger.debit("a", refit, "d", purpose="marketing")
    assert ledger.entries()[0].purpose == "scoring"


def test_answers_are_stored_once_and_returned_as_they_were(path, base):
    ledger = Ledger(path, caps=3.0)
    with pytest.raises(ProtocolError, match="never debited"):
        ledger.commit("a", b"bytes")
    ledger.debit("a", base, "d")
    assert ledger.answer("a") is None
    assert ledger.entries()[0].committed is None
    assert ledger.spent() == 3.0  # reserved is charged
    ledger.commit("a", b"\0bytes")
    ledger.commit("a", b"\0bytes")
    with pytest.raises(ProtocolError, match="other bytes"):
        ledger.commit("a", b"others")
    again = Ledger(path, caps=3.0)
    assert again.answer("a") == b"\0bytes"
    assert again.entries()[0].committed is not None
    assert again.answer("unknown") is None


def test_an_empty_answer_is_an_answer(path, base):
    ledger = Ledger(path, caps=3.0)
    ledger.debit("a", base, "d")
    ledger.commit("a", b"")
    assert ledger.answer("a") == b""


@pytest.mark.parametrize(("name", "digest"), [("", "d"), ("a", "")])
def test_empty_names_are_refused(path, name, digest, base):
    with pytest.raises(ProtocolError, match="not empty"):
        Ledger(path, caps=3.0).debit(name, base, digest)


def test_an_attempt_over_two_periods_is_charged_in_each(path, clock, refit, one):
    clock.moment = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    ledger = Ledger(path, Caps(), clock=clock)
    ledger.debit("a", refit, "d")
    clock.move(minutes=2)
    ledger.debit("b", replace(refit, population="holdout"), "d")
    assert ledger.spent() == pytest.approx(one)  # of the new period
    assert ledger.lifetime() == pytest.approx(one)  # the attempt's larger population
    ledger.audit()


def test_a_clock_set_back_brings_no_budget_back(path, clock, refit, one):
    ledger = Ledger(path, Caps(epsilon=1.0), clock=clock)
    clock.move(days=365)
    ledger.debit("a", refit, "d")
    clock.move(days=-365)
    with pytest.raises(BudgetError):
        ledger.debit("b", replace(refit, attempt="2"), "d")
    report = ledger.report()
    assert report.period_start == date(2027, 1, 1)
    assert report.clock_behind == 365 * 86400
    assert ledger.spent() == pytest.approx(one)


def test_another_calendar_refunds_nothing(path, clock, refit, one):
    Ledger(path, Caps(), clock=clock).debit("a", refit, "d")
    other = Ledger(path, Caps(period_days=30), clock=clock)
    assert other.spent() == pytest.approx(one)
    clock.move(days=30)
    assert other.spent() == 0.0
    year = Ledger(path, Caps(), clock=clock)
    assert year.spent() == pytest.approx(one)
    year.audit()
    # A lifetime cap takes any calendar.
    assert Ledger(path, 2.0, clock=clock).spent() == pytest.approx(one)


def test_a_grant_pays_exactly_one_more_study_in_this_period_only(path, clock, refit, one):
    ledger = Ledger(path, Caps(epsilon=1.0), clock=clock)
    ledger.debit("a", refit, "d")
    with pytest.raises(BudgetError, match=r"Nothing is left.* grant more for this period \(epsilon 0.46\)"):
        ledger.debit("b", replace(refit, attempt="2"), "d")
    report = ledger.grant(mu=one, reason="regulator's stress test", who="A. Officer")
    assert report.granted.epsilon == pytest.approx(1.0)
    assert report.left.epsilon == pytest.approx(1.0)
    ledger.debit("b", replace(refit, attempt="2"), "d")
    with pytest.raises(BudgetError):
        ledger.debit("c", replace(refit, attempt="3", mu=0.01), "d")
    ledger.audit()
    clock.move(days=365)
    assert ledger.report().granted.mu == 0.0
    assert ledger.left() == pytest.approx(one)


@pytest.mark.parametrize(("cap", "asked"), [(4.0, 1.0), (1.0, 0.5), (0.2, 3.0)])
def test_a_grant_of_epsilon_raises_the_epsilon_of_the_cap_by_it(path, cap, asked):
    ledger = Ledger(path, Caps(epsilon=cap))
    for times in (1, 2):
        report = ledger.grant(epsilon=asked, reason="r", who="w")
        assert report.cap.epsilon == pytest.approx(cap + times * asked)
        assert report.to_dict()["granted"]["epsilon"] == pytest.approx(times * asked)
    ledger.audit()


def test_where_there_is_no_cap_nothing_can_be_granted(path):
    with pytest.raises(ConfigError, match="no cap"):
        Ledger(path, Caps(epsilon=math.inf)).grant(epsilon=1.0, reason="r", who="w")


def test_a_grant_under_a_lifetime_cap_stays(path, clock):
    ledger = Ledger(path, 3.0, clock=clock)
    ledger.grant(mu=4.0, reason="r", who="w")
    clock.move(days=3650)
    assert ledger.left() == 5.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "r", "who": "w"},
        {"epsilon": 1.0, "mu": 1.0, "reason": "r", "who": "w"},
        {"epsilon": 0.0, "reason": "r", "who": "w"},
        {"mu": math.inf, "reason": "r", "who": "w"},
        {"mu": math.nan, "reason": "r", "who": "w"},
        {"mu": 1.0, "reason": " ", "who": "w"},
        {"mu": 1.0, "reason": "r", "who": ""},
    ],
)
def test_wrong_grants(path, wrong):
    ledger = Ledger(path, Caps())
    with pytest.raises(ConfigError, match="grant"):
        ledger.grant(**wrong)
    assert ledger.audit() == 0


def test_a_reservation_never_used_can_be_taken_back(path, refit, one):
    ledger = Ledger(path, Caps())
    ledger.debit("a", refit, "d")
    ledger.debit("b", replace(refit, release="gram", mu=2 * one), "d")
    ledger.cancel("b")
    ledger.cancel("b")
    assert ledger.spent() == pytest.approx(one, rel=1e-12)
    assert [entry.cancelled is not None for entry in ledger.entries()] == [False, True]
    for call in (
        lambda: ledger.commit("b", b"x"),
        lambda: ledger.debit("b", replace(refit, release="gram", mu=2 * one), "d"),
    ):
        with pytest.raises(ProtocolError, match="cancelled"):
            call()
    assert ledger.audit() == 3


def test_what_may_have_left_cannot_be_taken_back(path, refit, one):
    ledger = Ledger(path, Caps())
    with pytest.raises(ProtocolError, match="never debited"):
        ledger.cancel("a")
    ledger.debit("a", refit, "d")
    ledger.commit("a", b"x")
    with pytest.raises(ProtocolError, match="may have left"):
        ledger.cancel("a")
    assert ledger.spent() == pytest.approx(one)


def test_a_ledger_that_vanishes_is_not_made_again(path, base):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", base, "d")
    path.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        ledger.debit("b", base, "d")
    assert not path.exists()


def test_an_older_copy_is_noticed_and_can_be_acknowledged(path, used, base):
    ledger, copy = used, path.with_name("copy")
    shutil.copy(path, copy)
    ledger.debit("b", replace(base, attempt="2", mu=1.0), "d")
    ledger.commit("b", b"y")
    shutil.copy(copy, path)
    for call in (lambda: Ledger(path, 5.0), lambda: ledger.debit("c", base, "d"), ledger.audit):
        with pytest.raises(StoreError, match="older copy.*run .*restore"):
            call()
    with pytest.raises(ConfigError, match="reason"):
        Ledger.acknowledge_restore(path, 5.0, reason="", who="w")
    again = Ledger.acknowledge_restore(path, 5.0, reason="disk died", who="A. Officer")
    # What came after the copy is not known.
    assert again.spent() == 3.0
    again.debit("c", replace(base, attempt="3", mu=1.0), "d")
    again.commit("c", b"z")
    again.audit()
    with sqlite3.connect(path) as db:
        acts = db.execute("SELECT position, kind, detail FROM act ORDER BY position").fetchall()
    db.close()
    assert [act[:2] for act in acts] == [
        (1, "debit"),
        (2, "commit"),
        (5, "restore"),
        (6, "debit"),
        (7, "commit"),
    ]
    assert json.loads(acts[2][2]) == {"from": 2, "sealed": 4, "reason": "disk died", "who": "A. Officer"}
    shutil.copy(copy, path)
    with pytest.raises(StoreError, match="older copy"):
        Ledger(path, 5.0)


def test_a_lost_ledger_can_be_acknowledged(path, used):
    path.unlink()
    again = Ledger.acknowledge_restore(path, 5.0, reason="fire", who="w")
    assert again.spent() == 0.0
    assert again.audit() == 1
    assert read_guard(path.with_suffix(".seal")).count == 3


def test_a_charge_of_a_time_that_has_not_come_leaves_a_ledger_that_holds(path, base):
    """The trail's clock was ahead once: the charge counts, and the ledger can be checked and used."""
    ledger = Ledger(path, Caps(epsilon=4.0))
    again = Again(release_id="a:r", spend=base, purpose="p", time="2999-01-01T00:00:00+00:00")
    assert ledger.charge_again([again]) == 1 and ledger.charge_again([again]) == 0
    assert ledger.audit() == 1
    assert ledger.spent() == pytest.approx(base.mu)
