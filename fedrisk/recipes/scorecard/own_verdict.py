"""What a bank's own hold-out says to the bank: the consortium's card, its champion, its personal model, or its own.

The bank alone sees it. The hold-out took part in no fit. A model is taken in place of the bank's own only where it is
shown to be no worse: where the lower end of the interval of its AUC less the bank's own lies above -MARGIN (a test of
non-inferiority). Of models that are worse by MARGIN or more, one in twenty is taken, whatever the number of defaults;
few defaults make the rule ask for more, not less. Of the models that pass, the one with the best AUC is taken.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fedrisk.findings import Finding
from fedrisk.models.comparison import (
    Difference,
    auc_covariance,
    auc_difference,
    log_loss,
    log_loss_difference,
)
from fedrisk.models.gains import table_of

Floats = NDArray[np.float64]

MARGIN = 0.01
"""AUC that a bank would not mind to lose."""

LEAST = 2
"""Fewest defaults, and fewest others, of a hold-out on which models are compared."""

OWN, CARD = "alone", "scorecard"
COMPARED = (CARD, "champion", "personal")
"""Models that are compared with the bank's own, in the order in which the bank reads them."""


PROBABILITIES = {
    "probability": CARD,
    "recalibrated_probability": "recalibrated",
    "alone_probability": OWN,
    "champion_probability": "champion",
    "personal_probability": "personal",
}
"""Columns of the bank's scores with the models that they are of."""


def own_figures(
    figures: Mapping[str, float | None],
    label: Floats,
    test: NDArray[np.bool_],
    scores: pd.DataFrame,
    *,
    absent: Mapping[str, Mapping[str, str]] | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> bytes:
    """What the bank keeps as own_figures.json: AUC by model, the verdict of its hold-out, tables of each model.

    label: (n,) of all customers. test: (n,) which of them are the hold-out. scores: the bank's scores, a column for
    each model. absent: models and figures that are not there, with code and reason. failed: hears of a comparison or a
    table that could not be made; the rest is there all the same. It stays in the bank's store: it comes from models
    without noise.
    """
    models = {
        name: scores[column].to_numpy()[test] for column, name in PROBABILITIES.items() if column in scores
    }
    held = label[test]
    total = scores["score"].to_numpy()[test] if "score" in scores else None
    missing = failed or _raise
    verdict: dict[str, Any] | None = None
    tables: dict[str, Any] = {}
    try:
        verdict = own_verdict(held, models)
    except Exception as error:
        missing("verdict", error)
    if verdict is not None:
        for name, risk in models.items():
            try:
                tables[name] = table_of(held, risk, total if name == CARD else None)
            except Exception as error:
                missing(f"table_{name}", error)
    content = {**figures, "verdict": verdict, "tables": tables, "absent": dict(absent or {})}
    return json.dumps(content).encode()


def _raise(name: str, error: Exception) -> None:
    raise error


def own_verdict(label: ArrayLike, probability: Mapping[str, ArrayLike]) -> dict[str, Any] | None:
    """The comparison on a bank's hold-out, as plain numbers and codes; None where its hold-out has too few labels.

    label: (n,) of 0 and 1. probability: of default by model, (n,) each: ``scorecard`` (the card as it is) at least;
    ``recalibrated`` gives the card's log loss as the bank would use it; without ``alone`` there is nothing to compare
    with, and the card's own figures are all.

    >>> own_verdict([0, 1, 0, 1], {"scorecard": [0.1, 0.9, 0.2, 0.3]})["use"]
    'scorecard'
    """
    y = np.asarray(label, dtype=np.float64)
    models = {name: np.asarray(p, dtype=np.float64) for name, p in probability.items()}
    if min(int((y == 1).sum()), int((y == 0).sum())) < LEAST:
        return None
    area, cover = auc_covariance(y, models)
    found = {
        name: {
            "auc": float(area[k]),
            "auc_error": float(np.sqrt(cover[k, k])),
            "log_loss": float(log_loss(y, models[name]).mean()),
        }
        for k, name in enumerate(models)
    }
    against = _against_own(y, models) if OWN in models else {}
    use = _use({name: f["auc"] for name, f in found.items()}, {name: d for name, (d, _) in against.items()})
    findings = [_finding(name, *pair) for name, pair in against.items()]
    return {
        "use": use,
        "defaults": int((y == 1).sum()),
        "others": int((y == 0).sum()),
        "models": found,
        "against_own": {
            name: {"auc": auc.to_dict(), "log_loss": loss.to_dict()} for name, (auc, loss) in against.items()
        },
        "findings": [
            {"code": f.code, "values": dict(f.values)} for f in (Finding("own_use", {"use": use}), *findings)
        ],
    }


def _against_own(y: Floats, models: Mapping[str, Floats]) -> dict[str, tuple[Difference, Difference]]:
    """AUC and log loss of each model less those of the bank's own. The card's log loss is that after recalibration."""
    out = {}
    for name in COMPARED:
        if name in models:
            probability = models.get("recalibrated", models[name]) if name == CARD else models[name]
            out[name] = (
                auc_difference(y, models[name], models[OWN]),
                log_loss_difference(y, probability, models[OWN]),
            )
    return out


def _use(area: Mapping[str, float], against: Mapping[str, Difference]) -> str:
    """The model to use: the bank's own, or the best of those that are shown to be no worse."""
    if OWN not in area:
        return CARD
    passed = [name for name, difference in against.items() if difference.low > -MARGIN]
    return max([OWN, *passed], key=lambda name: area[name])


def _finding(name: str, auc: Difference, loss: Difference) -> Finding:
    """What is said of one model beside the bank's own: above, no worse, below, or not shown."""
    if auc.low > 0:
        code = "own_above"
    elif auc.low > -MARGIN:
        code = "own_no_worse"
    elif auc.high < 0:
        code = "own_below"
    else:
        code = "own_not_shown"
    values = {"value": auc.value, "low": auc.low, "high": auc.high, "log_loss": loss.value}
    return Finding(code, {"model": name, **values})
