"""Randomised labels: each label is told by randomised response, and boosting learns from what is told.

A label is turned over with probability f = 1 / (1 + e^epsilon) (Warner 1965), so that the labels are epsilon
differentially private: whichever of its two values a label has, any outcome is at most e^epsilon times as likely as
with the other (label differential privacy; Ghazi et al. 2021). **Features are not protected at all**: the model is
fitted to them as they are, in one place.

Boosting estimates q(x), the chance of a told default. With f of all labels turned over, q = (1 - 2f) p + f, so that the
probability of default is p = (q - f) / (1 - 2f), held between 0 and 1 (Natarajan et al. 2013). That is arithmetic on
what was told, and costs no privacy.
"""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.lab.baselines.inputs import raw
from fedrisk.lab.split import Baseline, Split

LEAST = 1e-4
"""Probabilities are held so far from 0 and 1: estimates of q beyond f and 1 - f are noise."""


def turned_over(epsilon: float) -> float:
    """The probability that a label is turned over; 0 for infinite epsilon.

    >>> round(turned_over(1.0), 4), turned_over(math.inf)
    (0.2689, 0.0)
    """
    return 0.0 if math.isinf(epsilon) else 1 / (1 + math.exp(epsilon))


def unbiased(told: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """The probability of default, from that of a told default, (rows,).

    >>> unbiased(np.array([turned_over(1.0), 0.5]), 1.0).round(4).tolist()
    [0.0001, 0.5]
    """
    f = turned_over(epsilon)
    return np.clip((told - f) / (1 - 2 * f), LEAST, 1 - LEAST)


def randomised(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """Boosting on randomised labels of the training rows, and its probabilities made unbiased."""
    rng = np.random.default_rng([seed, 2])
    x, category = raw(split)
    label = split.label[split.training]
    told = np.where(rng.random(len(label)) < turned_over(epsilon), 1 - label, label)
    model = HistGradientBoostingClassifier(categorical_features=category, random_state=seed)
    model.fit(x[split.training], told)
    return unbiased(np.asarray(model.predict_proba(x)[:, 1]), epsilon)


BASELINES = (Baseline(name="randomised labels, boosting", private=False, label_private=True, fit=randomised),)
