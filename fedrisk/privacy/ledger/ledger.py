"""An institution's account of what it has given away, on a disk of its machine.

A release is debited before its noise is drawn and stays charged whatever happens afterwards: a share that may
have left cannot be called back. Prices are Gaussian-DP mu and add as squares against caps that were fixed
beforehand, which makes the ledger a fully adaptive privacy filter (Smith & Thakurta 2022): studies may be
chosen after seeing earlier results, and the whole stays cap-GDP.

The life of a release: ``debit`` (reserved and charged), noise, ``commit`` of the bytes, then sending. If the
same request comes again, ``answer`` returns the stored bytes; noise is never drawn twice for one charge.

Totals are kept beside the entries (``fedrisk.privacy.ledger.accounts``), so that no call reads the whole
history; ``audit`` recomputes them. Processes and threads share one ledger and cannot overspend together. An
older copy that was put back, or a file that vanished, is noticed by the guard
(``fedrisk.privacy.ledger.rollback_guard``, with its limits). A clock set back does not bring back an earlier
period: the ledger's time never falls. Network disks with broken locks void the protection.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.errors import ConfigError, ProtocolError, StoreError
from fedrisk.privacy.ledger.account_caps import (
    LIFETIME,
    cap_of,
    fitting,
    left_under,
    report_of,
    whole_key,
)
from fedrisk.privacy.ledger.accounts import Account, Key, Row, add, charged_rows, read, rebuild, square, write
from fedrisk.privacy.ledger.audit import Books, audit, read_books
from fedrisk.privacy.ledger.caps import Calendar, Caps, limits_of
from fedrisk.privacy.ledger.file import LedgerFile
from fedrisk.privacy.ledger.plain import grant_for_epsilon
from fedrisk.privacy.ledger.records import Anchor, add_act, add_anchor, entry_digest, spend_from
from fedrisk.privacy.ledger.report import BudgetReport
from fedrisk.privacy.ledger.rollback_guard import read_guard
from fedrisk.privacy.ledger.schema import calendar_of
from fedrisk.privacy.spend import Spend


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger. Times are UTC in ISO 8601, or None; answer_digest is SHA-256 in hexadecimal."""

    release_id: str
    spend: Spend
    digest: str
    purpose: str
    debited: str
    committed: str | None
    cancelled: str | None
    answer_digest: str | None


@dataclass(frozen=True, kw_only=True)
class Again:
    """A charge as the audit trail has it. time: of its entry, ISO 8601 with its zone."""

    release_id: str
    spend: Spend
    purpose: str
    time: str


_FROM_TRAIL = "charged again from the audit trail"
"""In place of the digest of a request, which the trail's entry of a charge does not have."""


