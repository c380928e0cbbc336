"""One study of a hub, in a process of its own: ``python -m fedrisk.engine.hub_study HUB``, which ``hub work`` starts.

Reads on standard input which proposal it is and the token of its Flower task. Runs the installed code; its results lie
in the hub's own store. SIGTERM stops it as a person stops a run.
"""

import json
import logging
import os
import signal
import sys

from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.hub_watch import of_a_child
from fedrisk.engine.hub_work import Progress, until_orphaned
from fedrisk.engine.superlink import task_grid
from fedrisk.errors import FedriskError, code_of
from fedrisk.recipes import recipe_of
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Proposal, Proposals
from fedrisk.server.run import new_attempt, run_study
from fedrisk.server.runs import Runs, refuse_again

log = logging.getLogger("fedrisk")


def main(folder: str) -> int:
    """Run the study; 0 where it came to its end."""
    given = json.loads(sys.stdin.read())
    home = HubHome.load(folder)
    of_a_child(home, "study")
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
        _failed(home, proposals, proposal, "stopped", "the study was stopped at the hub", progress)
        return 130
    except FedriskError as error:
        _failed(home, proposals, proposal, error.code, str(error), progress)
        return 1
    except Exception as error:
        log.exception("a study failed for a reason that nobody foresaw", extra={"event": "study"})
        _failed(home, proposals, proposal, code_of(error), "", progress)
        return 1
    return 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _run(home: HubHome, proposals: Proposals, proposal: Proposal, token: str, progress: Progress) -> None:
    hub, study = Hub(home.path), proposal.whole
    attempt = new_attempt()
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
            report=lambda number, action, what: progress.write(exchange=number, action=action, what=what),
        )
    proposals.update(proposal.id, state="finished", attempt=results.attempt)


def _failed(
    home: HubHome, proposals: Proposals, proposal: Proposal, code: str, text: str, progress: Progress
) -> None:
    """Enter how it ended, with who was charged as far as the hub heard."""
    runs = [
        r for r in Runs(Hub(home.path)).all() if r.asked == proposal.digest and r.begun >= proposal.submitted
    ]
    attempt = runs[-1].attempt if runs else proposals.find(proposal.id).attempt
    charged = list(runs[-1].charged) if runs else []
    progress.write(**{**progress.read(), "said": text, "charged": charged})
    proposals.update(proposal.id, state="failed", code=code, attempt=attempt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
