"""A study on one machine: registration of its institutions with each other, and the in-process engine."""

import contextlib
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from fedrisk.attempt_id import short
from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import entry_of
from fedrisk.clients.own_work import complete
from fedrisk.clients.store.owner import together
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ConfigError, FedriskError, OwnerError, Stopped
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.spend import Spend, total
from fedrisk.recipes import recipe_named, recipe_of
from fedrisk.server.exchange import Report
from fedrisk.server.hub import Hub
from fedrisk.server.journal import Journal
from fedrisk.server.results import Results
from fedrisk.server.run import finished, new_attempt, run_study
from fedrisk.server.runs import Run, Runs
from fedrisk.study import Study


def register(nodes: Mapping[str, Node], hub: Hub) -> None:
    """Pin everybody's keys at everybody, as operators do by hand when institutions are on their own machines.

    On one machine the files are all in one hand anyway; between machines keys must be compared by another
    channel. EnvelopeError where a key differs from one pinned before.
    """
    nodes = {name: node.opened() for name, node in nodes.items()}
    keys = {name: node.store.identity.public for name, node in nodes.items()}
    hub.pin(keys)
    for node in nodes.values():
        _ = node.ledger  # made before the first pin: a registered node's ledger must be there
        node.store.pin(hub.identity.public, keys)


def load_nodes(institutions: Mapping[str, Path]) -> dict[str, Node]:
    """The nodes behind institution files, to be looked at (``register`` makes their stores).

    ConfigError lists every file that is broken, or whose name and content disagree, not the first one alone; OwnerError
    every store that belongs to another institution of the same name.
    """
    nodes: dict[str, Node] = {}
    broken: list[str] = []
    others: list[OwnerError] = []
    for name, path in institutions.items():
        try:
            node = Node.load(path)
        except ConfigError as error:
            broken.append(str(error))
            continue
        except OwnerError as error:
            others.append(error)
            continue
        if node.name != name:
            broken.append(f"institution file {path} says name = {node.name}; the study expects {name}")
        nodes[name] = node
    if broken:
        raise ConfigError("\n".join(broken))
    if others:
        raise together(others)
    return nodes


def run_local(
    study: Study,
    institutions: Mapping[str, Path],
    *,
    hub: Hub | None = None,
    research_seed: int | None = None,
    report: Report | None = None,
    wire: bool = True,
    resume: bool = False,
    out: Path | None = None,
) -> Results:
    """Run a study in this process, with every institution's own file, store and policy.

    out: where the results will go, for the entry of the run. Where a node refused, the error repeats the text from
    that node's own log: on one machine they are one person's. Errors as in :func:`fedrisk.server.run.run_study`;
    ``Stopped`` (a KeyboardInterrupt) where a person stops it, with what was charged until then.
    """
    study = recipe_of(study).checked(study)
    hub = hub or Hub.default()
    nodes = load_nodes(institutions)
    register(nodes, hub)
    grid = InProcessGrid(client_app, institutions, wire=wire)
    attempt = Journal.latest(hub, study, research_seed).attempt if resume else new_attempt()
    # A run that goes on was charged before; a new attempt has no charge yet.
    before = {name: len(_spends(node, attempt)) if resume else 0 for name, node in nodes.items()}
    runs = Runs(hub)
    known = runs.attempts() - {attempt}
    try:
        results = run_study(
            grid,
            study,
            recipe_of(study),
            hub,
            engine="in-process",
            research_seed=research_seed,
            attempt=attempt,
            report=report,
            resume=resume,
            patient=False,
            out=out,
        )
    except FedriskError as error:
        reasons = [
            f"{name}: {entry['text']}"
            for name, node in nodes.items()
            for entry in node.store.errors.of(attempt)
        ]
        run = _ended(runs, study, known, nodes)
        left = [] if run is None else what_is_left(run, nodes)
        if not (reasons or left):
            raise
        raise type(error)("\n".join([str(error), *reasons, *left])) from None
    except Stopped:
        raise  # after its last exchange
    except KeyboardInterrupt:
        run = _ended(runs, study, known, nodes)
        raise Stopped(_stopped(study, nodes, before, Journal.of(hub, attempt), run)) from None
    complete_own(results, nodes, hub)
    return results


