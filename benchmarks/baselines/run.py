"""Baselines of the laboratory on public data sets, on the split of the reference figures.

70 % of rows for training and 30 % held out, stratified by label, drawn with seed 0 (`train_test_split` of scikit-learn, in
the order of the data set's file where it is one file). Every baseline at epsilon .5, 1 and 3, delta 1e-6; those with noise
with several seeds of it. Prints a table, writes results.json, and exits with status 1 if a claim does not hold. Needs FEDRISK_DATA.

    OMP_NUM_THREADS=1 FEDRISK_DATA=... python benchmarks/baselines/run.py [--seeds 3] [DATA_SET ...]
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from fedrisk.institution import load_institution
from fedrisk.lab.baselines import baselines
from fedrisk.lab.baselines.measured import measured
from fedrisk.lab.data_set import load_data_set
from fedrisk.lab.pooled import pooled
from fedrisk.lab.split import Split
from fedrisk.study_file import load_study

HERE = Path(__file__).resolve().parent
SETS = ("default_credit", "sba", "taiwan")
EPSILONS = (0.5, 1.0, 3.0)
DELTA = 1e-6
WITHIN = 0.01
"""How far a pooled model may lie from the reference figure of the same kind, which was made without dictionaries."""

REFERENCES = {
    "default_credit": {
        "pooled boosting": 0.775,
        "pooled binned logistic regression": 0.767,
        "pooled logistic regression": 0.717,
    },
    "taiwan": {"pooled boosting": 0.940},
}
"""Published beside the data sets. Of sba there is one of all lenders' loans; here its six largest take part."""

FIGURES = (
    "auc",
    "auc_low",
    "auc_high",
    "ks",
    "brier",
    "log_loss",
    "calibration_slope",
    "calibration_intercept",
    "seconds",
)


def split_of(name: str, work: Path) -> Split:
    """The pooled rows of a data set on a stratified split."""
    prepared = load_data_set(name).prepare(work / name)
    study = load_study(prepared.study)
    tables = {bank: load_institution(prepared.institutions[bank]).read() for bank in study.banks}
    ids = pd.concat(
        [pd.DataFrame({"bank": b, "id": t.ids, "label": t.label}) for b, t in tables.items()],
        ignore_index=True,
    ).dropna(subset=["label"])
    train, _ = train_test_split(ids.index, test_size=0.3, stratify=ids["label"], random_state=0)
    ids["split"] = np.where(ids.index.isin(train), "training", "holdout")
    return pooled(prepared, {bank: ids[ids["bank"] == bank] for bank in tables})


def measure(name: str, split: Split, seeds: int) -> list[dict[str, object]]:
    """A line for each baseline, epsilon and seed; one without noise has one line."""
    found = []
    for model, baseline in baselines().items():
        for epsilon in EPSILONS if baseline.at_epsilon else (None,):
            for seed in range(1, 1 + (seeds if baseline.at_epsilon else 1)):
                row = measured(baseline, split, epsilon=epsilon or 1.0, delta=DELTA, seed=seed)
                line = {
                    "data_set": name,
                    "model": model,
                    "epsilon": epsilon,
                    "seed": seed,
                    "error": row.get("error"),
                }
                found.append(line | {key: row.get(key) for key in FIGURES})
                print(
                    f"{name:15} {model:40} {epsilon or '':>4} {seed} "
                    + " ".join(f"{row.get(k) or 0:.3f}" for k in FIGURES),
                    flush=True,
                )
    return found


def summary(rows: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Mean AUC by data set, model and epsilon ("any" where it does not matter)."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for (data_set, model, epsilon), part in rows.groupby(
        ["data_set", "model", rows["epsilon"].map(lambda e: "any" if pd.isna(e) else f"{e:g}")], sort=False
    ):
        out.setdefault(data_set, {}).setdefault(model, {})[epsilon] = round(float(part["auc"].mean()), 4)
    return out


def main() -> int:
    """Everything; the exit code."""
    if "FEDRISK_DATA" not in os.environ:
        print("FEDRISK_DATA is not set; name the folder of the public data sets")
        return 2
    parser = argparse.ArgumentParser(description="Baselines on public data sets.")
    parser.add_argument("data_set", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    asked = arguments.data_set
    with tempfile.TemporaryDirectory() as work:
        rows = pd.DataFrame(
            [line for name in asked for line in measure(name, split_of(name, Path(work)), arguments.seeds)]
        )
    means = summary(rows)
    apart = {
        f"{name}, {model}": round(means[name][model]["any"] - figure, 4)
        for name in asked
        for model, figure in REFERENCES.get(name, {}).items()
    }
    content = {
        "auc": means,
        "to_reference": apart,
        "rows": json.loads(rows.to_json(orient="records", double_precision=6)),
    }
    if set(asked) == set(SETS):
        (HERE / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    for name, models in means.items():
        for model, values in models.items():
            print(f"{name:15} {model:40} {values}")
    print("less the reference:", apart)
    failed = [name for name, value in apart.items() if abs(value) > WITHIN]
    print("claims hold" if not failed else f"further than {WITHIN} from the reference: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
