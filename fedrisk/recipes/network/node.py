"""The network recipe at an institution: edges, inputs of the training rows, and the bank's use of the trained model.

A bank scores its customers, keeps scores, the exported network and models that it fits for itself, and lets one noisy
histogram of the hold-out out. Whatever is fitted without noise, and every figure of it, stays in the bank's store; only
a research run, which has no privacy, lets figures out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.clients import outlet, training, training_forms
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.describe import allowed_features, described
from fedrisk.clients.edges import release_edges
from fedrisk.clients.evaluation import (
    SCORES,
    Figures,
    HoldOut,
    OwnKept,
    charge_evaluation,
    evaluate,
    read_back,
    room_for,
    settle,
    split_of,
)
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import RowOrder, listed, rows_by_id, take_order, use_of
from fedrisk.clients.store.attempt_store import Owed
from fedrisk.data.dictionary import Dictionary
from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins
from fedrisk.models.trainable import TrainedModel, Trainee
from fedrisk.protocol.actions import Action
from fedrisk.protocol.form import Form, OfAttempt
from fedrisk.protocol.order import ORDER, ROWS
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Brought
from fedrisk.recipes.bins import BINS, check_bins, find_bins, told_edges
from fedrisk.recipes.network.external_score import FEATURE, find_external, refuse_same_name, with_external
from fedrisk.recipes.network.plan import external_release, mu_of_counts
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.recipes.network.start import PART
from fedrisk.recipes.network.told_start import START, known_start, plan_from
from fedrisk.releases.evaluation import LOGIT_STEPS, logit_edges
from fedrisk.study import NO_PRIVACY, Study

Floats = NDArray[np.float64]
CHECKED_ROWS = 500
"""Customers on which an exported model is compared with ours before it is kept."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A bank's customers in the order of ids, so that models do not depend on chance.

    Columns, encoded inputs, log-odds, labels (NaN where there is none) and use, (n, ...) each.
    """

    ids: NDArray[Any]
    frame: pd.DataFrame
    inputs: Any
    logit: Floats
    label: Floats
    use: NDArray[np.uint8]


def brings(node: Node, study: Study, research_seed: int | None) -> Brought:
    """A bank brings its columns, and the external score where the study says so; a holder behind that brings none."""
    node.institution.installed.refuse_without_privacy(research=research_seed is not None)
    if node.name not in study.banks:
        return Brought()
    dictionary = described(node)
    check_label(node.name, dictionary)
    features = allowed_features(node, dictionary)
    if NetworkSettings.of(study).external is None:
        return Brought(features=features)
    refuse_same_name(node, features)
    # The same results all along, whatever study ends in between.
    remembered = {"external": find_external(node, study, research_seed)}
    return Brought(features=(*features, FEATURE), remembered=remembered)


def check_label(name: str, dictionary: Dictionary) -> None:
    """ConfigError for a label with weights, which gradients here do not take."""
    if dictionary.label is not None and dictionary.label.weight is not None:
        raise ConfigError(
            f"{name}: the dictionary's label has weights, which recipe network does not take; "
            "remove dictionary.label.weight, or use the scorecard"
        )


def edges(node: Node, request: Payload) -> Payload:
    """Order of rows and all public features -> noisy histograms of a bank's columns without public bins."""
    attempt = node.attempt(request)
    take_order(attempt, request, plan_from(attempt))
    if attempt.name in attempt.study.trainers:
        owed(attempt)
    else:
        # A holder behind an external score is charged for the whole study: for the evaluation here, for the training
        # in the next exchange.
        return charge_evaluation(attempt, request)
    return release_edges(attempt, request)


def prepare(node: Node, request: Payload) -> Payload:
    """Bins and design -> step keys at a bank; at a holder behind an external score, its charge for the whole study."""
    attempt = node.attempt(request)
    if attempt.name in attempt.study.trainers:
        return training.prepare(node, request, side=SIDE)
    attempt.begin_once("prepare", request)
    # What it is charged for follows from public facts here as at the banks.
    training.what_is_trained(attempt, SIDE)
    return outlet.charge(attempt, external_release(attempt.plan), request)


def conclude(node: Node, request: Payload) -> Payload:
    """Trained weights -> the bank's scores and models (kept), the private evaluation histogram (out)."""
    attempt = node.attempt(request)
    attempt.state.still_runs()
    model = _trained(attempt)
    edges, allowed = logit_edges(attempt.study), bool(request.get("evaluate"))
    scored = cache(lambda: score(attempt, model))

    def held() -> HoldOut:
        part = (scored().use == HOLD_OUT) & ~np.isnan(scored().label)
        logit = scored().logit[part]
        return HoldOut(
            label=scored().label[part],
            bins=np.searchsorted(edges, logit, side="right"),
            exact=np.rint(logit * LOGIT_STEPS).astype(np.int64),
            probability=expit(logit),
            rows=rows_by_id(attempt)[part],
        )

    return evaluate(
        attempt,
        request,
        "conclude",
        held,
        lambda: keep_scores(attempt, model, scored()),
        lambda: owed(attempt),
        lambda: keep_own(attempt, model, scored(), own_fit(attempt, model, scored())),
        allowed=allowed,
    )


