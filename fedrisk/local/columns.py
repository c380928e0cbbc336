"""Columns of one table in the clear as features with bins: numbers in quantiles, texts by category, booleans as flags.

The bounds and categories are those of the rows, as no study of several institutions would have them, whose dictionaries
state them beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.column_rules import MAX_BINS
from fedrisk.data.features import Feature
from fedrisk.data.special import special_values
from fedrisk.models.binning import Bins
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
Way = Literal["increasing", "decreasing"]

NEAR = 1e-9
"""By how much a share may miss a quantile, so that rows that are weighed and rows that are repeated agree."""


def bins_of_frame(
    frame: pd.DataFrame,
    weight: Floats,
    *,
    count: int,
    monotone: Mapping[str, Way] | None = None,
    special: Mapping[str, Mapping[float, str]] | None = None,
) -> tuple[Bins, ...]:
    """Bins of every column of a table.

    Args:
        frame: n rows; columns of numbers, booleans, or texts and categories.
        weight: of each row, above zero, (n,).
        count: wanted number of bins of a number.
        monotone: by column, whether the risk rises or falls with the value.
        special: by column, codes among its numbers, each with its meaning.
    """
    out = []
    for name in frame.columns:
        way, codes = (monotone or {}).get(name), (special or {}).get(name, {})
        listed = tuple((f"{code:.17g}", str(meaning)) for code, meaning in codes.items())
        values = frame[name]
        common: dict[str, Any] = {"institution": BANK, "column": str(name)}
        if pd.api.types.is_bool_dtype(values):
            out.append(Bins.public(Feature(**common, kind="flag", monotone=way, special=listed)))
        elif pd.api.types.is_numeric_dtype(values):
            x = values.to_numpy(dtype=np.float64, na_value=np.nan)
            out.append(_number(common, x, weight, count, way, listed))
        else:
            texts = _categories(values, weight)
            out.append(Bins.public(Feature(**common, kind="category", bins=texts)))
    return tuple(out)


def _number(
    common: dict[str, Any],
    x: Floats,
    weight: Floats,
    count: int,
    way: Way | None,
    special: tuple[tuple[str, str], ...],
) -> Bins:
    plain = ~(np.isnan(x) | np.isin(x, special_values(special)))
    low, high = (float(x[plain].min()), float(x[plain].max())) if plain.any() else (0.0, 1.0)
    # A column of one value has one bin, and bounds that are two.
    high = high if low < high else float(np.nextafter(low, np.inf)) + abs(low) + 1.0
    feature = Feature(**common, low=low, high=high, monotone=way, special=special)
    return Bins(feature, edges=quantile_edges(x[plain], weight[plain], count))


def quantile_edges(x: Floats, weight: Floats, count: int) -> tuple[float, ...]:
    """Inner edges of about equally filled bins, at most count - 1: each is a value that rows have.

    >>> quantile_edges(np.array([1.0, 2, 3, 4]), np.ones(4), 2)
    (3.0,)
    """
    if not len(x):
        return ()
    values, place = np.unique(x, return_inverse=True)
    share = np.cumsum(np.bincount(place, weight)) / weight.sum()
    # The first value with so much below it begins the next bin.
    first = np.searchsorted(share, np.arange(1, count) / count - NEAR) + 1
    return tuple(float(values[k]) for k in np.unique(first) if k < len(values))


def _categories(values: pd.Series[Any], weight: Floats) -> tuple[str, ...]:
    """The texts, the most frequent where there are too many, in the order of the alphabet."""
    texts = values.dropna().map(text_of)
    heavy = pd.Series(weight, index=values.index)[texts.index].groupby(texts).sum()
    kept = heavy.sort_values(ascending=False, kind="stable").index[: MAX_BINS - 1]
    # A column without any value still has a bin.
    return tuple(sorted(kept)) or ("(none)",)


def text_of(value: object) -> str:
    """A category's text; 2, 2.0 and "2" are one category, as in a study."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def codes_of(bins: Sequence[Bins], frame: pd.DataFrame) -> list[NDArray[Any]]:
    """Codes of every column, (n,) each."""
    out = []
    for b in bins:
        values = frame[b.feature.column]
        if b.feature.kind == "category":
            out.append(b.codes(values.astype(object)))
        else:
            out.append(b.codes(values.to_numpy(dtype=np.float64, na_value=np.nan)))
    return out
