"""Exact cell sums of the province over quarters, with planted shocks: what the fragility index's noise is added to.

    python benchmarks/statistics/fragility_cells.py SEED ENTERPRISES [--quiet]

Writes FEDRISK_CACHE/SEED_ENTERPRISES[_quiet].npz: by indicator, quarter and cell (100 counties x 4 sectors) the number of
values and the sum of the values, centred and clipped to [-1, 1] between the study's bounds, of all institutions of the
indicator's owner; and in which quarter each cell's shock begins (0: none).
"""

import argparse
import os
from pathlib import Path

import numpy as np

from sim_institutions.block import pilot_constants
from sim_institutions.geography import COUNTIES, SECTORS
from sim_institutions.institutions import offices
from sim_institutions.population import Population
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import BLOCK_SIZE
from sim_institutions.rolling import Rolling
from sim_institutions.shocks import Shock
from sim_institutions.statistics_files import INDICATORS, Indicator

CACHE = Path(os.environ.get("FEDRISK_CACHE", "/tmp/fedrisk_fragility"))
QUARTERS = 9
JUDGED = (7, 8, 9)
# Shocks that begin in each quarter: a few in the reference period, many in the judged quarters; share of the cells.
PLANTED = {3: 4, 4: 4, 5: 4, 6: 4, 7: 12, 8: 12, 9: 12}
SHALLOWEST, DEEPEST = 0.25, 0.6


def planted(seed: int) -> tuple[Shock, ...]:
    """The shocks of a seed: so many in each quarter, each in a cell of its own, at random over cells and depths."""
    rng = np.random.default_rng([seed, 15])
    cells = iter(rng.permutation(len(COUNTIES) * len(SECTORS)))
    return tuple(
        Shock(
            quarter=quarter,
            county=COUNTIES[(cell := int(next(cells))) // len(SECTORS)],
            sectors=(SECTORS[cell % len(SECTORS)],),
            depth=float(rng.uniform(SHALLOWEST, DEEPEST)),
        )
        for quarter, count in PLANTED.items()
        for _ in range(count)
    )


def cell_sums(seed: int, enterprises: int, quiet: bool) -> dict[str, np.ndarray]:
    """Counts and sums (indicators, quarters, cells), and the quarter in which each cell's shock begins."""
    profile = PROFILES["demo"]
    constants = pilot_constants(profile, seed)
    shocks = () if quiet else planted(seed)
    shape = (len(INDICATORS), QUARTERS, len(COUNTIES) * len(SECTORS))
    counts, sums = np.zeros(shape), np.zeros(shape)
    owners = {"tax_office", "power_utility", "social_insurance"} | {b.name for b in profile.banks}
    there = [o for o in offices(profile) if o.name in owners]
    for number, first in enumerate(range(0, enterprises, BLOCK_SIZE)):
        size = min(BLOCK_SIZE, enterprises - first)
        for window in Population(profile, seed, number, size, constants, QUARTERS, shocks).windows():
            for office in there:
                rng = Rolling(seed, office.name, number, len(window.enterprises), window.month)
                columns = office.observe(window, rng).columns
                owner = "bank" if office.bank is not None else office.name
                county, sector = _codes(columns["county"], COUNTIES), _codes(columns["sector"], SECTORS)
                known = (county >= 0) & (sector >= 0)
                cell = county * len(SECTORS) + sector
                for i, indicator in enumerate(INDICATORS):
                    if indicator.owner == owner:
                        z = _centred(np.asarray(columns[indicator.column], float), indicator)
                        use = known & np.isfinite(z)
                        at = (i, window.period - 1)
                        counts[at] += np.bincount(cell[use], minlength=shape[2])
                        sums[at] += np.bincount(cell[use], z[use], minlength=shape[2])
    begins = np.zeros(shape[2], np.int64)
    for shock in shocks:
        for county, sector in shock.cells:
            begins[county * len(SECTORS) + sector] = shock.quarter
    return {"counts": counts, "sums": sums, "begins": begins}


def _codes(column, names: tuple[str, ...]) -> np.ndarray:
    """Places of a column's categories in ``names``, -1 where it is missing."""
    places = np.array([*(names.index(n) for n in column.names), -1])
    return places[column.code]


def _centred(values: np.ndarray, indicator: Indicator) -> np.ndarray:
    middle, half = (indicator.high + indicator.low) / 2, (indicator.high - indicator.low) / 2
    return np.clip((values - middle) / half, -1, 1)


def load(seed: int, enterprises: int, quiet: bool = False) -> dict[str, np.ndarray]:
    """From the cache, or made."""
    file = CACHE / f"{seed}_{enterprises}{'_quiet' if quiet else ''}.npz"
    if not file.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(f"{file}.part", "wb") as out:
            np.savez_compressed(out, **cell_sums(seed, enterprises, quiet))
        os.replace(f"{file}.part", file)
    with np.load(file) as content:
        return dict(content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed", type=int, help="of the province, for example 21")
    parser.add_argument("enterprises", type=int, help="how many, for example 20000")
    parser.add_argument("--quiet", action="store_true", help="a province without shocks")
    asked = parser.parse_args()
    load(asked.seed, asked.enterprises, asked.quiet)
