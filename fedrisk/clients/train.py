"""Training, at a trainer: keys for masks, noisy sums of clipped gradients, shares that open masks.

The hub sends weights; the trainer answers with one masked vector, which holds its enterprises' clipped gradients
and its noise (shared noise), or its change to the model after steps under a guarantee of its own (own noise).
Noise, price and the bound on one enterprise follow from the study alone (models/training). A step is debited
before noise is drawn, and its answer is on the disk before it is sent.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.external import with_external
from fedrisk.clients.matrices import all_features, own_features, training_rows
from fedrisk.clients.node import Attempt, Node
from fedrisk.clients.release import commit, own_noise, spend_once
from fedrisk.errors import ConfigError, DataError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.plan import Release, edges_release, participant_mu
from fedrisk.models.trainable import Trainee
from fedrisk.models.training import TrainingPlan, training_plan
from fedrisk.protocol import Payload
from fedrisk.secure import double_mask, step_keys
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.fixed_point import BITS, check_ring, dequantise
from fedrisk.secure.ring import from_signed

Floats = NDArray[np.float64]


def prepare(node: Node, request: Payload) -> Payload:
    """Bins and design of the model, rows of all trainers -> own step keys; what is trained on is made ready."""
    attempt = node.attempt(request)
    attempt.begin_once("prepare", request)
    plan = plan_of(attempt)
    _check_design(attempt, request.get("design"))
    attempt.state.update(
        design=request.get("design"), rows=request.get("rows"), rate=float(request.get("rate"))
    )
    if attempt.name not in plan.trainers:
        return _charge_holder(attempt, request)
    own = len(training_rows(attempt, attempt.name))
    if attempt.state["rows"].get(attempt.name) != own or not own:
        raise ProtocolError(
            "the hub counts other training rows here than the order of rows has; run the study anew"
        )
    check_ring(sum(attempt.state["rows"].values()), plan.clip, plan.sigma, len(plan.trainers))
    _make_ready(attempt, request)
    if len(plan.trainers) == 1:
        return Payload()
    terms = terms_of(attempt)
    if "step_keys" not in attempt.state:
        made = step_keys.prepare(node.store.identity, attempt.name, terms)
        attempt.state.put_secret("step_secrets", made.secrets.to_bytes())
        for name, bundle in made.bundles.items():
            attempt.state.put_secret(f"bundle_{name}", bundle)
        attempt.state.update(step_keys=made.keys.to_dict(), record=double_mask.Record().to_dict())
    return Payload({"step_keys": attempt.state["step_keys"]})


def _check_design(attempt: Attempt, design: dict[str, Any]) -> None:
    """ProtocolError where an office is to train another encoder than its own file states."""
    encoder = attempt.study.encoder
    if encoder is not None and design != attempt.node.institution.encoder_design(encoder.name):
        raise ProtocolError("the hub sent another encoder's design than this institution states")


def shares(node: Node, request: Payload) -> Payload:
    """Everybody's step keys -> shares of the own keys and seeds, sealed for each other trainer."""
    attempt = node.attempt(request)
    attempt.begin_once("shares", request)
    terms, pins = terms_of(attempt), node.store.pins
    told = request.get("step_keys")
    if set(told) != set(terms.trainers) or told[attempt.name] != attempt.state["step_keys"]:
        raise ProtocolError("the hub did not relay every trainer's step keys as they are; run the study anew")
    for name, keys in told.items():
        step_keys.verify_keys(step_keys.StepKeys.from_dict(keys), pins.of(name), name, terms)
    attempt.state.update(all_step_keys=told)
    return Payload(
        {},
        {
            name: seal(
                attempt.key,
                attempt.peers[name],
                _context(attempt, attempt.name, name),
                [attempt.state.secret(f"bundle_{name}")],
            )
            for name in terms.trainers
            if name != attempt.name
        },
    )


def step(node: Node, request: Payload) -> Payload:
    """Weights (and, the first time, the others' sealed shares) -> the masked, noisy vector of this step."""
    attempt = node.attempt(request)
    plan, number = plan_of(attempt), int(request.get("step"))
    if not 0 <= number < plan.steps:
        raise ProtocolError(f"step {number} is not one of the {plan.steps} of this study; run the study anew")
    attempt.state.still_runs()
    weights = request.array("weights")
    trainee = trainee_of(attempt)
    if weights.shape != (trainee.size,) or weights.dtype != np.float64 or not np.isfinite(weights).all():
        raise ProtocolError(f"the hub sent weights for another model; expected {trainee.size} finite numbers")
    if len(plan.trainers) > 1:
        _take_shares(attempt, request)
    release = plan.release(number, trainee.size)
    answer = spend_once(attempt, release, request)
    if answer is None:
        part = from_signed(_own_part(attempt, plan, trainee, weights, number), "uint64")
        if len(plan.trainers) > 1:
            part, _ = double_mask.masked(
                part, *_masking(attempt), terms_of(attempt), number, _record(attempt)
            )
        answer = commit(attempt, release, Payload({}, {"update": part}))
    if len(plan.trainers) > 1 and number not in _record(attempt).sent:
        record = _record(attempt)  # after the answer is on the disk and before it leaves
        attempt.state.update(record=double_mask.Record(record.sent | {number}, record.revealed).to_dict())
    return answer


def unmask(node: Node, request: Payload) -> Payload:
    """Who sent a vector in a step and who was lost -> shares of the survivors' seeds and of the lost ones' keys."""
    attempt = node.attempt(request)
    terms = terms_of(attempt)
    opened = {name: attempt.state.secret(f"held_{name}") for name in terms.trainers}
    revealed, record = double_mask.reveal(
        step_keys.hold(attempt.name, terms, opened),
        attempt.name,
        terms,
        int(request.get("step")),
        request.get("survivors"),
        request.get("lost"),
        _record(attempt),
    )
    attempt.state.update(record=record.to_dict())
    return Payload({"revealed": revealed.to_dict()})


