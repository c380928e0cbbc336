"""What training releases: how many noisy sums of clipped gradients, with how much noise, at which price.

Full participation: every step uses every training row, so each noisy sum is one Gaussian mechanism of L2 sensitivity
``clip`` and prices add up exactly, mu^2 = sums * mu_step^2 (Dong, Roth & Su 2022). No amplification by sampling is
claimed anywhere. Gradients are summed in fixed point with the rounding inside the bound, noise is discrete (see
secure/fixed_point and privacy/noise).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import contributor_sigma
from fedrisk.releases.budget import ring_sigma
from fedrisk.releases.release import Block, Planned, Release
from fedrisk.secure.fixed_point import BITS, bound
from fedrisk.study import Study

STEP = "step_"
"""Releases of the steps of a training are named so, with the number of the step."""

DEFAULT_STEPS = {"distributed": 25, "silo": 10}
"""Rounds where the study names none: with two exchanges each they stay within sixty exchanges."""

HIGH_RATE = 48.0
"""Learning rate above which steps overshoot: twice the largest that is ever taken by default."""

EXACT_CLIP = 4.0
"""Without noise a small radius saves nothing, and costs what it clips."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Public numbers of a training.

    steps: rounds. sums: noisy sums of gradients by each trainer in all of them. mu: price of all, mu_sum: of one.
    clip: most that one enterprise adds to a sum (L2); radius: the same in ring units. sigma: noise of one trainer in
    one sum, in ring units; 0 is none. distributed: whether the trainers share the noise; otherwise each adds the
    whole noise (silo). variance: of the noise in each number of the total of all trainers (distributed) or of one
    trainer's sum (silo), in plain units. threshold: trainers that must be left for a step to count.
    """

    steps: int
    sums: int
    clip: float
    mu: float
    mu_sum: float
    radius: int
    sigma: float
    variance: float
    distributed: bool
    trainers: tuple[str, ...]
    threshold: int

    def gradient_noise(self, rows: float) -> float:
        """Deviation in one number of the mean gradient of a step over ``rows`` enterprises of all trainers, by clip.

        In silo mode each trainer's steps carry the whole noise, and the average of their changes the mean of it.
        """
        parts = 1 if self.distributed else len(self.trainers)
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
            name=f"{STEP}{step}",
            population="training",
            mu=mu,
            ring="uint64",
            scale_bits=BITS,
            blocks=(block,),
            draws=self.sums // self.steps,
        )


def training_plan(study: Study, mu: float) -> TrainingPlan:
    """The plan of a study's training with a part ``mu`` of its budget."""
    rule = study.training
    steps = rule.steps or DEFAULT_STEPS[rule.mode]
    sums = steps * rule.local_steps
    mu_sum = mu / math.sqrt(sums)
    clip = rule.clip or (EXACT_CLIP if math.isinf(mu) else 1.0)
    radius = bound(clip)
    full = ring_sigma(float(radius), mu_sum)
    trainers, threshold = study.trainers, study.threshold
    if rule.mode == "silo" or not full:
        sigma, total = full, full
    else:
        sigma = contributor_sigma(full, threshold, study.privacy.colluders)
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
        distributed=rule.mode == "distributed",
        trainers=trainers,
        threshold=threshold,
    )


def check_threshold(study: Study) -> None:
    """ConfigError unless the threshold is more than half of the trainers and not more than all."""
    most = len(study.trainers)
    if not most < 2 * study.threshold <= 2 * most:
        raise ConfigError(
            f"training.threshold = {study.threshold} and there are {most} trainers; it must be more than half of "
            "them, so that no two groups can each open a sum, and not more than all"
        )


def planned_training(training: TrainingPlan) -> Planned:
    """All noisy sums of a training as one line of a plan."""
    noise = math.sqrt(training.variance)
    return Planned(name="training", population="training", mu=training.mu, deviation=(noise, noise))


def training_findings(study: Study, training: TrainingPlan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """What can be said before a training: of the noise beside gradients, and of trainers that may be lost."""
    out = []
    known = sum(rows.get(name, 0) for name in study.trainers)
    if known and training.sigma:
        trained = known * study.inclusion_probability * (1 - study.holdout.percent / 100)
        noise = training.gradient_noise(trained)
        out.append(
            Finding("gradient_noise_little" if noise < 0.004 else "gradient_noise_much", {"noise": noise})
        )
    rate = study.training.learning_rate
    if rate is not None and rate > HIGH_RATE and study.training.optimiser != "adam":
        out.append(Finding("learning_rate_high", {"rate": rate, "most": HIGH_RATE}))
    there = len(study.trainers)
    exchanges = 8 + 2 * training.steps if there > 1 else 7 + training.steps
    values = {"trainers": there, "lost": there - study.threshold, "threshold": study.threshold}
    return (*out, Finding("trainers", {**values, "exchanges": exchanges}))
