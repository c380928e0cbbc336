"""Products of columns beside a network's regression: what one column says where another is high or low.

Every column becomes one number by the place of its bin: normal scores of a number's bins, which count as equally full;
of a category what a known curve says of it, standardised. The products of two of these each are the inputs, and a
weight for each pair is learnt (a regression with all interactions of two, on scores; Hastie, Tibshirani & Friedman
2009, section 9.2). It is as convex as the regression beside it, so that a few dozen noisy steps come to its optimum,
which those of neurons do not (benchmarks/networks). Scores follow from bins and known curves alone: all public.

A row's products are scaled to length 1 at most, so that few gradients are longer than the clipping radius. What is
clipped is mostly the gradients of defaults, whose errors are large where defaults are rare, and a rate that is too low
would be learnt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedrisk.errors import ConfigError
from fedrisk.models.network_inputs import InputColumn

Floats = NDArray[np.float64]

MOST_COLUMNS = 40
"""Columns that are multiplied at most, 780 pairs: the strongest by the known curves where there are more."""

ROOM = 8e-4
"""Noise, in a number of a step's mean gradient, up to which products count as much as the regression."""

MOST_SCORE = 100.0


@dataclass(frozen=True, kw_only=True)
class Products:
    """Which columns are multiplied; everything in it is public.

    scores: of each such column, weights of its inputs that make its score; column: their places among the design's
    columns; width: number of inputs of the design, and starts: the first input of each such column. gain: factor of all
    products: their squared length beside the regression's, which is 1.
    """

    column: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    starts: tuple[int, ...]
    width: int
    gain: float

    @classmethod
    def of(
        cls, columns: Sequence[InputColumn], noise: float, curves: Sequence[Floats | None] = ()
    ) -> Products:
        """Products of the columns that have a score.

        noise: deviation in one number of a step's mean gradient, by clip (public); 0 is none. curves: known ones on the
        columns' bins, a number for each input of a category; categories without one have no order and no score.

        Raises:
            ConfigError: fewer than two columns have a score, or too many and no curve says which are the strongest.
        """
        known = [*curves, *[None] * (len(columns) - len(curves))]
        scores = [_score(c, curve) for c, curve in zip(columns, known, strict=True)]
        chosen = [j for j, s in enumerate(scores) if any(s)]
        if len(chosen) > MOST_COLUMNS:
            strong = {j: float(np.std(curve)) for j, curve in enumerate(known) if curve is not None}
            if not strong:
                raise ConfigError(
                    f"network.kind = products: {len(chosen)} columns, at most {MOST_COLUMNS} are multiplied; name a "
                    "scorecard in network.start, which says which are the strongest, or bring fewer columns"
                )
            chosen = sorted(sorted(chosen, key=lambda j: -strong.get(j, 0.0))[:MOST_COLUMNS])
        if len(chosen) < 2:
            raise ConfigError(
                "network.kind = products: fewer than two columns of numbers to multiply; use logistic"
            )
        starts = np.cumsum([0, *(c.width for c in columns)])
        return cls(
            column=tuple(chosen),
            scores=tuple(scores[j] for j in chosen),
            starts=tuple(int(starts[j]) for j in chosen),
            width=int(starts[-1]),
            gain=1.0 if noise <= 0 else min(1.0, math.sqrt(ROOM / noise)),
        )

    @cached_property
    def matrix(self) -> Floats:
        """Brings inputs to scores, (width, columns)."""
        out = np.zeros((self.width, len(self.column)))
        for k, (at, score) in enumerate(zip(self.starts, self.scores, strict=True)):
            out[at : at + len(score), k] = score
        return out

    @cached_property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the first and the second score of every pair, (pairs,) each."""
        left, right = np.triu_indices(len(self.column), 1)
        return left, right

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {"column": list(self.column), "scores": [list(s) for s in self.scores], "gain": self.gain}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], columns: Sequence[InputColumn]) -> Products:
        """Inverse of `to_dict` for a design of these columns; ConfigError where they do not fit."""
        try:
            chosen = tuple(int(j) for j in content["column"])
            scores = tuple(tuple(float(v) for v in s) for s in content["scores"])
            gain = float(content["gain"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"products: the stored form is malformed ({type(error).__name__})") from error
        starts = np.cumsum([0, *(c.width for c in columns)])
        fits = (
            1 < len(chosen) <= MOST_COLUMNS
            and list(chosen) == sorted(set(chosen))
            and chosen[0] >= 0
            and chosen[-1] < len(columns)
            and [len(s) for s in scores] == [columns[j].width for j in chosen]
            and all(abs(v) <= MOST_SCORE for s in scores for v in s)
            and 0 < gain <= 1
        )
        if not fits:
            raise ConfigError("products: the stored form does not fit the columns of the design")
        return cls(
            column=chosen,
            scores=scores,
            starts=tuple(int(starts[j]) for j in chosen),
            width=int(starts[-1]),
            gain=gain,
        )


def _score(column: InputColumn, curve: Floats | None) -> tuple[float, ...]:
    """Weights of a column's inputs that make its score; zeros where it has none.

    Inputs are centred on bins that are equally full, so the score's mean over bins is 0 without a constant; special
    codes and missing values have score 0.
    """
    apart = (0.0,) * column.apart
    if column.kind == "category":
        if curve is None:
            return (0.0,) * len(column.centre) + apart
        score = _standard(np.asarray(curve, dtype=np.float64)[: len(column.centre)])
        return (*(float(v) for v in score / column.scale), *apart)
    if column.coding != "steps":
        raise ConfigError("products: numbers must be coded by steps")
    bins = len(column.edges) + 1
    steps = np.diff(_standard(ndtri((np.arange(bins) + 0.5) / bins)))
    return (*(float(v) for v in steps / column.scale), *apart)


def _standard(values: Floats) -> Floats:
    """Mean 0 and variance 1 over bins; zeros where all are the same."""
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))
