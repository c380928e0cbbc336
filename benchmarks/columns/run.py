"""Columns, edges and bins by what a study can bear: where the thresholds of the plan come from. See README.md.

Three parts, all emulated (benchmarks/calibration): edges compares what bins from noisy histograms tell with what even
bins tell; columns and bins compare whole studies under the plan's rule with the same studies without it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))

import numpy as np
import pandas as pd
from emulation import Portfolio, emulate, split
from numpy.typing import NDArray
from portfolios import ROOT, at_epsilon, from_config, taiwan, thinned

from fedrisk.metrics import auc
from fedrisk.models.binning import Bins, edges_from_histogram, even_edges, grid_histogram
from fedrisk.recipes.scorecard import columns
from fedrisk.recipes.scorecard.plan import make_plan

Floats = NDArray[np.float64]

ROOMS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
"""Rows in units of the noise of 256 cells."""

CELLS = (256, 128, 64, 32)
COLUMN_ROOMS = (0.0, 8.0, 15.0, 25.0)
COUNTS = (8, 24)
MOST_ROWS = 12_000
CHOSEN_ON, CONFIRMED_ON = (1, 2, 3), (11, 12, 13)


def sets(province: Path | None) -> dict[str, Callable[[], Portfolio]]:
    """Portfolios by name, cut to MOST_ROWS so that positives are few."""
    out: dict[str, Callable[[], Portfolio]] = {
        "default_credit": lambda: from_config(ROOT / "configs" / "default_credit.toml"),
        "thin": lambda: thinned(from_config(ROOT / "configs" / "default_credit.toml"), 600),
        "taiwan": taiwan,
    }
    if province is not None:
        out["province"] = lambda: from_config(province)
    return out


def rare(province: Path | None) -> dict[str, Callable[[], Portfolio]]:
    """Portfolios with many rows and 600 defaults."""
    out = {"thin": sets(None)["thin"]}
    if province is not None:
        out["province, rare"] = lambda: thinned(from_config(province), 600)
    return out


def prepared(data: Portfolio, most: int = MOST_ROWS) -> Portfolio:
    """At most so many rows, true sizes declared, and private edges wherever a number has bounds."""
    if len(data) > most:
        data = data.rows(np.sort(np.random.default_rng(77).permutation(len(data))[:most]))
    features = tuple(
        replace(f, bins=None) if f.kind == "number" and f.bins is not None and f.low is not None else f
        for f in data.features
    )
    sizes = {"default_rate": float(data.label.mean()), "enterprises": len(data)}
    expected = data.study.expected.model_copy(update=sizes)
    return replace(data, features=features, study=data.study.model_copy(update={"expected": expected}))


# --- edges --------------------------------------------------------------------------------------------------


def information(codes: NDArray[Any], label: Floats, size: int) -> float:
    """Mutual information of bin and label in nats, corrected for its bias (Miller 1955)."""
    rate = label.mean()
    ones, zeros = np.bincount(codes, label, size), np.bincount(codes, 1 - label, size)
    there = ones + zeros
    with np.errstate(all="ignore"):
        terms = np.where(ones > 0, ones * np.log(ones / there / rate), 0) + np.where(
            zeros > 0, zeros * np.log(zeros / there / (1 - rate)), 0
        )
    return float(np.nansum(terms) / len(label) - ((there > 0).sum() - 1) / (2 * len(label)))


def edges(data: Portfolio, bins: int, draws: int, seed: int) -> dict[str, Any]:
    """Information of all columns under noisy and even edges, as a share of that under exact quantiles."""
    rng = np.random.default_rng(seed)
    exact = even = 0.0
    noisy = np.zeros((len(CELLS), len(ROOMS)))
    for f in data.features:
        if not f.private_edges:
            continue
        x, known = data.frames[f.institution][f.column], data.known.get(f.institution)
        x = x if known is None else x.mask(~known)

        def tells(inner: tuple[float, ...], feature: Any = f, values: Any = x) -> float:
            cut = Bins(feature, edges=inner)
            return information(cut.codes(values).astype(int), data.label, cut.size)

        even += tells(even_edges(f, bins))
        for i, cells in enumerate(CELLS):
            counts = grid_histogram(x, f, cells).astype(float)
            if i == 0:
                exact += tells(edges_from_histogram(counts, f, 0.0, bins))
            for k, room in enumerate(ROOMS):
                sigma = len(data) / room / np.sqrt(CELLS[0])
                for _ in range(draws):
                    drawn = counts + rng.normal(0, sigma, cells)
                    noisy[i, k] += tells(edges_from_histogram(drawn, f, sigma**2, bins)) / draws
    return {
        "bins": bins,
        "even": even / exact,
        "noisy": {
            str(c): dict(zip(map(str, ROOMS), row / exact, strict=True))
            for c, row in zip(CELLS, noisy, strict=True)
        },
    }


def edge_thresholds(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """By cells, least room of its own from which the histogram tells as much as the next coarser one, within .005.

    The coarsest is held against even edges. On the mean of all sets and numbers of bins.
    """
    every = [one for part in found.values() for one in part]
    mean = {c: np.mean([[one["noisy"][str(c)][str(r)] for r in ROOMS] for one in every], 0) for c in CELLS}
    even = np.full(len(ROOMS), np.mean([one["even"] for one in every]))
    out = {}
    for cells, coarser in zip(CELLS, (*(mean[c] for c in CELLS[1:]), even), strict=True):
        better = mean[cells] >= coarser - 0.005
        first = next((k for k in range(len(ROOMS)) if better[k:].all()), None)
        out[str(cells)] = None if first is None else ROOMS[first] * float(np.sqrt(CELLS[0] / cells))
    return out


# --- whole studies ------------------------------------------------------------------------------------------


def strengths(data: Portfolio, seed: int) -> Portfolio:
    """Columns declared strong (a quarter), medium or weak (a quarter) by an expert who is right in part.

    His order has correlation .7 with that by the AUC of each column alone.
    """
    alone = []
    for f in data.features:
        x = data.frames[f.institution][f.column]
        cut = pd.qcut(x, 20, duplicates="drop").cat.codes if f.kind == "number" else pd.factorize(x)[0]
        alone.append(
            auc(data.label, pd.Series(data.label).groupby(np.asarray(cut)).transform("mean").to_numpy())
        )
    known = (np.array(alone) - np.mean(alone)) / np.std(alone)
    guess = 0.7 * known + 0.714 * np.random.default_rng(seed).normal(size=len(known))
    place = guess.argsort().argsort() / len(guess)
    words = np.select([place >= 0.75, place < 0.25], ["strong", "weak"], "medium")
    features = (replace(f, strength=str(w)) for f, w in zip(data.features, words, strict=True))
    return replace(data, features=tuple(features))


@contextmanager
def rule(module: Any, name: str, value: float) -> Iterator[None]:
    """The plan with another constant."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def study_auc(data: Portfolio, holdout: int, noise: int, known: dict[Any, float]) -> float:
    """AUC of one study on its hold-out. known: of studies with the same plan, taken from there."""
    key = (make_plan(data.study, data.features).features, holdout, noise)
    if key not in known:
        known[key] = _study_auc(data, holdout, noise)
    return known[key]


