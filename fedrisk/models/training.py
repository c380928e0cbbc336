"""What training releases: how many noisy sums of clipped gradients, with how much noise, at which price.

Full participation: every step uses every training row, so each noisy sum is one Gaussian mechanism of L2
sensitivity ``clip`` and prices add up exactly, mu^2 = sums * mu_step^2 (Dong, Roth & Su 2022). No
amplification by sampling is claimed anywhere. Gradients are summed in fixed point with the rounding inside
the bound, noise is discrete (see secure/fixed_point and privacy/noise).

Hub and trainers derive the same plan from the study alone, so that each trainer knows its own noise and
trusts nobody for it.
"""

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

from fedrisk.errors import ConfigError
from fedrisk.models.plan import SPLIT, Block, Release, ring_sigma, total_mu
from fedrisk.privacy.accounting import contributor_sigma
from fedrisk.secure.fixed_point import BITS, bound
from fedrisk.study import Study, Training

DEFAULT_STEPS = {"shared_noise": 25, "own_noise": 10}
"""Rounds where the study names none: with two exchanges each they stay within sixty exchanges."""

EXACT_CLIP = 4.0
"""Without noise a small radius saves nothing, and costs what it clips."""

LOGIT_STEPS = 100
"""Steps of a unit of log-odds in which research runs tell exact counts."""

REACH = 3.0
"""How far the evaluation's score bins reach on either side of the expected log-odds."""


def require_torch() -> None:
    """ConfigError where PyTorch or Opacus is not installed, which only training needs."""
    lacking = [name for name in ("torch", "opacus", "onnx") if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"networks and encoders need {', '.join(lacking)}, which is not installed here; pip install fedrisk[neural]"
        )


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Public numbers of a training.

    steps: rounds. sums: noisy sums of gradients by each trainer in all of them. mu: price of all, mu_sum: of one.
    clip: most that one enterprise adds to a sum (L2); radius: the same in ring units. sigma: noise of one trainer in one sum, in
    ring units; 0 is none. variance: of the noise in each number of the total of all trainers, in plain units
    (shared noise), or in one trainer's own sum (own noise). shared: whether the
    trainers share the noise.
    """

    steps: int
    sums: int
    clip: float
    mu: float
    mu_sum: float
    radius: int
    sigma: float
    variance: float
    shared: bool
    trainers: tuple[str, ...]
    fewest: int

    def gradient_noise(self, rows: float) -> float:
        """Deviation in one number of the mean gradient of a step over ``rows`` enterprises of all trainers, by clip.

        With own noise each trainer's steps carry its own, and the average of their changes the mean of it.
        """
        parts = 1 if self.shared else len(self.trainers)
        return math.sqrt(self.variance * parts) / (rows * self.clip)

    def release(self, step: int, size: int) -> Release:
        """The release of one round: a vector of ``size`` numbers from all trainers."""
        mu = self.mu_sum * math.sqrt(self.sums / self.steps)
        block = Block(
            name="update",
            left=self.trainers[0],
            right=self.trainers[0],
            shape=(size,),
            sigma=dict.fromkeys(self.trainers, self.sigma),
        )
        return Release(
            name=f"step_{step}",
            population="training",
            mu=mu,
            ring="uint64",
            scale_bits=BITS,
            blocks=(block,),
        )


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How released sums move the model; public, and free of charge.

    rate: learning rate of a step. optimiser: of the hub. momentum: of ``momentum`` and ``adam``. averaged: share of
    the last models whose mean is the trained one, which takes out noise of single steps (Polyak & Juditsky 1992).
    adam_step: most that ``adam`` moves a weight in a step, about; to it a proposal is only a direction.
    """

    rate: float
    optimiser: Literal["sgd", "momentum", "adam"]
    momentum: float
    averaged: float
    adam_step: float = 0.1

    def chosen(self, rule: Training) -> "Tuning":
        """With what the study itself chose."""
        return replace(
            self,
            rate=rule.learning_rate or self.rate,
            optimiser=rule.optimiser or self.optimiser,
        )


def training_plan(study: Study, *, edges: bool) -> TrainingPlan:
    """The plan of a study's training; ``edges``: a part of the budget went to histograms for bins before."""
    rule = study.training
    steps = rule.steps or DEFAULT_STEPS[rule.mode]
    sums = steps * rule.local_steps
    mu = total_mu(study) * math.sqrt(1 - SPLIT["edges"] if edges else 1.0)
    mu_sum = mu / math.sqrt(sums)
    clip = rule.clip or (EXACT_CLIP if math.isinf(mu) else 1.0)
    radius = bound(clip)
    full = ring_sigma(float(radius), mu_sum)
    trainers, fewest = study.trainers, study.fewest
    if rule.mode == "own_noise" or not full:
        sigma, total = full, full
    else:
        sigma = contributor_sigma(full, fewest, study.privacy.tolerated)
        total = sigma * math.sqrt(len(trainers))
    return TrainingPlan(
        steps=steps,
        sums=sums,
        clip=clip,
        mu=mu,
        mu_sum=mu_sum,
        radius=radius,
        sigma=sigma,
        variance=(total / 2.0**BITS) ** 2,
        shared=rule.mode == "shared_noise",
        trainers=trainers,
        fewest=fewest,
    )


def logit_edges(study: Study) -> list[float]:
    """Inner edges of the score bins of the evaluation, in log-odds of default: even, around the expected rate.

    Fixed from public numbers, so that the histogram is one release of sensitivity 1. Without
    ``expected.default_rate`` they are centred on 10 %.
    """
    rate = study.expected.default_rate or 0.1
    centre = math.log(rate / (1 - rate))
    count = study.evaluation.bins - 1
    return [centre + REACH * (2 * k / (count - 1) - 1) for k in range(count)]
