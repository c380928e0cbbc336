"""The month's work of a watch: score, keep, raise alerts, tell them, write the page.

Each step is whole or not done, and what is done is not done again: the same command once more goes on where it was
stopped, and where nothing is left to do it changes nothing. Months come in their order.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, StoreError
from fedrisk.serving.batch import PATIENCE
from fedrisk.serving.deployed import card_of
from fedrisk.serving.relay import Relay
from fedrisk.study import DEFAULT_LABEL
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.alert_book import AlertBook
from fedrisk.watching.alerts import Alert, Rules, new_alerts
from fedrisk.watching.history import SCORES, Kept
from fedrisk.watching.month import Month
from fedrisk.watching.month_rules import check_threshold, first_looked_for, kept_rules, rules_of_month
from fedrisk.watching.outcomes import Taken, take_outcomes, words_for
from fedrisk.watching.scoring import BEGUN, MonthWork, Watched, keep, moved_loans
from fedrisk.watching.sinks import Sink, Undelivered, sinks_of
from fedrisk.watching.spelling import scheme_of
from fedrisk.watching.telling import tell

FOLDER = "watch"
"""Folder of the bank's store."""

WritePage = Callable[[Kept, Month], Path]
"""Writes a month's page."""


@dataclass(frozen=True)
class Done:
    """What a month came to.

    Attributes:
        watch, month: which. kept: whether it was kept before, so that nobody was asked.
        about: what is kept of each model that was asked: its id, loans, codes.
        alerts: raised now. waiting: alerts that a sink has not taken or has refused, and why, by sink.
        rules: what raised alerts of this month; None where it is not kept.
        anew: whether another model gave the month before, so that no score could have fallen.
        page: the month's page.
    """

    watch: str
    month: Month
    kept: bool
    about: Mapping[str, Mapping[str, Any]]
    alerts: Sequence[Alert] = ()
    waiting: Mapping[str, Undelivered] = field(default_factory=dict)
    anew: bool = False
    page: Path | None = None
    rules: Rules | None = None

    @property
    def stock(self) -> int:
        """Alerts of loans that were above a limit when it was looked for for the first time."""
        return sum(alert.stock for alert in self.alerts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "watch": self.watch,
            "month": str(self.month),
            "was_kept": self.kept,
            "models": {of: dict(said) for of, said in self.about.items()},
            "other_model_before": self.anew,
            "alerts": len(self.alerts),
            "alerts_of_the_stock": self.stock,
            "signs": None if self.rules is None else asdict(self.rules),
            "waiting": {sink: vars(one) for sink, one in self.waiting.items()},
            "page": None if self.page is None else str(self.page),
        }


def watch_folder(node: Node) -> Path:
    """Where a bank keeps its watches, a folder for each."""
    return node.store.path / FOLDER


def watches(node: Node) -> dict[str, Kept]:
    """The watches of a bank that have begun, by name."""
    folder = watch_folder(node)
    found = [Kept(one) for one in sorted(folder.iterdir()) if one.is_dir()] if folder.is_dir() else []
    return {kept.folder.name: kept for kept in found if kept.months()}


def kept_of(node: Node, said: str) -> Kept:
    """What is kept of the watch of a model; errors as of `Watched.of`."""
    return Kept(watch_folder(node) / Watched.of(node, said, rules_of(node)).name).opened()


def rules_of(node: Node) -> WatchRules:
    """What a bank's file says of watching; ConfigError for another institution's."""
    if node.institution.kind != "bank":
        raise ConfigError(
            f"{node.name} is a {node.institution.kind} and has no loans to watch; name a bank's file"
        )
    return node.institution.watch or WatchRules()


def outcomes_of(node: Node, kept: Kept, file: Path, label: str | None) -> Taken | None:
    """Take what became of loans, as `take_outcomes`; label: name or column of the one that the model foretells.

    None where no month is kept yet, so that no outcome belongs to any: nothing is read then.
    """
    newest = kept.newest()
    if newest is None:
        return None
    part = node.store.models.part(str(kept.about(newest)["model"]))
    words = words_for(node.institution.dictionary, label, part.label or DEFAULT_LABEL)
    return take_outcomes(kept, file, words, scheme=scheme_of(node.institution))


def watch(
    node: Node,
    said: str,
    month: Month,
    relay: Relay | None,
    *,
    write_page: WritePage | None = None,
    patience: float = PATIENCE,
) -> Done:
    """The work of a month, from where it stands to its end.

    said: champion, the name of a study, or the beginning of a model's id. relay: through which members are asked.

    Raises:
        ConfigError: a rule or model that is named is not there, or a later month is kept.
        LaterError, PeerError, QuotaError, Stopped: as `batch.run`; the same command goes on.
        StoreError: the bank's store cannot be read or written.
    """
    rules = rules_of(node)
    watched = Watched.of(node, said, rules)
    check_threshold(node, rules, {of: card.part for of, card in watched.models.items()})
    sinks = sinks_of(node.institution, rules)
    kept = Kept(watch_folder(node) / watched.name).opened()
    with _held(kept.folder):
        was_kept = month in kept.months()
        if not was_kept:
            _check_order(kept, month)
        _check_begun(kept, month)
        if not was_kept:
            _score(node, kept, month, rules, watched, relay, patience)
        book = AlertBook(kept.folder)
        alerts = _raise(node, kept, book, month, rules, sinks)
        waiting = tell(book, sinks, bank=node.name, watch=watched.name)
        page = kept.pages / f"{month}.html"
        if write_page is not None and (alerts or not page.is_file()):
            page = write_page(kept, month)
    about = {of: kept.about(month, of) for of in kept.models(month)}
    anew = bool(about[SCORES].get("other_model_before"))
    return Done(
        watch=watched.name,
        month=month,
        kept=was_kept,
        about=about,
        alerts=alerts,
        waiting=waiting,
        anew=anew,
        page=page if page.is_file() else None,
        rules=kept_rules(kept, month),
    )


