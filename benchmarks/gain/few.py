"""Banks with few defaults: does the bank's own verdict keep it from a card that is worse than its own model?

Small studies are drawn from large sets, so that the truth can be measured on thousands of rows that took no part.
"""

from __future__ import annotations

import json
import logging
import math
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from emulation import emulate, scores
from settings import CACHE, Setting, draw

from fedrisk.metrics import auc
from fedrisk.models.champion import bank_alone, fit_champion
from fedrisk.recipes.scorecard.own_verdict import own_verdict
from fedrisk.study_members import BANK

SETS = ("default_credit", "province", "sba", "churn_telecom", "credit_data")
NOISES = 3
LEAST = 10
FIRST = 1000
"""Numbers of these draws begin here, apart from those on which constants are fitted."""


def few_defaults(count: int, fresh: bool) -> dict[str, Any]:
    """How often the verdict lets a card or another model pass that is worse by .01 than the bank's own."""
    path = CACHE / "few.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    kept = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {r["setting"] for r in kept}
    with ProcessPoolExecutor(2) as pool, path.open("a") as file:
        for rows in pool.map(one_setting, [k for k in range(count) if k not in done]):
            kept += rows
            file.write("".join(json.dumps(r) + "\n" for r in rows))
            file.flush()
    rows = [r for r in kept if r["setting"] < count]
    worse = [r for r in rows if r["card_less_own"] < -0.01]
    better = [r for r in rows if r["card_less_own"] > 0.01]
    unsaid = [r for r in worse if r["card_said"] in ("own_above", "own_no_worse")]
    unsaid_here = [
        r for r in rows if r["held_less_own"] < -0.01 and r["card_said"] in ("own_above", "own_no_worse")
    ]
    return {
        "settings": len({r["setting"] for r in rows}),
        "verdicts": len(rows),
        "card worse by more than .01 (fresh rows)": len(worse),
        "of these unsaid": len(unsaid),
        "settings_unsaid": len({r["setting"] for r in unsaid}),
        "unsaid though the hold-out showed it": len(unsaid_here),
        "card better by more than .01": len(better),
        "of these said to be at least no worse": sum(
            r["card_said"] in ("own_above", "own_no_worse") for r in better
        ),
        "used": {u: sum(r["use"] == u for r in rows) for u in sorted({r["use"] for r in rows})},
        "used model worse than own by more than .01": sum(r["used_less_own"] < -0.01 for r in rows),
        "mean gain of the used model over own": float(np.mean([r["used_less_own"] for r in rows])),
        "mean gain of always the card over own": float(np.mean([r["card_less_own"] for r in rows])),
    }


def one_setting(number: int) -> list[dict[str, Any]]:
    """The verdicts of all banks of a setting, for several draws of the noise."""
    logging.disable(logging.INFO)
    try:
        setting = draw(SETS[number % len(SETS)], FIRST + number, few=True)[0]
        fitted: dict[str, Any] = {}
        rows: list[dict[str, Any]] = []
        for k in range(NOISES):
            rows += _verdicts(number, replace(setting, noise=setting.noise + 10 * k), fitted)
        return rows
    except Exception:  # a draw that no study can have
        traceback.print_exc()
        return []


def _verdicts(number: int, setting: Setting, fitted: dict[str, Any]) -> list[dict[str, Any]]:
    data, pool = setting.study, setting.pool
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = emulate(data, holdout=setting.holdout, noise=setting.noise)
    total, external = scores(pool, made.first, made.card)
    columns = [f.column for f in data.features if f.institution == BANK]
    train = np.zeros(len(data), bool)
    train[made.train] = True
    rows = []
    for bank in data.study.banks:
        mine, there = data.bank == bank, pool.bank == bank
        fit, test = mine & train, mine & ~train
        y, z = data.label, pool.label[there]
        fewest = (min(v.sum(), (1 - v).sum()) for v in (y[fit], y[test], z))
        if any(n < least for n, least in zip(fewest, (LEAST, 2, 60), strict=True)):
            continue
        x, new = data.frames[BANK][columns], pool.frames[BANK][columns][there]
        if bank not in fitted:
            fitted[bank] = bank_alone(x[fit], y[fit])
        own = fitted[bank]
        here = {"scorecard": made.probability[test], "alone": own.probability(x[test])}
        truth = {"scorecard": auc(z, -total[there]), "alone": auc(z, own.probability(new))}
        if data.study.holders:
            champion = fit_champion(x[fit], y[fit], made.external[fit])
            here["champion"] = champion.probability(x[test], made.external[test])
            truth["champion"] = auc(z, champion.probability(new, external[there]))
        found = own_verdict(y[test], here)
        if found is None:
            continue
        said = next(f["code"] for f in found["findings"] if f["values"].get("model") == "scorecard")
        epsilon = data.study.privacy.epsilon
        rows.append(
            {
                "setting": number,
                "epsilon": epsilon if math.isfinite(epsilon) else None,
                "defaults": int(y[fit].sum()),
                "held_defaults": int(y[test].sum()),
                "card_said": said,
                "use": found["use"],
                "card_less_own": truth["scorecard"] - truth["alone"],
                "held_less_own": found["against_own"]["scorecard"]["auc"]["value"],
                "used_less_own": truth[found["use"]] - truth["alone"],
            }
        )
    return rows
