"""``fedrisk node serve``, ``status`` and ``errors``: a node as one process, and what it and its store say of it."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk import layout
from fedrisk.cli.common import AsJson
from fedrisk.cli.node import NodeFolder, node_app
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.cli.node_watch import NodeWatch
    from fedrisk.clients.node import Node
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.deploy.serving import Status
    from fedrisk.engine.fleet import Fleet, LinkState

PATIENCE, ONCE = 120.0, 15.0
"""Seconds for which a hub that is away is waited for: by a node that never reached it, and with --once."""


SCORING_PAUSE = 4.0
"""Longest pause before the process that serves scores is started again: somebody waits at the counter."""


def scoring_command(home: "NodeHome") -> list[str]:
    """The command of the process that serves scores."""
    return [sys.executable, "-m", "fedrisk.cli", "node", "scoring", str(home.path), "--supervised"]


def own_models_command(home: "NodeHome") -> Callable[[str], list[str]]:
    """The command of the process that fits the institution's own models of an attempt."""
    file = str(home.institution)
    return lambda attempt: [sys.executable, "-m", "fedrisk.cli", "results", file, "fetch", attempt]


@node_app.command("serve")
def node_serve(
    node: NodeFolder,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Serve what is waiting and end, for example from cron, in place of staying."
        ),
    ] = False,
) -> None:
    """Serve the institution until it is stopped; for example fedrisk node serve /srv/bank.

    Calls the hub and is never called; waits where the hub is away. SIGTERM or Ctrl-C finishes the message in hand, a
    second one ends at once. Exit code 75: the hub is away or a clock is wrong; 7: a certificate or key does not hold.
    """
    from fedrisk.cli.node_watch import watching
    from fedrisk.clients.node import Node
    from fedrisk.deploy.children import beside
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.deploy.serving import serving

    home = NodeHome.load(node)
    layout.NODE.open(home.path)
    institution = Node.open(home.institution)
    of_this_folder(institution, home)
    _start_log(home)
    command = None if home.scoring is None or once else scoring_command(home)
    with (
        serving(home.path) as status,
        stopping() as stop,
        watching(home) as watch,
        beside(command, what="scoring", longest=SCORING_PAUSE),
    ):
        status.say(name=institution.name, hub=home.hub)
        served = _serve(home, status, watch, stop, once)
    note(_("{name} has ended; {served} messages were served", name=institution.name, served=served))


def _serve(home: "NodeHome", status: "Status", watch: "NodeWatch", stop: threading.Event, once: bool) -> int:
    from fedrisk.clients import resident
    from fedrisk.clients.app import app
    from fedrisk.clients.forgetting import Forgetting
    from fedrisk.clients.own_work import OwnWork
    from fedrisk.engine import fleet

    # A node that was connected before knows that its address is right, and waits for as long as it takes.
    patience = ONCE if once else None if home.claim.exists() else PATIENCE

    def news(state: "LinkState") -> None:
        _tell_news(state, status)

    old, own = Forgetting(home.institution), OwnWork(home.institution, own_models_command(home))
    # Also where the hub stays away for good.
    old.turn()

    def turn() -> None:
        watch.turn()
        old.turn()
        if not once:
            own.turn()

    with own.while_serving():
        with fleet.connect(_fleet(home), stop=stop, patience=patience, news=news) as link:
            watch.connected(link.state)

            def served(about: resident.Served) -> None:
                watch.served(about)
                own.served(about.action)
                status.say(last_message=time.time(), last_action=about.action)

            count = resident.serve(
                link,
                app,
                resident.context_of(home.institution),
                stop=stop,
                once=once,
                turn=turn,
                served=served,
            )
        if once:
            own.finish()
        return count


def _fleet(home: "NodeHome") -> "Fleet":
    from fedrisk.engine.fleet import Fleet

    return Fleet(hub=home.hub, ca=home.ca, key=home.key, claim=home.claim)


