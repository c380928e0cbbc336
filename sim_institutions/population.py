"""One population over several quarters: who is there, who borrows, who stops paying, and what is true in each quarter.

Quarter 1 ends with month 17, as the single table does, and has the same enterprises and the same health. Each later
quarter ends three months later. In each, some enterprises are founded and some close; loans end, are granted, and fall
due; whoever becomes over 90 days late leaves the bank's table one quarter later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

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
# Share of the loans that end in a quarter.
REPAID = 0.06
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
    def effects(self) -> dict[str, Floats]:
        """Effect on each moving facet, (n, 18)."""
        return self.moved

    @property
    def came_due(self) -> Bools:
        """Who became over 90 days late in the quarter."""
        return self.fallen


class Population:
    """One block over ``quarters`` quarters. Its first quarters are the same whatever follows."""

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
        self.journey = travel(
            enterprises, geography, health, shocks, months, seed, number, interactions=profile.interactions
        )
        self.late = unpaid(self.journey, constants.intercept, seed, number)
        self.draws = uniform(stream(seed, "labels", number, "onwards"), len(enterprises), len(profile.banks))
        self.closed = np.zeros(len(enterprises), dtype=bool)
        self.barred = np.zeros(len(enterprises), dtype=np.int64)
        self.borrowing = 0.0

    def windows(self) -> Iterator[Window]:
        """The block at the end of each quarter."""
        before = None
        for quarter in range(1, self.quarters + 1):
            before = self._window(quarter, before)
            yield before

    def _window(self, quarter: int, before: Window | None) -> Window:
        month = last_month(quarter)
        # Those founded later come after all others.
        count = int(np.searchsorted(self.founded, month))
        geography, health, moved = self.journey.window(month, count)
        enterprises = replace(_first(self.journey.enterprises, count), age=self._age(month, count))
        fell, due = self._within(month - QUARTER, month, count), self._within(month, month + YEAR, count)
        if before is not None:
            self._close(quarter, before, due)
        there: Bools = ~self.closed[:count]
        named = self.number if before is None else f"{self.number}/{quarter}"
        asked, seed = self.constants.asked, self.seed
        lending = lend(self.profile, enterprises, health, geography, asked, seed, named)
        if before is not None:
            lending = self._lent(quarter, before, lending, fell, due, there)
        else:
            self.borrowing = float(lending.borrower.mean())
        lending = replace(lending, loan=lending.loan & there[:, None])
        fallen = self._at_banks(lending.loan, fell)
        self.barred[:count][fallen.any(axis=1)] = quarter + BARRED
        return Window(
            profile=self.profile,
            seed=seed,
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
            founded=self.founded[:count],
        )

    def _age(self, month: int, count: int) -> Floats:
        """Years that each enterprise is old."""
        founded = self.founded[:count]
        old = self.journey.enterprises.age[:count] + np.float32((month - MONTHS) / YEAR)
        young = (month - founded) / np.float32(YEAR)
        return np.where(founded > 0, young, old).astype(np.float32)

    def _within(self, first: int, end: int, count: int) -> Bools:
        """Who becomes over 90 days late from month ``first`` to before ``end``, (count,)."""
        found: Bools = self.late[first:end, :count].any(axis=0)
        return found

    def _at_banks(self, loan: Bools, late: Bools) -> Bools:
        """Whose lateness shows at each bank: on each loan with the probability of `lending`, on one for certain."""
        drawn = np.where(loan, self.draws[: len(loan)], 2.0)
        certain = drawn == drawn.min(axis=1, keepdims=True)
        shows: Bools = loan & late[:, None] & (certain | (drawn < DEFAULTS_THERE_TOO))
        return shows

    def _close(self, quarter: int, before: Window, due: Bools) -> None:
        """Some close: more of those that were late, none of those that are about to be."""
        count = len(before.there)
        at = uniform(stream(self.seed, "closed", self.number, quarter), count)
        late = before.fallen.any(axis=1)
        closes = np.where(late, at < CLOSED_LATE, (at < CLOSED) & ~due[:count])
        self.closed[:count] |= before.there & closes

    def _lent(
        self, quarter: int, before: Window, fresh: Lending, fell: Bools, due: Bools, there: Bools
    ) -> Lending:
        """Loans at the end of a quarter: those of the quarter before that go on, and new ones.

        As many ask as keep the share of borrowers, where enough would be granted a loan.
        """
        old, count = len(before.there), len(fell)
        rng = stream(self.seed, "repaid", self.number, quarter)
        # Who is about to be late does not repay first, so that a label is never of a loan that ended in between.
        stays = (uniform(rng, *before.lending.loan.shape) >= REPAID) | (fell[:old] | due[:old])[:, None]
        kept = np.zeros_like(fresh.loan)
        kept[:old] = before.lending.loan & ~before.fallen.any(axis=1)[:, None] & stays
        # Who lenders did not know does not become known; those founded since are known as others are.
        visible = fresh.visible.copy()
        visible[:old] = before.lending.visible
        kept &= there[:, None]
        able = fresh.applied & visible & there & ~kept.any(axis=1) & (self.barred[:count] < quarter) & ~fell
        wanted = self.borrowing * there.sum() - kept.any(axis=1).sum()
        share = wanted / max(int((able & fresh.borrower).sum()), 1)
        asking = able & (uniform(stream(self.seed, "asking", self.number, quarter), count) < share)
        return Lending(visible, asking, kept | fresh.loan & asking[:, None])


def _everybody(
    profile: Profile, seed: int, number: int, n: int, quarters: int
) -> tuple[Enterprises, Health, Ints]:
    """Enterprises of a block with those founded later, their first 18 months, and in which month each is founded."""
    geography = draw_geography(seed)
    parts = [draw_enterprises(profile, geography, seed, number, n)]
    strong = profile.interactions
    healths = [develop_health(parts[0], geography, seed, number, interactions=strong)]
    founded = [np.zeros(n, dtype=np.int64)]
    for quarter in range(2, quarters + 1):
        name, count = f"{number}/founded/{quarter}", max(1, round(FOUNDED * n))
        new = draw_enterprises(profile, geography, seed, name, count)
        first = FIRST_FOUNDED + number * BLOCK_SIZE * (1 << 8) + quarter * BLOCK_SIZE
        ids = codes(first + np.arange(count), new.individual, new.county, seed)
        start = sum(map(len, parts))
        links = {k: np.where(getattr(new, k) == NO_LINK, NO_LINK, getattr(new, k) + start) for k in LINKS}
        parts.append(replace(new, ids=ids, **links))
        healths.append(develop_health(new, geography, seed, name, interactions=strong))
        end = last_month(quarter)
        founded.append(np.sort(stream(seed, name, "month").integers(end - QUARTER, end, count)))
    return _joined(parts), _joined(healths), np.concatenate(founded)


def _joined(parts: Sequence[Part]) -> Part:
    """The arrays of several parts one after another."""
    first = parts[0]
    found: dict[str, Any] = {}
    for field in fields(first):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], dict):
            found[field.name] = {k: np.concatenate([v[k] for v in values]) for k in values[0]}
        else:
            found[field.name] = np.concatenate(values)
    return type(first)(**found)


def _first(part: Enterprises, count: int) -> Enterprises:
    """The first ``count`` enterprises; their links are among themselves."""
    return Enterprises(**{field.name: getattr(part, field.name)[:count] for field in fields(part)})
