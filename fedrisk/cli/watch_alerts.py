"""``fedrisk watch alerts``, ``acknowledge``, ``close`` and ``outcomes``: what people do with what was watched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.asking import Place, institution_file
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.cli.watch import Name, show_taken, watch_app
from fedrisk.language import N_, _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.watching.alert_book import Act, Standing
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
RULES = {
    "fall": N_("score fell"),
    "probability": N_("probability of default"),
    "warning": N_("warning model"),
}
"""Signs, in words."""

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
    """Alerts with what is behind them, the newest first: what fired, scores, reasons, and what people did."""
    from fedrisk.watching.month import Month

    node = _node(bank)
    found = [(name, one) for name, kept in _watches(node, watch).items() for one in _book(kept).standing()]
    found = [(name, one) for name, one in found if not (only_open and one.state == "closed")]
    if month is not None:
        wanted = str(Month.parse(month))
        found = [(name, one) for name, one in found if str(one.alert.month) == wanted]
    found.sort(key=lambda f: f[1].alert.month, reverse=True)
    if as_json:
        tell_json({"bank": node.name, "alerts": [{"watch": name, **one.to_dict()} for name, one in found]})
        return
    if not found:
        note(_("no alerts"), style=None)
        return
    _show([one for _name, one in found[:most]])
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

    node = _node(bank)
    _name, kept = one_watch(node, watch)
    taken = outcomes_of(node, kept, file, label)
    if as_json:
        tell_json({"bank": node.name, **taken.to_dict()})
    else:
        show_taken(taken)


def _node(bank: Path) -> "Node":
    from fedrisk.clients.node import Node

    return Node.load(institution_file(bank))


def one_watch(node: "Node", wanted: str | None) -> "tuple[str, Kept]":
    """Name and content of a bank's one watch, or of the one that is named; ConfigError where that is not clear."""
    from fedrisk.errors import ConfigError

    found = _watches(node, wanted)
    if len(found) != 1:
        raise ConfigError(f"there are the watches {', '.join(found)}; name one with --watch")
    ((name, kept),) = found.items()
    return name, kept


def _watches(node: "Node", wanted: str | None) -> "dict[str, Kept]":
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
    node = _node(bank)
    found = _watches(node, watch)
    here = {name: kept for name, kept in found.items() if _book(kept).begins(alert)}
    if len(here) > 1:
        raise ConfigError(f"alerts of {', '.join(here)} begin with {alert}; give more digits of the id")
    kept = next(iter((here or found).values()))
    done = _book(kept).act(alert, what, who=who or user_name(), reason=reason, month=kept.newest())
    if as_json:
        tell_json({"bank": node.name, **done.to_dict()})
        return
    tell(_("alert {alert} is {state}", alert=done.alert.id[:8], state=_(STATES[done.state])))


def _show(found: "list[Standing]") -> None:
    table = plain_table(
        _("Alerts"),
        "alert",
        "month",
        "enterprise",
        "state",
        "signs",
        "score",
        "before",
        "probability",
        "reasons",
        right=("score", "before", "probability"),
    )
    for one in found:
        alert = one.alert
        signs = ", ".join(_(RULES[rule]) for rule in (*alert.rules, *(rule for _month, rule in one.more)))
        before = "" if alert.before is None else f"{alert.before} ({alert.since})"
        reasons = [*alert.reasons, *(f"{m.column}: {m.was} → {m.now}" for m in alert.moved)]
        if alert.external:
            reasons.append(_("external data by {points:+d} points", points=alert.external))
        state = _(STATES[one.state]) + (f", {_('over')} {one.over}" if one.over else "")
        table.add_row(
            alert.id[:8],
            alert.month,
            alert.enterprise,
            state,
            signs,
            str(alert.score),
            before,
            f"{alert.probability:.3f}",
            "; ".join(reasons),
        )
    out.print(table)
