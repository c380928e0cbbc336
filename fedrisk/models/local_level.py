"""Levels that wander from study to study, read through noise: a local-level state-space model with rare jumps.

For every series (a feature) and every element of it (a bin) the level of study s is the level of study s - 1 and a
step, and what a study released is its level and noise (Kalman 1960; Harvey 1989, chapter 3). Steps have variance
(walk * size)^2 + turnover * sampling: change of what is measured, and enterprises that came and went. Now and then a
step is a jump of variance (JUMP * size)^2 (multi-process models, Harrison & Stevens 1976; West & Harrison 1997, chapter
12), after which the past counts for little. Noise has the stated variance and, where enterprises are drawn anew for
each study, a share `redrawn` of the sampling variance.

Walk, turnover and redrawn are not chosen but averaged: every series has the evidence of its innovations for every
candidate, and how common the candidates are is learnt from all series together (empirical Bayes, Robbins 1956; by the
EM algorithm of Dempster, Laird & Rubin 1977). All of it is arithmetic on released numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

JUMP = 0.7
"""Size of a jump: a bin then has about half or twice the share of before."""

JUMPS = 0.01
"""Chance of a jump of one series from one study to the next."""

LEAST_NOISE = 1e-6
"""Least variance of what a study released: research runs have none."""

ROUNDS = 40
"""Rounds of the EM algorithm."""

PULL = 0.3
"""Weight of what is known of the candidates beforehand, in series for each series: change is usual."""

ALONE = 4.0
"""The same, in series beside these: few series say little about how common a candidate is."""

UNLIKELY = 1e-3
"""Share in every series up to which a candidate is left out."""


@dataclass(frozen=True)
class Candidates:
    """Values of walk, turnover and redrawn, (H,) each, H combinations in all."""

    walk: Floats
    turnover: Floats
    redrawn: Floats

    @classmethod
    def of(
        cls,
        walks: tuple[float, ...],
        turnovers: tuple[float, ...] = (0.0,),
        redrawn: tuple[float, ...] = (0.0,),
    ) -> Candidates:
        """All combinations.

        >>> Candidates.of((0.0, 0.1), redrawn=(0.0, 1.0)).walk.tolist()
        [0.0, 0.0, 0.1, 0.1]
        """
        every = np.array(list(product(walks, turnovers, redrawn)))
        return cls(*every.T)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What studies released. S studies in order, J series of at most B elements.

    value: (S, J, B). noise: their variances, likewise. seen: (S, J), whether a study has a series. valid: (J, B), which
    elements a series has. size: (J, B), by how much elements change relative to a walk of 1. sampling: (J, B), sampling
    variance of the levels. jumps: (S, J), chance of a jump to that study.
    """

    value: Floats
    noise: Floats
    seen: Truths
    valid: Truths
    size: Floats
    sampling: Floats
    jumps: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Levels with all studies, averaged over the candidates.

    mean, variance: of every study's level, (S, J, B). noise: the variance without the sampling that `redrawn` averages
    away, likewise: it and the sampling variance are what the level is off the population's. weights: (S, J, B), of
    every study in the last one's level. jumped: (S, J), chance that a series jumped. surprise: (S, J), p-value of a
    study's innovations, 1 where there are none. posterior: (H, J), shares of the candidates.
    """

    mean: Floats
    variance: Floats
    noise: Floats
    weights: Floats
    jumped: Floats
    surprise: Floats
    posterior: Floats


def levels(observed: Observed, candidates: Candidates, prior: Floats | None = None) -> Levels:
    """Filter and smoother (Rauch, Tung & Striebel 1965) for every candidate, averaged by their evidence.

    prior: (H,), how common the candidates are as far as is known beforehand; None for all alike.
    """
    run = _filtered(observed, candidates)
    share = posterior_shares(run.evidence, prior)
    keep = share.max(1) > UNLIKELY
    run, share = run.of(keep), share[keep] / share[keep].sum(0)
    mean, variance = _smoothed(run)
    each = share[:, None, :, None]
    middle = (each * mean).sum(0)
    between = (each * (mean - middle) ** 2).sum(0)
    fresh = candidates.redrawn[keep, None, None, None] * observed.sampling
    # What an observation weighs in the last level: its gain, as far as later observations leave it.
    left = np.cumprod(1 - run.gain[:, :0:-1], 1)[:, ::-1]
    weights = run.gain * np.concatenate([left, np.ones_like(run.gain[:, :1])], 1)
    fit = (share[:, None] * run.fit).sum(0)
    posterior = np.zeros((len(keep), share.shape[1]))
    posterior[keep] = share
    return Levels(
        mean=middle,
        variance=(each * variance).sum(0) + between,
        noise=(each * np.maximum(variance - fresh, 0.0)).sum(0) + between,
        weights=(each * weights).sum(0),
        jumped=(share[:, None] * run.jumped).sum(0),
        surprise=np.where(run.tested, chdtrc(np.maximum(observed.valid.sum(1), 1), fit), 1.0),
        posterior=posterior,
    )


def posterior_shares(evidence: Floats, prior: Floats | None = None) -> Floats:
    """Share of every candidate in every series, (H, J), from log evidences of that shape.

    How common a candidate is among the series is found from all of them by EM, with `prior` for as much as PULL further
    series of each and ALONE more.
    """
    likely = np.exp(evidence - evidence.max(0))
    number = evidence.shape[1]
    first = np.full(len(evidence), 1 / len(evidence)) if prior is None else prior
    weight = PULL * number + ALONE
    common = first
    for _ in range(ROUNDS):
        share = likely * common[:, None]
        share /= share.sum(0)
        common = (share.sum(1) + weight * first) / (number + weight)
    share = likely * common[:, None]
    out: Floats = share / share.sum(0)
    return out


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One pass forward: (H, S, J, B) each; evidence (H, J); jumped and fit (H, S, J); tested (S, J)."""

    mean: Floats
    variance: Floats
    ahead: Floats
    gain: Floats
    evidence: Floats
    jumped: Floats
    fit: Floats
    tested: Truths

    def of(self, keep: Truths) -> _Run:
        """The candidates to keep."""
        return _Run(tested=self.tested, **{k: v[keep] for k, v in vars(self).items() if k != "tested"})


