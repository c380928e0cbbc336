"""The neural recipe, from the hub's side: bins, a network trained over noisy sums, one private evaluation.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, prepare, shares, two a step, conclude. What is
trained and what the hub knows of it are weights and noisy sums; the banks' models of their own stay with them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from fedrisk.models.binning import Bins
from fedrisk.models.network import AVERAGED, MOMENTUM, NetworkDesign, default_rate, initial_weights
from fedrisk.models.plan import budget, edges_release, evaluation_release
from fedrisk.models.training import LOGIT_STEPS, Tuning, logit_edges, training_plan
from fedrisk.protocol import Payload
from fedrisk.server.checkpoint import Checkpoint
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster
from fedrisk.server.scorecard import Sums, find_bins
from fedrisk.server.training import Rounds, Trained
from fedrisk.study import Study

Keep = Callable[[Payload], None]


def fit_network(exchange: Exchange, roster: Roster, checkpoint: Checkpoint, *, keep: Keep) -> Trained:
    """Train, hand the model to the banks, evaluate. ``keep`` begins the checkpoint with what was set up.

    Raises PeerError where a bank refuses, or too few are left to open a step's sum.
    """
    study, begun = roster.study, checkpoint.recipe
    sums = Sums(exchange, roster)
    release = edges_release(study, roster.features)
    plan = training_plan(study, edges=release is not None)  # before anything is paid: it may not be possible
    if begun is None:
        bins = find_bins(sums, release, budget(study, edges=release is not None)["counts"])
    else:
        bins = [Bins.from_dict(b) for b in begun.get("bins")]
    noise = plan.gradient_noise(sum(roster.training.values()))
    design = NetworkDesign.of(bins, study.network, noise=noise)
    rounds = Rounds(exchange, roster, plan, tuning(study, noise), checkpoint)
    if begun is None:
        told = {"bins": [b.to_dict() for b in bins], "design": design.to_dict()}
        rounds.set_up(told, sums.spends)
        keep(rounds.state(bins=told["bins"]))
    else:
        rounds.resume(begun)
    start = initial_weights(design, roster.research_seed or 0)
    progress = rounds.run(start)
    trained = Trained.of(rounds, progress, design.kind, design.to_dict())
    _conclude(rounds, trained, progress.final)
    return trained


def tuning(study: Study, noise: float) -> Tuning:
    """Defaults that follow from public numbers; ``noise``: deviation in a number of one step's mean gradient, by clip."""
    if study.training.mode == "own_noise":
        once = study.training.local_steps == 1  # then a round is a step, and momentum helps as it does there
        return Tuning(
            rate=default_rate(noise),
            optimiser="momentum" if once else "sgd",
            momentum=MOMENTUM,
            averaged=AVERAGED,
        )
    if not noise and study.network.kind == "mlp":
        return Tuning(rate=default_rate(noise), optimiser="adam", momentum=MOMENTUM, averaged=0.1)
    return Tuning(rate=default_rate(noise), optimiser="momentum", momentum=MOMENTUM, averaged=AVERAGED)


def _conclude(rounds: Rounds, trained: Trained, weights: Any) -> None:
    """The model goes to the banks; one noisy histogram of the hold-out comes back, as far as policies let it."""
    exchange, roster = rounds.exchange, rounds.roster
    study = roster.study
    evaluate = all(roster.agreed[bank].get("evaluation") for bank in study.banks) and not rounds.lost
    edges = logit_edges(study)
    told = Payload(
        {"edges": edges, "evaluate": evaluate},
        {"weights": weights.astype(np.float32)},
    )
    ask = exchange.gather if rounds.lost else exchange
    answers = ask("conclude", "the model, evaluation histogram", dict.fromkeys(rounds.active, told))
    if not evaluate:
        return
    if roster.research_seed is not None:
        for bank, answer in answers.items():
            trained.spends.append(dict(answer.get("spend")))
            points = (int(answer.get("first")) + np.arange(len(answer.array("positives")))) / LOGIT_STEPS
            trained.evaluation[bank] = (answer.array("positives"), answer.array("negatives"), expit(points))
            trained.figures[bank] = dict(answer.get("figures"))
        return
    release = evaluation_release(study, len(edges) + 1)
    sums = Sums(exchange, roster)
    totals = sums.total(release, answers)
    trained.spends += sums.spends
    half = (edges[1] - edges[0]) / 2
    middles = expit(np.array([edges[0] - half, *(e + half for e in edges)]))
    trained.evaluation = {name: (t[:, 0], t[:, 1], middles) for name, t in totals.items()}
    trained.variance = release.variance(release.blocks[0].name)
