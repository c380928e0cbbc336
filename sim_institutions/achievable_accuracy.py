"""How far models get on the simulated data: a bank alone, everything pooled, histories, the early warning.

Histogram gradient boosting (Ke et al. 2017) throughout; the additive models are the same with every tree
bound to one column, so that both differ in interactions alone.
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

TRAINING = 0.7
FALSE_ALARMS = 0.052
WARNING_SERIES = (("tax_office", "invoices"), ("social_insurance", "headcount"), ("power_utility", "load"))
LEAST_EVENTS = 100  # for the AUC of a single column
LEAST_DEFAULTS = 300  # of a bank, so that it can fit a model and its AUC is known to about .03


@dataclass(frozen=True)
class AchievableAccuracy:
    """AUC on enterprises kept aside. alone: by bank with enough defaults. pooled, additive: of models on all
    institutions' columns, on the same banks' customers. everything: pooled, on all customers. best_column: the
    greatest of a single column, and its name."""

    alone: dict[str, float]
    pooled: dict[str, float]
    additive: dict[str, float]
    everything: float
    best_column: tuple[float, str]

    @property
    def gain(self) -> float:
        """Of pooling over a bank alone, mean over banks."""
        return _mean(self.pooled) - _mean(self.alone)

    @property
    def additive_share(self) -> float:
        """Of the gain, what additive models reach."""
        return (_mean(self.additive) - _mean(self.alone)) / self.gain


def achievable_accuracy(s: Sample) -> AchievableAccuracy:
    """All figures of a sample; those of banks with fewer than LEAST_DEFAULTS defaults are left out."""
    holders = list(s.profile.holders)
    own, _ = s.features(["bank"])
    x, names = s.features(["bank", *holders])
    loan = s.bank >= 0
    label, train = s.label, _training(len(loan))
    everything = _fitted(x, label, loan & train)
    straight = _fitted(x, label, loan & train, additive=True)
    alone, pooled, additive = {}, {}, {}
    for i, bank in enumerate(s.profile.banks):
        mine = s.bank == i
        if label[mine].sum() < LEAST_DEFAULTS:
            continue
        kept = mine & ~train
        alone[bank.name] = auc(label[kept], _alone(own, label, mine & train)[kept])
        pooled[bank.name] = auc(label[kept], everything[kept])
        additive[bank.name] = auc(label[kept], straight[kept])
    kept = loan & ~train
    return AchievableAccuracy(
        alone, pooled, additive, auc(label[kept], everything[kept]), _best_column(x, names, label, loan)
    )


def warning_recall(s: Sample) -> tuple[float, float]:
    """Recall at a false-alarm rate of 5.2 %, for the planted distress: a model on the histories of invoices,
    headcount and load, and one on the hand-made columns of the same three institutions."""
    offices = [office for office, _ in WARNING_SERIES]
    seen = np.logical_and.reduce([s.known(office) for office in offices])
    event = (s.truth["course"] == DISTRESS).astype(np.float32)
    train = _training(len(event))
    kept = seen & ~train
    hand, _ = s.features(offices)
    out = []
    for x in (np.concatenate([shape(s.histories[k]) for k in WARNING_SERIES], axis=1), hand):
        score = _fitted(x, event, seen & train)[kept]
        threshold = np.quantile(score[event[kept] == 0], 1 - FALSE_ALARMS)
        out.append(float(np.mean(score[event[kept] == 1] > threshold)))
    return out[0], out[1]


def history_lift(s: Sample, office: str) -> tuple[float, float]:
    """AUC for default of an institution's own columns alone, and with a score of the planted distress that was
    learnt from its histories: what a sequence encoder might add."""
    x, _ = s.features([office])
    series = [shape(v) for (name, _), v in s.histories.items() if name == office]
    seen, train = s.known(office), _training(len(s.bank))
    event = (s.truth["course"] == DISTRESS).astype(np.float32)
    score = _fitted(np.concatenate(series, axis=1), event, seen & train)
    loan = seen & (s.bank >= 0)
    kept = loan & ~train
    return (
        auc(s.label[kept], _fitted(x, s.label, loan & train, rounds=80)[kept]),
        auc(s.label[kept], _fitted(np.c_[x, score], s.label, loan & train, rounds=80)[kept]),
    )


def shape(history: Floats) -> Floats:
    """Log months against their mean, and the last k months against those before, k from 1 to 9: (n, 28)."""
    path = np.log1p(history)
    with warnings.catch_warnings():  # rows without any month give NaN, which boosting takes
        warnings.simplefilter("ignore", RuntimeWarning)
        steps = [np.nanmean(path[:, -k:], axis=1) - np.nanmean(path[:, :-k], axis=1) for k in range(1, 10)]
        mean = np.nanmean(path, axis=1)
    return np.column_stack([path - mean[:, None], mean, *steps]).astype(np.float32)


def _training(n: int) -> Bools:
    return np.random.default_rng(0).random(n) < TRAINING


def _fitted(x: Floats, y: Floats, rows: Bools, *, additive: bool = False, rounds: int = 150) -> Floats:
    """Scores of all rows by a model fitted on some."""
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
    """Scores of all rows by what a study too calls the bank alone, with its number of rounds chosen by itself."""
    model = bank_alone(pd.DataFrame(x[rows], columns=_names(x)), y[rows])
    return model.probability(pd.DataFrame(x, columns=_names(x)))


def _names(x: Floats) -> list[str]:
    return [str(i) for i in range(x.shape[1])]


def _best_column(x: Floats, names: list[str], label: Floats, loan: Bools) -> tuple[float, str]:
    best = (0.5, "")
    for values, name in zip(x.T, names, strict=True):
        known = loan & ~np.isnan(values)
        if min(label[known].sum(), (1 - label[known]).sum()) >= LEAST_EVENTS:
            one = auc(label[known], values[known])
            best = max(best, (max(one, 1 - one), name))
    return best


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))