def _filtered(o: Observed, c: Candidates) -> _Run:
    studies, series, elements = o.value.shape
    shape = (len(c.walk), studies, series, elements)
    mean, variance, ahead, gain = (np.zeros(shape) for _ in range(4))
    evidence, (jumped, fit) = np.zeros((shape[0], series)), np.zeros((2, *shape[:3]))
    step = (c.walk[:, None, None] * o.size) ** 2 + c.turnover[:, None, None] * o.sampling
    noise = np.maximum(o.noise, LEAST_NOISE) + c.redrawn[:, None, None, None] * o.sampling
    jumps = np.full(o.seen.shape, JUMPS) if o.jumps is None else o.jumps
    begun = np.cumsum(o.seen, 0) - o.seen > 0
    state, spread = np.zeros((2, shape[0], series, elements))
    for s in range(studies):
        new = _Step(o, s, state, spread + step, noise[:, s], jumps[s])
        live, first = (begun & o.seen)[s], (o.seen & ~begun)[s]
        evidence += np.where(live, new.evidence, 0.0)
        jumped[:, s], fit[:, s] = np.where(live, new.jumped, 0.0), np.where(live, new.fit, 0.0)
        here = live[:, None]
        gain[:, s] = np.where(here, new.gain, first[:, None].astype(float))
        ahead[:, s] = np.where(here, new.ahead, spread + step)
        state = np.where(first[:, None], o.value[s], state + np.where(here, new.gain * new.error, 0.0))
        spread = np.where(first[:, None], noise[:, s], np.where(here, new.spread, spread + step))
        mean[:, s], variance[:, s] = state, spread
    return _Run(
        mean=mean,
        variance=variance,
        ahead=ahead,
        gain=gain,
        evidence=evidence,
        jumped=jumped,
        fit=fit,
        tested=begun & o.seen,
    )


class _Step:
    """A study's observation after what was expected of it: gain, new variance, evidence; usual step or jump."""

    def __init__(
        self, o: Observed, s: int, state: Floats, usual: Floats, noise: Floats, jumps: Floats
    ) -> None:
        self.error = o.value[s] - state
        far = usual + (JUMP * o.size) ** 2
        likely = [self._likely(o.valid, v + noise) for v in (usual, far)]
        no, yes = likely[0] + np.log1p(-jumps), likely[1] + np.log(jumps)
        self.evidence = np.logaddexp(no, yes)
        self.jumped = np.exp(yes - self.evidence)
        self.fit = np.where(o.valid, self.error**2 / (usual + noise), 0.0).sum(-1)
        p, small, large = self.jumped[..., None], usual / (usual + noise), far / (far + noise)
        self.gain = (1 - p) * small + p * large
        # Which of the two it was is not known, which is a part of the variance.
        self.spread = self.gain * noise + p * (1 - p) * ((large - small) * self.error) ** 2
        # The variance ahead at which a usual step would have had this gain: what smoothing back needs.
        self.ahead = self.gain * noise / np.maximum(1 - self.gain, 1e-12)

    def _likely(self, valid: Truths, variance: Floats) -> Floats:
        out: Floats = -0.5 * np.where(valid, self.error**2 / variance + np.log(variance), 0.0).sum(-1)
        return out


def _smoothed(run: _Run) -> tuple[Floats, Floats]:
    mean, variance = run.mean.copy(), run.variance.copy()
    for s in range(mean.shape[1] - 2, -1, -1):
        back = run.variance[:, s] / np.maximum(run.ahead[:, s + 1], 1e-300)
        back = np.minimum(back, 1.0)
        mean[:, s] += back * (mean[:, s + 1] - run.mean[:, s])
        variance[:, s] += back**2 * (variance[:, s + 1] - run.ahead[:, s + 1])
    return mean, np.maximum(variance, 0.0)
