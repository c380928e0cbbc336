"""Warning cards by the linear step and by the logistic one, from the same emulated releases of a moving province.

    python -m sim_institutions --profile consortium --months 1 --enterprises 131072 --seed 2 --out /tmp/moving
    OMP_NUM_THREADS=1 python benchmarks/warnings/logistic.py /tmp/moving --epsilon 1 3 --out logistic.json

Reads the province's `warning.toml` with all of its columns, or only those histories that `recall.py` calls ready. Plan, bins,
noise and arithmetic are the product's (benchmarks/calibration/emulation.py); recall is measured on the hold-out, at its
own exact threshold. Hold-out and noise are drawn anew for each study; both steps have the same.

With ``--halves`` it cuts the province into random halves so many times instead, and prints the share of bins whose points
differ by at most two stated errors (benchmarks/calibration/point_errors.py).
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "calibration"))

from emulation import Emulated, Portfolio, emulate, figures
from point_errors import covered, with_public_bins
from portfolios import at_epsilon, from_config
from recall import COLUMNS, FALSE_ALARMS, HOLDERS


def warning_portfolio(root: Path) -> Portfolio:
    """Active borrowers of the development month with the label of the warning study."""
    os.environ["MONTH"] = "development"
    return from_config(root / "warning.toml")


def ready(data: Portfolio) -> Portfolio:
    """The same with the ready history columns alone."""
    names = {f"{HOLDERS[holder]}_{kind}" for holder, of in COLUMNS.items() for kind, _ in of}
    return replace(data, features=tuple(f for f in data.features if f.column in names))


def linear(data: Portfolio) -> Portfolio:
    """The same as a study without a threshold, whose weights are those of the linear step."""
    return replace(data, study=data.study.model_copy(update={"warning": None}))


def found(data: Portfolio, made: Emulated) -> dict[str, float]:
    """Recall at each rate of false alarms, AUC, log loss and slope of the calibrated card, on the hold-out."""
    label, probability = data.label[made.held], made.probability[made.held]
    risk = -made.total[made.held]
    out = {k: v for k, v in figures(label, probability).items() if k in ("auc", "log_loss", "slope")}
    for rate in FALSE_ALARMS:
        limit = np.quantile(risk[label == 0], 1 - rate)
        out[f"recall_{rate}"] = float((risk[label == 1] > limit).mean())
    known = np.all([data.known[h][made.held] for h in HOLDERS], axis=0)
    limit = np.quantile(risk[known & (label == 0)], 1 - FALSE_ALARMS[0])
    return {**out, "recall_known": float((risk[known & (label == 1)] > limit).mean())}


def halved(data: Portfolio, cuts: int) -> dict[str, float]:
    """Share of bins within two stated errors between halves, by step."""
    steps = (("linear", linear(data)), ("logistic", data))
    return {
        step: round(float(np.concatenate([covered(one, k) for k in range(cuts)]).mean()), 4)
        for step, one in steps
    }


def main() -> None:
    """All studies; print and write the mean of each step and the mean difference with its standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("province", type=Path)
    parser.add_argument("--epsilon", nargs="+", type=float, default=[3.0])
    parser.add_argument("--columns", nargs="+", default=["all", "ready"])
    parser.add_argument("--studies", type=int, default=3, help="hold-outs and noises, for example 3")
    parser.add_argument("--halves", type=int, help="cuts into halves, for errors of points, for example 4")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    data, rows = warning_portfolio(given.province), []
    for columns in given.columns:
        chosen = ready(data) if columns == "ready" else data
        fixed = with_public_bins(chosen) if given.halves else chosen
        for epsilon in given.epsilon:
            noisy = at_epsilon(fixed, epsilon)
            if given.halves:
                print(columns, epsilon, halved(noisy, given.halves), flush=True)
                continue
            for seed in range(1, given.studies + 1):
                for step, one in (("linear", linear(noisy)), ("logistic", noisy)):
                    start = time.process_time()
                    made = emulate(one, holdout=seed, noise=seed)
                    cell = {"columns": columns, "epsilon": epsilon, "seed": seed, "step": step}
                    seconds = time.process_time() - start
                    rows.append({**cell, **found(one, made), "seconds": seconds})
                    print(
                        {k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()},
                        flush=True,
                    )
                    if given.out:
                        about = {"province": given.province.name, "enterprises": len(data), "runs": rows}
                        given.out.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
