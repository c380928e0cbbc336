"""What AUC to expect of a consortium's card, and how to spend, by simulated studies: before anything is released.

Worlds are drawn from what is known (models/beliefs), and in some of them the whole study is simulated
(recipes/scorecard/simulation). In many more only the best additive score is computed, whose AUC says how much there is
to find; the simulated ones say which part of it a study of this size and budget finds. Everything is drawn from a fixed
seed. What an earlier study's evaluation said is held against the same study simulated in the same worlds
(models/anchors). What is expected is of the card itself, on all enterprises of such a world; the noise of a hold-out's
histogram comes on top.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.models.anchors import (
    ELSEWHERE,
    FACTORS,
    LEAST_ERROR,
    Anchor,
    expected_given,
    factors,
    observed,
    weights,
)
from fedrisk.models.beliefs import Beliefs, believe
from fedrisk.models.binning import Bins, default_bin_count
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.worlds import World
from fedrisk.recipes.bins import training_rows
from fedrisk.recipes.scorecard.fitting import Facts, card_bins
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.simulation import simulated_card
from fedrisk.releases.plan import Plan
from fedrisk.study import Study

Floats = NDArray[np.float64]

EPSILONS = (0.5, 1.0, 3.0)
"""Budgets for which an expected AUC is shown, besides the study's own."""

SIMULATED, DRAWN = 4, 40
"""Worlds in which whole studies are simulated, and worlds in all."""

LEAST_SIMULATED = 2
"""Worlds in which each of several earlier studies is simulated at least."""

MOST_ANCHORS = 3
"""Earlier studies that are simulated at most, the newest."""

PULL = 1e-3
"""Pull to a level line, in squared AUC."""

MODEL = 0.01
"""Standard deviation of the AUC by what is wrong with worlds of any kind (benchmarks/planner)."""

REACH = 1.645
"""Standard deviations within which nine of ten studies lie."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The AUC to be expected of a card: mean, and bounds within which nine of ten studies lie."""

    epsilon: float
    auc: float
    low: float
    high: float


