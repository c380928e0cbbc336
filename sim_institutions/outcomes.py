"""What banks learn about their loans month by month: three labels, each known only once its time is over.

A loan that is active at the end of a month has a label of each kind, of what comes after it. A bank knows it when it
has happened, or when the months in which it could have happened are over. So the tables of a month have no label at
all, and each month's outcomes say what became known in it, of loans of which earlier month.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sim_institutions.health import DISTRESS
from sim_institutions.journey import DISTRESSED
from sim_institutions.pace import YEAR
from sim_institutions.population import Population, Standing
from sim_institutions.random_streams import Bools, Floats, Ints, stream, uniform
from sim_institutions.views.banks import DISTRESS_LABEL, LABEL, LATE_LABEL

# Months within which a bank's workout finds out whether a borrower is in distress.
FOUND = 3
# Months that distress is old when a workout calls it so: two bad months may be a dip.
SEEN = 2
# Months that the label of 30 days late looks ahead.
SOON = 3


@dataclass(frozen=True)
class Outcomes:
    """What became known of one label at one bank. period: of the table. rows: of the block. outcome: 0 or 1."""

    label: str
    bank: int
    period: int
    rows: Ints
    outcome: Ints


@dataclass(frozen=True)
class _Month:
    """shows: active loans on which lateness would show. events: found in which month after, 0 never, by label."""

    period: int
    active: Bools
    first: dict[str, tuple[Bools, Ints]]


HORIZON = {LABEL: YEAR, DISTRESS_LABEL: FOUND, LATE_LABEL: SOON}


class Outcome:
    """Labels and outcomes of one population; `standing` takes its months one after another."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._months: deque[_Month] = deque(maxlen=YEAR)

    def labels(self, standing: Standing) -> dict[str, Floats]:
        """Each label at each bank, (n, banks); NaN where no loan is active."""
        found = {}
        for name, (shows, months) in self._first(standing).items():
            label = (shows & (months > 0)[:, None]).astype(np.float32)
            found[name] = np.where(standing.active, label, np.float32(np.nan))
        return found

    def follow(self, standing: Standing) -> None:
        """The outcomes of this month's loans are waited for."""
        self._months.append(_Month(standing.period, standing.active, self._first(standing)))

    def known(self, period: int) -> Iterator[Outcomes]:
        """What becomes known in a period of the loans of those before."""
        for month in self._months:
            after = period - month.period
            for label, (shows, months) in month.first.items():
                if not 0 < after <= HORIZON[label]:
                    continue
                happened = np.flatnonzero(months == after)
                for bank in range(month.active.shape[1]):
                    positive = happened[shows[happened, bank]]
                    negative = positive[:0]
                    if after == HORIZON[label]:
                        never = month.active[:, bank] & ~(shows[:, bank] & (months > 0))
                        negative = np.flatnonzero(never)
                    rows = np.concatenate([positive, negative])
                    outcome = np.repeat([1, 0], [len(positive), len(negative)])
                    if len(rows):
                        order = np.argsort(rows, kind="stable")
                        yield Outcomes(label, bank, month.period, rows[order], outcome[order])

    def _first(self, standing: Standing) -> dict[str, tuple[Bools, Ints]]:
        """For each label the loans on which it shows, (n, banks), and how many months later, 0 never, (n,)."""
        population, month, count = self._population, standing.month, len(standing.due)
        everyone = np.ones(count, dtype=bool)
        shows = standing.active & population.at_banks(standing.lending.loan, everyone)
        late = _when(population.late[month : month + YEAR, :count])
        behind = _when(population.behind[month : month + SOON, :count])
        found = np.where(under_way(population, standing), self._delay(count), 0)
        return {LABEL: (shows, late), DISTRESS_LABEL: (standing.active, found), LATE_LABEL: (shows, behind)}

    def _delay(self, count: int) -> Ints:
        """Months after which the workout finds distress, which an enterprise keeps."""
        population = self._population
        drawn = uniform(stream(population.seed, "workout", population.number), count)
        return 1 + (drawn * FOUND).astype(np.int64)


def under_way(population: Population, standing: Standing) -> Bools:
    """Who is in distress that can be seen and does not yet recover, (n,): it began two to eight months ago."""
    last, count = standing.month - 1, len(standing.due)
    journey = population.journey
    age = last - journey.since[last, :count]
    found: Bools = (journey.course[last, :count] == DISTRESS) & (age >= SEEN) & (age < DISTRESSED)
    return found


def _when(events: Bools) -> Ints:
    """From 1: the first month of each; 0 where there is none."""
    return np.asarray(np.where(events.any(axis=0), 1 + events.argmax(axis=0), 0))
