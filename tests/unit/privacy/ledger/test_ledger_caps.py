"""The ledger under caps per period, purpose and study; grants, cancellations, reports, the clock."""

import json
import math
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import BudgetError, ConfigError, ProtocolError, StoreError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend

ONE = mu_for(1.0, 1e-6)
BASE = Spend(
    study="refit",
    attempt="1",
    release="counts",
    population="training",
    mu=ONE,
    delta=1e-6,
    what="label counts",
    institution="tax",
    counterparty="hub",
)


class Clock:
    """A clock to be set by hand."""

    def __init__(self, moment=datetime(2026, 1, 15, tzinfo=UTC)):
        self.moment = moment

    def __call__(self):
        return self.moment

    def move(self, **by):
        self.moment += timedelta(**by)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def clock():
    return Clock()


def test_the_default_allows_monthly_refits_year_after_year(path, clock):
    ledger = Ledger(path, Caps(), clock=clock)
    for year in range(3):
        for month in range(12):
            ledger.debit(f"{year}-{month}", replace(BASE, attempt=f"{year}-{month}"), "d", purpose="scoring")
            clock.move(days=28)
        with pytest.raises(BudgetError, match="of the accounting period, until 202"):
            ledger.debit("more", replace(BASE, attempt="more"), "d", purpose="scoring")
        clock.moment = datetime(2026, 1, 15, tzinfo=UTC) + timedelta(days=365 * (year + 1))
        assert ledger.spent() == 0.0
        assert ledger.lifetime() == pytest.approx(ONE * math.sqrt(12 * (year + 1)), rel=1e-9)


def test_caps_of_purposes_and_studies_are_kept_apart(path):
    caps = Caps(per_study=1.4, per_purpose={"scoring": 1.2})
    ledger = Ledger(path, caps)
    ledger.debit("a", BASE, "d", purpose="scoring")
    second = replace(BASE, study="other")
    with pytest.raises(BudgetError, match="of purpose 'scoring'.*cap 1.2, left 0.6.*cap of this purpose"):
        ledger.debit("b", second, "d", purpose="scoring")
    with pytest.raises(BudgetError, match="of purpose"):
        ledger.reserve_check([second], purpose="scoring")
    ledger.debit("b", second, "d", purpose="research")
    with pytest.raises(BudgetError, match="of study 'refit'.*cap 1.4.*cap a study"):
        ledger.debit("c", replace(BASE, attempt="2"), "d", purpose="research")
    assert ledger.left(purpose="scoring") == pytest.approx(
        math.sqrt(mu_for(1.2, 1e-6) ** 2 - ONE**2), rel=1e-9
    )
    assert ledger.left(study="refit") == pytest.approx(math.sqrt(mu_for(1.4, 1e-6) ** 2 - ONE**2), rel=1e-9)
    assert ledger.left() == pytest.approx(math.sqrt(mu_for(4, 1e-6) ** 2 - 2 * ONE**2), rel=1e-9)
    ledger.audit()


def test_an_attempt_over_two_periods_is_charged_in_each(path, clock):
    clock.moment = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    ledger = Ledger(path, Caps(), clock=clock)
    ledger.debit("a", BASE, "d")
    clock.move(minutes=2)
    ledger.debit("b", replace(BASE, population="holdout"), "d")
    assert ledger.spent() == pytest.approx(ONE)  # of the new period
    assert ledger.lifetime() == pytest.approx(ONE)  # the attempt's larger population
    ledger.audit()


def test_a_clock_set_back_brings_no_budget_back(path, clock):
    ledger = Ledger(path, Caps(epsilon=1.0), clock=clock)
    clock.move(days=365)
    ledger.debit("a", BASE, "d")
    clock.move(days=-365)
    with pytest.raises(BudgetError):
        ledger.debit("b", replace(BASE, attempt="2"), "d")
    report = ledger.report()
    assert report.period_start == date(2027, 1, 1)
    assert report.clock_behind == 365 * 86400
    assert ledger.spent() == pytest.approx(ONE)


def test_another_calendar_refunds_nothing(path, clock):
    Ledger(path, Caps(), clock=clock).debit("a", BASE, "d")
    other = Ledger(path, Caps(period_days=30), clock=clock)
    assert other.spent() == pytest.approx(ONE)
    clock.move(days=30)
    assert other.spent() == 0.0
    year = Ledger(path, Caps(), clock=clock)
    assert year.spent() == pytest.approx(ONE)
    year.audit()
    assert Ledger(path, 2.0, clock=clock).spent() == pytest.approx(ONE)  # a lifetime cap takes any calendar


