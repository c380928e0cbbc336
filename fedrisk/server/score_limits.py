"""How much each member may send the relay of scores, so that none of them keeps the others from being served."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc


class Refused(Exception):
    """A call that is refused: its status, and a generic word, which the log gets as well."""

    def __init__(self, status: grpc.StatusCode, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The relay's limits.

    questions: that a member may ask in a second on average, and twice as many at once: more than two cores relay.
    open_questions: that a member may wait for at a time: sixteen clients and a list beside them take half of it.
    open_bytes, all_bytes: of such questions, of one member and of all: what the relay may take of memory for them.
    parts: handed to a member and not yet taken by it; more wait with their askers.
    streams: how often a member may begin a stream or say a key in a minute; one that is killed again and again.
    strays: answers that nobody asked for, in a minute, after which a stream is ended.
    remembered: questions that are over, whose late answers are no strays.
    hello_seconds: for which a new stream may be silent. return_seconds: for which a member that was lost is waited for
    before it counts as away: nodes come back within five.
    """

    questions: float = 400.0
    open_questions: int = 64
    open_bytes: int = 64 << 20
    all_bytes: int = 256 << 20
    parts: int = 64
    streams: float = 60.0
    strays: float = 200.0
    remembered: int = 20_000
    hello_seconds: float = 10.0
    return_seconds: float = 6.0

    @property
    def by_kind(self) -> dict[str, tuple[float, float]]:
        """(How many in a second on average, how many at once) by kind of what is counted."""
        return {
            "questions": (self.questions, 2 * self.questions),
            "streams": (self.streams / 60, self.streams),
            "strays": (self.strays / 60, self.strays),
        }


class Paces:
    """A token bucket for each member and kind: refuses what comes faster than the limits allow."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = limits.by_kind, clock
        self._left: dict[tuple[str, str], tuple[float, float]] = {}

    def check(self, name: str, kind: str) -> None:
        """Count one; Refused where it is one too many."""
        rate, most = self._rates[kind]
        now = self._clock()
        left, since = self._left.get((name, kind), (most, now))
        left = min(most, left + (now - since) * rate)
        self._left[name, kind] = (max(left - 1, 0.0), now)
        if left < 1:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "many")


class Open:
    """Questions that wait for their answers: how many, and how large."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._number: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextlib.contextmanager
    def question(self, name: str, size: int) -> Iterator[None]:
        """Count a question while it waits; Refused where it is one too many, or too large beside the others."""
        if (
            self._number[name] >= self._limits.open_questions
            or self._bytes[name] + size > self._limits.open_bytes
            or self._bytes.total() + size > self._limits.all_bytes
        ):
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "many")
        self._number[name] += 1
        self._bytes[name] += size
        try:
            yield
        finally:
            self._number[name] -= 1
            self._bytes[name] -= size
