"""Public seasonal indices of a monthly series: what each calendar month is, as a share of an ordinary month.

Statistics offices publish such indices. They are stated constants, so taking the season out by them costs no privacy;
indices computed from an institution's own rows would be a release that nobody accounts for.

Months are divided by the index of their calendar month before anything is computed from them (the ratio to a seasonal
index of Persons 1919; multiplicative, as for amounts that grow). Every division is one enterprise's alone, so a value
does not depend on which others are computed with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

MONTHS = 12
"""Indices of a year, January first."""

OTHER = "other"
"""Group of the enterprises whose own is not stated or not known; the only one where a list is given."""

TOLERANCE = 0.02
"""Most by which the mean of twelve indices may differ from 1: they are published with two or three digits."""

LEAST = 0.01
"""Least index: months are divided by it, and those of a month with next to nothing say nothing."""

DIGITS = 4
"""Most digits after the point. Published indices have fewer; those that a program computes from a table have more."""

MOST_GROUPS = 64
"""Most groups of enterprises, such as sectors, with indices of their own."""

HUGE = 1e6
"""An index from here on is no number that anybody publishes."""

Floats = NDArray[np.float64]


def _read(raw: Any) -> Any:
    """A list of twelve numbers, or a table of such lists by group, as a table in the order of the groups' names."""
    if raw is None:
        return None
    groups = {OTHER: raw} if isinstance(raw, list | tuple) else raw
    if not isinstance(groups, Mapping) or not all(isinstance(name, str) for name in groups):
        raise ValueError(
            "season is twelve indices, January first, or a table of such lists by group, of which one is other; "
            "correct it"
        )
    problems = [problem for name, indices in groups.items() for problem in _problems(name, indices)]
    if OTHER not in groups:
        problems.append(
            f'season has no indices for "{OTHER}", those whose group is not listed or not known; add '
            f"{OTHER} = [...], the indices of all together"
        )
    if len(groups) > MOST_GROUPS:
        problems.append(
            f"season has {len(groups)} groups, allowed are {MOST_GROUPS}; put small ones together"
        )
    if problems:
        raise ValueError("\n".join(problems))
    return {name: tuple(float(index) for index in groups[name]) for name in sorted(groups)}


Season = Annotated[dict[str, tuple[float, ...]], BeforeValidator(_read)]
"""Twelve indices, January first, by group."""


def _problems(name: str, indices: Any) -> list[str]:
    of = "season" if name == OTHER else f'season of "{name}"'
    if not name or name != name.strip():
        return ["season: a group's name is not empty, and without space around it; correct it"]
    if not isinstance(indices, list | tuple) or not all(_is_number(index) for index in indices):
        return [f"{of} is a list of twelve numbers, January first; correct it"]
    if len(indices) != MONTHS:
        return [
            f"{of} has {len(indices)} indices, and a year has twelve months; give one for each, January first"
        ]
    return _problems_of_numbers(of, indices)


def _problems_of_numbers(of: str, indices: Sequence[float]) -> list[str]:
    if not all(LEAST <= index < HUGE for index in indices):
        return [f"{of}: every index is {LEAST} or more, as months are divided by it; correct it"]
    mean = sum(indices) / MONTHS
    if abs(mean - 1) > TOLERANCE:
        return [
            f"{of} has a mean of {mean:.4g}, and indices have a mean of 1: an ordinary month is 1; divide each by "
            f"{mean:.4g} and round"
        ]
    if any(round(index, DIGITS) != index for index in indices):
        return [
            f"{of} has an index with more than {DIGITS} digits after the point, and published ones have fewer; round "
            "it, or take published ones where it was computed from own rows: that is a release without a price"
        ]
    return []


def _is_number(index: Any) -> bool:
    return isinstance(index, int | float) and not isinstance(index, bool)


def season_problems(
    seasonal: Sequence[str], groups: Sequence[str], column: str | None, dated: bool
) -> list[str]:
    """What ``[histories]`` lacks to take seasons out, each with its remedy.

    Args:
        seasonal: series with a season; groups: those that have indices of their own in any of them.
        column: of the file, with each row's group; None where none is stated.
        dated: whether it is said which month the last one is.
    """
    problems = []
    if seasonal and not dated:
        problems.append(
            f"[histories]: season of {', '.join(seasonal)} needs to know which month the last one is; write "
            'ends = "2026-05" or ends_column = "COLUMN"'
        )
    if groups and column is None:
        problems.append(
            f"[histories]: season is stated by group ({', '.join(groups)}); write season_column, the column of the "
            "file that names each row's group"
        )
    if column is not None and not groups:
        problems.append(
            "[histories]: season_column is for seasons by group, and no series states one; remove it, or "
            "state season as a table of lists by group"
        )
    if len(groups) > MOST_GROUPS:
        problems.append(
            f"[histories]: seasons have {len(groups)} groups, allowed are {MOST_GROUPS}; put small ones together"
        )
    return problems


def no_groups(column: str) -> str:
    """That this column cannot be ``season_column``."""
    return (
        f"[histories]: season_column = {column} holds ids, days or months, and groups of enterprises are public and "
        "few, such as sectors; name their column"
    )


def without_season(
    paths: Floats, season: Mapping[str, tuple[float, ...]], ends: NDArray[np.int64], groups: Any = None
) -> Floats:
    """Months divided by the index of their calendar month, (n, months).

    Args:
        paths: (n, months), oldest first.
        season: indices by group; see `Season`.
        ends: which month the last one is, 12 * year + month - 1, (n,). Where it is negative nobody knows, and all
            months of the enterprise are NaN: a season that cannot be taken out is not left in.
        groups: name of each enterprise's group, (n,); one that is not in ``season`` counts as `OTHER`, and so do all
            where there are none.

    >>> year = (0.5, 1.5) + 10 * (1.0,)
    >>> january = np.array([12 * 2026])
    >>> without_season(np.array([[8.0, 8.0]]), {"other": year}, january).tolist()
    [[8.0, 16.0]]
    """
    n, months = paths.shape
    index = np.empty((n, MONTHS))
    index[:] = season[OTHER]
    if groups is not None:
        for name, indices in season.items():
            index[np.asarray(groups == name, dtype=bool)] = indices
    calendar = (ends[:, None] - (months - 1) + np.arange(months)) % MONTHS
    out = paths / np.take_along_axis(index, calendar, axis=1)
    out[ends < 0] = np.nan
    return np.asarray(out)
