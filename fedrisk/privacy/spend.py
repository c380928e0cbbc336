"""The price of one release: what it cost, whom, for whom and for what.

A noisy sum never travels without its Spend. The price is in Gaussian-DP mu (Dong, Roth & Su 2022),
discreteness of the noise included; ``fedrisk.privacy.accounting`` turns it into epsilon. Hold-out and
training enterprises are disjoint, so within one attempt at a study the dearer of the two populations is what
any enterprise can lose. A release of population ``all`` touches both, and counts for both.

No privacy is an explicit choice, priced at infinity and shown as such.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import epsilon_for

Population = Literal["training", "holdout", "all"]

SIDES: Mapping[str, tuple[str, ...]] = {
    "training": ("training",),
    "holdout": ("holdout",),
    "all": ("training", "holdout"),
}
"""The disjoint sides of enterprises that a release of each population is charged to."""

_TEXTS = ("study", "attempt", "release", "what", "institution", "counterparty")


@dataclass(frozen=True, kw_only=True)
class Spend:
    """The immutable price of one release.

    study, attempt: the run it belongs to; a repeated run is a new attempt and a new charge.
    release: which release of the attempt, for example ``"counts"``.
    population: whose rows it touches; every enterprise is on one side only, and ``all`` are both sides.
    mu: the charged price, discreteness included (0 or more). In a research spend it is the nominal figure
    that
        an honest release of the same noise would cost, and may be infinite (exact figures).
    delta: the policy's delta, at which the price is shown as epsilon.
    what: a short text for people; never an id, a label or a data value.
    institution: whose records are charged. counterparty: for whom the release is made.
    research: noise absent or drawn from a seed. Priced at infinity whatever ``mu`` says.

    Raises ConfigError for anything else. Source: protocol, "Noise and accounting".
    """

    study: str
    attempt: str
    release: str
    population: Population
    mu: float
    delta: float
    what: str
    institution: str
    counterparty: str
    research: bool = False

    def __post_init__(self) -> None:
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ConfigError(f"spend: {name} must be a text that is not empty")
        if self.population not in get_args(Population):
            raise ConfigError("spend: population must be 'training', 'holdout' or 'all'")
        if not isinstance(self.research, bool):
            raise ConfigError("spend: research must be true or false")
        for name in ("mu", "delta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"spend: {name} must be a number")
            object.__setattr__(self, name, float(value))
        if not self.mu >= 0.0:
            raise ConfigError(f"spend: mu is {self.mu}; it must be 0 or more")
        if self.mu == math.inf and not self.research:
            raise ConfigError("spend: mu is infinite, which is no privacy; only a research spend may be that")
        if not 0.0 < self.delta < 1.0:
            raise ConfigError(f"spend: delta is {self.delta}; it must lie strictly between 0 and 1")

    @property
    def price(self) -> float:
        """Mu, or infinity for a research spend."""
        return math.inf if self.research else self.mu

    @property
    def epsilon(self) -> float:
        """The price as epsilon at the spend's own delta; infinite for a research spend."""
        return epsilon_for(self.price, self.delta)

    def __str__(self) -> str:
        price = "no privacy" if self.research else f"mu {self.mu:.4g}, epsilon {self.epsilon:.3g}"
        return (
            f"{self.study}/{self.attempt} {self.release} ({self.population}): {price} "
            f"at delta {self.delta:g}; {self.what}; {self.institution} for {self.counterparty}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite mu becomes the text ``"inf"``, since JSON has no infinity."""
        plain = asdict(self)
        if self.mu == math.inf:
            plain["mu"] = "inf"
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Spend:
        """The inverse of ``to_dict``; ConfigError if a field is missing, unknown or invalid."""
        names = {field.name for field in fields(cls)}
        if set(plain) != names:
            missing, unknown = sorted(names - set(plain)), len(set(plain) - names)
            raise ConfigError(f"spend: {unknown} unknown fields, missing {missing or 'none'}")
        values = dict(plain)
        if values["mu"] == "inf":
            values["mu"] = math.inf
        return cls(**values)


def total(spends: Iterable[Spend]) -> float:
    """The price of one attempt at a study: of its two populations the dearer one; a release of all counts for both.

    Each population costs the root of the sum of its squares. Infinite as soon as one spend is a research one;
    0 for none. Several attempts together: see ``charge``.

    >>> def spend(population, mu):
    ...     return Spend(study="s", attempt="1", release="r", population=population, mu=mu, delta=1e-6,
    ...                  what="counts", institution="tax", counterparty="bank")
    >>> total([spend("training", 3.0), spend("training", 4.0), spend("holdout", 4.5)])
    5.0
    >>> total([spend("training", 3.0), spend("all", 4.0), spend("holdout", 4.5)])
    6.020797289396148
    """
    prices: dict[str, list[float]] = {"training": [], "holdout": []}
    for spend in spends:
        for side in SIDES[spend.population]:
            prices[side].append(spend.price)
    return max(math.hypot(*of_one_side) for of_one_side in prices.values())


def charge(spends: Iterable[Spend]) -> float:
    """The price of any number of attempts: the root of the sum over attempts of ``total`` squared.

    It is at least ``total`` of the same spends, so it stays right even where a later study drew another
    hold-out and an enterprise changed sides.
    """
    attempts: dict[tuple[str, str], list[Spend]] = defaultdict(list)
    for spend in spends:
        attempts[spend.study, spend.attempt].append(spend)
    return math.hypot(*(total(of_one_attempt) for of_one_attempt in attempts.values()))
