"""A scorecard study in floating point: the recipe's own plan, noise and arithmetic on pooled rows, without messages.

It takes a second where a study of real institutions takes many, so that hundreds of settings can be tried. What is
released has the very distribution of the real release up to rounding: exact sums plus normal noise of the variance
that the release itself states. Rows are split by a seed instead of by the hub's keyed hash. No privacy: for research.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from fedrisk.analysis.card_sums import columns_of, label_counts, own_pairs, sizes_of
from fedrisk.data.features import Feature
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins, grid_histogram
from fedrisk.models.calibration import logistic_fit
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.shape_rows import shape_rows
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.scorecard import matrices
from fedrisk.recipes.scorecard.fitting import Facts, Second, calibrate, card_bins, card_from, second_release
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.releases.totals import released_sums, total_shapes
from fedrisk.study import Study
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """The enterprises of all banks with every role's columns, aligned.

    frames: by role, (n, columns); a row of an enterprise that the holder does not know counts for nothing. known: by
    holder, (n,). label: (n,) of 0 and 1. bank: name of the bank of each row, (n,).
    """

    study: Study
    features: tuple[Feature, ...]
    frames: Mapping[str, pd.DataFrame]
    known: Mapping[str, NDArray[np.bool_]]
    label: Floats
    bank: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, places: NDArray[np.int64]) -> Portfolio:
        """The portfolio of some rows only."""
        return Portfolio(
            study=self.study,
            features=self.features,
            frames={r: f.iloc[places].reset_index(drop=True) for r, f in self.frames.items()},
            known={r: k[places] for r, k in self.known.items()},
            label=self.label[places],
            bank=self.bank[places],
        )

    def codes(self, bins: Sequence[Bins]) -> list[NDArray[np.int64]]:
        """Bin codes of all features, one (n,) each."""
        out = []
        for role in self.study.roles:
            mine = [b for b in bins if b.feature.institution == role]
            if not mine:
                continue
            table = matrices.table_codes(self.frames[role], mine).astype(np.int64)
            held = self.known.get(role)
            place = np.arange(len(self)) if held is None else np.where(held, np.arange(len(self)), len(self))
            out += list(table[place].T)
        return out


@dataclass(frozen=True, kw_only=True)
class Emulated:
    """What an emulated study leaves.

    card: the calibrated one. first: the one by which holders give points. total, external: scores of all rows, and the
    holders' part of them, (n,) each. counts: of the columns, and again: what the second release gave.
    """

    card: Scorecard
    first: Scorecard
    second: Second
    counts: LabelCounts
    again: ReleasedSums
    bins: list[Bins]
    train: NDArray[np.int64]
    held: NDArray[np.int64]
    total: Floats
    external: Floats

    @property
    def probability(self) -> Floats:
        """Probability of default of all rows, (n,)."""
        return self.card.probability(self.total)


def split(n: int, seed: int, percent: float = 30.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training rows and hold-out."""
    order = np.random.default_rng(10_000 + seed).permutation(n)
    cut = round(n * percent / 100)
    return np.sort(order[cut:]), np.sort(order[:cut])


def emulate(data: Portfolio, *, holdout: int, noise: int, known: Knowledge = NOTHING) -> Emulated:
    """One study: hold-out by one seed, noise by another. known: what is known beforehand."""
    rng = np.random.default_rng(noise)
    study = data.study
    train, held = split(len(data), holdout, study.holdout.percent)
    part = data.rows(train)
    plan = make_plan(study, data.features)
    facts = Facts.of_plain_labels(study, plan, len(train), known)
    edges = _edges(facts, part, rng)
    bins = card_bins(find_bins(study, plan, edges, len(train), plan.mu("counts")))
    codes = part.codes(bins)
    counted = [c for c, b in zip(codes, bins, strict=True) if b.feature.is_column]
    sizes = sizes_of(bins, study.roles)
    counts = label_counts(_counts(facts.counts(bins), sizes, counted, part.label, rng), sizes)
    second = second_release(facts, bins, counts, facts.curves(bins, counts))
    again = _second(facts, second, bins, codes, part.label, rng)
    card = card_from(facts, bins, counts, second, again)
    training = _points(part, card, codes).sum(1) + card.base_points
    place = np.searchsorted(card.calibration_bins(CALIBRATION_BINS), training, side="right")
    exact = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (part.label, 1 - part.label)], 1)
    calibrated = calibrate(card, noisy(plan.release("calibration"), {BANK: exact}, rng))
    total, external = scores(data, card, calibrated)
    return Emulated(
        card=calibrated,
        first=card,
        second=second,
        counts=counts,
        again=again,
        bins=bins,
        train=train,
        held=held,
        total=total,
        external=external,
    )


