"""The noise of the real outlet, drawn thousands of times: whether a record is there, guessed by the best statistic.

For the change of a record that moves a release most (audit_exact), the best statistic is linear: the released numbers
weighted by the change over the variance of their noise (Neyman & Pearson 1933). Its noise is drawn while the handlers run,
by the outlet's own sampler for the very blocks of the release, from those institutions alone whose noise is left against
all others. A fixed test then says "there" or "not there", and its rates of error bound mu from below (tradeoff.py).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.audit_exact import EVERYWHERE, NoiseLeft, Spent, changes, kind_of, moves, spent_between, takes_part
from fedrisk.attacks.audit_trial import Trial, Tried
from fedrisk.attacks.exact_parts import Draw, Place
from fedrisk.attacks.tradeoff import Bounds, mu_of_rates
from fedrisk.releases.release import Block

MOST_NUMBERS = 1 << 21
"""Numbers that are drawn at once."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A change of a record, guessed by samples. kind: of the release; by composition: of all of a population."""

    kind: str
    party: str
    relation: str
    bounds: Bounds
    claimed: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class _Worst:
    """A change between two runs, with what it spends."""

    spent: Spent
    one: Tried
    other: Tried


def sampled(trial: Trial, runs: int, alpha: float) -> list[Sampled]:
    """For each release of a setting that was audited exactly, the same by samples of its noise.

    runs: with the record, and as many without. alpha: chance that a bound is wrong, of each.
    """
    worst = _worst_changes(trial)
    noise = NoiseLeft(trial)
    weights = {kind: _weights(trial, noise, found, kind) for kind, found in worst.items()}
    sums: dict[str, NDArray[np.float64]] = {kind: np.zeros(2 * runs) for kind in worst}

    def draw(place: Place, block: Block, sampler: Draw) -> None:
        name, release, _, k = place
        for kind, by_place in weights.items():
            weight = by_place.get((release, block.name, k))
            honest = noise.honest(worst[kind].spent.party or trial.host, trial.base.releases[release], block)
            if weight is not None and name in honest:
                sums[kind] += _drawn(block, sampler, weight, 2 * runs)

    if worst:
        trial.again(next(iter(worst.values())).other.rows, draw)
    return [_guessed(kind, worst[kind].spent, sums[kind], runs, alpha) for kind in worst]


def _drawn(block: Block, sampler: Draw, weight: NDArray[np.float64], runs: int) -> NDArray[np.float64]:
    """(runs,) weighted noise of one institution for one block."""
    step = max(1, MOST_NUMBERS // weight.size)
    parts = [
        np.asarray(sampler(block, min(step, runs - start)), np.float64).reshape(-1, weight.size) @ weight
        for start in range(0, runs, step)
    ]
    return np.concatenate(parts)


def _guessed(kind: str, spent: Spent, noise: NDArray[np.float64], runs: int, alpha: float) -> Sampled:
    """Rates of the test in the middle between "there" and "not there"."""
    square = spent.mu[kind] ** 2
    without, within = noise[:runs], noise[runs:] + square
    bounds = mu_of_rates(
        int((without > square / 2).sum()), int((within <= square / 2).sum()), runs, alpha
    )
    return Sampled(
        kind=kind,
        party=spent.party,
        relation=spent.relation,
        bounds=bounds,
        claimed=spent.claimed[kind],
        runs=runs,
    )


def _worst_changes(trial: Trial) -> dict[str, _Worst]:
    """By release, the change that spends the largest part of what is claimed for it."""
    best: dict[str, _Worst] = {}
    noise = NoiseLeft(trial)
    for one in trial.runs:
        for other in trial.runs:
            for party, relation in changes(trial, one, other):
                spent = spent_between(trial, noise, one.heard, other.heard, party, relation)
                for kind, mu in spent.mu.items():
                    there = best.get(kind)
                    claimed = spent.claimed.get(kind, 0.0)
                    if claimed and (there is None or mu / claimed > _share(there.spent, kind)):
                        best[kind] = _Worst(spent=spent, one=one, other=other)
    return best


def _share(spent: Spent, kind: str) -> float:
    return spent.mu[kind] / spent.claimed[kind]


def _weights(
    trial: Trial, noise: NoiseLeft, worst: _Worst, kind: str
) -> Mapping[tuple[str, str, int], NDArray[np.float64]]:
    """By release, block and draw, the change over the variance of its noise."""
    out, spent, study = {}, worst.spent, trial.run.study
    for (name, block, k), moved in moves(worst.one.heard, worst.other.heard).items():
        found = trial.base.releases[name].block(block)
        part = spent.relation != "zeroed" or spent.party == EVERYWHERE or takes_part(study, spent.party, found)
        if kind_of(name) == kind and part and moved.any():
            variance = noise.variance(spent.party or trial.host, name, block)
            out[name, block, k] = moved / max(variance, np.finfo(float).tiny)
    return out
