"""The last exchange of a training: the trained model comes to its institutions.

An office installs the encoder, whose outputs are columns of its table from then on. A bank scores its customers,
keeps scores, the exported network and models of its own, and lets one noisy histogram of the hold-out out.
Whatever is fitted without noise, and every figure of it, stays in the bank's own store; only a research run, which
has no privacy, lets figures out.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.clients import evaluation
from fedrisk.clients.external import with_external
from fedrisk.clients.node import Attempt, Node
from fedrisk.clients.train import plan_of
from fedrisk.errors import DataError, ProtocolError
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins
from fedrisk.models.plan import evaluation_release
from fedrisk.models.trainable import TrainedModel
from fedrisk.models.training import LOGIT_STEPS, logit_edges
from fedrisk.protocol import Payload
from fedrisk.study import NO_PRIVACY

Floats = NDArray[np.float64]
CHECKED_ROWS = 500
"""Customers on which an exported model is compared with ours before it is kept."""


def conclude(node: Node, request: Payload) -> Payload:
    """Trained weights -> installed encoder, or kept scores and the private evaluation histogram."""
    attempt = node.attempt(request)
    attempt.state.still_runs()
    weights = request.array("weights")
    if weights.shape != (_size(attempt),) or weights.dtype != np.float32 or not np.isfinite(weights).all():
        raise ProtocolError(
            "the hub sent weights for another model, or none; nothing was released or installed"
        )
    model = TrainedModel(weights, attempt.state["design"], _about(attempt))
    if attempt.study.recipe == "encoder":
        if attempt.study.encoder is None:
            raise ProtocolError("the study names no encoder; run it anew")
        node.institution.save_encoder(attempt.study.encoder.name, model)
        return Payload()
    return _bank(attempt, model, request)


def _size(attempt: Attempt) -> int:
    """Number of weights of the attempt's model."""
    if attempt.study.recipe == "encoder":
        from fedrisk.models.encoder import EncoderDesign

        return EncoderDesign.from_dict(attempt.state["design"]).size
    from fedrisk.models.network import NetworkDesign

    return NetworkDesign.from_dict(attempt.state["design"]).size


def _about(attempt: Attempt) -> dict[str, object]:
    """Facts of the training as this institution knows them itself."""
    study, research, mu = attempt.study, attempt.research_seed is not None, plan_of(attempt).mu
    return {
        "study": study.name,
        "digest": study.digest(),
        "attempt": attempt.state.id,
        "mu": mu if math.isfinite(mu) else None,
        "delta": study.privacy.delta,
        "research": research,
        "notice": NO_PRIVACY if research else None,
    }


def _bank(attempt: Attempt, model: TrainedModel, request: Payload) -> Payload:
    study = attempt.study
    edges = logit_edges(study)
    release = evaluation_release(study, len(edges) + 1)
    stored = evaluation.begin(attempt, release, request)
    if stored is not None:
        return stored
    scored = _scored(attempt, model)
    held = scored["use"] == HOLD_OUT
    logit = scored["logit"][held]
    return evaluation.conclude(
        attempt,
        release,
        request,
        action="conclude",
        label=scored["label"][held],
        bins=np.searchsorted(edges, logit, side="right"),
        exact=np.rint(logit * LOGIT_STEPS).astype(np.int64),
        keep=lambda: keep(attempt, model, scored),
    )


def _scored(attempt: Attempt, model: TrainedModel) -> dict[str, Any]:
    """The bank's customers with log-odds, labels and use, in the order of ids so that models do not depend on chance."""
    from fedrisk.models.network import NetworkDesign, logits
    from fedrisk.models.network_inputs import encode

    table = attempt.read()
    rows = attempt.state.get(f"rows_{attempt.name}")
    order = attempt.by_id(rows)
    rows = rows[order]
    if table.label is None:
        raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    frame = with_external(attempt, table.frame, table.ids).iloc[rows]
    inputs = encode(frame, own_bins(attempt))
    return {
        "ids": table.ids[rows],
        "frame": frame,
        "inputs": inputs,
        "logit": logits(NetworkDesign.from_dict(model.design), model.weights, inputs),
        "label": table.label[rows],
        "use": attempt.state.get(f"use_{attempt.name}")[order],
    }


def own_bins(attempt: Attempt) -> list[Bins]:
    """Bins of the bank's columns, as they were sent for the training."""
    return [Bins.from_dict(b) for b in attempt.state["own_bins"]]


def keep(attempt: Attempt, model: TrainedModel, scored: Mapping[str, Any]) -> dict[str, float | None]:
    """Write scores, network and own models' scores to the bank's store; hold-out figures of those models.

    ``best`` is the model of least validated loss on the bank's own training rows, shared, local or personal: it is
    exported with its preprocessing, as ``best.onnx``.
    """
    from fedrisk.models.network import NetworkDesign, personal_weights, shared_curves
    from fedrisk.models.network_export import check_export, export_network
    from fedrisk.models.personal import personal_models

    folder = attempt.node.store.results(attempt.state.id)
    logit, label, use = scored["logit"], scored["label"], scored["use"]
    out = pd.DataFrame(
        {
            "id": scored["ids"],
            "probability": expit(logit),
            "split": np.array(["training", "holdout", "unused"])[use],
        }
    )
    if attempt.research_seed is not None:
        out["notice"] = NO_PRIVACY
    fit, test = ((use == side) & np.isin(label, (0.0, 1.0)) for side in (TRAINING, HOLD_OUT))
    design = NetworkDesign.from_dict(model.design)
    curves, spans = shared_curves(design, model.weights, scored["inputs"])
    total = sum(attempt.state["rows"].values())
    # First what the study is for; nothing that goes wrong with the bank's own models takes it away.
    out.to_parquet(folder / "scores.parquet", index=False)
    (folder / "network.npz").write_bytes(model.to_bytes())
    own = personal_models(scored["inputs"], label, fit, logit, curves, spans, total_rows=total)
    both = min((label[test] == 0).sum(), (label[test] == 1).sum()) > 0
    figures: dict[str, float | None] = dict.fromkeys(
        ("bank_shared_auc", "bank_alone_auc", "bank_personal_auc", "bank_best_auc")
    )
    for name, values in own.logits.items():
        if name != "shared":
            out[f"{name}_probability"] = expit(values)
        if both:
            key = "bank_alone_auc" if name == "local" else f"bank_{name}_auc"
            figures[key] = auc(label[test], values[test])
    out["best_probability"] = expit(own.logits[own.best])
    if both:
        figures["bank_best_auc"] = auc(label[test], own.logits[own.best][test])
    out.to_parquet(folder / "scores.parquet", index=False)
    pd.Series({**figures, "best": own.best}).to_json(folder / "own_figures.json")
    about = {"study": attempt.study.name, "digest": attempt.study.digest(), "model": own.best}
    if attempt.research_seed is not None:
        about["notice"] = NO_PRIVACY
    mine = own.models.get(own.best)
    weights = model.weights if mine is None else personal_weights(design, model.weights, mine)
    exported = export_network(design, weights, about=about)
    sample = slice(0, CHECKED_ROWS)
    check_export(exported, design, scored["frame"].iloc[sample], own.logits[own.best][sample])
    (folder / "best.onnx").write_bytes(exported)
    return figures
