"""Scores of a whole list: the service's own answers, a thousand a question, several questions on their way at once.

Each page of the list is a request to the bank's service, which answers as it answers one by one. What is on its way is
on the disk first (serving/batch_folder): a batch that was stopped by hand, killed, or cut off from the hub goes on when
it is ordered again, and nobody is asked twice about what is written. Memory holds a few pages, whatever the list's
length.

Codes of single enterprises are rows of the result. A member that fails as a whole stops the batch: if it passes, after
some patience, and at once where it does not, since all other pages would fail alike.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa

from fedrisk.errors import FedriskError, LaterError, PeerError, QuotaError, Stopped
from fedrisk.models.model_part import ModelPart
from fedrisk.progress import counted as told
from fedrisk.serving.answer_table import schema_of
from fedrisk.serving.asking import Asking
from fedrisk.serving.batch_folder import BatchFolder
from fedrisk.serving.batch_list import Counted, ListFile, Page, pages
from fedrisk.serving.batch_table import Summary, page_table, put_together, summarised
from fedrisk.serving.score_forms import ScoreRequest
from fedrisk.serving.sums import Sums
from fedrisk.serving.words import of_code, of_members

IN_FLIGHT: Final = 3
"""Questions that are on their way at once."""

SECONDS: Final = 30.0
"""Seconds for which the answers to a question are waited for: nobody stands at a counter."""

PATIENCE: Final = 90.0
"""Seconds for which a member, or the hub, that is away is asked again before the batch stops."""

PASSING: Final = ("away", "late", "later", "keys")
"""Codes of members after which they are asked again."""

HERE: Final = ("hub", "own_table")
"""Codes of the bank's own node that would be those of all rows, and pass."""


class Service(Protocol):
    """What answers a page (`serving.bank.BankService`)."""

    def table(self, request: ScoreRequest, bins: Sequence[str] = ()) -> pa.Table:
        """The answer for each id, in order (serving/answer_table)."""
        ...

    def close(self) -> None:
        """No more is asked."""
        ...


