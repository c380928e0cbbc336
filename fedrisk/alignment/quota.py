"""The key authority's count of evaluations: how many ids each institution may have evaluated in an epoch.

An institution that could request evaluations without end would run the whole public registry through the
authority and hold everybody's pseudonym. So the authority agrees a size with each institution for each epoch,
counts the evaluations against it, and refuses any that exceed it before it computes anything. The count is
bound to the fingerprint of the institution's pinned key. It is kept in a file (SQLite, synchronised to the
disk at every debit) together with a log of all debits, refusals and changes of size, and it never goes down
within an epoch.

A request that is repeated after a lost answer costs nothing: it carries the same id and digest.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.errors import ConfigError, PolicyError, ProtocolError, QuotaError, StoreError

_log = logging.getLogger(__name__)

_TABLES = """
create table if not exists size (
    institution text not null, epoch text not null, declared integer not null check (declared >= 0),
    primary key (institution, epoch)) strict;
create table if not exists debit (
    institution text not null, request text not null, epoch text not null, digest blob not null,
    count integer not null check (count > 0), primary key (institution, request)) strict;
create table if not exists event (
    number integer primary key, time text not null, institution text not null, epoch text not null,
    kind text not null, request text, count integer not null) strict;
"""


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        time: in ISO format, UTC.
        institution: fingerprint of its pinned key.
        epoch: the key's epoch.
        kind: declared, debited, repeated, refused or redeclared.
        request: the request's id; None for declared and redeclared.
        count: number of ids: the agreed size for declared and redeclared, else the size of the request.
    """

    time: str
    institution: str
    epoch: str
    kind: str
    request: str | None
    count: int


