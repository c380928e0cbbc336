"""What a bank gains where it decides by one score in place of another, on customers whose outcome it knows.

Two questions, as credit practice asks them (Siddiqi 2017, chapter 11, on swap sets). At the same share of customers
approved: how many fewer of those defaulted? At the same default rate of those approved: how many more could have been
approved? Both scores approve the least risky customers first. Where several have the same risk, part of them is
approved, as by lot, so that two scores are compared at exactly one share however coarse they are.

Intervals are those of the bootstrap over rows (Efron & Tibshirani 1993, chapter 13, percentiles): both scores are
applied to the same drawn rows, so what they have in common falls out. They hold what other customers of the same kind
would have shown; they do not hold that times change, or that those refused were never seen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.curves import LEVEL, Estimate
from fedrisk.errors import DataError

Floats = NDArray[np.float64]

APPROVED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares of customers approved at which two scores are compared."""

DRAWS = 1000
ROWS_DRAWN = 30_000_000
"""Most draws, and most rows drawn in all: a large hold-out needs fewer draws, since its draws differ less."""

FEWEST_DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class Swap:
    """One score in place of another at one share of customers approved.

    approved: that share, of all. defaults, new_defaults: of those approved by the old score and by the new one.
    default_rate: of those approved by the old score. fewer: defaults less, in customers of this sample; fewer_share: in
    proportion to the old ones. more: share of all customers by which more could be approved at the old default rate.
    swapped: share of all customers that only the new score approves (as many others it refuses). swapped_in,
    swapped_out: default rates of the two groups, None where they are empty.
    """

    approved: float
    defaults: float
    new_defaults: float
    default_rate: float
    fewer: Estimate
    fewer_share: Estimate
    more: Estimate
    swapped: float
    swapped_in: float | None
    swapped_out: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers."""
        return asdict(self)


def swaps(
    label: ArrayLike, old: ArrayLike, new: ArrayLike, approved: Sequence[float] = APPROVED, *, seed: int = 0
) -> tuple[Swap, ...]:
    """What the score ``new`` in place of ``old`` changes, for each share approved.

    Args:
        label: (n,) of 0 and 1; both must occur.
        old: (n,) risk, rising with the probability of default.
        new: (n,) likewise.
        approved: shares of customers approved, each above 0 and at most 1.
        seed: of the draws; the same rows and seed give the same intervals.

    >>> found, = swaps([0, 0, 0, 1], [1, 2, 4, 3], [1, 2, 3, 4], (0.75,))
    >>> found.defaults, found.new_defaults, found.more.value
    (1.0, 0.0, 0.25)

    Raises:
        DataError: labels are not 0 and 1, one of them is absent, or lengths differ.
    """
    y, old_risk, new_risk = (np.asarray(v, dtype=np.float64) for v in (label, old, new))
    if y.ndim != 1 or not (y.shape == old_risk.shape == new_risk.shape) or not np.isin(y, (0.0, 1.0)).all():
        raise DataError("labels must be 0 and 1, with two scores for each of them")
    if len(y) == 0 or y.min() == y.max():
        raise DataError("all labels are equal; defaults and others are needed")
    shares = np.asarray(approved, dtype=np.float64)
    places = [_place(r) for r in (old_risk, new_risk)]
    main = _compare(y, np.ones(len(y)), places, shares)
    drawn = _drawn(y, places, shares, seed)
    return tuple(
        _swap(y, places, float(a), main[:, k], drawn[:, :, k]) for k, a in enumerate(shares.tolist())
    )


def _place(risk: Floats) -> NDArray[np.intp]:
    """Place of each row's risk among the distinct ones, the least first."""
    return np.unique(risk, return_inverse=True)[1]


def _drawn(y: Floats, places: Sequence[NDArray[np.intp]], shares: Floats, seed: int) -> Floats:
    """Figures of rows drawn again with replacement, (draws, figures, shares)."""
    n = len(y)
    draws = int(np.clip(ROWS_DRAWN // n, FEWEST_DRAWS, DRAWS))
    rng = np.random.default_rng(seed)
    out = np.empty((draws, 4, len(shares)))
    for k in range(draws):
        weight = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        out[k] = _compare(y, weight, places, shares)
    return out


def _compare(y: Floats, weight: Floats, places: Sequence[NDArray[np.intp]], shares: Floats) -> Floats:
    """Defaults of the old and of the new score, fewer in proportion, more approved in proportion: (4, shares)."""
    curves = [_curve(place, weight, weight * y) for place in places]
    total = float(weight.sum())
    old, new = (np.interp(shares * total, *curve) for curve in curves)
    fewer = np.divide(old - new, old, out=np.zeros_like(old), where=old > 0)
    rate = old / (shares * total)
    more = np.array([_reach(curves[1], r) for r in rate]) / total - shares
    return np.stack([old, new, fewer, more])


def _curve(place: NDArray[np.intp], weight: Floats, bad: Floats) -> tuple[Floats, Floats]:
    """Customers and defaults among the least risky ones, cumulated over distinct risks, from 0 on."""
    return np.r_[0.0, np.cumsum(np.bincount(place, weight))], np.r_[0.0, np.cumsum(np.bincount(place, bad))]


def _reach(curve: tuple[Floats, Floats], rate: float) -> float:
    """Most customers, the least risky first, of whom at most this share defaults."""
    customers, bad = curve
    within = np.flatnonzero(bad <= rate * customers + 1e-9)
    at = int(within[-1])
    if at == len(customers) - 1:
        return float(customers[-1])
    # Those of the next risk are approved by lot, as far as the rate allows.
    people, defaults = customers[at + 1] - customers[at], bad[at + 1] - bad[at]
    room = rate * customers[at] - bad[at]
    return float(customers[at] + people * min(max(room / (defaults - rate * people), 0.0), 1.0))


def _swap(
    y: Floats, places: Sequence[NDArray[np.intp]], approved: float, main: Floats, drawn: Floats
) -> Swap:
    def estimate(value: float, values: Floats) -> Estimate:
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        error = float(values.std())
        return Estimate(value=float(value), low=float(low), high=float(high), error=error)

    old, new, fewer, more = main.tolist()
    taken = [_taken(place, approved) for place in places]
    into, out = np.maximum(taken[1] - taken[0], 0.0), np.maximum(taken[0] - taken[1], 0.0)
    return Swap(
        approved=approved,
        defaults=old,
        new_defaults=new,
        default_rate=old / (approved * len(y)),
        fewer=estimate(old - new, drawn[:, 0] - drawn[:, 1]),
        fewer_share=estimate(fewer, drawn[:, 2]),
        more=estimate(more, drawn[:, 3]),
        swapped=float(into.sum()) / len(y),
        swapped_in=_rate(y, into),
        swapped_out=_rate(y, out),
    )


def _taken(place: NDArray[np.intp], approved: float) -> Floats:
    """Share of each customer that is approved: 1 or 0, or between where risks are equal at the cut, (n,)."""
    count = np.bincount(place)
    before = np.cumsum(count) - count
    part = np.clip((approved * len(place) - before) / count, 0.0, 1.0)
    return np.asarray(part[place], dtype=np.float64)


def _rate(y: Floats, weight: Floats) -> float | None:
    total = float(weight.sum())
    return float((weight * y).sum()) / total if total > 1e-9 else None
