"""Inputs of a network: a bank's columns as numbers of about equal weight, by a public rule.

Every number is coded by its place among its bins, with one input per edge. Steps (also called a thermometer
code) are 1 above the edge and 0 below; piecewise-linear inputs rise from 0 to 1 within the bin (Gorishniy,
Rubachev & Babenko 2022, On embeddings for numerical features in tabular deep learning). Codes and counts,
whose edges are public and lie between the values, get steps. Amounts, whose edges are quantiles, get steps as
well by default, since a few dozen noisy steps of training fit them faster (benchmarks/networks). One weight
per step is a random walk over the bins, so a small penalty on the weights makes the curve smooth. Categories
are one-hot: the first layer of a network on a one-hot input is an embedding.

Clipping bounds every enterprise's gradient by the same number, so inputs should have similar lengths. Centres
and scales follow from the bins alone and cost no privacy: the k-th of K quantile steps is 1 for a share 1 - k
/ (K + 1) of the enterprises. Columns of K inputs are divided by sqrt(K), and all columns are scaled so that
the mean squared length of a row is about 1. Missing values, and enterprises unknown at a bank, have a
separate input, and zeros elsewhere. So has every special code: it is no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.features import LOG_DECADES
from fedrisk.data.special import special_values
from fedrisk.data.text import canonical
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins

Coding = Literal["steps", "piecewise"]
Floats = NDArray[np.float64]

ONE_HOT = 0.5
"""Size of the input of a category, a special code or a missing value, before the common scale."""

STEP_SQUARE = 1 / 6
"""Mean squared length of centred quantile steps, divided by their number."""


@dataclass(frozen=True, kw_only=True)
class InputColumn:
    """One column's inputs; everything in it is public.

    Attributes:
        column: name in the table.
        kind: "number" (flags are numbers) or "category".
        edges: edges of a number's bins.
        marks: the edges with both ends, on the coding's scale, rising, (K + 2,).
        log: 0, or the unit s of the scale sign(x) log(1 + |x| / s).
        coding: of a number.
        categories: listed categories; one more input stands for all others.
        missing: whether it has an input for missing values.
        special: special codes among a number's values; each has an input of its own.
        centre: (inputs,) subtracted before scaling, but not from special codes and missing values.
        scale: factor of all inputs.
    """

    column: str
    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    marks: tuple[float, ...] = ()
    log: float = 0.0
    coding: Coding = "steps"
    categories: tuple[str, ...] = ()
    missing: bool = True
    special: tuple[float, ...] = ()
    centre: tuple[float, ...] = ()
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Number of inputs, including those of special codes and the one for missing values."""
        return len(self.centre) + self.apart

    @property
    def apart(self) -> int:
        """Number of inputs of special codes and missing values, which come last in this order."""
        return len(self.special) + int(self.missing)


def input_columns(bins: Sequence[Bins], coding: Coding = "steps") -> tuple[InputColumn, ...]:
    """The inputs of every column, from public bins alone; the same at hub and banks.

    Raises:
        ConfigError: no column, or an unknown coding.
    """
    if not bins or coding not in ("steps", "piecewise"):
        raise ConfigError("inputs: at least one column, and coding steps or piecewise, are needed")
    square = sum(ONE_HOT**2 if b.feature.kind == "category" else STEP_SQUARE for b in bins if b.size > 1)
    return tuple(_column(b, coding, 1 / math.sqrt(max(square, STEP_SQUARE))) for b in bins)


def width(bins: Sequence[Bins], coding: Coding = "steps") -> int:
    """Number of inputs of all columns together."""
    return sum(c.width for c in input_columns(bins, coding))


def encode(frame: pd.DataFrame, bins: Sequence[Bins], coding: Coding = "steps") -> NDArray[np.float32]:
    """Inputs of every row, float32 (n, width).

    Args:
        frame: typed columns by dictionary name, as `table.Table.frame` has them; others are not read.
        bins: public bins of the columns, in the design's order.
        coding: of numbers.

    Raises:
        DataError: a column is absent, is not a number, or has missing values where the dictionary allows
            none.

    >>> from fedrisk.models.binning import Feature
    >>> age = Bins(Feature(institution="bank", column="age", low=0, high=80), edges=(30.0, 45.0))
    >>> encode(pd.DataFrame({"age": [20.0, 30.0, 80.0, np.nan]}), [age]).round(2).astype(str).tolist()
    [['-1.15', '-0.58', '0.0'], ['0.58', '-0.58', '0.0'], ['0.58', '1.15', '0.0'], ['0.0', '0.0', '1.22']]
    """
    columns = input_columns(bins, coding)
    out = np.zeros((len(frame), sum(c.width for c in columns)), dtype=np.float32)
    at = 0
    for column, b in zip(columns, bins, strict=True):
        if column.column not in frame.columns:
            raise DataError(f"column {column.column} is absent; the network was made for a table that has it")
        values = frame[column.column]
        codes = b.codes(values)  # refuses texts, and missing values where the dictionary allows none
        apart = codes[:, None] == b.levels + np.arange(column.apart)
        gone = apart.any(axis=1)
        part = _number(column, codes, values, gone) if column.kind == "number" else _category(column, codes)
        stop = at + len(column.centre)
        out[:, at:stop] = (part - np.array(column.centre)) * (column.scale * ~gone[:, None])
        at += column.width
        out[:, stop:at] = apart * (column.scale * apart_size(column))
    return out


