"""``python -m sim_institutions --quarters N``: the tables of one population at the end of each of N quarters.

Folders q1 to qN are like the single simulation: a study, institutions' files, tables, histories. The names, ids and
stores of the institutions are the same in each, so studies of one quarter after another draw on the same budgets.
``truth.json`` and ``truth.parquet`` hold what no institution knows, and ``counties.geojson`` where the counties lie.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim_institutions.block import Constants, pilot_constants
from sim_institutions.ids import mistyped, written
from sim_institutions.institutions import Office, offices
from sim_institutions.observations import Category, Observations
from sim_institutions.population import Population, Window
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import BLOCK_SIZE, MONTHS, Bools, Floats, stream
from sim_institutions.rolling import Rolling
from sim_institutions.shocks import Shock
from sim_institutions.tables import TableFiles, Tables, generated, institution_tables
from sim_institutions.truth import Truth, cell_sums, health_by_cell
from sim_institutions.views.banks import LABEL

# Columns of an enterprise younger than this many months are unknown: there is no year before.
GROWTH_NEEDS = {"_growth": MONTHS, "_growth_quarter": 15}


@dataclass(frozen=True)
class Series:
    """What is simulated: a profile, its size and seed, so many quarters, and planted shocks."""

    profile: str
    enterprises: int
    seed: int
    quarters: int
    shocks: tuple[Shock, ...] = ()
    histories: bool = True

    @property
    def blocks(self) -> list[int]:
        """Enterprises of each block."""
        left = range(0, self.enterprises, BLOCK_SIZE)
        return [min(BLOCK_SIZE, self.enterprises - first) for first in left]

    def constants(self) -> Constants:
        """Of all blocks."""
        return pilot_constants(PROFILES[self.profile], self.seed)


def observed(
    series: Series, constants: Constants, number: int
) -> Iterator[tuple[Window, Office, Observations]]:
    """What each institution observes of block ``number`` at the end of each quarter, in memory."""
    profile = PROFILES[series.profile]
    population = Population(
        profile,
        series.seed,
        number,
        series.blocks[number],
        constants,
        series.quarters,
        series.shocks,
    )
    for window in population.windows():
        for office in offices(profile):
            yield window, office, observe(office, window)


def observe(office: Office, window: Window) -> Observations:
    """What an institution observes at the end of a quarter: only of enterprises that exist, and only since they do."""
    place = (window.seed, office.name, window.number, len(window.enterprises), window.month)
    streams = (Rolling(*place, *more, months=window.months) for more in ((), ("cells",)))
    found = office.observe(window, *streams)
    kept = window.there[found.rows]
    rows = found.rows[kept]
    columns = {name: _chosen(values, kept) for name, values in found.columns.items()}
    histories = {name: values[kept] for name, values in found.histories.items()}
    begun = window.founded[rows] - (window.month - window.months)
    for path in histories.values():
        path[np.arange(window.months) < begun[:, None]] = np.nan
    for ending, months in GROWTH_NEEDS.items():
        for name, values in columns.items():
            if name.endswith(ending) and not isinstance(values, Category):
                values[window.months - begun < months] = np.nan
    if office.bank is not None:
        # A loan that fell due within the quarter has no outcome ahead.
        fell = window.came_due[rows, office.bank]
        columns[LABEL] = np.where(fell, np.nan, found.numbers(LABEL)[kept]).astype(np.float32)
    return Observations(rows, columns, histories)


def _chosen(values: Floats | Category, kept: Bools) -> Floats | Category:
    return Category(values.code[kept], values.names) if isinstance(values, Category) else values[kept]


Job = tuple[Series, Constants, int]
Made = tuple[Tables, Truth]


def series_tables(job: Job) -> Made:
    """Tables of a block by quarter and institution, and what is true of it."""
    series, constants, number = job
    tables: Tables = {}
    truth = Truth.empty(series.quarters)
    for window, office, found in observed(series, constants, number):
        rng = stream(window.seed, office.name, window.number, "written", window.month)
        codes = mistyped(window.enterprises.ids[found.rows], office.wrong, rng)
        ids = written(codes, office.style, office.odd, rng)
        folder = f"q{window.period}/"
        tables |= institution_tables(office.name, ids, found, folder, histories=series.histories)
        truth.add_columns(window.period, office, cell_sums(office, found))
        if not truth.health[window.period - 1].any():
            truth.health[window.period - 1] = health_by_cell(window)
    return tables, truth


def write_series(
    series: Series, out: Path, workers: int, say: Callable[[str], None]
) -> tuple[list[dict[str, int]], Truth]:
    """Write all tables below ``out/q1`` and so on; rows of each institution in each quarter, and the truth."""
    constants = series.constants()
    jobs: list[Job] = [(series, constants, number) for number in range(len(series.blocks))]
    names = [office.name for office in offices(PROFILES[series.profile])]
    truth = Truth.empty(series.quarters)
    started = time.monotonic()
    with TableFiles(out) as files:
        made = generated(series_tables, jobs, min(workers, len(jobs)))
        for done, (tables, part) in enumerate(made, start=1):
            files.write(tables)
            truth.add(part)
            passed = time.monotonic() - started
            finished = sum(series.blocks[:done])
            say(
                f"{finished:,} of {series.enterprises:,} enterprises, {series.quarters} quarters, {passed:.0f} s"
            )
    return [files.rows_of(names, f"q{quarter}/") for quarter in range(1, series.quarters + 1)], truth
