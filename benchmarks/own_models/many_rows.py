"""What a bank's own models lose where they are fitted in less time: paired on the same rows, by hold-out.

Banks with many training rows fit boosting at a higher rate, and choose strengths by some of their rows
(``models/personal.MANY_ROWS``, ``CHOICE_ROWS``); the way with three folds in place of five was left out for what it
loses. All ways are fitted to the same rows of every bank with at least LEAST of them, also where the product would take
its time. Usage, as of run.py:

    python benchmarks/own_models/many_rows.py default sba taiwan demo
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from banks import banks_of
from emulation import emulate
from portfolios import ROOT, at_epsilon, from_config, taiwan
from scipy import stats

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.metrics import auc
from fedrisk.models import champion, personal
from fedrisk.models.comparison import log_loss
from fedrisk.recipes.scorecard.own_models import own_models

HERE = Path(__file__).resolve().parent
EPSILON, HOLDOUTS, LEAST = 3.0, range(1, 9), 3000
WAYS = {"slow": (10**9, 10**9, 5), "fast": (0, 10_000, 5), "three folds": (0, 10_000, 3)}
"""MANY_ROWS, CHOICE_ROWS and folds; "fast" is the product's. Where rows are fewer than 10,000, strengths are chosen by half of them."""
MODELS = ("alone", "personal", "champion")


FILES = {
    "default": ROOT / "configs/default_credit.toml",
    "sba": ROOT / "configs/sba.toml",
    "demo": Path(os.environ.get("DEMO", "demo")) / "study.toml",
}


def fitted(study: Any, scored: Any, several: bool, way: str) -> tuple[dict[str, Any], float]:
    """A bank's own models in one way, and the processor's seconds."""
    many, choice, personal.FOLDS = WAYS[way]
    rows = int((scored.use == TRAINING).sum())
    personal.MANY_ROWS, personal.CHOICE_ROWS = many, min(choice, -(-rows // 2)) if not many else choice
    champion.MANY_ROWS = many
    began = time.process_time()

    def failed(name: str, error: Exception) -> None:
        raise error

    found = own_models(
        study.card, scored, scored.use == TRAINING, len(study.train), several=several, failed=failed
    )
    return found.probability, time.process_time() - began


def run(name: str) -> list[dict[str, Any]]:
    """A row for each hold-out, bank, model and fast way: that less slow, AUC and log loss on the hold-out."""
    data, rows = at_epsilon(taiwan() if name == "taiwan" else from_config(FILES[name]), EPSILON), []
    for holdout in HOLDOUTS:
        study = emulate(data, holdout=holdout, noise=1)
        for bank, scored in banks_of(data, study):
            training, test = int((scored.use == TRAINING).sum()), scored.use == HOLD_OUT
            if training < LEAST:
                continue
            made = {way: fitted(study, scored, len(data.study.banks) > 1, way) for way in WAYS}
            truth = scored.label[test]
            there = [m for m in MODELS if m in made["slow"][0]]
            for model, way in ((m, w) for m in there for w in list(WAYS)[1:]):
                (slow, took), (fast, takes) = ((made[w][0][model][test], made[w][1]) for w in ("slow", way))
                rows.append(
                    {
                        "set": name,
                        "bank": bank,
                        "rows": training,
                        "holdout": holdout,
                        "model": model,
                        "way": way,
                    }
                    | {"slow": auc(truth, slow), "auc": auc(truth, fast) - auc(truth, slow)}
                    | {"log_loss": float(np.mean(log_loss(truth, fast) - log_loss(truth, slow)))}
                    | {"seconds_slow": took, "seconds_fast": takes}
                )
        print(name, holdout, flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """Mean difference by set, bank and model, with the interval of a t-test over hold-outs, as Markdown."""
    lines = [
        "| set, bank | training rows | model | way | AUC before | AUC | log loss | seconds |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    by = ["set", "bank", "model", "way"]
    for (name, bank, model, way), part in pd.DataFrame(rows).groupby(by, sort=False):
        reach = stats.t.ppf(0.975, len(part) - 1) / np.sqrt(len(part))
        a, b = part["auc"], part["log_loss"]
        times = f"{part['seconds_slow'].mean():.1f} to {part['seconds_fast'].mean():.1f}"
        lines.append(
            f"| {name}, {bank} | {part['rows'].mean():,.0f} | {model} | {way} | {part['slow'].mean():.4f} "
            f"| {a.mean():+.4f} ± {reach * a.std():.4f} | {b.mean():+.5f} ± {reach * b.std():.5f} | {times} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the sets that are named, write many_rows.json anew with them, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", help="for example sba")
    file = HERE / "many_rows.json"
    for name in parser.parse_args().sets:
        rows = run(name)
        before = json.loads(file.read_text()) if file.exists() else []
        file.write_text(json.dumps([r for r in before if r["set"] != name] + rows, indent=0))
        print(summary(rows))


if __name__ == "__main__":
    main()
