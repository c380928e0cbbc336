"""Training, at a trainer: keys for masks, noisy sums of clipped gradients, shares that open masks.

The hub sends weights; the trainer answers with one masked vector, which holds its enterprises' clipped gradients and
its part of the noise (distributed), or its change to the model after steps with the whole noise (silo). Noise, price
and the bound on one enterprise follow from the plan. The vector leaves through the outlet like any other release.

What follows from public facts is not taken from the hub: design and learning rate are made again here and compared
(``Side.agreed``), rows of all trainers must add up to those of the order, and weights, steps and names that are out of
range are refused. Trainers that were told different things refuse each other's keys (``step_keys.Terms.view``); those
that were sent different weights in a step have masks that do not cancel; and the trainers confirm to each other who
survived a step before they give shares of keys (secure/survivors).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import training_rows
from fedrisk.clients.training_forms import TRAINING, WEIGHTS, OfStep, OfSurvivors, RelayedStepKeys
from fedrisk.errors import ProtocolError
from fedrisk.models.trainable import MOST_WEIGHT, TrainedModel, Trainee, about_training
from fedrisk.protocol.actions import Action, Disclosure, named
from fedrisk.protocol.form import SEALED, Form
from fedrisk.protocol.order import labelled_among
from fedrisk.protocol.payload import Payload
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.releases.release import Block
from fedrisk.secure import double_mask, step_keys
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.fixed_point import BITS, check_ring, dequantise

Floats = NDArray[np.float64]

SHARES = Disclosure("key_shares", "useless_below_threshold", named)
MASK_KEYS = Disclosure("mask_keys", "public_to_study")
OPENED_SHARES = Disclosure("opened_key_shares", "open_one_total")
SURVIVORS = Disclosure("survivors", "public_to_study")

ROUNDING = 1e-9
"""Relative difference that counts as rounding where both sides compute a number from the same public ones."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What is trained: design of the model, learning rate; view: digest when keys were made.

    rows: of all trainers, those that something is learnt from (at banks about so many with a label): public numbers, by
    which sums become means. The exact number would be one of records, and no noise would hide it.
    """

    design: dict[str, Any]
    rows: dict[str, int]
    rate: float
    view: str


@dataclass(frozen=True, kw_only=True)
class OwnStepKeys:
    """This trainer's signed public keys for the masks of all steps."""

    keys: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AllStepKeys:
    """Every trainer's public keys for the masks of all steps, verified."""

    keys: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SharesTaken:
    """The others' shares were opened and are kept as secrets."""

    taken: bool = True


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """Which steps were sent, and for which survivors of a step this trainer stood: each at most once."""

    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Side:
    """What a recipe hands in.

    agreed: (attempt, number of training rows of all trainers) -> design of the model and learning rate as they follow
    from public facts; others are refused. ready: (attempt, training rows in the order of ids) -> keeps the inputs on
    the institution's disk until the attempt is over. trainee: the model with the rows, from what ``ready`` kept.
    """

    agreed: Callable[[Attempt, int], tuple[dict[str, Any], float]]
    ready: Callable[[Attempt, NDArray[np.int64]], None]
    trainee: Callable[[Attempt, Mapping[str, Any]], Trainee]


def prepare(node: Node, request: Payload, *, side: Side) -> Payload:
    """Design of the model, rows of all trainers -> this trainer's step keys; what is trained on is made ready."""
    attempt = node.attempt(request)
    attempt.begin_once("prepare", request)
    plan = attempt.plan.trained
    rows = training_rows(attempt, attempt.name)
    state = what_is_trained(attempt, side)
    counted = attempt.told("order").get("training")
    if counted[attempt.name] != len(rows):
        raise ProtocolError(
            "the hub counts other training rows than the order of rows has; run the study again"
        )
    check_ring(sum(counted[name] for name in plan.trainers), plan.clip, plan.sigma, len(plan.trainers))
    # By id: single precision depends on the place in a block, and the row order is another one in every attempt.
    side.ready(attempt, rows[attempt.by_id(rows)])
    if attempt.state.find(TrainingState) is None:
        # Only once: the keys are signed under the view of this moment.
        attempt.state.save(state)
    if len(plan.trainers) == 1:
        return Payload()
    made = attempt.state.find(OwnStepKeys)
    if made is None:
        fresh = step_keys.prepare(node.store.identity, attempt.name, terms_of(attempt))
        attempt.state.put_secret("step_secrets", fresh.secrets.to_bytes())
        for name, bundle in fresh.bundles.items():
            attempt.state.put_secret(f"bundle_{name}", bundle)
        _keep(attempt, double_mask.Record())
        made = OwnStepKeys(keys=fresh.keys.to_dict())
        attempt.state.save(made)
    return Payload({"step_keys": made.keys})


