"""What a ledger says about itself: spent, reserved, left and for life, by study and by purpose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.ledger.caps import DELTA

_MEANINGLESS = 1e4


def epsilon_of(mu: float, delta: float = DELTA) -> float:
    """``mu`` as epsilon for people; infinite above mu 10,000, where no figure means anything."""
    return math.inf if mu > _MEANINGLESS else epsilon_for(mu, delta)


@dataclass(frozen=True)
class Amount:
    """A price in Gaussian-DP mu; ``epsilon`` is the same at delta 1e-6.

    >>> round(Amount(0.237).epsilon, 2)
    1.0
    """

    mu: float

    @property
    def epsilon(self) -> float:
        """The price as epsilon at delta 1e-6; infinite for infinite mu."""
        return epsilon_of(self.mu)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; infinity becomes the text "inf"."""
        return {name: _plain(value) for name, value in (("mu", self.mu), ("epsilon", self.epsilon))}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One purpose or one study in the current period; ``cap`` and ``left`` are None where it has no cap."""

    spent: Amount
    cap: Amount | None
    left: Amount | None


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """The state of an institution's privacy budget.

    period_start, period_end: first day of the accounting period and of the next one; both None under a
    lifetime cap. cap: what the period may cost, grants included. granted: the grants alone. spent: what was
    charged in the period. reserved: the part of it whose answer was never stored; it stays charged, as it may
    have left. left: what one further attempt may cost. lifetime: everything ever charged; no cap of a period
    bounds it. by_study, by_purpose: of the period. entries: number of releases ever debited,
    research ones and cancelled ones among them. research: how many of them are without privacy and charge.
    clock_behind: seconds by which the machine's clock is behind the ledger's last act. Where it is above 0,
    somebody set the clock back, and the ledger stays at its last time until the clock has caught up.
    """

    period_start: date | None
    period_end: date | None
    cap: Amount
    granted: Amount
    spent: Amount
    reserved: Amount
    left: Amount
    lifetime: Amount
    by_study: Mapping[str, Part]
    by_purpose: Mapping[str, Part]
    entries: int
    research: int
    clock_behind: float

    @property
    def granted_epsilon(self) -> float:
        """By how much all grants together raised the cap's epsilon, at delta 1e-6; 0 where there is no cap."""
        if self.cap.mu == math.inf:
            return 0.0
        without = math.sqrt(max(0.0, (self.cap.mu - self.granted.mu) * (self.cap.mu + self.granted.mu)))
        return self.cap.epsilon - Amount(without).epsilon

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of ``granted`` the epsilon by which it raised the cap."""
        plain = {name: _to_plain(value) for name, value in vars(self).items()}
        return plain | {"granted": {"mu": self.granted.mu, "epsilon": self.granted_epsilon}}


def _to_plain(value: Any) -> Any:
    if isinstance(value, Amount):
        return value.to_dict()
    if isinstance(value, Part):
        return {name: _to_plain(part) for name, part in vars(value).items()}
    if isinstance(value, Mapping):
        return {name: _to_plain(part) for name, part in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return _plain(value)


def _plain(value: Any) -> Any:
    return "inf" if value == math.inf else value
