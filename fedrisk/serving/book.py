"""What a holder remembers of questions about scores: each one's answer, and everything that is counted by it.

One transaction a question: its answer, sealed and finished, and all counts are committed together before the answer
goes out. A process that is killed at any point leaves both or neither; asked once more, the question gets the answer
that is kept, and nothing is counted again. Writers come one after the other (SQLite's lock), whatever their process.

**Power cuts.** SQLite's write-ahead log is not synchronised at each commit (``synchronous = NORMAL``): this saves 4 of
5 ms a question on an ordinary disk. A killed process loses nothing by that; a machine that loses its
power may lose the last commits before it. What must not happen then is that an answer which went out is forgotten, and
the same question is answered from other data under the same masks: the difference would be the holder's own. So keys
go with the book: where the machine was started since (Linux' ``boot_id``), or the book is a new one, :meth:`Book.open`
has the serving keys of this institution dropped before anything is answered, and no mask can ever be drawn again. Where
the system names no start, each commit is synchronised. Counts of the last moments may be lost with the power; the audit
trail, which is synchronised with each entry, has them.

Enterprises are kept as HMAC-SHA256 (RFC 2104) under a random key beside the book, for 31 days; questions and answers
for a day: they are refused as old after minutes, so an id that is deleted cannot come again. A clock that ran ahead for
a while and was put back would break that, so the book knows how far it has deleted: :meth:`Book.forgot`.
"""

import contextlib
import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedrisk.errors import StoreError
from fedrisk.files import PUT_BACK, damaged, make_folders, private_file, read_kept, write_atomic
from fedrisk.serving import verified_tokens

DAY: Final = 86_400

SCORE_DAYS: Final = 30
"""Days within which scores of one enterprise are counted together."""

KEPT_PERIODS: Final = 400 * DAY
"""Seconds for which counts of days and months are kept."""

MARGIN: Final = 600
"""Seconds by which a question may be answered after it was made, and some more."""

