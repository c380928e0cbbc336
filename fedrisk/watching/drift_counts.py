"""Scores and own columns of one month over bins, beside the month before and development, as drift is looked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import exact
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.analysis.watch.drift_alarms import Counted
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard
from fedrisk.watching.development import Development
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

SCORE, GRADE = "score", "grade"
"""Names of what is no column: points in tenths, and grades of the probability."""

TENTHS = 10


@dataclass(frozen=True, eq=False)
class Reference:
    """What months of one model are held against.

    card: of the model, by whose points bins are joined. edges: inner ones of the tenths in which scores are counted.
    first, first_columns: the first month that is kept, by its rows and counts, where nothing is known of development.
    """

    development: Development | None
    card: Scorecard | None
    scale: MasterScale
    edges: Floats
    first: pd.DataFrame
    first_columns: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        development: Development | None,
        card: Scorecard | None,
        scale: MasterScale,
        first: tuple[pd.DataFrame, Mapping[str, Any]],
    ) -> "Reference":
        """first: rows and counts of the first month that is kept."""
        rows, columns = first
        scores = rows["score"].to_numpy() if development is None else development.score
        cuts = np.quantile(scores, np.arange(1, TENTHS) / TENTHS) if len(scores) else np.zeros(0)
        return cls(development, card, scale, np.unique(cuts), rows, columns)


def scored(kept: Kept, month: Month, of: str) -> pd.DataFrame:
    """Loans of a month with a score, each once: score and probability, by id."""
    frame: pd.DataFrame = kept.read_month(month, ["id", "score", "probability"], of).to_pandas()
    frame = frame[frame["score"].notna()].drop_duplicates("id").set_index("id")
    return frame.astype({"score": np.float64, "probability": np.float64})


def counted(
    kept: Kept, month: Month, before: Month | None, rows: Mapping[Month, pd.DataFrame], reference: Reference
) -> tuple[list[Counted], dict[str, str]]:
    """Everything of one month over bins, and by name what it is held against, as a code.

    before: the month that is compared with. rows: of both, as `scored` has them.
    """
    made, against = _scores(rows[month], None if before is None else rows[before], reference)
    columns, codes = kept.own_columns(month), _codes(kept, month)
    earlier = None if before is None else (kept.own_columns(before), _codes(kept, before))
    for name, said in columns.items():
        bins = Bins.from_dict(said["bins"])
        past = None
        if earlier is not None and earlier[0].get(name, {}).get("bins") == said["bins"]:
            past = earlier[0][name]["counts"]
        shares, groups, what = _expected(name, said, bins, reference, first=before is None)
        against[name] = what
        made.append(
            Counted(
                name=name,
                now=np.asarray(said["counts"], float),
                before=None if past is None else np.asarray(past, float),
                development=shares,
                groups=groups,
                moves=None if past is None or earlier is None else _moves(codes, earlier[1], name, bins.size),
                ordered=False,
            )
        )
    return made, against


def _scores(
    now: pd.DataFrame, before: pd.DataFrame | None, at: Reference
) -> tuple[list[Counted], dict[str, str]]:
    made, own = [], at.development
    for name, column, size in ((SCORE, "score", len(at.edges) + 1), (GRADE, "probability", at.scale.size)):

        def codes(values: NDArray[np.float64], name: str = name) -> Codes:
            if name == GRADE:
                return at.scale.codes(values)
            return np.searchsorted(at.edges, values, side="right")

        here = pd.Series(codes(now[column].to_numpy()), now.index)
        then = None if before is None else pd.Series(codes(before[column].to_numpy()), before.index)
        past: Floats = at.first[column].to_numpy()
        if own is not None:
            past = own.score if name == SCORE else own.probability
        known = own is not None or before is not None
        made.append(
            Counted(
                name=name,
                now=_bins(here, size),
                before=None if then is None else _bins(then, size),
                development=Histogram.of(_bins(codes(past), size), 0.0) if known else None,
                moves=None if then is None else _table(then, here, size),
            )
        )
    return made, dict.fromkeys((SCORE, GRADE), "first_month" if own is None else "own_rows")


def _expected(
    name: str, said: Mapping[str, Any], bins: Bins, at: Reference, *, first: bool
) -> tuple[Histogram | None, Codes | None, str]:
    """Development of a column, the groups of bins it is known by, and what it is, as a code (MonthFigures)."""
    own = _own_rows(name, bins, at)
    if own is not None:
        return *own, "own_rows"
    if len(said["shares"]) == bins.size:
        return exact(said["shares"]), None, "released"
    there = at.first_columns.get(name, {})
    if first or there.get("bins") != said["bins"]:
        return None, None, "none"
    return Histogram.of(np.asarray(there["counts"], float), 0.0), None, "first_month"


def _own_rows(name: str, bins: Bins, at: Reference) -> tuple[Histogram, Codes] | None:
    """Training rows by the points they had in a column: bins of equal points are one. None where they do not fit."""
    if at.development is None or at.card is None or name not in at.development.points:
        return None
    place = [j for j, b in enumerate(at.card.bins) if b.feature.column == name and b.feature.is_column]
    if len(place) != 1 or len(at.card.points[place[0]]) != bins.size:
        return None
    levels, groups = np.unique(np.asarray(at.card.points[place[0]], float), return_inverse=True)
    had = at.development.points[name]
    found = np.searchsorted(levels, had).clip(max=len(levels) - 1)
    if len(levels) < 2 or (levels[found] != had).any():
        return None
    return Histogram.of(_bins(found, len(levels)), 0.0), groups


def _codes(kept: Kept, month: Month) -> pd.DataFrame | None:
    table = kept.read_bins(month)
    return None if table is None else table.to_pandas().drop_duplicates("id").set_index("id")


def _moves(now: pd.DataFrame | None, before: pd.DataFrame | None, name: str, size: int) -> Floats | None:
    if now is None or before is None or name not in now or name not in before:
        return None
    return _table(before[name], now[name], size)


def _table(before: "pd.Series[int]", now: "pd.Series[int]", size: int) -> Floats:
    """Loans of both months by bin before and now; those without a bin in one of them are left out."""
    place = now.index.get_indexer(before.index)
    a, b = before.to_numpy()[place >= 0], now.to_numpy()[place[place >= 0]]
    there = (a >= 0) & (b >= 0)
    flat = a[there].astype(np.intp) * size + b[there].astype(np.intp)
    return np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.float64)


def _bins(codes: "Codes | pd.Series[int]", size: int) -> Floats:
    return np.bincount(np.asarray(codes, np.intp), minlength=size).astype(np.float64)
