"""How a portfolio's months follow one another: the same rows, others drawn, a relation that wanders, a break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from series import Codes, Floats, Month, Rows
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from fedrisk.models.binning import Bins

MONTHS = 12
BREAK = 8  # the ninth month
DRAWN = 0.6
WALK = 0.1  # of the share of every feature's curve, a month
TILT = 0.04  # of a further slope over every feature's ordered bins, in log-odds per standard deviation
RATE = 0.05  # of the log-odds of all


@dataclass(frozen=True)
class Months:
    """months: of the studies. label: of all rows as they are in the last month, codes: likewise."""

    months: list[Month]
    label: Floats
    codes: Codes


def same_rows(
    train: Rows, codes: Codes, label: Floats, bins: Sequence[Bins], rng: np.random.Generator
) -> Months:
    """(a) The same enterprises with the same labels: the best case for memory."""
    return Months([Month(train, label[train]) for _ in range(MONTHS)], label, codes)


def redrawn(
    train: Rows, codes: Codes, label: Floats, bins: Sequence[Bins], rng: np.random.Generator
) -> Months:
    """(b) Borrowers drawn anew each month: 60 % of the enterprises outside the hold-out."""
    size = round(DRAWN * len(train))
    drawn = [np.sort(rng.permutation(train)[:size]) for _ in range(MONTHS)]
    return Months([Month(rows, label[rows]) for rows in drawn], label, codes)


def drifting(
    train: Rows, codes: Codes, label: Floats, bins: Sequence[Bins], rng: np.random.Generator
) -> Months:
    """(c) A relation that wanders: the curves of a logistic regression, each with a share and a slope that walk.

    An enterprise defaults where a number of its own, drawn once, is below its probability: most labels stay.
    """
    places = [j for j, b in enumerate(bins) if b.feature.is_column]
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=True).fit(
        np.stack([codes[j] for j in places], 1)
    )
    model = LogisticRegression(C=0.1, max_iter=500).fit(
        hot.transform(np.stack([codes[j] for j in places], 1)), label
    )
    parts = np.split(model.coef_[0], np.cumsum([len(c) for c in hot.categories_])[:-1])
    curves, slopes = [], []
    for j, cells, part in zip(places, hot.categories_, parts, strict=True):
        curve = np.zeros(bins[j].size)
        curve[cells] = part
        ordered = bins[j].ordered
        rank = (
            np.where(codes[j] < ordered, codes[j] - codes[j][codes[j] < max(ordered, 1)].mean(), 0.0)
            if ordered
            else np.zeros(len(label))
        )
        curves.append((curve - curve[codes[j]].mean())[codes[j]])
        slopes.append(rank / max(rank.std(), 1e-9))
    own, level = rng.random(len(label)), float(model.intercept_[0] + sum(c.mean() for c in curves))
    share, slope, shift, out = np.ones(len(places)), np.zeros(len(places)), 0.0, []
    # The level that gives the portfolio's own rate in the first month.
    base = np.stack(curves, 1)
    tilt = np.stack(slopes, 1)
    low, high = -12.0, 4.0
    for _ in range(50):
        level = (low + high) / 2
        low, high = (level, high) if expit(level + base.sum(1)).mean() < label.mean() else (low, level)
    for _ in range(MONTHS):
        risk = level + shift + base @ share + tilt @ slope
        now = (own < expit(risk)).astype(float)
        out.append(Month(train, now[train]))
        share, slope = share + WALK * rng.normal(size=len(share)), slope + TILT * rng.normal(size=len(slope))
        shift += RATE * rng.normal()
    return Months(out, now, codes)


def broken(
    train: Rows, codes: Codes, label: Floats, bins: Sequence[Bins], rng: np.random.Generator
) -> Months:
    """(d) From the ninth month one holder's columns of numbers are reversed; the hold-out's too."""
    after = [
        np.where(c < b.ordered, b.ordered - 1 - c, c)
        if b.feature.institution == "tax_office" and b.feature.kind == "number"
        else c
        for b, c in zip(bins, codes, strict=True)
    ]
    months = [Month(train, label[train], after if m >= BREAK else None) for m in range(MONTHS)]
    return Months(months, label, after)


Maker = Callable[[Rows, Codes, Floats, Sequence[Bins], np.random.Generator], Months]
SCENARIOS: dict[str, Maker] = {
    "same rows": same_rows,
    "redrawn": redrawn,
    "drifting": drifting,
    "broken": broken,
}