def test_a_purpose_belongs_to_the_id(path):
    ledger = Ledger(path, Caps())
    ledger.debit("a", BASE, "d", purpose="scoring")
    ledger.debit("a", BASE, "d", purpose="scoring")
    with pytest.raises(ProtocolError, match="purpose"):
        ledger.debit("a", BASE, "d", purpose="marketing")
    assert ledger.entries()[0].purpose == "scoring"


# grants


def test_a_grant_pays_exactly_one_more_study_in_this_period_only(path, clock):
    ledger = Ledger(path, Caps(epsilon=1.0), clock=clock)
    ledger.debit("a", BASE, "d")
    with pytest.raises(BudgetError, match="grant more"):
        ledger.debit("b", replace(BASE, attempt="2"), "d")
    report = ledger.grant(epsilon=1.0, reason="regulator's stress test", who="A. Officer")
    assert report.granted.epsilon == pytest.approx(1.0)
    assert report.left.epsilon == pytest.approx(1.0)
    ledger.debit("b", replace(BASE, attempt="2"), "d")
    with pytest.raises(BudgetError):
        ledger.debit("c", replace(BASE, attempt="3", mu=0.01), "d")
    ledger.audit()
    clock.move(days=365)
    assert ledger.report().granted.mu == 0.0
    assert ledger.left() == pytest.approx(ONE)


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


# cancellation


def test_a_reservation_never_used_can_be_taken_back(path):
    ledger = Ledger(path, Caps())
    ledger.debit("a", BASE, "d")
    ledger.debit("b", replace(BASE, release="gram", mu=2 * ONE), "d")
    ledger.cancel("b")
    ledger.cancel("b")
    assert ledger.spent() == pytest.approx(ONE, rel=1e-12)
    assert [entry.cancelled is not None for entry in ledger.entries()] == [False, True]
    for call in (
        lambda: ledger.commit("b", b"x"),
        lambda: ledger.debit("b", replace(BASE, release="gram", mu=2 * ONE), "d"),
    ):
        with pytest.raises(ProtocolError, match="cancelled"):
            call()
    assert ledger.audit() == 3


def test_what_may_have_left_cannot_be_taken_back(path):
    ledger = Ledger(path, Caps())
    with pytest.raises(ProtocolError, match="never debited"):
        ledger.cancel("a")
    ledger.debit("a", BASE, "d")
    ledger.commit("a", b"x")
    with pytest.raises(ProtocolError, match="may have left"):
        ledger.cancel("a")
    assert ledger.spent() == pytest.approx(ONE)


# report


def test_the_report_by_hand(path, clock):
    caps = Caps(per_purpose={"scoring": 3.0, "unused": 1.0})
    ledger = Ledger(path, caps, clock=clock)
    ledger.debit("a", replace(BASE, mu=0.3), "d", purpose="scoring")
    ledger.commit("a", b"x")
    ledger.debit("b", replace(BASE, mu=0.4, attempt="2"), "d", purpose="scoring")
    ledger.debit("c", replace(BASE, mu=0.2, study="trial"), "d")
    ledger.debit("d", replace(BASE, mu=math.inf, attempt="3", research=True), "d")
    report = ledger.report()
    assert (report.period_start, report.period_end) == (date(2026, 1, 1), date(2027, 1, 1))
    assert report.spent.mu == pytest.approx(math.sqrt(0.29))
    assert report.lifetime.mu == pytest.approx(math.sqrt(0.29))
    assert report.reserved.mu == pytest.approx(math.sqrt(0.2))
    assert report.cap.epsilon == pytest.approx(4.0)
    assert report.left.mu == pytest.approx(math.sqrt(report.cap.mu**2 - 0.29))
    assert {name: part.spent.mu for name, part in report.by_study.items()} == {
        "refit": pytest.approx(0.5),
        "trial": pytest.approx(0.2),
    }
    assert {name: part.spent.mu for name, part in report.by_purpose.items()} == {
        "": pytest.approx(0.2),
        "scoring": pytest.approx(0.5),
        "unused": 0.0,
    }
    assert report.by_purpose["scoring"].left.mu == pytest.approx(math.sqrt(mu_for(3.0, 1e-6) ** 2 - 0.25))
    assert report.by_study["trial"].cap is None
    assert (report.entries, report.research, report.clock_behind) == (4, 1, 0.0)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["period_end"] == "2027-01-01"
    assert plain["spent"]["mu"] == pytest.approx(math.sqrt(0.29))


def test_the_report_of_an_infinite_lifetime_cap_is_json(path):
    ledger = Ledger(path, math.inf)
    ledger.debit("a", replace(BASE, mu=1e200), "d")
    plain = json.loads(json.dumps(ledger.report().to_dict(), allow_nan=False))
    assert (plain["left"]["epsilon"], plain["period_start"]) == ("inf", None)


# every account against a plain recomputation

