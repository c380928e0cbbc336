"""Expected AUC against what came out, and what a planner's choices bring: see README.md.

FEDRISK_DATA=data PYTHONPATH=. python benchmarks/planner/run.py --jobs 16 --out benchmarks/planner/results.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

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

REACH = 1.645
"""Standard deviations between an expectation and its bounds."""

LIMIT = 240
"""Seconds that choosing and measuring the choice may take in a setting."""


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
        round(out["planned"] - out["came_out"], 4) if "planned" in out else "",
        flush=True,
    )
    return out


def _planned(
    data: Portfolio, others: Portfolio, known: Knowledge, anchors: list[Anchor], draws: int
) -> dict[str, Any]:
    """The same with what the planner chooses, on the same seeds."""
    begun = time.process_time()
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(LIMIT)
    try:
        return _chosen(data, others, known, anchors, draws)
    except TimeoutError:
        return {"plan_seconds": time.process_time() - begun, "plan_stopped": True}
    finally:
        signal.alarm(0)


def _late(*_: object) -> None:
    raise TimeoutError


def _chosen(
    data: Portfolio, others: Portfolio, known: Knowledge, anchors: list[Anchor], draws: int
) -> dict[str, Any]:
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


def table(found: list[dict[str, Any]]) -> str:
    """Figures of all settings as Markdown, and by kind below."""
    head = (
        "known beforehand",
        "set, rows, epsilon",
        "evaluated",
        "expected",
        "nine of ten",
        "came out",
        "missed by",
    )
    lines = [f"| {' | '.join(head)} |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for f in found:
        said = "; ".join(f"{a:.3f} ± {np.hypot(n, s):.3f}" for a, n, s in f["evaluated"]) or "-"
        what = f"{f['data']}, {f['rows']:,}, {f['epsilon']:g}"
        bounds = f"{f['low']:.3f} to {f['high']:.3f}"
        out = f"{f['came_out']:.3f} ± {f['error']:.3f}"
        miss = f"{f['expected'] - f['came_out']:+.3f}"
        lines.append(f"| {f['kind']} | {what} | {said} | {f['expected']:.3f} | {bounds} | {out} | {miss} |")
    head = (
        "kind",
        f"within {WITHIN}",
        "by their bounds",
        "within bounds",
        "mean miss",
        "rms miss",
        "rms by bounds",
        "seconds",
    )
    lines += ["", f"| {' | '.join(head)} |", "| " + " | ".join(["---"] * len(head)) + " |"]
    kinds = [*dict.fromkeys(f["kind"] for f in found), "all"]
    return "\n".join([*lines, *(_row(k, [f for f in found if k in ("all", f["kind"])]) for k in kinds)])


def _row(kind: str, of: list[dict[str, Any]]) -> str:
    """One kind: hits, the hits to be expected if the bounds are right, and misses, actual and by the bounds."""
    missed = np.array([f["expected"] - f["came_out"] for f in of])
    spread = np.array([max(f["high"] - f["low"], 1e-6) / 2 / REACH for f in of])
    hits = int((np.abs(missed) <= WITHIN).sum())
    likely = float((2 * ndtr(WITHIN / spread) - 1).sum())
    inside = sum(f["low"] <= f["came_out"] <= f["high"] for f in of)
    rms, stated = (float(np.sqrt((v**2).mean())) for v in (missed, spread))
    seconds = np.mean([f["seconds"] for f in of])
    return (
        f"| {kind} | {hits} of {len(of)} | {likely:.1f} | {inside} of {len(of)} | {missed.mean():+.3f} | {rms:.3f} | "
        f"{stated:.3f} | {seconds:.0f} |"
    )


def plan_table(found: list[dict[str, Any]]) -> str:
    """What choosing brings, as Markdown: planned against default spending, on the same seeds."""
    lines = ["| setting | chosen | brought | seconds |", "| --- | --- | --- | --- |"]
    for f in found:
        if "plan_seconds" not in f:
            continue
        brought = "0"
        if "planned_draws" in f:
            each = np.array(f["planned_draws"]) - np.array(f["draws"])
            brought = f"{each.mean():+.4f} ± {each.std(ddof=1) / np.sqrt(len(each)):.4f}"
        chosen = "stopped" if f.get("plan_stopped") else "; ".join(f.get("choices", [])) or "nothing"
        what = f"{f['kind']}, {f['data']}, {f['rows']:,}, {f['epsilon']:g}"
        lines.append(f"| {what} | {chosen} | {brought} | {f['plan_seconds']:.0f} |")
    return "\n".join(lines)


def _begin(folder: str) -> None:
    s.FOLDER = folder


def _show(found: list[dict[str, Any]]) -> None:
    print(table(found))
    if any("plan_seconds" in f for f in found):
        print("\n" + plan_table(found))


def main() -> None:
    """Runs all settings, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, nargs="*", default=[])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="Choose as well, and measure what it brings.")
    parser.add_argument("--folder", default="provinces", help="Where simulated provinces are kept.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, help="Print the tables of a results.json, and run nothing.")
    options = parser.parse_args()
    if options.table is not None:
        _show(json.loads(options.table.read_text(encoding="utf-8")))
        return
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
        # Workers are started anew, so that their NumPy reads this: one of many jobs gains nothing from more threads.
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        pools = get_context("spawn")
        with ProcessPoolExecutor(options.jobs, pools, _begin, (options.folder,)) as pool:
            found = list(pool.map(one, jobs))
    _show(found)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
