"""How enterprises go on: health month after month beyond the first 18, new courses, shocks, and who stops paying.

`develop_health` gives the months 0 to 17. Every later month follows from the one before and from a stream of its own,
so months can be added without changing earlier ones. Months are counted from the first of the history, a January.

An enterprise with no course may begin one in any month, at the rate that keeps as many under way as the first 18 months
have. Distress ends after nine months and three of recovery, a dip after its two to four, a decline or growth after 18;
where one has led, the enterprise stays. Distress spreads to customers and the owner's other enterprise a month or two
later, as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sim_institutions.enterprises import NO_LINK, Enterprises
from sim_institutions.geography import NO_CLUSTER, Geography
from sim_institutions.health import (
    BUNCHING,
    COMMON,
    DECLINE,
    DEPTH,
    DEPTH_SPREAD,
    DIP,
    DISTRESS,
    ENTERPRISE_SHOCKS,
    GROWTH,
    LASTING,
    MEMORY,
    MOVING,
    NONE,
    SHARES,
    SPREADS_TO_CUSTOMER,
    SPREADS_TO_OWNED,
    WEAKNESS_BRINGS_DISTRESS,
    Health,
    log_odds,
)
from sim_institutions.pace import QUARTERLY, SLOW_FALL, Pace, slow_levels
from sim_institutions.random_streams import (
    MONTHS,
    Bools,
    Floats,
    Ints,
    logistic,
    normal,
    stream,
    uniform,
)
from sim_institutions.shocks import Shock

# Months after which distress begins to recover, and within which it does.
DISTRESSED, RECOVERS = 9, 3
SLOW = 18
# A shock by its depth: fall of the facets, in standard deviations, besides that of log sales; log-odds of default at
# once. SHOCK_SPREAD: of its depth over enterprises, on the log scale.
FALL, SHOCK_RISK, SHOCK_SPREAD = 0.5, 2.5, 0.3
# Months by which the shock reaches each facet, and months between not paying and being over 90 days late.
LATER = {"liquidity": 0, "sales": 0, "activity": 1, "staffing": 2}
UNPAID = 3
# Loans that are over 30 days late and made good, for each that is not.
MADE_GOOD = 0.8
SIX = 6
# The first month at which the log-odds of default are known: six months of levels, and default three months later.
FIRST_RISK = 11
# Standard deviation of the mean of an enterprise's four lasting parts.
LASTING_SPREAD = np.float32(LASTING * np.sqrt(COMMON + (1 - COMMON) / 4))
# Memory of common shocks of sectors, counties and clusters. After the first 18 months they are smaller (`Pace.common`):
# the province stays near where its rates were calibrated, and a planted shock stands out.
GROUP_MEMORY = 0.9
# Share of the enterprises that have no course, where as many begin as end.
FREE = 0.67


@dataclass(frozen=True)
class Journey:
    """n enterprises over so many months; by month first.

    paths, effects: of each moving facet, (months, n): without and by the effect of courses and shocks. course, since,
    depth: of each month (0 before FIRST_RISK). risk: log-odds of default up to a constant, of each month. geography:
    with common shocks of all months.
    """

    enterprises: Enterprises
    geography: Geography
    health: Health
    paths: dict[str, Floats]
    effects: dict[str, Floats]
    bunched: Floats
    course: npt.NDArray[np.int8]
    since: npt.NDArray[np.int16]
    depth: Floats
    risk: Floats

    def levels(self, month: int, count: int) -> dict[str, Floats]:
        """Mean of each facet over the six months before ``month``, of the first ``count`` enterprises."""
        seen = (slice(month - SIX, month), slice(count))
        moving = {name: _turned(path[seen]).mean(axis=1) for name, path in self.paths.items()}
        return {**moving, "conduct": self.health.conduct[:count]}

    def window(
        self, month: int, count: int, months: int = MONTHS
    ) -> tuple[Geography, Health, dict[str, Floats]]:
        """So many months before ``month``: geography, and the first ``count`` enterprises' health and effects."""
        seen, last = (slice(month - months, month), slice(count)), (month - 1, slice(count))
        paths = {name: _turned(path[seen]) for name, path in self.paths.items()}
        effects = {name: _turned(effect[seen]) for name, effect in self.effects.items()}
        health = replace(
            self.health,
            paths=paths,
            course=self.course[last].astype(np.int64),
            since=self.since[last].astype(np.int64) - (month - months),
            effect=effects["sales"],
            bunched=_turned(self.bunched[seen]),
            risk=self.risk[last],
            levels=self.levels(month, count),
            conduct=self.health.conduct[:count],
            carbon=self.health.carbon[:count],
            lasting={name: part[:count] for name, part in self.health.lasting.items()},
            depth=self.depth[last],
        )
        return replace(self.geography, first=(month - months) % 12, months=months), health, effects


