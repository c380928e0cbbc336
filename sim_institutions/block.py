"""One block of simulated enterprises: who they are, how they fare, who borrows and who defaults.

The province is generated in blocks of up to ``BLOCK_SIZE`` enterprises, and every block can be generated
without any other one. Two constants apply to all blocks and are found first, on a separate pilot block: the
merit that banks ask for, and the intercept of the log-odds of default.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from sim_institutions.enterprises import Enterprises, draw_enterprises
from sim_institutions.geography import Geography, draw_geography
from sim_institutions.health import Health, defaults, develop_health, staggered
from sim_institutions.lending import Lending, bank_defaults, lend
from sim_institutions.profiles import Profile
from sim_institutions.random_streams import BLOCK_SIZE, Bools, Floats, logistic, stream, uniform

PILOT = "pilot"
# Share of borrowers whose loan is guaranteed.
GUARANTEED = 0.18


@dataclass(frozen=True)
class Constants:
    """What all blocks of a province share.

    asked: merit that an average bank asks for. intercept: of the log-odds of default.
    """

    asked: float
    intercept: float


@dataclass(frozen=True)
class Block:
    """Everything that is true about the enterprises of one block.

    number: its place among the blocks. default: who is over 90 days late within the 12 months after the
    observation date, (n,). bank_default: the same at each bank, (n, banks). intercept: of the log-odds of
    default.
    """

    profile: Profile
    seed: int
    number: int
    geography: Geography
    enterprises: Enterprises
    health: Health
    lending: Lending
    default: Bools
    bank_default: Bools
    intercept: float

    @cached_property
    def effects(self) -> dict[str, Floats]:
        """Effect on each moving facet of what happened to the enterprises, (n, 18)."""
        return staggered(self.health)

    @property
    def months(self) -> int:
        """Months of history."""
        return self.health.effect.shape[1]

    @property
    def came_due(self) -> Bools:
        """Who became over 90 days late at each bank in the period that a table's losses cover, (n, banks)."""
        return self.bank_default

    @cached_property
    def guaranteed(self) -> Bools:
        """Whose loan has a guarantor, (n,)."""
        return uniform(guarantees(self), len(self.enterprises)) < GUARANTEED

    def fixed(self, name: str) -> Floats:
        """A number from 0 to 1 that each enterprise keeps, (n,)."""
        return uniform(stream(self.seed, name, self.number), len(self.enterprises))


def generate_block(profile: Profile, seed: int, number: int, n: int, constants: Constants) -> Block:
    """Block ``number`` with ``n`` enterprises."""
    geography = draw_geography(seed)
    enterprises = draw_enterprises(profile, geography, seed, number, n)
    health = develop_health(enterprises, geography, seed, number, interactions=profile.interactions)
    lending = lend(profile, enterprises, health.levels, geography, constants.asked, seed, number)
    default = defaults(health, constants.intercept, seed, number)
    return Block(
        profile=profile,
        seed=seed,
        number=number,
        geography=geography,
        enterprises=enterprises,
        health=health,
        lending=lending,
        default=default,
        bank_default=bank_defaults(lending, default, seed, number),
        intercept=constants.intercept,
    )


def guarantees(block: Block) -> np.random.Generator:
    """The stream of guarantees, the same at all guarantors, so that each guaranteed loan has one guarantor."""
    return np.random.default_rng([block.seed, int.from_bytes(str(block.number).encode(), "big"), 77])


@cache
def pilot_constants(profile: Profile, seed: int) -> Constants:
    """The constants that give the profile's approval rate and default rate, by bisection on a pilot block."""
    geography = draw_geography(seed)
    enterprises = draw_enterprises(profile, geography, seed, PILOT, BLOCK_SIZE)
    health = develop_health(enterprises, geography, seed, PILOT, interactions=profile.interactions)
    low, high = -6.0, 6.0
    for _ in range(14):
        asked = (low + high) / 2
        lending = lend(profile, enterprises, health.levels, geography, asked, seed, PILOT)
        enough = lending.borrower.sum() / lending.applied.sum() > profile.approval
        low, high = (asked, high) if enough else (low, asked)
    return Constants(asked, _intercept(health.risk[lending.borrower], profile.default_rate))


def _intercept(risk: Floats, default_rate: float) -> float:
    """The intercept at which the mean probability of default is ``default_rate``."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        above = float(np.mean(logistic(risk + np.float32(middle)), dtype=np.float64)) > default_rate
        low, high = (low, middle) if above else (middle, high)
    return low
