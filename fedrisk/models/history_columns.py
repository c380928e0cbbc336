"""Columns that are computed from monthly histories: the formulas, and the one function that applies them.

The same function computes the column of a study's table and of rows that are looked up for scores. Every step goes
value by value along the enterprises, and sums go month by month, so the value of one enterprise does not depend on
which others are computed with it, to the last bit.

The formulas follow practice of credit scoring on transactions and of early warning: levels, trends and falls against an
earlier window (Siddiqi 2017, chapter 5, on derived characteristics), coefficients of variation, the same months a year
before, gaps in reporting, amounts pulled together at a quarter's end (as in channel stuffing, Jackson and Pitman 2001).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.history_kinds import KINDS, HistoryRule
from fedrisk.models.fall_evidence import weight_of_evidence

__all__ = ["FORMULAS", "KINDS", "Paths", "compute"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 16_384
"""Enterprises that are computed at a time: few enough for the processor's cache."""

FLOOR = 0.02
"""Least value of a month, as a share of the enterprise's own mean, before a logarithm is taken."""

MADE_UP = 1.5
"""A month makes up for a gap before it where it is at least so many times the enterprise's usual month."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Histories of some enterprises, cut to what [histories] states.

    x: (months, n), oldest first, NaN where a month was not reported. ends: of the last month, counted from January of
    year 0 (12 * year + month - 1), (n,); -1 where nobody knows.
    """

    x: Floats
    ends: Ints

    def last(self, months: int, before: int = 0) -> Floats:
        """The last so many months up to ``before`` months before the last one, (months, n)."""
        end = len(self.x) - before
        return self.x[end - months : end]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which enterprises reported any month at all, (n,)."""
        return np.asarray((~np.isnan(self.x)).any(axis=0))


Formula = Callable[[Paths, HistoryRule], Floats]


def compute(rule: HistoryRule, paths: Floats, ago: int = 0, ends: Ints | int | None = None) -> Floats:
    """One history column, (n,) float64 within the kind's bounds or the series', NaN where it is unknown.

    Unknown is who has no history, or too few months for the rule: a window needs at least half of its months.

    Args:
        rule: of the column; ``over`` says how many months count, the last ones (all where it is None).
        paths: (n, months), oldest first, NaN for a month that was not reported.
        ago: months before the last one: 3 gives the value as it was three months earlier.
        ends: which month the last one of ``paths`` is (12 * year + month - 1), one for all or (n,), for kinds that need
            the calendar; unknown where it is None or negative.
    """
    n, months = paths.shape
    out = np.empty(n)
    over = rule.over or months
    if ago < 0:
        raise ValueError(f"ago = {ago} must not be negative")
    at = np.full(n, -1, np.int64) if ends is None else np.broadcast_to(np.asarray(ends, np.int64), n)
    for start in range(0, n, CHUNK):
        some = slice(start, start + CHUNK)
        cut = paths[some, : max(0, months - ago)][:, -over:]
        x = np.full((over, len(cut)), np.nan)
        if cut.shape[1]:
            x[-cut.shape[1] :] = cut.T
        until = np.where(at[some] < 0, -1, at[some] - ago)
        out[some] = _one(rule, Paths(x, until))
    return out


def _one(rule: HistoryRule, paths: Paths) -> Floats:
    if rule.span > len(paths.x):
        return np.full(paths.x.shape[1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = FORMULAS[rule.kind](paths, rule)
    # What has no bounds of its own has the series': a month without its season may lie beyond them.
    low, high = (rule.low, rule.high) if rule.of.low is None else (rule.of.low, rule.of.high)
    # -0.0 and 0.0 are one value.
    return np.asarray((value if low is None or high is None else np.clip(value, low, high)) + 0.0)


# --- helpers: month by month ------------------------------------------------------------------------------


def total(x: Floats) -> tuple[Floats, Ints]:
    """Sum of the months that are there, and how many they are, both (n,)."""
    there = ~np.isnan(x)
    out, count = np.zeros(x.shape[1]), np.zeros(x.shape[1], np.int64)
    for month, known in zip(x, there, strict=True):
        out += np.where(known, month, 0.0)
        count += known
    return out, count


def mean(x: Floats) -> Floats:
    """Mean of the months that are there, (n,); NaN where these are fewer than half."""
    found, count = total(x)
    return np.where(2 * count >= max(len(x), 1), found / np.maximum(count, 1), np.nan)


def spread(x: Floats) -> Floats:
    """Standard deviation of the months that are there, (n,); NaN where these are fewer than half."""
    middle = mean(x)
    return np.sqrt(mean((x - middle) ** 2))


def logs(x: Floats, level: Floats) -> Floats:
    """Logarithms of the months over a level, (months, n), where less than `FLOOR` of it counts as that."""
    return np.asarray(np.log(np.maximum(x / np.where(level > 0, level, np.nan), FLOOR)))


def ratio(above: Floats, below: Floats) -> Floats:
    """Logarithm of a ratio of two means, (n,); without bounds where one is zero, and NaN where both are."""
    return np.asarray(np.log(above) - np.log(below))


def slope(y: Floats) -> Floats:
    """Slope a month of the least-squares line through the months that are there, (n,)."""
    t = np.arange(len(y)) - (len(y) - 1) / 2
    there = np.where(np.isnan(y), np.nan, 1.0)
    when, level = mean(there * t[:, None]), mean(y)
    apart = there * t[:, None] - when
    return np.asarray(mean(apart * (y - level)) / mean(apart * apart))


# --- formulas, each of the kind of its name ---------------------------------------------------------------


def level(paths: Paths, rule: HistoryRule) -> Floats:
    return mean(paths.last(rule.months))


def trend(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.last(rule.months)
    return 12.0 * slope(logs(x, mean(x)))


def fall(paths: Paths, rule: HistoryRule) -> Floats:
    return ratio(mean(paths.last(rule.before or 0, rule.months)), mean(paths.last(rule.months)))


def yearly_fall(paths: Paths, rule: HistoryRule) -> Floats:
    now, then = paths.last(rule.months), paths.last(rule.months, 12)
    both = np.isnan(now) | np.isnan(then)
    return ratio(mean(np.where(both, np.nan, then)), mean(np.where(both, np.nan, now)))


def volatility(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.last(rule.months)
    return spread(x) / mean(x)


def irregularity(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.last(rule.months)
    y = logs(x, mean(x))
    # Months that are a quarter apart have the same place in the rhythm.
    growth = mean(y[3:] - y[:-3]) / 3.0
    left = y - growth * np.arange(len(y))[:, None]
    for phase in range(3):
        left[phase::3] -= np.nan_to_num(mean(left[phase::3]))
    return spread(left)


def gaps(paths: Paths, rule: HistoryRule) -> Floats:
    missing = _gaps(paths)[-rule.months :]
    return np.where(paths.known, total(np.where(missing, 1.0, 0.0))[0], np.nan)


def unmade_gaps(paths: Paths, rule: HistoryRule) -> Floats:
    missing, usual = _gaps(paths), mean_of_known(paths.x)
    run, found = np.zeros(len(usual)), np.zeros(len(usual))
    first = len(paths.x) - rule.months
    for at, (gone, month) in enumerate(zip(missing, paths.x, strict=True)):
        # A run of gaps is judged in the month that ends it.
        made = month >= (1.0 + (MADE_UP - 1.0) * run) * usual
        found += np.where(~gone & (run > 0) & ~made, np.minimum(run, max(at - first, 0)), 0.0)
        run = np.where(gone, run + 1.0, 0.0)
    # The last month may yet come late.
    found += np.minimum(np.maximum(run - 1.0, 0.0), rule.months - 1.0)
    return np.where(paths.known, found, np.nan)


def bunching(paths: Paths, rule: HistoryRule) -> Floats:
    return _bunched(paths, rule.months, 0)


def bunching_rise(paths: Paths, rule: HistoryRule) -> Floats:
    return _bunched(paths, rule.months, 0) - _bunched(paths, rule.before or 0, rule.months)


def falls_in_a_row(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.x[-(rule.months + 1) :]
    count, going = np.zeros(x.shape[1]), np.ones(x.shape[1], dtype=bool)
    for now, then in zip(x[:0:-1], x[-2::-1], strict=True):
        going = going & (now < then)
        count += going
    return np.where(np.isnan(x[-1]), np.nan, count)


def months_since_best(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.last(rule.months)
    best, since = np.full(x.shape[1], -np.inf), np.zeros(x.shape[1])
    for month in x:
        better = month >= best
        since = np.where(better, 0.0, since + 1.0)
        best = np.where(better, month, best)
    return np.where(np.isnan(mean(x)), np.nan, since)


def worst(paths: Paths, rule: HistoryRule) -> Floats:
    x = paths.last(rule.months)
    lowest = np.fmin.reduce(x, axis=0)
    lowest = np.where(np.isnan(mean(x)), np.nan, lowest)
    return lowest / mean(paths.last(rule.before or 0, rule.months))


def lasting_fall(paths: Paths, rule: HistoryRule) -> Floats:
    x, before = paths.last(rule.span), rule.before or 0
    y = logs(x, mean(x))
    found = np.full(x.shape[1], np.nan)
    for onset in range(1, rule.months + 1):
        earlier, since = y[-(onset + before) : -onset], y[-onset:]
        step = mean(earlier) - mean(since)
        # What the last months have won back since the lowest three in a row.
        recent = mean(since[-3:])
        lowest = recent
        for end in range(3, onset):
            lowest = np.fmin(lowest, mean(since[end - 3 : end]))
        found = np.fmax(found, step - (recent - lowest))
    return found


def fall_evidence(paths: Paths, rule: HistoryRule) -> Floats:
    return weight_of_evidence(paths.last(rule.span), rule.months, since=rule.since or 0)


def bunched_fall_evidence(paths: Paths, rule: HistoryRule) -> Floats:
    return weight_of_evidence(paths.last(rule.span), rule.months, paths.ends, rule.since or 0)


# --- parts of formulas ------------------------------------------------------------------------------------


def mean_of_known(x: Floats) -> Floats:
    """Mean of the months that are there, however few, (n,); NaN where there are none."""
    found, count = total(x)
    return np.where(count > 0, found / np.maximum(count, 1), np.nan)


def _gaps(paths: Paths) -> NDArray[np.bool_]:
    """Months without a report since the first one, (months, n): who is new has no gaps before the beginning."""
    there = ~np.isnan(paths.x)
    return np.asarray(np.logical_or.accumulate(there, axis=0) & ~there)


def _bunched(paths: Paths, months: int, before: int) -> Floats:
    """Share of the last months of quarters in whole quarters of a window, (n,); NaN without a whole quarter."""
    x, ends = paths.last(months, before), paths.ends
    out = np.full(x.shape[1], np.nan)
    for phase in range(3):
        # Months from the window's last one back to the end of a quarter.
        back = (phase - before) % 3
        at = (ends >= 0) & ((ends + 1) % 3 == phase)
        quarters = [x[end - 3 : end] for end in range(months - back, 2, -3)]
        if not at.any() or not quarters:
            continue
        whole, closing = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for quarter in quarters:
            amount = quarter[0] + quarter[1] + quarter[2]
            known = ~np.isnan(amount)
            whole += np.where(known, amount, 0.0)
            closing += np.where(known, quarter[2], 0.0)
        out[at] = np.where(whole > 0, closing / whole, np.nan)[at]
    return out


FORMULAS: dict[str, Formula] = {
    "level": level,
    "trend": trend,
    "fall": fall,
    "yearly_fall": yearly_fall,
    "volatility": volatility,
    "irregularity": irregularity,
    "gaps": gaps,
    "unmade_gaps": unmade_gaps,
    "bunching": bunching,
    "bunching_rise": bunching_rise,
    "falls_in_a_row": falls_in_a_row,
    "months_since_best": months_since_best,
    "worst": worst,
    "lasting_fall": lasting_fall,
    "fall_evidence": fall_evidence,
    "bunched_fall_evidence": bunched_fall_evidence,
}
"""By kind; the public side of each is its line in `fedrisk.data.history_kinds`."""
