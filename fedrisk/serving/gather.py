"""Requests that come while a question is on its way go together into the next one.

A question costs each holder two seals and the relay a round trip, whatever its number of rows. With one client nothing
waits; with many, questions grow and stay few. No timer delays anybody: who comes while nothing is on its way is sent
at once (natural batching). Rows keep their own consents and codes, and each request gets its own rows back.
"""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from fedrisk.serving.messages import MOST_ROWS
from fedrisk.serving.sums import Sums

AT_ONCE: Final = 2
"""Questions of one kind that are on their way at once before others wait."""

PATIENCE: Final = 0.1
"""Seconds after which a request that waits is sent all the same: a holder that is slow for one must not stop all."""

ALONE: Final = ("quota", "form", "internal")
"""Codes of a whole question that may be the fault of one request in it: each is then asked by itself."""


Keep = Callable[[bytes, int], None]
"""Called before a question goes out, with its bytes and the place of a request's first row in it."""


@dataclass(frozen=True)
class Rows:
    """What a request asks: ids and their consents; keep: what the request does with the question that it goes into.

    repeats: id of a question that came to nothing, in whose place this one is.
    """

    ids: tuple[str, ...]
    consents: tuple[str, ...]
    keep: Keep | None = None
    repeats: str = ""

    def __len__(self) -> int:
        return len(self.ids)


Ask = Callable[[Rows], Sums]
"""Asks the members one question and waits."""


class Gatherer:
    """Requests of several threads, put together. Each kind (model, purpose, product) has questions of its own."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}
        self._lock = threading.Lock()

    def ask(self, kind: Hashable, rows: Rows, ask: Ask) -> Sums:
        """What the members give for these rows; raises what ``ask``, which is the same for a kind, raises."""
        with self._lock:
            queue = self._kinds.setdefault(kind, _Kind())
        mine = _Waiting(rows)
        queue.join(mine)
        while not mine.done:
            batch = queue.turn(mine)
            if batch:
                _send(queue, batch, ask)
        if mine.error is not None:
            raise mine.error
        if mine.in_company and any(code in ALONE for code in mine.sums.failed.values()):
            return ask(replace(rows, repeats=mine.sums.root))
        return mine.sums


@dataclass(eq=False)
class _Waiting:
    rows: Rows
    taken: bool = False
    done: bool = False
    in_company: bool = False
    sums: Sums = field(default_factory=lambda: Sums(""))
    error: BaseException | None = None


class _Kind:
    """The requests of one kind that wait, and how many questions are on their way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._on_way = 0

    def join(self, mine: _Waiting) -> None:
        with self._changed:
            self._waiting.append(mine)

    def turn(self, mine: _Waiting) -> list[_Waiting]:
        """Requests that this thread is to send now; none once its own is done."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            while not mine.done:
                left = until - time.monotonic()
                if not mine.taken and (self._on_way < AT_ONCE or left <= 0):
                    self._on_way += 1
                    return self._take()
                self._changed.wait(None if mine.taken else left)
        return []

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting and rows + len(self._waiting[0].rows) <= MOST_ROWS:
            first = self._waiting.pop(0)
            first.taken = True
            rows += len(first.rows)
            batch.append(first)
        return batch

    def sent(self, batch: Sequence[_Waiting]) -> None:
        with self._changed:
            self._on_way -= 1
            for one in batch:
                one.done = True
            self._changed.notify_all()


def _send(queue: _Kind, batch: Sequence[_Waiting], ask: Ask) -> None:
    places = list(accumulate((len(one.rows) for one in batch), initial=0))

    def keep(raw: bytes, place: int) -> None:
        for one, at in zip(batch, places, strict=False):
            if one.rows.keep is not None:
                one.rows.keep(raw, place + at)

    try:
        together = Rows(
            tuple(i for one in batch for i in one.rows.ids),
            tuple(c for one in batch for c in one.rows.consents),
            keep if any(one.rows.keep is not None for one in batch) else None,
        )
        sums = ask(together)
        for one, at in zip(batch, places, strict=False):
            one.sums, one.in_company = part_of(sums, at, at + len(one.rows)), len(batch) > 1
    except BaseException as error:
        for one in batch:
            one.error = error
    finally:
        queue.sent(batch)


def part_of(sums: Sums, low: int, high: int) -> Sums:
    """Rows ``low`` to ``high`` of what came back."""
    return replace(
        sums,
        refused={row - low: dict(codes) for row, codes in sums.refused.items() if low <= row < high},
        columns={name: column[low:high] for name, column in sums.columns.items()},
    )