def unpaid(journey: Journey, intercept: float, seed: int, number: int) -> Bools:
    """Who becomes over 90 days late in which month, (months + 3, n), whether or not there is a loan."""
    months, n = journey.risk.shape
    out = np.zeros((months + UNPAID, n), dtype=bool)
    for month in range(FIRST_RISK + UNPAID, months + UNPAID):
        monthly = _monthly(journey.risk[month - UNPAID], intercept)
        out[month] = uniform(stream(seed, "default", number, "month", month), n) < monthly
    return out


def over_30_days(journey: Journey, late: Bools, intercept: float, seed: int, number: int) -> Bools:
    """Who becomes over 30 days late in which month, (months + 1, n): two months before 90 days, or it is made good.

    late: as `unpaid` gives it.
    """
    out = late[UNPAID - 1 :].copy()
    for month in range(FIRST_RISK + 1, len(out)):
        made_good = uniform(stream(seed, "made good", number, "month", month), out.shape[1])
        out[month] |= made_good < MADE_GOOD * _monthly(journey.risk[month - 1], intercept)
    return out


def _monthly(risk: Floats, intercept: float) -> Floats:
    """The chance of not paying any more within a month, by the log-odds of a year."""
    year = logistic(risk + np.float32(intercept))
    chance: Floats = -np.expm1(np.log1p(-np.minimum(year, 0.9999)) / 12)
    return chance


def travel(
    enterprises: Enterprises,
    geography: Geography,
    health: Health,
    shocks: Sequence[Shock],
    months: int,
    seed: int,
    number: int,
    *,
    interactions: bool = False,
    pace: Pace = QUARTERLY,
    aging: Ints | None = None,
) -> Journey:
    """``months`` months of a block whose first 18 are ``health``; shocks count quarters from the first 18 months on.

    aging: the month in which each enterprise has its age; without it, risk does not go with growing older.
    """
    common, shared = _shared(enterprises, geography, months, seed, pace.common)
    fall = _fall(enterprises, shocks, months, seed, number)
    paths = _paths(health, shared, months, seed, number)
    steps = _Courses(enterprises, health, months, seed, number, pace)
    for month in range(MONTHS, months):
        steps.step(month)
    effects = {}
    for name, late in LATER.items():
        shock = _shifted(fall, late)
        paths[name] -= np.float32(FALL) * shock
        effects[name] = _shifted(steps.effect, late) - shock
    risk = _risk(enterprises, health, paths, steps, months, interactions, aging)
    risk += np.float32(SHOCK_RISK) * fall
    return Journey(
        enterprises,
        common,
        health,
        paths,
        effects,
        steps.bunched,
        steps.course_at,
        steps.since_at,
        steps.depth_at,
        risk,
    )


def aged(age: Floats, aging: Ints, month: int) -> Floats:
    """Years that each enterprise is old before ``month``, if it had its age before ``aging``."""
    return np.asarray(age + (month - aging) / np.float32(12), dtype=np.float32)


def _turned(path: Floats) -> Floats:
    """From (months, n) to (n, months)."""
    return np.ascontiguousarray(path.T)


def _shifted(path: Floats, months: int) -> Floats:
    out = np.zeros_like(path)
    out[months:] = path[: len(path) - months]
    return out


def _shared(
    enterprises: Enterprises, geography: Geography, months: int, seed: int, size: float
) -> tuple[Geography, Floats]:
    """The geography with common shocks of all months, and what they add to each enterprise's health, (months, n)."""
    groups: dict[str, Any] = {}
    for name in ("sector", "county", "cluster"):
        path = getattr(geography, f"{name}_shocks")
        out = np.zeros((len(path), months), dtype=np.float32)
        out[:, :MONTHS] = path
        fresh = np.float32(size * np.sqrt(1 - GROUP_MEMORY**2))
        for month in range(MONTHS, months):
            new = normal(stream(seed, "geography", name, month), len(path))
            out[:, month] = np.float32(GROUP_MEMORY) * out[:, month - 1] + fresh * new
        groups[f"{name}_shocks"] = out
    wide = replace(geography, **groups)
    shared = wide.sector_shocks.T[:, enterprises.sector] + wide.county_shocks.T[:, enterprises.county]
    clustered = enterprises.cluster != NO_CLUSTER
    shared += np.where(clustered, wide.cluster_shocks.T[:, enterprises.cluster], 0)
    return wide, shared


