"""A province for contributions: its records with and without noise, and retraining for every subset of institutions."""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "calibration"), str(HERE.parent.parent)]

import emulation  # noqa: E402
from emulation import Portfolio, split  # noqa: E402
from portfolios import from_config  # noqa: E402

from fedrisk.analysis.card_sums import CardSums, curves_of, label_counts, sizes_of  # noqa: E402
from fedrisk.metrics import auc  # noqa: E402
from fedrisk.models.curves import fit_curves  # noqa: E402
from fedrisk.models.estimator import moment_equations  # noqa: E402
from fedrisk.models.label_counts import with_known  # noqa: E402
from fedrisk.recipes.bins import find_bins  # noqa: E402
from fedrisk.recipes.scorecard.fitting import Facts, card_bins, second_release  # noqa: E402
from fedrisk.recipes.scorecard.plan import make_plan  # noqa: E402
from fedrisk.releases.record import ReleasedSums, ReleaseRecord  # noqa: E402
from fedrisk.releases.release import Release  # noqa: E402
from fedrisk.releases.totals import released_sums, total_shapes  # noqa: E402
from sim_institutions import profiles  # noqa: E402
from sim_institutions.files import write  # noqa: E402

Floats = NDArray[np.float64]

HOLDERS = (
    *profiles.CORE,
    *("court", "registry", "bureau_utilities", "fintech_payments"),
)
"""Of the province `wide`: the demo's holders and four more."""

NEWTON = 7


def province(seed: int, profile: str, enterprises: int) -> Portfolio:
    """All rows of a province; `wide` is the demo's population with more holders."""
    profiles.PROFILES["wide"] = replace(profiles.PROFILES["demo"], holders=HOLDERS)
    folder = Path(tempfile.mkdtemp())
    try:
        write(enterprises, seed, folder, profile, workers=1, research=True)
        return from_config(folder / "study.toml")
    finally:
        shutil.rmtree(folder)


def record(data: Portfolio, *, holdout: int, noise: int | None) -> ReleaseRecord:
    """What a study of these rows releases, emulated; noise: a seed, or None for exact sums (nothing else changes)."""
    if noise is not None:
        return _record(data, holdout, np.random.default_rng(noise))
    with patch.object(emulation, "noisy", _exact):
        return _record(data, holdout, np.random.default_rng(0))


def _exact(release: Release, exact: Mapping[str, Floats], rng: np.random.Generator) -> ReleasedSums:
    out = released_sums(release, {n: np.asarray(exact[n], float) for n in total_shapes(release)})
    return replace(out, blocks=tuple(replace(b, variance=0.0) for b in out.blocks))


def _record(data: Portfolio, holdout: int, rng: np.random.Generator) -> ReleaseRecord:
    study = data.study
    train = split(len(data), holdout, study.holdout.percent)[0]
    part, plan = data.rows(train), make_plan(study, data.features)
    facts = Facts(
        study=study,
        plan=plan,
        training=len(train),
        sampled=min(len(train), plan.sample_rows or len(train)),
        labelled=len(train),
        weighted=False,
        binary=True,
    )
    edges = emulation._edges(facts, part, rng)
    bins = card_bins(find_bins(study, plan, edges, len(train), plan.mu("counts")))
    codes, sizes = part.codes(bins), sizes_of(bins, study.roles)
    counted = [c for c, b in zip(codes, bins, strict=True) if b.feature.is_column]
    first = emulation._counts(facts.counts(bins), sizes, counted, part.label, rng)
    first = replace(first, about={"bins": [b.to_dict() for b in bins]})
    counts = label_counts(first, sizes)
    second = second_release(facts, bins, counts, curves_of(counts, bins))
    again = emulation._second(facts, second, bins, codes, part.label, rng)
    return ReleaseRecord(
        study=study.model_dump(mode="json"),
        study_digest="",
        attempt="emulated",
        research=True,
        releases=(first, replace(again, about=second.about)),
    )


def retrain(data: Portfolio, exact: ReleaseRecord, holdout: int, *, logistic: bool) -> dict[str, Floats]:
    """Explained deviance and AUC less one half on the hold-out, (subsets, 2), by kind of model, for all subsets of roles.

    card: the discriminant of the recipe on exact sums, calibrated on training rows. logistic, where it is asked for: a
    logistic regression on the weights of evidence. Bit i of a subset is the i-th role.
    """
    sums = CardSums.of(exact)
    counts = with_known(sums.counts, sums.bins)
    curves = fit_curves(counts, sums.bins)
    rows = [data.rows(part) for part in split(len(data), holdout, data.study.holdout.percent)]
    codes = [part.codes(sums.bins) for part in rows]
    roles = list(data.study.roles)
    owner = np.array([roles.index(b.feature.institution) for b in sums.bins])
    evidence = [np.stack([curves.curve[j][c] for j, c in enumerate(of)], 1) for of in codes]
    assert sums.second is not None
    equations = moment_equations(sums.bases, counts, curves, sums.second.gram, sums.second.variance)
    column = np.repeat(owner, [b.shape[1] for b in sums.bases])
    shapes = [
        np.concatenate([sums.bases[j][c] for j, c in enumerate(of)], 1).astype(np.float32) for of in codes
    ]
    kinds = ("card", "logistic") if logistic else ("card",)
    out = {kind: np.zeros((1 << len(roles), 2)) for kind in kinds}
    for subset in range(1, 1 << len(roles)):
        at = np.flatnonzero(subset >> column & 1)
        design = equations.design[np.ix_(at, at)]
        weights = np.linalg.solve(design + 1.0 * np.eye(len(at)), equations.moment[at]).astype(np.float32)
        scores = [s[:, at] @ weights for s in shapes]
        out["card"][subset] = _figures(rows, [s[:, None].astype(float) for s in scores], 1.0)
        if logistic:
            own = np.flatnonzero(subset >> owner & 1)
            out["logistic"][subset] = _figures(rows, [e[:, own] for e in evidence], 0.8)
    return out


def _figures(rows: list[Portfolio], columns: list[Floats], start: float) -> tuple[float, float]:
    """Of a logistic regression on the training rows' columns, at the hold-out."""
    y, held = rows[0].label, rows[1].label
    rate = float(y.mean())
    x = np.c_[np.ones(len(y)), columns[0]]
    w = np.r_[math.log(rate / (1 - rate)), np.full(columns[0].shape[1], start)]
    for _ in range(NEWTON):
        p = expit(x @ w)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1])
        w = w + np.linalg.solve(hessian, x.T @ (y - p))
    p = np.clip(expit(w[0] + columns[1] @ w[1:]), 1e-6, 1 - 1e-6)
    loss = -(held * np.log(p) + (1 - held) * np.log(1 - p)).mean()
    constant = -(held * math.log(rate) + (1 - held) * math.log(1 - rate)).mean()
    return 1 - float(loss / constant), auc(held, p) - 0.5
