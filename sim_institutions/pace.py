"""How fast a population moves from one period to the next: quarters, or months that stay as they are on average.

Both have the enterprises, health and loans of the single simulation in their first period. Quarters keep the courses
and ages of the first months going, so sizes spread and enterprises age a little over the years. Months are for watching
a portfolio, where a table must not drift by itself: whatever begins and ends does so at rates under which the shares
and distributions stay (`Pace.steady`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_institutions.health import DECLINE, DEPTH, DEPTH_SPREAD, DIP, DISTRESS, GROWTH, SHARES
from sim_institutions.random_streams import MONTHS, Floats, normal, stream, uniform

YEAR = 12
# Ages of enterprises (`enterprises.draw_enterprises`): a gamma distribution of this shape and scale, in years, after
# the first months.
AGE_SHAPE, AGE_SCALE, AGE_FIRST = 1.6, 4.0, 0.5
MODE = (AGE_SHAPE - 1) * AGE_SCALE
# Fall of log sales at the end of a slow course, in its depth.
SLOW_FALL = 1.35


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What happens within one period.

    step: months of a period. founded: share of the first enterprises that are founded. closed, closed_late: share of
    the enterprises that close, and of those that became late. repaid: share of the loans that end. barred: periods for
    which no bank lends to an enterprise that was late. workout: periods after which its loans are written off.
    began: months over which the share of each course comes in. common: standard deviation of the common shocks of
    sectors, counties and clusters. odds: by profile, what is added to the log-odds of default, so that loans that have
    run for a while have the profile's rate, as new ones have without it. returns: part of a rise or fall by a slow
    course that is left a month after. steady: whether ages stay as they are, as many being founded and closed at each
    age as keep them.
    """

    step: int
    founded: float
    closed: float
    closed_late: float
    repaid: float
    barred: int
    workout: int
    began: Mapping[int, float]
    common: float
    returns: float = 1.0
    odds: Mapping[str, float] = field(default_factory=dict)
    steady: bool = False

    def month(self, period: int) -> int:
        """The first month after a period, from the first month of the history.

        >>> QUARTERLY.month(2), MONTHLY.month(2)
        (21, 19)
        """
        return MONTHS + self.step * (period - 1)

    def period(self, month: int) -> int:
        """The period before whose end ``month`` begins."""
        return 1 + (month - MONTHS) // self.step

    def key(self, period: int) -> str | int:
        """By which streams of a period are named."""
        return f"m{self.month(period)}" if self.steady else period


QUARTERLY = Pace(
    step=3,
    founded=0.01,
    closed=0.006,
    closed_late=0.4,
    repaid=0.06,
    barred=4,
    workout=1,
    began={DISTRESS: 9, DIP: 9, DECLINE: 14, GROWTH: 14},
    common=0.07,
)


def age_density(age: Floats) -> Floats:
    """Density of the ages (years) of enterprises, up to a constant."""
    past = np.maximum(age - AGE_FIRST, 1e-3)
    return np.asarray(past ** (AGE_SHAPE - 1) * np.exp(-past / AGE_SCALE))


def _turnover() -> float:
    """Share of the enterprises that are founded in a year where ages stay: the density at its highest."""
    ages = np.arange(0.505, 60, 0.01)
    density = age_density(ages)
    return float(density.max() / (density.sum() * 0.01))


MONTHLY = Pace(
    step=1,
    founded=_turnover() / YEAR,
    closed=0.0,
    closed_late=0.0,
    repaid=0.02,
    barred=12,
    workout=3,
    began={DISTRESS: 5.05, DIP: 9, DECLINE: 14, GROWTH: 14},
    common=0.01,
    returns=0.96,
    odds={"demo": 0.08, "interactions": 0.2, "consortium": -0.27, "province": -0.17},
    steady=True,
)


def entry_ages(rng: np.random.Generator, n: int) -> Floats:
    """Ages at which enterprises come into the registers where ages stay, in years: below the most frequent age.

    The density of those at age a is that by which `age_density` rises there.
    """
    ages = np.linspace(AGE_FIRST, AGE_FIRST + MODE, 200)
    density = age_density(ages)
    return np.interp(uniform(rng, n), density / density[-1], ages).astype(np.float32)


def closing(age: Floats) -> Floats:
    """Chance that an enterprise of this age (years) closes within a month where ages stay."""
    past = np.maximum(age - AGE_FIRST, MODE)
    rate: Floats = (1 / AGE_SCALE - (AGE_SHAPE - 1) / past) / YEAR
    return rate


def slow_levels(pace: Pace, n: int, free: float, seed: int, number: int) -> Floats:
    """What is left of the last slow course that an enterprise had before the first month, on log sales, (n,).

    free: share of the enterprises that could begin a course. Each draw has a stream of its own, so that the first
    enterprises have the same whatever n is.
    """
    ago, down, deep = (stream(seed, "courses", number, "before", name) for name in ("ago", "down", "depth"))
    rates = {kind: free * SHARES[kind] / pace.began[kind] for kind in (DECLINE, GROWTH)}
    both = sum(rates.values())
    months = -np.log(np.maximum(uniform(ago, n), 1e-9)) / both
    left = SLOW_FALL * DEPTH * np.exp(DEPTH_SPREAD * normal(deep, n)) * pace.returns**months
    return np.where(uniform(down, n) < rates[DECLINE] / both, -left, left).astype(np.float32)
