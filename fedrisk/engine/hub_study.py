"""One study of a hub, in a process of its own: ``python -m fedrisk.engine.hub_study HUB``, which ``hub work`` starts.

Reads on standard input which proposal it is and the token of its Flower task. Runs the installed code; its results lie
in the hub's own store. SIGTERM stops it as a person stops a run.
"""

import contextlib
import json
import logging
import os
import signal
import sys

from fedrisk.deploy import health, logs
from fedrisk.deploy.children import until_orphaned
from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.heap import return_memory
from fedrisk.engine.hub_figures import FIGURES, Progress
from fedrisk.engine.hub_work import READY
from fedrisk.engine.superlink_runs import task_grid
from fedrisk.errors import ConfigError, FedriskError, PeerError, code_of
from fedrisk.recipes import recipe_of
from fedrisk.server.hub import Hub
from fedrisk.server.journal import Journal
from fedrisk.server.proposals import Proposal, Proposals
from fedrisk.server.run import new_attempt, run_study
from fedrisk.server.runs import Runs, refuse_again

log = logging.getLogger("fedrisk")


def main(folder: str) -> int:
    """Run the study; 0 where it came to its end."""
    return_memory()
    # Whoever started this waits for a word before it takes the task; from then on there is nothing to say there.
    os.write(sys.stdout.fileno(), READY)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    given = json.loads(sys.stdin.read())
    home = HubHome.load(folder)
    logs.start(home.log, "study")
    health.forward(home.path / FIGURES)
    proposals = Proposals(Hub(home.path))
    proposal = proposals.find(str(given["proposal"]))
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to all processes of a terminal; the parent decides
    until_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))
    progress = Progress(Hub(home.path), proposal.id)
    try:
        _run(home, proposals, proposal, str(given["token"]), progress)
    except KeyboardInterrupt:
        # The hub stops: the proposal stays as it is, and goes on when the hub works again.
        left = _left(
            home, proposals, proposal, progress, "the study was stopped with the hub, and goes on with it"
        )
        print(f"study {proposal.whole.name}: {left}", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, FedriskError):
            log.exception("a study failed for a reason that nobody foresaw", extra={"event": "study"})
        _left(home, proposals, proposal, progress, str(error) if isinstance(error, FedriskError) else "")
        proposals.update(proposal.id, state="failed", code=code_of(error))
        return 1
    return 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _run(home: HubHome, proposals: Proposals, proposal: Proposal, token: str, progress: Progress) -> None:
    hub, study = Hub(home.path), proposal.whole
    resume = _goes_on(hub, proposal)
    attempt = proposal.attempt if resume else new_attempt()
    proposals.update(proposal.id, attempt=attempt)
    with task_grid(home.path, token) as grid:
        refuse_again(Runs(hub), study, research=proposal.research_seed is not None, again=proposal.again)
        results = run_study(
            grid,
            study,
            recipe_of(study),
            hub,
            engine="deployment",
            research_seed=proposal.research_seed,
            attempt=attempt,
            resume=resume,
            without=proposal.absent,
            began=lambda attempt: _began(proposals, proposal, attempt),
            report=lambda number, action, what: progress.write(exchange=number, action=action, what=what),
        )
    proposals.update(proposal.id, state="finished", attempt=results.attempt, code=None)


def _began(proposals: Proposals, proposal: Proposal, attempt: str) -> None:
    """Know the attempt that goes on after a stop: without optional members, or begun anew, it is another one."""
    proposals.update(proposal.id, attempt=attempt)


def _goes_on(hub: Hub, proposal: Proposal) -> bool:
    """Whether a run of this proposal was stopped and can go on; PeerError where it cannot and somebody was charged."""
    if proposal.attempt is None:
        return False
    with contextlib.suppress(ConfigError):
        Journal.latest(hub, proposal.whole, proposal.research_seed, proposal.attempt)
        return True
    charged: tuple[str, ...] = ()
    with contextlib.suppress(ConfigError):
        charged = Runs(hub).find(proposal.attempt).charged
    if charged and proposal.research_seed is None:
        raise PeerError(
            f"run {proposal.attempt} was stopped more than a day ago and cannot go on, and {', '.join(charged)} were "
            "charged for it; submit the study again, which charges them once more"
        )
    return False


def _left(home: HubHome, proposals: Proposals, proposal: Proposal, progress: Progress, text: str) -> str:
    """Keep the words that a study ended with, and who was charged as far as the hub heard; both as a sentence."""
    runs = [
        r
        for r in Runs(Hub(home.path)).all()
        if r.asked == proposal.whole.as_asked.digest() and r.begun[:19] >= proposal.submitted[:19]
    ]
    charged: tuple[str, ...] = ()
    if runs:
        charged = runs[-1].charged
        proposals.update(proposal.id, attempt=runs[-1].attempt)
    progress.write(**{**progress.read(), "said": text, "charged": list(charged)})
    return f"{text}. Charged so far, as far as the hub heard: {', '.join(charged) or 'nobody'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
