"""How far is the AUC that an edit is said to cost from what it costs on rows that nobody trained on?

    OMP_NUM_THREADS=1 python benchmarks/card_edit/run.py [--seeds 101 102 103 104] [--size large|small]

Each province has a study at epsilon 1, emulated, and twenty-four edits of its card. Rows go to edits.jsonl, so that a run
that was stopped goes on; figures to results.json. The method was chosen on seed 71.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from lab import Held, edits_of, record_of  # noqa: E402
from provinces import province  # noqa: E402

from fedrisk.recipes.scorecard.card_editing import EditDesk  # noqa: E402
from fedrisk.recipes.scorecard.edited import CardSource  # noqa: E402

SIZES = {"large": (250_000, 65), "small": (40_000, 92)}
"""Enterprises of the province, and per cent of them that are held out: 87,000 rows are trained on, or 3,200."""

SAME = 1e-4
"""Changes of the AUC below which an edit is said to change nothing."""


def one(seed: int, size: str) -> list[dict[str, Any]]:
    """Edits of one study's card: what was said, and what was true."""
    enterprises, percent = SIZES[size]
    data = province(seed, "demo", enterprises)
    holdout = data.study.holdout.model_copy(update={"percent": percent})
    data = replace(data, study=data.study.model_copy(update={"holdout": holdout}))
    record = record_of(data, holdout=seed, noise=seed)
    source = CardSource.of(record)
    held, desk = Held.of(data, source, seed), EditDesk(source, record)
    released = desk.state(())
    before, out = held.figures(released), []
    for kind, edits in edits_of(source, seed):
        started = time.process_time()
        state = desk.state(edits)
        said = desk.spread.change(desk.parts(released), desk.parts(state))
        after = held.figures(state)
        out.append(
            {
                "seed": seed,
                "size": size,
                "gram": source.sums.second is not None,
                "kind": kind,
                "said": [said.change, said.low, said.high],
                "level": said.before,
                "true": after["auc"] - before["auc"],
                "auc": before["auc"],
                "slope": [before["slope"], after["slope"]],
                "ratio": [before["ratio"], after["ratio"]],
                "seconds": round(time.process_time() - started, 2),
            }
        )
    return out


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bias, root mean square error and coverage of what was said; how calibration was carried over."""
    said, low, high = np.array([r["said"] for r in rows]).T
    true = np.array([r["true"] for r in rows])
    off = said - true
    near = (low <= true + SAME) & (true - SAME <= high)
    slope, ratio = (np.array([r[name] for r in rows]) for name in ("slope", "ratio"))
    return {
        "edits": len(rows),
        "cards": len({r["seed"] for r in rows}),
        "true mean": round(float(true.mean()), 5),
        "true rms": round(float(np.sqrt(np.mean(true**2))), 5),
        "bias": round(float(off.mean()), 5),
        "rms": round(float(np.sqrt(np.mean(off**2))), 5),
        "correlation": round(float(np.corrcoef(said, true)[0, 1]), 3),
        "coverage of 95%": round(float(near.mean()), 3),
        "level said": round(float(np.mean([r["level"] for r in rows])), 4),
        "level true": round(float(np.mean([r["auc"] for r in rows])), 4),
        "slope moved": round(float(np.sqrt(np.mean((slope[:, 1] - slope[:, 0]) ** 2))), 4),
        "mean probability moved": round(float(np.sqrt(np.mean((ratio[:, 1] / ratio[:, 0] - 1) ** 2))), 4),
        "seconds": round(float(np.mean([r["seconds"] for r in rows])), 2),
    }


def main() -> None:
    """Run what is not there yet, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[101, 102, 103, 104])
    parser.add_argument("--size", choices=SIZES, default="large")
    args = parser.parse_args()
    file = HERE / "edits.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for seed in args.seeds:
        if any(r["seed"] == seed and r["size"] == args.size for r in rows):
            continue
        found = one(seed, args.size)
        rows += found
        with file.open("a") as out:
            out.writelines(json.dumps(r) + "\n" for r in found)
        print(seed, args.size, summary(found), flush=True)
    sizes = {size: [r for r in rows if r["size"] == size] for size in SIZES}
    kinds = {r["kind"]: [k for k in sizes["large"] if k["kind"] == r["kind"]] for r in sizes["large"]}
    figures = {
        **{size: summary(found) for size, found in sizes.items() if found},
        "by kind (large)": {kind: summary(found) for kind, found in kinds.items() if len(found) > 1},
    }
    (HERE / "results.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps({k: v for k, v in figures.items() if k in SIZES}, indent=1))


if __name__ == "__main__":
    main()
