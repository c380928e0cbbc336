"""Seasonal indices as a statistics office publishes them: by sector, of sales and of load, with two digits.

    python -m sim_institutions --months 13 --enterprises 65536 --seed 31 --out one
    python -m sim_institutions --months 13 --enterprises 65536 --seed 32 --out two
    python -m sim_institutions.seasons one two

prints the indices that stand here: for each sector and calendar month, the median over enterprises of a month as a
share of its own year, mean over the years 2025 and 2026 of the provinces given, divided by the mean of the twelve. As
in published indices, what many do at the ends of quarters is in them. All provinces have the seasons of
`geography.SEASONS`, so indices of some hold in others, as a country's do in its parts. Where a figure is to say what
they are worth, the province has another seed than those from which they come (31 and 32).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sim_institutions.geography import SECTORS
from sim_institutions.random_streams import MONTHS, Floats

OTHER = "other"
"""Enterprises whose sector is not known: the indices of all together."""

Indices = Mapping[str, tuple[float, ...]]

SALES: Indices = {
    "other": (1.12, 0.71, 1.03, 0.94, 0.96, 1.05, 0.93, 0.96, 1.08, 1.02, 0.99, 1.19),
    "trade and services": (1.17, 0.69, 1.02, 0.94, 0.98, 1.07, 0.94, 0.99, 1.07, 1.03, 0.95, 1.16),
    "light manufacturing": (0.91, 0.66, 1.17, 1.03, 0.98, 1.08, 0.91, 0.91, 1.13, 1.0, 1.05, 1.18),
    "farming": (1.32, 0.97, 0.85, 0.75, 0.78, 0.85, 0.82, 0.82, 1.01, 0.98, 1.28, 1.56),
    "crafts and technology": (0.95, 0.75, 1.08, 0.99, 1.0, 1.12, 0.95, 0.95, 1.14, 0.99, 1.0, 1.08),
}
LOAD: Indices = {
    "other": (1.09, 0.87, 0.98, 0.99, 1.0, 0.98, 0.98, 1.0, 1.0, 1.03, 1.02, 1.05),
    "trade and services": (1.11, 0.86, 0.97, 0.99, 1.01, 0.99, 0.99, 1.01, 0.99, 1.04, 0.99, 1.04),
    "light manufacturing": (0.98, 0.84, 1.04, 1.04, 1.02, 0.99, 0.97, 0.97, 1.02, 1.02, 1.04, 1.05),
    "farming": (1.18, 1.02, 0.89, 0.89, 0.91, 0.89, 0.93, 0.93, 0.97, 1.02, 1.16, 1.21),
    "crafts and technology": (1.0, 0.9, 1.0, 1.02, 1.02, 1.02, 0.99, 1.0, 1.02, 1.02, 1.02, 1.0),
}

BY_SERIES: dict[str, Indices] = {
    "invoices": SALES,
    "invoice_amount": SALES,
    "invoice_density": SALES,
    "load": LOAD,
}
"""Series that have a season. Headcount has none."""

SOURCES = {"sales": ("tax_office", "invoice_amount"), "load": ("power_utility", "load")}
YEARS = ("m01", "m13")
"""Months that end a calendar year."""


def indices(path: Floats, sector: Sequence[str | None]) -> dict[str, list[float]]:
    """Indices by sector, and of all, from one calendar year of one series, (n, 12); two digits are kept elsewhere.

    >>> indices(np.array([[1.0] * 6 + [3.0] * 6]), ["farming"])["farming"][::6]
    [0.5, 1.5]
    """
    whole = ~np.isnan(path).any(axis=1) & (path.sum(axis=1) > 0)
    share = path[whole] / path[whole].mean(axis=1, keepdims=True)
    names = np.asarray(sector, dtype=object)[whole]
    found = {OTHER: np.median(share, axis=0)}
    found |= {name: np.median(share[names == name], axis=0) for name in SECTORS if (names == name).any()}
    return {name: (month / month.mean()).tolist() for name, month in found.items()}


def estimated(provinces: Sequence[Path]) -> dict[str, dict[str, list[float]]]:
    """Indices of sales and of load, means over the years of provinces that move on."""
    found: dict[str, dict[str, list[float]]] = {}
    for which, (office, series) in SOURCES.items():
        years = [_year(root / month, office, series) for root in provinces for month in YEARS]
        found[which] = {
            name: np.round(np.mean([year[name] for year in years], axis=0), 2).tolist() for name in years[0]
        }
    return found


def _year(folder: Path, office: str, series: str) -> dict[str, list[float]]:
    names = [f"{series}_m{month:02d}" for month in range(MONTHS - 11, MONTHS + 1)]
    path = pd.read_parquet(folder / "histories" / f"{office}.parquet", columns=names)
    sector = pd.read_parquet(folder / "data" / f"{office}.parquet", columns=["sector"])["sector"]
    return indices(path.to_numpy(np.float32), sector.astype(object).tolist())


def main(words: list[str] | None = None) -> None:
    """Print the indices that the provinces have."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "provinces", nargs="+", type=Path, help="folders that --months 13 or more has written"
    )
    for which, found in estimated(parser.parse_args(words).provinces).items():
        print(which)
        for name, months in found.items():
            print(f"    {json.dumps(name)}: ({', '.join(map(str, months))}),")


if __name__ == "__main__":
    main()
