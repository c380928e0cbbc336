"""The noise of the real outlet, drawn thousands of times: whether a record is there, guessed by the best statistic.

For the change of a record that moves a release most (audit_exact), the best statistic is linear: the released numbers
weighted by the change over the variance of their noise (Neyman & Pearson 1933). Its noise is drawn while the handlers
run, by the outlet's own sampler for the very blocks of the release, from those institutions alone whose noise is left
against all others. A fixed test then says "there" or "not there", and its rates of error bound mu from below
(tradeoff.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.audit_exact import EVERYWHERE, NoiseLeft, Spent, every_change, kind_of, moves, takes_part
from fedrisk.attacks.audit_trial import Trial, Tried
from fedrisk.attacks.exact_parts import Draw, Place
from fedrisk.attacks.tradeoff import Bounds, mu_of_rates
from fedrisk.releases.release import Block

AT_ONCE = 1 << 21
"""Numbers that are drawn at once."""

MOST_NUMBERS = 15_000_000
"""Numbers that are drawn for one release at most, by each institution: there are fewer runs of one that is large."""


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
class _Test:
    """A fixed test for one change. weights: of the released numbers, by release, block and draw. square: of mu.

    It is the best one for the noise that the plan says; how much noise there is, its rates of error show.
    """

    spent: Spent
    weights: Mapping[tuple[str, str, int], NDArray[np.float64]]
    square: float

    @property
    def numbers(self) -> int:
        """How many numbers have a weight."""
        return sum(int(np.count_nonzero(weight)) for weight in self.weights.values())


def sampled(trial: Trial, runs: int, alpha: float) -> list[Sampled]:
    """For each release of a setting that was audited exactly, the same by samples of its noise.

    runs: with the record, and as many without. alpha: chance that a bound is wrong, of each.
    """
    noise = NoiseLeft(trial)
    tests = _tests(trial, noise)
    each = {kind: min(runs, MOST_NUMBERS // (2 * test.numbers)) for kind, test in tests.items()}
    sums = {kind: np.zeros(2 * each[kind]) for kind in tests}

    def draw(place: Place, block: Block, sampler: Draw) -> None:
        name, release, _, k = place
        for kind, test in tests.items():
            weight = test.weights.get((release, block.name, k))
            party = test.spent.party or trial.host
            if weight is not None and name in noise.honest(party, trial.base.releases[release], block):
                sums[kind] += _drawn(sampler, weight, 2 * each[kind])

    trial.again(trial.runs[-1].rows, draw)
    return [_guessed(kind, test, sums[kind], each[kind], alpha) for kind, test in tests.items()]


def _drawn(sampler: Draw, weight: NDArray[np.float64], runs: int) -> NDArray[np.float64]:
    """(runs,) weighted noise of one institution for one block; numbers without a weight need none."""
    weight = weight[weight != 0]
    step = max(1, AT_ONCE // weight.size)
    parts = [
        np.asarray(sampler(min(step, runs - start), weight.size), np.float64) @ weight
        for start in range(0, runs, step)
    ]
    return np.concatenate(parts)


def _guessed(kind: str, test: _Test, noise: NDArray[np.float64], runs: int, alpha: float) -> Sampled:
    """Rates of the test in the middle between "there" and "not there"."""
    without, within = noise[:runs], noise[runs:] + test.square
    middle = test.square / 2
    bounds = mu_of_rates(int((without > middle).sum()), int((within <= middle).sum()), runs, alpha)
    spent = test.spent
    return Sampled(
        kind=kind,
        party=spent.party,
        relation=spent.relation,
        bounds=bounds,
        claimed=spent.claimed[kind],
        runs=runs,
    )


def _tests(trial: Trial, noise: NoiseLeft) -> dict[str, _Test]:
    """By release, a test for the change that spends the largest part of what is claimed for it."""
    best: dict[str, tuple[float, Spent, Tried, Tried]] = {}
    for one, other, spent in every_change(trial, noise):
        for kind, mu in spent.mu.items():
            claimed = spent.claimed.get(kind, 0.0)
            share = mu / claimed if claimed else 0.0
            if share > best.get(kind, (0.0,))[0]:
                best[kind] = share, spent, one, other
    return {kind: _test(trial, noise, kind, *found[1:]) for kind, found in best.items()}


def _test(trial: Trial, noise: NoiseLeft, kind: str, spent: Spent, one: Tried, other: Tried) -> _Test:
    weights, square, study = {}, 0.0, trial.run.study
    for (name, block, k), moved in moves(one.heard, other.heard).items():
        found = trial.base.releases[name].block(block)
        part = (
            spent.relation != "zeroed" or spent.party == EVERYWHERE or takes_part(study, spent.party, found)
        )
        if kind_of(name) == kind and part and moved.any():
            variance = noise.planned(spent.party or trial.host, name, block)
            weights[name, block, k] = moved / variance
            square += float(moved @ moved) / variance
    return _Test(spent=spent, weights=weights, square=square)
