"""What memory brings to the twelfth of twelve monthly studies.

Provinces of 30,000 enterprises (about 1,000 defaults in training), epsilon .5 and 1 each month, three hold-outs on which
no month trained, several noise seeds. Scenarios and what they assume are in `scenarios.py`, the studies in `series.py`.
Prints a table and writes results.json next to this file. Needs folders made by

    python -m sim_institutions --enterprises 30000 --seed 101 --out p101

    OMP_NUM_THREADS=1 python benchmarks/memory/run.py p101 p102 p103 [--seeds 6] [--jobs 1] [--scenario NAME ...]

`--pack` first writes p101.pkl and so on, which may be named instead of folders where only numpy, scipy, pandas, pydantic
and scikit-learn are installed.
"""

import argparse
import contextlib
import functools
import json
import multiprocessing
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scenarios import DRAWN, SCENARIOS, Months
from series import Card, Floats, Series

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))

from emulation import Portfolio, split
from portfolios import at_epsilon, from_config

from fedrisk.analysis import card_sums
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import Knowledge, PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.memory import Remembered, remember_counts
from fedrisk.recipes.scorecard import fitting

EPSILONS = (0.5, 1.0)
HOLDOUTS = 3
TARGETS = {0.5: 0.79, 1.0: 0.805}


@functools.lru_cache(maxsize=1)
def province(folder: str) -> Portfolio:
    """The portfolio of a simulated province, from its folder or as it was packed."""
    if folder.endswith(".pkl"):
        return pickle.loads(Path(folder).read_bytes())
    return from_config(Path(folder) / "study.toml")


def plain_average(memory: Sequence[PastStudy], bins: Sequence[Bins], counts: LabelCounts) -> Remembered:
    """All studies' counts with equal weights, brought to this one's numbers of defaults and others."""
    every = [*(p.counts for p in memory), counts]

    def mean(part: str, total: str) -> tuple[Floats, ...]:
        scaled = [[a * getattr(counts, total) / getattr(c, total) for a in getattr(c, part)] for c in every]
        return tuple(np.mean(np.stack(f), 0) for f in zip(*scaled, strict=True))

    variance = counts.variance / len(every)
    whole = LabelCounts(mean("n1", "positives"), mean("n0", "negatives"), variance)
    return Remembered(
        counts=whole, worth=np.full(len(variance), len(every)), rate_weights=np.zeros(len(memory))
    )


def one(job: tuple[str, str, float, int]) -> dict[str, Any]:
    """One series: AUC of the last month's card by what it remembers, and how honest the remembered counts are."""
    warnings.filterwarnings("ignore")
    folder, scenario, epsilon, seed = job
    data = province(folder)
    train, held = split(len(data), 1 + seed % HOLDOUTS)
    series = Series(at_epsilon(data, epsilon), 1000 + seed)
    series.begin(train)
    months = SCENARIOS[scenario](train, series.codes, data.label, series.bins, np.random.default_rng(seed))
    for month in months.months[:-1]:
        series.study(month, series.past)
    past, last = list(series.past), months.months[-1]

    def scored(card: Card, known: Knowledge | None = None) -> float:
        return auc(months.label[held], -card.scores(data, months.codes, known)[held])

    began = time.process_time()
    card = series.study(last, past)
    row: dict[str, Any] = {
        "province": Path(folder).name,
        "scenario": scenario,
        "epsilon": epsilon,
        "seed": seed,
    }
    row["memory"] = scored(card)
    row["seconds"] = time.process_time() - began
    began = time.process_time()
    known = remember_counts(past, card.bins, card.counts)
    row["remember_seconds"] = time.process_time() - began
    row |= {"studies": known.studies, "gain": known.gain} | honesty(series, months, known, train)
    row["breaks"] = [[b.study, b.what] for b in known.breaks]
    row["counts only"] = scored(card, Knowledge(memory=tuple(_without_gram(p) for p in past)))
    with patched(plain_average):
        row["average"] = scored(series.study(last, past))
    began = time.process_time()
    row["alone"] = scored(series.study(last, ()))
    row["alone_seconds"] = time.process_time() - began
    series.data = at_epsilon(series.data, np.inf)
    row["no noise"] = scored(series.study(last, ()))
    return row


