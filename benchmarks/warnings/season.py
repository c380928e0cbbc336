"""False alarms and recall of a warning card over a year, with the season left in the months, and taken out of them.

Reads a province that moves on (at least 13 months). The card has the history columns of the province's files, computed
by the product's formulas, and columns of the tables; it is fitted with the protocol's noise at epsilon 3 on 60 % of the
borrowers of the development month, and its threshold is the exact one at 5.2 % false alarms of the others. All active
borrowers of each later month are held against it: the share that is warned of without distress, the share in distress
that is, and the recall at that month's own threshold for 5.2 %. Means over three halves and noises. It is arrays, and
no study is run.

Ways: ``left in``; ``by sector``, the published indices (`sim_institutions.seasons`); ``for all``, those of all sectors
together; ``off by a tenth``, the published ones, each wrong by a tenth of its sector's swing, up or down at random;
``year before``, left in, without the kinds that hold the last months against those before (`fall`, `trend`).

    python -m sim_institutions --profile demo --months 15 --enterprises 24000 --seed 41 --out /tmp/year
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/warnings/season.py /tmp/year --out benchmarks/warnings/season.json
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recall import BANK, FALSE_ALARMS, MONTHS, Card, Month, distress_of, edges_of, fitted, table

from fedrisk.data.history_kinds import HistoryRule
from fedrisk.data.season import without_season
from fedrisk.models.history_columns import compute
from sim_institutions.monthly import KINDS
from sim_institutions.seasons import BY_SERIES, OTHER

SERIES = {
    "tax_office": ("invoices", "invoice_amount"),
    "power_utility": ("load",),
    "social_insurance": ("headcount",),
}
TABLE = {
    "tax_office": ("invoice_growth", "invoice_variation", "filing_gaps", "customer_concentration"),
    "power_utility": ("load_growth", "load_variation", "late_bills"),
    "social_insurance": ("headcount_growth", "contribution_gaps", "staff_turnover"),
}
WAYS = ("left in", "by sector", "for all", "off by a tenth", "year before")
TRAINING, DRAWS, EPSILON = 0.6, (1, 2, 3), 3.0
Indices = Mapping[str, Mapping[str, tuple[float, ...]]]


def indices_of(way: str) -> Indices:
    """Indices by series and sector; none where the season is left in."""
    if way in ("left in", "year before"):
        return {}
    if way == "for all":
        return {series: {OTHER: found[OTHER]} for series, found in BY_SERIES.items()}
    if way == "by sector":
        return BY_SERIES
    rng = np.random.default_rng(0)
    return {
        series: {
            name: tuple(np.array(of) + 0.1 * (max(of) - min(of)) * rng.choice([-1, 1], 12))
            for name, of in found.items()
        }
        for series, found in BY_SERIES.items()
    }


def month_of(root: Path, name: str, way: str, edges: Mapping[tuple[str, str], Any]) -> Month:
    """Active borrowers of a month, with columns in this way; edges: of the table's columns, found here where empty."""
    truth = pd.read_parquet(root / "truth" / f"{name}.parquet").set_index("id")
    loans = [c for c in truth if c.startswith("loan_")]
    truth = truth[truth[loans].any(axis=1)]
    year, number = map(int, json.loads((root / "months.json").read_text())[name].split("-"))
    ends, indices, columns, known = np.full(len(truth), 12 * year + number - 1), indices_of(way), [], []
    for holder, series in SERIES.items():
        own = table(root / name / "data" / f"{holder}.parquet", ["sector", *TABLE[holder]])
        known.append(truth.index.isin(own.index))
        own = own.reindex(truth.index)
        for one in series:
            names = [f"{one}_m{k:02d}" for k in range(1, MONTHS + 1)]
            paths = table(root / name / "histories" / f"{holder}.parquet", names)
            x = paths.reindex(truth.index).to_numpy(float)
            if one in indices:
                x = without_season(x, indices[one], ends, own["sector"].astype(object).to_numpy(object))
            for keys in KINDS[one]:
                if way == "year before" and keys["kind"] in ("fall", "trend"):
                    continue
                rule = HistoryRule(series=one, over=MONTHS, low=0, high=1e9, better="high", **keys)
                column = f"{one}_{rule.kind}"
                columns.append((holder, column, rule.of.bins, compute(rule, x, ends=ends)))
        columns += [_own(holder, c, own[c], edges) for c in TABLE[holder]]
    parts = [table(root / name / "data" / f"{c[5:]}.parquet", [*BANK]) for c in loans]
    bank = pd.concat(parts)
    bank = bank[~bank.index.duplicated()].reindex(truth.index)
    columns += [_own("bank", c, bank[c], edges) for c in BANK]
    course = truth["course"].to_numpy(str)
    return Month(
        columns,
        distress_of(truth, False),
        truth["course_months"].to_numpy(int),
        course,
        np.logical_and.reduce(known),
    )


def _own(owner: str, name: str, values: pd.Series, edges: Mapping[tuple[str, str], Any]) -> Any:
    return owner, name, edges.get((owner, name)) or edges_of(values), values.to_numpy(float)


def year_of(root: Path, way: str, names: list[str]) -> dict[str, Any]:
    """Rates by month, the development month first, as means over draws."""
    made = month_of(root, "development", way, {})
    edges = {(owner, name): found for owner, name, found, _ in made.columns}
    months = [made, *(month_of(root, name, way, edges) for name in names)]
    drawn = np.mean([_rates(months, seed) for seed in DRAWS], axis=0)
    year = drawn[:, 1:13]
    out = {
        key: [round(float(v), 4) for v in row]
        for key, row in zip(("false_alarms", "recall", "recall_at_own"), drawn, strict=True)
    }
    return {
        "way": way,
        "year": float(year[0].mean()),
        "span": float(np.ptp(year[0])),
        "recall_year": float(year[1].mean()),
        "recall_at_own_year": float(year[2].mean()),
        **out,
    }


def _rates(months: list[Month], seed: int) -> np.ndarray:
    """False alarms, recall, and recall at each month's own threshold, (3, months), of one draw."""
    made = months[0]
    chosen = list(range(len(made.columns)))
    training = np.random.default_rng(seed).random(len(made.distress)) < TRAINING
    card: Card = fitted(made, chosen, training, EPSILON, seed, True)
    rates, limit = [], np.nan
    for month in months:
        score = card.score(month, chosen)
        rows = ~training if month is made else np.ones(len(score), bool)
        calm, bad = score[rows & ~month.distress], score[rows & month.distress]
        own = np.quantile(calm, 1 - FALSE_ALARMS[0])
        limit = own if month is made else limit
        rates.append(((calm > limit).mean(), (bad > limit).mean(), (bad > own).mean()))
    return np.array(rates).T


def main() -> None:
    """Measure each way; print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("province", type=Path)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    runs = []
    for way in given.ways:
        runs.append(year_of(given.province, way, [f"m{k:02d}" for k in range(1, 14)]))
        print(json.dumps(runs[-1]), flush=True)
        if given.out:
            given.out.write_text(json.dumps({"province": given.province.name, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
