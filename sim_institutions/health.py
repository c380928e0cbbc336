"""How the enterprises fare: health over 18 months, what happens to some of them, and who defaults.

Health has five correlated facets. Each institution observes one of them well: liquidity (banks), sales (tax
office, fintech companies), activity (power utility), staffing (social insurance), conduct (courts, registry,
bureaus). The first four move from month to month, with shocks to the sector, the county, the cluster and the
enterprise itself.

Beyond that, an enterprise may take one of four courses. All four leave much the same mark on a trend and on a
variation coefficient, and only the first is dangerous:

- *distress*: sales fall within two months and stay down; activity follows a month later, staff two months
  later; what is still invoiced bunches at the ends of quarters. This is the planted event. It is 1 to 9
  months old.
- *dip*: the fall is as deep, but it is over after two to four months, with a rebound. Harmless.
- *decline*: the fall is as deep in the end, but slow and even over the 18 months. Nearly harmless.
- *growth*: the reverse of a decline.

Distress spreads, a month or two later, to the enterprises that the distressed one supplies and to its owner's
other enterprise. Distress that came through a link is as dangerous as any other.
"""

from dataclasses import dataclass

import numpy as np

from sim_institutions.enterprises import NO_LINK, Enterprises
from sim_institutions.geography import NO_CLUSTER, SECTOR_RISK, Geography
from sim_institutions.random_streams import (
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

# Share of the variance of a facet's lasting part that all facets have in common.
COMMON = 0.4
# Factors of a facet's lasting part and of the enterprise's monthly shocks, and how long shocks are
# remembered.
LASTING, ENTERPRISE_SHOCKS, MEMORY = 0.8, 0.5, 0.8
# What a cluster adds to the common part; credit scores there come out .8 standard deviations above the mean.
CLUSTER_HEALTH = 1.12
# Share of enterprises that take each course.
SHARES = {DISTRESS: 0.045, DIP: 0.10, DECLINE: 0.10, GROWTH: 0.08}
# How much weakness raises the chance of distress: on the log scale, per standard deviation.
WEAKNESS_BRINGS_DISTRESS = 0.7
# Fall of log sales: its median, and its standard deviation on the log scale.
DEPTH, DEPTH_SPREAD = 0.75, 0.3
SPREADS_TO_CUSTOMER, SPREADS_TO_OWNED = 0.15, 0.3
# Rise of log sales at the end of a quarter, once an enterprise is in distress.
BUNCHING = 0.35
# Share of enterprises that have such a quarterly rhythm all the time.
ALWAYS_BUNCHED = 0.2

# Weights on the log-odds of default, per standard deviation of a facet.
WEIGHTS = {"liquidity": 0.95, "sales": 0.75, "activity": 0.65, "staffing": 0.5, "conduct": 0.5}
BOTH_WEAK, SMALL, SMALL_AND_WEAK, YOUNG = 0.3, 0.15, 0.2, 0.03
DISTRESS_RISK, DECLINE_RISK = 3.0, 0.2
# Reduction for enterprises of high carbon efficiency.
CLEAN = 0.33
# Weights on the log-odds of default of products, where a profile has strong interactions; see ``crossed``.
CROSSED = {
    "strain_size": 1.5,
    "ease_age": 1.0,
    "trend_size": 1.0,
    "strain_trend": 0.7,
    "unsettled_size": 0.7,
}


@dataclass(frozen=True)
class Health:
    """How the enterprises of a block fare.

    paths: the four moving facets, (n, 18), without the effect of the course. conduct, carbon: (n,). course:
    which one, or NONE. since: month 0 to 17 in which it began. effect: of the course on log sales, (n, 18).
    bunched: effect of the quarterly rhythm on log sales, (n, 18). risk: log-odds of default up to a constant.
    levels: mean of each facet over the last six months. lasting: part of each moving facet that stays, (n,).
    depth: of the course's fall in log sales.
    """

    paths: dict[str, Floats]
    conduct: Floats
    carbon: Floats
    course: Ints
    since: Ints
    effect: Floats
    bunched: Floats
    risk: Floats
    levels: dict[str, Floats]
    lasting: dict[str, Floats]
    depth: Floats


def develop_health(
    enterprises: Enterprises,
    geography: Geography,
    seed: int,
    number: int | str,
    *,
    interactions: bool = False,
) -> Health:
    """18 months of the enterprises of block ``number``; interactions: whether risk depends on strong ones."""
    n = len(enterprises)
    rng = stream(seed, "health", number)
    clustered = enterprises.cluster != NO_CLUSTER
    common = normal(rng, n) + np.float32(CLUSTER_HEALTH) * clustered
    shared = geography.sector_shocks[enterprises.sector] + geography.county_shocks[enterprises.county]
    shared = shared + np.where(clustered[:, None], geography.cluster_shocks[enterprises.cluster], 0)
    paths, levels, stays = {}, {}, {}
    for name in MOVING:
        stays[name] = np.float32(LASTING) * _facet(common, rng)
        paths[name] = (
            stays[name][:, None]
            + shared
            + np.float32(ENTERPRISE_SHOCKS) * autoregressive(normal(rng, n, MONTHS), MEMORY)
        )
        levels[name] = paths[name][:, -6:].mean(axis=1)
    conduct = _facet(common, rng)
    levels["conduct"] = conduct
    carbon = normal(rng, n)
    course, since, depth = _courses(enterprises, common, stream(seed, "courses", number))
    # Both draw from ``rng``, so their order belongs to what a seed gives.
    effect = _effect(course, since, depth, rng)
    bunched = _bunched(course, since, rng)
    return Health(
        paths=paths,
        conduct=conduct,
        carbon=carbon,
        course=course,
        since=since,
        effect=effect,
        bunched=bunched,
        risk=log_odds(enterprises, levels, carbon, course, since, depth, interactions=interactions),
        levels=levels,
        lasting=stays,
        depth=depth,
    )


def defaults(health: Health, intercept: float, seed: int, number: int | str) -> Bools:
    """Who is over 90 days late within the 12 months after the observation date."""
    probability = logistic(health.risk + np.float32(intercept))
    return uniform(stream(seed, "default", number), len(health.risk)) < probability


def staggered(health: Health) -> dict[str, Floats]:
    """Effect of the course on each moving facet, on its log scale.

    Activity reacts a month later than sales and liquidity, and staffing two months later.
    """
    return {
        "liquidity": health.effect,
        "sales": health.effect,
        "activity": lagged(health.effect, 1),
        "staffing": lagged(health.effect, 2),
    }


def _facet(common: Floats, rng: np.random.Generator) -> Floats:
    """The common part and noise, variance 1 outside clusters."""
    return np.float32(np.sqrt(COMMON)) * common + np.float32(np.sqrt(1 - COMMON)) * normal(rng, len(common))


def _courses(enterprises: Enterprises, common: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    """Course, month in which it began, and depth of the fall in log sales."""
    n = len(enterprises)
    weak = np.exp(-WEAKNESS_BRINGS_DISTRESS * common - WEAKNESS_BRINGS_DISTRESS**2 / 2)
    bounds, at = np.zeros(n, dtype=np.float32), uniform(rng, n)
    course = np.full(n, NONE)
    for kind, share in SHARES.items():
        new = bounds + share * (weak if kind == DISTRESS else 1)
        course[(at >= bounds) & (at < new)] = kind
        bounds = new
    depth = (DEPTH * np.exp(DEPTH_SPREAD * normal(rng, n))).astype(np.float32)
    since = rng.integers(9, MONTHS, n)
    for link, chance in ((enterprises.supplier, SPREADS_TO_CUSTOMER), (enterprises.owner, SPREADS_TO_OWNED)):
        hit = (link != NO_LINK) & (course[link] == DISTRESS) & (course == NONE) & (uniform(rng, n) < chance)
        later = since[link] + 1 + rng.integers(0, 2, n)
        hit &= later < MONTHS
        course, since = np.where(hit, DISTRESS, course), np.where(hit, later, since)
    since = np.where(course == DIP, rng.integers(3, 14, n), since)
    return course, since, depth


def _effect(course: Ints, since: Ints, depth: Floats, rng: np.random.Generator) -> Floats:
    """Effect of the course on log sales, month by month."""
    months = np.arange(MONTHS)
    age = months - since[:, None]
    length = rng.integers(2, 5, len(course))[:, None]
    fallen = np.where(age < 0, 0.0, np.where(age == 0, 0.6, 1.0 + 0.02 * age))
    dip = np.where((age >= 0) & (age < length), 1.0, np.where(age == length, -0.25, 0.0))
    # The factor makes the last six months differ from the same months a year before as much as a fall does.
    slow = 1.35 * months / (MONTHS - 1)
    shapes = {DISTRESS: fallen, DIP: dip, DECLINE: slow, GROWTH: -slow}
    out = np.zeros((len(course), MONTHS), dtype=np.float32)
    for kind, shape in shapes.items():
        rows = course == kind
        out[rows] = -(depth[:, None] * shape)[rows]
    return out


def _bunched(course: Ints, since: Ints, rng: np.random.Generator) -> Floats:
    """Quarterly rhythm of log sales: in distress, and always at some enterprises, so it alone says little."""
    months = np.arange(MONTHS)
    rhythm = np.where(months % 3 == 2, np.float32(BUNCHING), np.float32(-BUNCHING / 2))
    bunched = rhythm * ((course == DISTRESS)[:, None] & (months >= since[:, None]))
    always = uniform(rng, len(course)) < ALWAYS_BUNCHED
    return (bunched + rhythm * always[:, None]).astype(np.float32)


def log_odds(
    enterprises: Enterprises,
    levels: dict[str, Floats],
    carbon: Floats,
    course: Ints,
    since: Ints,
    depth: Floats,
    *,
    interactions: bool = False,
) -> Floats:
    """Log-odds of default, up to a constant."""
    risk = -sum(np.float32(weight) * levels[name] for name, weight in WEIGHTS.items())
    weak = {name: np.maximum(-level, 0) for name, level in levels.items()}
    risk = risk + BOTH_WEAK * (weak["sales"] * weak["activity"] + weak["liquidity"] * weak["conduct"])
    risk = (
        risk
        - SMALL * enterprises.size
        + SMALL_AND_WEAK * np.maximum(-enterprises.size, 0) * weak["liquidity"]
    )
    risk = (
        risk
        - YOUNG * np.minimum(enterprises.age, 15)
        + SECTOR_RISK[enterprises.sector]
        - CLEAN * (carbon > 0.4)
    )
    old = MONTHS - 1 - since
    recent = np.where(old == 0, 0.8, np.where(old <= 6, 1.0, 0.6))
    risk = risk + DISTRESS_RISK * (course == DISTRESS) * recent * np.minimum(depth / DEPTH, 1.5)
    risk = risk + DECLINE_RISK * (course == DECLINE)
    if interactions:
        risk = risk + crossed(enterprises, levels, course, depth)
    return np.asarray(risk, dtype=np.float32)


def crossed(enterprises: Enterprises, levels: dict[str, Floats], course: Ints, depth: Floats) -> Floats:
    """Strong interactions: what one fact means depends on another.

    Each is a product of two facts that institutions see well, both centred, so that neither alone tells more than it
    does without. Within a bank: tight liquidity weighs more on large loans (strain_size), ample liquidity protects the
    young more than the old (ease_age). Within the tax office, the power utility or social insurance: growth overtaxes
    the large, and a fall hits the small (trend_size); unsettled staff is dangerous at large firms (unsettled_size).
    Between a bank and a department: tight liquidity is worse where business grows, which ties up money (strain_trend).
    """
    size = np.clip(enterprises.size, -2, 2)
    age = np.clip((enterprises.age - 8) / 8, -1, 1.5)
    liquidity = np.clip(levels["liquidity"], -2.5, 2.5)
    falling = (course == DECLINE) | (course == DISTRESS)
    trend = ((course == GROWTH).astype(np.float32) - falling) * np.minimum(depth / DEPTH, 1.5)
    return np.asarray(
        -CROSSED["strain_size"] * liquidity * size
        + CROSSED["ease_age"] * liquidity * age
        + CROSSED["trend_size"] * trend * size
        - CROSSED["strain_trend"] * liquidity * trend
        - CROSSED["unsettled_size"] * levels["staffing"] * size,
        dtype=np.float32,
    )
