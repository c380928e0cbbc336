"""The scorecard on real data against what peers and pooling reach: default_credit in the peers' two-party split.

Research runs of configs/default_credit.toml over several hold-outs and noise seeds. On the same rows, without
any privacy: gradient boosting on all columns pooled, and on the bank's columns alone. Prints a table, writes
results.json beside itself and leaves with status 1 if a claim does not hold. Needs FEDRISK_DATA.

    FEDRISK_DATA=... python benchmarks/default_credit/run.py
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.engine.in_process import run_local
from fedrisk.institution import find_institutions, load_institution
from fedrisk.metrics import auc
from fedrisk.recipes import load_study

ROOT = Path(__file__).resolve().parent.parent.parent
STUDY = ROOT / "configs" / "default_credit.toml"
HOLDOUTS = (101, 102, 103)
NOISE = (1, 2, 3)
EPSILONS = (1, 3)
MOST_BELOW_POOLED = {1: 0.016, 3: 0.013}  # claim: mean distance of the scorecard to pooled boosting
LEAST_ABOVE_ALONE = 0.025  # claim: mean distance of the scorecard to the bank alone
CHAMPION_BELOW_POOLED = 0.006  # claim, epsilon 1: mean distance of the bank's champion to pooled boosting
BOOSTING = {"random_state": 0}  # scikit-learn's defaults, which stop early by themselves


def reference(scores: pd.DataFrame) -> dict[str, float]:
    """AUC of boosting on the study's own rows: all columns pooled, and the bank's alone."""
    tables = [
        load_institution(STUDY.parent / "institutions" / f"{n}.toml").read()
        for n in ("card_bank", "card_partner")
    ]
    frames = [t.frame.set_index(pd.Index(t.ids)).apply(_numeric) for t in tables]
    label = pd.Series(tables[0].label, tables[0].ids)
    train = scores.loc[scores["split"] == "training", "id"]
    held = scores.loc[scores["split"] == "holdout", "id"]
    out = {}
    for name, x in (("pooled", frames[0].join(frames[1])), ("alone", frames[0])):
        model = HistGradientBoostingClassifier(**BOOSTING).fit(x.loc[train], label[train])
        out[name] = auc(label[held], model.predict_proba(x.loc[held])[:, 1])
    return out


def _numeric(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce") if column.dtype == object else column


def main() -> int:
    """All runs; 0 where the claims hold."""
    rows = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["FEDRISK_HOME"] = home
        for holdout in HOLDOUTS:
            pooled: dict[str, float] = {}
            for epsilon in EPSILONS:
                for seed in NOISE:
                    study = load_study(STUDY, [f"privacy.epsilon={epsilon}", f"holdout.seed={holdout}"])
                    m = run_local(
                        study, find_institutions(STUDY, study.members), research_seed=seed
                    ).to_dict()
                    if not pooled:
                        kept = (
                            Path(home)
                            / "institutions"
                            / "card_bank"
                            / "results"
                            / m["attempt"]
                            / "scores.parquet"
                        )
                        pooled = reference(pd.read_parquet(kept))
                    row = {
                        "holdout": holdout,
                        "epsilon": epsilon,
                        "noise": seed,
                        **pooled,
                        "scorecard": m["auc"],
                    }
                    row |= {
                        "champion": m["bank_champion_auc"],
                        "exchanges": m["exchanges"],
                        "seconds": m["seconds"],
                    }
                    rows.append(row)
                    print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    table = pd.DataFrame(rows)
    held = True
    summary = {}
    for epsilon in EPSILONS:
        part = table[table["epsilon"] == epsilon]
        gap = float((part["scorecard"] - part["pooled"]).mean())
        lift = float((part["scorecard"] - part["alone"]).mean())
        champion = float((part["champion"] - part["pooled"]).mean())
        error = float(
            part.groupby("holdout").apply(lambda g: (g["scorecard"] - g["pooled"]).mean()).std()
            / np.sqrt(len(HOLDOUTS))
        )
        holds = gap >= -MOST_BELOW_POOLED[epsilon] and lift >= LEAST_ABOVE_ALONE
        holds = holds and (epsilon != 1 or champion >= -CHAMPION_BELOW_POOLED)
        held = held and holds
        summary[epsilon] = {
            "pooled": float(part["pooled"].mean()),
            "alone": float(part["alone"].mean()),
            "scorecard": float(part["scorecard"].mean()),
            "champion": float(part["champion"].mean()),
            "scorecard_minus_pooled": gap,
            "error_over_holdouts": error,
            "scorecard_minus_alone": lift,
            "champion_minus_pooled": champion,
            "holds": bool(holds),
        }
        print(epsilon, json.dumps(summary[epsilon], indent=1))
    (Path(__file__).parent / "results.json").write_text(
        json.dumps({"summary": summary, "runs": rows}, indent=1) + "\n"
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
