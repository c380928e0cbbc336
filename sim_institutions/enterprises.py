"""The latent enterprises: who they are, how healthy, and who defaults.

Health has three facets that correlate: liquidity, which a bank sees, sales, which a tax office sees, and
activity, which a power utility sees. A default depends on all three, so that no institution alone can tell,
and on two effects that no sum of single columns carries: weakness in two facets at once, and in small firms.
Every part draws from its own stream of the seed, so that a new column never shifts another one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fedrisk.alignment.ids import USCC_ALPHABET

Floats = npt.NDArray[np.float64]

DEFAULT_RATE = 0.05
CUSTOMER_SHARE = 0.75  # of all enterprises, those that borrow from the bank
FACET_CORRELATION = 0.35
LIQUIDITY, SALES, ACTIVITY = 0.85, 0.75, 0.6  # effect on the log-odds of default, per standard deviation
BOTH_WEAK, SMALL, SMALL_AND_WEAK = 0.4, 0.15, 0.2
PREFIX = "913699"  # 91: enterprise registered with the market authority; 36: Jiangxi; 99: not assigned
SECTORS = ("trade and services", "light manufacturing", "farming", "crafts and technology")
SECTOR_SHARES = (0.678, 0.182, 0.080, 0.060)
SECTOR_RISK = (0.0, 0.15, 0.25, -0.3)


@dataclass(frozen=True)
class Enterprises:
    """n latent enterprises; all arrays have n entries. The facets and size have mean 0 and variance 1."""

    ids: npt.NDArray[np.object_]
    liquidity: Floats
    sales: Floats
    activity: Floats
    size: Floats
    age: Floats
    sector: npt.NDArray[np.int64]
    customer: npt.NDArray[np.bool_]
    default: npt.NDArray[np.bool_]


def stream(seed: int, *name: str) -> np.random.Generator:
    """A generator of its own for every part of the simulation."""
    return np.random.default_rng([seed, *"/".join(name).encode()])


def draw(n: int, seed: int) -> Enterprises:
    """n enterprises; the default rate of the bank's customers is `DEFAULT_RATE` up to chance."""
    rng = stream(seed, "health")
    common = rng.normal(size=n)
    own = np.sqrt(1 - FACET_CORRELATION)
    liquidity, sales, activity = (
        np.sqrt(FACET_CORRELATION) * common + own * rng.normal(size=n) for _ in range(3)
    )
    size = rng.normal(size=n)
    sector = rng.choice(len(SECTORS), size=n, p=SECTOR_SHARES)
    age = np.minimum(rng.gamma(1.6, 4.0, n) + 0.5, 40.0)
    # Larger and healthier firms are likelier to be customers, so that pooling meets a selected population.
    wish = 0.4 * size + 0.3 * common + rng.logistic(size=n)
    customer = wish > np.quantile(wish, 1 - CUSTOMER_SHARE)
    risk = (
        -LIQUIDITY * liquidity
        - SALES * sales
        - ACTIVITY * activity
        + BOTH_WEAK * np.maximum(-sales, 0) * np.maximum(-activity, 0)
        - SMALL * size
        + SMALL_AND_WEAK * np.maximum(-size, 0) * np.maximum(-liquidity, 0)
        - 0.02 * age
        + np.take(SECTOR_RISK, sector)
    )
    default = stream(seed, "default").random(n) < expit(risk + _intercept(risk[customer], DEFAULT_RATE))
    return Enterprises(codes(n, seed), liquidity, sales, activity, size, age, sector, customer, default)


def codes(n: int, seed: int) -> npt.NDArray[np.object_]:
    """n different unified social credit codes with valid check characters (GB 32100-2015)."""
    free = 17 - len(PREFIX)
    rng = stream(seed, "codes")
    number = np.unique(rng.integers(0, 31**free, size=n + n // 1000 + 100))
    number = rng.permutation(number)[:n]
    values = np.empty((n, 18), dtype=np.int64)
    values[:, : len(PREFIX)] = [USCC_ALPHABET.index(c) for c in PREFIX]
    for place in range(len(PREFIX), 17):
        values[:, place] = number % 31
        number = number // 31
    values[:, 17] = -(values[:, :17] @ [pow(3, i, 31) for i in range(17)]) % 31
    letters = np.array(list(USCC_ALPHABET), dtype="U1")[values]
    return np.ascontiguousarray(letters).view("U18").ravel().astype(object)


def _intercept(risk: Floats, rate: float) -> float:
    """The constant that makes the mean probability ``rate``, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(risk + middle).mean() > rate else (middle, high)
    return low
