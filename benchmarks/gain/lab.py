"""One setting as a study: what was public before, what was released, and what came out."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from emulation import Emulated, emulate, scores
from settings import Setting

from fedrisk.metrics import auc
from fedrisk.models.champion import bank_alone
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.study_members import BANK

LEAST_CLASS = 10


def outcome(setting: Setting, alone: dict[str, Any]) -> dict[str, Any]:
    """Figures of one setting. alone: the banks' own models, kept for the next budget."""
    data = setting.study
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = emulate(data, holdout=setting.holdout, noise=setting.noise)
        if not alone:
            alone.update(_alone(setting, made))
    plan = make_plan(data.study, data.features)
    own = sum(f.institution == BANK for f in data.features)
    pool = scores(setting.pool, made.first, made.card)[0] if len(setting.pool) else None
    facts = {
        "set": setting.name,
        "epsilon": data.study.privacy.epsilon,
        "mu_counts": plan.mu("counts"),
        "training": len(made.train),
        "holdout": len(made.held),
        "rate": float(data.label.mean()),
        "own": own,
        "external": len(data.features) - own,
        "private": sum(f.private_edges for f in data.features),
        "holders": len(data.study.holders),
        "banks": len(data.study.banks),
        "known": setting.known,
        "branch": made.second.release.name,
    }
    return facts | _gains(setting, made, pool, alone) | released(setting, made)


def _alone(setting: Setting, made: Emulated) -> dict[str, Any]:
    data, pool = setting.study, setting.pool
    columns = [f.column for f in data.features if f.institution == BANK]
    x = data.frames[BANK][columns]
    fitted = {}
    train = np.zeros(len(data), bool)
    train[made.train] = True
    for bank in data.study.banks:
        mine = data.bank == bank
        fit, test = mine & train, mine & ~train
        if min(data.label[fit].sum(), (1 - data.label[fit]).sum()) < LEAST_CLASS:
            continue
        if min(data.label[test].sum(), (1 - data.label[test]).sum()) < 1:
            continue
        model = bank_alone(x[fit], data.label[fit])
        there = pool.bank == bank if len(pool) else np.zeros(0, bool)
        theirs = model.probability(pool.frames[BANK][columns][there]) if there.any() else np.zeros(0)
        fitted[bank] = {
            "test": test,
            "risk": model.probability(x[test]),
            "pool": there,
            "pool_risk": theirs,
            "fit": fit,
        }
    return fitted


def _gains(
    setting: Setting, made: Emulated, pool: np.ndarray | None, alone: dict[str, Any]
) -> dict[str, Any]:
    label, rows = setting.study.label, []
    for own in alone.values():
        test, there = own["test"], own["pool"]
        y = label[test]
        row = [y.sum(), auc(y, -made.total[test]), auc(y, own["risk"]), math.nan, math.nan]
        z = setting.pool.label[there] if len(setting.pool) else np.zeros(0)
        if z.sum() >= 40 and (1 - z).sum() >= 40:
            row[3:] = [auc(z, -pool[there]), auc(z, own["pool_risk"])]
        rows.append(row)
    if not rows:
        return {"banks_with_own": 0}
    table = np.array(rows)
    weight = table[:, 0] / table[:, 0].sum()
    fresh = np.isfinite(table[:, 3])
    out = {
        "banks_with_own": len(rows),
        "own_positives": float(np.mean([label[a["fit"]].sum() for a in alone.values()])),
        "alone_auc": float(weight @ table[:, 2]),
        "card_auc": float(weight @ table[:, 1]),
        "gain": float(weight @ (table[:, 1] - table[:, 2])),
        "fresh_gain": None,
        "pool_auc": None,
    }
    if fresh.all():
        out["fresh_gain"] = float(weight @ (table[:, 3] - table[:, 4]))
        out["fresh_alone"] = float(weight @ table[:, 4])
    if pool is not None and min(setting.pool.label.sum(), (1 - setting.pool.label).sum()) >= 40:
        out["pool_auc"] = auc(setting.pool.label, -pool)
    return out


def released(setting: Setting, made: Emulated) -> dict[str, Any]:
    """The noisy histogram of the hold-out and the card's own figures, with the truth beside them."""
    study, card = setting.study.study, made.card
    bins = study.evaluation.bins
    release = evaluation_release(study, bins)
    deviation = math.sqrt(release.variance(release.blocks[0].name))
    edges = card.score_bins(bins)
    place = card.risk_bins(made.total[made.held], edges)
    label = setting.study.label[made.held]
    rng = np.random.default_rng(setting.noise + 777)
    n1, n0 = (np.bincount(place, w, bins) + deviation * rng.normal(size=bins) for w in (label, 1 - label))
    p = np.clip(made.probability[made.held], 1e-6, 1 - 1e-6)
    train_rate = card.rate
    loss = -(label * np.log(p) + (1 - label) * np.log(1 - p)).mean()
    constant = -(label * np.log(train_rate) + (1 - label) * np.log(1 - train_rate)).mean()
    return {
        "held_auc": auc(label, -made.total[made.held]),
        "log_loss_gain": float(constant - loss),
        "n1": [round(float(v), 2) for v in n1],
        "n0": [round(float(v), 2) for v in n0],
        "bin_probability": [float(v) for v in card.bin_probabilities(edges)],
        "noise": deviation,
        "card_rate": card.rate,
        "card_sd": card.sd,
        "card_gap": card.gap,
        "released_positives": card.rate * len(made.train),
    }
