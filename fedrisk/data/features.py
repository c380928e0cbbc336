"""Features: the columns that institutions bring into a study, with everything public about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from fedrisk.data.column import Column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.special import Special, special_problems
from fedrisk.errors import ConfigError

LOG_DECADES = 1e4
"""A log grid is linear below 1/10,000 of the largest bound, and logarithmic above it."""


KNOWN = "(known)"
"""Column name of the feature that says whether a holder knows the enterprise; no real column may be called so."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of a study, with everything public about it.

    Attributes:
        institution: role name: "bank" for columns that all banks share, else the holder's name.
        column: name of the column.
        kind: "number", "category" or "flag" (0 or 1). "known" is no column but whether a holder knows the enterprise
            at all (:func:`known_feature`); "pair" is none either, but two columns together (:func:`pair_feature`).
        low: lower public bound of a number; values below count as the bound.
        high: upper public bound of a number; values above count as the bound.
        grid: scale of the edge histogram. "log" is a symmetric logarithm, for money with heavy tails.
        bins: public inner edges (number) or categories; None lets a noisy histogram choose the edges. Of a pair, its
            two columns.
        missing: whether missing values get a separate bin, after all others.
        monotone: direction of the *risk* as the value rises, if the study imposes one.
        direction: the same as an expectation, from which clear counts may depart. Not together with ``monotone``.
        bin_count: number of ordered bins where the edges are private; None leaves it to the study.
        special: codes among the values of a number or flag, each a bin of its own, with their meanings.
        strength: predictive power that an expert expects, in the usual bands of the information value (Siddiqi 2006:
            weak below .1, strong above .3), which makes curves of that size likelier (models/smoothing). None leaves
            the size to the counts, and is medium where a study cannot bear all columns: weak ones are left out first.
        unit: of a number, where a study states its sums; features of models have none.
        moving: whether it is computed from a monthly history, so that it is known as of earlier months too. It is not
            part of what a feature is: cards do not hold it.

    Raises:
        ConfigError: the parts contradict one another.
    """

    institution: str
    column: str
    kind: Literal["number", "category", "flag", "known", "pair"] = "number"
    low: float | None = None
    high: float | None = None
    grid: Literal["linear", "log"] = "linear"
    bins: tuple[float, ...] | tuple[str, ...] | None = None
    missing: bool = True
    monotone: Literal["increasing", "decreasing"] | None = None
    bin_count: int | None = None
    special: Special = ()
    strength: Literal["strong", "medium", "weak"] | None = None
    direction: Literal["increasing", "decreasing"] | None = None
    unit: str | None = None
    moving: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        name = f"feature {self.institution}.{self.column}"
        if self.kind not in ("number", "category", "flag", "known", "pair"):
            raise ConfigError(f"{name}: kind is {self.kind!r}; use number, category or flag")
        if (self.kind == "known") != (self.column == KNOWN):
            raise ConfigError(
                f"{name}: the name {KNOWN} is kept for whether a holder knows an enterprise; rename it"
            )
        if self.grid not in ("linear", "log"):
            raise ConfigError(f"{name}: grid is {self.grid!r}; use linear or log")
        self._check_direction(name)
        if self.strength not in (None, "strong", "medium", "weak"):
            raise ConfigError(f"{name}: strength is {self.strength!r}; use strong, medium, weak or nothing")
        if self.kind == "category":
            self._check_categories(name)
        elif self.kind == "pair":
            self._check_pair(name)
        elif self.kind in ("flag", "known"):
            if self.bins is not None:
                raise ConfigError(f"{name}: a flag has its two bins already; leave bins out")
        else:
            self._check_number(name)
        self._check_special(name)

    def _check_direction(self, name: str) -> None:
        for key, value in (("monotone", self.monotone), ("direction", self.direction)):
            if value not in (None, "increasing", "decreasing"):
                raise ConfigError(f"{name}: {key} is {value!r}; use increasing, decreasing or nothing")
        if self.monotone is not None and self.direction is not None:
            raise ConfigError(f"{name}: monotone and direction exclude each other; keep one")

    def _check_categories(self, name: str) -> None:
        if not self.bins or not all(isinstance(b, str) for b in self.bins):
            raise ConfigError(f"{name}: a category needs its public bins as texts")
        if len(set(self.bins)) != len(self.bins):
            raise ConfigError(f"{name}: bins name a category twice; list each one once")
        if self.monotone is not None or self.direction is not None:
            raise ConfigError(f"{name}: categories have no order; leave monotone and direction out")

    def _check_pair(self, name: str) -> None:
        parts = self.bins or ()
        if len(parts) != 2 or not all(isinstance(p, str) for p in parts) or parts[0] == parts[1]:
            raise ConfigError(f"{name}: a pair names its two columns as bins")
        if self.missing or self.monotone is not None or self.direction is not None or self.special:
            raise ConfigError(f"{name}: a pair has no missing values, direction or special codes of its own")

    def _check_number(self, name: str) -> None:
        if self.bins is None:
            if self.low is None or self.high is None:
                raise ConfigError(f"{name}: without public bins a number needs public low and high")
        elif any(isinstance(b, str) for b in self.bins) or not rising([float(b) for b in self.bins]):
            raise ConfigError(f"{name}: bins of a number must be finite edges in strictly rising order")
        for bound in (self.low, self.high):
            if bound is not None and not math.isfinite(bound):
                raise ConfigError(f"{name}: low and high must be finite")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ConfigError(f"{name}: low is {self.low}, must be below high, {self.high}")

    def _check_special(self, name: str) -> None:
        edges = [float(b) for b in self.bins or ()] if self.kind == "number" else None
        problems = special_problems(self.kind, self.special, self.low, self.high, edges)
        if problems:
            raise ConfigError(f"{name}: {problems[0]}")

    @property
    def name(self) -> str:
        """Institution and column, the feature's name in tables and messages."""
        return f"{self.institution}.{self.column}"

    def with_bins(self, edges: tuple[float, ...]) -> Feature:
        """The same number with public inner edges in place of edges from a noisy histogram."""
        return replace(self, bins=edges, bin_count=None)

    @property
    def is_column(self) -> bool:
        """Whether it is a column of a table, which is counted, and not made up from the counts of columns."""
        return self.kind not in ("known", "pair")

    @property
    def leaning(self) -> int:
        """1 where the risk is stated to rise with the value, as constraint or expectation; -1 to fall; else 0."""
        return {"increasing": 1, "decreasing": -1, None: 0}[self.monotone or self.direction]

    @property
    def private_edges(self) -> bool:
        """True if the edges come from a noisy histogram, which has a privacy price."""
        return self.kind == "number" and self.bins is None


