"""What in an institution's own table does not look like what was declared: asked of its own people, never refused.

A rule of the dictionary refuses; these only ask. Their figures are exact, so they are for the screen of the table's
owner and go nowhere else. What to write instead must come from what a column means: bounds or codes that are taken from
the rows are a release without a price.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.label_rate import Labels
from fedrisk.data.column import Column
from fedrisk.data.features import Feature
from fedrisk.data.special import special_values
from fedrisk.data.table import Table
from fedrisk.findings import Finding
from fedrisk.models.binning import grid_marks

Floats = NDArray[np.float64]

FAR = 3.0
"""Odds of default that differ so many times from the declared ones are asked about."""

FEW_POSITIVES = 50
"""Positive labels below which a bank's own rows hardly tell who defaults."""

CENTRAL = (0.01, 0.99)
"""Quantiles between which 98 in 100 values lie."""

NARROW = 0.1
"""Share of the declared grid in which these lie below which bounds are asked about."""

ONE_BIN = 0.999
"""Share of a column's values in one bin from which on it is asked about."""

EMPTY = 0.99
"""Share of rows without a value from which on a column is asked about."""

GRID = 256

LEAST_CODE_ROWS = 3
"""Fewest rows of a value that may be a code nobody declared."""


def label_findings(labels: Labels, declared: float | None) -> Iterator[Finding]:
    """What is asked about a bank's labels, by its own rate and the one that the study declares."""
    values = {"rate": labels.rate, "positive": labels.positive, "labelled": labels.labelled}
    ratio = 1.0 if declared is None else labels.odds_ratio(declared)
    if declared is None and labels.rate > 0.5:
        yield Finding("labels_mostly_positive", values)
    elif declared is not None and not 1 / FAR < ratio < FAR and not labels.reversed(declared):
        yield Finding("labels_not_as_declared", {**values, "declared": declared})
    if labels.positive < FEW_POSITIVES:
        yield Finding("labels_few", {**values, "least": FEW_POSITIVES})


def column_findings(
    table: Table, columns: Iterable[Column], features: Iterable[Feature]
) -> Iterator[Finding]:
    """What is asked about the columns that a study would use, each finding with ``column`` and figures."""
    described = {c.name: c for c in columns}
    for feature in features:
        if feature.column in table.frame and feature.column in described:
            yield from _of_column(table.frame[feature.column], feature)


def _of_column(values: pd.Series, feature: Feature) -> Iterator[Finding]:
    there = values[values.notna()]
    missing = 1 - len(there) / max(len(values), 1)
    if not len(there):
        return  # the table's own check says so
    if missing >= EMPTY:
        yield Finding("column_nearly_empty", {"column": feature.column, "share": missing})
    if feature.kind == "number":
        there = there[~there.isin(special_values(feature.special))]
    counts = there.value_counts()
    if len(counts) == 1 and not feature.special:
        yield Finding("column_constant", {"column": feature.column, "share": 1.0})
    elif feature.kind == "number" and len(counts) > 1:
        yield from _of_number(there.to_numpy(np.float64), counts, feature)
    elif feature.kind != "number" and len(counts) and counts.iloc[0] >= ONE_BIN * len(there):
        yield Finding("column_one_bin", {"column": feature.column, "share": counts.iloc[0] / len(there)})


def _of_number(x: Floats, counts: pd.Series, feature: Feature) -> Iterator[Finding]:
    code = _code(counts)
    if code is not None:
        yield Finding(
            "code_inside", {"column": feature.column, "value": f"{code:g}", "rows": int(counts[code])}
        )
        x = x[x != code]
    if feature.bins is not None:
        share = np.bincount(np.searchsorted(np.array(feature.bins, float), x, side="right")).max() / len(x)
        if share >= ONE_BIN:
            yield Finding("column_one_bin", {"column": feature.column, "share": float(share)})
        return
    used = _grid_used(x, feature)
    if used < NARROW:
        yield Finding("bounds_wide", {"column": feature.column, "share": used})


def _grid_used(x: Floats, feature: Feature) -> float:
    """Share of the cells of a column's grid in which 98 in 100 values lie."""
    marks = grid_marks(feature, GRID)
    low, high = np.quantile(x, CENTRAL)
    cells = np.searchsorted(marks, (low, high), side="right")
    return float(cells[1] - cells[0] + 1) / GRID


def _code(counts: pd.Series) -> float | None:
    """A repeated value at one end of a number's values that looks like a code among quantities, or None.

    Nines (99, 999, ...) or a lone negative number, with a gap to everything else: 999 among ages, -1 among counts.
    """
    values = np.sort(counts.index.to_numpy(np.float64))
    if len(values) < 3:
        return None
    low, high = values[0], values[-1]
    if low < 0 <= values[1] and low == math.floor(low) and counts[low] >= LEAST_CODE_ROWS:
        return float(low)
    nines = high >= 99 and high == math.floor(high) and set(f"{high:.0f}") == {"9"}
    if nines and counts[high] >= LEAST_CODE_ROWS and 2 * values[-2] < high:
        return float(high)
    return None
