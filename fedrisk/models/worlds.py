"""Worlds: populations as they may be, drawn before a study from what is known of its columns.

A world is an artificial sample with two masses on it, that of the defaults and that of the others. Sums over a study's
training rows are sums over the sample with multiplicities drawn from these masses, so that they vary as sums over real
rows do, whatever the number of rows, and the AUC of a card in the world is a sum as well. Columns go together by a
Gaussian copula (Li 2000), each column's bins in the order of their risk. There are two kinds, since released numbers do
not say how columns go together among defaults alone, and real portfolios lie between (benchmarks/planner):

- *classes*: a copula of the same correlation among defaults and among others, each with its own shares of bins;
- *logistic*: one copula of all, and log-odds that add up, such that every column has its own curve again.

No real enterprise is in either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from fedrisk.models.binning import Bins
from fedrisk.models.rate_level import at_rate

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

SIZE = 6000
"""Artificial enterprises of a world."""

TERMS = 4
"""Terms of the Hermite series by which a correlation of columns becomes one of the copula."""

MOST = 0.97
"""Greatest correlation of two columns in the copula."""

LEAST_SHARE = 1e-6
"""Least share of a bin, so that every bin has a place in its column's order."""

MOST_RISK = 0.98
"""Greatest default rate of a bin."""

RIDGE = 1e-2
"""Pull of a logistic world's weights to zero, where columns nearly repeat each other."""

ROUNDS = 30
"""Most Newton steps of a fit."""

HALVINGS = 12
"""Times that a step is halved at most."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column in a world. weight: shares of the bins of known enterprises, (known bins,).

    curve: logarithm of the relative risk of each, as models/smoothing has it; at low rates, a shift of log-odds;
    where curves are parts of a card (`added_world`), shifts of log-odds.
    """

    bins: Bins
    curve: Floats
    weight: Floats

    @property
    def order(self) -> NDArray[np.intp]:
        """Bins in the order of rising risk, (known bins,)."""
        return np.argsort(self.curve, kind="stable")


@dataclass(frozen=True, kw_only=True)
class World:
    """bins: of all features of a card. codes: by feature, (features, n). rate: of defaults.

    positive, negative: masses of the artificial enterprises among defaults and among others, (n,), each of sum 1.
    """

    bins: tuple[Bins, ...]
    codes: Codes
    positive: Floats
    negative: Floats
    rate: float

    def rows(self, number: float, rng: np.random.Generator) -> Floats:
        """How often each artificial enterprise is among so many training rows, (2, n): as default, as another."""
        total = max(round(number), 2)
        ones = min(max(round(number * self.rate), 1), total - 1)
        drawn = [rng.multinomial(k, m) for k, m in ((ones, self.positive), (total - ones, self.negative))]
        return np.stack(drawn).astype(float)

    def counts(self, rows: Floats) -> list[Floats]:
        """Label counts of every feature over rows, (bins, 2) each: defaults, others."""
        return [
            np.stack([np.bincount(code, part, b.size) for part in rows], 1)
            for code, b in zip(self.codes, self.bins, strict=True)
        ]

    def score(self, contributions: Sequence[Sequence[float] | Floats]) -> Floats:
        """Sum over features of the number of each enterprise's bin, (n,)."""
        out = np.zeros(self.codes.shape[1])
        for code, value in zip(self.codes, contributions, strict=True):
            out += np.asarray(value, dtype=np.float64)[code]
        return out

    def auc(self, risk: Floats) -> float:
        """AUC of a score that rises with the risk, (n,); ties count one half."""
        _, place = np.unique(risk, return_inverse=True)
        ones, zeros = np.bincount(place, self.positive), np.bincount(place, self.negative)
        return float(ones @ (np.cumsum(zeros) - zeros / 2))