def plan_of(attempt: Attempt) -> TrainingPlan:
    """The plan of the attempt's training, from the study and the public features."""
    edges = edges_release(attempt.study, all_features(attempt)) is not None
    return training_plan(attempt.study, edges=edges)


def terms_of(attempt: Attempt) -> step_keys.Terms:
    """What all trainers sign."""
    plan = plan_of(attempt)
    return step_keys.Terms.of(
        attempt.study.digest(), attempt.state.id, plan.trainers, plan.steps, plan.fewest
    )


def trainee_of(attempt: Attempt) -> Trainee:
    """What is trained: the model's design and the own training rows; kept while the process stays alive."""
    return attempt.state.held("trainee", None, lambda: _trainee(attempt))


def _trainee(attempt: Attempt) -> Trainee:
    design, state = attempt.state["design"], attempt.state
    if attempt.study.recipe == "neural":
        from fedrisk.models.network import NetworkDesign, NetworkTrainee

        return NetworkTrainee(NetworkDesign.from_dict(design), state.get("inputs"), state.get("label"))
    from fedrisk.models.encoder import EncoderDesign, EncoderTrainee

    return EncoderTrainee(EncoderDesign.from_dict(design), state.get("histories"))


def _make_ready(attempt: Attempt, request: Payload) -> None:
    """Inputs of the training rows, on the own disk until the attempt is over."""
    table, rows = attempt.read(), training_rows(attempt, attempt.name)
    # By id: single precision depends on the place in a block, and the row order is another one in every attempt.
    rows = rows[attempt.by_id(rows)]
    if attempt.study.recipe == "encoder":
        name = "" if attempt.study.encoder is None else attempt.study.encoder.name
        histories = attempt.node.institution.histories(name, table.ids[rows])
        attempt.state.put("histories", histories)
        return
    if table.weight is not None:
        raise ConfigError(
            f"{attempt.name}: the dictionary's label has weights, which the neural recipe does not take; "
            "remove dictionary.label.weight, or use the scorecard"
        )
    if table.label is None:
        raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    bins = [Bins.from_dict(b) for b in request.get("bins")]
    if [b.feature for b in bins] != own_features(attempt):
        raise ProtocolError("the bins are not those of this institution's columns; run the study anew")
    from fedrisk.models.network_inputs import encode

    attempt.state.update(own_bins=request.get("bins"))
    attempt.state.put("inputs", encode(with_external(attempt, table.frame, table.ids).iloc[rows], bins))
    attempt.state.put("label", table.label[rows])


def _own_part(
    attempt: Attempt, plan: TrainingPlan, trainee: Trainee, weights: Floats, number: int
) -> NDArray[np.int64]:
    """(d,) own contribution in ring units, noise included."""
    rule = attempt.study.training
    if rule.mode == "shared_noise":
        return _noisy_sum(attempt, plan, trainee, weights, f"step {number}")
    rate = attempt.state["rate"]
    own = weights.copy()
    for k in range(rule.local_steps):
        noisy = _noisy_sum(attempt, plan, trainee, own, f"step {number}.{k}")
        gradient = dequantise(noisy) / trainee.rows
        own -= rate * (gradient + rule.proximal * (own - weights))
    share = trainee.rows / sum(attempt.state["rows"].values())
    change: NDArray[np.int64] = np.rint((own - weights) * share * 2.0**BITS).astype(np.int64)
    return change


def _noisy_sum(
    attempt: Attempt, plan: TrainingPlan, trainee: Trainee, weights: Floats, what: str
) -> NDArray[np.int64]:
    total = trainee.clipped_sum(weights, plan.clip, BITS)
    noise = own_noise(attempt, plan.sigma, total.shape, what)
    return total if noise is None else total + noise


def _take_shares(attempt: Attempt, request: Payload) -> None:
    """Open and keep the others' shares, which come with the first step."""
    terms = terms_of(attempt)
    if "shares_taken" in attempt.state:
        return
    for name in terms.trainers:
        if name == attempt.name:
            opened = attempt.state.secret(f"bundle_{name}")
        else:
            context = _context(attempt, name, attempt.name)
            (opened,) = open_sealed(attempt.key, attempt.peers[name], context, request.raw(name))
        attempt.state.put_secret(f"held_{name}", opened)
    attempt.state.update(shares_taken=True)


def _masking(attempt: Attempt) -> tuple[step_keys.StepSecrets, Mapping[str, step_keys.StepKeys]]:
    keys = {n: step_keys.StepKeys.from_dict(k) for n, k in attempt.state["all_step_keys"].items()}
    return step_keys.StepSecrets.from_bytes(attempt.state.secret("step_secrets")), keys


def _record(attempt: Attempt) -> double_mask.Record:
    return double_mask.Record.from_dict(attempt.state["record"])


def _context(attempt: Attempt, sender: str, receiver: str) -> Context:
    return Context(
        study=attempt.study.digest(),
        release="shares of step keys",
        attempt=attempt.state.id,
        direction=f"{sender}>{receiver}",
        sender=sender,
        receiver=receiver,
    )


def _charge_holder(attempt: Attempt, request: Payload) -> Payload:
    """A holder whose score is an input of the banks' network: nothing of it leaves, and it is charged for the whole."""
    release = Release(
        name="external",
        population="training",
        mu=participant_mu(attempt.study, attempt.name),
        ring="uint64",
        scale_bits=0,
        blocks=(),
    )
    answer = spend_once(attempt, release, request)
    return answer if answer is not None else commit(attempt, release, Payload())
