"""What a game with a hidden coin shows: each trial draws a coin, the attacker gives a number, higher for heads.

Intervals hold for independent trials, whatever the distribution of the numbers. Beside each figure stands what mu-GDP
allows (Dong, Roth & Su 2022): no test of a mu-GDP release has a greater power at its false alarms than that of N(0, 1)
against N(mu, 1). That is a bound for any prior knowledge of the attacker and for mixtures of targets.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import beta, rankdata, t

from fedrisk.attacks.attack import Estimate

Floats = NDArray[np.float64]
Coins = NDArray[np.bool_]

FAMILY = 1e-3
"""Most that the chance may be that any verdict of an attack is wrong by bad luck."""

FIGURES = 300
"""Figures of all attacks of inference together, at most: each has its share of the family's chance."""

CONFIDENCE = 1 - 2 * FAMILY / FIGURES
"""Of each figure's interval, half of the rest on either side."""

LOW_FPR = 1e-3
"""False alarms at which true positives are counted (Carlini et al. 2022)."""


def share(hits: float, trials: int, confidence: float = CONFIDENCE) -> Estimate:
    """A probability from hits in independent trials (Clopper & Pearson 1934).

    >>> share(0, 10).low, share(10, 10).high
    (0.0, 1.0)
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits >= trials else float(beta.ppf(1 - tail, hits + 1, trials - hits))
    return Estimate(hits / max(trials, 1), low, high, trials)


def area(score: Floats, coin: Coins) -> Estimate:
    """AUC of a game.

    Its variance is at most that of a share in as many trials as there are of the rarer side (Birnbaum & Klose 1957), so
    its interval is that of such a share.

    >>> area(np.array([0.0, 1.0]), np.array([False, True])).value
    1.0
    """
    ones, zeros = int(coin.sum()), int((~coin).sum())
    least = min(ones, zeros)
    if not least:
        return Estimate(0.5, 0.0, 1.0, 0)
    value = float((rankdata(score)[coin].sum() - ones * (ones + 1) / 2) / (ones * zeros))
    found = share(value * least, least)
    return Estimate(value, found.low, found.high, len(coin))


def accuracy(score: Floats, coin: Coins, threshold: float = 0.0) -> Estimate:
    """Share of coins that are guessed right by a threshold that was fixed beforehand; the coin is fair."""
    return share(float(((score > threshold) == coin).sum()), len(coin))


def by_study(values: Floats, trials: int) -> Estimate:
    """Mean of a figure over independent studies with an interval by Student's t: targets of one study need not be.

    >>> by_study(np.array([0.5, 0.5, 0.5]), 3).low
    0.5
    """
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Estimate(mean, mean - reach, mean + reach, trials)


@dataclass(frozen=True)
class Power:
    """True positives at a threshold that was fixed on other trials; bound: what mu allows at these false alarms.

    false: share of false alarms. Its upper end is what the bound is taken at, so that luck does not make it smaller.
    """

    true: Estimate
    false: Estimate

    def bound(self, mu: float) -> float:
        """Most true positives that mu-GDP allows at the false alarms, whose upper end counts."""
        return gdp_power(self.false.high, mu)


def power(score: Floats, coin: Coins, threshold: float) -> Power:
    """True positives and false alarms above a threshold."""
    above = score > threshold
    return Power(
        share(float(above[coin].sum()), int(coin.sum())),
        share(float(above[~coin].sum()), int((~coin).sum())),
    )


def threshold_of(score: Floats, coin: Coins, rate: float = LOW_FPR) -> float:
    """A threshold from other trials with about such a share of false alarms, by the tail of a normal.

    Few trials show no quantile of one in a thousand; a normal at the trials' mean and deviation has one. Whether it is
    met is measured on the trials that count (`power`), and nothing rests on it.
    """
    out = score[~coin]
    if len(out) * rate >= 5:
        return float(np.quantile(out, 1 - rate))
    return float(out.mean() - ndtri(rate) * max(out.std(), 1e-12))


def gdp_power(alpha: float, mu: float) -> float:
    """Most true positives of any test at false alarms ``alpha`` under mu-GDP.

    >>> round(gdp_power(0.001, 1.0), 4)
    0.0183
    """
    if alpha >= 1.0 or math.isinf(mu):
        return 1.0
    return float(ndtr(ndtri(alpha) + mu)) if alpha > 0 else 0.0


def gdp_area(mu: float) -> float:
    """Most AUC of any attack under mu-GDP.

    >>> gdp_area(0.0)
    0.5
    """
    return float(ndtr(mu / math.sqrt(2)))


def gdp_accuracy(mu: float) -> float:
    """Most that a fair coin is guessed right under mu-GDP; less one half and doubled it is the total variation.

    >>> gdp_accuracy(0.0)
    0.5
    """
    return float(ndtr(mu / 2))
