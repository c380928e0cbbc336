"""What is noted of served scores: entries of the audit trail, refusals in the error log, and counts for the health.

An entry says who got what of how many enterprises, and the digest of the question, never an id. Entries of several
threads that come at once are appended together: each append waits for the disk.
"""

import contextlib
import hashlib
import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from fedrisk.audit.entry import check_text
from fedrisk.audit.log import AuditLog
from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError
from fedrisk.files import mark_of

ACTION: Final = "serve"
"""Action of all these entries."""

HUB: Final = "hub"

STRANGERS: Final = 30
"""Refusals of messages that nobody vouches for that are entered in a minute; further ones are only counted."""

MEMBERS: Final = 600
"""Refusals of banks' own messages that are entered in a minute."""

_log = logging.getLogger("fedrisk.serving")
_NAME = re.compile(r"[\w.-]{1,64}")


class Entries:
    """The audit trail of one institution, for many threads. StoreError where an entry cannot be made."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._trail: tuple[tuple[int, ...], AuditLog] | None = None
        self._gate, self._lock = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting] = []

    def append(self, draft: Mapping[str, Any]) -> None:
        """Append an entry; it is on the disk when this returns."""
        mine = _Waiting(draft)
        with self._lock:
            self._waiting.append(mine)
        with self._gate:
            if not mine.done:
                with self._lock:
                    batch, self._waiting = self._waiting, []
                self._write(batch)
        if mine.error is not None:
            raise mine.error

    def has(self, digest: str) -> bool:
        """Whether the trail has an entry of a question; reads it whole."""
        with self._gate:
            return next(self._open().entries(action=ACTION, digest=digest), None) is not None

    def _write(self, batch: "Sequence[_Waiting]") -> None:
        error: BaseException | None = None
        try:
            with self._not_between_keys():
                self._open().append([one.draft for one in batch])
        except Exception as found:
            # The file may be another one by now (fedrisk audit restore): the next append opens it again.
            self._trail, error = None, found
        for one in batch:
            one.done, one.error = True, error

    def _open(self) -> AuditLog:
        """The trail, opened again where the institution changed its key: entries are signed by the present one."""
        mark = mark_of(self._node.store.path / "identity.key")
        if self._trail is None or self._trail[0] != mark:
            self._trail = (mark, self._node.trail)
        return self._trail[1]

    def _not_between_keys(self) -> AbstractContextManager[None]:
        """While a change of keys is under way, entries wait for the store: the old key signs none after its last."""
        store = self._node.store
        changing = (store.path / "identity.next.key").exists()
        return store.one_at_a_time() if changing else contextlib.nullcontext()


class _Waiting:
    def __init__(self, draft: Mapping[str, Any]) -> None:
        self.draft, self.done = draft, False
        self.error: BaseException | None = None


class Noting:
    """What is told at home of questions that were answered or refused.

    counts: answered questions under "", refused ones by code, and refused rows by code under ``row.CODE``.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._minute, self._entered = 0, Counter[bool]()

    def served(self, seconds: float, size: int, refused: Mapping[int, str]) -> None:
        """A question was answered; refused: codes of rows."""
        with self._lock:
            self.counts[""] += 1
            self.counts.update(f"row.{code}" for code in refused.values())
        _log.debug(
            "scores served", extra={"event": "served", "action": ACTION, "seconds": seconds, "bytes": size}
        )
        for code in set(refused.values()):
            _log.debug("rows refused", extra={"event": "refused", "code": code})

    def refused(
        self,
        node: Node,
        entries: Entries,
        error: Exception,
        code: str,
        asker: str,
        study: str,
        *,
        known: bool,
    ) -> None:
        """A question was refused, by an error with this code; known: whether it is certain that the asker sent it."""
        with self._lock:
            self.counts[code] += 1
            minute = int(self._clock() // 60)
            if minute != self._minute:
                self._minute, self._entered = minute, Counter()
            self._entered[known] += 1
            entered = self._entered[known] <= (MEMBERS if known else STRANGERS)
        _log.info("a question about scores was refused", extra={"event": "refused", "code": code})
        if not entered:
            return
        with contextlib.suppress(Exception):
            node.store.errors.add("", ACTION, error)
        with contextlib.suppress(Exception):
            who = asker if _NAME.fullmatch(asker) else HUB
            refusal = {"event": "refusal", "counterparty": who, "kind": "refusal", "code": code}
            entries.append({"study": study, "action": ACTION, **refusal})


def consents_digest(digests: Sequence[str]) -> str | None:
    """One digest for the consents of a question: that of a single one as it is, of several one over all of them."""
    found = [digest for digest in dict.fromkeys(digests) if digest]
    if len(found) < 2:
        return found[0] if found else None
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def kind_of(kind: str, *, screening: bool, index: bool = False, months: int = 1) -> str:
    """The kind of an entry about an answer: of a model's kind, of an index, or of a list that a bank looks through.

    >>> kind_of("scorecard", screening=False), kind_of("scorecard", screening=True)
    ('served_scorecard', 'served_list')
    >>> kind_of("scorecard", screening=False, index=True, months=18)
    'served_index_months'
    """
    if index and not screening:
        return "served_index" if months == 1 else "served_index_months"
    return "served_list" if screening else f"served_{kind}"


def plain(text: str) -> str:
    """A text as an entry may hold it, else nothing: what others wrote is cut out, never quoted."""
    try:
        check_text("text", text)
    except ConfigError:
        return ""
    return text