def of_this_folder(institution: "Node", home: "NodeHome") -> None:
    """ConfigError where the institution's store belongs to another node: one institution has one node and one hub."""
    from fedrisk.clients.joining import deployment_of

    store = institution.store
    kept = deployment_of(store)
    if kept is None:
        raise ConfigError(
            f"store {store.path} of {institution.name} is in no consortium: {home.path} was not made for it; run "
            "fedrisk node init with the kit"
        )
    if kept.node != home.path:
        raise ConfigError(
            f"store {store.path} of {institution.name} belongs to the node in {kept.node}, not to {home.path}; an "
            "institution has one node and one hub. Serve that folder, or take the institution out of it first"
        )


def _tell_news(state: "LinkState", status: "Status") -> None:
    """Says to the status file, and to whoever reads the output, how the connection is."""
    status.say(
        connected=state.connected,
        since=state.since,
        reason=state.reason,
        ahead=state.ahead,
        certificate_until=state.certificate_until,
    )
    note(
        _("connected to the hub")
        if state.connected
        else _("waiting: {reason}", reason=retold(state.reason or ""))
    )


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that is set by the first SIGTERM, SIGINT or SIGHUP; the second raises KeyboardInterrupt."""
    stop = threading.Event()

    def asked(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, asked) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_log(home: "NodeHome") -> None:
    from fedrisk.deploy import logs

    logs.start(home.log, "node")


@node_app.command("status")
def node_status(node: NodeFolder, as_json: AsJson = False) -> None:
    """How the node is: connection, last message, budget, proposals, roster, certificate, clock. Also while it serves.

    Exit code 1 where it does not run or is not connected.
    """
    from fedrisk.deploy.node_home import NodeHome

    home = NodeHome.load(node)
    about = _status(home)
    if as_json:
        tell_json(about)
    else:
        for line in _in_words(about):
            tell(line)
    if not about["connected"]:
        raise typer.Exit(1)


def _status(home: "NodeHome") -> dict[str, Any]:
    from fedrisk.deploy.serving import is_served, read

    said, running = read(home.path), is_served(home.path)
    about: dict[str, Any] = {
        "name": said.get("name"),
        "hub": home.hub,
        "running": running,
        "pid": said.get("pid") if running else None,
        "connected": running and said.get("connected") is True,
        "since": _moment(said.get("since") if running else said.get("stopped")),
        "reason": said.get("reason") if running else None,
        "last_message": _moment(said.get("last_message")),
        "last_action": said.get("last_action"),
        "clock_ahead": said.get("ahead") if running else None,
        "certificate_days": _days(said.get("certificate_until")),
    }
    if not about["connected"]:
        about |= _looked(home, about["reason"])
    return about | _own(home) | {"roster_epoch": _epoch(home), "scoring": _scoring(home)}


def _scoring(home: "NodeHome") -> dict[str, Any] | None:
    """How the process that serves scores is; None where this node serves none."""
    from fedrisk.deploy.serving import SCORING, is_served, read

    if home.scoring is None:
        return None
    said, running = read(home.path, SCORING), is_served(home.path, SCORING)
    connected = running and said.get("connected") is True
    reason = said.get("reason") if running else None
    return {"relay": home.scoring, "running": running, "connected": connected, "reason": reason}


def _looked(home: "NodeHome", reason: str | None) -> dict[str, Any]:
    """What a look at the hub says, where no process is connected to it."""
    from fedrisk.engine.hub_probe import check_clock, probe

    try:
        seen = probe(home.hub, home.ca, timeout=5)
    except FedriskError as error:
        return {"reason": str(error)}
    found = {"clock_ahead": seen.ahead, "certificate_days": _days(seen.certificate_until.timestamp())}
    try:
        check_clock(seen.ahead, home.hub)
    except FedriskError as error:
        reason = str(error)
    return {**found, "reason": reason}


def _own(home: "NodeHome") -> dict[str, Any]:
    """What the institution's own store says: its name, what is left of the budget, what waits for a person."""
    from fedrisk.clients.own_figures import own_figures

    nothing: dict[str, Any] = {"epsilon_left": None, "proposals_waiting": None}
    try:
        own = own_figures(home.institution)
    except FedriskError as error:
        return {**nothing, "store": str(error)}
    found = {
        "name": own.name,
        "epsilon_left": own.epsilon_left,
        "proposals_waiting": own.proposals_waiting,
    }
    return found if own.why is None else {**found, "store": own.why}


