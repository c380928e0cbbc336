"""Who bears a loss: layers of each segment, then stop, caps and pool, as a file of rules states them.

The same steps in two arithmetics. *Exact*: integer fen, divided by largest remainders (Hamilton's method: Balinski
& Young 1982), so that the parts add up to the loss to the last fen; for losses that came, and for tables. *Smooth*:
floating point, for many thousands of drawn losses.

Every step moves amounts between parties inside a segment, so the loss of each segment stays what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.loss_rules import Layer, LossRules, exact

Array = NDArray[Any]
Divide = Callable[[Array, Array], Array]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Who bears drawn or real losses.

    parts: (draws, segments, parties). claims: on the pool, (draws,); zeros where there is none. stopped: whether the
    stop's rate was passed, (draws,), in any segment where it is per segment.
    """

    parts: Array
    claims: Array
    stopped: NDArray[np.bool_]


def apportion(total: int, weights: Sequence[int | float | Fraction]) -> list[int]:
    """Divide whole units by weights, so that the parts add up to exactly the total (largest remainders).

    Where remainders are equal, who stands first gets the unit. Weights must not be negative; where all are zero the
    first takes all.

    >>> apportion(1_000_001, [Fraction(4, 10), Fraction(3, 10), Fraction(2, 10), Fraction(1, 10)])
    [400001, 300000, 200000, 100000]
    """
    exact_weights = [Fraction(w) for w in weights]
    whole = sum(exact_weights)
    if whole == 0:
        return [total, *[0] * (len(weights) - 1)]
    quotas = [total * w / whole for w in exact_weights]
    parts = [int(q) for q in quotas]
    left = total - sum(parts)
    order = sorted(range(len(parts)), key=lambda k: (parts[k] - quotas[k], k))
    for k in order[:left]:
        parts[k] += 1
    return parts


def split_exactly(rules: LossRules, which: Sequence[int], losses: Array, exposures: Array) -> Shared:
    """Who bears losses, in integer fen.

    which: for each segment of the figures, the place of its rules in ``rules.segments``. losses, exposures: (draws,
    segments) of whole fen, at least 0; the exposures may be (segments,). parts: (draws, segments, parties) of Python
    integers, which add up over the parties to the losses exactly.
    """
    losses = np.asarray(losses, object)
    return _split(rules, which, losses, np.broadcast_to(np.asarray(exposures, object), losses.shape), _by_fen)


def split_smoothly(rules: LossRules, which: Sequence[int], losses: Array, exposures: Array) -> Shared:
    """As :func:`split_exactly`, in floating point and without rounding, for many draws."""
    losses = np.asarray(losses, np.float64)
    return _split(
        rules, which, losses, np.broadcast_to(np.asarray(exposures, np.float64), losses.shape), _by_part
    )


def _by_fen(amounts: Array, weights: Array) -> Array:
    """Divide each amount by its weights (last axis) into whole units."""
    weights = np.broadcast_to(weights, (*amounts.shape, weights.shape[-1]))
    out = np.zeros(weights.shape, object)
    for place in np.ndindex(amounts.shape):
        if amounts[place]:
            out[place] = apportion(int(amounts[place]), list(weights[place]))
    return out


def _by_part(amounts: Array, weights: Array) -> Array:
    weights = np.asarray(weights, np.float64)
    whole = weights.sum(axis=-1, keepdims=True)
    parts: Array = amounts[..., None] * (weights / np.where(whole > 0, whole, 1.0))
    return parts


def _split(rules: LossRules, which: Sequence[int], losses: Array, exposures: Array, divide: Divide) -> Shared:
    parts = np.zeros((*losses.shape, len(rules.parties)), losses.dtype)
    for number, place in enumerate(which):
        parts[:, number] = _layers(rules, place, losses[:, number], exposures[:, number], divide)
    stopped = np.zeros(len(losses), bool)
    claims = np.zeros(len(losses), losses.dtype)
    for step in rules.order:
        if step == "stop" and rules.stop is not None:
            stopped = _stop(rules, parts, exposures, divide)
        elif step == "caps":
            _caps(rules, parts, exposures, divide)
        elif step == "pool" and rules.pool is not None:
            claims = _pool(rules, parts, divide)
    return Shared(parts=parts, claims=claims, stopped=stopped)