WAIT: Final = 20.0
"""Seconds to wait for another process that writes."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_TABLES = (
    "create table if not exists state (name text primary key, value text not null) strict",
    """create table if not exists question (
        id text primary key, asker text not null, digest text not null, answer blob not null, entry text not null,
        time integer not null) strict""",
    """create table if not exists counted (
        asker text not null, what text not null, period text not null, number integer not null, time integer not null,
        primary key (asker, what, period)) strict, without rowid""",
    """create table if not exists consent (
        digest text not null, question text not null, number integer not null, time integer not null,
        primary key (digest, question)) strict, without rowid""",
    """create table if not exists scored (
        asker text not null, enterprise blob not null, day integer not null, number integer not null,
        primary key (asker, enterprise, day)) strict, without rowid""",
    verified_tokens.TABLE,
    "create index if not exists question_time on question (time)",
    "create index if not exists scored_day on scored (day)",
)

ANEW: Final = 3
"""Questions that one use of a consent is for, within a day: one that came to nothing, and two in its place."""

_TOGETHER = 500
"""Enterprises, or consents, of one query."""

_KEPT = "select digest, answer, entry from question where id = ?"


@dataclass(frozen=True)
class Kept:
    """A question that was answered.

    entry: what the audit trail has to say of it, empty once it is known to. fresh: whether it was answered just now, so
    that the trail cannot have it yet.
    """

    digest: str
    answer: bytes
    entry: str
    fresh: bool = False


class Book:
    """The book of one institution, STORE/serving/book.sqlite. Safe to use from several threads and processes.

    Every method raises StoreError where the disk cannot be read or written, and changes nothing then.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, key: bytes) -> None:
        self._folder, self._connection, self._key = folder, connection, key
        self._lock = threading.RLock()
        self._swept = 0
        self._marks: list[str] = []
        self._verified = verified_tokens.VerifiedTokens()

    @classmethod
    def open(cls, folder: Path, begin: Callable[[], None]) -> "Book":
        """The book in STORE/serving, made on first use.

        begin: what is done, before anybody can use the book, where it is new or the machine was started since: keys
        under which its questions were masked are dropped there.
        """
        file, secret = folder / "book.sqlite", folder / "book.key"
        with _guarded(file):
            make_folders(folder)
            if secret.exists() and not (file.is_file() and file.stat().st_size):
                raise StoreError(
                    f"{file} is gone or empty, and scores were counted in it; {PUT_BACK}. Without one, delete "
                    f"{secret.name} beside it: all counts then begin anew"
                )
            private_file(file)
            connection = sqlite3.connect(file, WAIT, isolation_level=None, check_same_thread=False)
            _prepare(connection, begin)
            key = _key(connection, secret)
        return cls(folder, connection, key)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def enterprise(self, id: str) -> bytes:
        """What stands for an enterprise here; ``id`` in its one spelling."""
        return hmac.digest(self._key, id.encode(), "sha256")[:16]

    @property
    def secret(self) -> bytes:
        """32 bytes of this institution's own, for whatever else must be recognised and not be opened."""
        return hmac.digest(self._key, b"fedrisk secret of the book v1", "sha256")

    def kept(self, id: str) -> Kept | None:
        """The answer to a question, None where there is none."""
        with self._lock, _guarded(self._folder):
            row = self._connection.execute(_KEPT, (id,)).fetchone()
            return None if row is None else Kept(row[0], row[1], "" if id in self._marks else row[2])

    def forgot(self, made: int) -> bool:
        """Whether a question that was made then may have been answered and deleted: the clock was put back since."""
        with self._lock, _guarded(self._folder):
            row = self._connection.execute("select value from state where name = 'deleted'").fetchone()
            return row is not None and made <= int(row[0]) + MARGIN

    def begin_anew(self) -> None:
        """What was deleted cannot come again: the keys under which it was masked are gone."""
        with self._lock, _guarded(self._folder):
            self._connection.execute("delete from state where name = 'deleted'")

    def verified(self, marks: Collection[bytes]) -> set[bytes]:
        """Which of these marks are of consents whose signature was verified before (`verified_tokens`)."""
        with self._lock, _guarded(self._folder):
            return self._verified.known(self._connection, marks)

    @contextlib.contextmanager
    def question(
        self, now: float, consent_days: int = 366, keys: Collection[str] | None = None
    ) -> Iterator["Page"]:
        """One transaction: all that is done with the page is committed at its end, or nothing where that fails.

        consent_days: longest validity of a consent; uses of older ones are deleted. keys: of registers that are pinned;
        signatures under others are forgotten. None forgets none.
        """
        with self._lock, _guarded(self._folder):
            c = self._connection
            self._sweep(int(now), consent_days, keys)
            with _transaction(c):
                marks = list(self._marks)
                c.executemany("update question set entry = '' where id = ?", [(id,) for id in marks])
                yield Page(c, int(now))
            del self._marks[: len(marks)]

    def mark_entered(self, id: str) -> None:
        """The audit trail has a question; written with the next one, since the trail itself says so too."""
        with self._lock:
            self._marks.append(id)

    def _sweep(self, now: int, consent_days: int, keys: Collection[str] | None) -> None:
        """Delete what is old, every few minutes: for good, also where the question itself comes to nothing."""
        if 0 <= now - self._swept < 300:
            return
        with _transaction(self._connection) as c:
            self._delete_old(c, now, consent_days, keys)
        self._swept = now

    def _delete_old(
        self, c: sqlite3.Connection, now: int, consent_days: int, keys: Collection[str] | None
    ) -> None:
        c.execute("delete from question where time < ?", (now - DAY,))
        far = c.execute("select value from state where name = 'deleted'").fetchone()
        far = max(now - DAY, int(far[0])) if far is not None else now - DAY
        c.execute("insert or replace into state values ('deleted', ?)", (str(far),))
        c.execute("delete from scored where day < ?", (now // DAY - SCORE_DAYS,))
        c.execute("delete from counted where time < ?", (now - KEPT_PERIODS,))
        # Never sooner than after a year: a policy may be short for a while.
        c.execute("delete from consent where time < ?", (now - (max(consent_days, 366) + 31) * DAY,))
        # By then a token that was verified at that time has expired.
        self._verified.sweep(c, now - consent_days * DAY, keys)


class Page:
    """What one question reads and writes, within its transaction."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection, self.now = connection, now

    def kept(self, id: str) -> Kept | None:
        """As `Book.kept`: another thread may have answered meanwhile."""
        row = self._connection.execute(_KEPT, (id,)).fetchone()
        return None if row is None else Kept(*row)

    def keep(self, id: str, asker: str, digest: str, answer: bytes, entry: str) -> None:
        """The finished answer; StoreError where the question has one already."""
        self._connection.execute(
            "insert into question values (?, ?, ?, ?, ?, ?)", (id, asker, digest, answer, entry, self.now)
        )

    def counted(self, asker: str, what: str, period: str) -> int:
        """What was counted so far of something for a bank in a day or month."""
        row = self._connection.execute(
            "select number from counted where asker = ? and what = ? and period = ?", (asker, what, period)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def count(self, asker: str, what: str, period: str, number: int) -> None:
        """Count so many more."""
        self._connection.execute(
            "insert into counted values (?, ?, ?, ?, ?) on conflict do update set number = number + excluded.number",
            (asker, what, period, number, self.now),
        )

    def used_up(self, uses: Mapping[str, int], question: str) -> set[str]:
        """Which of these consents may not be used for a question: they were, for as many other ones as they allow.

        uses: in how many questions each may be used, by its digest. question: the first of those that came to nothing
        and are asked anew. One that lost a member on its way cost the bank nothing but is a use at those who answered:
        they answer it `ANEW` times in all within a day.
        """
        out = set()
        digests = list(uses)
        for start in range(0, len(digests), _TOGETHER):
            some = digests[start : start + _TOGETHER]
            these = f"digest in ({', '.join('?' * len(some))})"
            before = self._connection.execute(
                f"select digest, number, time from consent where {these} and question = ?", (*some, question)
            ).fetchall()
            counts = self._connection.execute(
                f"select digest, count(*) from consent where {these} group by digest", some
            ).fetchall()
            out |= {digest for digest, count in counts if count >= uses[digest]}
            for digest, number, first in before:
                again = number < ANEW and abs(self.now - first) < DAY
                (out.discard if again else out.add)(digest)
        return out

    def verified(self, keys: Mapping[bytes, str]) -> None:
        """Signatures of consents were verified: marks, with the key that signed each (`verified_tokens`)."""
        verified_tokens.keep(self._connection, keys, self.now)

    def use(self, digests: Sequence[str], question: str) -> None:
        """Consents were used for a question; several rows of one question use one consent once."""
        self._connection.executemany(
            "insert into consent values (?, ?, 1, ?) on conflict do update set number = number + 1",
            [(d, question, self.now) for d in dict.fromkeys(digests)],
        )

    def scored(self, asker: str, enterprises: Sequence[bytes], each: int = 1) -> list[int]:
        """How many scores a bank got of each of these within 30 days, those before each in this list among them.

        each: scores that it gets of each of the list.
        """
        since, found, out = self.now // DAY - SCORE_DAYS + 1, Counter[bytes](), []
        different = list(dict.fromkeys(enterprises))
        for start in range(0, len(different), _TOGETHER):
            some = different[start : start + _TOGETHER]
            rows = self._connection.execute(
                "select enterprise, sum(number) from scored where asker = ? and day >= ? and enterprise in "
                f"({', '.join('?' * len(some))}) group by enterprise",
                (asker, since, *some),
            )
            found.update(dict(rows.fetchall()))
        for enterprise in enterprises:
            out.append(found[enterprise])
            found[enterprise] += each
        return out

    def score(self, asker: str, enterprises: Sequence[bytes], each: int = 1) -> None:
        """A bank gets scores of these, so many of each."""
        day = self.now // DAY
        self._connection.executemany(
            "insert into scored values (?, ?, ?, ?) on conflict do update set number = number + excluded.number",
            [(asker, enterprise, day, each * number) for enterprise, number in Counter(enterprises).items()],
        )


def day_of(now: float) -> str:
    """The day (UTC) of a time.

    >>> day_of(0.0)
    '1970-01-01'
    """
    return time.strftime("%Y-%m-%d", time.gmtime(now))


def month_of(now: float) -> str:
    """The month (UTC) of a time.

    >>> month_of(0.0)
    '1970-01'
    """
    return day_of(now)[:7]


def _prepare(connection: sqlite3.Connection, begin: Callable[[], None]) -> None:
    """Make the tables; drop keys where the book is new or the machine was started since."""
    boot = _boot()
    connection.execute("pragma journal_mode = wal")
    # A thousand rows of a question lie on as many pages.
    connection.execute("pragma cache_size = -32768")
    connection.execute(f"pragma synchronous = {'normal' if boot else 'full'}")
    with _transaction(connection):
        for statement in _TABLES:
            connection.execute(statement)
        row = connection.execute("select value from state where name = 'boot'").fetchone()
        if row is None or row[0] != boot:
            begin()
            connection.execute("insert or replace into state values ('boot', ?)", (boot,))


def _key(connection: sqlite3.Connection, file: Path) -> bytes:
    """The key beside a book, made with it; StoreError where it is not the one that enterprises were kept under."""
    row = connection.execute("select value from state where name = 'key'").fetchone()
    if row is None and not file.exists():
        write_atomic(file, secrets.token_bytes(32), replace=False)
    remedy = f"{PUT_BACK}, or delete it and the book beside it: all counts then begin anew"
    key = read_kept(file, remedy)
    mark = hashlib.sha256(b"fedrisk key of the book" + key).hexdigest()
    if len(key) != 32 or (row is not None and row[0] != mark):
        raise damaged(file, remedy)
    connection.execute("insert or ignore into state values ('key', ?)", (mark,))
    return key


def _boot() -> str:
    """Name of this start of the machine; empty where the system has none."""
    try:
        return _BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction of a writer: committed at its end, and nothing of it where that or anything before fails."""
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        # A full disk may have ended the transaction already.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        raise


@contextlib.contextmanager
def _guarded(place: Path) -> Iterator[None]:
    """Errors of the disk and of SQLite as StoreError, with nothing of what was being written."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"the book of served scores in {place} cannot be used ({type(error).__name__}: {error}); free space on its "
            "disk, end processes that hold it, or put it back from its copy"
        ) from None
    except OSError as error:
        raise StoreError(f"{place} cannot be used: {error.strerror}; check space and permissions") from None
