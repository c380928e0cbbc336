"""Bins: how a column becomes a small integer code, the same way at every institution.

A feature's bins are public. Either the institution's dictionary states them (integer months in arrears,
categories, flags), which costs no privacy, or they are quantiles of a noisy histogram on a public grid. The
histogram's cells are counts of enterprises, so one enterprise changes one cell of each feature by one: the L2
sensitivity is sqrt(F) over F features with private edges. The caller adds the noise.

The noisy histogram is cleaned by projection on the simplex, which is the maximum-likelihood histogram under
Gaussian noise when counts cannot be negative (Duchi et al. 2008 for the projection; Hay et al. 2010 for
consistency as a post-processing step of private histograms).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.features import LOG_DECADES, Feature, rising, tuples_of
from fedrisk.data.special import special_values
from fedrisk.errors import ConfigError, DataError

Values = pd.Series | NDArray[Any]
Floats = NDArray[np.float64]

DEFAULT_CELLS = 128
"""Cells of the grid on which private edges are found."""

FEW = 32
"""Rows up to which categories are looked up one by one."""


@dataclass(frozen=True)
class Bins:
    """A feature with its final, public bins.

    The codes are in this order: ordered bins or categories, then "other" (categories only), then special codes in
    the order of declaration, then missing, then enterprises that the holder does not know (``unknown``). A value equal
    to an edge falls in the upper bin; a value equal to a special code falls in the bin of that code, whatever the edges
    are. ``same``: further categories, each with the one of ``categories`` that it counts as, where an edit merged them.

    >>> age = Feature(institution="bank", column="age", low=18, high=80)
    >>> bins = Bins(age, edges=(30.0, 45.0))
    >>> bins.size, bins.ordered
    (4, 3)
    >>> bins.codes(np.array([29.0, 30.0, 90.0, np.nan])).tolist()
    [0, 1, 2, 3]
    >>> trades = Feature(institution="bureau", column="trades", low=0, high=80, special=(("-9", "no record"),))
    >>> bins = Bins(trades, edges=(30.0,))
    >>> bins.labels(), bins.codes(np.array([29.0, 30.0, -9.0, np.nan])).tolist()
    (['< 30', '>= 30', 'no record', 'missing'], [0, 1, 2, 3])
    """

    feature: Feature
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = field(default=())
    unknown: bool = False
    same: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.feature.kind in ("category", "pair"):
            if not self.categories or self.edges:
                raise ConfigError(f"{self.feature.name}: bins of a category are categories, not edges")
        elif self.categories or not rising(self.edges):
            raise ConfigError(f"{self.feature.name}: edges must be finite, in strictly rising order")
        self._check_same()
        if self.size > 65536:
            raise ConfigError(f"{self.feature.name}: {self.size} bins, at most 65536; state fewer")

    def _check_same(self) -> None:
        merged = [text for text, _ in self.same]
        own = set(self.categories)
        if self.same and (
            self.feature.kind != "category"
            or len({*merged}) < len(merged)
            or own & {*merged}
            or not own >= {category for _, category in self.same}
        ):
            raise ConfigError(
                f"{self.feature.name}: a category that counts as another one is named once, and the other is a bin"
            )

    @classmethod
    def public(cls, feature: Feature) -> Bins:
        """Bins of a feature whose bins the dictionary states.

        Raises:
            ConfigError: the feature's edges are private; get them from `edges_from_histogram`.
        """
        if feature.kind == "flag":
            return cls(feature, edges=(0.5,))
        if feature.kind == "known":
            return cls(feature, unknown=True)
        if feature.bins is None:
            raise ConfigError(f"{feature.name}: has no public bins; its edges come from a noisy histogram")
        if feature.kind == "category":
            return cls(feature, categories=tuple(str(b) for b in feature.bins))
        return cls(feature, edges=tuple(float(b) for b in feature.bins))

    @property
    def ordered(self) -> int:
        """Number of ordered bins; 0 for categories."""
        return 0 if self.feature.kind in ("category", "known", "pair") else len(self.edges) + 1

    @property
    def levels(self) -> int:
        """Number of bins of values, which come first: ordered bins, or categories and "other", or cells of a pair."""
        if self.feature.kind == "pair":
            return len(self.categories)
        return len(self.categories) + 1 if self.feature.kind == "category" else len(self.edges) + 1

    @property
    def missing_place(self) -> int:
        """Code of missing values, where the feature has a bin for them: behind values and special codes."""
        return self.levels + len(self.feature.special)

    @property
    def size(self) -> int:
        """Number of all codes: of enterprises that the institution knows, and of those that it does not know."""
        return self.known + int(self.unknown)

    @property
    def known(self) -> int:
        """Number of codes of enterprises that the institution knows: values, "other", special codes and missing."""
        return self.missing_place + int(self.feature.missing)

    @property
    def apart(self) -> int:
        """Number of bins behind those of values, each with a level of its own: special codes and missing."""
        return len(self.feature.special) + int(self.feature.missing)

    def codes(self, values: Values) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Bin code of every value, shape (n,).

        Raises:
            DataError: a value is missing and the feature has no missing bin, or is not a number; or it is a pair, whose
                codes come from those of its columns (`models/card_pairs.with_pair_codes`).
        """
        if self.feature.kind == "pair":
            raise DataError(
                f"{self.feature.name}: a pair has no values; its codes follow from those of its columns"
            )
        if self.feature.kind == "category":
            out = self._category_codes(values)
        elif self.feature.kind == "known":
            out = np.zeros(len(values), np.int64)
        else:
            x = _numbers(values, self.feature)
            out = np.searchsorted(np.asarray(self.edges), x, side="right")
            for k, value in enumerate(special_values(self.feature.special)):
                out[x == value] = self.levels + k
            gone = np.isnan(x)
            if gone.any():
                self._require_missing(int(gone.sum()))
                out[gone] = self.missing_place
        return out.astype(np.uint8) if self.size <= 256 else out.astype(np.uint16)

    def _category_codes(self, values: Values) -> NDArray[np.int64]:
        known = {text: k for k, texts in enumerate(self.category_texts()) for text in texts}
        if isinstance(values, np.ndarray) and len(values) <= FEW:
            # One row at a time, as models that serve: pandas takes a millisecond for it.
            few = [-1 if pd.isna(v) else known.get(_text(v), len(self.categories)) for v in values.tolist()]
            return self._missing_filled(np.array(few, dtype=np.int64))
        place, unique = pd.factorize(pd.Series(values).astype(object), use_na_sentinel=True)
        table = np.array([known.get(_text(u), len(self.categories)) for u in unique] + [-1], dtype=np.int64)
        return self._missing_filled(table[place])

    def _missing_filled(self, out: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes with that of missing values in place of -1."""
        gone = out < 0
        if gone.any():
            self._require_missing(int(gone.sum()))
            out[gone] = self.missing_place
        return out

    def _require_missing(self, count: int) -> None:
        if not self.feature.missing:
            raise DataError(
                f"column {self.feature.column}: {count} values are missing and the feature has no bin for "
                'them; set missing = "bin" in the dictionary or fill them in'
            )

    def category_texts(self) -> list[tuple[str, ...]]:
        """Texts of each bin of a category, in the order of its codes, without "other".

        >>> sector = Feature(institution="bank", column="sector", kind="category", bins=("a", "b", "c"))
        >>> Bins(sector, categories=("a", "c"), same=(("b", "a"),)).category_texts()
        [('a', 'b'), ('c',)]
        """
        return [(c, *(text for text, other in self.same if other == c)) for c in self.categories]

    def labels(self) -> list[str]:
        """Readable text for each code, in order.

        >>> Bins.public(Feature(institution="court", column="open_case", kind="flag")).labels()
        ['no', 'yes', 'missing']
        """
        if self.feature.kind == "category":
            texts = [*(" + ".join(texts) for texts in self.category_texts()), "other"]
        elif self.feature.kind == "pair":
            texts = [*self.categories]
        elif self.feature.kind == "flag":
            texts = ["no", "yes"]
        elif self.feature.kind == "known":
            texts = ["known"]
        elif not self.edges:
            texts = ["any"]
        else:
            e = [f"{edge:.6g}" for edge in self.edges]
            texts = [f"< {e[0]}", *(f"{a} to < {b}" for a, b in pairwise(e)), f">= {e[-1]}"]
        gone = ["missing"] * self.feature.missing + ["unknown"] * self.unknown
        return texts + [meaning for _, meaning in self.feature.special] + gone

    def reasons(self) -> list[str]:
        """What a reason of each code is called: the column, with the meaning where the value is a special code."""
        column = self.feature.column
        out = [column] * self.size
        for k, (_, meaning) in enumerate(self.feature.special):
            out[self.levels + k] = f"{column} ({meaning})"
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        f = self.feature
        return {
            "institution": f.institution,
            "column": f.column,
            "kind": f.kind,
            "low": f.low,
            "high": f.high,
            "grid": f.grid,
            "bins": None if f.bins is None else list(f.bins),
            "missing": f.missing,
            "monotone": f.monotone,
            "bin_count": f.bin_count,
            "special": [list(pair) for pair in f.special],
            "strength": f.strength,
            "direction": f.direction,
            "edges": list(self.edges),
            "categories": list(self.categories),
            "unknown": self.unknown,
            # Left out where there is none, so that earlier programs read the bins.
            **({"same": [list(pair) for pair in self.same]} if self.same else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Bins:
        """Inverse of `to_dict`; what cards of earlier versions do not have yet may be absent.

        Raises:
            ConfigError: a key is missing or unknown, or the parts contradict each other.
        """
        parts = dict(data)
        try:
            edges = tuple(float(e) for e in parts.pop("edges"))
            categories = tuple(str(c) for c in parts.pop("categories"))
            unknown = bool(parts.pop("unknown", False))  # absent in cards of earlier versions
            same = tuple((str(text), str(other)) for text, other in parts.pop("same", ()))
            feature = Feature(**{**parts, **tuples_of(parts)})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"bins: the stored form is malformed ({type(error).__name__})") from error
        return cls(feature, edges, categories, unknown, same)


def grid_marks(feature: Feature, cells: int = DEFAULT_CELLS) -> Floats:
    """Borders of the grid's cells between the public bounds, shape (cells + 1,).

    The log grid is equidistant in sign(x) log(1 + |x| / s), where s is a 10,000th of the larger bound.

    >>> grid_marks(Feature(institution="bank", column="a", low=0, high=8), 4).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if feature.kind != "number" or feature.low is None or feature.high is None:
        raise ConfigError(f"{feature.name}: only a number with public low and high has a grid")
    if cells < 2:
        raise ConfigError(f"cells is {cells}, must be at least 2")
    if feature.grid == "linear":
        return np.linspace(feature.low, feature.high, cells + 1)
    unit = max(abs(feature.low), abs(feature.high)) / LOG_DECADES
    ends = [math.copysign(math.log1p(abs(v) / unit), v) for v in (feature.low, feature.high)]
    t = np.linspace(ends[0], ends[1], cells + 1)
    marks = np.sign(t) * np.expm1(np.abs(t)) * unit
    # The ends are set exactly, without rounding.
    marks[0], marks[-1] = feature.low, feature.high
    return marks


def even_edges(feature: Feature, bins: int) -> tuple[float, ...]:
    """Inner edges of bins that are even on the declared grid: public, whatever the rows are.

    >>> even_edges(Feature(institution="bank", column="a", low=0, high=8), 4)
    (2.0, 4.0, 6.0)
    """
    return tuple(float(mark) for mark in grid_marks(feature, bins)[1:-1])


def grid_histogram(values: Values, feature: Feature, cells: int = DEFAULT_CELLS) -> NDArray[np.int64]:
    """Exact counts on the grid, shape (cells,), without noise; they must not leave the institution like this.

    Values outside the bounds count in the end cells, missing values and special codes in no cell: an enterprise
    adds one to at most one cell.
    """
    marks = grid_marks(feature, cells)
    x = _numbers(values, feature)
    x = x[~(np.isnan(x) | np.isin(x, special_values(feature.special)))]
    cell = np.clip(np.searchsorted(marks, x, side="right") - 1, 0, cells - 1)
    return np.bincount(cell, minlength=cells).astype(np.int64)


def edges_from_histogram(counts: Floats, feature: Feature, variance: float, bins: int) -> tuple[float, ...]:
    """Inner edges of about equally filled bins, from noisy counts on the feature's grid.

    Args:
        counts: noisy counts, shape (cells,).
        feature: a number with public bounds.
        variance: noise variance of each count.
        bins: wanted number of ordered bins; there are fewer where one cell holds more than a bin's share.

    Returns:
        At most bins - 1 of the grid's marks, strictly rising. Each quantile takes the mark whose cumulative
        share is nearest, so a heavy cell (for instance a point mass at zero) gets an edge on both sides.
    """
    counts = np.asarray(counts, dtype=np.float64)
    marks = grid_marks(feature, len(counts))
    if bins < 2:
        return ()
    total = float(counts.sum())
    if drowned(counts, variance):
        # Nothing but noise: fall back to an even grid.
        share = np.linspace(0.0, 1.0, len(marks))
    else:
        share = np.r_[0.0, np.cumsum(_simplex(counts, total)) / total]
    wanted = np.arange(1, bins) / bins
    upper = np.clip(np.searchsorted(share, wanted), 1, len(share) - 1)
    nearest = np.where(wanted - share[upper - 1] < share[upper] - wanted, upper - 1, upper)
    inner = np.unique(nearest[(nearest > 0) & (nearest < len(marks) - 1)])
    return tuple(float(marks[k]) for k in inner)


def drowned(counts: Floats, variance: float) -> bool:
    """Whether noisy counts of a histogram are no more in all than their noise, so that its edges are even ones.

    >>> drowned(np.full(4, 10.0), 400.0), drowned(np.full(4, 11.0), 400.0)
    (True, False)
    """
    return float(np.sum(counts)) <= math.sqrt(variance * len(counts))


def bins_of(
    features: Sequence[Feature],
    histograms: Mapping[str, Floats],
    variances: Mapping[str, float],
    count: int,
) -> list[Bins]:
    """Bins of all features: public ones as stated, the others from noisy histograms.

    Args:
        features: of all roles, in order.
        histograms: by role, noisy counts of its features without public bins, (features, cells).
        variances: by role, noise variance of each count.
        count: wanted number of ordered bins where a feature states none.
    """
    out, place = [], dict.fromkeys(histograms, 0)
    for f in features:
        if not histograms or not f.private_edges:
            out.append(Bins.public(f))
            continue
        cells = histograms[f.institution][place[f.institution]]
        place[f.institution] += 1
        wanted = f.bin_count or count
        out.append(Bins(f, edges=edges_from_histogram(cells, f, variances[f.institution], wanted)))
    return out


def default_bin_count(n: int, mu_counts: float, features: int) -> int:
    """Bins per feature: 24, 16 or 8, by n mu / sqrt(F), the counts per feature in units of the noise's sd.

    >>> default_bin_count(21_000, 0.19, 23), default_bin_count(1_000, 0.19, 23)
    (16, 8)
    """
    room = n * mu_counts / math.sqrt(max(features, 1))
    return 24 if room > 2000 else 16 if room > 400 else 8


def _simplex(counts: Floats, total: float) -> Floats:
    """Nearest non-negative counts with the given sum (Duchi et al. 2008)."""
    falling = np.sort(counts)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(counts) + 1)
    last = np.flatnonzero(falling > excess)[-1]
    out: Floats = np.maximum(counts - excess[last], 0.0)
    return out


def _numbers(values: Values, feature: Feature) -> Floats:
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        return values
    try:
        out: Floats = pd.to_numeric(pd.Series(values)).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(
            f"column {feature.column}: not all values are numbers; correct them or declare a category"
        ) from None
    return out


def _text(value: object) -> str:
    """A category's text; 2, 2.0 and "2" are one category."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
