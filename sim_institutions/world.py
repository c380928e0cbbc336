"""One block of the province, whole: enterprises, health, loans, defaults.

Two constants are found beforehand on a pilot block of its own, so that every block can be drawn by itself:
the merit that banks ask for, and the intercept of the log-odds of default.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim_institutions.enterprises import Enterprises, draw
from sim_institutions.geography import Geography, geography
from sim_institutions.health import Health, defaults, develop, staggered
from sim_institutions.lending import Lending, bank_defaults, lend
from sim_institutions.profiles import Profile
from sim_institutions.streams import BLOCK, Bools, Floats, logistic


@dataclass(frozen=True)
class Constants:
    """asked: merit that an average bank asks for. intercept: of the log-odds of default."""

    asked: float
    intercept: float


@dataclass(frozen=True)
class World:
    """Everything true about the enterprises of one block."""

    profile: Profile
    seed: int
    block: int | str
    where: Geography
    e: Enterprises
    health: Health
    lending: Lending
    default: Bools
    bank_default: Bools

    @cached_property
    def effects(self) -> dict[str, Floats]:
        """What happened, by facet, (n, 18)."""
        return staggered(self.health)


def world(profile: Profile, seed: int, block: int, n: int, constants: Constants) -> World:
    """Block number ``block`` with ``n`` enterprises."""
    where = geography(seed)
    e = draw(profile, where, seed, block, n)
    health = develop(e, where, seed, block)
    lending = lend(profile, e, health, where, constants.asked, seed, block)
    default = defaults(health, constants.intercept, seed, block)
    return World(
        profile, seed, block, where, e, health, lending, default, bank_defaults(lending, default, seed, block)
    )


def pilot(profile: Profile, seed: int) -> Constants:
    """The constants that give the profile's approval and default rate, by bisection on a pilot block."""
    where = geography(seed)
    e = draw(profile, where, seed, "pilot", BLOCK)
    health = develop(e, where, seed, "pilot")
    low, high = -6.0, 6.0
    for _ in range(14):
        asked = (low + high) / 2
        lending = lend(profile, e, health, where, asked, seed, "pilot")
        enough = lending.borrower.sum() / lending.applied.sum() > profile.approval
        low, high = (asked, high) if enough else (low, asked)
    risk = health.risk[lending.borrower]
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        above = float(np.mean(logistic(risk + np.float32(middle)), dtype=np.float64)) > profile.default_rate
        low, high = (low, middle) if above else (middle, high)
    return Constants(asked, low)