class Ledger:
    """The account of one institution in one file, against its caps.

    path: the SQLite file, for its owner only; the guard is beside it as ``*.seal``. caps: a ``Caps``, or a
    plain mu as lifetime cap on everything; part of the policy, so it is given each time and may be changed
    there. create: whether to make a file that is not there; a node that was registered passes False, so that
    a lost ledger cannot start at zero. wait_seconds: how long to wait for another process that holds the
    lock. clock: gives the present time (aware); for tests.

    Holds no open connection between calls, so it may be used from threads and after a fork. Raises StoreError
    if the file cannot be used, is missing (see create), is damaged, older than its guard, something else, or
    was written by a newer version. A file of an older version is migrated, and its copy kept beside it.
    """

    def __init__(
        self,
        path: str | Path,
        caps: Caps | float,
        *,
        create: bool = True,
        wait_seconds: float = 30.0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.path = Path(path)
        self.limits = limits_of(caps)
        self._clock = clock or _utc_now
        self._file = LedgerFile(self.path, wait_seconds)
        self._file.make(allowed=create)
        calendar = self._file.open_schema(allowed=create)
        wanted = self.limits.calendar
        if wanted is not None and calendar != wanted:
            self._change_calendar(wanted)

    # --- the life of a release ------------------------------------------------------------------------------

    def debit(
        self,
        release_id: str,
        spend: Spend,
        digest: str,
        *,
        purpose: str = "",
        trail: tuple[int, str] | None = None,
    ) -> None:
        """Charge one release; to be called before its noise is drawn.

        release_id names the release for good; digest is that of the request it answers; purpose is the
        study's. The same four again cost nothing more, whether committed or not. A research spend is recorded
        and marked at no charge, since it is no privacy at any price; whether the institution allows such runs
        is for its policy to say, before. trail: number of entries of the audit trail and hash of the last one, which
        the ledger remembers with a new charge.

        Raises BudgetError, which names the cap, if one does not suffice (nothing is recorded), ProtocolError
        if release_id was used with other content or was cancelled, StoreError if the disk fails: then it may
        be charged or not, nothing must be sent, and the same call again settles it.
        """
        if not release_id or not digest:
            raise ProtocolError("a debit needs a release id and a digest that are not empty")
        with self._file.transaction(advance_guard=False) as db:
            known = db.execute(
                "SELECT spend, digest, purpose, cancelled FROM release WHERE release_id = ?", (release_id,)
            ).fetchone()
            if known is not None:
                same = (spend_from(known[0], self.path), known[1]) == (spend, digest)
                # An entry of an older version has no purpose.
                if not same or known[2] not in (purpose, ""):
                    raise ProtocolError(
                        f"release {release_id} was debited before with another spend, purpose or digest; "
                        "a changed request needs a new attempt, with its own id and charge"
                    )
                if known[3] is not None:
                    raise ProtocolError(f"release {release_id} was cancelled; ask again in a new attempt")
                return
            time = self._time(db)
            if trail is not None:
                add_anchor(db, Anchor(*trail), time)
            self._enter(db, release_id, spend, digest, purpose)

    def commit(self, release_id: str, answer: bytes) -> str:
        """Store the bytes of a debited release durably and return their SHA-256; to be called before sending.

        The same bytes again change nothing. Raises ProtocolError if the release was never debited, was
        cancelled, or was committed with other bytes; StoreError if the disk fails (then nothing must be
        sent).
        """
        answered = hashlib.sha256(answer).hexdigest()
        with self._file.transaction() as db:
            committed, cancelled, before = self._known(db, release_id)
            if cancelled is not None:
                raise ProtocolError(f"release {release_id} was cancelled; nothing of it may be sent")
            if committed is not None:
                if before != answered:
                    raise ProtocolError(
                        f"release {release_id} is committed with other bytes; send the stored ones"
                    )
                return answered
            self._store(db, release_id, answer)
        return answered

    def answer(self, release_id: str) -> bytes | None:
        """The stored bytes of a committed release; None if it is unknown or only reserved."""
        with self._file.connection() as db:
            row = db.execute("SELECT bytes FROM answer WHERE release_id = ?", (release_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def cancel(self, release_id: str) -> None:
        """Take back a reservation of which nothing was computed; its entry stays, marked as cancelled.

        Only for a node that knows that no noise was drawn for it, in this process or another: a refund after
        anything was computed would break the filter. After a crash nobody knows, so the charge stays. The id
        cannot be used again. Cancelling twice changes nothing. Recomputes all totals, which takes about a
        second for 100,000 entries. ProtocolError if the release is unknown or committed.
        """
        with self._file.transaction() as db:
            committed, cancelled, _ = self._known(db, release_id)
            if committed is not None:
                raise ProtocolError(f"release {release_id} is committed and may have left; it stays charged")
            if cancelled is not None:
                return
            time = self._time(db)
            db.execute("UPDATE release SET cancelled = ? WHERE release_id = ?", (time, release_id))
            rebuild(db)
            add_act(db, "cancel", release_id, time, "")

    # --- what is left ---------------------------------------------------------------------------------------

    def spent(self) -> float:
        """Mu charged in the current period (under a lifetime cap: ever), reservations included.

        The root of the sum over attempts of the larger population's mu^2. Research entries are not in it; see
        ``entries``.
        """
        with self._file.connection() as db:
            return math.sqrt(read(db, whole_key(self.limits, self._period(db))).mu2)

    def lifetime(self) -> float:
        """Mu charged ever, over all periods."""
        with self._file.connection() as db:
            return math.sqrt(read(db, LIFETIME).mu2)

    def figures(self) -> tuple[int, float]:
        """Number of releases ever entered, and mu charged ever, at one moment.

        Neither falls while the file goes on, unless a reservation is cancelled.
        """
        with self._file.connection() as db:
            db.execute("BEGIN")
            entries = db.execute("SELECT COUNT(*) FROM release").fetchone()[0]
            return int(entries), math.sqrt(read(db, LIFETIME).mu2)

    def left(self, *, study: str | None = None, purpose: str | None = None) -> float:
        """Mu that one further attempt may cost: ``sqrt(cap^2 - spent^2)``, 0 if the cap is below spent.

        The least over the whole cap and, where named, the caps of the study and the purpose.
        """
        with self._file.connection() as db:
            period = self._period(db)
            keys = [whole_key(self.limits, period)]
            keys += [Key("study", study, period)] if study is not None else []
            keys += [Key("purpose", purpose, period)] if purpose is not None else []
            return min(left_under(cap_of(db, self.limits, key), math.sqrt(read(db, key).mu2)) for key in keys)

    def reserve_check(self, spends: Iterable[Spend], *, purpose: str = "") -> None:
        """Whether a whole study would fit, before it starts; BudgetError as in ``debit`` if it would not.

        Records nothing and promises nothing: another study may spend in between. Give only spends that are
        not debited yet, as those of the same attempt that are debited count already.
        """
        with self._file.connection() as db:
            # One view of all totals.
            db.execute("BEGIN")
            fitting(db, self.limits, list(spends), purpose, self._period(db))

    def entries(self) -> tuple[Entry, ...]:
        """All lines in the order in which they were debited, research and cancelled ones among them."""
        with self._file.connection() as db:
            rows = db.execute(
                "SELECT release_id, spend, digest, purpose, debited, committed, cancelled, answer_digest "
                "FROM release ORDER BY position"
            ).fetchall()
        return tuple(
            Entry(
                release_id=row[0],
                spend=spend_from(row[1], self.path),
                digest=row[2],
                purpose=row[3],
                debited=row[4],
                committed=row[5],
                cancelled=row[6],
                answer_digest=row[7],
            )
            for row in rows
        )

    def report(self) -> BudgetReport:
        """What is spent, reserved and left, for life, by study and by purpose, at one moment."""
        with self._file.connection() as db:
            db.execute("BEGIN")
            behind = (_last_time(db) - self._clock()).total_seconds()
            clock_behind = max(0.0, behind) if behind >= 1.0 else 0.0
            return report_of(db, self.limits, self._period(db), clock_behind)

    # --- acts of the institution's people -------------------------------------------------------------------

    def grant(
        self, *, epsilon: float | None = None, mu: float | None = None, reason: str, who: str
    ) -> BudgetReport:
        """Raise the whole cap of the current period (under a lifetime cap: for good) by a recorded act.

        Give epsilon, by which the cap's own epsilon (at delta 1e-6) rises: 4 and a grant of 1 make 5. Or give mu,
        whose square is added to that of the cap: the mu of a study pays one more such study. The caps of purposes and
        studies stay as they are. It cannot be taken back. Returns the new report.
        ConfigError if the amount is not positive and finite, there is no cap, or reason or who is empty.
        """
        if (epsilon is None) == (mu is None):
            raise ConfigError("a grant needs either epsilon or mu, and not both")
        if not 0.0 < (epsilon if epsilon is not None else mu or 0.0) <= 100.0:
            raise ConfigError("a grant must be above 0 and at most 100")
        if not reason.strip() or not who.strip():
            raise ConfigError("a grant needs a reason and the name of the person who grants it")
        with self._file.transaction() as db:
            time = self._time(db)
            period = calendar_of(db).period(datetime.fromisoformat(time))
            amount = float(mu or 0.0)
            if epsilon is not None:
                amount = grant_for_epsilon(cap_of(db, self.limits, whole_key(self.limits, period)), epsilon)
            detail = json.dumps({"mu": amount, "reason": reason, "who": who})
            position = add_act(db, "grant", "", time, detail)
            db.execute(
                "INSERT INTO allowance VALUES (?, ?, ?, ?, ?, ?)",
                (position, period, amount, reason, who, time),
            )
        return self.report()

    def audit(self) -> int:
        """Check the whole file and return the number of acts; StoreError names the first fault.

        Pages of the file, the chain of acts, entries and answers against it, totals against entries, the
        guard. Reads the whole file: about two seconds for 100,000 entries with short answers.
        """
        return audit(self._file)

    def books(self) -> Books:
        """Check all that a charge rests on and return what the audit trail must say too; StoreError as in ``audit``.

        Reads neither pages without entries nor answers: a tenth of a second for some thousand entries.
        """
        return read_books(self._file)

    def settle(self) -> None:
        """Bring all that was debited to the disk, the guard too, as a commit does; before it is entered elsewhere."""
        with self._file.transaction() as db:
            db.execute("UPDATE state SET sealed = sealed")

    def begin_trail_anew(self, trail: tuple[int, str], *, reason: str, who: str) -> None:
        """Remember that a person began the audit trail anew: what was charged before need not be in it."""
        with self._file.transaction() as db:
            add_anchor(db, Anchor(*trail, restarted=True), self._time(db), reason=reason, who=who)

    def charge_again(self, charges: Iterable[Again]) -> int:
        """Charge what the audit trail has and this ledger lost, each in the period of its time; how many there were.

        Whatever the caps: it was given away. Releases that are here already are left as they are.
        """
        charged = 0
        with self._file.transaction() as db:
            for one in charges:
                if db.execute("SELECT 1 FROM release WHERE release_id = ?", (one.release_id,)).fetchone():
                    continue
                now = self._time(db)
                # A clock that was set back since: no entry of a ledger is later than its last act.
                moment = min(datetime.fromisoformat(one.time), datetime.fromisoformat(now))
                again = replace(one, time=moment.isoformat(timespec="seconds"))
                period, accounts = calendar_of(db).period(moment), dict[Key, Account]()
                spend = one.spend
                if not spend.research:
                    mu2 = square(spend.mu)
                    add(
                        accounts,
                        Row(spend.study, spend.attempt, spend.population, mu2, one.purpose, period),
                        db,
                    )
                write(db, accounts)
                self._insert(db, again, _FROM_TRAIL, period, now)
                charged += 1
        return charged

    @classmethod
    def acknowledge_restore(
        cls, path: str | Path, caps: Caps | float, *, reason: str, who: str, wait_seconds: float = 30.0
    ) -> Ledger:
        """Go on with an older copy, or a new ledger, after the latest one was lost; a recorded act.

        What was spent after the copy is not in it: ``charge_again`` enters what the audit trail has (see
        clients/restore). Returns the ledger, with a new guard. ConfigError without a reason.
        """
        if not reason.strip() or not who.strip():
            raise ConfigError("acknowledge_restore needs a reason and the name of the person who takes it on")
        file = LedgerFile(Path(path), wait_seconds)
        file.make(allowed=True, check_guard=False)
        file.open_schema(allowed=True, check_guard=False)
        try:
            mark = read_guard(file.guard_path)
            guarded = 0 if mark is None else mark.count
        except StoreError:
            # A damaged guard is one of the reasons to be here.
            guarded = 0
        with file.transaction(check_guard=False) as db:
            count, last = db.execute("SELECT count, last_time FROM state").fetchone()
            # "sealed" in acts of every age: the guard was called a seal once.
            detail = json.dumps({"from": count, "sealed": guarded, "reason": reason, "who": who})
            rebuild(db)
            time = max(last, _utc_now().isoformat(timespec="seconds"))
            add_act(db, "restore", "", time, detail, position=max(count, guarded) + 1)
        return cls(path, caps, create=False, wait_seconds=wait_seconds)

    # --- inside ---------------------------------------------------------------------------------------------

    def _enter(
        self, db: sqlite3.Connection, release_id: str, spend: Spend, digest: str, purpose: str
    ) -> None:
        """Charge a release that is not known yet, in the caller's transaction."""
        time = self._time(db)
        period = calendar_of(db).period(datetime.fromisoformat(time))
        write(db, fitting(db, self.limits, [spend], purpose, period))
        one = Again(release_id=release_id, spend=spend, purpose=purpose, time=time)
        self._insert(db, one, digest, period, time)

    def _insert(self, db: sqlite3.Connection, one: Again, digest: str, period: int, time: str) -> None:
        """Enter a release whose accounts are charged, and the act, of the present ``time``."""
        spend, text = one.spend, json.dumps(one.spend.to_dict(), allow_nan=False)
        db.execute(
            "INSERT INTO release (release_id, spend, digest, purpose, study, attempt, population, mu2, "
            "period, debited) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(one.release_id, text, digest, one.purpose, spend.study, spend.attempt, spend.population),
                *(None if spend.research else square(spend.mu), period, one.time),
            ),
        )
        add_act(db, "debit", one.release_id, time, entry_digest(text, digest, one.purpose))

    def _store(self, db: sqlite3.Connection, release_id: str, answer: bytes) -> None:
        """Commit a reserved release, in the caller's transaction."""
        time, answered = self._time(db), hashlib.sha256(answer).hexdigest()
        db.execute("INSERT INTO answer VALUES (?, ?)", (release_id, bytes(answer)))
        db.execute(
            "UPDATE release SET committed = ?, answer_digest = ? WHERE release_id = ?",
            (time, answered, release_id),
        )
        add_act(db, "commit", release_id, time, answered)

    def _time(self, db: sqlite3.Connection) -> str:
        """Now in UTC, but never before the last act."""
        return max(self._clock().astimezone(UTC), _last_time(db)).isoformat(timespec="seconds")

    def _period(self, db: sqlite3.Connection) -> int:
        return calendar_of(db).period(datetime.fromisoformat(self._time(db)))

    def _known(self, db: sqlite3.Connection, release_id: str) -> tuple[str | None, str | None, str | None]:
        row = db.execute(
            "SELECT committed, cancelled, answer_digest FROM release WHERE release_id = ?", (release_id,)
        ).fetchone()
        if row is None:
            raise ProtocolError(f"release {release_id} was never debited; debit it before noise is drawn")
        return row[0], row[1], row[2]

    def _change_calendar(self, wanted: Calendar) -> None:
        """Sort all entries and grants into the periods of another calendar: a change refunds nothing."""
        with self._file.transaction() as db:
            if calendar_of(db) == wanted:
                return
            for table, column in (("release", "debited"), ("allowance", "granted")):
                times = db.execute(f"SELECT position, {column} FROM {table}").fetchall()
                db.executemany(
                    f"UPDATE {table} SET period = ? WHERE position = ?",
                    [(wanted.period(datetime.fromisoformat(time)), position) for position, time in times],
                )
            db.execute("UPDATE state SET days = ?, epoch = ?", (wanted.days, wanted.epoch.isoformat()))
            if charged_rows(db):
                rebuild(db)
                detail = f"{wanted.days} days from {wanted.epoch.isoformat()}"
                add_act(db, "calendar", "", self._time(db), detail)


def _last_time(db: sqlite3.Connection) -> datetime:
    return datetime.fromisoformat(db.execute("SELECT last_time FROM state").fetchone()[0])


def _utc_now() -> datetime:
    return datetime.now(UTC)
