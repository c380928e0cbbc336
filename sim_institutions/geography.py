"""The province: 11 prefectures, 100 counties, four sectors, three export clusters, and their common shocks.

These are drawn once per seed and are the same for all blocks of enterprises.
"""

from dataclasses import dataclass

import numpy as np

from sim_institutions.random_streams import MONTHS, Floats, Ints, autoregressive, normal, stream

COUNTIES_OF_PREFECTURES = (9, 4, 5, 13, 2, 3, 18, 13, 10, 11, 12)
PREFECTURES = tuple(f"p{i:02d}" for i in range(1, 12))
PREFECTURE_OF_COUNTY: Ints = np.repeat(np.arange(11), COUNTIES_OF_PREFECTURES)
COUNTIES = tuple(
    f"{prefecture}c{i:02d}"
    for prefecture, counties in zip(PREFECTURES, COUNTIES_OF_PREFECTURES, strict=True)
    for i in range(1, counties + 1)
)
"""Public categories, "p01c01" the first county of the first prefecture."""

SECTORS = ("trade and services", "light manufacturing", "farming", "crafts and technology")
TRADE, MANUFACTURING, FARMING, CRAFTS = range(4)
# Small enterprises and individually owned businesses by sector, in 10,000.
SECTORS_OF_ENTERPRISES = np.array([96.7, 26.0, 11.4, 8.6])
SECTORS_OF_INDIVIDUALS = np.array([263.4, 50.4, 38.6, 34.0])
SECTOR_RISK = np.array([0.05, 0.05, 0.15, -0.2], dtype=np.float32)

CLUSTERS = ("ceramics", "navel oranges", "lithium")
CLUSTER_PREFECTURE = (1, 6, 8)
CLUSTER_SECTORS = ((MANUFACTURING, CRAFTS), (FARMING,), (MANUFACTURING,))
# Of the enterprises in a cluster's prefecture and sectors, the share that belongs to the cluster.
CLUSTER_SHARE = 0.7
NO_CLUSTER = -1

# Seasonal effect on the log scale: one row per sector, one column per calendar month, January first.
# Farms sell oranges from November on; trade slumps after the spring festival.
SEASONS = np.array(
    [
        [0.25, -0.35, -0.05, 0.0, 0.05, 0.0, 0.0, 0.05, 0.0, 0.1, 0.0, 0.1],
        [-0.05, -0.4, 0.1, 0.1, 0.05, 0.0, -0.05, -0.05, 0.05, 0.05, 0.1, 0.1],
        [0.45, 0.1, -0.2, -0.2, -0.15, -0.2, -0.1, -0.1, 0.0, 0.1, 0.4, 0.5],
        [0.0, -0.25, 0.0, 0.05, 0.05, 0.05, 0.0, 0.0, 0.05, 0.05, 0.05, 0.0],
    ],
    dtype=np.float32,
)
# Month m01 is a January, so m18 is the June of the following year.
FIRST_MONTH = 0


@dataclass(frozen=True)
class Geography:
    """What all blocks of a seed share.

    weights: share of the enterprises in each county. rural: how rural each county is, about -1 to 2. shocks:
    by (sector, month), (county, month) and (cluster, month), on the scale of health. first: calendar month of
    the history's first one, 0 a January. months: of the history.
    """

    weights: Floats
    rural: Floats
    sector_shocks: Floats
    county_shocks: Floats
    cluster_shocks: Floats
    first: int = FIRST_MONTH
    months: int = MONTHS

    @property
    def seasons(self) -> Floats:
        """Seasonal effect in each month of the history, (sector, months)."""
        return np.take(SEASONS, (self.first + np.arange(self.months)) % 12, axis=1)


def draw_geography(seed: int) -> Geography:
    """The province that belongs to a seed."""
    rng = stream(seed, "geography")
    size = normal(rng, 100)
    weights = np.exp(0.5 * size)
    return Geography(
        (weights / weights.sum()).astype(np.float32),
        (0.5 - 0.7 * size).astype(np.float32),
        _shocks(rng, 4, 0.2),
        _shocks(rng, 100, 0.2),
        _shocks(rng, 3, 0.2),
    )


def _shocks(rng: np.random.Generator, groups: int, size: float) -> Floats:
    """A slow path for each group, whose last six months are zero on average.

    So the seed does not decide how sectors and clusters fare when loans are judged; constants do.
    """
    path = autoregressive(normal(rng, groups, MONTHS), 0.9)
    return np.float32(size) * (path - path[:, -6:].mean(axis=1, keepdims=True))
