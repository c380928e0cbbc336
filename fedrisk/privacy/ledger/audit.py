"""A full check of a ledger: every figure in it against every other that must agree with it."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3

from fedrisk.privacy.ledger.accounts import charged_rows, recompute, square
from fedrisk.privacy.ledger.faults import damaged
from fedrisk.privacy.ledger.file import LedgerFile
from fedrisk.privacy.ledger.records import entry_digest, next_head, spend_from


def audit(file: LedgerFile) -> int:
    """Check a ledger and return its number of acts; StoreError names the first fault.

    Source of the chain: Haber & Stornetta (1991). It shows changes by accident and by people who do not know
    of it. A rewriting of the whole file and its guard is shown only by copies that are kept elsewhere.
    """
    # The transaction checks the guard, and nobody writes meanwhile.
    with file.transaction() as db:
        if db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise damaged(file.path, "pages contradict each other")
        acts = _chain(file, db)
        _entries(file, db, acts)
        _grants(file, db, acts)
        _totals(file, db)
        return sum(len(of_kind) for of_kind in acts.values())


def _chain(file: LedgerFile, db: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """Check the chain of acts; their details by kind and name."""
    head, last, acts = "0" * 64, 0, dict[str, dict[str, str]]()
    rows = db.execute("SELECT position, kind, name, time, detail, lifetime, head FROM act ORDER BY position")
    for position, kind, name, time, detail, lifetime, written in rows:
        head = next_head(head, position, kind, name, time, detail, lifetime)
        if head != written or (position != last + 1 and kind != "restore"):
            raise damaged(file.path, f"act {position} does not follow from the one before")
        acts.setdefault(kind, {})[name or str(position)] = detail
        last = position
    if (last, head) != db.execute("SELECT count, head FROM state").fetchone():
        raise damaged(file.path, f"its chain ends at act {last}, which is not its last")
    return acts


def _entries(file: LedgerFile, db: sqlite3.Connection, acts: dict[str, dict[str, str]]) -> None:
    debits, commits = acts.get("debit", {}), acts.get("commit", {})
    cancelled, count, answered = acts.get("cancel", {}), 0, 0
    rows = db.execute(
        "SELECT r.position, r.release_id, r.spend, r.digest, r.purpose, r.study, r.attempt, r.population, "
        "r.mu2, r.committed, r.cancelled, r.answer_digest, a.bytes "
        "FROM release r LEFT JOIN answer a USING (release_id) ORDER BY r.position"
    )
    for position, name, text, digest, purpose, *copied, committed, cancel, answer_digest, answer in rows:
        spend = spend_from(text, file.path)
        mu2 = None if spend.research else square(spend.mu)
        if not isinstance(answer, bytes | None):
            raise damaged(file.path, f"the answer of entry {position} is not bytes")
        stored = None if answer is None else hashlib.sha256(answer).hexdigest()
        if debits.get(name) != entry_digest(text, digest, purpose):
            raise damaged(file.path, f"entry {position} is not the one that was debited")
        if copied != [spend.study, spend.attempt, spend.population, mu2]:
            raise damaged(file.path, f"entry {position} is charged otherwise than its spend says")
        if not stored == answer_digest == commits.get(name) or (committed is None) != (stored is None):
            raise damaged(file.path, f"the answer of entry {position} is not the one that was committed")
        if (cancel is None) != (name not in cancelled):
            raise damaged(file.path, f"entry {position} is cancelled without an act, or not in spite of one")
        count, answered = count + 1, answered + (stored is not None)
    if (count, answered) != (len(debits), len(commits)):
        raise damaged(file.path, f"it has {count} entries, {len(debits)} were debited")


def _grants(file: LedgerFile, db: sqlite3.Connection, acts: dict[str, dict[str, str]]) -> None:
    rows = db.execute("SELECT position, mu, reason, who FROM allowance")
    found = {str(p): json.dumps({"mu": mu, "reason": reason, "who": who}) for p, mu, reason, who in rows}
    if found != acts.get("grant", {}):
        raise damaged(file.path, "its grants are not those that were recorded")


def _totals(file: LedgerFile, db: sqlite3.Connection) -> None:
    found = {row[:3]: row[3] for row in db.execute("SELECT scope, name, period, mu2 FROM account")}
    wanted = {tuple(key): account.mu2 for key, account in recompute(charged_rows(db)).items()}
    for key in found.keys() | wanted.keys():
        # 1e-300 is the price of a square that underflows.
        if not math.isclose(found.get(key, 0.0), wanted.get(key, 0.0), rel_tol=1e-9, abs_tol=1e-299):
            raise damaged(file.path, f"the total of an account ({key[0]}) is not the sum of its entries")
