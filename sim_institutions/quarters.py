"""Writes a series of quarters: tables, institutions' files and studies of each, the truth, and the map of counties."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fedrisk.analysis.fragility_settings import LEAST_REFERENCE
from sim_institutions.files import WORKERS, write_institutions, write_studies
from sim_institutions.geometry import write_counties
from sim_institutions.pace import QUARTERLY
from sim_institutions.profiles import PROFILES
from sim_institutions.series import Series, write_series
from sim_institutions.statistics_files import fragility_series, write_rules
from sim_institutions.truth import Truth

MOST_QUARTERS = 40
# The calendar year of the first month.
FIRST_YEAR = 2024
# Two years of quarters run within an hour here, and each institution's ledger counts all of them within one period.
POLICY = {"cap_epsilon": 12.0}


def write_quarters(
    series: Series,
    out: Path,
    *,
    workers: int = WORKERS,
    research: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, int]]:
    """Write everything into ``out``; returns the number of rows of each institution in each quarter."""
    rows, truth = write_series(series, out, workers, say)
    profile = PROFILES[series.profile]
    # One file for each institution, whose table is the quarter's: its store stays the same institution's.
    write_institutions(
        profile,
        out,
        tables="../${QUARTER}",
        research=research,
        histories=series.histories,
        policy=POLICY,
    )
    for quarter, of in enumerate(rows, start=1):
        name = f"{series.profile}_q{quarter}"
        write_studies(profile, series.enterprises, of, out / f"q{quarter}", name)
    write_counties(out / "counties.geojson")
    write_rules(series.enterprises, out, series=True)
    quarters = [(quarter_name(q), f"q{q}") for q in range(1, series.quarters + 1)]
    if len(quarters) > LEAST_REFERENCE:
        (out / "fragility.toml").write_text(fragility_series(quarters, profile), encoding="utf-8")
    else:
        say(f"no fragility.toml: an index needs {LEAST_REFERENCE + 1} quarters")
    text = json.dumps(as_truth(series, truth), ensure_ascii=False, indent=1)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")
    pq.write_table(truth.table(), out / "truth.parquet", compression="zstd")
    return rows


def as_truth(series: Series, truth: Truth) -> dict[str, Any]:
    """What stands in truth.json."""
    return {
        "profile": series.profile,
        "enterprises": series.enterprises,
        "seed": series.seed,
        "quarters": [
            {"quarter": q, "name": quarter_name(q), "ends": quarter_ends(q), "folder": f"q{q}"}
            for q in range(1, series.quarters + 1)
        ],
        "shocks": [shock.to_dict() for shock in series.shocks],
        "cells": list(truth.cells()),
    }


def quarter_name(quarter: int) -> str:
    """Calendar year and quarter.

    >>> quarter_name(1), quarter_name(4)
    ('2025Q2', '2026Q1')
    """
    year, number = divmod(QUARTERLY.month(quarter) // 3 - 1, 4)
    return f"{FIRST_YEAR + year}Q{number + 1}"


def quarter_ends(quarter: int) -> str:
    """The last month of a quarter.

    >>> quarter_ends(1), quarter_ends(4)
    ('2025-06', '2026-03')
    """
    year, month = divmod(QUARTERLY.month(quarter) - 1, 12)
    return f"{FIRST_YEAR + year}-{month + 1:02d}"
