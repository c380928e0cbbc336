"""Lower bounds on mu from guesses: of one record in many runs, and of many records in one run.

A mechanism is mu-GDP when nobody tells two neighbours apart better than one draw of N(0, 1) from one of N(mu, 1) (Dong,
Roth & Su 2022): with a false-positive rate a, the false-negative rate is at least f(a) = Phi(Phi^-1(1 - a) - mu).

Many runs (Nasr et al. 2023): rates of a test that was fixed beforehand, bounded by Clopper & Pearson (1934), rule out
every mu whose curve lies above them.

One run (Steinke, Nasr & Jagielski 2023): every one of m records is in or out by a fair coin, and the attacker guesses
all coins from one output. How many guesses can be right in a mechanism of a given curve is bounded by the recursion of
Mahloujifar, Melis & Chaudhuri (2024), which takes the whole curve and not one point of it.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from fedrisk.attacks.intervals import share


@dataclass(frozen=True)
class Bounds:
    """An estimate of mu, and bounds between which it lies at a confidence."""

    value: float
    low: float
    high: float


def mu_of_rates(false_positives: int, false_negatives: int, runs: int, alpha: float) -> Bounds:
    """The mu of a test that was wrong so often in so many runs with and as many without the record.

    Each bound holds with probability 1 - alpha at least: by half of it for each of the two rates.

    >>> found = mu_of_rates(3085, 3085, 10_000, 1e-3)
    >>> round(found.value, 2), found.low < 1.0 < found.high
    (1.0, True)
    """
    wrong = (false_positives, false_negatives)
    shares = [share(k, runs, 1 - alpha) for k in wrong]
    least, most = [s.low for s in shares], [s.high for s in shares]
    seen = [(k + 0.5) / (runs + 1) for k in wrong]
    return Bounds(value=_apart(*seen), low=max(_apart(*most), 0.0), high=_apart(*least))


def _apart(false_positive: float, false_negative: float) -> float:
    """The mu of the curve through two rates."""
    if min(false_positive, false_negative) <= 0:
        return math.inf
    return -float(ndtri(min(false_positive, 1.0))) - float(ndtri(min(false_negative, 1.0)))


def mu_of_guesses(right: int, guesses: int, records: int, alpha: float, most: float = 40.0) -> Bounds:
    """The mu of one run in which so many guesses of so many records' coins were right; the upper end is not bounded.

    guesses: how many coins the attacker guesses, fixed beforehand; it says nothing of the others. low: the largest mu
    that is ruled out at level alpha. value: what the share of right guesses comes to where every coin is guessed.

    >>> found = mu_of_guesses(100, 100, 2000, 0.05)
    >>> 0.8 < found.low < 3.0
    True
    """
    low, high = 0.0, most
    if not too_many(right, guesses, records, low, alpha):
        return Bounds(value=0.0, low=0.0, high=math.inf)
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if too_many(right, guesses, records, middle, alpha) else (low, middle)
    return Bounds(value=low, low=low, high=math.inf)


def too_many(right: int, guesses: int, records: int, mu: float, alpha: float) -> bool:
    """Whether so many right guesses, or more, have a probability below alpha in any mu-GDP mechanism.

    Let p_i be the probability of exactly i right guesses of c, about m records. For every s, flipping one coin gives

        sum_{i > s} (i / m) p_i <= F(sum_{i >= s} ((c - i) / m) p_i),  F(x) = 1 - f(x) = Phi(Phi^-1(x) + mu),

    since with it a right guess becomes a wrong one, and i right ones become i - 1. From a tail of probability alpha at
    ``right`` these bounds say, from there downwards, how much probability there has to be at least; more than 1 is too
    much (Mahloujifar, Melis & Chaudhuri 2024, with two choices).
    """
    above, wrong = alpha * right / records, alpha * (guesses - right) / records
    for i in range(right - 1, -1, -1):
        needed = max(float(ndtr(ndtri(min(above, 1.0)) - mu)), wrong)
        above += i / (guesses - i) * (needed - wrong)
        wrong = needed
        if above + wrong > guesses / records:
            return True
    return False