def _layers(rules: LossRules, place: int, losses: Array, exposures: Array, divide: Divide) -> Array:
    """Parts (draws, parties) of one segment's losses, layer by layer."""
    out = np.zeros((len(losses), len(rules.parties)), losses.dtype)
    below = np.zeros_like(losses)
    for layer in rules.segments[place].layers:
        upper = losses if not layer.ends else np.minimum(losses, _end(layer, exposures))
        amount = np.maximum(upper - below, 0 * below)
        shares = [exact(layer.shares.get(name, 0.0)) for name in rules.names]
        out = out + divide(amount, np.array(shares, object))
        below = np.maximum(below, upper)
    return out


def _end(layer: Layer, exposures: Array) -> Array:
    """Where a layer ends, in fen."""
    if layer.up_to_yuan is not None:
        return np.full_like(exposures, LossRules.fen(layer.up_to_yuan))
    return _times(exposures, layer.up_to or 0.0)


def _times(amounts: Array, rate: float) -> Array:
    """A rate of amounts; whole fen, rounded down, where the amounts are integers."""
    if amounts.dtype == object:
        share = exact(rate)
        whole: Array = amounts * share.numerator // share.denominator
        return whole
    smooth: Array = amounts * rate
    return smooth


def _stop(rules: LossRules, parts: Array, exposures: Array, divide: Divide) -> NDArray[np.bool_]:
    """Move compensation above the stop's rate to the rest; whether it was passed."""
    stop = rules.stop
    if stop is None:
        return np.zeros(len(parts), bool)
    payers = [k for k, name in enumerate(rules.names) if name != rules.rest]
    paid = parts[:, :, payers].sum(axis=2)
    if stop.per == "all":
        paid, base = paid.sum(axis=1, keepdims=True), exposures.sum(axis=1, keepdims=True)
    else:
        base = exposures
    limit = _times(base, stop.rate)
    passed = np.asarray((paid > limit).any(axis=1), bool)
    if stop.ends == "compensation":
        rest = rules.names.index(rules.rest)
        if stop.per == "all":
            _move(parts, payers, rest, limit[:, 0], divide)
        else:
            for number in range(parts.shape[1]):
                _move(parts[:, number : number + 1], payers, rest, limit[:, number], divide)
    return passed


def _caps(rules: LossRules, parts: Array, exposures: Array, divide: Divide) -> None:
    rest = rules.names.index(rules.rest)
    for k, party in enumerate(rules.parties):
        if party.cap is not None:
            _move(parts, [k], rest, np.full(len(parts), LossRules.fen(party.cap), parts.dtype), divide)
        elif party.cap_rate is not None:
            _move(parts, [k], rest, _times(exposures.sum(axis=1), party.cap_rate), divide)


def _pool(rules: LossRules, parts: Array, divide: Divide) -> Array:
    """Claims on the pool; where the rules say who bears what is above it, that is moved."""
    pool = rules.pool
    if pool is None:
        return np.zeros(len(parts), parts.dtype)
    payers = [rules.names.index(name) for name in dict.fromkeys(pool.pays)]
    claims: Array = parts[:, :, payers].sum(axis=(1, 2))
    if pool.beyond is not None:
        size = np.full(len(parts), LossRules.fen(pool.size), parts.dtype)
        _move(parts, payers, rules.names.index(pool.beyond), size, divide)
    return claims


def _move(parts: Array, payers: Sequence[int], to: int, limit: Array, divide: Divide) -> None:
    """What some parties bear together above a limit goes to another, segment by segment; in place.

    parts: (draws, segments, parties). limit: (draws,). What is taken is divided over segments and payers as their
    parts.
    """
    theirs = parts[:, :, payers]
    flat = theirs.reshape(len(parts), -1)
    above = np.maximum(flat.sum(axis=1) - limit, 0 * limit)
    if not (above > 0).any():
        return
    taken = divide(above, flat).reshape(theirs.shape)
    parts[:, :, payers] = theirs - taken
    parts[:, :, to] = parts[:, :, to] + taken.sum(axis=2)
