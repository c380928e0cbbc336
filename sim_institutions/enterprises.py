"""Who the enterprises are: everything about them that does not change within the 18 months."""

from dataclasses import dataclass

import numpy as np

from sim_institutions.geography import (
    CLUSTER_PREFECTURE,
    CLUSTER_SECTORS,
    CLUSTER_SHARE,
    NO_CLUSTER,
    PREFECTURE_OF_COUNTY,
    SECTORS_OF_ENTERPRISES,
    SECTORS_OF_INDIVIDUALS,
    TRADE,
    Geography,
)
from sim_institutions.ids import Codes, codes
from sim_institutions.profiles import Profile
from sim_institutions.random_streams import BLOCK_SIZE, Bools, Floats, Ints, normal, stream, uniform

NO_LINK = -1
# Share of enterprises whose owner has a second one.
OWNED_TOGETHER = 0.12
# Share of enterprises that depend on one supplier, which is simulated too.
SUPPLIED = 0.5
# Share of those suppliers that are in the same county.
LOCAL_SUPPLIER = 0.7


@dataclass(frozen=True)
class Enterprises:
    """n enterprises of one block; all arrays have n entries.

    size: log scale, about mean 0 and variance 1. age: years. owner, supplier: index in the block of the
    owner's other enterprise and of the main supplier, or NO_LINK. thin: how thin the enterprise's records
    are; 0 for a business with full records, 1 for a street vendor, below 0 in a cluster. online: propensity
    to sell online.
    """

    ids: Codes
    individual: Bools
    sector: Ints
    county: Ints
    prefecture: Ints
    cluster: Ints
    vendor: Bools
    size: Floats
    age: Floats
    online: Floats
    owner: Ints
    supplier: Ints
    thin: Floats

    def __len__(self) -> int:
        return len(self.size)


def draw_enterprises(
    profile: Profile, geography: Geography, seed: int, number: int | str, n: int
) -> Enterprises:
    """The ``n`` enterprises of block ``number``; a block with a name instead of a number is a pilot."""
    rng = stream(seed, "enterprises", number)
    individual = uniform(rng, n) < profile.individual
    sector = np.where(
        individual, _choice(SECTORS_OF_INDIVIDUALS, rng, n), _choice(SECTORS_OF_ENTERPRISES, rng, n)
    )
    county = _choice(geography.weights, rng, n)
    prefecture = PREFECTURE_OF_COUNTY[county]
    member = uniform(rng, n) < CLUSTER_SHARE
    cluster = np.full(n, NO_CLUSTER)
    for i, (place, sectors) in enumerate(zip(CLUSTER_PREFECTURE, CLUSTER_SECTORS, strict=True)):
        cluster[member & (prefecture == place) & np.isin(sector, sectors)] = i
    vendor = individual & (sector == TRADE) & (uniform(rng, n) < profile.vendors)
    size = 0.9 * normal(rng, n) + 0.5 - individual - 0.8 * vendor
    age = np.minimum(rng.gamma(1.6, 4.0, n) + 0.5, 40.0).astype(np.float32)
    online = normal(rng, n) + 0.25 * size + 0.6 * (cluster >= 0) - 0.1 * age / 5
    first = 0 if isinstance(number, str) else number * BLOCK_SIZE
    return Enterprises(
        ids=codes(first + np.arange(n), individual, county, seed),
        individual=individual,
        sector=sector,
        county=county,
        prefecture=prefecture,
        cluster=cluster,
        vendor=vendor,
        size=size.astype(np.float32),
        age=age,
        online=online.astype(np.float32),
        owner=_owners(rng, n),
        supplier=_suppliers(county, rng, n),
        thin=(1.0 * vendor - 0.5 * (cluster >= 0) - 0.15 * size).astype(np.float32),
    )


def _choice(weights: Floats, rng: np.random.Generator, n: int) -> Ints:
    bounds = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(bounds, rng.random(n), side="right"), len(bounds) - 1)


def _owners(rng: np.random.Generator, n: int) -> Ints:
    """Pairs of enterprises that have the same owner."""
    owner = np.full(n, NO_LINK)
    pairs = rng.permutation(n)[: int(n * OWNED_TOGETHER) // 2 * 2].reshape(-1, 2)
    owner[pairs[:, 0]], owner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    return owner


def _suppliers(county: Ints, rng: np.random.Generator, n: int) -> Ints:
    """The main supplier: mostly an enterprise of the same county."""
    order = np.argsort(county, kind="stable")
    starts = np.searchsorted(county[order], np.arange(101))
    low, high = starts[county], starts[county + 1]
    local = order[low + (uniform(rng, n) * (high - low)).astype(np.int64).clip(0, high - low - 1)]
    supplier = np.where(uniform(rng, n) < LOCAL_SUPPLIER, local, rng.integers(0, n, n))
    none = (uniform(rng, n) >= SUPPLIED) | (supplier == np.arange(n))
    return np.where(none, NO_LINK, supplier)
