"""Before a study: between which bounds will the gain over the banks alone lie? From public sizes alone.

The gain is the AUC of the consortium's card less that of boosting on a bank's own columns and rows, on the average
bank's hold-out. Three things move it, and each is one term of a line whose constants were fitted on many settings of
several public sets (benchmarks/gain), with the spread of what came out about the line:

- *noise*, by room = positives times mu of the label counts by sqrt(features), the signal of all positives in units of
  the noise of one number: noise / (1 + (room / HALF)^POWER) of the ranking is lost;
- *columns of holders*, by their share of all columns and the share of enterprises that holders know. How much they tell
  of a default cannot be known before: this is the greatest part of the width;
- *defaults of a bank*, by the logarithm of how many the average bank has in training: the fewer they are, the worse is
  its own model, and the more the rows of others and the plain form of a card are worth.

The bounds hold nine of ten studies, also of sets on which nothing was fitted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedrisk.findings import Finding
from fedrisk.recipes.scorecard import gain_constants as fitted
from fedrisk.recipes.scorecard.columns import room_for_gain

POWER = 1.5
"""How fast noise takes over once room is below HALF."""

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Shares of settings at which the quantiles of what came out, in spreads about the line, are kept."""

COSTLY = 0.01
"""Expected loss of AUC to noise from which on it is said what would lessen it."""


@dataclass(frozen=True, kw_only=True)
class GainSizes:
    """Public sizes of a study.

    positives: defaults in training, of all banks, expected or released. mu: of the label counts. own, external: columns
    of a bank and of all holders. known: share of the enterprises that a holder knows. held: defaults in the hold-out.
    """

    positives: float
    mu: float
    own: int
    external: int
    banks: int
    known: float = 1.0
    held: float = math.inf

    @property
    def features(self) -> int:
        """All columns."""
        return self.own + self.external

    @property
    def room(self) -> float:
        """Signal of all positives in units of the noise of one number; inf without noise."""
        return room_for_gain(self.positives, self.mu, self.features)

    @property
    def noise(self) -> float:
        """Share of the ranking that noise takes, 0 to 1.

        >>> GainSizes(positives=100, mu=math.inf, own=4, external=0, banks=2).noise
        0.0
        """
        return noise_share(self.room, fitted.HALF)


def noise_share(room: float, half: float) -> float:
    """1 / (1 + (room / half)^POWER): 0 without noise, one half at ``half``, 1 where noise is all.

    >>> noise_share(5.0, 5.0), noise_share(math.inf, 5.0), noise_share(0.0, 5.0)
    (0.5, 0.0, 1.0)
    """
    return 0.0 if math.isinf(room) else 1 / (1 + (room / half) ** POWER)


def terms(sizes: GainSizes, noise: float) -> list[float]:
    """What the line adds up, in the order of ``LINE``: one, noise, columns of holders, defaults of a bank.

    >>> terms(GainSizes(positives=200, mu=math.inf, own=6, external=4, banks=2, known=0.5), 0.0)
    [1.0, 0.0, 0.2, -2.0]
    """
    share = sizes.external / max(sizes.features, 1) * sizes.known
    defaults = max(sizes.positives / max(sizes.banks, 1), 1.0)
    return [1.0, noise, share * (1 - noise), -math.log10(defaults) * (1 - noise)]


def spread_terms(sizes: GainSizes, noise: float) -> list[float]:
    """What the squared spread adds up, in the order of ``SPREAD``: one, noise, columns of holders, hold-out."""
    _, part, columns, _ = terms(sizes, noise)
    return [1.0, part**2, columns**2, 1 / max(sizes.held, 1.0)]


def line(sizes: GainSizes, noise: float | None = None) -> tuple[float, float]:
    """Mean gain and spread of studies of this size; noise: another share than that of the sizes."""
    part = sizes.noise if noise is None else noise
    mean = float(np.dot(fitted.LINE, terms(sizes, part)))
    return mean, math.sqrt(
        max(float(np.dot(fitted.SPREAD, spread_terms(sizes, part))), fitted.LEAST_SPREAD**2)
    )


def share_below(z: float, quantiles: Sequence[float]) -> float:
    """Share of settings that came out below z spreads about the line, by interpolation, within LEVELS.

    >>> share_below(0.0, [-1.6, -1.3, -0.7, 0.0, 0.7, 1.3, 1.6])
    0.5
    """
    return float(np.interp(z, quantiles, LEVELS))


def expected_gain(sizes: GainSizes) -> tuple[Finding, ...]:
    """Bounds of the gain over a bank alone, how many such studies lose, and what noise costs.

    >>> [f.code for f in expected_gain(GainSizes(positives=0, mu=1.0, own=0, external=3, banks=1))]
    ['gain_nothing_own']
    """
    if not sizes.own:
        return (Finding("gain_nothing_own"),)
    mean, spread = line(sizes)
    low, lower, middle, upper, high = (mean + fitted.QUANTILES[k] * spread for k in (0, 2, 3, 4, -1))
    lose = share_below(-mean / spread, fitted.QUANTILES)
    found = Finding(
        "gain_between",
        {
            "low": max(low, -0.5),
            "lower": lower,
            "middle": middle,
            "upper": upper,
            "high": min(high, 0.5),
            "lose": lose,
            "positives": sizes.positives,
            "own": sizes.own,
            "external": sizes.external,
            "known": sizes.known,
            "banks": sizes.banks,
        },
    )
    cost = noise_cost(sizes)
    if cost < COSTLY:
        return (found,)
    fewer = max(1, sizes.features // 2)
    scaled = replace(sizes, own=max(1, sizes.own // 2), external=sizes.external // 2)
    noise = {
        "cost": cost,
        "trebled": noise_cost(replace(sizes, mu=3 * sizes.mu)),
        "fewer": fewer,
        "halved": noise_cost(scaled),
    }
    return (found, Finding("gain_noise", noise))


def noise_cost(sizes: GainSizes) -> float:
    """AUC that noise takes off the gain to be expected."""
    return line(sizes, 0.0)[0] - line(sizes)[0]
