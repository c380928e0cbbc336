"""Columns as numbers that models take: for private ones from the public features alone, for others from training rows.

A category that is not among the public ones counts as "other". A value may be missing whatever a feature says, since a
holder does not know every enterprise.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from fedrisk.data.features import Feature
from fedrisk.data.special import special_values
from fedrisk.lab.split import Split
from fedrisk.local.columns import bins_of_frame, codes_of
from fedrisk.models.binning import Bins, even_edges, grid_marks

Floats = NDArray[np.float64]
Codes = list[NDArray[np.integer]]

APART = 0.05
"""How far behind the scale, which is from 0 to 1, each special code and missing values lie from one another."""


def public_bins(features: Sequence[Feature], count: int) -> list[Bins]:
    """Bins that no row has a part in: those that dictionaries state, else ``count`` even ones on the declared grid."""
    found = []
    for feature in features:
        known = replace(feature, missing=True)
        if known.private_edges:
            found.append(Bins(known, edges=even_edges(known, count)))
        else:
            found.append(Bins.public(known))
    return found


def public_codes(split: Split, count: int) -> tuple[list[Bins], Codes]:
    """Public bins of all columns, and the code of every row in each, (rows,)."""
    bins = public_bins(split.features, count)
    return bins, [_codes(b, split.frame.iloc[:, j]) for j, b in enumerate(bins)]


def _codes(bins: Bins, values: "pd.Series[float]") -> NDArray[np.integer]:
    return codes_of([bins], values.to_frame(bins.feature.column))[0]


def learned_codes(split: Split, count: int) -> tuple[list[Bins], Codes]:
    """Bins of about equally many training rows, and codes of all rows. Not private: edges are values of rows."""
    training = split.frame[split.training].reset_index(drop=True)
    special = {f.column: {float(code): text for code, text in f.special} for f in split.features}
    names = dict(zip(split.frame.columns, special.values(), strict=True))
    bins = list(bins_of_frame(training, np.ones(len(training)), count=count, special=names))
    return bins, list(codes_of(bins, split.frame))


def indicators(bins: Sequence[Bins], codes: Sequence[NDArray[np.integer]]) -> sparse.csr_array:
    """One column for each bin of each feature, (rows, bins in all): 1 where a row is in it."""
    start = np.cumsum([0, *(b.size for b in bins)])
    rows = len(codes[0])
    place = np.stack([c.astype(np.int64) + s for c, s in zip(codes, start[:-1], strict=True)], axis=1)
    shape = (rows, int(start[-1]))
    pointers = np.arange(0, place.size + 1, place.shape[1])
    return sparse.csr_array((np.ones(place.size), place.ravel(), pointers), shape=shape)


def scale_of(feature: Feature, values: "pd.Series[float]") -> tuple[Floats, float]:
    """A column on its public scale from 0 to 1, (rows,), and where that scale begins.

    Numbers go by the declared grid between their bounds, the code of the bin where there are no bounds or the bins are
    public; categories in the order of the dictionary. Special codes and missing values lie below 0.
    """
    known = replace(feature, missing=True)
    apart = -APART * (1 + np.arange(len(known.special) + 1))
    if known.kind == "number" and known.bins is None:
        x = values.to_numpy(dtype=np.float64, na_value=np.nan)
        marks = grid_marks(known)
        place = np.interp(x, marks, np.linspace(0.0, 1.0, len(marks)))
        for k, code in enumerate(special_values(known.special)):
            place[x == code] = apart[k]
        place[np.isnan(x)] = apart[-1]
    else:
        bins = Bins.public(known)
        codes = _codes(bins, values)
        levels = (np.arange(bins.levels) + 0.5) / bins.levels
        place = np.r_[levels, apart][codes]
    return place, float(apart[-1]) - APART / 2


def raw(split: Split) -> tuple[Floats, NDArray[np.bool_]]:
    """Columns as boosting takes them, (rows, columns), and which are categories, (columns,).

    Numbers as they are, missing as nan; categories as codes of the public ones.
    """
    found, category = [], []
    for name, feature in zip(split.frame.columns, split.features, strict=True):
        values = split.frame[name]
        category.append(feature.kind == "category")
        if feature.kind == "category":
            bins = Bins.public(replace(feature, missing=True))
            codes = _codes(bins, values).astype(np.float64)
            codes[codes == bins.missing_place] = np.nan
            found.append(codes)
        else:
            found.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.stack(found, axis=1), np.array(category)


def standardised(split: Split) -> Floats:
    """Columns for a linear model, (rows, inputs): mean 0 and deviation 1 over training rows.

    Missing values and special codes stand at the mean, with an indicator beside where training rows have any; a
    category is an indicator for each of its public values.
    """
    values, category = raw(split)
    found = []
    for j, feature in enumerate(split.features):
        x = values[:, j]
        if category[j]:
            found += [np.where(x == k, 1.0, 0.0) for k in range(len(feature.bins or ()) + 1)]
            found.append(np.isnan(x).astype(np.float64))
            continue
        odd = [x == code for code in special_values(feature.special)] + [np.isnan(x)]
        plain = ~np.any(odd, axis=0)
        mean = float(x[plain & split.training].mean()) if (plain & split.training).any() else 0.0
        found.append(np.where(plain, x, mean))
        found += [mark.astype(np.float64) for mark in odd]
    table = np.stack(found, axis=1)
    own = table[split.training]
    spread = own.std(0)
    # What is the same in all training rows, but for rounding, says nothing.
    kept = spread > 1e-9 * np.abs(own).max(0, initial=0.0)
    return np.asarray((table[:, kept] - own.mean(0)[kept]) / spread[kept])
