"""``fedrisk hub serve`` and ``work``: the hub's processes; ``submit``, ``runs`` and ``show``: its studies."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk import layout
from fedrisk.cli.common import AsJson, StudyFile
from fedrisk.cli.hub import HubFolder, hub_app
from fedrisk.cli.output import alert, note, out, tell, tell_json
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.server.proposals import Proposal
    from fedrisk.server.results import Results

Days = Annotated[
    float,
    typer.Option("--days", help="How long members may take to agree, in days, for example 14.", min=0.01),
]


@hub_app.command("serve")
def serve(hub: HubFolder) -> None:
    """Serve the consortium's nodes, and run studies once their members have agreed. Ends with Ctrl-C or SIGTERM."""
    from fedrisk.deploy import logs
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.engine.hub_serve import check_certificate
    from fedrisk.engine.hub_serve import serve as until_stopped

    home = HubHome.load(hub)
    layout.HUB.open(home.path)
    logs.start(home.log, "hub")
    until_stopped(home, ready=lambda: _say_who(home, f"{check_certificate(home):%Y-%m-%d}"))


def _say_who(home: "HubHome", until: str) -> None:
    """What the hub listens on, and who may reach what."""
    health = (
        _("none (health is not set)")
        if home.health is None
        else _("127.0.0.1:{health}, this machine alone", health=home.health)
    )
    for line in (
        _("hub of {name} serves; stop it with Ctrl-C or SIGTERM", name=home.name),
        _(
            "  for nodes, public: {listen} (TLS, certificate until {until}), known to nodes as {address}; "
            "registered nodes alone, nine paths, everything else is 404",
            listen=home.listen,
            until=until,
            address=home.address,
        ),
        *(
            [
                _(
                    "  for scores: {scoring_listen}, known to nodes as {scoring}; members' certificates alone",
                    scoring_listen=home.scoring_listen,
                    scoring=home.scoring,
                )
            ]
            if home.scoring is not None
            else []
        ),
        _("  for this hub's own commands: {path}, this user alone", path=home.path / "control.sock"),
        _("  health and figures: {health}", health=health),
    ):
        note(line, style=None)


@hub_app.command("work")
def work(hub: HubFolder) -> None:
    """Do the hub's work: ask members, run studies. `hub serve` starts this by itself; it serves nothing."""
    from fedrisk.deploy import health, logs
    from fedrisk.deploy.children import until_orphaned
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.engine.hub_figures import FIGURES
    from fedrisk.engine.hub_serve import alone
    from fedrisk.engine.hub_work import Work

    home, stop = HubHome.load(hub), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with alone(home, "work"):
        logs.start(home.log, "work")
        health.forward(home.path / FIGURES)
        until_orphaned(stop.set)
        Work(home, stop).run()


@hub_app.command("submit")
def submit(
    hub: HubFolder,
    study_file: StudyFile,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Wait until members have agreed and the study was run, and show its report."
        ),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="With --wait: folder for the results, for example results/may."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Run and charge a study that was run before; overwrite what is in --out."
        ),
    ] = False,
    research_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Repeatable noise and exact figures: NO PRIVACY. Where every policy says research = true; for "
            "example 1.",
        ),
    ] = None,
    days: Days = 14.0,
) -> None:
    """Propose a study to its members. It runs once all have agreed; what it gives is kept at the hub."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.engine.deployment import follow, propose, results_of
    from fedrisk.recipes import load_study

    if folder is not None and not wait:
        raise typer.BadParameter(
            "--out goes with --wait; without it: fedrisk hub show HUB ID --out FOLDER, later"
        )
    home, study = HubHome.load(hub), load_study(study_file)
    _prepare(folder, again)
    if research_seed is not None:
        alert(_(" research run: no privacy "), "bold white on red")
    proposal = propose(study, home, research_seed=research_seed, again=again, days=days)
    tell(
        _(
            "proposal {id} of study {name}, open until {deadline} UTC",
            id=proposal.id,
            name=study.name,
            deadline=proposal.deadline[:16].replace("T", " "),
        )
    )
    tell(_("asked: {members}", members=", ".join(study.members)))
    if not wait:
        note(_("see it with fedrisk hub show {hub} {id}", hub=hub, id=proposal.id))
        return
    _warn_unless_serving(home)
    with _progress() as report:
        ended = follow(home, proposal, said=_say_state, report=report)
    _print_results(home, results_of(home, ended), folder, again)


def propose_and_wait(
    hub: Path,
    study_file: Path,
    folder: Path,
    overrides: Sequence[str],
    *,
    research_seed: int | None,
    again: bool,
) -> None:
    """Propose a study, wait until all agreed and it was run, and write its results."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.engine.deployment import run_deployed
    from fedrisk.recipes import load_study

    home, study = HubHome.load(hub), load_study(study_file, overrides)
    _prepare(folder, again)
    if research_seed is not None:
        alert(_(" research run: no privacy "), "bold white on red")
    with _progress() as report:
        results = run_deployed(
            study, home, research_seed=research_seed, again=again, said=_say_state, report=report
        )
    _print_results(home, results, folder, again)