class Planner:
    """Expected AUC of a study under any budget and any choices, always in the same worlds.

    rows: on all banks' lists, as they state them. features: of all roles, as they are stated. anchors: what came out of
    earlier studies, oldest first.
    """

    def __init__(
        self,
        study: Study,
        features: Sequence[Feature],
        rows: int | None,
        knowledge: Knowledge = NOTHING,
        *,
        anchors: Sequence[Anchor] = (),
        seed: int = 0,
        simulated: int = SIMULATED,
    ) -> None:
        self.study, self.features, self.rows, self.knowledge = study, tuple(features), rows, knowledge
        self.anchors = [a for a in anchors if a.usable][-MOST_ANCHORS:]
        self.seed, self.simulated = seed, simulated
        self._before: tuple[Floats, float] | None = None
        self._best: dict[tuple[str, ...], Floats] = {}

    @property
    def training(self) -> float | None:
        """Training rows, about."""
        return training_rows(self.study, self.rows)

    def expected(self, study: Study | None = None) -> Expected:
        """Expected AUC; study: one with other choices or another budget, of the same rows."""
        study = study or self.study
        plan = self._plan(study)
        after, noise = self._in_worlds(self._beliefs(study, plan), self._facts(study, plan))
        mean, spread = float(after.mean()), float(after.std())
        if self.anchors:
            auc, error = observed(self.anchors)
            before, own = self._before or self._anchored()
            self._before = before, own
            mean, spread = expected_given(before, after, auc, math.hypot(error, own, LEAST_ERROR))
            spread = math.hypot(spread, ELSEWHERE if any(a.elsewhere for a in self.anchors) else 0.0)
        spread = math.hypot(spread, noise, MODEL)
        return Expected(
            epsilon=study.privacy.epsilon,
            auc=float(np.clip(mean, 0.5, 1.0)),
            low=float(np.clip(mean - REACH * spread, 0.5, 1.0)),
            high=float(np.clip(mean + REACH * spread, 0.5, 1.0)),
        )

    def _anchored(self) -> tuple[Floats, float]:
        """AUC of the earlier studies together in every world, (DRAWN,), and its deviation by their noise."""
        found = [self._earlier(a) for a in self.anchors]
        w = weights(self.anchors)
        together = np.sum([v * auc for v, (auc, _) in zip(w, found, strict=True)], axis=0)
        return together, math.sqrt(sum((v * noise) ** 2 for v, (_, noise) in zip(w, found, strict=True)))

    def _earlier(self, anchor: Anchor) -> tuple[Floats, float]:
        """The same of one of them."""
        if anchor.card is not None or anchor.study is None:
            plan = self._plan(self.study)
            return self._of_card(self._beliefs(self.study, plan), anchor.card), 0.0
        plan = make_plan(anchor.study, anchor.features, known=anchor.knowledge)
        rows = max(round(anchor.rows), 2)
        facts = Facts.of_plain_labels(anchor.study, plan, rows, anchor.knowledge)
        worlds = max(self.simulated // len(self.anchors), LEAST_SIMULATED)
        return self._in_worlds(self._beliefs(anchor.study, plan), facts, worlds)

    def _of_card(self, beliefs: Beliefs, card: Scorecard | None) -> Floats:
        """AUC of a card in every world, by the points of the columns that are there."""
        known = None if card is None else Prior.from_card(card).joint_on(beliefs.bins)
        out = []
        for world in self._worlds(beliefs):
            parts = [
                np.zeros(b.size) if known is None or known[j] is None else known[j]
                for j, b in enumerate(beliefs.bins)
            ]
            out.append(world.auc(world.score([np.asarray(p) for p in parts])))
        return np.array(out)

    def _worlds(self, beliefs: Beliefs) -> Iterator[World]:
        # Where nothing but declarations is known, beliefs draw strengths of their own.
        for k, factor in enumerate(factors(DRAWN, FACTORS if beliefs.told else 0.0)):
            yield beliefs.draw(self.seed, k, float(factor))

    def _in_worlds(
        self, beliefs: Beliefs, facts: Facts, simulated: int | None = None
    ) -> tuple[Floats, float]:
        """AUC of a study's card in every world, (DRAWN,), without its noise, and the deviation by that.

        Simulated in the first worlds; in all others the best score's AUC, times the part of it that simulated cards
        reach, which grows with what there is to find.
        """
        cards = self._cards(beliefs, facts, min(simulated or self.simulated, DRAWN))
        ceiling = np.maximum(self._ceiling(beliefs) - 0.5, 1e-3)
        level, slope, left = _line(ceiling[: len(cards)], (cards - 0.5) / ceiling[: len(cards)])
        return 0.5 + np.clip(level + slope * ceiling, 0.0, 1.0) * ceiling, left * float(ceiling.mean())

    def _cards(self, beliefs: Beliefs, facts: Facts, worlds: int) -> Floats:
        """AUC of the cards of simulated studies in the first worlds, (worlds,)."""
        out = []
        for k, world in zip(range(worlds), self._worlds(beliefs), strict=False):
            card = simulated_card(facts, world, np.random.default_rng([self.seed, k, 1]))
            out.append(world.auc(-world.score(card.points)))
        return np.array(out)

    def _ceiling(self, beliefs: Beliefs) -> Floats:
        """AUC of the best score of every world, (DRAWN,); the number of bins hardly changes it."""
        names = tuple(b.feature.name for b in beliefs.bins)
        if names not in self._best:
            self._best[names] = np.array([best_auc(world) for world in self._worlds(beliefs)])
        return self._best[names]

    def found(self, study: Study, worlds: int | None = None) -> Floats:
        """AUC of the simulated cards, (worlds,), of a study with other choices in the same worlds; all if None."""
        plan = self._plan(study)
        return self._cards(self._beliefs(study, plan), self._facts(study, plan), worlds or self.simulated)

    def bins(self, study: Study) -> list[Bins]:
        """Bins of the columns that a study counts, about."""
        return planned_bins(study, self._plan(study), self.training or 0.0, self.knowledge)

    def told(self, study: Study) -> tuple[int, int]:
        """Counted columns whose curve is known beforehand, and all counted ones."""
        beliefs = self._beliefs(study, self._plan(study))
        return beliefs.told, len(beliefs.columns)

    def by_strength(self, study: Study) -> list[tuple[str, str]]:
        """Counted columns, the weakest first: name and institution. By what is known of their curves, or declared.

        Empty where nothing sets them apart.
        """
        beliefs = self._beliefs(study, self._plan(study))
        strength = beliefs.strength()
        if np.ptp(strength) < 1e-9:
            return []
        order = np.argsort(strength, kind="stable")
        features = [beliefs.columns[j].bins.feature for j in order]
        return [(f.name, f.institution) for f in features]

    def _plan(self, study: Study) -> Plan:
        return make_plan(study, self.features, self.rows, known=self.knowledge)

    def _beliefs(self, study: Study, plan: Plan) -> Beliefs:
        bins = planned_bins(study, plan, self.training or 0.0, self.knowledge)
        expected = study.expected
        known = 1.0 if expected.known is None else expected.known
        return believe(card_bins(bins), self.knowledge, expected.default_rate, known)

    def _facts(self, study: Study, plan: Plan) -> Facts:
        return Facts.of_plain_labels(study, plan, max(round(self.training or 0.0), 2), self.knowledge)


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Level and slope of a line drawn to a level one, as few points need it, and the deviation about it."""
    if len(x) < 3:
        return float(y.mean()), 0.0, float(y.std(ddof=1)) if len(x) > 1 else 0.0
    middle = x - x.mean()
    slope = float(middle @ y) / (float(middle @ middle) + PULL)
    left = y - y.mean() - slope * middle
    return float(y.mean() - slope * x.mean()), slope, math.sqrt(float(left @ left) / (len(x) - 1))


def best_auc(world: World) -> float:
    """AUC of the best additive score of a world whose curves are known: Fisher's discriminant of its exact curves."""
    curves = []
    for code, b in zip(world.codes, world.bins, strict=True):
        ones, zeros = (np.bincount(code, m, b.size) + 1e-5 for m in (world.positive, world.negative))
        curves.append(np.log(ones / zeros))
    design = np.stack([c[code] for c, code in zip(curves, world.codes, strict=True)], 1)
    means = [m @ design for m in (world.positive, world.negative)]
    shares = (world.rate, 1 - world.rate)
    within = sum(
        s * ((design - mean).T * m) @ (design - mean)
        for s, m, mean in zip(shares, (world.positive, world.negative), means, strict=True)
    )
    within += np.diag(1e-3 * np.diag(within) + 1e-9)
    return world.auc(design @ np.linalg.solve(within, means[0] - means[1]))


def planned_bins(study: Study, plan: Plan, training: float, knowledge: Knowledge) -> list[Bins]:
    """Bins of the columns of a plan as they will be, about, before any edges are known.

    Those of the last earlier study of a memory, where it has the column; those of a prior, thinned to the number of
    bins that the study will have; else so many bins, numbered.
    """
    count = study.bins.count or default_bin_count(round(training), plan.mu("counts"), len(plan.features))
    last = {b.feature.name: b for b in (knowledge.memory[-1].bins if knowledge.memory else ())}
    prior = {} if knowledge.prior is None else {c.bins.feature.name: c.bins for c in knowledge.prior.curves}
    out = []
    for f in plan.features:
        if f.name in last and last[f.name].feature.kind == f.kind:
            out.append(replace(last[f.name], unknown=False))
        elif not f.private_edges:
            out.append(Bins.public(f))
        elif f.name in prior and prior[f.name].edges:
            out.append(Bins(f, edges=_thinned(prior[f.name].edges, f.bin_count or count)))
        else:
            out.append(Bins(f, edges=tuple(float(k) for k in range(1, f.bin_count or count))))
    return out


def _thinned(edges: tuple[float, ...], count: int) -> tuple[float, ...]:
    """About count - 1 of the edges, evenly."""
    if len(edges) < count:
        return edges
    picked = np.unique(np.round(np.linspace(0, len(edges) - 1, count + 1)[1:-1]).astype(int))
    return tuple(edges[k] for k in picked)


def at_budget(study: Study, epsilon: float) -> Study:
    """The study with another budget."""
    return study.model_copy(update={"privacy": study.privacy.model_copy(update={"epsilon": epsilon})})


def rising(found: Sequence[Expected]) -> list[Expected]:
    """The same by rising budget, none expected to be worse for more of it: simulation makes such differences.

    Neighbours in the wrong order get their mean (isotonic regression, Ayer et al. 1955); bounds move with it.
    """
    auc = [e.auc for e in found]
    fitted = [
        max(min(float(np.mean(auc[i : j + 1])) for j in range(k, len(auc))) for i in range(k + 1))
        for k in range(len(auc))
    ]
    return [
        replace(e, auc=a, low=max(e.low + a - e.auc, 0.5), high=min(e.high + a - e.auc, 1.0))
        for e, a in zip(found, fitted, strict=True)
    ]


def expected_auc(planner: Planner) -> tuple[Finding, ...]:
    """What ``check`` says of the AUC to be expected, at several budgets, and from what."""
    study = planner.study
    if planner.training is None or math.isinf(study.privacy.epsilon):
        return ()
    budgets = sorted({*EPSILONS, study.privacy.epsilon})
    each = rising([planner.expected(at_budget(study, epsilon)) for epsilon in budgets])
    found = [Finding("auc_expected", vars(e)) for e in each]
    told, of = planner.told(study)
    source = "auc_known" if 2 * told > of else "auc_unknown"
    found.append(Finding(source, {"told": told, "columns": of}))
    if planner.anchors:
        auc, error = observed(planner.anchors)
        found.append(Finding("auc_anchored", {"count": len(planner.anchors), "auc": auc, "error": error}))
    return tuple(found)
