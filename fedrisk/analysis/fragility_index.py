"""The fragility index of one quarter: one number for each cell, what drove it, its rank, and alarms.

**Index.** Indicator i deviates from what is usual in its cell by d_i (`deviations`). A shock of size theta moves each
by theta * h_i in the direction that is fragile, h_i = weight * serious. The index is the best linear unbiased estimate
of theta (Aitken 1935), with weights S^-1 h, S the covariance of the deviations: noise that was released with, error of
what is usual, and the usual moves, whose correlations between indicators are estimated. So an indicator counts by what
it says under its noise. Weights are never negative.

**Scale.** 50 is as usual in this cell. 10 points are the standard deviation of the usual moves, from quarter to quarter
and without noise, of a typical cell. Contributions add up to the index less 50.

**Alarm.** theta over its standard deviation, usual moves included, is the most powerful test against a shock of this
shape (Neyman & Pearson 1933, for normal errors). Its threshold comes from the lower tail of the same statistic in the
earlier quarters, each held against the others (an empirical null, Efron 2004; the lower tail, because shocks are in the
upper one): so a stated share of the cells without a shock raises an alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fedrisk.analysis.deviations import Deviations, Figures, change_matrix, deviations
from fedrisk.analysis.fragility_panel import Panel, relative_to_usual
from fedrisk.analysis.fragility_settings import LEAST_REFERENCE, FragilitySettings, Transformation
from fedrisk.analysis.random_effects import Floats, excess_variance, weighted_median
from fedrisk.errors import ConfigError

USUAL, POINTS = 50.0, 10.0
"""The index of a cell that is as usual, and points for one usual standard deviation of a typical cell."""

LAGS: dict[Transformation, int] = {"level": 0, "quarter": 1, "year": 4}
EVIDENT = 3.0
"""Statistics of earlier quarters above it are shocks, not chance."""

LOWER = (0.05, 0.1, 0.15, 0.2, 0.25)
"""Quantiles by which the lower tail of a quarter is held against that of the earlier ones."""

DRAWS = 2000
"""Draws by which ranks are judged; from a fixed seed, so that a page made again says the same."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One quarter's index; arrays are by cell, in the panel's order, in points.

    index, low, high: NaN where withheld. contributions, contribution_errors: (indicators, cells), NaN where one is left
    out. weights: points for one unit of an indicator in the fragile direction. alarm: whether it is higher than all but
    a share of cells without a shock would be. strength: the statistic over its threshold. withheld: says less than its
    noise, or has no figures. finds: chance that a serious move raises an alarm, 0 where there are no figures. rank: 1
    is the most fragile; 0 where withheld. rank_low, rank_high: nine in ten draws lie between. worst: probability to be
    among the ``settings.worst`` most fragile. common, common_error: (groups,) points that all cells of a group moved
    alike, NaN where all of them are withheld. common_parts: (indicators, groups). reference: the earlier quarters it
    was held against. statistic: (earlier and this quarter, cells).
    """

    quarter: str
    index: Floats
    low: Floats
    high: Floats
    contributions: Floats
    contribution_errors: Floats
    weights: Floats
    alarm: NDArray[np.bool_]
    strength: Floats
    withheld: NDArray[np.bool_]
    finds: Floats
    rank: NDArray[np.int64]
    rank_low: NDArray[np.int64]
    rank_high: NDArray[np.int64]
    worst: Floats
    common: Floats
    common_error: Floats
    common_parts: Floats
    reference: tuple[str, ...]
    statistic: Floats


def judge_all(panel: Panel, settings: FragilitySettings) -> list[Judged]:
    """The index of every quarter that has enough earlier ones; ConfigError where none has."""
    fit = [t for t in range(len(panel.quarters)) if len(_held(panel, settings, t)) > LEAST_REFERENCE]
    if not fit:
        lag = max(LAGS[i.transformation] for i in panel.indicators)
        raise ConfigError(
            f"{len(panel.quarters)} quarters are too few: an index needs {LEAST_REFERENCE + 1}"
            + (f" and {lag} more for changes on the year or quarter before" if lag else "")
        )
    return [judge(panel, settings, t) for t in fit]


def judge(panel: Panel, settings: FragilitySettings, quarter: int) -> Judged:
    """The index of one quarter, from it and earlier ones alone (but counts of rows, which `fragility_panel` pools)."""
    held = _held(panel, settings, quarter)
    panel = relative_to_usual(panel, held)
    found = [_deviations(panel, i, held) for i in range(len(panel.indicators))]
    parts = _stack(panel, found)
    weights = _weights(parts)
    parts = _centred(parts, weights, panel.group)
    theta, spread, error = _estimates(parts, weights)
    points = POINTS / _one_usual(parts, weights[-1])
    statistic = theta / np.sqrt(np.where(spread > 0, spread, np.nan))
    threshold = _threshold(statistic, settings.false_alarms)
    finds = _finds(theta[-1], spread[-1], threshold)
    withheld = ~(finds >= max(settings.least_found, 1e-9))
    # Cells that are withheld raise no alarm, so the rate is held among those that say something.
    threshold = _threshold(statistic[:, ~withheld], settings.false_alarms)
    strength = statistic[-1] / threshold
    half = norm.ppf(0.975) * points * np.sqrt(error[-1])
    index = np.where(withheld, np.nan, USUAL + points * theta[-1])
    own = points * weights[-1]
    left_out = (weights[-1] == 0) | withheld
    ranks = _ranks(np.where(withheld, np.nan, theta[-1]), error[-1], settings.worst)
    common, common_error, common_parts = _common(panel, found, own, left_out)
    silent = np.array([withheld[panel.group == g].all() for g in range(len(panel.groups))])
    common[silent], common_error[silent], common_parts[:, silent] = np.nan, np.nan, np.nan
    return Judged(
        quarter=panel.quarters[quarter],
        index=index,
        low=index - half,
        high=index + half,
        contributions=np.where(left_out, np.nan, own * parts.value[-1]),
        contribution_errors=np.where(left_out, np.nan, own * np.sqrt(parts.error[-1])),
        weights=np.where(left_out, np.nan, own),
        alarm=~withheld & (strength > 1.0),
        strength=np.where(withheld, np.nan, strength),
        withheld=withheld,
        finds=finds,
        rank=ranks[0],
        rank_low=ranks[1],
        rank_high=ranks[2],
        worst=ranks[3],
        common=common,
        common_error=common_error,
        common_parts=common_parts,
        reference=tuple(panel.quarters[s] for s in held[:-1]),
        statistic=statistic,
    )


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Deviations of all indicators, (held, indicators, cells): value in the fragile direction, variances.

    error: of noise and of what is usual. usual: of the cell's own moves. there: which are used. move: (indicators,) h.
    link: (indicators, indicators) correlations of the usual moves.
    """

    value: Floats
    error: Floats
    past: Floats
    usual: Floats
    there: NDArray[np.bool_]
    move: Floats
    typical: Floats
    link: Floats


