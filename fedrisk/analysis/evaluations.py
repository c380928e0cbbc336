"""The AUC of several studies' evaluations together: what each noisy histogram of a hold-out says, averaged.

A series of studies holds the same enterprises out in all of them, so that noise averages out and their sampling does
not: studies are weighed by the noise of their AUC alone, and the sampling error is taken as common to all. The mean is
of the studies' AUC, each of its own card. Everything follows from released numbers, at no further privacy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.metrics import auc_standard_error, from_histogram
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]

LEAST_ERROR = 1e-6
"""Least error by noise, so that exact histograms of research runs have a weight."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One study's hold-out. auc: of its card. noise, sampling: standard errors by either. positives: noisy defaults."""

    study: str
    auc: float
    noise: float
    sampling: float
    positives: float

    @property
    def error(self) -> float:
        """Standard error by both."""
        return math.hypot(self.noise, self.sampling)


def evaluation_of(record: ReleaseRecord) -> Evaluation | None:
    """What a study's record says of its hold-out; None where it was not evaluated, or nothing but noise was left."""
    released = record.find("evaluation")
    if released is None:
        return None
    # Histograms with noise, of either recipe, stand in order of rising risk; exact ones of research runs do not.
    if not {"score_edges", "logit_edges"} & set(released.about):
        return None
    total = np.sum([block.total for block in released.blocks], axis=0)
    variance = sum(float(block.variance or 0.0) for block in released.blocks)
    n1, n0 = total.T
    figures = from_histogram(n1, n0)
    noise = auc_standard_error(n1, n0, variance, sampling=False)
    both = auc_standard_error(n1, n0, variance)
    if not math.isfinite(figures.auc) or not math.isfinite(both):
        return None
    return Evaluation(
        study=str(record.study["name"]),
        auc=figures.auc,
        noise=max(noise, LEAST_ERROR),
        sampling=math.sqrt(max(both**2 - noise**2, 0.0)),
        positives=figures.positives,
    )


def accumulated(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """All of them as one; None where there is none.

    >>> one = Evaluation(study="a", auc=0.7, noise=0.04, sampling=0.01, positives=100)
    >>> both = accumulated([one, Evaluation(study="b", auc=0.8, noise=0.04, sampling=0.01, positives=100)])
    >>> round(both.auc, 6), round(both.noise, 4), both.sampling
    (0.75, 0.0283, 0.01)
    """
    if not evaluations:
        return None
    precision = np.array([1 / e.noise**2 for e in evaluations])
    weight = precision / precision.sum()
    return Evaluation(
        study=", ".join(e.study for e in evaluations),
        auc=float(weight @ [e.auc for e in evaluations]),
        noise=1 / math.sqrt(float(precision.sum())),
        sampling=float(weight @ [e.sampling for e in evaluations]),
        positives=float(weight @ [e.positives for e in evaluations]),
    )
