"""Settings in which a planner's expectation is held against what came out; on none of them was anything chosen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from emulation import Portfolio, _counts, _edges, _points, _second, noisy, scores, split
from numpy.typing import NDArray
from portfolios import ROOT, at_epsilon, from_config

from fedrisk.analysis.card_sums import combine_recount, gram_matrix, label_counts, sizes_of
from fedrisk.metrics import auc_standard_error, from_histogram
from fedrisk.models.anchors import Anchor, anchor_of_card
from fedrisk.models.knowledge import NOTHING, Knowledge, PastStudy
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.scorecard.fitting import Facts, calibrate, card_bins, card_from, second_release
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.remembering import taken_over
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.plan import Plan
from fedrisk.study_members import BANK

ENTERPRISES = 100_000
"""Of a simulated province, of which a consortium knows a part; the others are what its card is measured on."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """data: name of a set, or seed of a province. rows: of the consortium. roles: whose columns; all where empty.

    memory: number of earlier studies. prior: seed of the province whose study is the prior, "+" behind it for its card
    alone. earlier: their epsilon.
    """

    data: str
    epsilon: float
    rows: int
    memory: int = 0
    prior: str = ""
    earlier: float = 1.0
    roles: tuple[str, ...] = ()
    defaults: int | None = None

    @property
    def kind(self) -> str:
        """What is known beforehand."""
        if self.memory:
            return "memory"
        if self.prior:
            return "card as prior" if self.prior.endswith("+") else "prior"
        return "declarations"


SETTINGS = (
    Setting(data="101", epsilon=0.5, rows=30_000, prior="104"),
    Setting(data="101", epsilon=1.0, rows=30_000, prior="104"),
    Setting(data="102", epsilon=3.0, rows=30_000, prior="104"),
    Setting(data="102", epsilon=1.0, rows=10_000, prior="104"),
    Setting(data="103", epsilon=1.0, rows=60_000, prior="104", earlier=0.5),
    Setting(data="103", epsilon=0.3, rows=70_000, prior="104"),
    Setting(data="102", epsilon=1.0, rows=30_000, prior="104+"),
    Setting(data="102", epsilon=1.0, rows=30_000, prior="104", roles=("bank", "tax_office")),
    Setting(data="101", epsilon=0.5, rows=30_000, memory=1, earlier=0.5),
    Setting(data="101", epsilon=1.0, rows=30_000, memory=3),
    Setting(data="102", epsilon=0.5, rows=20_000, memory=5, earlier=0.5),
    Setting(data="103", epsilon=0.3, rows=70_000, memory=2, earlier=0.3),
    Setting(data="103", epsilon=3.0, rows=5_000, memory=3, earlier=3.0),
    Setting(data="102", epsilon=1.0, rows=30_000, memory=2, roles=("bank", "power_utility")),
    Setting(data="default_credit", epsilon=1.0, rows=21_000, memory=1),
    Setting(data="default_credit", epsilon=0.5, rows=10_000, memory=2, earlier=0.5),
    Setting(data="default_credit", epsilon=1.0, rows=20_000, memory=2, defaults=1000),
    Setting(data="101", epsilon=1.0, rows=30_000),
    Setting(data="103", epsilon=1.0, rows=60_000),
    Setting(data="102", epsilon=3.0, rows=10_000),
    Setting(data="103", epsilon=0.3, rows=70_000),
    Setting(data="default_credit", epsilon=1.0, rows=21_000),
    Setting(data="sba", epsilon=1.0, rows=9_000),
)


@cache
def whole(name: str) -> Portfolio:
    """A set, or a simulated province, which is made where it is not there."""
    if not name.isdigit():
        return from_config(ROOT / "configs" / f"{name}.toml")
    folder = Path(FOLDER) / f"province_{name}"
    if not (folder / "study.toml").exists():
        made = ["--enterprises", str(ENTERPRISES), "--seed", name, "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "sim_institutions", *made], check=True, capture_output=True)
    return from_config(folder / "study.toml")


FOLDER = "provinces"
"""Where simulated provinces are kept."""


def consortium(setting: Setting) -> tuple[Portfolio, Portfolio]:
    """The enterprises of the consortium, and all others, on which its card is measured."""
    data = whole(setting.data)
    if setting.roles:
        features = tuple(f for f in data.features if f.institution in setting.roles)
        members = tuple(m for m in data.study.institutions if m.role == "bank" or m.name in setting.roles)
        alignment = data.study.alignment.model_copy(update={"authority": None})
        study = data.study.model_copy(update={"institutions": members, "alignment": alignment})
        known = {name: k for name, k in data.known.items() if name in setting.roles}
        data = replace(data, study=study, features=features, known=known)
    order = np.random.default_rng(7).permutation(len(data))
    if setting.defaults is not None:
        ones = order[data.label[order] == 1]
        order = np.setdiff1d(order, ones[setting.defaults * len(order) // setting.rows :])
        order = np.random.default_rng(8).permutation(order)
    mine, others = data.rows(np.sort(order[: setting.rows])), data.rows(np.sort(order[setting.rows :]))
    expected = mine.study.expected.model_copy(
        update={
            "default_rate": round(float(mine.label.mean()), 3),
            "enterprises": len(mine),
            "known": float(np.mean([k.mean() for k in mine.known.values()])) if mine.known else 1.0,
        }
    )
    study = mine.study.model_copy(update={"expected": expected})
    return at_epsilon(replace(mine, study=study), setting.epsilon), others


def released(
    data: Portfolio, seed: int, known: Knowledge = NOTHING, holdout: int | None = None
) -> tuple[PastStudy, Scorecard, Anchor]:
    """What a study of these rows released, its calibrated card, and what its evaluation said, as `emulate` draws it.

    holdout: seed of the split, the same for all studies of a series.
    """
    rng = np.random.default_rng([seed, 99])
    train, held = split(len(data), seed if holdout is None else holdout, data.study.holdout.percent)
    part = data.rows(train)
    plan = make_plan(data.study, data.features, known=known)
    rows = len(train)
    facts = Facts.of_plain_labels(data.study, plan, rows, known)
    bins = card_bins(find_bins(data.study, plan, _edges(facts, part, rng), rows, plan.mu("counts")))
    codes = part.codes(bins)
    counted = [c for c, b in zip(codes, bins, strict=True) if b.feature.is_column]
    sizes = sizes_of(bins, data.study.roles)
    counts = label_counts(_counts(facts.counts(bins), sizes, counted, part.label, rng), sizes)
    second = second_release(facts, bins, counts, facts.curves(bins, counts))
    sums = _second(facts, second, bins, codes, part.label, rng)
    first = card_from(facts, bins, counts, second, sums)
    card = _calibrated(first, plan, part, codes, rng)
    owner = [b.feature.institution for b in bins]
    if second.chosen is not None:
        counts = combine_recount(counts, sums, bins, second.chosen)
    matrix = None if second.chosen is not None else gram_matrix(sums, second.bases, owner, second.share)
    past = PastStudy(
        study="earlier",
        digest="",
        ended=str(seed),
        bins=tuple(bins),
        counts=counts,
        bases=second.bases,
        second=matrix,
    )
    auc, noise, sampling = _evaluated(data.rows(held), first, card, rng)
    anchor = Anchor(
        auc=auc,
        noise=noise,
        sampling=sampling,
        study=data.study,
        features=tuple(b.feature for b in bins if b.feature.is_column),
        rows=float(counts.positives + counts.negatives),
        knowledge=known,
    )
    return past, card, anchor


def _calibrated(
    card: Scorecard, plan: Plan, part: Portfolio, codes: Sequence[NDArray[np.int64]], rng: np.random.Generator
) -> Scorecard:
    score = _points(part, card, codes).sum(1) + card.base_points
    place = np.searchsorted(card.calibration_bins(CALIBRATION_BINS), score, side="right")
    exact = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (part.label, 1 - part.label)], 1)
    return calibrate(card, noisy(plan.release("calibration"), {BANK: exact}, rng))


def _evaluated(
    held: Portfolio, first: Scorecard, card: Scorecard, rng: np.random.Generator
) -> tuple[float, float, float]:
    """AUC of the hold-out's noisy histogram and its standard errors, by noise and by sampling."""
    release = evaluation_release(held.study, held.study.evaluation.bins)
    place = card.risk_bins(scores(held, first, card)[0], card.score_bins(held.study.evaluation.bins))
    exact = [np.bincount(place, w, held.study.evaluation.bins) for w in (held.label, 1 - held.label)]
    variance = sum(release.variance(block.name) for block in release.blocks)
    n1, n0 = (part + rng.normal(0, np.sqrt(variance), len(part)) for part in exact)
    noise, both = (auc_standard_error(n1, n0, variance, sampling=s) for s in (False, True))
    return from_histogram(n1, n0).auc, noise, float(np.sqrt(max(both**2 - noise**2, 0.0)))


