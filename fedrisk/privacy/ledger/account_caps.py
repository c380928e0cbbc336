"""Accounts of a ledger's file against their caps: what is left, whether spends fit, and the report.

Every function reads within the caller's transaction, so that totals, grants and caps are of one moment.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from fedrisk.errors import BudgetError
from fedrisk.privacy.ledger.accounts import Account, Key, Row, add, read, reserved, square
from fedrisk.privacy.ledger.caps import Limits
from fedrisk.privacy.ledger.plain import epsilon_down, fits, grant_up
from fedrisk.privacy.ledger.report import Amount, BudgetReport, Part, epsilon_of
from fedrisk.privacy.ledger.schema import calendar_of
from fedrisk.privacy.spend import Spend, charge

LIFETIME = Key("lifetime", "", 0)


def whole_key(limits: Limits, period: int) -> Key:
    """The account that the cap on everything bounds: of the period, or under a lifetime cap of life."""
    return LIFETIME if limits.calendar is None else Key("period", "", period)


def cap_of(db: sqlite3.Connection, limits: Limits, key: Key) -> float:
    """What an account may hold, in mu, grants included; infinite where it has no cap."""
    if key.scope == "study":
        return math.inf if limits.per_study is None else limits.per_study
    if key.scope == "purpose":
        return limits.per_purpose.get(key.name, math.inf)
    if key.scope != whole_key(limits, 0).scope:
        return math.inf
    return math.hypot(limits.whole, granted(db, limits, key.period))


def granted(db: sqlite3.Connection, limits: Limits, period: int) -> float:
    """Mu of all grants of a period; under a lifetime cap of all grants ever."""
    rows = db.execute(
        "SELECT mu FROM allowance" + ("" if limits.calendar is None else " WHERE period = ?"),
        () if limits.calendar is None else (period,),
    )
    return math.hypot(*(row[0] for row in rows))


def left_under(cap: float, spent: float) -> float:
    """Mu that may still be spent under a cap: ``sqrt(cap^2 - spent^2)``, 0 if the cap is below spent.

    >>> left_under(5.0, 3.0), left_under(1.0, 2.0)
    (4.0, 0.0)
    """
    return math.inf if cap == math.inf else math.sqrt(max(0.0, (cap - spent) * (cap + spent)))


def fitting(
    db: sqlite3.Connection, limits: Limits, spends: Sequence[Spend], purpose: str, period: int
) -> dict[Key, Account]:
    """The accounts after these spends; BudgetError, which names the cap, if they exceed one."""
    asked = [spend for spend in spends if not spend.research]
    accounts: dict[Key, Account] = {}
    for spend in asked:
        row = Row(spend.study, spend.attempt, spend.population, square(spend.mu), purpose, period)
        add(accounts, row, db)
    for key, account in accounts.items():
        cap = cap_of(db, limits, key)
        if not fits(account.mu2, cap):
            of_key = [s for s in asked if key.scope != "study" or s.study == key.name]
            raise _refusal(db, key, account, cap, of_key)
    return accounts


def _refusal(
    db: sqlite3.Connection, key: Key, account: Account, cap: float, asked: Sequence[Spend]
) -> BudgetError:
    delta = min(spend.delta for spend in asked)
    before, after = math.sqrt(account.old), math.sqrt(account.mu2)
    left = left_under(cap, before)

    def epsilon(mu: float) -> str:
        return f"{epsilon_of(mu, delta):.3g}"

    # At the delta of caps; enough for all that is asked.
    grant = f"epsilon {grant_up(0.0, cap, after):.2f}"
    until = "" if key.scope == "lifetime" else f", until {calendar_of(db).bounds(key.period)[1]}"
    whose, remedy = {
        "lifetime": ("for life", "raise its cap"),
        "period": ("of the accounting period", f"grant more for this period ({grant}), or wait for the next"),
        "purpose": (f"of purpose {key.name!r} in this period", "raise the cap of this purpose"),
        "study": (f"of study {key.name!r} in this period", "raise the cap per study"),
    }[key.scope]
    spare = epsilon_down(left, delta)
    lower = (
        f"Lower the study's epsilon to {spare:.2f}, or have" if spare else "Nothing is left for a study: have"
    )
    return BudgetError(
        f"privacy budget {whose}{until}: spent epsilon {epsilon(before)}, asked {epsilon(charge(asked))}, "
        f"together {epsilon(after)}, cap {epsilon(cap)}, left {f'{spare:.2f}' if spare else 'nothing'}, all at "
        f"delta {delta:g} (in mu, whose squares add up: {before:.4g}, {charge(asked):.4g}, {after:.4g}, cap {cap:.4g}, "
        f"left {left:.4g}). {lower} the institution {remedy}"
    )


def report_of(db: sqlite3.Connection, limits: Limits, period: int, clock_behind: float) -> BudgetReport:
    """The state of all accounts in a period; ``clock_behind`` as in the report, from the caller's clock."""
    calendar, whole = limits.calendar, whole_key(limits, period)
    start, end = (None, None) if calendar is None else calendar.bounds(period)
    spent, cap = math.sqrt(read(db, whole).mu2), cap_of(db, limits, whole)
    entries = db.execute("SELECT COUNT(*) FROM release").fetchone()[0]
    research = db.execute("SELECT COUNT(*) FROM release WHERE mu2 IS NULL").fetchone()[0]
    return BudgetReport(
        period_start=start,
        period_end=end,
        cap=Amount(cap),
        granted=Amount(granted(db, limits, period)),
        spent=Amount(spent),
        reserved=Amount(math.sqrt(reserved(db, None if calendar is None else period))),
        left=Amount(left_under(cap, spent)),
        lifetime=Amount(math.sqrt(read(db, LIFETIME).mu2)),
        by_study=_parts(db, limits, "study", period),
        by_purpose=_parts(db, limits, "purpose", period),
        entries=entries,
        research=research,
        clock_behind=clock_behind,
    )


def _parts(db: sqlite3.Connection, limits: Limits, scope: str, period: int) -> dict[str, Part]:
    parts = {}
    rows = db.execute(
        "SELECT name, mu2 FROM account WHERE scope = ? AND period = ? ORDER BY name", (scope, period)
    )
    spent = {name: math.sqrt(mu2) for name, mu2 in rows}
    if scope == "purpose":
        spent = dict.fromkeys(sorted(limits.per_purpose), 0.0) | spent
    for name, mu in spent.items():
        cap = cap_of(db, limits, Key(scope, name, period))
        bounded = cap < math.inf
        parts[name] = Part(
            spent=Amount(mu),
            cap=Amount(cap) if bounded else None,
            left=Amount(left_under(cap, mu)) if bounded else None,
        )
    return parts