class Halt(FedriskError):
    """Ends a batch; not one of the errors that become the code of a row."""

    def __init__(self, error: FedriskError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be scored.

    Attributes:
        bank, model: which model's card, by its whole id. file, counted: the list.
        purpose, product, screening: as in a request.
        grades: that are written; all where it is empty. sort: by grade.
        bins: own columns whose bins are written beside the answers.
        after: scores of other models that are asked for after these. With a number, 0 too, members first say whether
            their limits bear the whole list and what comes after it; None asks until a limit is reached.
    """

    bank: str
    model: str
    file: ListFile
    counted: Counted
    purpose: str = ""
    product: str = ""
    screening: bool = False
    grades: tuple[str, ...] = ()
    sort: bool = False
    bins: tuple[str, ...] = ()
    after: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All that the result follows from."""
        return {
            "bank": self.bank,
            "model": self.model,
            "list": self.counted.digest,
            "columns": [self.file.column, self.file.consent, *self.file.values],
            "purpose": self.purpose,
            "product": self.product,
            "screening": self.screening,
            "grades": list(self.grades),
            "sort": self.sort,
            **({"bins": list(self.bins)} if self.bins else {}),
        }

    def request(self, page: Page) -> ScoreRequest:
        """The request of a page."""
        return ScoreRequest(
            ids=tuple(page.ids),
            model=self.model,
            purpose=self.purpose,
            product=self.product,
            consents=tuple(page.consents) if any(page.consents) else (),
            values={place: dict(given) for place, given in page.values.items()},
            screening=self.screening,
        )


class KeptAsking:
    """Asks for one page after the other, each by a question that is on the disk before it goes out.

    number: of the page that is asked for; to_come: scores that are asked for after it, 0 where nobody is told. stop:
    set when the batch ends; waiting ends then.
    """

    def __init__(
        self, asks: Asking, folder: BatchFolder, stop: threading.Event, patience: float = PATIENCE
    ) -> None:
        self._asks, self._folder, self._stop, self._patience = asks, folder, stop, patience
        self.number, self.to_come = 0, 0

    def ask(self, part: ModelPart, ids: Sequence[str], **how: Any) -> Sums:
        """Sums of the page; Halt where the batch cannot go on."""
        end, pause = time.monotonic() + self._patience, 0.5
        kept = self._folder.question(self.number)
        how |= {"to_come": self.to_come} if self.to_come else {}
        while True:
            try:
                sums = self._asks.ask(part, ids, kept=kept, keep=self._keep, **how)
                failed = dict(sums.failed)
            except LaterError:
                sums, failed = None, {}
            if sums is not None and not failed:
                return sums
            if set(failed.values()) - set(PASSING):
                raise Halt(_for_good(failed))
            if time.monotonic() >= end or self._stop.wait(pause):
                raise Halt(LaterError(of_members(failed) if failed else of_code("hub")))
            kept = self._folder.question(self.number)
            pause = min(2 * pause, 10.0)

    def _keep(self, raw: bytes) -> None:
        self._folder.keep_question(self.number, raw)


def run(
    order: Order,
    folder: BatchFolder,
    asks: Asking | None,
    service: Callable[[KeptAsking | None], Service],
    *,
    in_flight: int = IN_FLIGHT,
    patience: float = PATIENCE,
) -> Summary:
    """Score the list, write the file and remove the folder; what it came to.

    folder: opened for the order. asks: through which members are asked, None for a model without any. service: a
    service that asks through what it is given, one for each question that is on its way.

    Raises:
        LaterError, PeerError, QuotaError: a member or the hub failed; the same command goes on.
        Stopped: by hand; the same command goes on.
    """
    finished = folder.summary()
    if finished is not None:
        folder.publish()
        return Summary.from_dict(finished)
    files = folder.pages(order.counted.pages)
    left = {k for k in range(order.counted.pages) if not folder.has(k)}
    if left:
        _Work(order, folder, asks, service, in_flight, patience).all(left)
    summary = summarised(files, order.grades)
    put_together(files, folder.result, grades=order.grades, sort=order.sort, bins=order.bins)
    folder.finish(summary.to_dict())
    folder.publish()
    return summary


class _Work:
    """Threads that have a service each."""

    def __init__(
        self,
        order: Order,
        folder: BatchFolder,
        asks: Asking | None,
        service: Callable[[KeptAsking | None], Service],
        in_flight: int,
        patience: float,
    ) -> None:
        self._order, self._folder, self._in_flight = order, folder, in_flight
        self._stop = threading.Event()
        self._told = order.after is None
        self._free: queue.SimpleQueue[tuple[KeptAsking | None, Service]] = queue.SimpleQueue()
        self._services: list[Service] = []
        for _ in range(in_flight):
            asking = None if asks is None else KeptAsking(asks, folder, self._stop, patience)
            self._services.append(service(asking))
            self._free.put((asking, self._services[-1]))

    def all(self, left: set[int]) -> None:
        """Answer all pages in ``left``."""
        try:
            for _ in told("scoring pages of a thousand", self._finished(left), len(left)):
                pass
        except KeyboardInterrupt:
            raise Stopped(self._so_far("stopped by hand")) from None
        except Halt as halt:
            if isinstance(halt.error, QuotaError) and not self._told:
                raise QuotaError(_not_borne(str(halt))) from None
            raise _with_text(halt.error, self._so_far(str(halt))) from None
        finally:
            self._stop.set()
            for one in self._services:
                one.close()

    def _finished(self, left: set[int]) -> Iterator[int]:
        """Numbers of pages, each once it is on the disk; a few are on their way at a time."""
        wanted = (page for page in pages(self._order.file) if page.number in left)
        on_way: set[Future[int]] = set()
        # Leaving it waits for what is on its way, so that its answers are kept.
        with ThreadPoolExecutor(self._in_flight, "batch") as pool, self._ending():
            if not self._told and (first := next(wanted, None)) is not None:
                yield self._one(first, self._to_come(left) - len(first.ids))
                self._told = True
            for page in wanted:
                on_way.add(pool.submit(self._one, page))
                if len(on_way) >= self._in_flight:
                    done, on_way = wait(on_way, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while on_way:
                done, on_way = wait(on_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Whoever waits for a member that is away stops waiting when the batch ends early."""
        try:
            yield
        except BaseException:
            self._stop.set()
            raise

    def _to_come(self, left: set[int]) -> int:
        """Scores of all pages that are left, and of what comes after the list."""
        asked = sum(len(page.ids) for page in pages(self._order.file) if page.number in left)
        return asked + (self._order.after or 0)

    def _one(self, page: Page, to_come: int = 0) -> int:
        answers = schema_of(self._order.bins).empty_table()
        if page.ids:
            asking, service = self._free.get()
            try:
                if asking is not None:
                    asking.number, asking.to_come = page.number, to_come
                answers = service.table(self._order.request(page), self._order.bins)
            finally:
                self._free.put((asking, service))
        if here := sorted(set(answers["code"].to_pylist()) & set(HERE)):
            raise Halt(LaterError(of_code(here[0])))
        self._folder.keep_page(page.number, page_table(page, answers))
        return page.number

    def _so_far(self, reason: str) -> str:
        count = sum(self._folder.has(k) for k in range(self._order.counted.pages))
        return (
            f"{reason.rstrip('.')}; {count:,} of {self._order.counted.pages:,} pages are answered and kept in "
            f"{self._folder.path}. The same command goes on from there, and asks nobody twice about them"
        )


def _for_good(failed: Mapping[str, str]) -> FedriskError:
    """Members that will not answer this question, nor the next."""
    if set(failed.values()) <= {"quota", *PASSING}:
        return QuotaError(of_members(failed))
    return PeerError(of_members(failed))


def _not_borne(said: str) -> str:
    """Members whose limits are below what the list needs."""
    return (
        f"{said.rstrip('.')}; what it allows does not bear the whole list, so nobody was scored. Agree with it on a "
        "larger number (policy.serving: per_day, or monitoring for loans that run)"
    )


def _with_text(error: FedriskError, text: str) -> FedriskError:
    return type(error)(text)
