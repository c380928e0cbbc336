"""Figures of merit of a risk score, exact from rows or from a (score bin x label) histogram.

Rows exist only inside an institution. What it releases is a histogram, usually with noise, and all figures
can be computed from that too. Label 1 is default. *Risk* rises with the probability of default, so a
scorecard's points (higher is safer) must be negated, or its bins reversed.

Noisy counts are never clipped at zero before they are added up: clipping makes the tails longer, and draws the AUC to
one half. `area` and `distance` are the AUC and the KS that every page quotes.

Sources: AUC as the Mann-Whitney statistic with ties one half (Hanley & McNeil 1982), its variance by placements
(DeLong, DeLong & Clarke-Pearson 1988); Brier score (Brier 1950); KS, Gini and PSI as in credit practice (Siddiqi
2017); the mean of the largest point of a random walk with a parabolic drift (Groeneboom 1989).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from fedrisk.errors import ConfigError, DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure of counts with its standard error, by sampling and by noise.

    optimism: by how much it is too large on the average; an interval stands about the value less this.
    """

    value: float
    sampling: float
    noise: float
    optimism: float = 0.0

    @property
    def error(self) -> float:
        """By both."""
        return math.hypot(self.sampling, self.noise)

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided interval, between 0 and 1."""
        half, middle = float(ndtri((1 + level) / 2)) * self.error, self.value - self.optimism
        return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class Metrics:
    """Figures of one evaluation; nan where the histogram has too few counts.

    Attributes:
        auc: area under the ROC curve.
        gini: 2 auc - 1.
        ks: largest distance of the two cumulative distributions.
        brier: mean squared error of the probability; nan without probabilities.
        positives: (noisy) number of defaults.
        negatives: (noisy) number of other enterprises, likewise.
    """

    auc: float
    gini: float
    ks: float
    brier: float
    positives: float
    negatives: float


@dataclass(frozen=True)
class CalibrationFit:
    """How probabilities stand to what happened, from a (noisy) histogram; see `calibration_fit`.

    Attributes:
        predicted: mean predicted probability.
        observed: observed default rate.
        observed_error: its standard error, with that of the noise.
        slope: of true log-odds over predicted ones (Cox 1958). Below 1 probabilities are spread too far apart, above 1
            not far enough.
        slope_error: its standard error, with that of the noise.
        intercept: of the same line, where predicted log-odds are zero; None in results of earlier versions.
    """

    predicted: float
    observed: float
    observed_error: float
    slope: float
    slope_error: float
    intercept: float | None = None


def auc(label: ArrayLike, risk: ArrayLike) -> float:
    """Probability that a default has a higher risk than another enterprise; ties count one half.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    y, r = _rows(label, risk)
    value, place = np.unique(r, return_inverse=True)
    n1 = np.bincount(place, y, len(value))
    n0 = np.bincount(place, 1 - y, len(value))
    return _auc(n1, n0)


def ks(label: ArrayLike, risk: ArrayLike) -> float:
    """Largest distance of the two cumulative distributions of risk (Kolmogorov-Smirnov).

    >>> ks([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.5
    """
    y, r = _rows(label, risk)
    value, place = np.unique(r, return_inverse=True)
    return _ks(np.bincount(place, y, len(value)), np.bincount(place, 1 - y, len(value)))