def _held(panel: Panel, settings: FragilitySettings, quarter: int) -> list[int]:
    """Earlier quarters for which every indicator's transformation can be made, and the quarter itself."""
    first = max(LAGS[i.transformation] for i in panel.indicators)
    earlier = range(max(first, quarter - settings.reference_quarters), quarter)
    return [*earlier, quarter]


def _deviations(panel: Panel, i: int, held: Sequence[int]) -> Deviations:
    change = change_matrix(len(panel.quarters), LAGS[panel.indicators[i].transformation])
    figures = Figures(
        values=panel.values[i],
        errors=panel.errors[i],
        change=change,
        rows=panel.rows[i],
        group=panel.group,
    )
    return deviations(figures, list(held))


def _stack(panel: Panel, found: Sequence[Deviations]) -> _Parts:
    sign = np.array([1.0 if i.fragile == "high" else -1.0 for i in panel.indicators])
    value = np.stack([s * d.value for s, d in zip(sign, found, strict=True)], axis=1)
    error = np.stack([d.noise + d.past for d in found], axis=1)
    usual = np.stack([d.usual for d in found], axis=1)
    past = np.stack([d.past for d in found], axis=1)
    typical = np.array(
        [d.typical if i.serious is None else i.serious for i, d in zip(panel.indicators, found, strict=True)]
    )
    least = np.array([i.minimum_reliability for i in panel.indicators])
    there = np.isfinite(value) & np.isfinite(error) & (usual + error > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        there &= typical[:, None] ** 2 / (typical[:, None] ** 2 + error) >= least[:, None]
    parts = _Parts(
        value=np.where(there, value, 0.0),
        error=np.where(there, error, 1.0),
        past=np.where(there, past, 0.0),
        usual=np.where(there, usual, 0.0),
        there=there,
        move=typical * np.array([i.weight for i in panel.indicators]),
        typical=np.array([d.typical for d in found]),
        link=np.eye(len(typical)),
    )
    return _linked(parts)


def _linked(parts: _Parts) -> _Parts:
    """Correlations of the usual moves between indicators, noise taken out; what noise explains is left at 0."""
    total = parts.error + parts.usual
    scaled = np.clip(np.where(parts.there, parts.value / np.sqrt(total), 0.0)[:-1], -2.5, 2.5)
    # Noise is independent between measures: what goes together are the usual moves alone.
    fine = np.sqrt(np.where(parts.there, (parts.usual + parts.past) / total, 0.0))[:-1]
    together = np.einsum("sic,sjc->ij", scaled, scaled)
    at_most = np.einsum("sic,sjc->ij", fine, fine)
    chance = np.einsum("sic,sjc->ij", parts.there[:-1] * 1.0, parts.there[:-1] * 1.0)
    link = together / np.maximum(at_most, 1e-12)
    # What chance alone would make of it is taken off (James & Stein 1961).
    error = chance / np.maximum(at_most, 1e-12) ** 2
    link = link * np.maximum(0.0, 1.0 - error / np.maximum(link**2, 1e-12))
    link = np.clip(link, -0.9, 0.9)
    np.fill_diagonal(link, 1.0)
    roots, axes = np.linalg.eigh(link)
    link = (axes * np.maximum(roots, 0.05)) @ axes.T
    scale = np.sqrt(np.diag(link))
    return replace(parts, link=link / np.outer(scale, scale))


def _covariance(own: Floats, shared: Floats, link: Floats) -> Floats:
    """(..., cells, i, i): own variances, and shared ones with their correlations; own, shared (..., i, cells)."""
    root = np.moveaxis(np.sqrt(shared), -2, -1)
    matrix = root[..., :, None] * link * root[..., None, :]
    size = np.arange(link.shape[0])
    matrix[..., size, size] += np.moveaxis(own, -2, -1)
    return np.asarray(matrix)


def _weights(parts: _Parts) -> Floats:
    """(held, indicators, cells): S^-1 h over h'S^-1 h, over indicators that are there and whose weight is positive."""
    noise = np.maximum(parts.error - parts.past, 0.0)
    covariance = _covariance(noise, parts.past + parts.usual, parts.link)
    use = np.moveaxis(parts.there, -2, -1).copy()
    size = np.arange(len(parts.move))
    for _ in range(4):
        both = use[..., :, None] & use[..., None, :]
        matrix = np.where(both, covariance, 0.0)
        # An indicator that is not used stands alone, with any variance.
        matrix[..., size, size] = np.where(use, covariance[..., size, size], 1.0)
        move = np.where(use, parts.move, 0.0)
        found = np.linalg.solve(matrix, move[..., None])[..., 0]
        if not (found < 0).any():
            break
        use &= found > 0
    found = np.maximum(found, 0.0)
    base = (found * parts.move).sum(axis=-1, keepdims=True)
    return np.moveaxis(np.where(base > 0, found / np.maximum(base, 1e-300), 0.0), -1, -2)


def _centred(parts: _Parts, weights: Floats, group: NDArray[np.int64]) -> _Parts:
    """What all cells of a group did alike is taken out of the shock's direction once more.

    Indicators that a shock moves together each push the middle of all cells a little, always the same way: small in
    each indicator, not in their sum. The middle is that of cells within two standard deviations of it.
    """
    theta, spread, _ = _estimates(parts, weights)
    root = np.sqrt(np.where(spread > 0, spread, np.nan))
    shift = np.zeros_like(theta)
    for g in range(int(group.max()) + 1):
        cells = group == g
        near = np.ones_like(theta[:, cells], dtype=bool)
        for _ in range(5):
            middle = weighted_median(theta[:, cells], near / root[:, cells] ** 2)[:, None]
            near = np.abs(theta[:, cells] - middle) < 2 * root[:, cells]
        shift[:, cells] = middle
    value = parts.value - np.where(parts.there, shift[:, None] * parts.move[:, None], 0.0)
    return replace(parts, value=value)


def _quadratic(weights: Floats, shared: Floats, link: Floats) -> Floats:
    """Variance of the weighted sum of variables with variances ``shared`` and those correlations, by cell."""
    root = weights * np.sqrt(shared)
    return np.asarray(np.einsum("...ic,ij,...jc->...c", root, link, root))


def _one_usual(parts: _Parts, weights: Floats) -> float:
    """Standard deviation of theta by usual moves, in a typical cell without noise; 1 where no cell says anything."""
    spread = _quadratic(weights, np.broadcast_to(parts.typical[:, None] ** 2, weights.shape), parts.link)
    spread = spread[spread > 0]
    return float(np.sqrt(np.median(spread))) if len(spread) else 1.0


def _estimates(parts: _Parts, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Theta (held, cells), its variance with the usual moves, and without them; NaN where nothing is there."""
    none = (weights == 0).all(axis=1)
    theta = np.where(none, np.nan, (weights * parts.value).sum(axis=1))
    noise = (weights**2 * np.maximum(parts.error - parts.past, 0.0)).sum(axis=1)
    spread = noise + _quadratic(weights, parts.usual + parts.past, parts.link)
    error = noise + _quadratic(weights, parts.past, parts.link)
    return theta, spread, error


def _finds(theta: Floats, spread: Floats, threshold: float) -> Floats:
    """The chance of an alarm where all indicators move by what is serious (theta = 1); 0 where there are no figures."""
    there = np.isfinite(theta) & (spread > 0)
    return np.where(there, norm.cdf(1.0 / np.sqrt(np.where(there, spread, 1.0)) - threshold), 0.0)


def _threshold(statistic: Floats, rate: float) -> float:
    """What ``rate`` of cells without a shock exceed: the lower tail of the earlier quarters, mirrored at 0.

    Cells with an evident shock among them are left out: their other quarters are held against it. Moves that last make
    the latest quarter, which has earlier ones on one side only, more spread than those between others: the threshold
    grows by as much as this quarter's lower tail is longer.
    """
    usual = float(norm.ppf(1 - rate))
    with np.errstate(invalid="ignore"):
        quiet = ~(statistic[:-1] > EVIDENT).any(axis=0)
    earlier, now = (part[np.isfinite(part)] for part in (statistic[:-1, quiet], statistic[-1, quiet]))
    if len(earlier) < 10 / rate:
        return usual
    found = max(-float(np.quantile(earlier, rate)), 0.5 * usual)
    if len(now) < 2 / rate:
        return found
    longer = np.quantile(now, LOWER) / np.minimum(np.quantile(earlier, LOWER), -1e-9)
    return found * float(np.clip(longer.mean(), 1.0, 2.0))


def _ranks(
    theta: Floats, error: Floats, worst: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """Rank, bounds of nine in ten draws, probability to be among the worst; 0 and NaN where theta is NaN.

    Draws are of the cells' own moves given their figures: a normal prior about 0 whose variance is the moves' spread in
    this quarter (DerSimonian & Laird 1986; shocks included), normal errors.
    """
    place = np.flatnonzero(np.isfinite(theta))
    rank, low, high = (np.zeros(len(theta), np.int64) for _ in range(3))
    chance = np.full(len(theta), np.nan)
    if not len(place):
        return rank, low, high, chance
    value, variance = theta[place], error[place]
    prior = max(excess_variance(value, variance), float(np.mean(value**2 - variance)), 1e-300)
    pull = prior / (prior + variance)
    draws = np.random.default_rng(1).normal(pull * value, np.sqrt(pull * variance), (DRAWS, len(place)))
    order = np.empty(draws.shape, np.int64)
    np.put_along_axis(order, (-draws).argsort(axis=1), np.arange(1, len(place) + 1)[None], axis=1)
    chance[place] = (order <= worst).mean(axis=0)
    rank[place] = (-pull * value).argsort(kind="stable").argsort(kind="stable") + 1
    low[place], high[place] = np.quantile(order, (0.05, 0.95), axis=0, method="nearest")
    return rank, low, high, chance


def _common(
    panel: Panel, found: Sequence[Deviations], own: Floats, left_out: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Points that all cells of a group moved alike against the earlier quarters, by the weights of a typical cell."""
    typical = (
        np.nan_to_num(np.nanmedian(np.where(left_out, np.nan, own), axis=1))
        if (~left_out).any()
        else own[:, 0]
    )
    parts, errors = [], []
    for i, each in enumerate(found):
        sign = 1.0 if panel.indicators[i].fragile == "high" else -1.0
        earlier = each.moved[:-1]
        parts.append(sign * typical[i] * (each.moved[-1] - np.median(earlier, axis=0)))
        middle = 0.5 * np.pi * earlier.var(axis=0, ddof=1) / len(earlier)
        errors.append(typical[i] ** 2 * (each.moved_error[-1] + middle))
    return np.sum(parts, axis=0), np.sqrt(np.sum(errors, axis=0)), np.array(parts)
