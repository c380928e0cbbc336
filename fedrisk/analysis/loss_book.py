"""Sums of exposure and losses by segment, from the figures of a statistics study, for one set of rules or two.

A book is a partition of the study's cells into groups: where one set of rules is looked at, its segments; where two
are, the finest groups that are inside one segment of each, so that both are applied to the same losses. Only sums
over several banks are taken (:func:`check_several`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.analysis.estimates import Estimates
from fedrisk.analysis.loss_rules import LossRules, Segment
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import RELEASE, Layout
from fedrisk.study_members import BANK
from fedrisk.toml_file import near_name

LEAST_BANKS = 3
"""A bank that subtracts its own part from a sum over two has the other's."""
FEN = 100.0
SAYS = 2.0
"""A sum over several cells is printed where it is at least so many of its standard errors."""
_NO_AXES = {
    *("table", "measure", "kind", "quantile", "estimate", "standard_error", "low", "high", "says", "unit"),
}


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums by group: figure and standard error (groups,), and whether each says more than its noise."""

    figure: NDArray[np.float64]
    error: NDArray[np.float64]
    says: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One segment of a set of rules as the study has it. place: of its rules among ``rules.segments``."""

    title: str
    place: int


@dataclass(frozen=True, kw_only=True)
class Book:
    """What is lent and may be lost, by group.

    parts: for each set of rules, its segments that are there. inside: for each set of rules, the segment of each group.
    sums: by figure ("exposure", "expected_loss", "enterprises", "matured_loss", "predicted"), those that are there;
    money in fen. level: of intervals.
    """

    parts: tuple[tuple[Part, ...], ...]
    inside: tuple[NDArray[np.intp], ...]
    sums: Mapping[str, Sums]
    level: float

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.inside[0])

    def by_segment(self, number: int, values: NDArray[Any]) -> NDArray[Any]:
        """Values of groups (..., groups) added up to the segments of one set of rules (..., segments)."""
        out = np.zeros((*values.shape[:-1], len(self.parts[number])), values.dtype)
        for group, segment in enumerate(self.inside[number]):
            out[..., segment] += values[..., group]
        return out


def check_several(record: ReleaseRecord, rules: LossRules) -> None:
    """ConfigError unless every sum that the rules name is over enough banks that none has another's own figures.

    Colluding banks subtract their parts: a sum has to be over at least two more banks than collude, and over three.
    """
    released = record.find(RELEASE)
    if released is None or "layout" not in released.about:
        raise ConfigError(
            f"the record of study {record.study.get('name')} holds no statistics; name results of a study with "
            'recipe = "statistics"'
        )
    layout = Layout.from_dict(released.about["layout"])
    privacy = record.study.get("privacy") or {}
    least = max(LEAST_BANKS, int(privacy.get("colluders", 1)) + 2)
    members = {str(m["name"]) for m in record.study["institutions"]}
    for axis in layout.axes:
        if len(members & set(axis.categories)) > 1:
            raise ConfigError(
                f"cells by {axis.name} are single institutions, and shares of losses are made from sums over several "
                "alone; leave that column out of the study"
            )
    for measure in layout.measures:
        if measure.name not in _used(rules) or (measure.column is None and layout.joined):
            continue
        owner = layout.owner if measure.column is None else measure.column.split(".", 1)[0]
        count = _contributors(record, owner)
        if count < least:
            raise ConfigError(
                f"measure {measure.name} is a sum over {count} institution(s) of {owner}, and shares of losses are "
                f"made from sums over at least {least}, so that nobody has another bank's own figures; run the study "
                "with more banks"
            )


def _used(rules: LossRules) -> set[str]:
    figures = rules.figures
    names = (
        figures.exposure,
        figures.expected_loss,
        figures.enterprises,
        figures.matured_loss,
        figures.predicted,
    )
    return {name for name in names if name is not None}