def _study_auc(data: Portfolio, holdout: int, noise: int) -> float:
    _, held = split(len(data), holdout, data.study.holdout.percent)
    return auc(data.label[held], -emulate(data, holdout=holdout, noise=1000 * holdout + noise).total[held])


def paired(rows: list[dict[str, Any]], base: str) -> dict[str, Any]:
    """Mean AUC of each variant, and mean difference from the base with its standard error over hold-outs and seeds."""
    table = pd.DataFrame(rows).pivot_table(index=["holdout", "noise"], columns="variant", values="auc")
    gain = table.sub(table[base], axis=0)
    error = gain.std() / np.sqrt(len(gain))
    return {v: {"auc": table[v].mean(), "gain": gain[v].mean(), "error": error[v]} for v in table.columns}


def column_rooms(
    data: Portfolio, rooms: Sequence[float], holdouts: Sequence[int], seeds: int
) -> dict[str, Any]:
    """Studies by the room below which columns are left out; 0 leaves none out."""
    rows: list[dict[str, Any]] = []
    known: dict[Any, float] = {}
    for holdout in holdouts:
        declared = strengths(data, holdout)
        for noise in range(seeds):
            for room in rooms:
                with rule(columns, "COLUMN_ROOM", max(room, 1e-9)):
                    value = study_auc(declared, holdout, noise, known)
                rows.append({"variant": f"{room:g}", "holdout": holdout, "noise": noise, "auc": value})
    return paired(rows, "0")


