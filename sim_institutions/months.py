"""``python -m sim_institutions --months N``: a province that moves on month by month, for models at work.

``development`` is the month in which models are made, twelve months before ``m01``, with the labels that are known by
then. Each month has the institutions' tables and histories, what became known of earlier months' loans, who asked for
a loan, and the truth that no institution knows.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from sim_institutions.block import Constants, pilot_constants
from sim_institutions.ids import styled
from sim_institutions.index_columns import with_index
from sim_institutions.institutions import Office, offices
from sim_institutions.latent import latent
from sim_institutions.observations import Observations
from sim_institutions.outcomes import Outcome, under_way
from sim_institutions.pace import MONTHLY
from sim_institutions.population import Population, Standing, Window
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import MONTHS, Floats, Ints, stream, uniform
from sim_institutions.series import observe
from sim_institutions.shifts import Shift, shifted
from sim_institutions.shocks import Shock
from sim_institutions.tables import TableFiles, Tables, generated, institution_tables, packed
from sim_institutions.views.banks import ACTIVE

# Enterprises of a block: fewer than of a single table, since so many months of them are in memory.
MONTHS_BLOCK = 1 << 14
# The first month after the development month and after m01: a January each, since a model that is made at a quarter's
# end serves in all months. Before the development month the population has gone on for 30 months, so that loans,
# courses and ages are as they stay.
DEVELOPMENT, FIRST = 48, 60
# The calendar year of the first month of all.
FIRST_YEAR = 2021
MOST_MONTHS, MOST_HISTORY = 60, 36
FOLDER = "development"


@dataclass(frozen=True)
class Moving:
    """What is simulated: a profile, its size and seed, so many months, planted shocks and shifts.

    histories: whether monthly histories are written, and history_months: how many months they have.
    """

    profile: str
    enterprises: int
    seed: int
    months: int
    shocks: tuple[Shock, ...] = ()
    shifts: tuple[Shift, ...] = ()
    histories: bool = True
    history_months: int = MONTHS

    @property
    def blocks(self) -> list[int]:
        """Enterprises of each block."""
        left = range(0, self.enterprises, MONTHS_BLOCK)
        return [min(MONTHS_BLOCK, self.enterprises - first) for first in left]

    def constants(self) -> Constants:
        """Of all blocks."""
        found = pilot_constants(PROFILES[self.profile], self.seed)
        return replace(found, intercept=found.intercept + MONTHLY.odds[self.profile])

    def population(self, constants: Constants, number: int) -> Population:
        """Block ``number`` over all months."""
        return Population(
            PROFILES[self.profile],
            self.seed,
            number,
            self.blocks[number],
            constants,
            period_of(self.months),
            self.shocks,
            MONTHLY,
            self.history_months,
        )


def period_of(number: int) -> int:
    """The period of the population of month ``number``; 0 is the development month.

    >>> period_of(0), period_of(1), period_of(2)
    (31, 43, 44)
    """
    return MONTHLY.period(FIRST + number - 1 if number else DEVELOPMENT)


def number_of(period: int) -> int | None:
    """The number of a period's month, 0 for the development month; None for months that are not written."""
    if period == period_of(0):
        return 0
    number = period - period_of(1) + 1
    return number if number > 0 else None


def folder_of(number: int) -> str:
    """Where a month's tables are.

    >>> folder_of(0), folder_of(7)
    ('development', 'm07')
    """
    return f"m{number:02d}" if number else FOLDER


def calendar(number: int) -> str:
    """The calendar month at whose end a month's tables are made.

    >>> calendar(0), calendar(1), calendar(14)
    ('2024-12', '2025-12', '2027-01')
    """
    year, month = divmod(MONTHLY.month(period_of(number)) - 1, 12)
    return f"{FIRST_YEAR + year}-{month + 1:02d}"


def last_day(number: int) -> date:
    """The day at whose end a month's tables are made.

    >>> str(last_day(1)), str(last_day(2))
    ('2025-12-31', '2026-01-31')
    """
    year, month = map(int, calendar(number).split("-"))
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


# Settings, constants of all blocks, number of the block, and the first month that is written.
Job = tuple[Moving, Constants, int, int]


def month_tables(job: Job) -> Tables:
    """Tables of a block from a month on."""
    moving, constants, block, first = job
    population = moving.population(constants, block)
    outcome = Outcome(population)
    tables: Tables = {}
    for standing in population.standings():
        number = number_of(standing.period)
        if number is None:
            continue
        if number >= first:
            tables |= _month(moving, population, standing, outcome, number)
        if number > 0:
            outcome.follow(standing)
    return tables