def shares(node: Node, request: Payload) -> Payload:
    """Everybody's step keys -> shares of this trainer's keys and seeds, sealed for each other trainer."""
    attempt = node.attempt(request)
    attempt.begin_once("shares", request)
    terms, pins = terms_of(attempt), node.store.pins
    sent = request.get("step_keys")
    if set(sent) != set(terms.trainers) or sent[attempt.name] != attempt.state.load(OwnStepKeys).keys:
        raise ProtocolError(
            "the hub did not relay every trainer's step keys as they are; run the study again"
        )
    for name, keys in sent.items():
        step_keys.verify_keys(step_keys.StepKeys.from_dict(keys), pins.of(name), name, terms)
    attempt.state.save(AllStepKeys(keys=sent))
    sealed = {}
    for name in terms.trainers:
        if name != attempt.name:
            context = _context(attempt, attempt.name, name)
            bundle = attempt.state.secret(f"bundle_{name}")
            sealed[name] = seal(attempt.key, attempt.peers[name], context, [bundle])
    return Payload({}, sealed)


def step(node: Node, request: Payload, *, side: Side) -> Payload:
    """Weights (and, the first time, the others' sealed shares) -> the masked, noisy vector of this step."""
    attempt = node.attempt(request)
    plan, number = attempt.plan.trained, _step_number(attempt, request)
    attempt.state.still_runs()
    masked, others = len(plan.trainers) > 1, set(plan.trainers) - {attempt.name}
    request.only({"weights", *others})
    trainee = trainee_of(attempt, side)
    weights = _weights(request, trainee.size, np.float64)
    if masked:
        _take_shares(attempt, request)

    def part(block: Block, noise: outlet.Noise) -> NDArray[Any]:
        return _part(attempt, plan, trainee, weights, number, block, noise)

    def mask(block: Block, vector: NDArray[Any]) -> NDArray[Any]:
        if not masked:
            return vector
        bound = double_mask.weights_digest(weights)
        own, keys = _masking(attempt)
        out, _ = double_mask.masked(vector, own, keys, terms_of(attempt), number, _record(attempt), bound)
        return out

    answer = outlet.release(attempt, plan.release(number, trainee.size), request, part, mask)
    if masked and number not in _record(attempt).sent:
        # After the answer is on the disk and before it leaves.
        _keep(attempt, _record(attempt).with_sent(number))
    return answer


def confirm(node: Node, request: Payload) -> Payload:
    """Who sent a vector in a step and who was lost -> this trainer's signature of it, the only one that it gives.

    Asked where somebody was lost: every survivor signs, and shares of keys are given for what enough have signed.
    """
    attempt = node.attempt(request)
    attempt.state.still_runs()
    lists = _survivors(attempt, request)
    signature, record = double_mask.confirm(
        node.store.identity, attempt.name, terms_of(attempt), lists, _record(attempt)
    )
    _keep(attempt, record)
    return Payload({}, {"signature": signature})


def unmask(node: Node, request: Payload) -> Payload:
    """Who sent a vector in a step and who was lost -> shares of the survivors' seeds and of the lost ones' keys.

    Where somebody was lost, the survivors' signatures of these lists come with the request.
    """
    attempt = node.attempt(request)
    terms, pins = terms_of(attempt), node.store.pins
    lists = _survivors(attempt, request)
    request.only(lists.survivors if lists.lost else ())
    opened = {name: attempt.state.secret(f"held_{name}") for name in terms.trainers}
    revealed, record = double_mask.reveal(
        step_keys.hold(attempt.name, terms, opened),
        attempt.name,
        terms,
        lists,
        _record(attempt),
        {name: request.raw(name) for name in lists.survivors if name in request.blobs},
        {name: pins.of(name) for name in terms.trainers},
    )
    _keep(attempt, record)
    return Payload({"revealed": revealed.to_dict()})