def bin_counts(data: Portfolio, holdouts: Sequence[int], seeds: int) -> dict[str, Any]:
    """Studies by the number of bins of columns that state none; "rows" is the plan's own, by rows alone."""
    rows: list[dict[str, Any]] = []
    for holdout in holdouts:
        for noise in range(seeds):
            for count in (None, *COUNTS):
                bins = data.study.bins.model_copy(update={"count": count})
                other = replace(data, study=data.study.model_copy(update={"bins": bins}))
                with rule(columns, "COLUMN_ROOM", 1e-9):
                    value = _study_auc(other, holdout, noise)
                name = "rows" if count is None else str(count)
                rows.append({"variant": name, "holdout": holdout, "noise": noise, "auc": value})
    return paired(rows, "rows")


def said(part: str, name: str, epsilon: float, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures, once they are printed."""
    short = {k: {a: round(float(b), 4) for a, b in v.items()} for k, v in figures.items()}
    print(part, name, epsilon, short, flush=True)
    return figures


def main() -> None:
    """Print and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--province", type=Path, help="study file of a simulated province that nothing was chosen on"
    )
    parser.add_argument(
        "--choose", action="store_true", help="on the hold-outs that thresholds were chosen on"
    )
    parser.add_argument("--parts", default="edges,columns,bins")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    asked = parser.parse_args()
    start = time.monotonic()
    holdouts = CHOSEN_ON if asked.choose else CONFIRMED_ON
    rooms = COLUMN_ROOMS if asked.choose else (0.0, columns.COLUMN_ROOM)
    parts = asked.parts.split(",")
    out: dict[str, Any] = {"holdouts": holdouts, "seeds": asked.seeds}
    whole = {"edges", "columns"} & set(parts)
    data = {name: prepared(make()) for name, make in sets(asked.province).items() if whole}
    if "edges" in parts:
        found = {name: [edges(d, bins, 1, 5 + asked.choose) for bins in (8, 16)] for name, d in data.items()}
        out["edges"] = {"sets": found, "least_room": edge_thresholds(found)}
        print(json.dumps(out["edges"]["least_room"]), flush=True)
    if "columns" in parts:
        out["columns"] = {}
        for name, d in data.items():
            for epsilon in (0.5, 1.0, 3.0):
                figures = column_rooms(at_epsilon(d, epsilon), rooms, holdouts, asked.seeds)
                out["columns"][f"{name} {epsilon:g}"] = said("columns", name, epsilon, figures)
    if "bins" in parts:
        out["bins"] = {}
        for name, make in rare(asked.province).items():
            figures = bin_counts(at_epsilon(prepared(make(), 30_000), 1.0), holdouts, asked.seeds)
            out["bins"][f"{name} 1"] = said("bins", name, 1.0, figures)
    out["seconds"] = round(time.monotonic() - start)
    asked.out.write_text(json.dumps(out, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