def class_shares(column: Column, rate: float) -> tuple[Floats, Floats]:
    """Shares of a column's bins among defaults and among others, all positive; of a rate that is that of the column.

    >>> from fedrisk.data.features import Feature
    >>> flag = Bins.public(Feature(institution="bank", column="a", kind="flag", missing=False))
    >>> ones, zeros = class_shares(Column(bins=flag, curve=np.zeros(2), weight=np.array([0.25, 0.75])), 0.1)
    >>> ones.round(6).tolist(), zeros.round(6).tolist()
    ([0.25, 0.75], [0.25, 0.75])
    """
    weight = np.maximum(column.weight, LEAST_SHARE)
    weight = weight / weight.sum()
    risk = np.exp(column.curve)
    risk = np.minimum(rate * risk / float(weight @ risk), MOST_RISK)
    ones, zeros = (np.maximum(weight * part, LEAST_SHARE * 1e-3) for part in (risk, 1 - risk))
    return ones / ones.sum(), zeros / zeros.sum()


def class_world(
    bins: Sequence[Bins],
    columns: Sequence[Column],
    known: Mapping[str, float],
    correlation: Floats,
    rate: float,
    rng: np.random.Generator,
) -> World:
    """A world of the first kind. bins: of all features; columns: of the columns among them, in order.

    known: by holder, the share of enterprises that it knows. correlation: of the copula, (columns, columns).
    """
    halves = []
    for k in (1, 0):
        share = [class_shares(c, rate)[1 - k] for c in columns]
        halves.append(_codes(bins, columns, share, known, correlation, SIZE // 2, rng))
    ones = np.repeat([1.0, 0.0], SIZE // 2) / (SIZE // 2)
    return World(
        bins=tuple(bins),
        codes=np.concatenate(halves, 1),
        positive=ones,
        negative=ones[::-1].copy(),
        rate=rate,
    )


def logistic_world(
    bins: Sequence[Bins],
    columns: Sequence[Column],
    known: Mapping[str, float],
    correlation: Floats,
    rate: float,
    rng: np.random.Generator,
) -> World:
    """A world of the second kind; arguments as for `class_world`."""
    codes = _codes(bins, columns, [c.weight for c in columns], known, correlation, SIZE, rng)
    design, moment = [np.ones(SIZE)], [rate]
    for c, inside, value in _curve_values(bins, columns, codes):
        ones, _ = class_shares(c, rate)
        weight = np.maximum(c.weight, LEAST_SHARE)
        design.append(value)
        moment.append(float((value * np.append(ones / weight * weight.sum() * rate, rate)[inside]).mean()))
    p = _with_moments(np.stack(design, 1), np.array(moment), rate)
    return _of_probabilities(bins, codes, p, rate)


def added_world(
    bins: Sequence[Bins],
    columns: Sequence[Column],
    known: Mapping[str, float],
    correlation: Floats,
    rate: float,
    rng: np.random.Generator,
) -> World:
    """One whose log-odds are the sum of the columns' curves, which are then parts of a card; arguments as before."""
    codes = _codes(bins, columns, [c.weight for c in columns], known, correlation, SIZE, rng)
    score = np.zeros(SIZE)
    for _, _, value in _curve_values(bins, columns, codes):
        score += value
    _, p = at_rate(score, rate)
    return _of_probabilities(bins, codes, p, rate)


def _of_probabilities(bins: Sequence[Bins], codes: Codes, p: Floats, rate: float) -> World:
    """A world whose rows have these probabilities of default, (SIZE,)."""
    return World(
        bins=tuple(bins), codes=codes, positive=p / p.sum(), negative=(1 - p) / (1 - p).sum(), rate=rate
    )


def _curve_values(
    bins: Sequence[Bins], columns: Sequence[Column], codes: Codes
) -> Iterator[tuple[Column, NDArray[np.integer], Floats]]:
    """Each column with its bin and its curve's value by row, (SIZE,) each; of who is unknown, the bin behind: zero."""
    counted = [code for b, code in zip(bins, codes, strict=True) if b.feature.is_column]
    for c, code in zip(columns, counted, strict=True):
        inside = np.minimum(code, len(c.curve))
        yield c, inside, np.append(c.curve, 0.0)[inside]


def _with_moments(design: Floats, moment: Floats, rate: float) -> Floats:
    """Probabilities, (n,), of a logistic model whose mean products with the design's columns are the moments.

    Newton's method on the convex function whose gradient is the difference, each step halved until it falls: moments of
    noisy curves may contradict one another, and whole steps run away then.
    """
    pull = RIDGE * rate * np.r_[0.0, (design[:, 1:] ** 2).mean(0)]
    w = np.zeros(design.shape[1])
    w[0] = logit(rate)

    def value(at: Floats) -> float:
        return float(np.logaddexp(0.0, design @ at).mean() - moment @ at + 0.5 * pull @ at**2)

    now = value(w)
    for _ in range(ROUNDS):
        p = expit(design @ w)
        hessian = (design.T * (p * (1 - p))) @ design / len(design) + np.diag(pull + 1e-12)
        gradient = moment - design.T @ p / len(design) - pull * w
        step = np.linalg.solve(hessian, gradient)
        for _ in range(HALVINGS):
            then = value(w + step)
            if then <= now - 1e-4 * float(gradient @ step):
                break
            step /= 2
        if then > now or np.abs(step).max() < 1e-4:
            break
        w, now = w + step, then
    out: Floats = expit(design @ w)
    return out


def _codes(
    bins: Sequence[Bins],
    columns: Sequence[Column],
    share: Sequence[Floats],
    known: Mapping[str, float],
    correlation: Floats,
    size: int,
    rng: np.random.Generator,
) -> Codes:
    """Bin codes of artificial enterprises, (features, size); share: of each column's bins."""
    half = rng.standard_normal((size // 2, len(columns)))
    # The second half mirrors the first, so that means are nearly exact.
    normal = np.concatenate([half, -half]) @ _root(correlation).T
    unknown = {name: rng.random(size) >= k for name, k in known.items()}
    out, place = np.zeros((len(bins), size), dtype=np.intp), 0
    for j, b in enumerate(bins):
        outside = unknown.get(b.feature.institution)
        if not b.feature.is_column:
            out[j] = 0 if outside is None else outside
            continue
        order = columns[place].order
        code = order[np.searchsorted(_cuts(share[place][order]), normal[:, place], side="right")]
        out[j] = np.where(outside, b.size - 1, code) if b.unknown and outside is not None else code
        place += 1
    return out


def _cuts(share: Floats) -> Floats:
    """Inner borders of bins of these shares on a normal variable, (bins - 1,)."""
    share = np.maximum(share, 0.0)
    out: Floats = ndtri(np.clip(np.cumsum(share / share.sum())[:-1], 1e-12, 1 - 1e-12))
    return out


def _root(correlation: Floats) -> Floats:
    """A matrix whose product with its transpose is a correlation matrix near this one."""
    value, vector = np.linalg.eigh((correlation + correlation.T) / 2)
    root = vector * np.sqrt(np.maximum(value, 1e-6))
    out: Floats = root / np.sqrt((root**2).sum(1, keepdims=True))
    return out


def hermite(column: Column) -> Floats:
    """Coefficients of a column's curve in normalised Hermite polynomials of its copula, (TERMS,).

    The covariance of two columns' curves is then sum_k r^k a_k b_k for a copula of correlation r (Mehler 1866).
    """
    order = column.order
    cuts, steps = _cuts(column.weight[order]), np.diff(column.curve[order])
    density = np.exp(-0.5 * cuts**2) / math.sqrt(2 * math.pi)
    polynomials = [np.ones_like(cuts), cuts]
    for n in range(1, TERMS - 1):
        polynomials.append(cuts * polynomials[n] - n * polynomials[n - 1])
    return np.array(
        [float(steps @ (p * density)) / math.sqrt(math.factorial(n + 1)) for n, p in enumerate(polynomials)]
    )


def copula_correlation(covariance: Floats, columns: Sequence[Column]) -> Floats:
    """Correlation of the copula under which columns' curves have these covariances, (F, F), by bisection."""
    a = np.stack([hermite(c) for c in columns])
    low, high = np.full(covariance.shape, -MOST), np.full(covariance.shape, MOST)
    for _ in range(16):
        middle = (low + high) / 2
        made = sum(middle ** (k + 1) * np.outer(a[:, k], a[:, k]) for k in range(TERMS))
        low, high = np.where(made < covariance, middle, low), np.where(made < covariance, high, middle)
    out = (low + high) / 2
    np.fill_diagonal(out, 1.0)
    return np.asarray(out, dtype=np.float64)