def known_feature(institution: str) -> Feature:
    """Whether a holder knows an enterprise: one event, however many columns the holder has.

    It is made up from the counts of the holder's columns, so no institution states it and it costs no privacy.
    """
    return Feature(institution=institution, column=KNOWN, kind="known", missing=False)


def pair_feature(institution: str, left: str, right: str) -> Feature:
    """Two columns of one institution together: what a card says of them beyond both by themselves (models/pairs).

    >>> pair_feature("tax", "sales", "debt").name
    'tax.sales x debt'
    """
    return Feature(
        institution=institution, column=f"{left} x {right}", kind="pair", bins=(left, right), missing=False
    )


def features_of(dictionary: Dictionary, role: str) -> tuple[Feature, ...]:
    """The public features of an institution, in its dictionary's order."""
    return tuple(feature_of(c, role) for c in dictionary.columns if c.feature and c.kind != "date")


def feature_of(c: Column, role: str) -> Feature:
    """One column of a dictionary as a feature, also one that models may not use.

    ConfigError where it is a date, or has neither public bounds nor public bins.
    """
    if c.kind == "date":
        raise ConfigError(f"feature {role}.{c.name}: a date is never a feature; leave it out")
    return Feature(
        institution=role,
        column=c.name,
        kind=c.kind,
        low=c.low,
        high=c.high,
        grid=c.grid,
        bins=c.categories if c.kind == "category" else c.bins,
        missing=c.missing == "bin",
        monotone=c.monotone,
        bin_count=c.bin_count,
        special=c.special,
        strength=c.strength,
        direction=c.direction,
        moving=c.history is not None,
    )


def statistic_of(c: Column, role: str) -> Feature:
    """One column as sums and counts of it are read: nothing of how a model would use it. Errors as `feature_of`."""
    made = feature_of(c, role)
    return Feature(
        institution=role,
        column=c.name,
        kind=made.kind,
        low=made.low,
        high=made.high,
        bins=made.bins,
        special=made.special,
        unit=c.unit or None,
    )


def to_stated(feature: Feature) -> dict[str, Any]:
    """A feature as its institution states it; without what versions before units and histories did not know."""
    usual = {"unit": None, "moving": False}
    return {k: v for k, v in vars(feature).items() if k not in usual or v != usual[k]}


def features_from(content: Sequence[Mapping[str, Any]]) -> list[Feature]:
    """Features from a message or file; JSON has no tuples, so bins and special codes become tuples again.

    ConfigError where one is malformed, or contradicts itself.
    """
    try:
        return [Feature(**{**f, **tuples_of(f)}) for f in content]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            "the stated features are malformed; all must run the same version of fedrisk"
        ) from None


def tuples_of(stated: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a feature that JSON keeps as lists; special codes are absent where an older version wrote it.

    KeyError, TypeError or ValueError where they are malformed.
    """
    bins = stated["bins"]
    special = tuple((code, meaning) for code, meaning in stated.get("special", ()))
    if not all(isinstance(text, str) for pair in special for text in pair):
        raise ValueError("special codes and meanings are texts")
    return {"bins": None if bins is None else tuple(bins), "special": special}


def rising(edges: Sequence[float]) -> bool:
    """Whether all edges are finite and each is greater than the one before.

    >>> rising([1.0, 2.0]), rising([1.0, 1.0]), rising([])
    (True, False, True)
    """
    return all(math.isfinite(e) for e in edges) and all(a < b for a, b in pairwise(edges))
