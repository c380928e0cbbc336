"""One population over several periods: who is there, who borrows, who stops paying, and what is true in each period.

Period 1 ends with month 17, as the single table does, and has the same enterprises and the same health. Each later one,
a quarter or a month (`pace`), follows from the one before. In each, some enterprises are founded and some close; loans
end, are granted, and fall due; what is over 90 days late is written off after a while and leaves the bank's table.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from sim_institutions.block import Block, Constants
from sim_institutions.enterprises import NO_LINK, Enterprises, draw_enterprises
from sim_institutions.geography import draw_geography
from sim_institutions.health import Health, develop_health
from sim_institutions.ids import codes
from sim_institutions.journey import UNPAID, aged, over_30_days, travel, unpaid
from sim_institutions.lending import DEFAULTS_THERE_TOO, Lending, lend
from sim_institutions.pace import QUARTERLY, YEAR, Pace, closing, entry_ages
from sim_institutions.profiles import Profile
from sim_institutions.random_streams import BLOCK_SIZE, MONTHS, Bools, Floats, Ints, stream, uniform
from sim_institutions.shocks import Shock

# Numbers of founded enterprises begin here, beyond those of all blocks.
FIRST_FOUNDED = 1 << 40
LINKS = ("owner", "supplier")
Part = TypeVar("Part", Enterprises, Health)


@dataclass(frozen=True)
class Standing:
    """Who has loans at the end of a period.

    enterprises: with their ages. due: becomes over 90 days late within the next 12 months, (n,). fallen: became so at
    each bank within the period, (n, banks). working: became so in a period before, and its loans are not yet written
    off, (n,). there: who exists, (n,). lending: loans in the bank's table, those of `fallen` and `working` too;
    ``applied``: who asked for one in the period.
    """

    period: int
    month: int
    enterprises: Enterprises
    lending: Lending
    due: Bools
    fallen: Bools
    working: Bools
    there: Bools

    @property
    def active(self) -> Bools:
        """Loans that are outstanding and whose enterprise has not stopped paying, (n, banks)."""
        troubled = self.working | self.fallen.any(axis=1)
        active: Bools = self.lending.loan & ~troubled[:, None]
        return active


@dataclass(frozen=True)
class Window(Block):
    """A block as it stands at the end of a period. bank_default: within the 12 months after it.

    standing: of its loans. moved: effects on the moving facets. founded: first month of each, from the first of the
    history.
    """

    standing: Standing
    moved: dict[str, Floats]
    founded: Ints

    @property
    def period(self) -> int:
        """The period, from 1."""
        return self.standing.period

    @property
    def month(self) -> int:
        """The first month after it."""
        return self.standing.month

    @property
    def there(self) -> Bools:
        """Who exists, (n,)."""
        return self.standing.there

    @property
    def effects(self) -> dict[str, Floats]:
        """Effect on each moving facet, (n, months)."""
        return self.moved

    @property
    def came_due(self) -> Bools:
        """Who became over 90 days late at each bank in the period, (n, banks)."""
        return self.standing.fallen


class Population:
    """One block over ``periods`` periods. Its first periods are the same whatever follows.

    history: months of history of a window.
    """

    def __init__(
        self,
        profile: Profile,
        seed: int,
        number: int,
        n: int,
        constants: Constants,
        periods: int,
        shocks: Sequence[Shock] = (),
        pace: Pace = QUARTERLY,
        history: int = MONTHS,
    ) -> None:
        self.profile, self.seed, self.number = profile, seed, number
        self.constants, self.periods, self.pace, self.history = constants, periods, pace, history
        self.geography = draw_geography(seed)
        enterprises, health, self.founded = _everybody(profile, seed, number, n, periods, pace)
        newer = self.founded > 0
        # Ages count from here: those who are there at first have theirs after the first months.
        self.aging = np.where(newer, self.founded, MONTHS)
        self.entry = enterprises.age if pace.steady else np.where(newer, 0, enterprises.age)
        # The last label looks a year ahead, and who is late then stopped paying three months before.
        months = pace.month(periods) + YEAR - UNPAID
        self.journey = travel(
            enterprises,
            self.geography,
            health,
            shocks,
            months,
            seed,
            number,
            interactions=profile.interactions,
            pace=pace,
            aging=self.aging if pace.steady else None,
        )
        self.late = unpaid(self.journey, constants.intercept, seed, number)
        # First period in which each does not exist any more: by age alone, so that who stays is like who goes.
        self.ends = np.full(len(enterprises), np.iinfo(np.int64).max)
        if pace.steady:
            self._draw_ends()
        # Who becomes over 30 days late in which month; nobody asks for it of quarters.
        self.behind = self.late[:0]
        if pace.steady:
            self.behind = over_30_days(self.journey, self.late, constants.intercept, seed, number)
        self.draws = uniform(stream(seed, "labels", number, "onwards"), len(enterprises), len(profile.banks))
        self.closed = np.zeros(len(enterprises), dtype=bool)
        self.barred = np.zeros(len(enterprises), dtype=np.int64)
        self.written = np.zeros(len(enterprises), dtype=np.int64)
        self.borrowing = 0.0

    def windows(self, wanted: Collection[int] | None = None) -> Iterator[Window]:
        """The block at the end of each period, or of those that are wanted."""
        for standing in self.standings():
            if wanted is None or standing.period in wanted:
                yield self.window(standing)

    def standings(self) -> Iterator[Standing]:
        """Loans at the end of each period; once only."""
        before = None
        for period in range(1, self.periods + 1):
            before = self._standing(period, before)
            yield before

    def window(self, standing: Standing) -> Window:
        """What is true at the end of a period."""
        count = len(standing.due)
        geography, health, moved = self.journey.window(standing.month, count, self.history)
        return Window(
            profile=self.profile,
            seed=self.seed,
            number=self.number,
            geography=geography,
            enterprises=standing.enterprises,
            health=health,
            lending=standing.lending,
            default=standing.due,
            bank_default=self.at_banks(standing.lending.loan, standing.due),
            intercept=self.constants.intercept,
            standing=standing,
            moved=moved,
            founded=self.founded[:count],
        )

    def within(self, late: Bools, first: int, end: int, count: int) -> Bools:
        """Whom ``late`` (months, n) has from month ``first`` to before ``end``, of the first ``count``."""
        found: Bools = late[first:end, :count].any(axis=0)
        return found

    def at_banks(self, loan: Bools, late: Bools) -> Bools:
        """Whose lateness shows at each bank: on each loan with the probability of `lending`, on one for certain."""
        drawn = np.where(loan, self.draws[: len(loan)], 2.0)
        certain = drawn == drawn.min(axis=1, keepdims=True)
        shows: Bools = loan & late[:, None] & (certain | (drawn < DEFAULTS_THERE_TOO))
        return shows

    def _standing(self, period: int, before: Standing | None) -> Standing:
        month = self.pace.month(period)
        # Those founded later come after all others.
        count = int(np.searchsorted(self.founded, month))
        age = aged(self.entry[:count], self.aging[:count], month)
        enterprises = replace(_first(self.journey.enterprises, count), age=age)
        working = self.written[:count] > period
        fell = self.within(self.late, month - self.pace.step, month, count) & ~working
        due = self.within(self.late, month, month + YEAR, count)
        if before is not None:
            self._close(period, before, due)
        there: Bools = ~self.closed[:count]
        named = self.number if before is None else f"{self.number}/{self.pace.key(period)}"
        levels = self.journey.levels(month, count)
        asked = self.constants.asked
        lending = lend(self.profile, enterprises, levels, self.geography, asked, self.seed, named)
        if before is None:
            self.borrowing = float(lending.borrower.mean())
        else:
            soon = self.within(self.behind, month, month + UNPAID, count)
            lending = self._lent(period, before, lending, fell, fell | due | working | soon, there)
        lending = replace(lending, loan=lending.loan & there[:, None])
        fallen = self.at_banks(lending.loan, fell)
        hit = fallen.any(axis=1)
        self.barred[:count][hit] = period + self.pace.barred
        self.written[:count][hit] = period + self.pace.workout
        return Standing(period, month, enterprises, lending, due, fallen, working, there)

    def _close(self, period: int, before: Standing, due: Bools) -> None:
        """Some close; where ages do not stay, more of those that were late, and none of those that are about to be."""
        if self.pace.steady:
            self.closed |= self.ends <= period
            return
        count = len(before.there)
        at = uniform(stream(self.seed, "closed", self.number, self.pace.key(period)), count)
        late = before.fallen.any(axis=1)
        closes = np.where(late, at < self.pace.closed_late, (at < self.pace.closed) & ~due[:count])
        self.closed[:count] |= before.there & closes

    def _draw_ends(self) -> None:
        """When each closes where ages stay; who has closed is not late any more."""
        for period in range(2, self.periods + YEAR + 1):
            month = self.pace.month(period)
            at = uniform(stream(self.seed, "closed", self.number, self.pace.key(period)), len(self.ends))
            closes = at < closing(aged(self.entry, self.aging, month))
            there = (self.ends > period) & (self.founded < month - self.pace.step)
            self.ends[closes & there] = period
            self.late[month - self.pace.step :, closes & there] = False

    def _lent(
        self, period: int, before: Standing, fresh: Lending, fell: Bools, certain: Bools, there: Bools
    ) -> Lending:
        """Loans at the end of a period: those of the period before that go on, and new ones.

        As many ask as keep the share of borrowers, where enough would be granted a loan. certain: whose loans are not
        repaid.
        """
        old, count = len(before.there), len(fell)
        rng = stream(self.seed, "repaid", self.number, self.pace.key(period))
        # Who is about to be late does not repay first, so that a label is never of a loan that ended in between.
        stays = (uniform(rng, *before.lending.loan.shape) >= self.pace.repaid) | certain[:old, None]
        kept = np.zeros_like(fresh.loan)
        written = self.written[:old] == period
        kept[:old] = before.lending.loan & ~written[:, None] & stays
        # Who lenders did not know does not become known; those founded since are known as others are.
        visible = fresh.visible.copy()
        visible[:old] = before.lending.visible
        kept &= there[:, None]
        able = fresh.applied & visible & there & ~kept.any(axis=1) & (self.barred[:count] < period) & ~fell
        wanted = self.borrowing * there.sum() - kept.any(axis=1).sum()
        share = wanted / max(int((able & fresh.borrower).sum()), 1)
        asks = uniform(stream(self.seed, "asking", self.number, self.pace.key(period)), count)
        asking = able & (asks < share)
        asked = fresh.asked & asking[:, None]
        return Lending(visible, asking, kept | fresh.loan & asking[:, None], asked)


def _everybody(
    profile: Profile, seed: int, number: int, n: int, periods: int, pace: Pace
) -> tuple[Enterprises, Health, Ints]:
    """Enterprises of a block with those founded later, their first 18 months, and in which month each is founded."""
    geography = draw_geography(seed)
    parts = [draw_enterprises(profile, geography, seed, number, n)]
    strong = profile.interactions
    healths = [develop_health(parts[0], geography, seed, number, interactions=strong)]
    founded = [np.zeros(n, dtype=np.int64)]
    for period in range(2, periods + 1):
        name, count = f"{number}/founded/{pace.key(period)}", max(1, round(pace.founded * n))
        new = draw_enterprises(profile, geography, seed, name, count)
        if pace.steady:
            new = replace(new, age=entry_ages(stream(seed, name, "age"), count))
        first = FIRST_FOUNDED + number * BLOCK_SIZE * (1 << 8) + period * BLOCK_SIZE
        ids = codes(first + np.arange(count), new.individual, new.county, seed)
        start = sum(map(len, parts))
        links = {k: np.where(getattr(new, k) == NO_LINK, NO_LINK, getattr(new, k) + start) for k in LINKS}
        parts.append(replace(new, ids=ids, **links))
        healths.append(develop_health(new, geography, seed, name, interactions=strong))
        end = pace.month(period)
        founded.append(np.sort(stream(seed, name, "month").integers(end - pace.step, end, count)))
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