steps = st.lists(
    st.tuples(
        st.sampled_from(["debit", "debit", "debit", "commit", "cancel", "wait"]),
        st.integers(0, 7),
        st.sampled_from(["autumn", "winter"]),
        st.sampled_from(["1", "2"]),
        st.sampled_from(["training", "holdout"]),
        st.sampled_from(["scoring", "trial"]),
        st.floats(0.0, 0.5),
    ),
    max_size=16,
)


def plain(rows, **chosen):
    """Sum over attempts of the larger population, of the rows that have these values."""
    rows = [row for row in rows if all(row[key] == value for key, value in chosen.items())]
    sides = {}
    for row in rows:
        both = sides.setdefault((row["study"], row["attempt"]), {"training": 0.0, "holdout": 0.0})
        both[row["population"]] += row["mu"] ** 2
    return math.sqrt(sum(max(both.values()) for both in sides.values()))


@settings(max_examples=20, deadline=None)
@given(steps)
def test_random_histories_equal_plain_recomputation_and_pass_no_cap(history):
    caps = Caps(epsilon=2.0, per_study=1.5, per_purpose={"trial": 1.0}, period_days=10)
    limits, clock = caps.limits(), Clock()
    with TemporaryDirectory() as folder:
        ledger, rows, done = Ledger(Path(folder) / "ledger.sqlite", caps, clock=clock), {}, set()
        for what, number, study, attempt, population, purpose, mu in history:
            name = f"r{number}"
            row = {"study": study, "attempt": attempt, "population": population, "purpose": purpose, "mu": mu}
            if what == "wait":
                clock.move(days=number)
            elif what == "debit" and name not in rows and name not in done:
                period = limits.calendar.period(clock())
                spend = replace(BASE, **{k: v for k, v in row.items() if k != "purpose"})
                try:
                    ledger.debit(name, spend, "d", purpose=purpose)
                    rows[name] = row | {"period": period}
                except BudgetError:
                    tried = [*rows.values(), row | {"period": period}]
                    assert (
                        plain(tried, period=period) > limits.whole
                        or plain(tried, period=period, study=study) > limits.per_study
                        or plain(tried, period=period, purpose=purpose)
                        > limits.per_purpose.get(purpose, math.inf)
                    )
            elif what == "commit" and name in rows:
                ledger.commit(name, b"x")
                done.add(name)
            elif what == "cancel" and name in rows and name not in done:
                ledger.cancel(name)
                del rows[name]
                done.add(name)
        ledger.audit()
        period, all_rows = limits.calendar.period(clock()), list(rows.values())
        report = ledger.report()
        close = {"rel": 1e-9, "abs": 1e-12}
        assert report.spent.mu == pytest.approx(plain(all_rows, period=period), **close)
        assert report.lifetime.mu == pytest.approx(plain(all_rows), **close)
        waiting = [row for name, row in rows.items() if name not in done]
        assert report.reserved.mu == pytest.approx(plain(waiting, period=period), **close)
        for purpose, part in report.by_purpose.items():
            assert part.spent.mu == pytest.approx(plain(all_rows, period=period, purpose=purpose), **close)
        for study, part in report.by_study.items():
            assert part.spent.mu == pytest.approx(plain(all_rows, period=period, study=study), **close)
            assert part.spent.mu <= limits.per_study * (1 + 1e-9)


# audit


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE account SET mu2 = 0 WHERE scope = 'period'", "total of an account"),
        ("UPDATE account SET mu2 = 0 WHERE scope = 'lifetime'", "last act"),
        ("DELETE FROM account WHERE scope = 'study'", "total of an account"),
        ("UPDATE release SET mu2 = 0", "charged otherwise"),
        ("UPDATE release SET attempt = '7'", "charged otherwise"),
        ("UPDATE release SET purpose = 'other'", "not the one that was debited"),
        ("UPDATE release SET digest = 'other'", "not the one that was debited"),
        ("UPDATE release SET committed = NULL", "answer of entry 1"),
        ("UPDATE release SET cancelled = 'x' WHERE position = 2", "cancelled without an act"),
        ("UPDATE answer SET bytes = 'other'", "answer of entry 1"),
        ("DELETE FROM answer", "answer of entry 1"),
        ("DELETE FROM release WHERE position = 2", "entries"),
        ("UPDATE allowance SET mu = 9", "grants"),
        ("UPDATE act SET time = 'x' WHERE position = 1", "act 1"),
        ("DELETE FROM act WHERE position = 2", "act 3"),
    ],
)
def test_audit_finds_what_was_changed(path, change, fault):
    ledger = Ledger(path, Caps())
    ledger.debit("a", BASE, "d")
    ledger.commit("a", b"x")
    ledger.debit("b", replace(BASE, attempt="2"), "d")
    ledger.grant(mu=0.1, reason="r", who="w")
    assert ledger.audit() == 4
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=fault):
        ledger.audit()