def owed(attempt: Attempt) -> None:
    """Note, before anything is paid, what a bank's scores will be made from; keep room for them on the disk."""
    name = attempt.name
    made_from = Owed(after="told_trained.message", arrays=(f"rows_{name}", f"use_{name}"), secrets=("rows",))
    attempt.state.keep_until_settled(made_from, room_for(len(attempt.read())))


def fetch(attempt: Attempt) -> Callable[[], None]:
    """Make a bank's scores and own models from what the attempt kept, at no release and no charge; what writes them.

    Errors: ProtocolError where the attempt never came that far, DataError where the table changed since.
    """
    model = _trained(attempt)
    scored = score(attempt, model)
    own = own_fit(attempt, model, scored)

    def keep() -> None:
        keep_scores(attempt, model, scored)
        keep_own(attempt, model, scored, own)

    return keep


def _trained(attempt: Attempt) -> TrainedModel:
    """The network as the hub told it to all in the last exchange."""
    from fedrisk.models.network import NetworkDesign

    design = NetworkDesign.from_dict(attempt.state.load(training.TrainingState).design)
    return training.trained_model(attempt, design.size)


def score(attempt: Attempt, model: TrainedModel) -> Scored:
    """The bank's customers with the model's log-odds."""
    from fedrisk.models.network import NetworkDesign, logits
    from fedrisk.models.network_inputs import encode

    table = attempt.read()
    rows = rows_by_id(attempt)
    order = attempt.by_id(listed(attempt, attempt.name))
    if table.label is None:
        raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    frame = with_external(attempt, table.frame, table.ids).iloc[rows]
    inputs = encode(frame, own_bins(attempt))
    return Scored(
        ids=table.ids[rows],
        frame=frame,
        inputs=inputs,
        logit=logits(NetworkDesign.from_dict(model.design), model.weights, inputs),
        label=table.label[rows],
        use=use_of(attempt, attempt.name)[order],
    )


def own_bins(attempt: Attempt) -> list[Bins]:
    """Bins of the banks' columns, once they are those that follow from the released histograms; ProtocolError."""
    told, plan, order = attempt.told("bins"), attempt.plan, attempt.state.load(RowOrder)
    edges = told_edges(plan, told, order.training)
    found = find_bins(attempt.study, plan, edges, order.labelled, mu_of_counts(attempt.study, plan))
    return check_bins(found, told.get("bins"))


def keep_scores(attempt: Attempt, model: TrainedModel, scored: Scored) -> None:
    """Write what the study is for to the bank's store, and read it back: scores and the network."""
    put = partial(attempt.node.store.put_result, attempt.state.id)
    put("network.npz", model.to_bytes())
    put(SCORES, _frame(attempt, scored).to_parquet(index=False))
    read_back(attempt)


def _frame(attempt: Attempt, scored: Scored) -> pd.DataFrame:
    label, use = scored.label, scored.use
    columns = {"probability": expit(scored.logit), "split": split_of(use, label), "label": label}
    out = pd.DataFrame({"id": scored.ids, **columns})
    if attempt.research:
        out["notice"] = NO_PRIVACY
    return out


@dataclass(frozen=True)
class OwnFit:
    """The bank's own models, None where they could not be fitted. kept: says why, for itself alone."""

    kept: OwnKept
    models: Any


def own_fit(attempt: Attempt, model: TrainedModel, scored: Scored) -> OwnFit:
    """Fit the bank's own models; nothing is written."""
    kept, fit = OwnKept(attempt), _side(scored, TRAINING)
    return OwnFit(kept, kept.tried("own_models", lambda: _own(attempt, model, scored, fit)))


def _side(scored: Scored, side: int) -> NDArray[np.bool_]:
    """Customers of one side whose label is whole, (n,)."""
    return np.asarray((scored.use == side) & np.isin(scored.label, (0.0, 1.0)))