def _check_order(kept: Kept, month: Month) -> None:
    """ConfigError where a month cannot be the next one.

    A slip in the year would close the months before it for good: what is in the future may only follow on the last.
    """
    newest, today = kept.newest(), date.today()
    if newest is None:
        return
    if month < newest:
        raise ConfigError(
            f"{newest} is kept, so {month} is not watched any more: months come in their order. Give {newest} or a "
            "later month"
        )
    if month > Month(today.year, today.month) and month != newest.next():
        raise ConfigError(
            f"{month} is in the future, and not the month after {newest}, the last that is kept; once it were kept, no "
            "month before it could be watched. Check --month and this machine's clock"
        )


def _check_begun(kept: Kept, month: Month) -> None:
    """Remove what is left of months that are kept; ConfigError where another month is begun and not finished."""
    months = kept.months()
    for folder in sorted(kept.folder.glob("work/????-??")):
        begun = Month.parse(folder.name)
        if begun in months or not (folder / BEGUN).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        elif begun != month:
            raise ConfigError(
                f"{begun} was begun and is not finished, and members may have counted its questions; give it again "
                f"first, or remove {folder} to leave that month out"
            )


def _score(
    node: Node,
    kept: Kept,
    month: Month,
    rules: WatchRules,
    watched: Watched,
    relay: Relay | None,
    patience: float,
) -> None:
    """Have the month scored by each model, and keep it; the watched model's scores last, which make it a month."""
    work = MonthWork(kept, month)
    begun = work.begin(node.institution, rules, watched)
    files = {
        of: work.score(node, model, of, rules, relay, more=len(begun["models"]) - k, patience=patience)
        for k, (of, model) in enumerate(begun["models"].items(), start=1)
    }
    cards = {of: card_of(node, node.store.models.part(model)) for of, model in begun["models"].items()}
    for of in sorted(files, key=lambda of: of == SCORES):
        if month in kept.months(of):
            continue
        more: dict[str, Any] = {"loans": begun["loans"], "purpose": rules.purpose or cards[of].part.purpose}
        if of == SCORES:
            more |= _against_before(kept, month, files[of], begun["models"][of])
        keep(kept, month, of, files[of], cards[of], more)
    shutil.rmtree(work.path, ignore_errors=True)


def _against_before(kept: Kept, month: Month, file: Path, model: str) -> dict[str, Any]:
    """Loans that are new or gone, and whether another model gave the month before."""
    ids = pq.read_table(file, columns=["id"])["id"].to_pylist()
    newest = kept.newest()
    other = newest is not None and kept.about(newest)["model"] != model
    return {**moved_loans(kept, month, ids), "other_model_before": other}


def _raise(
    node: Node, kept: Kept, book: AlertBook, month: Month, rules: WatchRules, sinks: Sequence[Sink]
) -> list[Alert]:
    """Raise alerts of the months up to this one whose alerts are not raised yet."""
    raised: list[Alert] = []
    before: Month | None = None
    for one in kept.months():
        if one <= month and not book.has_events(one):
            events = {} if before is None else book.events(before)
            by = rules_of_month(node, rules, kept, one)
            first = first_looked_for(kept, one, by)
            found = new_alerts(kept, one, by, events, bank=node.name, watch=kept.folder.name, first=first)
            raised += book.add(one, found, [sink.name for sink in sinks])
            book.keep_events(one, found.events)
        before = one
    return raised


def send_again(node: Node, kept: Kept, alert: str | None) -> tuple[int, dict[str, Undelivered]]:
    """Give sinks what they refused, and what waits for them, once more, without a month's work.

    alert: the beginning of an alert's id, whose refusals alone are lifted; None lifts all. How many were lifted, and
    what is not taken even now. ConfigError where there is no such alert.
    """
    sinks, book = sinks_of(node.institution, rules_of(node)), AlertBook(kept.folder)
    with _held(kept.folder):
        lifted = book.again(None if alert is None else book.find(alert).alert.id)
        return lifted, tell(book, sinks, bank=node.name, watch=kept.folder.name)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One process at a time works on a watch."""
    try:
        lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error.strerror}; check space and permissions"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another process works on {folder}; wait for it, or end it") from None
        yield
    finally:
        os.close(lock)
