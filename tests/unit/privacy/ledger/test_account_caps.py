"""Accounts against their caps: refusals, caps per purpose and study, the report, plain recomputation."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import BudgetError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger


def test_refusal_names_spent_asked_cap_and_remedy(path, base):
    ledger = Ledger(path, caps=mu_for(1.0, 1e-6))
    ledger.debit("a", replace(base, mu=mu_for(0.5, 1e-6)), "d")
    with pytest.raises(BudgetError) as refusal:
        ledger.debit("b", replace(base, study="winter", mu=mu_for(3.0, 1e-6)), "d")
    text = str(refusal.value)
    for part in (
        "spent epsilon 0.5,",
        "asked 3,",
        "cap 1,",
        "delta 1e-06",
        "Lower the study's epsilon",
        "raise",
    ):
        assert part in text
    assert refusal.value.code == "budget"


def test_the_default_allows_monthly_refits_year_after_year(path, clock, refit, one):
    ledger = Ledger(path, Caps(), clock=clock)
    for year in range(3):
        for month in range(12):
            ledger.debit(f"{year}-{month}", replace(refit, attempt=f"{year}-{month}"), "d", purpose="scoring")
            clock.move(days=28)
        with pytest.raises(BudgetError, match="of the accounting period, until 202"):
            ledger.debit("more", replace(refit, attempt="more"), "d", purpose="scoring")
        clock.moment = datetime(2026, 1, 15, tzinfo=UTC) + timedelta(days=365 * (year + 1))
        assert ledger.spent() == 0.0
        assert ledger.lifetime() == pytest.approx(one * math.sqrt(12 * (year + 1)), rel=1e-9)


def test_caps_of_purposes_and_studies_are_kept_apart(path, refit, one):
    caps = Caps(per_study=1.4, per_purpose={"scoring": 1.2})
    ledger = Ledger(path, caps)
    ledger.debit("a", refit, "d", purpose="scoring")
    second = replace(refit, study="other")
    with pytest.raises(BudgetError, match="of purpose 'scoring'.*cap 1.2, left 0.6.*cap of this purpose"):
        ledger.debit("b", second, "d", purpose="scoring")
    with pytest.raises(BudgetError, match="of purpose"):
        ledger.reserve_check([second], purpose="scoring")
    ledger.debit("b", second, "d", purpose="research")
    with pytest.raises(BudgetError, match="of study 'refit'.*cap 1.4.*cap per study"):
        ledger.debit("c", replace(refit, attempt="2"), "d", purpose="research")
    assert ledger.left(purpose="scoring") == pytest.approx(
        math.sqrt(mu_for(1.2, 1e-6) ** 2 - one**2), rel=1e-9
    )
    assert ledger.left(study="refit") == pytest.approx(math.sqrt(mu_for(1.4, 1e-6) ** 2 - one**2), rel=1e-9)
    assert ledger.left() == pytest.approx(math.sqrt(mu_for(4, 1e-6) ** 2 - 2 * one**2), rel=1e-9)
    ledger.audit()


def test_the_report_by_hand(path, clock, refit):
    caps = Caps(per_purpose={"scoring": 3.0, "unused": 1.0})
    ledger = Ledger(path, caps, clock=clock)
    ledger.debit("a", replace(refit, mu=0.3), "d", purpose="scoring")
    ledger.commit("a", b"x")
    ledger.debit("b", replace(refit, mu=0.4, attempt="2"), "d", purpose="scoring")
    ledger.debit("c", replace(refit, mu=0.2, study="trial"), "d")
    ledger.debit("d", replace(refit, mu=math.inf, attempt="3", research=True), "d")
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


steps = st.lists(
    st.tuples(
        st.sampled_from(["debit", "debit", "debit", "commit", "cancel", "wait"]),
        st.integers(0, 7),
        st.sampled_from(["autumn", "winter"]),
        st.sampled_from(["1", "2"]),
        st.sampled_from(["training", "holdout", "all"]),
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
        for side in both if row["population"] == "all" else (row["population"],):
            both[side] += row["mu"] ** 2
    return math.sqrt(sum(max(both.values()) for both in sides.values()))


@settings(max_examples=20, deadline=None)
@given(steps)
def test_random_histories_equal_plain_recomputation_and_pass_no_cap(refit, new_clock, history):
    caps = Caps(epsilon=2.0, per_study=1.5, per_purpose={"trial": 1.0}, period_days=10)
    limits, clock = caps.limits(), new_clock()
    with TemporaryDirectory() as folder:
        ledger, rows, done = Ledger(Path(folder) / "ledger.sqlite", caps, clock=clock), {}, set()
        for what, number, study, attempt, population, purpose, mu in history:
            name = f"r{number}"
            row = {"study": study, "attempt": attempt, "population": population, "purpose": purpose, "mu": mu}
            if what == "wait":
                clock.move(days=number)
            elif what == "debit" and name not in rows and name not in done:
                period = limits.calendar.period(clock())
                spend = replace(refit, **{k: v for k, v in row.items() if k != "purpose"})
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
