"""How accurate models on the simulated data get: a bank alone, all data pooled, histories, early warning.

All models are histogram gradient boosting (Ke et al. 2017). The additive models are the same, but every tree
uses one column only, so the two kinds differ in interactions alone.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.metrics import auc
from fedrisk.models.champion import bank_alone
from sim_institutions.health import DISTRESS
from sim_institutions.random_streams import Bools, Floats
from sim_institutions.sample import Sample

# Share of the enterprises that models are fitted on; accuracy is measured on the others.
TRAINING = 0.7
FALSE_ALARMS = 0.052
WARNING_SERIES = (("tax_office", "invoices"), ("social_insurance", "headcount"), ("power_utility", "load"))
# Fewest defaults, and fewest loans without default, for the AUC of a single column.
LEAST_EVENTS = 100
# Fewest defaults of a bank that takes part: enough to fit a model and to know its AUC within about .03.
LEAST_DEFAULTS = 300


@dataclass(frozen=True)
class AchievableAccuracy:
    """AUC on enterprises kept aside.

    alone: by bank with enough defaults, of a model on the bank's columns. pooled, additive: on the customers
    of the same banks, of models on all institutions' columns. everything: pooled, on the customers of all
    banks. best_column: the greatest AUC of a single column, and the column's name.
    """

    alone: dict[str, float]
    pooled: dict[str, float]
    additive: dict[str, float]
    everything: float
    best_column: tuple[float, str]

    @property
    def gain(self) -> float:
        """Gain of pooling over a bank alone, mean over banks."""
        return _mean(self.pooled) - _mean(self.alone)

    @property
    def additive_share(self) -> float:
        """Share of the gain that additive models reach."""
        return (_mean(self.additive) - _mean(self.alone)) / self.gain


def achievable_accuracy(sample: Sample) -> AchievableAccuracy:
    """All figures of a sample; banks with fewer than LEAST_DEFAULTS defaults are left out."""
    holders = list(sample.profile.holders)
    columns_of_bank, _ = sample.features(["bank"])
    x, names = sample.features(["bank", *holders])
    loan = sample.bank >= 0
    label, train = sample.label, _training(len(loan))
    everything = _fitted(x, label, loan & train)
    straight = _fitted(x, label, loan & train, additive=True)
    alone, pooled, additive = {}, {}, {}
    for i, bank in enumerate(sample.profile.banks):
        customers = sample.bank == i
        if label[customers].sum() < LEAST_DEFAULTS:
            continue
        kept = customers & ~train
        score = _alone(columns_of_bank, label, customers & train)
        alone[bank.name] = auc(label[kept], score[kept])
        pooled[bank.name] = auc(label[kept], everything[kept])
        additive[bank.name] = auc(label[kept], straight[kept])
    kept = loan & ~train
    return AchievableAccuracy(
        alone=alone,
        pooled=pooled,
        additive=additive,
        everything=auc(label[kept], everything[kept]),
        best_column=_best_column(x, names, label, loan),
    )


def warning_recall(sample: Sample) -> tuple[float, float]:
    """Recall of the planted distress at a false-alarm rate of 5.2 %, of two models.

    The first model is on the histories of invoices, headcount and load, the second on the hand-made columns
    of the same three institutions.
    """
    offices = [office for office, _ in WARNING_SERIES]
    known = np.logical_and.reduce([sample.known(office) for office in offices])
    event = (sample.truth["course"] == DISTRESS).astype(np.float32)
    train = _training(len(event))
    kept = known & ~train
    hand_made, _ = sample.features(offices)
    histories = np.concatenate([shape(sample.histories[k]) for k in WARNING_SERIES], axis=1)
    out = []
    for x in (histories, hand_made):
        score = _fitted(x, event, known & train)[kept]
        threshold = np.quantile(score[event[kept] == 0], 1 - FALSE_ALARMS)
        out.append(float(np.mean(score[event[kept] == 1] > threshold)))
    return out[0], out[1]


def history_lift(sample: Sample, office: str) -> tuple[float, float]:
    """AUC for default of an institution's columns, without and with a score learnt from its histories.

    The score is of the planted distress. So the difference is what a sequence encoder might add.
    """
    x, _ = sample.features([office])
    series = [shape(v) for (name, _), v in sample.histories.items() if name == office]
    known, train = sample.known(office), _training(len(sample.bank))
    event = (sample.truth["course"] == DISTRESS).astype(np.float32)
    score = _fitted(np.concatenate(series, axis=1), event, known & train)
    loan = known & (sample.bank >= 0)
    kept = loan & ~train
    return (
        auc(sample.label[kept], _fitted(x, sample.label, loan & train, rounds=80)[kept]),
        auc(sample.label[kept], _fitted(np.c_[x, score], sample.label, loan & train, rounds=80)[kept]),
    )


def shape(history: Floats) -> Floats:
    """Logarithm of each month less the mean, the mean, and the last k months less those before: (n, 28).

    k runs from 1 to 9.
    """
    path = np.log1p(history)
    # Rows without any month give NaN, which boosting accepts.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        steps = [np.nanmean(path[:, -k:], axis=1) - np.nanmean(path[:, :-k], axis=1) for k in range(1, 10)]
        mean = np.nanmean(path, axis=1)
    return np.column_stack([path - mean[:, None], mean, *steps]).astype(np.float32)


def _training(n: int) -> Bools:
    return np.random.default_rng(0).random(n) < TRAINING


def _fitted(x: Floats, y: Floats, rows: Bools, *, additive: bool = False, rounds: int = 150) -> Floats:
    """Scores of all rows, by a model fitted on ``rows``."""
    model = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=0.07,
        max_leaf_nodes=12,
        min_samples_leaf=60,
        early_stopping=False,
        interaction_cst="no_interactions" if additive else None,
    )
    return np.asarray(model.fit(x[rows], y[rows]).predict_proba(x)[:, 1])


def _alone(x: Floats, y: Floats, rows: Bools) -> Floats:
    """Scores of all rows by the model that a study's report calls the bank alone.

    The model chooses its number of rounds itself.
    """
    model = bank_alone(pd.DataFrame(x[rows], columns=_names(x)), y[rows])
    return model.probability(pd.DataFrame(x, columns=_names(x)))


def _names(x: Floats) -> list[str]:
    return [str(i) for i in range(x.shape[1])]


def _best_column(x: Floats, names: list[str], label: Floats, loan: Bools) -> tuple[float, str]:
    """The greatest AUC of a single column, either way round, and the column's name."""
    best = (0.5, "")
    for values, name in zip(x.T, names, strict=True):
        known = loan & ~np.isnan(values)
        if min(label[known].sum(), (1 - label[known]).sum()) >= LEAST_EVENTS:
            one = auc(label[known], values[known])
            best = max(best, (max(one, 1 - one), name))
    return best


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))