def to_dict(columns: Sequence[InputColumn]) -> list[dict[str, Any]]:
    """Plain form for JSON."""
    return [
        {
            "column": c.column,
            "kind": c.kind,
            "edges": list(c.edges),
            "marks": list(c.marks),
            "log": c.log,
            "coding": c.coding,
            "categories": list(c.categories),
            "missing": c.missing,
            "special": list(c.special),
            "centre": list(c.centre),
            "scale": c.scale,
        }
        for c in columns
    ]


def from_dict(content: Sequence[dict[str, Any]]) -> tuple[InputColumn, ...]:
    """Inverse of `to_dict`; special codes may be absent, as in designs from before there were any.

    Raises:
        ConfigError: the content is malformed.
    """
    try:
        return tuple(
            InputColumn(
                **{
                    **c,
                    "special": tuple(float(v) for v in c.get("special", ())),
                    "edges": tuple(float(e) for e in c["edges"]),
                    "marks": tuple(float(m) for m in c["marks"]),
                    "categories": tuple(str(t) for t in c["categories"]),
                    "centre": tuple(float(v) for v in c["centre"]),
                }
            )
            for c in content
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"inputs: the stored form is malformed ({type(error).__name__})") from error


def _column(b: Bins, coding: Coding, common: float) -> InputColumn:
    f = b.feature
    if f.kind == "category":
        n = len(b.categories) + 1
        return InputColumn(
            column=f.column,
            kind="category",
            categories=b.categories,
            missing=f.missing,
            centre=(1 / n,) * n,
            scale=common * ONE_HOT,
        )
    edges = b.edges
    low = f.low if f.low is not None else (edges[0] - 1 if edges else 0.0)
    high = f.high if f.high is not None else (edges[-1] + 1 if edges else 1.0)
    unit = max(abs(low), abs(high)) / LOG_DECADES if f.grid == "log" else 0.0
    marks = on_scale(np.array([min(low, *edges, high), *edges, max(low, *edges, high)]), unit)
    inputs = len(edges) if coding == "steps" else len(edges) + 1
    # Steps are at edges 1 .. K; a piecewise-linear input of a quantile bin is on average half way within its
    # bin.
    shift = 1.0 if coding == "steps" else 0.5
    centre = tuple(1 - (k + shift) / (len(edges) + 1) for k in range(inputs))
    return InputColumn(
        column=f.column,
        kind="number",
        edges=edges,
        marks=tuple(float(m) for m in marks),
        log=unit,
        coding=coding,
        missing=f.missing,
        special=special_values(f.special),
        centre=centre,
        scale=common / math.sqrt(max(inputs, 1)),
    )


def category_texts(values: pd.Series) -> NDArray[np.object_]:
    """Each value as its text in a dictionary's list, "" where missing, (n,) object.

    >>> category_texts(pd.Series([2.0, "Y", None], dtype=object)).tolist()
    ['2', 'Y', '']
    """
    place, unique = pd.factorize(values.astype(object), use_na_sentinel=True)
    texts = np.array([*(canonical(u) for u in unique), ""], dtype=object)
    out: NDArray[np.object_] = texts[place]
    return out


def on_scale(values: Floats, unit: float) -> Floats:
    """Values on the coding's scale: unchanged for unit 0, else sign(x) log(1 + |x| / unit)."""
    return values if unit == 0 else np.sign(values) * np.log1p(np.abs(values) / unit)


def apart_size(column: InputColumn) -> float:
    """Size of the input of a special code or a missing value: a category's, whatever the other inputs are."""
    return 1.0 if column.kind == "category" else ONE_HOT * math.sqrt(max(len(column.centre), 1))


def _number(
    column: InputColumn, codes: NDArray[np.integer], values: pd.Series, gone: NDArray[np.bool_]
) -> Floats:
    if column.coding == "steps":
        out: Floats = (codes[:, None] > np.arange(len(column.centre))).astype(np.float64)
        return out
    x = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    marks = np.array(column.marks)
    t = on_scale(np.where(gone, 0.0, x), column.log)[:, None]
    rising: Floats = np.clip((t - marks[:-1]) / np.maximum(np.diff(marks), 1e-300), 0.0, 1.0)
    return rising


def _category(column: InputColumn, codes: NDArray[np.integer]) -> Floats:
    out: Floats = (codes[:, None] == np.arange(len(column.centre))).astype(np.float64)
    return out
