"""Axes of cells from public columns, and where an institution's own rows lie on them.

A column's categories are its dictionary's: texts of a category, yes and no of a flag, intervals between the public bins
of a number; behind them special codes, and UNKNOWN last. Nothing is believed of rows: a value that is none of these is
UNKNOWN.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import Feature
from fedrisk.data.special import special_values
from fedrisk.errors import ConfigError
from fedrisk.releases.statistics import UNKNOWN, Axis

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def axis_of(name: str, column: str, feature: Feature, *, key: str = "by") -> Axis:
    """The axis of a column's own categories; ConfigError where it has no public ones.

    key: of the study file that names the column, for the error.
    """
    codes = tuple(code for code, _ in feature.special)
    meanings = [meaning for _, meaning in feature.special]
    cuts: tuple[float, ...] = ()
    if feature.kind == "category":
        texts = [str(b) for b in feature.bins or ()]
    elif feature.kind == "flag":
        texts = ["no", "yes"]
    elif feature.bins is not None:
        cuts = tuple(float(b) for b in feature.bins)
        texts = _intervals(cuts)
    else:
        raise ConfigError(
            f"{key}: {column} is a number without public bins, so it has no cells; state bins in the dictionary, or "
            "count by another column"
        )
    categories = (*texts, *meanings, UNKNOWN)
    if len(set(categories)) < len(categories):
        raise ConfigError(f"{key}: categories of {column} are called alike, or {UNKNOWN}; rename them")
    return Axis(
        name=name, column=column, categories=categories, kind=_kind(feature), cuts=cuts, special=codes
    )


def axis_codes(axis: Axis, values: "pd.Series[Any]") -> Ints:
    """The place of each row among a column's own categories, (rows,).

    values: typed as data/table.Table.frame has them, (rows,).
    """
    # Not every process that knows axes reads tables.
    import pandas as pd

    unknown = len(axis.categories) - 1
    if axis.kind == "category":
        listed = pd.Index(axis.categories[:-1], dtype=object)
        place = listed.get_indexer(pd.Index(values.astype(object)))
        return np.where(place < 0, unknown, place).astype(np.int64)
    x = doubles(values)
    out = np.full(len(x), unknown, np.int64)
    if axis.kind == "flag":
        out[x == 0.0], out[x == 1.0] = 0, 1
    else:
        there = ~np.isnan(x)
        out[there] = np.searchsorted(np.asarray(axis.cuts), x[there], side="right")
    first = unknown - len(axis.special)
    for k, code in enumerate(code_values(axis.special)):
        out[x == code] = first + k
    return out


def doubles(values: "pd.Series[Any]") -> Floats:
    """Doubles; NaN for what is no number."""
    import pandas as pd

    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)


def code_values(special: Sequence[str]) -> list[float]:
    """The numbers that special codes stand for."""
    return [float(value) for value in special_values(tuple((code, "") for code in special))]


def _kind(feature: Feature) -> Literal["category", "flag", "number"]:
    if feature.kind == "known" or feature.kind == "pair":
        raise ConfigError(f"{feature.name} is no column of a table; count by another")
    return feature.kind


def _intervals(cuts: tuple[float, ...]) -> list[str]:
    """Readable intervals between inner edges; with all digits where fewer would make two alike.

    >>> _intervals((0.5, 2.0))
    ['< 0.5', '0.5 to < 2', '>= 2']
    """
    e = [f"{cut:.6g}" for cut in cuts]
    if len(set(e)) < len(e):
        e = [repr(cut) for cut in cuts]
    return [f"< {e[0]}", *(f"{a} to < {b}" for a, b in pairwise(e)), f">= {e[-1]}"] if e else ["any"]
