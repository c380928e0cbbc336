"""One run's results as tables of pandas: ``result.frames.scorecard``. Columns are codes and figures, not translated."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.analysis import curves, feature_figures
from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.analysis.score_counts import ScoreCounts, counts_of
from fedrisk.server.results import Results


class ResultFrames:
    """Tables of a run; empty, with their columns, where the run has nothing of the kind.

    Intervals (``low``, ``high``) are of 95 % and contain sampling and noise.
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    @property
    def scorecard(self) -> pd.DataFrame:
        """Points, a row for each bin: institution (role), column, bin, points, error, low, high; the base first."""
        names = ["institution", "column", "bin", "points", "error", "low", "high"]
        card = self._results.card
        if card is None:
            return pd.DataFrame(columns=names)
        rows: list[tuple[Any, ...]] = [("", "base", "", card.base_points, np.nan, np.nan, np.nan)]
        for j, f in enumerate(feature_figures.feature_points(card)):
            errors = [np.nan] * len(f.labels) if card.errors is None else card.errors[j]
            for k, label in enumerate(f.labels):
                ends = (np.nan, np.nan) if card.errors is None else (f.points.low[k], f.points.high[k])
                rows.append((f.institution, f.column, label, card.points[j][k], errors[k], *ends))
        return pd.DataFrame(rows, columns=names)

    @property
    def bins(self) -> pd.DataFrame:
        """Released counts of training rows, a row for each bin.

        Columns: institution (role), column, bin, defaults, others, error (of each count, by noise); share of
        enterprises and default_rate as the study's smooth curves have them.
        """
        names = ["institution", "column", "bin", "defaults", "others", "error", "share", "default_rate"]
        record = self._results.record
        if record is None or not feature_figures.has_counts(record):
            return pd.DataFrame(columns=names)
        sums = CardSums.released(record)
        fitted, rows, k = curves_of(sums.counts, sums.bins), list[tuple[Any, ...]](), 0
        for j, b in enumerate(sums.bins):
            if not b.feature.is_column:
                continue
            odds = fitted.rate / (1 - fitted.rate) * np.exp(fitted.curve[j])
            error = float(np.sqrt(sums.counts.variance[k]))
            for i, label in enumerate(b.labels()):
                counts = (float(sums.counts.n1[k][i]), float(sums.counts.n0[k][i]), error)
                shown = (float(fitted.weight[j][i]), float(odds[i] / (1 + odds[i])))
                rows.append((b.feature.institution, b.feature.column, label, *counts, *shown))
            k += 1
        return pd.DataFrame(rows, columns=names)

    @property
    def metrics(self) -> pd.DataFrame:
        """Figures of the hold-out: bank ("" for all), metric, value, low, high (where an interval is known)."""
        r = self._results
        rows: list[tuple[Any, ...]] = []
        for bank, figures in [("", r), *(r.by_bank or {}).items()]:
            known = _with_intervals(self._counts()) if not bank else {}
            for name in ("auc", "gini", "ks", "brier"):
                value = getattr(figures, name)
                if value is not None:
                    rows.append((bank, name, *known.get(name, (value, np.nan, np.nan))))
        return pd.DataFrame(rows, columns=["bank", "metric", "value", "low", "high"])

    @property
    def spends(self) -> pd.DataFrame:
        """Every charge: institution, release, population, mu, delta, what."""
        names = ["institution", "release", "population", "mu", "delta", "what"]
        return pd.DataFrame([{k: s.get(k) for k in names} for s in self._results.spends], columns=names)

    @property
    def disclosures(self) -> pd.DataFrame:
        """What each institution let another see: institution, counterparty, kind, protection, mu, bytes, count."""
        names = ["institution", "counterparty", "kind", "protection", "mu", "bytes", "count"]
        return pd.DataFrame([asdict(d) for d in self._results.disclosures], columns=names)

    @property
    def calibration(self) -> pd.DataFrame:
        """Groups of the hold-out in order of risk: predicted, observed, low, high, count."""
        counts = self._counts()
        c = None if counts is None else curves.calibration(counts)
        return _frame(
            ["predicted", "observed", "low", "high", "count"],
            None if c is None else [c.predicted, c.observed.value, c.observed.low, c.observed.high, c.count],
        )

    @property
    def roc(self) -> pd.DataFrame:
        """The ROC curve: false_positive, true_positive, low, high."""
        counts = self._counts()
        c = None if counts is None else curves.roc(counts)
        t = None if c is None else c.true_positive
        return _frame(
            ["false_positive", "true_positive", "low", "high"],
            None if c is None or t is None else [c.false_positive, t.value, t.low, t.high],
        )

    @property
    def gains(self) -> pd.DataFrame:
        """Gains and lift: share (of enterprises, riskiest first), captured (of all defaults), low, high, lift."""
        counts = self._counts()
        c = None if counts is None else curves.gains(counts)
        return _frame(
            ["share", "captured", "low", "high", "lift"],
            None if c is None else [c.share, c.captured.value, c.captured.low, c.captured.high, c.lift.value],
        )

    @property
    def cutoffs(self) -> pd.DataFrame:
        """Cuts: cut, then approved, bad_approved, bad_refused and kept_out, each with ``_low`` and ``_high``."""
        counts = self._counts()
        found = () if counts is None else curves.cutoffs(counts)
        names = ("approved", "bad_approved", "bad_refused", "kept_out")
        columns = ["cut", *(f"{n}{end}" for n in names for end in ("", "_low", "_high"))]
        rows = [
            (c.cut, *(v for n in names for e in [getattr(c, n)] for v in (e.value, e.low, e.high)))
            for c in found
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def information_values(self) -> pd.DataFrame:
        """Information value of every column: institution, column, value, low, high; highest first."""
        record = self._results.record
        found = () if record is None else feature_figures.information_values(record)
        rows = [(v.institution, v.column, v.value.value, v.value.low, v.value.high) for v in found]
        return pd.DataFrame(rows, columns=["institution", "column", "value", "low", "high"])

    def _counts(self) -> ScoreCounts | None:
        record = self._results.record
        return None if record is None else counts_of(record, self._results.card)


def _with_intervals(counts: ScoreCounts | None) -> dict[str, tuple[float, float, float]]:
    """AUC, Gini and KS of counts with their intervals; empty where they say nothing."""
    found = None if counts is None else (curves.roc(counts), curves.ks(counts))
    if found is None or found[0] is None or found[1] is None:
        return {}
    auc, ks = found[0].auc, found[1].value
    ends = (auc.value, auc.low, auc.high)
    gini = tuple(2 * v - 1 for v in ends)
    return {"auc": ends, "gini": (gini[0], gini[1], gini[2]), "ks": (ks.value, ks.low, ks.high)}


def _frame(names: list[str], columns: Sequence[Any] | None) -> pd.DataFrame:
    if columns is None:
        return pd.DataFrame(columns=names)
    return pd.DataFrame(dict(zip(names, columns, strict=True)))
