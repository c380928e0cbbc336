"""A check of a ledger: every figure in it against every other that must agree with it."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from fedrisk.privacy.ledger.accounts import Account, Key, charged_rows, recompute, square
from fedrisk.privacy.ledger.caps import Calendar
from fedrisk.privacy.ledger.faults import damaged
from fedrisk.privacy.ledger.file import LedgerFile
from fedrisk.privacy.ledger.records import TRAIL, anchor_from, entry_digest, next_head, spend_from
from fedrisk.privacy.ledger.schema import calendar_of
from fedrisk.privacy.spend import Spend


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One release that the ledger entered. cancelled: whether it was taken back before anything was computed.

    before_restart: whether it was entered before a person began the institution's audit trail anew. period: number of
    the accounting period that it is charged to.
    """

    release_id: str
    spend: Spend
    purpose: str
    cancelled: bool
    before_restart: bool
    period: int


@dataclass(frozen=True, kw_only=True)
class Books:
    """What a ledger says that the institution's audit trail must say as well.

    charges: in their order. anchors: hash of the trail's last entry by its number of entries, as it was when releases
    were charged, since the trail was last begun anew. restart: how many entries the trail had just after that, None
    where it never was. calendar: the accounting periods.
    """

    charges: tuple[Charge, ...]
    anchors: dict[int, str]
    restart: int | None
    calendar: Calendar


class _Act(NamedTuple):
    """Place of an act in the chain, and what the chain holds of it."""

    position: int
    detail: str


_Acts = dict[str, dict[str, _Act]]
"""By kind and name; by kind and position where an act has no name."""


def audit(file: LedgerFile) -> int:
    """Check a ledger and return its number of acts; StoreError names the first fault.

    Source of the chain: Haber & Stornetta (1991). It shows changes by accident and by people who do not know
    of it. A rewriting of the whole file and its guard is shown by the institution's audit trail, which has each charge
    too and is signed, and by copies that are kept elsewhere.
    """
    # The transaction checks the guard, and nobody writes meanwhile.
    with file.transaction() as db:
        if db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise damaged(file.path, "pages contradict each other")
        acts, _ = _checked(file, db, answers=True)
        return sum(len(of_kind) for of_kind in acts.values())


def read_books(file: LedgerFile, *, check_guard: bool = True) -> Books:
    """Check a ledger, all but its pages and the bytes of answers, and return what it says; StoreError as in ``audit``.

    Changes nothing and keeps nobody waiting: it reads one state of the file, whatever is charged meanwhile.
    """
    with file.snapshot(check_guard=check_guard) as db:
        acts, spends = _checked(file, db, answers=False)
        rows = db.execute(
            "SELECT release_id, purpose, cancelled, period FROM release ORDER BY position"
        ).fetchall()
        calendar = calendar_of(db)
    trail = {act.position: anchor_from(act.detail, file.path) for act in acts.get(TRAIL, {}).values()}
    restart = max((place for place, anchor in trail.items() if anchor.restarted), default=0)
    debits = acts.get("debit", {})
    return Books(
        charges=tuple(
            Charge(
                release_id=name,
                spend=spends[name],
                purpose=purpose,
                cancelled=cancelled is not None,
                before_restart=debits[name].position < restart,
                period=period,
            )
            for name, purpose, cancelled, period in rows
        ),
        anchors={anchor.count: anchor.hash for place, anchor in sorted(trail.items()) if place >= restart},
        restart=trail[restart].count if restart else None,
        calendar=calendar,
    )


def _checked(file: LedgerFile, db: sqlite3.Connection, *, answers: bool) -> tuple[_Acts, dict[str, Spend]]:
    """Check the file's content; ``answers``: the bytes of answers too. Returns the acts, and the spends by release."""
    acts = _chain(file, db)
    spends = _entries(file, db, acts, answers=answers)
    _grants(file, db, acts)
    _times(file, db)
    _totals(file, db)
    return acts, spends


def _chain(file: LedgerFile, db: sqlite3.Connection) -> _Acts:
    """Check the chain of acts; their details by kind and name."""
    head, last, acts = "0" * 64, 0, dict[str, dict[str, _Act]]()
    rows = db.execute("SELECT position, kind, name, time, detail, lifetime, head FROM act ORDER BY position")
    for position, kind, name, time, detail, lifetime, written in rows:
        head = next_head(head, position, kind, name, time, detail, lifetime)
        if head != written or (position != last + 1 and kind != "restore"):
            raise damaged(file.path, f"act {position} does not follow from the one before")
        acts.setdefault(kind, {})[name or str(position)] = _Act(position, detail)
        last = position
    if (last, head) != db.execute("SELECT count, head FROM state").fetchone():
        raise damaged(file.path, f"its chain ends at act {last}, which is not its last")
    return acts


def _details(acts: _Acts, kind: str) -> dict[str, str]:
    return {name: act.detail for name, act in acts.get(kind, {}).items()}