def brier(label: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared difference of label and predicted probability.

    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    y, p = _rows(label, probability, both=False)
    _check_probability(p)
    return float(np.mean((y - p) ** 2))


def psi(expected: ArrayLike, actual: ArrayLike) -> float:
    """Population stability index of two (noisy) histograms over the same bins.

    Shares below .0001 count as .0001, so that empty bins stay finite. A value below .1 is called stable,
    above .25 a shift.

    >>> round(psi([50, 50], [50, 50]), 6), round(psi([50, 50], [25, 75]), 6)
    (0.0, 0.274653)
    """
    a, b = (np.maximum(_histogram(v, name), 0.0) for v, name in ((expected, "expected"), (actual, "actual")))
    if a.shape != b.shape:
        raise ConfigError(f"psi: histograms have {len(a)} and {len(b)} bins; use the same bins")
    if not (a.sum() > 0 and b.sum() > 0):
        return math.nan
    p, q = np.maximum(a / a.sum(), 1e-4), np.maximum(b / b.sum(), 1e-4)
    return float(((q - p) * np.log(q / p)).sum())


def from_histogram(
    positives: ArrayLike,
    negatives: ArrayLike,
    probability_per_bin: ArrayLike | None = None,
    *,
    variance: float = 0.0,
    within_bin: bool = False,
) -> Metrics:
    """All figures from counts per score bin, bins in order of *rising risk*.

    Args:
        positives: counts of defaults, shape (bins,), possibly noisy.
        negatives: counts of other enterprises, likewise.
        probability_per_bin: predicted probability of each bin, for the Brier score, and for the place of the KS of
            noisy counts.
        variance: of the noise of each count.
        within_bin: whether to add discrimination inside bins to the AUC. In a bin whose log-odds rise by d
            from end to end it is 1/2 + d/12 to first order; d comes from the predicted probabilities of the
            neighbouring bins, so it adds no noise. It assumes that the model ranks inside a bin as it does
            across bins.

    >>> from_histogram([1, 3], [3, 1]).auc
    0.75
    """
    n1, n0 = _histogram(positives, "positives"), _histogram(negatives, "negatives")
    if n1.shape != n0.shape:
        raise ConfigError(f"histogram: {len(n1)} and {len(n0)} bins; positives and negatives need the same")
    p = None if probability_per_bin is None else _bin_probabilities(probability_per_bin, n1.shape)
    if within_bin and p is None:
        raise ConfigError("within_bin needs probability_per_bin")
    whole = _auc(n1, n0)
    if within_bin and p is not None and len(p) > 1 and n1.sum() > 0 and n0.sum() > 0:
        whole += _area_within_bins(n1, n0, p)
    total = float(n1.sum() + n0.sum())
    score = math.nan
    if p is not None and total > 0:
        score = max(float((n1 * (1 - p) ** 2 + n0 * p**2).sum() / total), 0.0)
    apart = _ks(n1, n0, place_of_ks(n1, n0, p) if variance > 0 else None)
    return Metrics(whole, 2 * whole - 1, apart, score, float(n1.sum()), float(n0.sum()))


def area(positives: ArrayLike, negatives: ArrayLike, variance: float) -> Measured:
    """AUC of counts with noise of that variance, bins in order of rising risk; both totals above 0."""
    n1, n0 = _histogram(positives, "positives"), _histogram(negatives, "negatives")
    p, n = float(n1.sum()), float(n0.sum())
    below, above = (np.cumsum(n0) - n0 / 2) / n, (p - np.cumsum(n1) + n1 / 2) / p
    value = float(n1 @ below / p)
    moved1, moved0 = (below - value) ** 2, (above - value) ** 2
    drawn = max(float(n1 @ moved1), 0.0) / max(p * (p - 1), 1.0)
    drawn += max(float(n0 @ moved0), 0.0) / max(n * (n - 1), 1.0)
    noise = variance * float(moved1.sum() / p**2 + moved0.sum() / n**2)
    return Measured(value=min(max(value, 0.0), 1.0), sampling=math.sqrt(drawn), noise=math.sqrt(noise))


def distance(
    positives: ArrayLike,
    negatives: ArrayLike,
    variance: float,
    probability_per_bin: ArrayLike | None = None,
) -> tuple[Measured, int]:
    """KS, and behind how many bins it stands (1 to bins); arguments as of `area`.

    Exact counts: the largest distance, as everybody computes it, with what it is too large by in ``optimism``. Noisy
    ones: the distance where the probabilities put it, or where there are none, at the largest smoothed distance, since
    the largest noisy one is mostly noise.
    """
    n1, n0 = _histogram(positives, "positives"), _histogram(negatives, "negatives")
    at = place_of_ks(n1, n0, None if variance <= 0 else probability_per_bin, smooth=variance > 0)
    p, n, k = float(n1.sum()), float(n0.sum()), len(n1)
    bad, good = float(n1[:at].sum()) / p, float(n0[:at].sum()) / n
    drawn = noise = 0.0
    for share, total in ((bad, p), (good, n)):
        r = min(max(share, 0.0), 1.0)
        drawn += r * (1 - r) / total
        noise += variance * (at * (1 - r) ** 2 + (k - at) * r**2) / total**2
    found = Measured(
        value=min(max(good - bad, 0.0), 1.0),
        sampling=math.sqrt(drawn),
        noise=math.sqrt(noise),
        optimism=0.0 if variance > 0 else _optimism(_auc(n1, n0), p, n),
    )
    return found, at


def place_of_ks(n1: Floats, n0: Floats, probability: ArrayLike | None = None, *, smooth: bool = False) -> int:
    """Behind how many bins the distance of the distributions is largest: by the counts, or by their probabilities."""
    if probability is not None:
        q, n = np.asarray(probability, np.float64), np.maximum(n1 + n0, 0.0)
        n1, n0, smooth = n * q, n * (1 - q), False
    bad, good = (np.cumsum(v) / max(float(v.sum()), 1e-300) for v in (n1, n0))
    apart = good - bad
    if smooth:
        padded = np.r_[0.0, apart, apart[-1]]
        apart = np.convolve(padded, np.array([0.25, 0.5, 0.25]), mode="valid")
    return int(np.argmax(apart)) + 1


def _optimism(auc_: float, p: float, n: float) -> float:
    """By how much the largest distance of two empirical distributions is too large on the average.

    Near the largest distance, the empirical one is it less a t^2 plus a random walk whose variance rises by s^2 = 1 / p
    + 1 / n with the share t of customers. The mean of the largest point of such a walk is .6955 s^(4/3) a^(-1/3)
    (Groeneboom 1989). a is that of two normal classes with this AUC; where they are not apart, the mean of a Brownian
    bridge's largest point is the limit.
    """
    square = 1 / p + 1 / n
    apart = math.sqrt(2) * float(ndtri(min(max(auc_, 0.5), 1 - 1e-9)))
    most = math.sqrt(math.pi / 8 * square)
    if apart < 1e-6:
        return most
    bend = apart / 2 * math.sqrt(2 * math.pi) * math.exp(apart**2 / 8)
    return float(min(0.6955 * square ** (2 / 3) * bend ** (-1 / 3), most))


def calibration_fit(
    positives: ArrayLike, negatives: ArrayLike, probability_per_bin: ArrayLike, variance: float
) -> CalibrationFit | None:
    """Mean probability beside the default rate, and the slope of calibration, with errors; None without labels.

    In a bin of true probability p, (1 - p) n1 - p n0 has mean zero whatever noise the counts carry. Its squares over
    their variances are minimised over log-odds of p linear in the predicted ones: logistic recalibration (Cox 1958)
    where there is no noise. Counts below zero stay as they are, since clipped ones would draw both rates together.

    Args:
        positives: counts of defaults by bin, shape (bins,).
        negatives: of others.
        probability_per_bin: predicted probability of each bin, between 0 and 1.
        variance: of the noise of each count.

    >>> p = np.array([0.2, 0.5, 0.8])
    >>> fit = calibration_fit(100 * p, 100 * (1 - p), p, 0.0)
    >>> round(fit.slope, 6), round(abs(fit.intercept), 6), round(fit.observed, 6)
    (1.0, 0.0, 0.5)
    """
    n1, n0, q = (np.asarray(v, dtype=np.float64) for v in (positives, negatives, probability_per_bin))
    _bin_probabilities(q, n1.shape)
    total, count = float(n1.sum() + n0.sum()), np.maximum(n1 + n0, 0.0)
    if min(n1.sum(), n0.sum()) <= 0 or len(n1) < 2:
        return None
    clipped = np.clip(q, 1e-9, 1 - 1e-9)
    stated = np.log(clipped / (1 - clipped))
    found = _logistic_line(n1, n0, count, stated, variance)
    if found is None:
        return None
    rate = float(n1.sum()) / total
    sampling = rate * (1 - rate) / total
    noise = variance * len(n1) * ((1 - rate) ** 2 + rate**2) / total**2
    predicted = float((n1 + n0) @ q) / total
    return CalibrationFit(predicted, rate, math.sqrt(sampling + noise), *found)


def _logistic_line(
    n1: Floats, n0: Floats, count: Floats, stated: Floats, variance: float
) -> tuple[float, float, float] | None:
    """(slope, its standard error, intercept) of true log-odds over stated ones; None where it does not settle."""
    basis = np.column_stack([np.ones(len(stated)), stated])
    w = np.array([0.0, 1.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(basis @ w, -30, 30)))
        residual, steep, spread = label_residuals(n1, n0, count, p, variance)
        hessian = (basis.T * (steep**2 / spread)) @ basis
        if np.linalg.cond(hessian) > 1e12:
            return None
        step = np.linalg.solve(hessian, basis.T @ (steep * residual / spread))
        w = w + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-9:
            return float(w[1]), float(np.sqrt(np.linalg.inv(hessian)[1, 1])), float(w[0])
    return None


def label_residuals(
    positives: Floats, negatives: Floats, count: Floats, p: Floats, variance: float
) -> tuple[Floats, Floats, Floats]:
    """(1 - p) n1 - p n0 of each bin, how much it falls as its log-odds rise, and its variance; (bins,) each.

    Where p is right it has mean zero, whatever noise of that variance the counts carry. count: of enterprises by bin.
    """
    steep = count * p * (1 - p)
    return (1 - p) * positives - p * negatives, steep, variance * ((1 - p) ** 2 + p**2) + steep + 1e-9


def auc_standard_error(
    positives: ArrayLike, negatives: ArrayLike, variance: float, *, sampling: bool = True
) -> float:
    """Standard error of the AUC of a histogram with independent noise in every count, to first order.

    The result is nan without positives or negatives.

    Args:
        positives: noisy counts of defaults, shape (bins,), bins in order of rising risk.
        negatives: noisy counts of other enterprises.
        variance: noise variance of each count.
        sampling: whether to add the sampling variance of the AUC itself (DeLong et al. 1988).
    """
    n1, n0 = _histogram(positives, "positives"), _histogram(negatives, "negatives")
    if n1.shape != n0.shape:
        raise ConfigError(f"histogram: {len(n1)} and {len(n0)} bins; positives and negatives need the same")
    if not (math.isfinite(variance) and variance >= 0):
        raise ConfigError(f"variance is {variance}, must be finite and at least 0")
    if min(n1.sum(), n0.sum()) <= 0:
        return math.nan
    found = area(n1, n0, variance)
    return found.error if sampling else found.noise


def _bin_probabilities(probability_per_bin: ArrayLike, shape: tuple[int, ...]) -> Floats:
    p = np.asarray(probability_per_bin, dtype=np.float64)
    if p.shape != shape:
        raise ConfigError(f"probability_per_bin has shape {p.shape}, must be {shape}")
    _check_probability(p)
    return p


def _area_within_bins(n1: Floats, n0: Floats, p: Floats) -> float:
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    rise = np.clip(np.gradient(np.log(clipped / (1 - clipped))), 0.0, 3.0)
    return float((n1 * n0 * rise).sum() / 12 / (n1.sum() * n0.sum()))


def _auc(n1: NDArray[Any], n0: NDArray[Any]) -> float:
    p, n = float(n1.sum()), float(n0.sum())
    if p <= 0 or n <= 0:
        return math.nan
    return min(max(float((n1 * (np.cumsum(n0) - n0 / 2)).sum() / (p * n)), 0.0), 1.0)


def _ks(n1: NDArray[Any], n0: NDArray[Any], at: int | None = None) -> float:
    """The largest distance, either way, or that behind so many bins."""
    p, n = float(n1.sum()), float(n0.sum())
    if p <= 0 or n <= 0:
        return math.nan
    if at is not None:
        return min(max(float(n0[:at].sum() / n - n1[:at].sum() / p), 0.0), 1.0)
    return float(np.abs(np.cumsum(n1) / p - np.cumsum(n0) / n).max())


def _rows(label: ArrayLike, value: ArrayLike, *, both: bool = True) -> tuple[Floats, Floats]:
    y, v = np.asarray(label, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if y.ndim != 1 or y.shape != v.shape or not len(y):
        raise DataError(
            f"labels have shape {y.shape}, scores {v.shape}; give two vectors of one length, at least 1"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("labels must be 0 or 1; leave out enterprises without an outcome")
    if np.isnan(v).any():
        raise DataError(f"{int(np.isnan(v).sum())} scores are missing; score every enterprise first")
    if both and y.min() == y.max():
        raise DataError("all labels are equal; defaults and others are needed")
    return y, v


def _histogram(counts: ArrayLike, name: str) -> Floats:
    out: NDArray[Any] = np.asarray(counts, dtype=np.float64)
    if out.ndim != 1 or not len(out) or not np.isfinite(out).all():
        raise ConfigError(f"{name} must be a vector of finite counts, at least one")
    return out


def _check_probability(p: Floats) -> None:
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("probabilities must lie between 0 and 1")