def knowledge(setting: Setting, data: Portfolio) -> tuple[Knowledge, list[Anchor]]:
    """What is known before the study: earlier studies of the same enterprises, or another province's.

    With what their evaluations said.
    """
    if setting.prior:
        other = at_epsilon(whole(setting.prior.rstrip("+")), setting.earlier)
        rows = np.random.default_rng(5).permutation(len(other))[:30_000]
        past, card, anchor = released(other.rows(np.sort(rows)), 1)
        if setting.prior.endswith("+"):
            own = anchor_of_card(card)
            return Knowledge(prior=Prior.from_card(card)), [] if own is None else [own]
        prior = Prior.from_sums(past.bins, past.counts, card=card)
        return Knowledge(prior=prior), [replace(anchor, elsewhere=True)]
    memory: list[PastStudy] = []
    anchors: list[Anchor] = []
    for k in range(setting.memory):
        earlier = at_epsilon(data, setting.earlier)
        past, _, anchor = released(earlier, 50 + k, Knowledge(memory=tuple(memory)), holdout=50)
        memory.append(past)
        anchors.append(anchor)
    return Knowledge(memory=tuple(memory)), anchors


def with_bins(data: Portfolio, known: Knowledge) -> Portfolio:
    """The portfolio with bins that earlier studies have."""
    return replace(data, features=taken_over(data.features, known.memory))


def named(numbers: Sequence[int]) -> list[Setting]:
    """Settings by their numbers; all where there are none."""
    return [SETTINGS[k] for k in numbers] if numbers else list(SETTINGS)
