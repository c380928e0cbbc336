"""The game of membership: a coin decides of every enterprise whether it takes part; what is published is looked at.

Played on scorecards in the space of sums (`study_in_sums`). Three attackers look at the totals themselves; all three
are the most powerful tests of what they know (Neyman & Pearson 1933), since noise is normal:

- *outsider who knows all others*: it knows who else takes part, and asks whether the whole enterprise does, with what
  it has at all members. This is the adversary of the definition of differential privacy.
- *holder who knows all others*: the same for the bank's record of the enterprise alone, seen by a holder, which knows
  the noise that it added itself. This is what a claim of mu for the bank's record is about.
- *outsider who knows the population*: everybody else's coin is as unknown to it as the target's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.shadow_attackers import Seen
from fedrisk.attacks.study_in_sums import Parts, Rows, Simulator, Study
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS, calibration_release
from fedrisk.releases.release import Block, Release
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

RIDGE = 1e-9
"""Variance where there is no noise, so that a negative control has a likelihood as well."""


@dataclass(frozen=True)
class Games:
    """Games of many studies, each number (studies, targets).

    coin: who took part. outsider, holder: log likelihood ratios of those who know all others; outsider_mu, holder_mu:
    distance of the two hypotheses in standard deviations, the most that is left of a claim of mu. seen: what those who
    know the population alone see, among it their own likelihood ratio.
    """

    coin: NDArray[np.bool_]
    outsider: Floats
    outsider_mu: Floats
    holder: Floats
    holder_mu: Floats
    seen: Seen


def play(
    simulator: Simulator, targets: Sequence[int], studies: int, rng: np.random.Generator, holder: str
) -> Games:
    """So many studies, in each of which every row has its own coin. holder: who looks from inside."""
    rows, at = simulator.rows, np.asarray(targets)
    found: dict[str, list[Floats]] = {}
    for _ in range(studies):
        coin = rng.random(len(rows)) < 0.5
        made = simulator.study(coin, rng)
        for name, value in _looked_at(simulator, made, coin, at, holder).items():
            found.setdefault(name, []).append(value)
    table = {name: np.array(values) for name, values in found.items()}
    coins = table.pop("coin").astype(bool)
    seen = Seen(coins, table.pop("confidence"), table.pop("model"), table.pop("filtered"))
    return Games(coin=coins, seen=seen, **table)


def _looked_at(
    simulator: Simulator, made: Study, coin: NDArray[np.bool_], at: NDArray[np.intp], holder: str
) -> dict[str, Floats]:
    totals, layers = layers_of(simulator, made)
    whole = np.concatenate([layer.parts for layer in layers], 1)
    noise = noise_of(layers, "")
    out: dict[str, Floats] = {"coin": coin[at].astype(float)}
    out["outsider"], out["outsider_mu"] = _knows_others(totals, whole, noise, coin, at)
    of_bank = np.concatenate([layer.of_bank() for layer in layers], 1)
    inside = noise_of(layers, holder)
    out["holder"], out["holder_mu"] = _knows_others(totals, whole, inside, coin, at, of_bank)
    out["filtered"] = _knows_population(totals, whole, noise, at)
    out["confidence"] = confidence(simulator.rows, made.card, simulator.scores(made.card))[at]
    out["model"] = np.concatenate([np.asarray(p, float) for p in made.card.points])
    return out


@dataclass(frozen=True)
class Layer:
    """What all rows add to one release, (n, numbers of all blocks), blocks one after the other."""

    release: Release
    parts: Floats
    blocks: tuple[tuple[Block, slice], ...]

    def of_bank(self) -> Floats:
        """What of it goes where the bank's record is made zero: what a holder sends by itself stays."""
        out = self.parts.copy()
        for block, place in self.blocks:
            if BANK not in (block.left, block.right):
                out[:, place] = 0.0
        return out


def _layer(parts: Parts) -> Layer:
    ends = np.cumsum([0, *(parts.rows[b.name].shape[1] for b in parts.release.blocks)])
    places = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    stacked = np.concatenate([parts.rows[b.name] for b in parts.release.blocks], 1)
    return Layer(parts.release, stacked, tuple(zip(parts.release.blocks, places, strict=True)))