def _paths(health: Health, shared: Floats, months: int, seed: int, number: int) -> dict[str, Floats]:
    """The moving facets of all months, without courses and shocks."""
    n = shared.shape[1]
    out = {}
    for name in MOVING:
        path = np.empty((months, n), dtype=np.float32)
        path[:MONTHS] = health.paths[name].T
        own = (path[MONTHS - 1] - shared[MONTHS - 1] - health.lasting[name]) / np.float32(ENTERPRISE_SHOCKS)
        fresh = np.float32(np.sqrt(1 - MEMORY**2))
        for month in range(MONTHS, months):
            new = normal(stream(seed, "health", number, name, month), n)
            own = np.float32(MEMORY) * own + fresh * new
            path[month] = health.lasting[name] + shared[month] + np.float32(ENTERPRISE_SHOCKS) * own
        out[name] = path
    return out


def _fall(enterprises: Enterprises, shocks: Sequence[Shock], months: int, seed: int, number: int) -> Floats:
    """Fall of log sales by shocks, (months, n)."""
    out = np.zeros((months, len(enterprises)), dtype=np.float32)
    spread = np.exp(SHOCK_SPREAD * normal(stream(seed, "shocked", number), len(enterprises)))
    for shock in shocks:
        hit = np.zeros(len(enterprises), dtype=bool)
        for county, sector in shock.cells:
            hit |= (enterprises.county == county) & (enterprises.sector == sector)
        rows = np.flatnonzero(hit)
        out[:, rows] += np.float32(shock.depth) * shock.path(MONTHS, months)[:, None] * spread[rows]
    return out


def _risk(
    enterprises: Enterprises,
    health: Health,
    paths: dict[str, Floats],
    steps: "_Courses",
    months: int,
    interactions: bool,
    aging: Ints | None,
) -> Floats:
    """Log-odds of default of each month; NaN before the first for which they are known."""
    out = np.full((months, len(enterprises)), np.nan, dtype=np.float32)
    sums = {name: path[FIRST_RISK - SIX + 1 : FIRST_RISK].sum(axis=0) for name, path in paths.items()}
    for month in range(FIRST_RISK, months):
        levels = {"conduct": health.conduct}
        for name, path in paths.items():
            sums[name] = sums[name] + path[month]
            levels[name] = sums[name] / SIX
            sums[name] = sums[name] - path[month - SIX + 1]
        levels = {name: levels[name] for name in (*MOVING, "conduct")}
        since = steps.since_at[month] + (MONTHS - 1 - month)
        course, depth = steps.course_at[month], steps.depth_at[month]
        grown = (
            enterprises
            if aging is None
            else replace(enterprises, age=aged(enterprises.age, aging, month + 1))
        )
        out[month] = log_odds(grown, levels, health.carbon, course, since, depth, interactions=interactions)
    return out


