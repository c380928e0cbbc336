"""Caps: how much an institution gives away at most, per accounting period, purpose and study.

A cap is stated in epsilon at delta 1e-6, which people can compare, and kept in Gaussian-DP mu, whose squares
add up (Dong, Roth & Su 2022). The default of epsilon 4 per year holds twelve monthly refits at epsilon 1,
which are epsilon 3.9 together: twelve times mu .237 squared is .820 squared, and epsilon 4 is mu .838.

**Fixed periods, not a sliding window.** Periods of ``period_days`` are counted from ``epoch``, a date of the
institution's choice. Each figure can then be checked by hand ("spent since 1 January, next budget on 1
January"), and the day on which budget returns is known to everybody. The price is paid at the border: two
neighbouring periods may both be spent within a few days, so over any stretch as long as one period the bound
is sqrt(2) times the cap in mu (epsilon 5.93 instead of 4). A sliding window would bound that stretch, but it
refunds budget by the hour, in amounts that nobody can explain. For a lifetime it guarantees no more than
fixed periods do: neither bounds it. What an enterprise has lost in all is the lifetime figure, which the
ledger's report always shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import mu_for

DELTA = 1e-6
"""The delta at which caps and reports are shown as epsilon."""

EPOCH = date(2026, 1, 1)

_MU_MAX = 1e100
"""The largest finite cap: squares must stay finite. Infinity is an explicit choice and allowed."""


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What an institution allows, in epsilon at delta 1e-6, in every accounting period.

    epsilon: everything together. per_study: all attempts at studies of one name; None sets no such limit. The
    study's author chooses the name, so this limit guards against mistakes and ``epsilon`` against intent.
    per_purpose: limits of single purposes; a purpose that is not named has only the limit on everything.
    period_days: length of a period. epoch: the first day of one of the periods.

    Raises ConfigError for a number that is not positive (infinity is allowed, and is no cap) or a period
    shorter than a day.

    >>> caps = Caps()
    >>> round(caps.limits().whole, 3), round(12**0.5 * mu_for(1.0, DELTA), 3)
    (0.838, 0.82)
    """

    epsilon: float = 4.0
    period_days: int = 365
    per_study: float | None = None
    per_purpose: Mapping[str, float] = field(default_factory=dict)
    epoch: date = EPOCH

    def __post_init__(self) -> None:
        whole_days = isinstance(self.period_days, int) and not isinstance(self.period_days, bool)
        if not whole_days or self.period_days < 1:
            raise ConfigError(
                f"caps: period_days is {self.period_days}; it must be a whole number, 1 or more"
            )
        if isinstance(self.epoch, datetime) or not isinstance(self.epoch, date):
            raise ConfigError("caps: epoch must be a date without a time, such as 2026-01-01")
        named = {"epsilon": self.epsilon}
        if self.per_study is not None:
            named["per_study"] = self.per_study
        named |= {f"per_purpose of {purpose!r}": epsilon for purpose, epsilon in self.per_purpose.items()}
        for name, epsilon in named.items():
            if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not epsilon > 0.0:
                raise ConfigError(f"caps: {name} is {epsilon}; it must be a number above 0")
        object.__setattr__(self, "per_purpose", MappingProxyType(dict(self.per_purpose)))

    def limits(self) -> Limits:
        """The same caps in mu."""
        return Limits(
            whole=mu_for(self.epsilon, DELTA),
            per_study=None if self.per_study is None else mu_for(self.per_study, DELTA),
            per_purpose={name: mu_for(epsilon, DELTA) for name, epsilon in self.per_purpose.items()},
            calendar=Calendar(days=self.period_days, epoch=self.epoch),
        )


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Accounting periods of ``days`` days each, number 0 beginning at midnight UTC of ``epoch``.

    >>> year = Calendar(days=365, epoch=date(2026, 1, 1))
    >>> year.period(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)), year.period(datetime(2027, 1, 1, tzinfo=UTC))
    (0, 1)
    >>> year.bounds(1)
    (datetime.date(2027, 1, 1), datetime.date(2028, 1, 1))
    """

    days: int = 365
    epoch: date = EPOCH

    def period(self, moment: datetime) -> int:
        """Number of the period that holds ``moment`` (aware); negative before the epoch."""
        return (moment.astimezone(UTC).date() - self.epoch).days // self.days

    def bounds(self, period: int) -> tuple[date, date]:
        """First day of a period and of the one after it, cut off at the ends of the calendar."""
        return _shift(self.epoch, period * self.days), _shift(self.epoch, (period + 1) * self.days)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Caps in mu. ``calendar`` None means one period without end: ``whole`` is a lifetime cap."""

    whole: float
    per_study: float | None = None
    per_purpose: Mapping[str, float] = field(default_factory=dict)
    calendar: Calendar | None = None


def limits_of(caps: Caps | float) -> Limits:
    """The limits of Caps, or of a plain mu: a lifetime cap on everything. ConfigError for another number.

    >>> limits_of(5.0).whole
    5.0
    """
    if isinstance(caps, Caps):
        return caps.limits()
    if not caps >= 0.0 or _MU_MAX < caps < math.inf:
        raise ConfigError(f"caps is {caps}; as a number it is a lifetime cap in mu, from 0 to 1e100 or inf")
    return Limits(whole=float(caps))


def _shift(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min