def layers_of(simulator: Simulator, made: Study) -> tuple[Floats, list[Layer]]:
    """Totals of all releases as one vector, and the layers that they are made of."""
    facts = simulator.rows.facts
    second = simulator.second_parts(made.second)
    cells = np.eye(2 * CALIBRATION_BINS)[simulator.calibration_cells(made.first)]
    release = calibration_release(facts.study, facts.plan.mu("calibration"))
    layers = [_layer(simulator.first), _layer(second), _layer(Parts(release=release, rows={BANK: cells}))]
    first = [made.counts[b.name].ravel() for b in simulator.first.release.blocks]
    again = [made.gram[b.name].ravel() for b in second.release.blocks]
    return np.concatenate([*first, *again, made.calibration]), layers


def noise_of(layers: Sequence[Layer], viewer: str) -> Floats:
    """Covariance of the noise that a viewer does not know, (numbers, numbers); nobody: that of an outsider."""
    size = sum(layer.parts.shape[1] for layer in layers)
    out, start = np.zeros((size, size)), 0
    for layer in layers:
        unit = 4.0**layer.release.scale_bits
        own = {b.name: (b, place) for b, place in layer.blocks}
        for block, place in layer.blocks:
            hidden = {name: s * s / unit for name, s in block.sigma.items() if name != viewer}
            here = np.arange(start + place.start, start + place.stop)
            out[here, here] += sum(hidden.values())
            if block.with_noise_of is not None:
                other, there = own[block.with_noise_of]
                shared = sum(v for name, v in _variances(other, unit).items() if name in hidden)
                also = np.arange(start + there.start, start + there.stop)
                out[here, here] += shared
                out[here, also] += shared
                out[also, here] += shared
        start += layer.parts.shape[1]
    return out + RIDGE * np.eye(size)


def _variances(block: Block, unit: float) -> dict[str, float]:
    return {name: s * s / unit for name, s in block.sigma.items()}


def _knows_others(
    totals: Floats,
    whole: Floats,
    noise: Floats,
    coin: NDArray[np.bool_],
    at: NDArray[np.intp],
    goes: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Log likelihood ratios and distances. goes: what goes with a target, where it is not all of it."""
    goes = (whole if goes is None else goes)[at]
    left = totals - coin @ whole
    weighted = np.linalg.solve(noise, goes.T).T
    square = (weighted * goes).sum(1)
    # What is left without the target's part, half of which is the middle between the hypotheses.
    return weighted @ left + square * (coin[at] - 0.5), np.sqrt(square)


def _knows_population(totals: Floats, whole: Floats, noise: Floats, at: NDArray[np.intp]) -> Floats:
    """Likelihood ratio of a normal: all rows' coins are fair, so that the others are noise as well."""
    covariance = noise + whole.T @ whole / 4
    return np.asarray(np.linalg.solve(covariance, totals - whole.sum(0) / 2) @ whole[at].T)


def confidence(rows: Rows, card: Scorecard, scores: NDArray[np.int64]) -> Floats:
    """Log-odds that a card gives to each row's own label, (n,)."""
    p = np.clip(card.probability(scores), 1e-9, 1 - 1e-9)
    odds = np.log(p) - np.log1p(-p)
    return np.where(rows.label == 1, odds, -odds)


def outlying(simulator: Simulator, number: int) -> list[int]:
    """Rows that stand out most among the others in the first release, by their distance from what others do."""
    layer = _layer(simulator.first)
    covariance = noise_of([layer], "") + layer.parts.T @ layer.parts / 4
    weighted = np.linalg.solve(covariance, layer.parts.T).T
    return [int(k) for k in np.argsort(-(weighted * layer.parts).sum(1), kind="stable")[:number]]


def standing(simulator: Simulator, rng: np.random.Generator, holder: str, number: int) -> list[int]:
    """Rows whose absence shows most to those who know all others, in one study of half of the rows."""
    every = np.arange(len(simulator.rows))
    made = simulator.study(rng.random(len(every)) < 0.5, rng)
    found = _looked_at(simulator, made, np.zeros(len(every), bool), every, holder)
    return [int(k) for k in np.argsort(-found["holder_mu"], kind="stable")[:number]]
