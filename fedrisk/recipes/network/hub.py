"""The network recipe at the hub: bins, a network trained over noisy sums, one private evaluation.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, prepare, shares, two for each step, conclude. What is trained
and what the hub knows of it are weights and noisy sums; the banks' models of their own stay with them.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from fedrisk.models.binning import Bins
from fedrisk.models.network import AVERAGED, MOMENTUM, NetworkDesign, default_rate, initial_weights
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.network.plan import mu_of_counts
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.releases.evaluation import LOGIT_STEPS, logit_edges
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedBlock
from fedrisk.releases.release import Release
from fedrisk.server.noisy_sums import NoisySums, find_bins
from fedrisk.server.optimiser import Tuning
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.server.training import Rounds, Trained
from fedrisk.study import Study


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Train, hand the model to the banks, evaluate.

    Raises PeerError where a bank refuses, or too few are left to open a step's sum.
    """
    roster, begun = session.roster, session.checkpoint.recipe
    study, training = roster.study, plan.trained
    sums = NoisySums(session.exchange, roster)
    if begun is None:
        bins = find_bins(sums, plan, mu_of_counts(study, plan))
    else:
        bins = [Bins.from_dict(b) for b in begun.get("bins")]
    noise = training.gradient_noise(sum(roster.training.values()))
    design = NetworkDesign.of(bins, NetworkSettings.of(study), noise=noise)
    rounds = Rounds(sums, training, tuning(study, noise), session.checkpoint)
    if begun is None:
        content = {"bins": [b.to_dict() for b in bins], "design": design.to_dict()}
        rounds.set_up(content)
        session.keep(rounds.state(bins=content["bins"]))
    else:
        rounds.resume(begun)
    trained = rounds.run(initial_weights(design, roster.research_seed or 0))
    outcome = Outcome(
        record=sums.record,
        network=rounds.model(trained, design.to_dict()),
        training=rounds.figures(trained, design.kind),
    )
    _conclude(rounds, plan, outcome, trained)
    outcome.record = sums.record
    return outcome


def tuning(study: Study, noise: float) -> Tuning:
    """Defaults that follow from public numbers.

    noise: deviation in a number of one step's mean gradient, by clip.
    """
    if study.training.mode == "silo":
        # With one local step a round is a step, and momentum helps as it does there.
        once = study.training.local_steps == 1
        return Tuning(
            rate=default_rate(noise),
            optimiser="momentum" if once else "sgd",
            momentum=MOMENTUM,
            averaged=AVERAGED,
        )
    if not noise and NetworkSettings.of(study).kind == "mlp":
        return Tuning(rate=default_rate(noise), optimiser="adam", momentum=MOMENTUM, averaged=0.1)
    return Tuning(rate=default_rate(noise), optimiser="momentum", momentum=MOMENTUM, averaged=AVERAGED)


def _conclude(rounds: Rounds, plan: Plan, outcome: Outcome, trained: Trained) -> None:
    """The model goes to the banks; one noisy histogram of the hold-out comes back, as far as policies let it."""
    exchange, roster = rounds.exchange, rounds.roster
    study = roster.study
    evaluate = all(roster.agreed[bank].get("evaluation") for bank in study.banks) and not rounds.lost
    content = Payload({"evaluate": evaluate}, {"weights": trained.final.astype(np.float32)})
    ask = exchange.gather if rounds.lost else exchange
    answers = ask("conclude", "the model, evaluation histogram", dict.fromkeys(rounds.active, content))
    if not evaluate:
        return
    release, edges = plan.release("evaluation"), logit_edges(study)
    if roster.research_seed is not None:
        _exact(rounds.sums, release, outcome, answers)
        return
    totals = rounds.sums.total(release, answers, about={"logit_edges": edges})
    half = (edges[1] - edges[0]) / 2
    middles = expit(np.array([edges[0] - half, *(e + half for e in edges)]))
    outcome.evaluation = {name: (t[:, 0], t[:, 1], middles) for name, t in totals.items()}
    outcome.variance = release.variance(release.blocks[0].name)


def _exact(sums: NoisySums, release: Release, outcome: Outcome, answers: Mapping[str, Payload]) -> None:
    """Exact counts by hundredths of the log-odds of a research run."""
    blocks = []
    for bank, answer in answers.items():
        n1, n0 = answer.array("positives"), answer.array("negatives")
        points = (int(answer.get("first")) + np.arange(len(n1))) / LOGIT_STEPS
        outcome.evaluation[bank] = (n1, n0, expit(points))
        outcome.figures[bank] = dict(answer.get("figures"))
        total = np.stack([n1, n0], 1)
        blocks.append(ReleasedBlock(name=bank, left=bank, right=bank, total=total, variance=0.0))
    first = {bank: int(answer.get("first")) for bank, answer in answers.items()}
    sums.keep(release, tuple(blocks), answers, about={"first": first})