def _contributors(record: ReleaseRecord, owner: str) -> int:
    """Institutions whose parts are in an owner's sums: those that paid for the release, of the owner's."""
    if owner == BANK:
        theirs = {str(m["name"]) for m in record.study["institutions"] if m["role"] == BANK}
    else:
        offices = (record.study.get("settings") or {}).get("offices") or {}
        theirs = {str(name) for name in offices.get(owner, (owner,))}
    paid = {str(s["institution"]) for s in record.release(RELEASE).spends if "institution" in s}
    return len(theirs & paid if paid else theirs)


def make_book(found: Estimates, rules: Sequence[LossRules]) -> Book:
    """The book of a study's figures for sets of rules; the figures are those that the first names.

    ConfigError where a measure or an axis is not in the study, or a cell is in no segment.
    """
    figures = rules[0].figures
    names = {
        "exposure": figures.exposure,
        "expected_loss": figures.expected_loss,
        "enterprises": figures.enterprises,
        "matured_loss": figures.matured_loss,
        "predicted": figures.predicted,
    }
    wanted = {role: name for role, name in names.items() if name is not None}
    axes = sorted({a for r in rules for s in r.segments for a in (*s.where, *s.by)})
    _check_axes(found.frame, axes)
    cells = {role: _cells(found.frame, name, axes) for role, name in wanted.items()}
    keys = list(dict.fromkeys(k for table in cells.values() for k in table))
    for one in rules:
        _check_categories(one, axes, keys)
    placed = [[_place(r, dict(zip(axes, key, strict=True))) for key in keys] for r in rules]
    pairs = list(zip(*placed, strict=True))
    # In the order of segments, so that with one set of rules groups are segments.
    groups = sorted(set(pairs))
    scale = FEN * figures.yuan_per_unit
    sums = {}
    for role, table in cells.items():
        unit = 1.0 if role == "enterprises" else scale
        sums[role] = _add(table, dict(zip(keys, pairs, strict=True)), groups, unit)
    parts, inside = [], []
    for number, one in enumerate(rules):
        segments = sorted(dict.fromkeys(group[number] for group in groups))
        at = {segment: k for k, segment in enumerate(segments)}
        parts.append(tuple(Part(title=_title(one, s), place=s[0]) for s in segments))
        inside.append(np.array([at[group[number]] for group in groups], np.intp))
    return Book(parts=tuple(parts), inside=tuple(inside), sums=sums, level=found.level)


_Key = tuple[str, ...]
_Placed = tuple[int, _Key]


def _check_axes(frame: pd.DataFrame, axes: Sequence[str]) -> None:
    known = [str(c) for c in frame.columns if c not in _NO_AXES]
    for axis in axes:
        if axis not in known:
            raise ConfigError(
                f"the rules have segments by {axis}, and the study counts by {', '.join(known) or 'nothing'}; name "
                "one of these, or run a study by it"
            )


def _check_categories(rules: LossRules, axes: Sequence[str], keys: Sequence[_Key]) -> None:
    """A misspelt category would take no cell, and another segment silently take them."""
    known = {axis: list(dict.fromkeys(key[k] for key in keys)) for k, axis in enumerate(axes)}
    for segment in rules.segments:
        for axis, values in segment.where.items():
            for value in values:
                if value not in known[axis]:
                    near = near_name(value, known[axis])
                    hint = f'did you mean "{near}"?' if near else f"there are {', '.join(known[axis][:12])}"
                    raise ConfigError(
                        f'segment {segment.name} of rules {rules.name} names {axis} "{value}", and the study has no '
                        f"such category; {hint}"
                    )


def _cells(frame: pd.DataFrame, measure: str, axes: Sequence[str]) -> dict[_Key, list[Any]]:
    """Rows of a measure by their categories of these axes, of the smallest table that has all of these axes."""
    rows = frame[frame["measure"] == measure]
    if rows.empty:
        known = ", ".join(sorted(map(str, frame["measure"].unique())))
        raise ConfigError(
            f"the study has no measure {measure}; it has {known}: name one of these in [figures] of the rules"
        )
    kinds = set(rows["kind"])
    if not kinds <= {"sum", "count"}:
        raise ConfigError(
            f"measure {measure} is of kind {', '.join(sorted(kinds))}; shares of losses need a sum"
        )
    best: pd.DataFrame | None = None
    for _, table in rows.groupby("table", sort=False):
        if all(table[a].notna().all() for a in axes) and (best is None or len(table) < len(best)):
            best = table
    if best is None:
        raise ConfigError(
            f"no table of the study has cells by {', '.join(axes)}; add one to tables of the study"
        )
    out: dict[_Key, list[Any]] = {}
    for row in best.to_dict("records"):
        out.setdefault(tuple(str(row[a]) for a in axes), []).append(row)
    return out


