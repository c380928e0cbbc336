"""How far each column of a province that moves on drifts: ``python -m sim_institutions.stability moving``.

Population stability index (Siddiqi 2017, chapter 9) of each column of each institution in each month against the
development month, in ten bins of equal size or by category, with one for missing values. Beside it what two independent
samples of that many rows differ by on average: rows of two months are mostly the same enterprises, so a column that
stays as it is is below that.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from sim_institutions.month_files import CALENDAR
from sim_institutions.months import FOLDER
from sim_institutions.random_streams import Floats
from sim_institutions.tables import ID
from sim_institutions.views.banks import LABELS

BINS = 10


@dataclass(frozen=True)
class Drift:
    """Of one column. index: by month. chance: mean of the index of two independent samples of that many rows."""

    institution: str
    column: str
    index: dict[str, float]
    chance: float

    @property
    def most(self) -> float:
        """The largest index of all months."""
        return max(self.index.values())

    @property
    def beyond(self) -> float:
        """How many times chance that is."""
        return self.most / self.chance


def drifts(folder: Path) -> Iterator[Drift]:
    """Every column that has more than one value in development."""
    months = [m for m in json.loads((folder / CALENDAR).read_text(encoding="utf-8")) if m != FOLDER]
    for file in sorted((folder / FOLDER / "data").glob("*.parquet")):
        first = pq.read_table(file).to_pandas().drop(columns=[ID, *LABELS], errors="ignore")
        tables = {m: pq.read_table(folder / m / "data" / file.name).to_pandas() for m in months}
        for name in first:
            counts = {m: _counted(first[name], one[name]) for m, one in tables.items()}
            before = _counted(first[name], first[name])
            bins = int((before > 0).sum())
            if bins < 2:
                continue
            rows = min(float(c.sum()) for c in counts.values())
            chance = (bins - 1) * (1 / before.sum() + 1 / rows)
            yield Drift(file.stem, str(name), {m: _index(before, c) for m, c in counts.items()}, chance)


def _counted(first: "pd.Series[object]", now: "pd.Series[object]") -> Floats:
    """Rows of a month by bin, the last one for missing values; bins are those of the first month."""
    if isinstance(first.dtype, pd.CategoricalDtype):
        names = list(first.cat.categories)
        code = now.astype(pd.CategoricalDtype(names)).cat.codes.to_numpy()
        return np.bincount(np.where(code < 0, len(names), code), minlength=len(names) + 1).astype(np.float64)
    old, new = (np.asarray(one, dtype=np.float64) for one in (first, now))
    edges = np.unique(np.nanquantile(old, np.arange(1, BINS) / BINS)) if (~np.isnan(old)).any() else old[:0]
    at = np.where(np.isnan(new), len(edges) + 1, np.searchsorted(edges, np.nan_to_num(new), side="left"))
    return np.bincount(at, minlength=len(edges) + 2).astype(np.float64)


def _index(before: Floats, now: Floats) -> float:
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (before, now))
    return float(((q - p) * np.log(q / p)).sum())


def main() -> None:
    """Print the columns that drift most."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.stability", description=__doc__)
    parser.add_argument("folder", type=Path, help="a province that --months has written, for example moving")
    parser.add_argument("--columns", type=int, default=20, help="how many are printed; default 20")
    given = parser.parse_args()
    found = sorted(drifts(given.folder), key=lambda one: -one.beyond)
    print("| institution | column | largest index | times chance |\n| --- | --- | --- | --- |")
    for one in found[: given.columns]:
        print(f"| {one.institution} | {one.column} | {one.most:.4f} | {one.beyond:.1f} |")
    beyond = [one.beyond for one in found]
    print(f"{len(found)} columns: largest index {max(one.most for one in found):.4f}; ", end="")
    print(f"half of them stay below {np.median(beyond):.1f} times chance")


if __name__ == "__main__":
    main()
