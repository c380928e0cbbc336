"""The same request once more: at least once, same attempt, same content, same bytes.

A hub that lost a node, or was lost itself, sends a request again. The node keeps its last answer of each attempt on
its disk, before it is sent, and gives the same bytes again; the audit trail says ``resent``, which neither the
comparison of trails nor the meter counts. What was cut off before the answer was kept is served again: handlers give
the same charge, and nothing of the first answer had left.

Faults that go by (a full disk, a database that is away) refuse with code ``later`` and consume nothing: the attempt
keeps its secrets, and the same request is answered once the fault is gone.
"""

import errno
import sqlite3
from dataclasses import dataclass
from functools import cached_property

from fedrisk.audit.entry import AuditEntry
from fedrisk.clients.store.attempt_store import Asked, AttemptStore
from fedrisk.clients.trail import Message, record_answer, record_request, record_resent
from fedrisk.errors import LATER, NothingYet, OwnerError, StoreError, code_of
from fedrisk.protocol.payload import Payload

REQUEST_AGAIN, ANSWER_AGAIN = "request_again", "answer_again"
"""Kinds of entries ``resent``."""

_GO_BY = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EBUSY, errno.EINTR),
    *(errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ETIMEDOUT, errno.ESTALE),
}
"""Errors of a disk that is full or away, or of a machine that is busy."""

_BUSY = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED")


def goes_by(error: BaseException) -> bool:
    """Whether a fault goes by, so that the same request may be answered later.

    Only faults of a disk or of the table's database. Whatever was charged then stands in the ledger under the request's
    digest, and no answer left: the same request costs nothing more. A damaged file, a ledger that does not agree with
    its trail, a table or policy that changed are no such faults.
    """
    if code_of(error) == LATER:
        return True
    if isinstance(error, StoreError) and not isinstance(error, NothingYet | OwnerError):
        # Errors of a store say in words what the system said; that itself is what they were raised for.
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, OSError):
        return error.errno in _GO_BY
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "").startswith(_BUSY)


@dataclass(frozen=True)
class Incoming:
    """A request as it comes, within its attempt or not."""

    message: Message

    @cached_property
    def asked(self) -> Asked:
        """What identifies it."""
        return Asked(action=self.message.name, digest=self.message.request.digest())

    @property
    def _in_attempt(self) -> bool:
        return self.message.action is not None and self.message.action.in_attempt

    @property
    def _state(self) -> AttemptStore | None:
        """The attempt's store, where the attempt has begun."""
        attempt = self.message.attempt
        return None if attempt is None else attempt.state

    @cached_property
    def _again(self) -> bool:
        """Whether it may be the last request of the attempt once more, which the trail then says for certain."""
        state = self._state
        last = None if state is None else state.find(Asked)
        return last is not None and (last.action, last.digest) == (self.asked.action, self.asked.digest)

    @cached_property
    def _entered(self) -> list[AuditEntry]:
        """The trail's entries of this action in this attempt; read only where the request came before."""
        if not self._again:
            return []
        attempt = str(self.message.request.body.get("attempt"))
        return list(self.message.node.trail.entries(attempt=attempt, action=self.message.name))

    def record(self) -> None:
        """Enter that it came, before anything is done with it; one that came before counts no second time."""
        digest = self.asked.digest
        if any(e.event == "request" and e.digest == digest for e in self._entered):
            record_resent(self.message, self.message.request, REQUEST_AGAIN)
            return
        state = self._state
        if state is not None and self._in_attempt and not (self._again or state.over):
            state.save(self.asked)
        record_request(self.message)

    def remember(self) -> None:
        """After a description: that it was the first request of the attempt; a later one replaces no other request."""
        state = self._state
        if state is not None and state.find(Asked) is None:
            state.save(self.asked)

    def kept(self) -> Payload | None:
        """The answer that was given to it, or would have been; None where there is none."""
        state = self._state
        return state.kept_answer(self.asked) if state is not None and self._again else None

    def keep(self, answer: Payload) -> None:
        """Put its answer on the disk, before it is sent; of an attempt that is over nothing more is kept."""
        state = self._state
        if state is not None and not state.over:
            state.keep_answer(self.asked, answer)

    def record_answer(self, answer: Payload) -> None:
        """Enter that its answer goes; one that went before counts no second time."""
        digest = answer.digest()
        # A description is answered anew, with the head of the trail as it is now.
        if any(e.event == "answer" and (e.digest == digest or not self._in_attempt) for e in self._entered):
            record_resent(self.message, answer, ANSWER_AGAIN)
        else:
            record_answer(self.message, answer)