def _entries(file: LedgerFile, db: sqlite3.Connection, acts: _Acts, *, answers: bool) -> dict[str, Spend]:
    debits, commits = _details(acts, "debit"), _details(acts, "commit")
    cancelled, spends, answered = acts.get("cancel", {}), dict[str, Spend](), 0
    # Without the bytes of an answer its size stands for it, which SQLite knows without reading them.
    rows = db.execute(
        "SELECT r.position, r.release_id, r.spend, r.digest, r.purpose, r.study, r.attempt, r.population, "
        f"r.mu2, r.committed, r.cancelled, r.answer_digest, {'a.bytes' if answers else 'length(a.bytes)'} "
        "FROM release r LEFT JOIN answer a USING (release_id) ORDER BY r.position"
    )
    for position, name, text, digest, purpose, *copied, committed, cancel, answer_digest, answer in rows:
        spend = spends[name] = spend_from(text, file.path)
        mu2 = None if spend.research else square(spend.mu)
        if not isinstance(answer, bytes | int | None) or (answers and isinstance(answer, int)):
            raise damaged(file.path, f"the answer of entry {position} is not bytes")
        stored = hashlib.sha256(answer).hexdigest() if isinstance(answer, bytes) else None
        if isinstance(answer, int):
            stored = answer_digest
        if debits.get(name) != entry_digest(text, digest, purpose):
            raise damaged(file.path, f"entry {position} is not the one that was debited")
        if copied != [spend.study, spend.attempt, spend.population, mu2]:
            raise damaged(file.path, f"entry {position} is charged otherwise than its spend says")
        if not stored == answer_digest == commits.get(name) or (committed is None) != (stored is None):
            raise damaged(file.path, f"the answer of entry {position} is not the one that was committed")
        if (cancel is None) != (name not in cancelled):
            raise damaged(file.path, f"entry {position} is cancelled without an act, or not in spite of one")
        answered += stored is not None
    if (len(spends), answered) != (len(debits), len(commits)):
        raise damaged(file.path, f"it has {len(spends)} entries, {len(debits)} were debited")
    return spends


def _grants(file: LedgerFile, db: sqlite3.Connection, acts: _Acts) -> None:
    rows = db.execute("SELECT position, mu, reason, who FROM allowance")
    found = {str(p): json.dumps({"mu": mu, "reason": reason, "who": who}) for p, mu, reason, who in rows}
    if found != _details(acts, "grant"):
        raise damaged(file.path, "its grants are not those that were recorded")


def _times(file: LedgerFile, db: sqlite3.Connection) -> None:
    """Times and accounting periods: a charge that is moved to another period would give this one its budget back."""
    calendar, (last,) = calendar_of(db), db.execute("SELECT last_time FROM state").fetchone()
    act = db.execute("SELECT time FROM act ORDER BY position DESC LIMIT 1").fetchone()
    if act is not None and act[0] != last:
        raise damaged(file.path, "its time is not that of its last act")
    for table, column in (("release", "debited"), ("allowance", "granted")):
        for position, period, time in db.execute(f"SELECT position, period, {column} FROM {table}"):
            moment = _moment(file, time)
            if moment > _moment(file, last) or calendar.period(moment) != period:
                raise damaged(file.path, f"entry {position} ({table}) is of another period than its time")


def _moment(file: LedgerFile, time: str) -> datetime:
    try:
        return datetime.fromisoformat(time)
    except (TypeError, ValueError):
        raise damaged(file.path, "a time in it cannot be read") from None


def _totals(file: LedgerFile, db: sqlite3.Connection) -> None:
    found = {row[:3]: row[3] for row in db.execute("SELECT scope, name, period, mu2 FROM account")}
    recomputed = recompute(charged_rows(db))
    wanted = {tuple(key): account.mu2 for key, account in recomputed.items()}
    for key in found.keys() | wanted.keys():
        # 1e-300 is the price of a square that underflows.
        if not math.isclose(found.get(key, 0.0), wanted.get(key, 0.0), rel_tol=1e-9, abs_tol=1e-299):
            raise damaged(file.path, f"the total of an account ({key[0]}) is not the sum of its entries")
    _sides(file, db, recomputed)


def _sides(file: LedgerFile, db: sqlite3.Connection, recomputed: Mapping[Key, Account]) -> None:
    """What each attempt was charged on either population, on which the price of its next release rests."""
    rows = db.execute(
        "SELECT a.scope, a.name, a.period, s.study, s.attempt, s.training, s.holdout "
        "FROM side s JOIN account a ON a.id = s.account"
    )
    found = {(Key(*row[:3]), row[3:5]): row[5:] for row in rows}
    wanted = {
        (key, attempt): tuple(sides)
        for key, one in recomputed.items()
        for attempt, sides in one.sides.items()
    }
    for key in found.keys() | wanted.keys():
        pairs = zip(found.get(key, (0.0, 0.0)), wanted.get(key, (0.0, 0.0)), strict=True)
        if not all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-299) for one, other in pairs):
            raise damaged(
                file.path, f"what an attempt was charged in an account ({key[0].scope}) is not the sum of it"
            )