def trained_model(attempt: Attempt, size: int) -> TrainedModel:
    """The trained model as the hub told it to all in the last exchange, with the facts of its training as known here.

    ProtocolError unless it is ``size`` finite numbers of at most MOST_WEIGHT; nothing is released or installed then.
    """
    weights = _weights(attempt.told("trained"), size, np.float32)
    about = about_training(
        attempt.study, attempt.state.id, attempt.plan.trained.mu, research=attempt.research
    )
    return TrainedModel(weights, attempt.state.load(TrainingState).design, about)


def trainee_of(attempt: Attempt, side: Side) -> Trainee:
    """What is trained: the model's design and the training rows; kept while the process stays alive."""
    design = attempt.state.load(TrainingState).design
    return attempt.state.cached("trainee", None, lambda: side.trainee(attempt, design))


def terms_of(attempt: Attempt) -> step_keys.Terms:
    """What all trainers sign."""
    plan, view = attempt.plan.trained, attempt.state.load(TrainingState).view
    return step_keys.Terms.of(
        attempt.study.digest(), attempt.state.id, plan.trainers, plan.steps, plan.threshold, view
    )


def what_is_trained(attempt: Attempt, side: Side) -> TrainingState:
    """What the hub tells all members to train, checked; ProtocolError where it does not follow from public facts."""
    told, order = attempt.told("training"), attempt.told("order")
    counted = {name: int(order.get("training")[name]) for name in attempt.plan.trained.trainers}
    rows = labelled_among(order.get("labelled"), counted, "training")
    design, rate = side.agreed(attempt, sum(rows.values()))
    if not _same(told.get("rate"), rate):
        raise ProtocolError(
            f"the hub sent another learning rate than follows from the study and its size ({rate:.6g}); hub and "
            "institution must run the same version"
        )
    if not _same(told.get("design"), design):
        raise ProtocolError(
            "the hub sent another design of the model than follows from the study; hub and institution must run the "
            "same version"
        )
    return TrainingState(
        design=told.get("design"), rows=rows, rate=float(told.get("rate")), view=attempt.view
    )


