"""A study over a hub: proposed to its members, run by the hub's own processes once all have agreed, waited for here."""

import time
from collections.abc import Callable

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import Roster
from fedrisk.engine.hub_figures import Progress
from fedrisk.engine.public_check import check_public
from fedrisk.engine.superlink_nodes import nodes
from fedrisk.errors import ConfigError, FedriskError, PeerError, Stopped
from fedrisk.recipes import recipe_of
from fedrisk.server import knowledge
from fedrisk.server.exchange import Report
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import DAYS, Proposal, Proposals
from fedrisk.server.results import Results
from fedrisk.server.runs import Runs, refuse_again
from fedrisk.study import Study

EVERY = 0.3
"""Seconds between two looks at a proposal."""

_ENDED = ("finished", "failed", "lapsed", "refused", "withdrawn")


def propose(
    study: Study,
    home: HubHome,
    *,
    research_seed: int | None = None,
    again: bool = False,
    days: float = DAYS,
) -> Proposal:
    """Propose a study to its members, checked by public rules and by the roster (engine/public_check).

    ConfigError where a rule is broken, a member is not in the roster or cannot take part, or the study was run before
    and ``again`` is not said.
    """
    hub, checked = Hub(home.path), recipe_of(study).checked(study)
    found = check_public(checked, Roster.latest(home), hub=hub, research_seed=research_seed)
    said = [
        *found.refused,
        *(why for line in found.institutions if not line.left_out for why in line.refused),
    ]
    if said:
        raise ConfigError(f"study {checked.name} is not proposed: " + "\n".join(said))
    refuse_again(Runs(hub), checked, research=research_seed is not None, again=again)
    # What it knows beforehand is part of what members approve.
    checked = knowledge.kept(recipe_of(checked), checked, hub, research=research_seed is not None)
    return Proposals(hub).submit(checked, research_seed=research_seed, again=again, days=days)


def follow(
    home: HubHome,
    proposal: Proposal,
    *,
    said: Callable[[Proposal], None] = lambda _: None,
    report: Report | None = None,
) -> Proposal:
    """Wait until a proposal is over, however long that takes; as it is then.

    said: called with the proposal whenever a member's word or its state changed. report: as of a run. Stopped (a
    KeyboardInterrupt) where a person stops waiting: the proposal goes on.
    """
    proposals, progress = Proposals(Hub(home.path)), Progress(Hub(home.path), proposal.id)
    seen: tuple[object, ...] = ()
    exchange = 0
    try:
        while True:
            now = proposals.find(proposal.id)
            state = (now.state, {name: answer.state for name, answer in now.answers.items()})
            if state != seen:
                seen = state
                said(now)
            exchange = _report(progress, report, exchange)
            if now.state in _ENDED:
                return now
            time.sleep(EVERY)
    except KeyboardInterrupt:
        raise Stopped(
            f"no longer waiting; proposal {proposal.id} of study {proposal.whole.name} goes on at the hub: fedrisk hub "
            f"show {home.path} {proposal.id}"
        ) from None


def _report(progress: Progress, report: Report | None, seen: int) -> int:
    now = progress.read()
    number = int(now.get("exchange", 0))
    if report is not None and number > seen:
        report(number, str(now.get("action", "")), str(now.get("what", "")))
    return max(seen, number)


def results_of(home: HubHome, proposal: Proposal) -> Results:
    """The results of a proposal that came to its end; else the error that ended it, with what was charged."""
    runs = Runs(Hub(home.path))
    if proposal.state == "finished" and proposal.attempt is not None:
        return runs.results(runs.find(proposal.attempt))
    raise why(home, proposal)


def why(home: HubHome, proposal: Proposal) -> FedriskError:
    """The error that a proposal ended with, in the words that its process left."""
    kept = Progress(Hub(home.path), proposal.id).read()
    name, id = proposal.whole.name, proposal.id
    if proposal.state == "refused":
        refused = [
            f"{n} ({a.code})" if a.code else n for n, a in proposal.answers.items() if a.state == "refused"
        ]
        return PeerError(
            f"study {name} was refused by {', '.join(refused) or 'a member'}; nothing was released. The reason is in "
            "the institution's own errors.log, or its operator has it"
        )
    if proposal.state == "lapsed":
        waited = ", ".join(proposal.members("waiting"))
        return PeerError(
            f"study {name} lapsed {proposal.deadline[:10]} without the word of {waited}; nothing was released. Submit "
            "it again, with more --days"
        )
    if proposal.state == "withdrawn":
        return ConfigError(f"proposal {id} of study {name} was withdrawn; nothing was released")
    charged = ", ".join(kept.get("charged", ())) or "nobody"
    said = str(kept.get("said") or f"it ended with code {proposal.code or 'internal'}")
    text = (
        f"study {name} failed at the hub: {said}. Charged, as far as the hub heard: {charged}; what was charged stays "
        f"charged. See fedrisk hub show {home.path} {id}"
    )
    return _error(proposal.code)(text)


def _error(code: str | None) -> type[FedriskError]:
    """The class of an error's code, the most general one of it; PeerError for one that has none."""
    kinds: list[type[FedriskError]] = [FedriskError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.code == code), PeerError)


def run_deployed(
    study: Study,
    home: HubHome,
    *,
    research_seed: int | None = None,
    again: bool = False,
    days: float = DAYS,
    said: Callable[[Proposal], None] = lambda _: None,
    report: Report | None = None,
) -> Results:
    """Propose a study over a hub that serves on this machine, wait until all agreed and it was run, give its results.

    Errors: NotServing (a ConfigError) where no hub serves; as of :func:`propose`; PeerError where a member refused or
    the proposal lapsed; what ended the run.
    """
    nodes(home.path)
    proposal = propose(study, home, research_seed=research_seed, again=again, days=days)
    return results_of(home, follow(home, proposal, said=said, report=report))
