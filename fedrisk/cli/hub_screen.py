"""What ``fedrisk hub runs`` and ``hub show`` print: proposals, runs and nodes of a hub."""

import contextlib
from typing import TYPE_CHECKING, Any

from fedrisk.attempt_id import short
from fedrisk.cli.output import alert, out, plain_table, screen, tell
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.server.proposals import Proposal
    from fedrisk.server.results import Results
    from fedrisk.server.runs import Run


def everything(home: "HubHome") -> dict[str, Any]:
    """All proposals, runs and nodes, as JSON has them; nodes are None where no hub serves."""
    return {
        "proposals": [p.to_dict() for p in _proposals(home).all()],
        "runs": [r.to_dict() for r in _runs(home).all()],
        "nodes": node_table(home),
    }


def node_table(home: "HubHome") -> list[dict[str, Any]] | None:
    """Nodes with their last contact, as JSON has them; None where no hub serves."""
    from fedrisk.engine.superlink_clients import NotServing
    from fedrisk.engine.superlink_nodes import nodes

    try:
        found = nodes(home.path)
    except NotServing:
        return None
    return [{"name": n.name, "online": n.online, "last": n.last, "since": n.activated} for n in found]


def print_proposals(home: "HubHome") -> None:
    """A line for each proposal, the newest last."""
    from fedrisk.report.words import word

    found = _proposals(home).all()
    if not found:
        tell(_("no proposals; make one with fedrisk hub submit"))
        return
    columns = ("proposal", "submitted", "study", "state", "agreed", "waiting for", "run")
    table = plain_table("proposals", *columns, right=("agreed",), whole=("proposal", "run"))
    for p in found:
        table.add_row(
            short(p.id),
            p.submitted[:16].replace("T", " "),
            p.whole.name,
            word("state", p.state) if p.code is None else f"{word('state', p.state)} ({p.code})",
            _("{agreed} of {members}", agreed=len(p.members("agreed")), members=len(p.whole.members)),
            ", ".join(p.members("waiting")) if p.state == "open" else "–",
            "–" if p.attempt is None else short(p.attempt),
        )
    out.print(table)


def print_runs(home: "HubHome") -> None:
    """A line for each run, as ``fedrisk runs`` has it."""
    from fedrisk.cli.runs import table_of

    found = _runs(home).all()
    if found:
        out.print(table_of(found))


def print_nodes(home: "HubHome") -> None:
    """Who is connected, and when the others were heard last."""
    found = node_table(home)
    if found is None:
        alert(
            _(
                "no hub serves in {path}, so nodes are not known; start it with fedrisk hub serve",
                path=home.path,
            ),
            "yellow",
        )
        return
    table = plain_table("nodes", "node", "state", "last contact", "connected since")
    for node in found:
        table.add_row(
            node["name"],
            "online" if node["online"] else "offline",
            _moment(node["last"]),
            _moment(node["since"]) if node["online"] else "–",
        )
    out.print(table)


def _moment(text: str | None) -> str:
    return "never" if text is None else text[:19].replace("T", " ")


def one(home: "HubHome", name: str) -> "tuple[Proposal | None, Run | None, Results | None]":
    """A proposal with its run, or a run alone, by an id or its beginning; ConfigError where neither fits."""
    from fedrisk.errors import ConfigError

    proposals, runs = _proposals(home), _runs(home)
    proposal: Proposal | None = None
    run: Run | None = None
    with contextlib.suppress(ConfigError):
        proposal = proposals.find(name)
    if proposal is None:
        run = runs.find(name)
        proposal = next((p for p in proposals.all() if p.attempt == run.attempt), None)
    elif proposal.attempt is not None:
        with contextlib.suppress(ConfigError):
            run = runs.find(proposal.attempt)
    results = runs.results(run) if run is not None and run.can_export else None
    return proposal, run, results


def print_one(
    home: "HubHome", proposal: "Proposal | None", run: "Run | None", results: "Results | None"
) -> None:
    """A proposal with every member's word, its run, and its figures."""
    from fedrisk.cli.runs import about
    from fedrisk.report.text import main_figures, summary

    if proposal is not None:
        _print_proposal(home, proposal)
    if run is not None:
        tell(_("run {attempt} of study {study}", attempt=run.attempt, study=run.study), "bold")
        for line in about(run, f"fedrisk hub show {home.path} {short(run.attempt)} --out FOLDER"):
            tell(line)
    if results is not None:
        out.print((summary if screen.verbose else main_figures)(results))


def _print_proposal(home: "HubHome", proposal: "Proposal") -> None:
    from fedrisk.engine.deployment import why
    from fedrisk.report.words import word

    tell(_("proposal {id} of study {name}", id=proposal.id, name=proposal.whole.name), "bold")
    research = "" if proposal.research_seed is None else _("; research run: NO PRIVACY")
    tell(
        _(
            "{state}; submitted {submitted}, waits until {deadline} UTC{research}",
            state=word("state", proposal.state),
            submitted=_moment(proposal.submitted),
            deadline=_moment(proposal.deadline),
            research=research,
        )
    )
    tell(_("study digest {digest}", digest=proposal.digest[:16]))
    table = plain_table("", "member", "role", "word", "code", "at")
    for name in proposal.whole.members:
        answer = proposal.answers.get(name)
        said, code, at = (_("not heard"), "–", "–")
        if answer is not None:
            said, code, at = word("state", answer.state), answer.code or "–", _moment(answer.at)
        table.add_row(name, proposal.whole.role_of(name), said, code, at)
    out.print(table)
    if proposal.state in ("failed", "refused", "lapsed"):
        tell(retold(str(why(home, proposal))))


def _proposals(home: "HubHome") -> Any:
    from fedrisk.server.hub import Hub
    from fedrisk.server.proposals import Proposals

    return Proposals(Hub(home.path))


def _runs(home: "HubHome") -> Any:
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs

    return Runs(Hub(home.path))
