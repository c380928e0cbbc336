"""Are the probabilities right? Calibration of cards on hold-outs, by set and epsilon, against quoting the default rate.

Emulated studies (`emulation`): three hold-outs, two noise seeds, epsilon 1, 3 and none. Prints a table, writes
results.json next to this file, and exits with status 1 if a claim does not hold. Needs FEDRISK_DATA; the province is
simulated in a temporary folder.

    FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/calibration/run.py [SET ...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from emulation import Portfolio, emulate, figures
from portfolios import ROOT, at_epsilon, from_config, half_known, taiwan, thinned
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.metrics import auc

CONFIGS = ROOT / "configs"
EPSILONS = (1.0, 3.0, np.inf)
HOLDOUTS = (1, 2, 3)
NOISE = (1, 2)
# Claims: calibration slope of the mean over hold-outs and noise by set and epsilon, and over all of them.
SLOPES, MEAN_SLOPE = (0.85, 1.15), (0.95, 1.05)
# Mean probability over default rate by set and epsilon, for enterprises that a holder knows, and that it does not.
RATIOS = (0.9, 1.1)
LEAST_AUC = 0.6
# Smallest group of hold-out rows whose ratio is a figure.
LEAST_GROUP = 0.02


def portfolios(folder: Path) -> dict[str, Callable[[], Portfolio]]:
    """All sets, made when asked for. folder: where provinces are simulated."""
    default, three = CONFIGS / "default_credit.toml", CONFIGS / "default_credit_three.toml"

    def province(seed: int) -> Portfolio:
        out = folder / f"province_{seed}"
        command = [
            sys.executable,
            "-m",
            "sim_institutions",
            "--research",
            "--seed",
            str(seed),
            "--out",
            str(out),
        ]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return from_config(out / "study.toml")

    return {
        "default_credit": lambda: from_config(default),
        "default_credit, 420 defaults": lambda: thinned(from_config(default), 600),
        "three parties": lambda: from_config(three),
        "three parties, half known": lambda: half_known(from_config(three)),
        "three parties, better half known": lambda: half_known(from_config(three), better=True),
        "three parties, a tenth known": lambda: half_known(from_config(three), 0.1),
        "sba": lambda: from_config(CONFIGS / "sba.toml"),
        "taiwan": taiwan,
        "demo": lambda: province(1),
        "demo, another seed": lambda: province(29),
        "demo, half known": lambda: half_known(province(1)),
    }


def one(data: Portfolio, holdout: int, noise: int) -> dict[str, Any]:
    """Figures of one study on its hold-out; ratios of each holder's known and unknown enterprises."""
    study = emulate(data, holdout=holdout, noise=noise)
    label, probability = data.label[study.held], study.probability[study.held]
    row: dict[str, Any] = figures(label, probability)
    for holder, known in data.known.items():
        for name, group in (("known", known[study.held]), ("unknown", ~known[study.held])):
            if group.mean() >= LEAST_GROUP:
                row[f"{holder} {name}"] = float(probability[group].mean() / label[group].mean())
    fitted = study.card.calibration
    return row | {"line": fitted.line[1], "curved": not fitted.straight, "second": study.second.release.name}


def pooled(data: Portfolio, holdout: int) -> float:
    """AUC of boosting on all columns of all rows, without any privacy; columns are missing where unknown."""
    study = emulate(at_epsilon(data, np.inf), holdout=holdout, noise=0)
    frames = []
    for role, frame in data.frames.items():
        table = frame[[f.column for f in data.features if f.institution == role]].add_prefix(f"{role}.")
        table = table.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype("category"))
        held = data.known.get(role, np.ones(len(data), bool))
        frames.append(table.where(np.broadcast_to(held[:, None], table.shape)))
    x = pd.concat(frames, axis=1)
    model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")
    model.fit(x.iloc[study.train], data.label[study.train])
    return auc(data.label[study.held], model.predict_proba(x.iloc[study.held])[:, 1])


def summary_of(runs: pd.DataFrame) -> dict[str, Any]:
    """Means and ranges of one set at one epsilon, and whether the claims hold there."""
    numbers = runs.select_dtypes("number").drop(columns=["holdout", "noise"]).mean().to_dict()
    ratios = {k: v for k, v in numbers.items() if k.endswith(("known",)) and not np.isnan(v)}
    out = {k: v for k, v in numbers.items() if not np.isnan(v)}
    out |= {"slope_least": float(runs["slope"].min()), "slope_most": float(runs["slope"].max())}
    below = runs.loc[runs["auc"] > LEAST_AUC]
    out["below_constant"] = float((below["log_loss"] < below["constant_log_loss"]).mean())
    out["holds"] = bool(
        SLOPES[0] <= numbers["slope"] <= SLOPES[1]
        and out["below_constant"] == 1
        and all(RATIOS[0] <= v <= RATIOS[1] for v in ratios.values())
    )
    return out


def main(names: Sequence[str]) -> int:
    """All sets, or those named; returns 0 if the claims hold."""
    warnings.filterwarnings("ignore")
    here = Path(__file__).parent / "results.json"
    summary = json.loads(here.read_text()) if names and here.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        there = portfolios(Path(folder))
        if unknown := sorted(set(names) - set(there)):
            raise SystemExit(f"there is no set {unknown[0]}; there are {', '.join(there)}")
        for name, make in there.items():
            if names and name not in names:
                continue
            data, summary[name] = make(), {}
            boosting = float(np.mean([pooled(data, h) for h in HOLDOUTS]))
            for epsilon in EPSILONS:
                noisy = NOISE if np.isfinite(epsilon) else NOISE[:1]
                runs = [
                    {"holdout": h, "noise": z, **one(at_epsilon(data, epsilon), h, z)}
                    for h in HOLDOUTS
                    for z in noisy
                ]
                found = summary_of(pd.DataFrame(runs)) | {"pooled_boosting": boosting}
                summary[name][f"{epsilon:g}"] = found
                print(name, f"{epsilon:g}", {k: round(v, 3) for k, v in found.items()}, flush=True)
    here.write_text(json.dumps(summary, indent=1) + "\n")
    every = [found for of_set in summary.values() for found in of_set.values()]
    slope = float(np.mean([found["slope"] for found in every]))
    print("mean slope", round(slope, 3), "claims hold:", all(found["holds"] for found in every))
    return 0 if all(found["holds"] for found in every) and MEAN_SLOPE[0] <= slope <= MEAN_SLOPE[1] else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="sets, for example sba; default: all")
    sys.exit(main(parser.parse_args().names))