def _prepare(folder: Path | None, again: bool) -> None:
    from fedrisk.server.results import prepare

    if folder is not None:
        prepare(folder, again=again)


def _warn_unless_serving(home: "HubHome") -> None:
    from fedrisk.engine.superlink_clients import NotServing
    from fedrisk.engine.superlink_nodes import nodes

    try:
        nodes(home.path)
    except NotServing as error:
        alert(_("warning: {error}; the proposal waits", error=retold(str(error))), "yellow")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, str, str], None]]:
    from fedrisk.cli.progress import Progress

    with Progress().watching() as progress:
        yield progress.exchange


def _say_state(proposal: "Proposal") -> None:
    """One line whenever a word came or the state changed."""
    parts = [
        f"{word}: {', '.join(names)}"
        for word in ("agreed", "waiting", "refused")
        if (names := proposal.members(word))
    ]
    note(f"{proposal.state}; {'; '.join(parts)}", style=None)


def _print_results(home: "HubHome", results: "Results", folder: Path | None, again: bool) -> None:
    """The report's main figures as ``fedrisk run`` shows them, and where all of it is."""
    from fedrisk.attempt_id import short
    from fedrisk.cli import output
    from fedrisk.report.text import main_figures, summary

    if folder is not None:
        _write(home, results, folder, again)
    with contextlib.suppress(OSError, UnicodeError, SystemExit):
        out.print((summary if output.screen.verbose else main_figures)(results))
    tell(_("run {attempt} of study {study}", attempt=results.attempt, study=results.study))
    where = (
        _("results in {folder}", folder=folder) if folder is not None else _("results are kept at the hub")
    )
    tell(
        _(
            "{where}; all tables: fedrisk hub show {path} {attempt} --verbose",
            where=where,
            path=home.path,
            attempt=short(results.attempt),
        )
    )


def _write(home: "HubHome", results: "Results", folder: Path, again: bool) -> None:
    from fedrisk.report.html import write_report
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs, save

    save(results, folder, Runs(Hub(home.path)), again=again)
    write_report(results, folder)


@hub_app.command("runs")
def runs(hub: HubFolder, as_json: AsJson = False) -> None:
    """Proposals with their members' words, runs, and nodes with their last contact."""
    from fedrisk.cli.hub_screen import everything, print_nodes, print_proposals, print_runs
    from fedrisk.deploy.hub_home import HubHome

    home = HubHome.load(hub)
    if as_json:
        tell_json(everything(home))
        return
    print_proposals(home)
    print_runs(home)
    print_nodes(home)


@hub_app.command("show")
def show(
    hub: HubFolder,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="A proposal or a run, by its id or the beginning of it, for example 1f3a9c02; none: the nodes alone.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Also write results and report to a folder, at no charge; for example results/may.",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Overwrite another run's results there.")] = False,
    as_json: AsJson = False,
) -> None:
    """One proposal or run with everything that the hub knows of it; without an id the nodes."""
    from fedrisk.cli.hub_screen import node_table, one, print_nodes, print_one
    from fedrisk.deploy.hub_home import HubHome

    home = HubHome.load(hub)
    if name is None:
        if as_json:
            tell_json(node_table(home))
            return
        print_nodes(home)
        return
    _prepare(folder, again)
    proposal, run, results = one(home, name)
    if as_json:
        tell_json(
            {
                "proposal": None if proposal is None else proposal.to_dict(),
                "run": None if run is None else run.to_dict(),
                "results": None if results is None else results.to_dict(),
            }
        )
    else:
        print_one(home, proposal, run, results)
    if folder is not None and results is not None:
        _write(home, results, folder, again)
        note(_("results of run {attempt} in {folder}", attempt=results.attempt, folder=folder))
    elif folder is not None:
        from fedrisk.errors import ConfigError

        raise ConfigError(f"{name} has no results that could be written to {folder}")


Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="A proposal, by its id or the beginning of it, for example 1f3a9c02."),
]


@hub_app.command("withdraw")
def withdraw(hub: HubFolder, name: Id) -> None:
    """Take a proposal back that does not run; its members hear that nobody has to decide any more."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.server.hub import Hub
    from fedrisk.server.proposals import Proposals

    taken = Proposals(Hub(HubHome.load(hub).path)).withdraw(name)
    tell(_("proposal {id} of study {name} is withdrawn", id=taken.id, name=taken.whole.name))


@hub_app.command("resume")
def resume(hub: HubFolder, name: Id) -> None:
    """Have a failed study go on where it stopped, within a day: what was charged is not charged again."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.errors import ConfigError
    from fedrisk.server.hub import Hub
    from fedrisk.server.journal import Journal
    from fedrisk.server.proposals import Proposals

    store = Hub(HubHome.load(hub).path)
    proposals = Proposals(store)
    found = proposals.find(name)
    if found.state != "failed" or found.attempt is None:
        raise ConfigError(f"proposal {found.id} is {found.state}; only one whose run failed can go on")
    Journal.latest(store, found.whole, found.research_seed, found.attempt)
    proposals.update(found.id, state="ready", code=None)
    tell(
        _(
            "proposal {id} of study {name} goes on as run {attempt}",
            id=found.id,
            name=found.whole.name,
            attempt=found.attempt,
        )
    )