@contextlib.contextmanager
def patched(remember: Callable[..., Remembered]) -> Iterator[None]:
    """Studies combine counts in another way."""
    for module in (fitting, card_sums):
        module.remember_counts = remember  # type: ignore[attr-defined]
    yield
    for module in (fitting, card_sums):
        module.remember_counts = remember_counts  # type: ignore[attr-defined]


def _without_gram(past: PastStudy) -> PastStudy:
    return PastStudy(study=past.study, digest="", ended="", bins=past.bins, counts=past.counts)


def honesty(series: Series, months: Months, known: Remembered, train: Any) -> dict[str, float]:
    """Root mean square of standardised errors of remembered defaults by bin, and how often |z| < 1.96.

    Where borrowers are redrawn the truth is that of all from whom they are drawn, and the last month's own draw,
    which the estimator adds as sampling variance, is added here.
    """
    scale = len(months.months[-1].rows) / len(train)
    fresh = 1 - DRAWN if scale < 1 else 0.0
    columns = [k for k, b in enumerate(series.bins) if b.feature.is_column]
    z = []
    for j, k in enumerate(columns):
        exact = np.bincount(months.codes[k][train], months.label[train], series.bins[k].size) * scale
        variance = known.counts.variance[j] + fresh * exact * (1 - exact / exact.sum())
        z.append((known.counts.n1[j] - exact) / np.sqrt(variance))
    every = np.concatenate(z)
    return {"z": float(np.sqrt((every**2).mean())), "covered": float((np.abs(every) < 1.96).mean())}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over series and their standard errors by scenario and epsilon."""
    out: dict[str, Any] = {}
    names = ("alone", "average", "counts only", "memory", "no noise")
    for scenario, epsilon in dict.fromkeys((r["scenario"], r["epsilon"]) for r in rows):
        mine = [r for r in rows if (r["scenario"], r["epsilon"]) == (scenario, epsilon)]
        found = {n: float(np.mean([r[n] for r in mine])) for n in names}
        found |= {n: float(np.mean([r[n] for r in mine])) for n in ("studies", "gain", "covered", "seconds")}
        found |= {n: float(np.mean([r[n] for r in mine])) for n in ("remember_seconds", "alone_seconds")}
        found["z"] = float(np.sqrt(np.mean([r["z"] ** 2 for r in mine])))
        spread = np.std([r["memory"] for r in mine], ddof=1) if len(mine) > 1 else np.nan
        found["memory_error"] = float(spread / np.sqrt(len(mine)))
        apart = np.array([r["memory"] - r["average"] for r in mine])
        found["over_average_error"] = (
            float(apart.std(ddof=1) / np.sqrt(len(mine))) if len(mine) > 1 else np.nan
        )
        found["breaks"] = float(np.mean([len(r["breaks"]) for r in mine]))
        found["runs"] = len(mine)
        found["reached"] = bool(found["memory"] >= TARGETS[epsilon])
        out[f"{scenario}, epsilon {epsilon:g}"] = found
    return out


def main() -> int:
    """All series; returns 0 if the targets are reached with the same rows and with redrawn borrowers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("provinces", nargs="+")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    parser.add_argument(
        "--pack", action="store_true", help="only write PROVINCE.pkl of each, for another machine"
    )
    given = parser.parse_args()
    if given.pack:
        for folder in given.provinces:
            Path(f"{folder}.pkl").write_bytes(pickle.dumps(province(folder)))
        return 0
    jobs = [
        (p, s, e, seed)
        for seed in range(given.seeds)
        for p in given.provinces
        for s in given.scenario or SCENARIOS
        for e in EPSILONS
    ]
    rows = []
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for row in pool.imap_unordered(one, jobs):
            rows.append(row)
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
            found = {"summary": summary(rows), "rows": rows}
            given.out.write_text(json.dumps(found, indent=1) + "\n")
    for name, figures in summary(rows).items():
        print(name, {k: round(v, 4) for k, v in figures.items()})
    aims = [f["reached"] for n, f in summary(rows).items() if n.startswith(("same rows", "redrawn"))]
    return 0 if all(aims) else 1


if __name__ == "__main__":
    sys.exit(main())
