"""What a score is good for at a bank: defaults by decile (gains and lift), and what each cut-off lets in.

As in credit practice (Siddiqi 2017, chapter 7). Exact, from rows; it is computed at the bank and stays there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.metrics import auc, ks

APPROVED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares of customers that are approved, for which cut-offs are shown."""

GROUPS = 10


def gains(label: ArrayLike, risk: ArrayLike, groups: int = GROUPS) -> list[dict[str, float]]:
    """Defaults by group of about equal size, the riskiest first.

    Rows of the same risk stay in one group, so groups may differ in size and be fewer. Of each group: ``customers``,
    ``defaults``, ``rate``; ``caught``: share of all defaults in it and the riskier ones; ``lift``: its default rate
    over that of all.

    label: (n,) of 0 and 1. risk: (n,), rising with the probability of default.

    >>> [(g["customers"], g["caught"]) for g in gains([1, 0, 0, 0], [0.9, 0.4, 0.2, 0.1], 2)]
    [(2, 1.0), (2, 1.0)]
    """
    y, r = np.asarray(label, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    order = np.argsort(-r, kind="stable")
    y, r = y[order], r[order]
    first = np.searchsorted(-r, -r, side="left")
    group = (first * groups) // max(len(r), 1)
    out, caught, rate = [], 0.0, float(y.mean()) if len(y) else 0.0
    for g in np.unique(group):
        part = y[group == g]
        caught += float(part.sum())
        out.append(
            {
                "customers": len(part),
                "defaults": int(part.sum()),
                "rate": float(part.mean()),
                "caught": caught / max(float(y.sum()), 1.0),
                "lift": float(part.mean()) / rate if rate > 0 else 0.0,
            }
        )
    return out


def cutoffs(
    label: ArrayLike,
    risk: ArrayLike,
    approved: Sequence[float] = APPROVED,
    scores: ArrayLike | None = None,
) -> list[dict[str, float | None]]:
    """What is let in where the least risky customers are approved, for each share of them.

    All of one risk are approved or none: the cut is at the greatest risk at which at most that share is approved (or at
    the least risk there is). ``wanted``: that share; ``approved``: the one that comes out; ``risk``: the greatest that
    is approved; ``default_rate``: of those approved; ``refused_rate``: of the others, None where there are none;
    ``kept_out``: share of all defaults that is refused; ``score``: the least score that is approved, where scores are
    given.

    >>> cutoffs([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], (0.5,))[0]["kept_out"]
    1.0
    """
    y, r = np.asarray(label, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    s = None if scores is None else np.asarray(scores)
    values, counts = np.unique(r, return_counts=True)
    share = np.cumsum(counts) / max(len(r), 1)
    out = []
    for wanted in approved:
        at = max(int(np.searchsorted(share, wanted + 1e-12, side="right")) - 1, 0)
        let_in = r <= values[at]
        out.append({"wanted": wanted, **_cut(y, let_in, float(values[at]), s)})
    return out


def _cut(
    y: NDArray[np.float64], let_in: NDArray[np.bool_], risk: float, scores: NDArray[Any] | None
) -> dict[str, float | None]:
    refused = ~let_in
    found: dict[str, float | None] = {
        "approved": float(let_in.mean()),
        "risk": risk,
        "default_rate": float(y[let_in].mean()),
        "refused_rate": float(y[refused].mean()) if refused.any() else None,
        "kept_out": float(y[refused].sum() / max(y.sum(), 1.0)),
    }
    if scores is not None:
        found["score"] = int(scores[let_in].min())
    return found


def table_of(label: ArrayLike, risk: ArrayLike, scores: ArrayLike | None = None) -> dict[str, Any]:
    """AUC, KS, Gini, gains and cut-offs of one model on the same rows; both labels must occur."""
    area = auc(label, risk)
    return {
        "auc": area,
        "ks": ks(label, risk),
        "gini": 2 * area - 1,
        "gains": gains(label, risk),
        "cutoffs": cutoffs(label, risk, scores=scores),
    }