def _month(
    moving: Moving, population: Population, standing: Standing, outcome: Outcome, number: int
) -> Tables:
    folder = f"{folder_of(number)}/"
    tables: Tables = {}
    labels = outcome.labels(standing)
    codes = _plain(standing)
    window = population.window(standing)
    for office, found in seen(moving, window, labels, number):
        ids = _written(office, window, found.rows)
        kept = moving.histories and office.bank is None
        tables |= institution_tables(office.name, ids, found, folder, histories=kept, ends=last_day(number))
    if number > 0:
        tables |= _outcomes(moving, population, outcome, standing, number, codes)
        tables |= _applications(moving, standing, number, codes)
    truth = latent(window, under_way(population, standing))
    there = np.flatnonzero(standing.there)
    columns = {"id": codes.take(pa.array(there)), **{name: values[there] for name, values in truth.items()}}
    return {**tables, f"truth/{folder_of(number)}": packed(pa.table(columns))}


def seen(
    moving: Moving, window: Window, labels: Mapping[str, Floats], number: int
) -> Iterator[tuple[Office, Observations]]:
    """What each institution observes at the end of a month. Labels are known of the development month alone."""
    for office in offices(window.profile):
        found = with_index(office.name, observe(office, window))
        found = shifted(moving.shifts, office, found, number, (window.seed, window.number))
        if office.bank is not None:
            rows, bank = found.rows, office.bank
            active = window.standing.active[rows, bank].astype(np.float32)
            own = {name: values[rows, bank] for name, values in labels.items()}
            if number > 0:
                own = {name: np.full_like(values, np.nan) for name, values in own.items()}
            found = replace(found, columns={**found.columns, **own, ACTIVE: active})
        yield office, found


def _outcomes(
    moving: Moving, population: Population, outcome: Outcome, standing: Standing, number: int, codes: pa.Array
) -> Tables:
    """What became known to each bank in a month."""
    banks = PROFILES[moving.profile].banks
    found: dict[int, list[pa.Table]] = {bank: [] for bank in range(len(banks))}
    for one in outcome.known(standing.period):
        of = number_of(one.period) or 0
        columns = {
            "id": codes.take(pa.array(one.rows)),
            "month": pa.array([calendar(of)] * len(one.rows)).dictionary_encode(),
            "label": pa.array([one.label] * len(one.rows)).dictionary_encode(),
            "outcome": pa.array(one.outcome.astype(np.int8)),
        }
        found[one.bank].append(pa.table(columns))
    text = pa.dictionary(pa.int32(), pa.string())
    fields = {"id": pa.string(), "month": text, "label": text, "outcome": pa.int8()}
    empty = pa.schema(list(fields.items())).empty_table()
    return {
        f"{folder_of(number)}/outcomes/{banks[bank].name}": packed(
            pa.concat_tables([empty, *parts]).unify_dictionaries().combine_chunks()
        )
        for bank, parts in found.items()
    }


def _applications(moving: Moving, standing: Standing, number: int, codes: pa.Array) -> Tables:
    """Who asked each bank for a loan in a month, and whether it was granted."""
    tables = {}
    for bank, taste in enumerate(PROFILES[moving.profile].banks):
        rows = np.flatnonzero(standing.lending.asked[:, bank])
        granted = standing.lending.loan[rows, bank]
        columns = {"id": codes.take(pa.array(rows)), "granted": pa.array(granted)}
        tables[f"{folder_of(number)}/applications/{taste.name}"] = packed(pa.table(columns))
    return tables


def _plain(standing: Standing) -> pa.Array:
    ids = standing.enterprises.ids
    return styled(ids, "plain", np.zeros(len(ids), dtype=bool))


def _written(office: Office, window: Window, rows: Ints) -> pa.Array:
    """Ids as an institution writes them, the same in every month, with their mistakes."""

    def drawn(name: str) -> Floats:
        rng = stream(window.seed, office.name, window.number, "ids", name)
        return uniform(rng, len(window.enterprises))[rows]

    codes = window.enterprises.ids[rows].copy()
    wrong = np.flatnonzero(drawn("wrong") < office.wrong)
    places = 8 + (9 * drawn("place")[wrong]).astype(np.int64)
    added = 1 + (30 * drawn("added")[wrong]).astype(np.int64)
    codes[wrong, places] = (codes[wrong, places] + added) % 31
    return styled(codes, office.style, drawn("odd") < office.odd)


def write_months(
    moving: Moving, out: Path, workers: int, say: Callable[[str], None], first: int = 0
) -> dict[int, dict[str, int]]:
    """Write all tables from month ``first`` on below ``out``; rows of each institution in each month."""
    constants = moving.constants()
    jobs: list[Job] = [(moving, constants, number, first) for number in range(len(moving.blocks))]
    names = [office.name for office in offices(PROFILES[moving.profile])]
    started = time.monotonic()
    with TableFiles(out) as files:
        made = generated(month_tables, jobs, min(workers, len(jobs)))
        for done, tables in enumerate(made, start=1):
            files.write(tables)
            passed, finished = time.monotonic() - started, sum(moving.blocks[:done])
            say(
                f"{finished:,} of {moving.enterprises:,} enterprises, to {folder_of(moving.months)}, {passed:.0f} s"
            )
    wanted = range(first, moving.months + 1)
    return {number: files.rows_of(names, f"{folder_of(number)}/") for number in wanted}
