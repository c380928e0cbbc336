"""The network recipe at the hub: bins, a network trained over noisy sums, one private evaluation.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, prepare, shares, two for each step (three once a bank was
lost), conclude. What is trained and what the hub knows of it are weights and noisy sums; the banks' models of their own
stay with them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from fedrisk.findings import Finding
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.knowledge_file import to_bytes
from fedrisk.models.network import NetworkDesign, named_weights
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import evaluated
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.network.design import design_of, first_weights, tuning
from fedrisk.recipes.network.plan import mu_of_counts
from fedrisk.recipes.network.start import PART, curves_on
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
    rows, known = sum(roster.labelled.values()), session.known
    if known:
        session.exchange.tell(PART, {}, {"file": np.frombuffer(to_bytes(known), np.uint8)})
    released = release_edges(sums, plan)
    bins = find_bins(study, plan, released, rows, mu_of_counts(study, plan))
    session.exchange.tell("bins", {"bins": [b.to_dict() for b in bins]}, blobs_of(released))
    design = design_of(study, training, rows, bins, known)
    rounds = Rounds(sums, training, tuning(study, training, rows))
    rounds.set_up(design.to_dict(), {"bins": [b.to_dict() for b in bins], "design": design.to_dict()})
    first = first_weights(study, design, bins, known, roster.research_seed or 0)
    trained = rounds.run(first)
    outcome = Outcome(
        record=sums.record,
        network=rounds.model(trained, design.to_dict()),
        training=rounds.figures(trained, design.kind),
        findings=(
            *plan.findings,
            *_begun(bins, known, design, first, trained),
            *_extreme(design, trained, rounds.tuning.rate),
        ),
    )
    session.so_far(outcome)
    _conclude(rounds, plan, outcome, trained)
    outcome.record = sums.record
    return outcome


def _extreme(design: NetworkDesign, trained: Trained, rate: float) -> tuple[Finding, ...]:
    """Says where a model that came to an end has log-odds beyond all sense, by the released weights alone.

    Inputs have a mean squared length of 1 by design: the root mean square of log-odds is about that of the weights.
    """
    odds = _typical(design, trained.final)
    return (Finding("training_extreme", {"odds": odds, "rate": rate}),) if odds > MOST_ODDS else ()


def _begun(
    bins: Sequence[Bins], known: Knowledge, design: NetworkDesign, first: Any, trained: Trained
) -> tuple[Finding, ...]:
    """Where the network began, and how far training went from there."""
    if known.prior is None:
        return ()
    fit = sum(curve is not None for curve in curves_on(bins, known))
    moved = _typical(design, trained.final - first)
    return (
        Finding(
            "start_used", {"source": known.prior.source, "fit": fit, "features": len(bins), "moved": moved}
        ),
    )


def _typical(design: NetworkDesign, weights: Any) -> float:
    """Root mean square of the regression's weights, the constant left out."""
    wide = named_weights(design, weights.astype(np.float32))["wide.weight"]
    return float(np.sqrt(np.square(wide[0][:-1]).mean()))


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
        plan,
        answers,
        outcome,
        inner=expit(np.array(edges)),
        probability=expit(np.array([edges[0] - half, *(e + half for e in edges)])),
        about={"logit_edges": edges},
        exact=lambda n1, n0, steps: (n1, n0, expit(steps / LOGIT_STEPS)),
    )