class Quota:
    """Durable count of evaluations by institution and epoch.

    Every call opens, locks and closes the file, so that several processes and threads may share it.

    Args:
        path: the SQLite file; it is made if it does not exist, in a folder that must exist.

    Raises:
        StoreError: from every method, if the file cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with self._open() as connection:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)

    def debit(
        self, institution: str, epoch: str, count: int, declared: int, *, request: str, digest: bytes
    ) -> int:
        """Count a request before it is evaluated; nothing is counted if it is refused.

        Args:
            institution: fingerprint of its pinned key.
            epoch: the key's epoch.
            count: number of points in the request, at least 1.
            declared: the size agreed for this institution and epoch; the first one is binding.
            request: the request's id, unique for the institution.
            digest: hash of the request's whole content, at least 16 bytes.

        Returns:
            How many evaluations are left. A repeated request is not counted again.

        Raises:
            QuotaError: the request exceeds what is left.
            PolicyError: ``declared`` differs from the binding size.
            ProtocolError: the request's id was used for other content, another epoch or another count.
            ConfigError: count is below 1, declared below 0, or the digest shorter than 16 bytes.
        """
        if count < 1 or declared < 0 or len(digest) < 16:
            raise ConfigError(
                f"a debit has count {count}, declared {declared} and a digest of {len(digest)} bytes; they "
                "must be at least 1, 0 and 16"
            )
        with self._open() as connection:
            refusal = self._debit(connection, institution, epoch, count, declared, request, digest)
            left = 0
            if refusal is None:
                used = self._used(connection, institution, epoch)
                left = self._declared(connection, institution, epoch) - used
        # Raised only now, so that the refusal is in the log on the disk.
        if refusal is not None:
            raise refusal
        return left

    def foresee(self, institution: str, epoch: str, count: int, *, request: str | None = None) -> None:
        """Whether a request of so many ids would fit what is left; nothing is counted, and nothing logged.

        Args:
            institution: fingerprint of its pinned key.
            epoch: the key's epoch.
            count: number of points.
            request: its id where it may have been debited before: then it costs nothing.

        Raises:
            QuotaError: it would be refused.
        """
        with self._open() as connection:
            agreed = self._agreed(connection, institution, epoch)
            used = self._used(connection, institution, epoch)
            paid = connection.execute(
                "select 1 from debit where institution = ? and request = ?", (institution, request)
            ).fetchone()
        if agreed is not None and paid is None and used + count > agreed:
            raise _too_many(count, agreed, used)

    def size(self, institution: str, epoch: str) -> int | None:
        """The agreed size, or None before the first request."""
        with self._open() as connection:
            return self._agreed(connection, institution, epoch)

    def redeclare(self, institution: str, epoch: str, declared: int) -> None:
        """Change an agreed size, or agree the first, by decision of the authority's operator.

        Evaluations used so far stay used.

        Raises:
            ConfigError: the size is below 0.
            PolicyError: more evaluations are used already.
        """
        if declared < 0:
            raise ConfigError(f"the declared size is {declared}; it must be at least 0")
        with self._open() as connection:
            used = self._used(connection, institution, epoch)
            if declared < used:
                raise PolicyError(f"{used} evaluations are used already; the size cannot become {declared}")
            connection.execute(
                "insert into size values (?, ?, ?) "
                "on conflict (institution, epoch) do update set declared = excluded.declared",
                (institution, epoch, declared),
            )
            self._note(connection, institution, epoch, "redeclared", None, declared)

    def used(self, institution: str, epoch: str) -> int:
        """Number of evaluations counted so far."""
        with self._open() as connection:
            return self._used(connection, institution, epoch)

    def events(self) -> list[Event]:
        """The log, oldest first."""
        with self._open() as connection:
            rows = connection.execute(
                "select time, institution, epoch, kind, request, count from event order by number"
            )
            return [Event(*row) for row in rows]

    def _debit(
        self,
        connection: sqlite3.Connection,
        institution: str,
        epoch: str,
        count: int,
        declared: int,
        request: str,
        digest: bytes,
    ) -> PolicyError | ProtocolError | None:
        """Book the request, or return the error that refuses it; either way the log gets a line."""
        before = connection.execute(
            "select epoch, digest, count from debit where institution = ? and request = ?",
            (institution, request),
        ).fetchone()
        if before is not None:
            same = before == (epoch, digest, count)
            self._note(connection, institution, epoch, "repeated" if same else "refused", request, count)
            if same:
                return None
            return ProtocolError(
                "a request's id was used before for other content; send new content under a new id"
            )
        agreed = self._agreed(connection, institution, epoch)
        if agreed is None:
            connection.execute("insert into size values (?, ?, ?)", (institution, epoch, declared))
            self._note(connection, institution, epoch, "declared", None, declared)
        elif agreed != declared:
            self._note(connection, institution, epoch, "refused", request, count)
            return PolicyError(
                f"the declared size is {declared}, but {agreed} was agreed for this epoch; the authority's "
                "operator may change it with fedrisk quota"
            )
        used = self._used(connection, institution, epoch)
        if used + count > declared:
            self._note(connection, institution, epoch, "refused", request, count)
            return _too_many(count, declared, used)
        connection.execute(
            "insert into debit values (?, ?, ?, ?, ?)", (institution, request, epoch, digest, count)
        )
        self._note(connection, institution, epoch, "debited", request, count)
        return None

    def _agreed(self, connection: sqlite3.Connection, institution: str, epoch: str) -> int | None:
        row = connection.execute(
            "select declared from size where institution = ? and epoch = ?", (institution, epoch)
        ).fetchone()
        return None if row is None else int(row[0])

    def _declared(self, connection: sqlite3.Connection, institution: str, epoch: str) -> int:
        agreed = self._agreed(connection, institution, epoch)
        if agreed is None:
            raise PolicyError("no size is agreed for this institution and epoch; the first debit sets it")
        return agreed

    def _used(self, connection: sqlite3.Connection, institution: str, epoch: str) -> int:
        row = connection.execute(
            "select coalesce(sum(count), 0) from debit where institution = ? and epoch = ?",
            (institution, epoch),
        ).fetchone()
        return int(row[0])

    def _note(
        self,
        connection: sqlite3.Connection,
        institution: str,
        epoch: str,
        kind: str,
        request: str | None,
        count: int,
    ) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        connection.execute(
            "insert into event (time, institution, epoch, kind, request, count) values (?, ?, ?, ?, ?, ?)",
            (now, institution, epoch, kind, request, count),
        )
        _log.info("quota: %s %d ids for institution %s in epoch %s", kind, count, institution, epoch)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction: written and synchronised at its end, undone on an error."""
        try:
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(
                f"the quota file {self._path} cannot be opened ({error}); check that its folder exists"
            ) from error
        try:
            connection.execute("pragma synchronous = full")
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        except sqlite3.Error as error:
            raise StoreError(
                f"the quota file {self._path} cannot be used ({error}); put it back from its copy, or check the disk"
            ) from error
        finally:
            connection.close()


def _too_many(count: int, declared: int, used: int) -> QuotaError:
    return QuotaError(
        f"{count} evaluations were requested, but {declared - used} of {declared} are left in this epoch",
        count=count,
        agreed=declared,
        used=used,
    )
