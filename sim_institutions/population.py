"""One population over several quarters: who is there, who borrows, who stops paying, and what is true in each quarter.

Quarter 1 ends with month 17, as the single table does, and has the same enterprises and the same health. Each later
quarter ends three months later. In each, some enterprises are founded and some close; loans end, are granted, and fall
due; whoever becomes over 90 days late leaves the bank's table one quarter later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from sim_institutions.block import Block, Constants
from sim_institutions.enterprises import NO_LINK, Enterprises, draw_enterprises
from sim_institutions.geography import draw_geography
from sim_institutions.health import Health, develop_health
from sim_institutions.ids import codes
from sim_institutions.journey import UNPAID, travel, unpaid
from sim_institutions.lending import DEFAULTS_THERE_TOO, Lending, lend
from sim_institutions.profiles import Profile
from sim_institutions.random_streams import BLOCK_SIZE, MONTHS, Bools, Floats, Ints, stream, uniform
from sim_institutions.shocks import Shock

QUARTER, YEAR = 3, 12
# Shares of the enterprises: founded in a quarter, and closing in one; and of those that became late, closing.
FOUNDED, CLOSED, CLOSED_LATE = 0.01, 0.006, 0.4
# Share of the loans that end in a quarter, and of the enterprises without one that ask for one.
REPAID, ASKING = 0.06, 0.5
# Quarters for which no bank lends to an enterprise that was late.
BARRED = 4
# Numbers of founded enterprises begin here, beyond those of all blocks.
FIRST_FOUNDED = 1 << 40
LINKS = ("owner", "supplier")
Part = TypeVar("Part", Enterprises, Health)


def last_month(quarter: int) -> int:
    """The first month after a quarter, from the first month of the history."""
    return MONTHS + QUARTER * (quarter - 1)


@dataclass(frozen=True)
class Window(Block):
    """A block as it stands at the end of a quarter. bank_default: within the 12 months after it.

    quarter: from 1. moved: effects on the moving facets. fallen: who became over 90 days late at each bank within the
    quarter, (n, banks). there: who exists, (n,). founded: first month of each, from the first of the history.
    """

    quarter: int
    moved: dict[str, Floats]
    fallen: Bools
    there: Bools
    founded: Ints

    @property
    def month(self) -> int:
        """The first month after it."""
        return last_month(self.quarter)

    @property
    def effects(self) -> dict[str, Floats]:  # type: ignore[override]
        """Effect on each moving facet, (n, 18)."""
        return self.moved

    @property
    def came_due(self) -> Bools:
        """Who became over 90 days late in the quarter."""
        return self.fallen


class Population:
    """One block over ``quarters`` quarters; take its windows in order."""

    def __init__(
        self,
        profile: Profile,
        seed: int,
        number: int,
        n: int,
        constants: Constants,
        quarters: int,
        shocks: Sequence[Shock] = (),
    ) -> None:
        self.profile, self.seed, self.number = profile, seed, number
        self.constants, self.quarters = constants, quarters
        geography = draw_geography(seed)
        enterprises, health, self.founded = _everybody(profile, seed, number, n, quarters)
        # The last label looks a year ahead, and who is late then stopped paying three months before.
        months = last_month(quarters) + YEAR - UNPAID
        self.journey = travel(enterprises, geography, health, shocks, months, seed, number)
        self.late = unpaid(self.journey, constants.intercept, seed, number)
        self.draws = uniform(stream(seed, "labels", number, "onwards"), len(enterprises), len(profile.banks))
        self.closed = np.zeros(len(enterprises), dtype=bool)
        self.barred = np.zeros(len(enterprises), dtype=np.int64)

    def windows(self) -> Iterator[Window]:
        """The block at the end of each quarter."""
        before = None
        for quarter in range(1, self.quarters + 1):
            before = self._window(quarter, before)
            yield before

    def _window(self, quarter: int, before: Window | None) -> Window:
        month, number = last_month(quarter), f"{self.number}/{quarter}"
        geography, health, moved = self.journey.window(month)
        enterprises = replace(
            self.journey.enterprises, age=np.maximum(self.age(month), 0.1).astype(np.float32)
        )
        fell = self._within(month - QUARTER, month)
        due = self._within(month, month + YEAR)
        if before is not None:
            self._close(quarter, before, due)
        there = (self.founded < month) & ~self.closed
        asked = self.constants.asked
        seed = self.seed
        fresh = lend(
            self.profile,
            enterprises,
            health,
            geography,
            asked,
            seed,
            self.number if before is None else number,
        )
        lending = fresh if before is None else self._lent(quarter, before, fresh, fell, due)
        lending = replace(lending, loan=lending.loan & there[:, None])
        fallen = self._at_banks(lending.loan, fell)
        self.barred = np.where(fallen.any(axis=1), quarter + BARRED, self.barred)
        return Window(
            profile=self.profile,
            seed=self.seed,
            number=self.number,
            geography=geography,
            enterprises=enterprises,
            health=health,
            lending=lending,
            default=due,
            bank_default=self._at_banks(lending.loan, due),
            intercept=self.constants.intercept,
            quarter=quarter,
            moved=moved,
            fallen=fallen,
            there=there,
            founded=self.founded,
        )

    def age(self, month: int) -> Floats:
        """Years that each enterprise is old."""
        passed = (month - MONTHS) / YEAR
        old = self.journey.enterprises.age + np.float32(passed)
        return np.where(self.founded > 0, (month - self.founded) / np.float32(YEAR), old).astype(np.float32)

    def _within(self, first: int, end: int) -> Bools:
        """Who becomes over 90 days late from month ``first`` to before ``end``, (n,)."""
        return self.late[first:end].any(axis=0)

    def _at_banks(self, loan: Bools, late: Bools) -> Bools:
        """Whose lateness shows at each bank: on each loan with the probability of `lending`, on one for certain."""
        drawn = np.where(loan, self.draws, 2.0)
        certain = drawn == drawn.min(axis=1, keepdims=True)
        return loan & late[:, None] & (certain | (drawn < DEFAULTS_THERE_TOO))

    def _close(self, quarter: int, before: Window, due: Bools) -> None:
        """Some close: more of those that were late, none of those that are about to be."""
        at = uniform(stream(self.seed, "closed", self.number, quarter), len(due))
        late = before.fallen.any(axis=1)
        self.closed |= before.there & np.where(late, at < CLOSED_LATE, (at < CLOSED) & ~due)

    def _lent(self, quarter: int, before: Window, fresh: Lending, fell: Bools, due: Bools) -> Lending:
        """Loans at the end of a quarter: those of the quarter before that go on, and new ones."""
        rng = stream(self.seed, "loans", self.number, quarter)
        # Who is about to be late does not repay first, so that a label is never of a loan that ended in between.
        ends = (uniform(rng, *before.lending.loan.shape) < REPAID) & ~(fell | due)[:, None]
        kept = before.lending.loan & ~before.fallen.any(axis=1)[:, None] & ~ends
        free = ~kept.any(axis=1) & (self.barred < quarter) & ~fell
        asking = free & (uniform(rng, len(free)) < ASKING)
        visible = before.lending.visible | fresh.visible & (self.founded > last_month(quarter - 1) - QUARTER)
        new = fresh.loan & (asking & visible)[:, None]
        return Lending(visible, asking & visible, kept | new)


def _everybody(
    profile: Profile, seed: int, number: int, n: int, quarters: int
) -> tuple[Enterprises, Health, Ints]:
    """Enterprises of a block with those founded later, their first 18 months, and in which month each is founded."""
    geography = draw_geography(seed)
    parts = [draw_enterprises(profile, geography, seed, number, n)]
    healths = [develop_health(parts[0], geography, seed, number)]
    founded = [np.zeros(n, dtype=np.int64)]
    for quarter in range(2, quarters + 1):
        name, count = f"{number}/founded/{quarter}", max(1, round(FOUNDED * n))
        new = draw_enterprises(profile, geography, seed, name, count)
        first = FIRST_FOUNDED + number * BLOCK_SIZE * (1 << 8) + quarter * BLOCK_SIZE
        ids = codes(first + np.arange(count), new.individual, new.county, seed)
        start = sum(map(len, parts))
        links = {k: np.where(getattr(new, k) == NO_LINK, NO_LINK, getattr(new, k) + start) for k in LINKS}
        parts.append(replace(new, ids=ids, **links))
        healths.append(develop_health(new, geography, seed, name))
        end = last_month(quarter)
        founded.append(stream(seed, name, "month").integers(end - QUARTER, end, count))
    return _joined(parts), _joined(healths), np.concatenate(founded)


def _joined(parts: Sequence[Part]) -> Part:
    """The arrays of several parts one after another."""
    first = parts[0]
    found = {}
    for field in fields(first):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], dict):
            found[field.name] = {k: np.concatenate([v[k] for v in values]) for k in values[0]}
        else:
            found[field.name] = np.concatenate(values)
    return type(first)(**found)