def _epoch(home: "NodeHome") -> int | None:
    from fedrisk.files import read_json

    with contextlib.suppress(FedriskError, ValueError, TypeError):
        return int(read_json(home.path / "roster.json", "")["epoch"])
    return None


def _in_words(about: dict[str, Any]) -> Iterator[str]:
    state = (
        "connected" if about["connected"] else _("not connected") if about["running"] else _("not running")
    )
    since = _(" since {since}", since=about["since"]) if about["since"] else ""
    yield _(
        "{name} at the hub {hub}: {state}{since}",
        name=about["name"] or _("this node"),
        hub=about["hub"],
        state=state,
        since=since,
    )
    if about["reason"]:
        yield f"  {about['reason']}"
    if scores := about["scoring"]:
        there = "connected" if scores["connected"] else scores["reason"] or _("not running")
        yield _("scores          at {relay}: {there}", relay=scores["relay"], there=there)
    last = f"{about['last_message']} ({about['last_action']})" if about["last_message"] else _("none yet")
    yield _("last message    {last}", last=last)
    left = (
        _("not used yet")
        if about["epsilon_left"] is None
        else _("epsilon {epsilon_left:.2f}", epsilon_left=about["epsilon_left"])
    )
    yield _("budget left     {store}", store=about.get("store") or left)
    waiting = about["proposals_waiting"]
    yield _(
        "proposals       {waiting}",
        waiting="–" if waiting is None else _("{waiting} waiting", waiting=waiting),
    )
    epoch = about["roster_epoch"]
    yield _(
        "roster          {epoch}",
        epoch=_("none accepted") if epoch is None else _("epoch {epoch}", epoch=epoch),
    )
    days = about["certificate_days"]
    yield _("certificate     {days}", days="–" if days is None else _("{days:.0f} days left", days=days))
    ahead = about["clock_ahead"]
    yield _(
        "clock           {ahead}",
        ahead="–" if ahead is None else _("{ahead:+.0f} s against the hub", ahead=ahead),
    )


def _moment(seconds: object) -> str | None:
    return (
        f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
        if isinstance(seconds, int | float)
        else None
    )


def _days(until: object) -> float | None:
    return round((until - time.time()) / 86400, 1) if isinstance(until, int | float) else None


@node_app.command("errors")
def node_errors(
    node: NodeFolder,
    attempt: Annotated[
        str | None,
        typer.Option(help="Only those of this attempt; its first characters do, for example --attempt 3fa9."),
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="How many, counted from the end, for example 100.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Why this node refused: the texts that stay at home, while the hub got a code alone."""
    from fedrisk.clients.node import Node
    from fedrisk.deploy.node_home import NodeHome

    found = Node.load(NodeHome.load(node).institution).store.errors.read(attempt)[-last:]
    if as_json:
        tell_json(found)
        return
    if not found:
        tell(
            _("no errors")
            if attempt is None
            else _("no errors of an attempt that begins with {attempt}", attempt=attempt)
        )
        return
    table = plain_table("", "when", "attempt", "action", "code", "why", whole=("when", "code"))
    for entry in found:
        table.add_row(
            *(str(entry.get(key, "–")) for key in ("time",)),
            str(entry.get("attempt", "–"))[:8],
            *(str(entry.get(key, "–")) for key in ("action", "code", "text")),
        )
    out.print(table)
