"""Pooled models in the clear: what all rows and columns in one place would give, without any privacy."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from fedrisk.lab.baselines.inputs import indicators, learned_codes, raw, standardised
from fedrisk.lab.split import Baseline, Split
from fedrisk.local.fit import fit_local_card

Floats = NDArray[np.float64]

ROUNDS = 2000
"""Most steps of a logistic regression."""

LOGISTIC_BINS = 10
CARD_BINS = 16


def logistic(split: Split, epsilon: float, delta: float, seed: int) -> Floats:
    """Logistic regression on standardised columns, with scikit-learn's default penalty."""
    x = standardised(split)
    model = LogisticRegression(max_iter=ROUNDS).fit(x[split.training], split.label[split.training])
    return np.asarray(model.predict_proba(x)[:, 1])


def binned_logistic(split: Split, epsilon: float, delta: float, seed: int) -> Floats:
    """Logistic regression on an indicator of each of about ten equally filled bins of every column."""
    x = indicators(*learned_codes(split, LOGISTIC_BINS))
    model = LogisticRegression(max_iter=ROUNDS).fit(x[split.training], split.label[split.training])
    return np.asarray(model.predict_proba(x)[:, 1])


def scorecard(split: Split, epsilon: float, delta: float, seed: int) -> Floats:
    """The studies' own estimator, on exact sums of the pooled training rows."""
    bins, codes = learned_codes(split, CARD_BINS)
    train = split.training
    card = fit_local_card(
        "pooled", bins, [c[train] for c in codes], split.label[train], np.ones(int(train.sum()))
    )
    points = sum(np.asarray(p, np.int64)[c] for p, c in zip(card.points, codes, strict=True))
    return np.asarray(card.probability(card.base_points + points))


def boosting(split: Split, epsilon: float, delta: float, seed: int) -> Floats:
    """Histogram gradient boosting (Ke et al. 2017) with scikit-learn's defaults."""
    x, category = raw(split)
    model = HistGradientBoostingClassifier(categorical_features=category, random_state=seed)
    model.fit(x[split.training], split.label[split.training])
    return np.asarray(model.predict_proba(x)[:, 1])


BASELINES = (
    Baseline(name="pooled boosting", private=False, fit=boosting),
    Baseline(name="pooled logistic regression", private=False, fit=logistic),
    Baseline(name="pooled binned logistic regression", private=False, fit=binned_logistic),
    Baseline(name="pooled scorecard in the clear", private=False, fit=scorecard),
)
