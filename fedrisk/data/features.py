"""Features: the columns that institutions bring into a study, with everything public about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from fedrisk.data.dictionary import Dictionary
from fedrisk.errors import ConfigError
from fedrisk.study import BANK

LOG_DECADES = 1e4
"""A log grid is linear below 1/10,000 of the largest bound, and logarithmic above it."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of a study, with everything public about it.

    Attributes:
        institution: role name: "bank" for columns that all banks share, else the holder's name.
        column: name of the column.
        kind: "number", "category" or "flag" (0 or 1).
        low: lower public bound of a number; values below count as the bound.
        high: upper public bound of a number; values above count as the bound.
        grid: scale of the edge histogram. "log" is a symmetric logarithm, for money with heavy tails.
        bins: public inner edges (number) or categories; None lets a noisy histogram choose the edges.
        missing: whether missing values, and enterprises unknown here, get a separate bin (the last one).
        monotone: direction of the *risk* as the value rises, if the study imposes one.
        direction: the same as an expectation, from which clear counts may depart. Not together with ``monotone``.
        bin_count: number of ordered bins where the edges are private; None leaves it to the study.

    Raises:
        ConfigError: the parts contradict one another.
    """

    institution: str
    column: str
    kind: Literal["number", "category", "flag"] = "number"
    low: float | None = None
    high: float | None = None
    grid: Literal["linear", "log"] = "linear"
    bins: tuple[float, ...] | tuple[str, ...] | None = None
    missing: bool = True
    monotone: Literal["increasing", "decreasing"] | None = None
    bin_count: int | None = None
    direction: Literal["increasing", "decreasing"] | None = None

    def __post_init__(self) -> None:
        name = f"feature {self.institution}.{self.column}"
        if self.kind not in ("number", "category", "flag"):
            raise ConfigError(f"{name}: kind is {self.kind!r}; use number, category or flag")
        if self.grid not in ("linear", "log"):
            raise ConfigError(f"{name}: grid is {self.grid!r}; use linear or log")
        self._check_direction(name)
        if self.kind == "category":
            self._check_categories(name)
        elif self.kind == "flag":
            if self.bins is not None:
                raise ConfigError(f"{name}: a flag has its two bins already; leave bins out")
        else:
            self._check_number(name)

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

    @property
    def name(self) -> str:
        """Institution and column, the feature's name in tables and messages."""
        return f"{self.institution}.{self.column}"

    @property
    def leaning(self) -> int:
        """1 where the risk is stated to rise with the value, as constraint or expectation; -1 to fall; else 0."""
        return {"increasing": 1, "decreasing": -1, None: 0}[self.monotone or self.direction]

    @property
    def private_edges(self) -> bool:
        """True if the edges come from a noisy histogram, which has a privacy price."""
        return self.kind == "number" and self.bins is None


def features_of(dictionary: Dictionary, role: str) -> tuple[Feature, ...]:
    """The public features of an institution, in its dictionary's order.

    A holder's features always have a bin for missing values: the enterprises that it does not know fall
    there.
    """
    return tuple(
        Feature(
            institution=role,
            column=c.name,
            kind=c.kind,
            low=c.low,
            high=c.high,
            grid=c.grid,
            bins=c.categories if c.kind == "category" else c.bins,
            missing=role != BANK or c.missing == "bin",
            monotone=c.monotone,
            bin_count=c.bin_count,
            direction=c.direction,
        )
        for c in dictionary.columns
        if c.feature and c.kind != "date"
    )


def features_from(content: Sequence[Mapping[str, Any]]) -> list[Feature]:
    """Features from a message or file; JSON has no tuples, so bins become tuples again.

    ConfigError where one is malformed, or contradicts itself.
    """
    try:
        return [Feature(**{**f, "bins": None if f["bins"] is None else tuple(f["bins"])}) for f in content]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            "the stated features are malformed; all must run the same version of fedrisk"
        ) from None


def rising(edges: Sequence[float]) -> bool:
    """Whether all edges are finite and each is greater than the one before.

    >>> rising([1.0, 2.0]), rising([1.0, 1.0]), rising([])
    (True, False, True)
    """
    return all(math.isfinite(e) for e in edges) and all(a < b for a, b in pairwise(edges))
