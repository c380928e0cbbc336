"""``fedrisk watch alerts``, ``acknowledge``, ``close`` and ``outcomes``: what people do with what was watched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.asking import Place, institution_file
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.cli.watch import Name, show_taken, watch_app
from fedrisk.language import N_, _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.watching.alert_book import Act
    from fedrisk.watching.history import Kept

Alert = Annotated[
    str, typer.Argument(help="The alert's id, or the beginning of it, for example 91c2.", show_default=False)
]
Who = Annotated[
    str | None,
    typer.Option(
        help="Who decides, for example 'A. Officer'; recorded for good. Default: the login.",
        show_default=False,
    ),
]

STATES = {"open": N_("open"), "acknowledged": N_("acknowledged"), "closed": N_("closed")}
MOST = 50
"""Alerts that a screen shows, unless more are asked for."""


@watch_app.command("alerts")
def watch_alerts(
    bank: Place,
    only_open: Annotated[bool, typer.Option("--open", help="Those alone that nobody has closed.")] = False,
    month: Annotated[
        str | None,
        typer.Option("--month", help="Those of this month alone, for example 2026-05.", show_default=False),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="Show at most so many, the newest first, for example 100.")
    ] = MOST,
    watch: Name = None,
    as_json: AsJson = False,
) -> None:
    """Alerts with what is behind them, newest and riskiest first: which limit was passed, reasons, and what people did.

    Also which of them a file, webhook or command of the bank has not taken; one that was refused goes out again with
    fedrisk watch send.
    """
    from fedrisk.cli.watch_alerts_screen import show_alerts
    from fedrisk.watching.month import Month

    node = bank_node(bank)
    books = {name: _book(kept) for name, kept in watches_of(node, watch).items()}
    found = [(name, one) for name, book in books.items() for one in book.standing()]
    found = [(name, one) for name, one in found if not (only_open and one.state == "closed")]
    if month is not None:
        wanted = str(Month.parse(month))
        found = [(name, one) for name, one in found if str(one.alert.month) == wanted]
    found.sort(key=lambda f: (f[1].alert.month, f[1].alert.probability), reverse=True)
    told = {id: sinks for book in books.values() for id, sinks in book.deliveries().items()}
    if as_json:
        said = [{"watch": name, **one.to_dict(), "sinks": told[one.alert.id]} for name, one in found]
        tell_json({"bank": node.name, "alerts": said})
        return
    if not found:
        note(_("no alerts"), style=None)
        return
    show_alerts([one for _name, one in found[:most]], told)
    if len(found) > most:
        note(_("{n} more; --most shows more, --json all", n=len(found) - most), style=None)


@watch_app.command("acknowledge")
def watch_acknowledge(
    bank: Place,
    alert: Alert,
    reason: Annotated[
        str, typer.Option("--reason", help="What is done about it, for example 'visit on Friday'.")
    ] = "",
    who: Who = None,
    watch: Name = None,
    as_json: AsJson = False,
) -> None:
    """Take an alert into one's hands: it stays open, and the record says who has it."""
    _act(bank, alert, "acknowledged", who, reason, watch, as_json)


@watch_app.command("close")
def watch_close(
    bank: Place,
    alert: Alert,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for example 'invoices came late'; stays in the record.")
    ],
    who: Who = None,
    watch: Name = None,
    as_json: AsJson = False,
) -> None:
    """Close an alert, with the reason; told again is a further fall, or what comes after a recovery that lasted."""
    _act(bank, alert, "closed", who, reason, watch, as_json)


@watch_app.command("outcomes")
def watch_outcomes(
    bank: Place,
    file: Annotated[
        Path,
        typer.Argument(
            help="A .csv or .parquet file with id, month (in which the loan was scored) and outcome (1 or 0), for "
            "example matured.csv."
        ),
    ],
    watch: Name = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", help="Where the file has a column label: take this one, for example default."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep what became of loans, for the back-test; the same file once more changes nothing."""
    from fedrisk.watching.run import outcomes_of

    node = bank_node(bank)
    _name, kept = one_watch(node, watch)
    taken = outcomes_of(node, kept, file, label)
    assert taken is not None, "a watch that is found keeps a month"
    if as_json:
        tell_json({"bank": node.name, **taken.to_dict()})
    else:
        show_taken(taken)


def bank_node(bank: Path) -> "Node":
    """The node of a bank's file or folder."""
    from fedrisk.clients.node import Node

    return Node.load(institution_file(bank))


def one_watch(node: "Node", wanted: str | None) -> "tuple[str, Kept]":
    """Name and content of a bank's one watch, or of the one that is named; ConfigError where that is not clear."""
    from fedrisk.errors import ConfigError

    found = watches_of(node, wanted)
    if len(found) != 1:
        raise ConfigError(f"there are the watches {', '.join(found)}; name one with --watch")
    ((name, kept),) = found.items()
    return name, kept


def watches_of(node: "Node", wanted: str | None) -> "dict[str, Kept]":
    """The watches of a bank, or one of them; ConfigError where there is none."""
    from fedrisk.errors import ConfigError
    from fedrisk.watching.run import rules_of, watches

    rules_of(node)
    found = watches(node)
    if not found:
        raise ConfigError(f"{node.name} watches nothing yet; fedrisk watch BANK MODEL --month 2026-05 begins")
    if wanted is None:
        return found
    if wanted not in found:
        raise ConfigError(f"there is no watch {wanted} at {node.name}; there are {', '.join(found)}")
    return {wanted: found[wanted]}


def watch_with(found: "dict[str, Kept]", alert: str) -> "Kept":
    """The watch of these that has an alert whose id begins so, or the first; ConfigError where several have one."""
    from fedrisk.errors import ConfigError

    here = {name: kept for name, kept in found.items() if _book(kept).begins(alert)}
    if len(here) > 1:
        raise ConfigError(f"alerts of {', '.join(here)} begin with {alert}; give more digits of the id")
    return next(iter((here or found).values()))


def _book(kept: "Kept") -> Any:
    from fedrisk.watching.alert_book import AlertBook

    return AlertBook(kept.folder)


def _act(
    bank: Path, alert: str, what: "Act", who: str | None, reason: str, watch: str | None, as_json: bool
) -> None:
    from fedrisk.errors import ConfigError
    from fedrisk.user import user_name

    if what == "closed" and not reason.strip():
        raise ConfigError(
            "an alert is closed with a reason, which stays in the record; write it after --reason"
        )
    node = bank_node(bank)
    kept = watch_with(watches_of(node, watch), alert)
    done = _book(kept).act(alert, what, who=who or user_name(), reason=reason, month=kept.newest())
    if as_json:
        tell_json({"bank": node.name, **done.to_dict()})
        return
    tell(_("alert {alert} is {state}", alert=done.alert.id[:8], state=_(STATES[done.state])))
