"""The network recipe at the hub: bins, a network trained over noisy sums, one private evaluation.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, prepare, shares, two for each step (three once a bank was
lost), conclude. What is trained and what the hub knows of it are weights and noisy sums; the banks' models of their own
stay with them.
"""

import numpy as np
from scipy.special import expit

from fedrisk.findings import Finding
from fedrisk.models.network import NetworkDesign, initial_weights, named_weights
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import evaluated
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.network.design import design_of, tuning
from fedrisk.recipes.network.plan import mu_of_counts
from fedrisk.releases.evaluation import LOGIT_STEPS, logit_edges
from fedrisk.releases.plan import Plan
from fedrisk.server.evaluation import take_evaluation
from fedrisk.server.noisy_sums import NoisySums, blobs_of, release_edges
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.server.training import Rounds, Trained

MOST_ODDS = 10.0
"""Typical log-odds beyond which a probability is 0 or 1 for all that anybody could do with it."""


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Train, hand the model to the banks, evaluate.

    Raises PeerError where a bank refuses, or too few are left to open a step's sum; TrainingError where it diverges.
    """
    roster = session.roster
    study, training = roster.study, plan.trained
    sums = NoisySums(session.exchange, roster)
    rows = sum(roster.labelled.values())
    released = release_edges(sums, plan)
    bins = find_bins(study, plan, released, rows, mu_of_counts(study, plan))
    session.exchange.tell("bins", {"bins": [b.to_dict() for b in bins]}, blobs_of(released))
    design = design_of(study, training, rows, bins)
    rounds = Rounds(sums, training, tuning(study, training, rows))
    rounds.set_up(design.to_dict(), {"bins": [b.to_dict() for b in bins], "design": design.to_dict()})
    trained = rounds.run(initial_weights(design, roster.research_seed or 0))
    outcome = Outcome(
        record=sums.record,
        network=rounds.model(trained, design.to_dict()),
        training=rounds.figures(trained, design.kind),
        findings=(*plan.findings, *_extreme(design, trained, rounds.tuning.rate)),
    )
    session.so_far(outcome)
    _conclude(rounds, plan, outcome, trained)
    outcome.record = sums.record
    return outcome


def _extreme(design: NetworkDesign, trained: Trained, rate: float) -> tuple[Finding, ...]:
    """Says where a model that came to an end has log-odds beyond all sense, by the released weights alone.

    Inputs have a mean squared length of 1 by design: the root mean square of log-odds is about that of the weights.
    """
    wide = named_weights(design, trained.final.astype(np.float32))["wide.weight"]
    odds = float(np.sqrt(np.square(wide[0][:-1]).mean()))
    return (Finding("training_extreme", {"odds": odds, "rate": rate}),) if odds > MOST_ODDS else ()


def _conclude(rounds: Rounds, plan: Plan, outcome: Outcome, trained: Trained) -> None:
    """The model goes to the banks; one noisy histogram of the hold-out comes back, as far as policies let it."""
    exchange, roster = rounds.exchange, rounds.roster
    study = roster.study
    evaluate = evaluated(study, roster.statements) and not rounds.lost
    exchange.tell("trained", {}, {"weights": trained.final.astype(np.float32)})
    content = Payload({"evaluate": evaluate})
    ask = exchange.gather if rounds.lost else exchange
    answers = ask("conclude", "the model, evaluation histogram", dict.fromkeys(rounds.active, content))
    if not evaluate:
        return
    edges = logit_edges(study)
    half = (edges[1] - edges[0]) / 2
    take_evaluation(
        rounds.sums,
        plan.release("evaluation"),
        answers,
        outcome,
        probability=expit(np.array([edges[0] - half, *(e + half for e in edges)])),
        about={"logit_edges": edges},
        exact=lambda n1, n0, steps: (n1, n0, expit(steps / LOGIT_STEPS)),
    )
