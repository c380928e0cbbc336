"""What AUC to expect of a consortium's card, and how to spend, by simulated studies: before anything is released.

Worlds are drawn from what is known (models/beliefs), and in some of them the whole study is simulated
(recipes/scorecard/simulation). In many more only the best additive score is computed, whose AUC says how much there is
to find; the simulated ones say which part of it a study of this size and budget finds. Everything is drawn from a fixed
seed. What is expected is of the card itself, on all enterprises of such a world; the noise of a hold-out's histogram
comes on top.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.models.beliefs import Beliefs, believe
from fedrisk.models.binning import Bins, default_bin_count
from fedrisk.models.knowledge import NOTHING, Knowledge
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

SIMULATED, DRAWN = 2, 40
"""Worlds in which whole studies are simulated, and worlds in all."""

MISSED = 0.044
"""Root mean square by which the expected AUC missed where most curves were known beforehand (benchmarks/planner)."""

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

    rows: on all banks' lists, as they state them. features: of all roles, as they are stated.
    """

    def __init__(
        self,
        study: Study,
        features: Sequence[Feature],
        rows: int | None,
        knowledge: Knowledge = NOTHING,
        *,
        seed: int = 0,
        simulated: int = SIMULATED,
    ) -> None:
        self.study, self.features, self.rows, self.knowledge = study, tuple(features), rows, knowledge
        self.seed, self.simulated = seed, simulated
        self._ceilings: dict[tuple[str, ...], list[float]] = {}

    @property
    def training(self) -> float | None:
        """Training rows, about."""
        return training_rows(self.study, self.rows)

    def expected(self, study: Study | None = None) -> Expected:
        """Expected AUC; study: one with other choices or another budget, of the same rows."""
        study = study or self.study
        plan = self._plan(study)
        found, ceilings = self._found(study, plan), self._ceiling(plan)
        parts = np.array([(auc - 0.5) / max(best - 0.5, 1e-3) for auc, best in found])
        part, best = float(parts.mean()), np.array(ceilings) - 0.5
        spread = math.hypot(part * float(best.std()), float(best.mean()) * _deviation(parts))
        told, columns = self.told(study)
        spread = math.hypot(spread, MISSED if 2 * told > columns else 0.0)
        mean = 0.5 + part * float(best.mean())
        return Expected(
            epsilon=study.privacy.epsilon,
            auc=mean,
            low=max(mean - REACH * spread, 0.5),
            high=min(mean + REACH * spread, 1.0),
        )

    def _found(self, study: Study, plan: Plan) -> list[tuple[float, float]]:
        """AUC of the simulated cards, with that of the best score of the same worlds."""
        beliefs = self._beliefs(study, plan)
        facts = self._facts(study, plan)
        out = []
        for k in range(self.simulated):
            world = beliefs.draw(self.seed, k)
            card = simulated_card(facts, world, np.random.default_rng([self.seed, k, 1]))
            out.append((world.auc(-world.score(card.points)), best_auc(world)))
        return out

    def found(self, study: Study) -> Floats:
        """AUC of the simulated cards, (simulated,), of a study with other choices in the same worlds."""
        plan = self._plan(study)
        return np.array([auc for auc, _ in self._found(study, plan)])

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

    def _ceiling(self, plan: Plan) -> list[float]:
        names = tuple(f.name for f in plan.features)
        if names not in self._ceilings:
            beliefs = self._beliefs(self.study, plan)
            worlds = (beliefs.draw(self.seed, k) for k in range(DRAWN))
            self._ceilings[names] = [best_auc(world) for world in worlds]
        return self._ceilings[names]

    def _beliefs(self, study: Study, plan: Plan) -> Beliefs:
        bins = planned_bins(study, plan, self.training or 0.0, self.knowledge)
        expected = study.expected
        known = 1.0 if expected.known is None else expected.known
        return believe(card_bins(bins), self.knowledge, expected.default_rate, known)

    def _facts(self, study: Study, plan: Plan) -> Facts:
        rows = max(round(self.training or 0.0), 2)
        return Facts(
            study=study,
            plan=plan,
            training=rows,
            sampled=min(rows, plan.sample_rows or rows),
            labelled=rows,
            weighted=False,
            binary=True,
            known=self.knowledge,
        )


def _deviation(parts: Floats) -> float:
    return float(parts.std(ddof=1)) if len(parts) > 1 else 0.0


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
    return (*found, Finding(source, {"told": told, "columns": of}))