def keep_own(attempt: Attempt, model: TrainedModel, scored: Scored, fit: OwnFit) -> Figures:
    """Write the bank's own models, their scores and its own figures to its store; hold-out figures of those models.

    ``best`` is the model of least validated loss on the bank's training rows, shared, local or personal: it is exported
    with its preprocessing, as ``best.onnx``. What fails is named in the figures with its reason; the rest is there.
    """
    put, kept, own = partial(attempt.node.store.put_result, attempt.state.id), fit.kept, fit.models
    out, label, test = _frame(attempt, scored), scored.label, _side(scored, HOLD_OUT)
    figures: Figures = {}
    if own is not None:
        for name, values in own.logits.items():
            if name != "shared":
                out[f"{name}_probability"] = expit(values)
        out["best_probability"] = expit(own.logits[own.best])
        kept.tried("scores_of_models", lambda: put(SCORES, out.to_parquet(index=False)))
        figures = kept.tried("figures", lambda: _figures(own, label, test)) or {}
        kept.tried("best_onnx", lambda: _export(attempt, model, scored, own))
    content = {**figures, "best": None if own is None else own.best, "absent": kept.absent}
    settle(attempt, json.dumps(content).encode())
    return figures


def _own(attempt: Attempt, model: TrainedModel, scored: Scored, fit: NDArray[np.bool_]) -> Any:
    """The bank's personal models (models/personal)."""
    from fedrisk.models.network import NetworkDesign, shared_curves
    from fedrisk.models.personal import personal_models

    curves, spans = shared_curves(NetworkDesign.from_dict(model.design), model.weights, scored.inputs)
    total = sum(attempt.state.load(training.TrainingState).rows.values())
    return personal_models(scored.inputs, scored.label, fit, scored.logit, curves, spans, total_rows=total)


def _figures(own: Any, label: Floats, test: NDArray[np.bool_]) -> Figures:
    """AUC on the hold-out of the shared, the local, the personal and the best model."""
    names = {"local": "bank_alone_auc"}
    figures: Figures = dict.fromkeys(
        ("bank_shared_auc", "bank_alone_auc", "bank_personal_auc", "bank_best_auc")
    )
    if min((label[test] == 0).sum(), (label[test] == 1).sum()) == 0:
        return figures
    for name, values in own.logits.items():
        figures[names.get(name, f"bank_{name}_auc")] = auc(label[test], values[test])
    figures["bank_best_auc"] = auc(label[test], own.logits[own.best][test])
    return figures


def _export(attempt: Attempt, model: TrainedModel, scored: Scored, own: Any) -> None:
    """Write the best model as ONNX, once it gives the same log-odds as ours."""
    from fedrisk.models.network import NetworkDesign, personal_weights
    from fedrisk.models.network_export import check_export, export_network

    design = NetworkDesign.from_dict(model.design)
    about = {"study": attempt.study.name, "digest": attempt.study.digest(), "model": own.best}
    if attempt.research:
        about["notice"] = NO_PRIVACY
    mine = own.models.get(own.best)
    weights = model.weights if mine is None else personal_weights(design, model.weights, mine)
    exported = export_network(design, weights, about=about)
    sample = slice(0, CHECKED_ROWS)
    check_export(exported, design, scored.frame.iloc[sample], own.logits[own.best][sample])
    attempt.node.store.put_result(attempt.state.id, "best.onnx", exported)


def _agreed(attempt: Attempt, rows: int) -> tuple[dict[str, Any], float]:
    """Design and learning rate, by the code of the hub."""
    from fedrisk.recipes.network.design import design_of, tuning

    study, plan = attempt.study, attempt.plan.trained
    design = design_of(study, plan, rows, own_bins(attempt), known_start(attempt))
    return design.to_dict(), tuning(study, plan, rows).rate


def _ready(attempt: Attempt, rows: NDArray[np.int64]) -> None:
    """Encoded inputs and labels (NaN: none) of the training rows, on the bank's disk until the attempt is over."""
    from fedrisk.models.network_inputs import encode

    table = attempt.read()
    if table.label is None:
        raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    bins = own_bins(attempt)
    attempt.state.put("inputs", encode(with_external(attempt, table.frame, table.ids).iloc[rows], bins))
    attempt.state.put("label", table.label[rows])


def _trainee(attempt: Attempt, design: Mapping[str, Any]) -> Trainee:
    from fedrisk.models.network import NetworkDesign, NetworkTrainee

    state = attempt.state
    return NetworkTrainee(NetworkDesign.from_dict(dict(design)), state.get("inputs"), state.get("label"))


SIDE = training.Side(agreed=_agreed, ready=_ready, trainee=_trainee)


class Conclude(OfAttempt):
    """The end of a training. evaluate: whether all trainers are there, so that the hold-out can be evaluated."""

    evaluate: bool


ACTIONS: tuple[Action, ...] = (
    Action(name="edges", serve=edges, form=ROWS, tells={PART: START, "order": ORDER}),
    Action(
        name="prepare",
        serve=prepare,
        tells={"bins": BINS, "training": training_forms.TRAINING},
        answers=training.MASK_KEYS,
    ),
    *(action for action in training.actions(SIDE) if action.name != "prepare"),
    Action(
        name="conclude",
        serve=conclude,
        form=Form(body=Conclude),
        tells={"trained": training_forms.TRAINED},
    ),
)