class _Courses:
    """Courses of all months; see the head of this file."""

    def __init__(
        self, enterprises: Enterprises, health: Health, months: int, seed: int, number: int, pace: Pace
    ) -> None:
        n = len(enterprises)
        self._enterprises, self._seed, self._number, self._pace = enterprises, seed, number, pace
        self.effect = np.zeros((months, n), dtype=np.float32)
        self.effect[:MONTHS] = health.effect.T
        self.bunched = np.zeros((months, n), dtype=np.float32)
        self.bunched[:MONTHS] = health.bunched.T
        self._always = health.bunched[:, 0] != 0
        self.course_at = np.zeros((months, n), dtype=np.int8)
        self.since_at = np.zeros((months, n), dtype=np.int16)
        self.depth_at = np.zeros((months, n), dtype=np.float32)
        for month in range(FIRST_RISK, MONTHS):
            begun = (health.course != DISTRESS) | (health.since <= month)
            self.course_at[month] = np.where(begun, health.course, NONE)
            self.since_at[month], self.depth_at[month] = health.since, health.depth
        lasting = np.mean(list(health.lasting.values()), axis=0)
        weak = -WEAKNESS_BRINGS_DISTRESS * lasting / LASTING_SPREAD
        self._weak = np.exp(weak - WEAKNESS_BRINGS_DISTRESS**2 / 2).astype(np.float32)
        first = stream(seed, "courses", number, "onwards")
        # A dip is over by now; a decline or growth of the first months goes on for up to as many again.
        self._course = np.where(health.course == DIP, NONE, health.course)
        slow = np.isin(self._course, (DECLINE, GROWTH))
        self._since = np.where(slow, 0, health.since)
        self._ends = np.where(slow, MONTHS + (uniform(first, n) * SLOW).astype(np.int64), 1 << 14)
        self._depth, self._length = health.depth.copy(), np.full(n, 3)
        self._level = np.zeros(n, dtype=np.float32)
        if pace.steady:
            # What slow courses before left is there from the beginning, and those of the first months are over.
            left = slow_levels(pace, n, FREE, seed, number)
            self.effect[:MONTHS] += left
            self._level = left + np.where(slow, self.effect[MONTHS - 1] - left, 0)
            self._course = np.where(slow, NONE, self._course)

    def step(self, month: int) -> None:
        """One month more."""
        self._begin(month)
        age = month - self._since
        self._level = self._level * np.float32(self._pace.returns)
        effect = self._level + self._shape(age) * self._depth
        over = self._over(month, age)
        self._level = np.where(over & np.isin(self._course, (DECLINE, GROWTH)), effect, self._level)
        rhythm = np.float32(BUNCHING if month % 3 == 2 else -BUNCHING / 2)
        troubled = self._course == DISTRESS
        self.effect[month] = effect
        self.bunched[month] = rhythm * troubled + rhythm * self._always
        self.course_at[month], self.since_at[month] = self._course, self._since
        self.depth_at[month] = self._depth
        self._course = np.where(over, NONE, self._course)

    def _begin(self, month: int) -> None:
        """New courses of those that have none."""
        n, free = len(self._course), self._course == NONE

        def rng(name: str) -> np.random.Generator:
            return stream(self._seed, "courses", self._number, month, name)

        bounds, at = np.zeros(n, dtype=np.float32), uniform(rng("which"), n)
        drawn = np.full(n, NONE)
        for kind, share in SHARES.items():
            chance = share / self._pace.began[kind] * (self._weak if kind == DISTRESS else 1)
            drawn[(at >= bounds) & (at < bounds + chance)] = kind
            bounds = bounds + chance
        links = (
            ("supplier", self._enterprises.supplier, SPREADS_TO_CUSTOMER),
            ("owner", self._enterprises.owner, SPREADS_TO_OWNED),
        )
        for name, link, chance in links:
            # Half of those that it reaches a month later, the other half after two.
            began = (self._course[link] == DISTRESS) & np.isin(month - self._since[link], (1, 2))
            drawn[(link != NO_LINK) & began & (uniform(rng(name), n) < chance / 2)] = DISTRESS
        new = free & (drawn != NONE)
        depth = (DEPTH * np.exp(DEPTH_SPREAD * normal(rng("depth"), n))).astype(np.float32)
        length = (2 + 3 * uniform(rng("length"), n)).astype(np.int64)
        self._course = np.where(new, drawn, self._course)
        self._since = np.where(new, month, self._since)
        self._depth = np.where(new, depth, self._depth)
        self._length = np.where(new, length, self._length)
        self._ends = np.where(new, month + SLOW - 1, self._ends)

    def _shape(self, age: Ints) -> Floats:
        """Effect on log sales in units of the depth, as in `health`, and how it ends."""
        fallen = np.where(age == 0, 0.6, 1.0 + 0.02 * age)
        fallen = fallen * np.clip(1 - (age - DISTRESSED + 1) / (RECOVERS + 1), 0, 1)
        dip = np.where(age < self._length, 1.0, np.where(age == self._length, -0.25, 0.0))
        slow = SLOW_FALL * age / (MONTHS - 1)
        kinds = [self._course == kind for kind in (DISTRESS, DIP, DECLINE, GROWTH)]
        return np.select(kinds, [-fallen, -dip, -slow, slow], 0.0).astype(np.float32)

    def _over(self, month: int, age: Ints) -> Bools:
        kinds = [self._course == DISTRESS, self._course == DIP, np.isin(self._course, (DECLINE, GROWTH))]
        return np.select(
            kinds, [age >= DISTRESSED + RECOVERS - 1, age >= self._length, month >= self._ends], False
        )