def _same(sent: Any, mine: Any) -> bool:
    """Whether what came as JSON is what was computed here, numbers within rounding."""
    if isinstance(mine, dict):
        return (
            isinstance(sent, dict)
            and sent.keys() == mine.keys()
            and all(_same(sent[k], mine[k]) for k in mine)
        )
    if isinstance(mine, list | tuple):
        there = isinstance(sent, list) and len(sent) == len(mine)
        return there and all(_same(a, b) for a, b in zip(sent, mine, strict=True))
    if isinstance(mine, float):
        return type(sent) is float and math.isclose(sent, mine, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return type(sent) is type(mine) and bool(sent == mine)


def _step_number(attempt: Attempt, request: Payload) -> int:
    number, steps = request.get("step"), attempt.plan.trained.steps
    if type(number) is not int or not 0 <= number < steps:
        raise ProtocolError(
            f"the step asked for is not one of the {steps} of this study; run the study again"
        )
    return number


def _weights(request: Payload, size: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    weights = request.array("weights")
    if weights.shape != (size,) or weights.dtype != dtype or not (np.abs(weights) <= MOST_WEIGHT).all():
        raise ProtocolError(
            f"the hub sent weights for another model; expected {size} finite numbers of at most {MOST_WEIGHT:g}"
        )
    return weights


def _survivors(attempt: Attempt, request: Payload) -> double_mask.Survivors:
    """The lists of a step, as the hub names them: distinct names each."""
    lists = []
    for kind in ("survivors", "lost"):
        names = request.get(kind)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProtocolError("survivors and lost must be lists of names; run the study again")
        if len(set(names)) != len(names):
            raise ProtocolError("survivors or lost name a trainer twice; run the study again")
        lists.append(names)
    return double_mask.Survivors.of(_step_number(attempt, request), *lists)


def _part(
    attempt: Attempt,
    plan: TrainingPlan,
    trainee: Trainee,
    weights: Floats,
    number: int,
    block: Block,
    noise: outlet.Noise,
) -> NDArray[Any]:
    """(d,) this trainer's contribution in ring units, noise included.

    In silo mode the change is computed from noisy sums and public numbers alone. Each sum has its whole noise, and
    there are as many as the study says. Weights, rate and rows, whoever chose them, change what the vector is good
    for and not what it costs.
    """

    def noisy_sum(at: Floats, what: str) -> NDArray[Any]:
        return noise.add(block, trainee.clipped_sum(at, plan.clip, BITS), what)

    if plan.distributed:
        return noisy_sum(weights, f"step {number}")
    rule, state = attempt.study.training, attempt.state.load(TrainingState)
    local, rows = weights.copy(), state.rows[attempt.name]
    for k in range(rule.local_steps):
        gradient = dequantise(noisy_sum(local, f"step {number}.{k}")) / rows
        # The pull is taken at where the step ends (a proximal step), so that no strength of it overshoots.
        pull = state.rate * rule.proximal
        local = (local - state.rate * gradient + pull * weights) / (1 + pull)
        # Steps that diverge here stay numbers that fixed point carries, and beyond what the hub goes on with: it stops
        # the training of all. Nothing of the records is in this, as every sum had its noise.
        np.clip(local, -2 * MOST_WEIGHT, 2 * MOST_WEIGHT, out=local)
    share = rows / sum(state.rows.values())
    change: NDArray[np.int64] = np.rint((local - weights) * share * 2.0**BITS).astype(np.int64)
    return change


def _take_shares(attempt: Attempt, request: Payload) -> None:
    """Open and keep the others' shares, which come with the first step."""
    terms = terms_of(attempt)
    if attempt.state.find(SharesTaken) is not None:
        return
    for name in terms.trainers:
        if name == attempt.name:
            opened = attempt.state.secret(f"bundle_{name}")
        else:
            context = _context(attempt, name, attempt.name)
            (opened,) = open_sealed(attempt.key, attempt.peers[name], context, request.raw(name))
        attempt.state.put_secret(f"held_{name}", opened)
    attempt.state.save(SharesTaken())


def _masking(attempt: Attempt) -> tuple[step_keys.StepSecrets, Mapping[str, step_keys.StepKeys]]:
    keys = {n: step_keys.StepKeys.from_dict(k) for n, k in attempt.state.load(AllStepKeys).keys.items()}
    return step_keys.StepSecrets.from_bytes(attempt.state.secret("step_secrets")), keys


def _record(attempt: Attempt) -> double_mask.Record:
    return double_mask.Record.from_dict(attempt.state.load(MaskRecord).record)


def _keep(attempt: Attempt, record: double_mask.Record) -> None:
    attempt.state.save(MaskRecord(record=record.to_dict()))


def _context(attempt: Attempt, sender: str, receiver: str) -> Context:
    return Context(
        study=attempt.study.digest(),
        release="shares of step keys",
        attempt=attempt.state.id,
        direction=f"{sender}>{receiver}",
        sender=sender,
        receiver=receiver,
    )


def actions(side: Side) -> tuple[Action, ...]:
    """What a trainer answers in every recipe that trains, besides the order of rows and the last exchange."""
    return (
        Action(
            name="prepare", serve=partial(prepare, side=side), tells={"training": TRAINING}, answers=MASK_KEYS
        ),
        Action(name="shares", serve=shares, form=Form(body=RelayedStepKeys), sends=SHARES),
        Action(
            name="step",
            serve=partial(step, side=side),
            form=Form(body=OfStep, blobs={"weights": WEIGHTS, "*": SEALED}),
            receives=SHARES,
        ),
        Action(name="confirm", serve=confirm, form=Form(body=OfSurvivors), answers=SURVIVORS),
        Action(
            name="unmask",
            serve=unmask,
            form=Form(body=OfSurvivors, blobs={"*": SEALED}),
            answers=OPENED_SHARES,
        ),
    )