def complete_own(results: Results, nodes: Mapping[str, Node], hub: Hub) -> None:
    """Have all institutions of a study that is over fit what they keep for themselves (clients/own_work).

    What fails is in the institution's log, and can be fetched. ``Stopped`` (a KeyboardInterrupt) where a person stops
    it: the study itself is finished.
    """
    try:
        for node in nodes.values():
            complete(node, results.attempt, recipe_named)
    except KeyboardInterrupt:
        run = next((r for r in Runs(hub).all() if r.attempt == results.attempt), None)
        left = [] if run is None else what_is_left(run, nodes)
        raise Stopped("\n".join([*left, finished(results)])) from None


def _ended(runs: Runs, study: Study, known: Collection[str], nodes: Mapping[str, Node]) -> Run | None:
    """The run of the study that ended early, with all whom it charged; None where it did not come to begin.

    known: attempts that were there before. Without optional institutions a study goes on under a new attempt.
    """
    run = next((r for r in reversed(runs.of(study)) if r.attempt not in known), None)
    if run is not None:
        runs.charged(run, charged_by(run, nodes))
    return run


def _spends(node: Node, attempt: str) -> list[Spend]:
    """What an attempt was charged at an institution, in order; others may be charged there at the same time."""
    return [e.spend for e in node.ledger.entries() if e.spend.attempt == attempt and not e.cancelled]


def charged_by(run: Run, nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """Who was charged by a run, by the ledgers and by what the hub heard: an answer may never have come."""
    found = set(run.charged)
    for name, node in nodes.items():
        with contextlib.suppress(FedriskError):
            found |= {name} if any(not s.research for s in _spends(node, run.attempt)) else set()
    return tuple(sorted(found))


def what_is_left(run: Run, nodes: Mapping[str, Node]) -> list[str]:
    """What a run that did not come to its end has left, at the hub and at the banks, and the commands that get it."""
    name_of_run, said = short(run.attempt), list[str]()
    if run.can_export:
        # Where nothing is learnt, nothing is evaluated on the hold-out.
        whole = run.results == "whole" or not recipe_named(run.recipe).labels
        what = "Its results are" if whole else "All but the evaluation of the hold-out is"
        said.append(f"{what} kept at the hub; at no charge: fedrisk runs export {name_of_run} --out FOLDER")
    for name, node in nodes.items():
        entry = None
        with contextlib.suppress(FedriskError, OSError):
            entry = entry_of(node, run.attempt)
        if entry is not None and entry.owed:
            what = "scores" if entry.rows is None else "own models and figures"
            file = shlex.quote(str(node.institution.file))
            said.append(
                f"{name} can make its {what}, at no charge: fedrisk results {file} fetch {name_of_run}"
            )
        elif entry is not None and entry.rows is not None:
            said.append(
                f"{name} has its scores: fedrisk results {shlex.quote(str(node.institution.file))} show {name_of_run}"
            )
    return said


def _stopped(
    study: Study,
    nodes: Mapping[str, Node],
    before: Mapping[str, int],
    journal: Journal,
    run: Run | None,
) -> str:
    """What a study that was stopped by hand has charged to whom since it began, what it left, and how to go on."""
    said, charged = [], False
    for name, node in nodes.items():
        spends = [] if run is None else _spends(node, run.attempt)[before[name] :]
        mu = total(s for s in spends if not s.research)
        if mu:
            said.append(f"{name} epsilon {epsilon_for(mu, study.privacy.delta):.3g} (mu {mu:.3g})")
        elif spends:
            said.append(f"{name} nothing (a research run)")
        else:
            said.append(f"{name} nothing")
        charged = charged or bool(mu)
    if journal.can_go_on:
        further = "go on with --resume within a day, which charges only what is still to come"
    elif charged:
        further = "what was charged stays charged, and another run is charged anew"
    else:
        further = "run it again when you like"
    left = [] if run is None else what_is_left(run, nodes)
    text = f"study {study.name} was stopped by hand. Charged by this run: {', '.join(said)}; {further}"
    return "\n".join([*left, text])
