"""How the enterprises fare: health over 18 months, what happens to some of them, and who defaults.

Health has five facets that correlate. Each institution sees one of them well: liquidity (banks), sales (tax
office, fintech companies), activity (power utility), staffing (social insurance), conduct (courts, registry,
bureaus). Four of them move from month to month with shocks of sector, county, cluster and the firm's own.

On top of that something may happen to an enterprise. Four courses leave much the same mark on a trend and a
variation coefficient, and only one of them is dangerous:

- *distress*: sales fall within two months and stay down; activity follows a month later, staff two months
  later; what is still invoiced bunches at the ends of quarters. The planted event, 1 to 9 months old.
- *dip*: as deep, but over after two to four months, with a rebound. Harmless.
- *decline*: as deep in the end, but slowly and evenly over the 18 months. Nearly harmless.
- *growth*: the reverse of a decline.

Distress spreads: to the enterprises that a distressed one supplies, and to its owner's other one, a month
or two later. Trouble that came through a link is as dangerous as any other.
"""

from dataclasses import dataclass

import numpy as np

from sim_institutions.enterprises import NO_LINK, Enterprises
from sim_institutions.geography import NO_CLUSTER, SECTOR_RISK, Geography
from sim_institutions.streams import (
    MONTHS,
    Bools,
    Floats,
    Ints,
    autoregressive,
    lagged,
    logistic,
    normal,
    stream,
    uniform,
)

NONE, DISTRESS, DIP, DECLINE, GROWTH = range(5)
MOVING = ("liquidity", "sales", "activity", "staffing")

COMMON = 0.4  # share of a facet's lasting part that all facets have in common
LASTING, OWN_SHOCKS, MEMORY = 0.8, 0.5, 0.8
CLUSTER_HEALTH = 1.12  # more of the common part; scores come out .8 standard deviations above the mean
SHARES = {DISTRESS: 0.045, DIP: 0.10, DECLINE: 0.10, GROWTH: 0.08}
WEAKNESS_BRINGS_DISTRESS = 0.7  # on the log scale, per standard deviation
DEPTH, DEPTH_SPREAD = 0.75, 0.3  # fall of log sales
SPREADS_TO_CUSTOMER, SPREADS_TO_OWNED = 0.15, 0.3
BUNCHING = 0.35  # of log sales at the end of a quarter, once in distress

# On the log-odds of default, per standard deviation of a facet.
WEIGHTS = {"liquidity": 0.95, "sales": 0.75, "activity": 0.65, "staffing": 0.5, "conduct": 0.5}
BOTH_WEAK, SMALL, SMALL_AND_WEAK, YOUNG = 0.3, 0.15, 0.2, 0.03
DISTRESS_RISK, DECLINE_RISK = 3.0, 0.2
CLEAN = 0.33  # less, for enterprises of high carbon efficiency


@dataclass(frozen=True)
class Health:
    """paths: the four moving facets, (n, 18), without what happened. conduct, carbon: (n,). course: which of
    the five. since: month 0 to 17 in which it began. effect: on log sales, (n, 18). bunched: on log sales.
    risk: log-odds of default up to a constant. levels: mean of each facet over the last six months."""

    paths: dict[str, Floats]
    conduct: Floats
    carbon: Floats
    course: Ints
    since: Ints
    effect: Floats
    bunched: Floats
    risk: Floats
    levels: dict[str, Floats]

    @property
    def distress(self) -> Bools:
        """Whom the planted event befell."""
        return self.course == DISTRESS


def develop(e: Enterprises, where: Geography, seed: int, block: int | str) -> Health:
    """18 months of the enterprises of a block."""
    n = len(e)
    rng = stream(seed, "health", block)
    common = normal(rng, n) + np.float32(CLUSTER_HEALTH) * (e.cluster != NO_CLUSTER)
    shared = where.sector_shocks[e.sector] + where.county_shocks[e.county]
    shared = shared + np.where((e.cluster != NO_CLUSTER)[:, None], where.cluster_shocks[e.cluster], 0)
    paths, levels = {}, {}
    for name in MOVING:
        lasting = _facet(common, rng)
        paths[name] = (
            np.float32(LASTING) * lasting[:, None]
            + shared
            + np.float32(OWN_SHOCKS) * autoregressive(normal(rng, n, MONTHS), MEMORY)
        )
        levels[name] = paths[name][:, -6:].mean(axis=1)
    conduct = _facet(common, rng)
    levels["conduct"] = conduct
    carbon = normal(rng, n)
    course, since, depth = _courses(e, common, stream(seed, "courses", block))
    effect = _effect(course, since, depth, rng)
    months = np.arange(MONTHS)
    rhythm = np.where(months % 3 == 2, np.float32(BUNCHING), np.float32(-BUNCHING / 2))
    bunched = rhythm * ((course == DISTRESS)[:, None] & (months >= since[:, None]))
    # A rhythm of quarters is nothing in itself: every fifth enterprise always has one.
    bunched = bunched + rhythm * (uniform(rng, n) < 0.2)[:, None]
    risk = _risk(e, levels, carbon, course, since, depth)
    return Health(paths, conduct, carbon, course, since, effect, bunched.astype(np.float32), risk, levels)