def scores(data: Portfolio, first: Scorecard, card: Scorecard) -> tuple[Floats, Floats]:
    """Scores of all rows by the calibrated card, and the holders' part of them, (n,) each.

    Holders give points by the first card; a bank brings their sum to the scale of the calibrated one.
    """
    codes = data.codes(card.bins)
    external = card.scaled_points(card.calibration, _points(data, first, codes)[:, 1]).astype(float)
    return card.base_points + _points(data, card, codes)[:, 0] + external, external


def _points(data: Portfolio, card: Scorecard, codes: Sequence[NDArray[np.int64]]) -> Floats:
    """Points of all rows, (n, 2): the bank's, and those of all holders."""
    out = np.zeros((len(data), 2))
    for b, points, c in zip(card.bins, card.points, codes, strict=True):
        out[:, int(b.feature.institution != BANK)] += np.asarray(points)[c]
    return out


def noisy(release: Release, exact: Mapping[str, Floats], rng: np.random.Generator) -> ReleasedSums:
    """Totals of a release: exact sums and noise of the stated variance."""
    totals = {}
    for name in total_shapes(release):
        value = np.asarray(exact[name], float)
        totals[name] = value + rng.normal(0, 1, value.shape) * np.sqrt(release.variance(name))
    return released_sums(release, totals)


def _edges(facts: Facts, part: Portfolio, rng: np.random.Generator) -> ReleasedSums | None:
    planned = facts.plan.find("edges")
    if planned is None or planned.release is None:
        return None
    exact = {}
    for block in planned.release.blocks:
        frame, known = part.frames[block.name], part.known.get(block.name)
        frame = frame if known is None else frame[known]
        mine = [f for f in facts.plan.features if f.institution == block.name and f.private_edges]
        exact[block.name] = np.stack([grid_histogram(frame[f.column], f, block.shape[1]) for f in mine])
    return noisy(planned.release, exact, rng)


def _counts(
    release: Release,
    sizes: Mapping[str, Sequence[int]],
    codes: Sequence[NDArray[np.int64]],
    label: Floats,
    rng: np.random.Generator,
) -> ReleasedSums:
    """Label counts; sizes: by role, of the features that codes are of, in order."""
    exact, at = {}, 0
    for role, widths in sizes.items():
        columns = []
        for width in widths:
            columns.append(np.stack([np.bincount(codes[at], w, width) for w in (label, 1 - label)], 1))
            at += 1
        if columns:
            exact[role] = np.concatenate(columns)
    return noisy(release, exact, rng)


def _second(
    facts: Facts,
    second: Second,
    bins: Sequence[Bins],
    codes: Sequence[NDArray[np.int64]],
    label: Floats,
    rng: np.random.Generator,
) -> ReleasedSums:
    owner = [b.feature.institution for b in bins]
    if second.chosen is not None:
        codes = [c for c, b in zip(codes, bins, strict=True) if b.feature.is_column]
        bins = columns_of(bins)
        owner = [b.feature.institution for b in bins]
        picked = [owner.index(r) + j for r, own in second.chosen.items() for j in own]
        sizes = {
            r: [bins[owner.index(r) + j].size for j in own] if own else [] for r, own in second.chosen.items()
        }
        return _counts(second.release, sizes, [codes[j] for j in picked], label, rng)
    rows = np.sort(rng.permutation(facts.training)[: facts.sampled])
    shapes, owners = {}, {}
    for role in facts.study.roles:
        places = [j for j, o in enumerate(owner) if o == role]
        if not places:
            continue
        bits = second.release.scale_bits // 2
        units = shape_rows(
            [codes[j][rows] for j in places], [second.bases[j] for j in places], second.radii[role], bits
        )
        shapes[role] = units / 2.0**bits
        owners[role] = [j for j in places for _ in range(second.bases[j].shape[1])]
    exact = {}
    for block in second.release.blocks:
        full = shapes[block.left].T @ shapes[block.right]
        if block.left == block.right:
            i, j = own_pairs(owners[block.left])
            full = full[list(i), list(j)]
        exact[block.name] = full
    return noisy(second.release, exact, rng)


def figures(label: Floats, probability: Floats) -> dict[str, float]:
    """AUC and calibration on rows: slope and intercept of the logistic recalibration (Cox 1958), losses, mean ratio."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    stated = logit(p)
    at_slope, slope = logistic_fit(float(label.mean()), stated[label == 1], stated[label == 0])
    rate = float(label.mean())
    return {
        "auc": auc(label, p),
        "slope": slope,
        "intercept": at_slope,
        "ratio": float(p.mean() / rate),
        "log_loss": float(-(label * np.log(p) + (1 - label) * np.log(1 - p)).mean()),
        "constant_log_loss": float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))),
        "brier": float(((label - p) ** 2).mean()),
        "constant_brier": rate * (1 - rate),
    }
