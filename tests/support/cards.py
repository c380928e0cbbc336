"""Small cards: one with round numbers, and what a card is fitted from."""

import numpy as np

from fedrisk.data.features import Feature
from fedrisk.models import scorecard as sc
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.label_counts import LabelCounts


def flag(institution, column):
    return Bins.public(Feature(institution=institution, column=column, kind="flag", missing=False))


def card(**parts):
    """Two bank features and one holder feature with round numbers."""
    given = {
        "study": "s",
        "bins": (flag("bank", "late"), flag("bank", "new"), flag("tax", "gap")),
        "points": ((10, -30), (5, -5), (20, -40)),
        "base_points": 550,
        "averages": (2.0, 0.0, 8.0),
        "intercept": -2.0,
        "rate": 0.1,
        "sd": 30.0,
        "gap": 25.0,
        "partial_sd": {"bank": 18.0, "tax": 22.0},
    }
    return sc.Scorecard(**{**given, **parts})


def fitted(n=8000, seed=0, monotone=None):
    """An independent flag and an ordered feature; contributions are the true log-odds, curves log relative risks."""
    rng = np.random.default_rng(seed)
    bins = [
        flag("bank", "late"),
        Bins(
            Feature(institution="tax", column="x", low=0, high=4, missing=False, monotone=monotone),
            (1.0, 2.0, 3.0),
        ),
    ]
    truth = [np.array([-0.3, 1.0]), np.array([-0.8, -0.1, -0.2, 1.0])]
    codes = [rng.choice(2, n, p=[0.8, 0.2]), rng.integers(0, 4, n)]
    z = -2.2 + truth[0][codes[0]] + truth[1][codes[1]]
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    n1 = tuple(np.bincount(c, y, b.size) for c, b in zip(codes, bins, strict=True))
    n0 = tuple(np.bincount(c, 1 - y, b.size) for c, b in zip(codes, bins, strict=True))
    weight = tuple((a + b) / n for a, b in zip(n1, n0, strict=True))
    f = tuple(t - w @ t for t, w in zip(truth, weight, strict=True))
    risk = [np.log(a / (a + b)) for a, b in zip(n1, n0, strict=True)]
    curve = tuple(r - w @ r for r, w in zip(risk, weight, strict=True))
    spread = np.array([w @ g**2 for w, g in zip(weight, curve, strict=True)])
    curves = Curves(float(y.mean()), n, curve, np.ones(2), weight, spread, (2, 4), (0, 0))
    return y, codes, bins, f, LabelCounts(n1, n0, np.zeros(2)), curves