def defaults(health: Health, intercept: float, seed: int, block: int | str) -> Bools:
    """Who is over 90 days late within the 12 months after the observation date."""
    return uniform(stream(seed, "default", block), len(health.risk)) < logistic(
        health.risk + np.float32(intercept)
    )


def staggered(health: Health) -> dict[str, Floats]:
    """What happened, as each moving facet shows it on its log scale: activity a month, staff two months later."""
    return {
        "liquidity": health.effect,
        "sales": health.effect,
        "activity": lagged(health.effect, 1),
        "staffing": lagged(health.effect, 2),
    }


def _facet(common: Floats, rng: np.random.Generator) -> Floats:
    return np.float32(np.sqrt(COMMON)) * common + np.float32(np.sqrt(1 - COMMON)) * normal(rng, len(common))


def _courses(e: Enterprises, common: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    n = len(e)
    weak = np.exp(-WEAKNESS_BRINGS_DISTRESS * common - WEAKNESS_BRINGS_DISTRESS**2 / 2)
    bounds, at = np.zeros(n, dtype=np.float32), uniform(rng, n)
    course = np.full(n, NONE)
    for kind, share in SHARES.items():
        new = bounds + share * (weak if kind == DISTRESS else 1)
        course[(at >= bounds) & (at < new)] = kind
        bounds = new
    depth = (DEPTH * np.exp(DEPTH_SPREAD * normal(rng, n))).astype(np.float32)
    since = rng.integers(9, MONTHS, n)
    for link, chance in ((e.supplier, SPREADS_TO_CUSTOMER), (e.owner, SPREADS_TO_OWNED)):
        hit = (link != NO_LINK) & (course[link] == DISTRESS) & (course == NONE) & (uniform(rng, n) < chance)
        later = since[link] + 1 + rng.integers(0, 2, n)
        hit &= later < MONTHS
        course, since = np.where(hit, DISTRESS, course), np.where(hit, later, since)
    since = np.where(course == DIP, rng.integers(3, 14, n), since)
    return course, since, depth


def _effect(course: Ints, since: Ints, depth: Floats, rng: np.random.Generator) -> Floats:
    months = np.arange(MONTHS)
    age = months - since[:, None]
    length = rng.integers(2, 5, len(course))[:, None]
    fallen = np.where(age < 0, 0.0, np.where(age == 0, 0.6, 1.0 + 0.02 * age))
    dip = np.where((age >= 0) & (age < length), 1.0, np.where(age == length, -0.25, 0.0))
    slow = 1.35 * months / (MONTHS - 1)  # so that six months on six months a year before differ as much
    shapes = {DISTRESS: fallen, DIP: dip, DECLINE: slow, GROWTH: -slow}
    out = np.zeros((len(course), MONTHS), dtype=np.float32)
    for kind, shape in shapes.items():
        rows = course == kind
        out[rows] = -(depth[:, None] * shape)[rows]
    return out


def _risk(
    e: Enterprises, levels: dict[str, Floats], carbon: Floats, course: Ints, since: Ints, depth: Floats
) -> Floats:
    risk = -sum(np.float32(w) * levels[name] for name, w in WEIGHTS.items())
    weak = {name: np.maximum(-level, 0) for name, level in levels.items()}
    risk = risk + BOTH_WEAK * (weak["sales"] * weak["activity"] + weak["liquidity"] * weak["conduct"])
    risk = risk - SMALL * e.size + SMALL_AND_WEAK * np.maximum(-e.size, 0) * weak["liquidity"]
    risk = risk - YOUNG * np.minimum(e.age, 15) + SECTOR_RISK[e.sector] - CLEAN * (carbon > 0.4)
    old = MONTHS - 1 - since
    recent = np.where(old == 0, 0.8, np.where(old <= 6, 1.0, 0.6))
    risk = risk + DISTRESS_RISK * (course == DISTRESS) * recent * np.minimum(depth / DEPTH, 1.5)
    return (risk + DECLINE_RISK * (course == DECLINE)).astype(np.float32)
