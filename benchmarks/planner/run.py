"""Expected AUC against what came out, and what a planner's choices bring: see README.md.

FEDRISK_DATA=data PYTHONPATH=. python benchmarks/planner/run.py --jobs 16 --out benchmarks/planner/results.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import settings as s
from emulation import Portfolio, emulate, scores

from fedrisk.metrics import auc
from fedrisk.models.anchors import Anchor
from fedrisk.models.knowledge import Knowledge
from fedrisk.recipes.scorecard.choices import WORLDS, choose
from fedrisk.recipes.scorecard.planner import Planner
from fedrisk.study import Study

WITHIN = 0.015
"""AUC by which an expectation may miss."""


def came_out(data: Portfolio, others: Portfolio, known: Knowledge, draws: int) -> list[float]:
    """AUC of the study's card among all other enterprises, by draw of noise and hold-out."""
    out = []
    for seed in range(draws):
        made = emulate(s.with_bins(data, known), holdout=100 + seed, noise=200 + seed, known=known)
        out.append(auc(others.label, -scores(others, made.first, made.card)[0]))
    return out


def one(job: tuple[int, int, bool]) -> dict[str, Any]:
    """Figures of one setting."""
    number, draws, plan = job
    setting = s.SETTINGS[number]
    warnings.simplefilter("ignore")
    data, others = s.consortium(setting)
    known, anchors = s.knowledge(setting, data)
    begun = time.process_time()
    planner = Planner(data.study, data.features, len(data), known, anchors=anchors)
    expected = planner.expected()
    seconds = time.process_time() - begun
    made = came_out(data, others, known, draws)
    out = {
        "setting": number,
        "kind": setting.kind,
        **{k: v for k, v in asdict(setting).items() if v not in (0, "", (), None)},
        "defaults_in_training": round(float(data.label.sum() * 0.7)),
        "expected": expected.auc,
        "low": expected.low,
        "high": expected.high,
        "came_out": float(np.mean(made)),
        "error": float(np.std(made, ddof=1) / np.sqrt(draws)),
        "draws": made,
        "evaluated": [[a.auc, a.noise, a.sampling] for a in anchors],
        "seconds": seconds,
    }
    if plan:
        out |= _planned(data, others, known, anchors, draws)
    print(
        f"{number:2d} {setting.kind:14s} {setting.data} rows {len(data)} epsilon {setting.epsilon}: expected "
        f"{expected.auc:.3f} ({expected.low:.3f} to {expected.high:.3f}), came out {out['came_out']:.3f} "
        f"+- {out['error']:.3f}",
        out.get("choices", ""),
        round(out.get("planned", 0.0) - out["came_out"], 4) if plan else "",
        flush=True,
    )
    return out


def _planned(
    data: Portfolio, others: Portfolio, known: Knowledge, anchors: list[Anchor], draws: int
) -> dict[str, Any]:
    """The same with what the planner chooses, on the same seeds."""
    begun = time.process_time()
    chosen = choose(Planner(data.study, data.features, len(data), known, anchors=anchors, simulated=WORLDS))
    seconds = time.process_time() - begun
    study: Study = chosen.study
    made = came_out(replace(data, study=study), others, known, draws) if chosen.choices else None
    return {
        "choices": [c.name for c in chosen.choices],
        "tried": [[t.choice.name, t.gain, t.error, t.chosen] for t in chosen.tried],
        **({} if made is None else {"planned": float(np.mean(made)), "planned_draws": made}),
        "plan_seconds": seconds,
    }


def main() -> None:
    """Runs all settings, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, nargs="*", default=[])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="Choose as well, and measure what it brings.")
    parser.add_argument("--folder", default="provinces", help="Where simulated provinces are kept.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    numbers = options.settings or list(range(len(s.SETTINGS)))
    s.FOLDER = options.folder
    # Provinces are made once, before the jobs ask for them.
    for name in sorted(
        {s.SETTINGS[n].data for n in numbers} | {s.SETTINGS[n].prior.rstrip("+") for n in numbers}
    ):
        if name.isdigit():
            s.whole(name)
    jobs = [(n, options.draws, options.plan) for n in numbers]
    if options.jobs == 1:
        found = [one(job) for job in jobs]
    else:
        with ProcessPoolExecutor(options.jobs) as pool:
            found = list(pool.map(one, jobs))
    for kind in dict.fromkeys(f["kind"] for f in found):
        of = [f for f in found if f["kind"] == kind]
        missed = np.array([f["expected"] - f["came_out"] for f in of])
        hits = int((np.abs(missed) <= WITHIN).sum())
        print(
            f"{kind}: within {WITHIN} in {hits} of {len(of)}; mean miss {missed.mean():+.4f}, rms {np.sqrt((missed**2).mean()):.4f}"
        )
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