def _place(rules: LossRules, cell: Mapping[str, str]) -> _Placed:
    """Which segment a cell belongs to: the first whose ``where`` it fits, and its categories of ``by``."""
    for place, segment in enumerate(rules.segments):
        if all(cell[axis] in values for axis, values in segment.where.items()):
            return place, tuple(cell[axis] for axis in segment.by)
    said = ", ".join(f"{axis} {value}" for axis, value in cell.items())
    raise ConfigError(
        f"no segment of rules {rules.name} takes cells of {said}; add a last segment without where, which takes "
        "the rest"
    )


def _title(rules: LossRules, placed: _Placed) -> str:
    segment: Segment = rules.segments[placed[0]]
    return ", ".join((segment.title or segment.name, *placed[1]))


def _add(
    table: Mapping[_Key, Sequence[Mapping[str, Any]]],
    pair_of: Mapping[_Key, tuple[_Placed, ...]],
    groups: Sequence[tuple[_Placed, ...]],
    unit: float,
) -> Sums:
    """Cells added up to groups; noise of different cells is independent, so variances add up."""
    at = {group: k for k, group in enumerate(groups)}
    figure, variance = np.zeros(len(groups)), np.zeros(len(groups))
    count, marked = np.zeros(len(groups), int), np.ones(len(groups), bool)
    for key, rows in table.items():
        place = at[pair_of[key]]
        for row in rows:
            figure[place] += row["estimate"] * unit
            variance[place] += (row["standard_error"] * unit) ** 2
            count[place] += 1
            marked[place] &= bool(row["says"])
    if not (np.isfinite(figure).all() and np.isfinite(variance).all()):
        raise ConfigError("the study has sums that are no finite numbers; take another copy of its results")
    error = np.sqrt(variance)
    says = np.where(count == 1, marked, (figure > 0) & (figure >= SAYS * error))
    return Sums(figure=figure, error=error, says=says.astype(bool))


def not_negative(figures: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest figures that are not negative and add up to the same (0 where that is negative).

    Weighted least squares: where a figure has more noise it moves more. Without this, noisy sums that were only cut at
    0 would add up to too much. figures: (..., groups); errors: (groups,).
    """
    out: NDArray[np.float64] = np.maximum(figures, 0.0)
    weights = errors**2
    below = (figures < 0).any(axis=-1)
    if not (below.any() and weights.any()):
        return out
    rows = np.atleast_2d(figures)[np.atleast_1d(below)]
    total = np.maximum(rows.sum(axis=1, keepdims=True), 0.0)
    # All that stay above 0 fall by the same multiple of their variance; those with the least for theirs go first.
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(weights > 0, rows / weights, np.where(rows > 0, np.inf, -np.inf))
    order = np.argsort(-worth, axis=1)
    sorted_rows = np.take_along_axis(rows, order, axis=1)
    kept = np.cumsum(weights[order], axis=1)
    fall = (np.cumsum(sorted_rows, axis=1) - total) / np.maximum(kept, 1e-300)
    stays = np.take_along_axis(worth, order, axis=1) > fall
    last = np.maximum(stays.cumprod(axis=1).sum(axis=1) - 1, 0)[:, None]
    fall = np.where(np.take_along_axis(kept, last, axis=1) > 0, np.take_along_axis(fall, last, axis=1), 0.0)
    nearest = np.where(total > 0, np.maximum(rows - fall * weights, 0.0), 0.0)
    out.reshape(-1, figures.shape[-1])[np.atleast_1d(below)] = nearest
    return out
