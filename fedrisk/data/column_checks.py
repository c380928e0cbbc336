"""One column of a table: its values in their type, and every rule of the dictionary that they break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedrisk.data.checks import Checks, Severity
from fedrisk.data.column import Column
from fedrisk.data.hints import (
    LOOKED_AT,
    REPEATED,
    category_hint,
    codes_hint,
    date_hint,
    grouped_by_points,
    lost_zeros,
    notation_hint,
)
from fedrisk.data.special import special_values
from fedrisk.data.text import MISSING, Notation
from fedrisk.data.typed import (
    is_missing,
    read_category,
    read_date,
    read_flag,
    read_number,
    special_rows,
    texts_of,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FIRST_YEAR, LAST_YEAR = 1902, 2150
"""Years of which a day is taken for a day; programs write 1900-01-01, 1899-12-30 and 9999-12-31 for no date."""

# By kind: what a value must be, and an example for the remedy.
_WANTED = {
    "number": ("a number", "1234.5"),
    "flag": ("yes or no", "1 or 0"),
    "date": ("a date", "2025-01-31"),
}


def checked_column(values: pd.Series[Any], c: Column, checks: Checks, notation: Notation) -> Any:
    """One column's values in their type, checked against the dictionary."""
    typed, unreadable = _READERS[c.kind](values, c, notation)
    if c.kind == "number":
        _check_points(values, c, checks, notation)
        _check_percents(typed, values, c, checks, notation)
        plain = _plain(typed, values, c, notation)
        _check_number(typed, plain, values, c, checks)
        _clip(typed, plain, c)
    if c.kind == "date":
        _check_days(typed, values, c, checks)
    if c.kind == "category":
        _tolerate(c, unreadable, values, checks)
        _check_prefix(values, c, checks)
    else:
        _check_readable(c, unreadable, values, checks, notation)
    _check_missing(pd.isna(typed) & ~unreadable, values.index, c, checks)
    return typed


UNREADABLE, UNLISTED, OUTSIDE = 1, 2, 3
"""What may be wrong with a value that is taken as it comes (:func:`taken_column`)."""


def taken_column(values: pd.Series[Any], c: Column, notation: Notation) -> tuple[Any, npt.NDArray[np.uint8]]:
    """One column's values as `checked_column` types them, of a table that nobody judges, and what is wrong with each.

    What a study refuses is missing: values that cannot be read, and infinite ones. 0 where nothing is wrong, (n,).
    """
    typed, unreadable = _READERS[c.kind](values, c, notation)
    wrong = np.where(unreadable, UNLISTED if c.kind == "category" else UNREADABLE, 0).astype(np.uint8)
    if c.kind == "number":
        plain = _plain(typed, values, c, notation)
        infinite = np.isinf(typed)
        wrong[_beyond(typed, plain, c)] = OUTSIDE
        _clip(typed, plain, c)
        wrong[infinite], typed[infinite] = UNREADABLE, np.nan
    return typed, wrong


def _plain(typed: Floats, values: pd.Series[Any], c: Column, notation: Notation) -> Bools:
    """Which numbers are quantities; those that are special codes become exactly these."""
    codes = special_rows(typed, values, c, notation)
    for code in special_values(c.special):
        typed[codes & (typed == code)] = code
    return ~codes if c.special else np.ones(len(typed), dtype=bool)


def _clip(typed: Floats, plain: Bools, c: Column) -> None:
    if c.low is not None:
        typed[plain] = np.clip(typed[plain], *_ends(c))


def _beyond(x: Floats, plain: Bools, c: Column) -> Bools:
    """Which quantities lie beyond the public bounds, if there are any."""
    if c.low is None or c.high is None:
        return np.zeros(len(x), dtype=bool)
    return ((x < c.low) | (x > c.high)) & ~np.isinf(x) & plain


def _check_readable(
    c: Column, unreadable: Bools, values: pd.Series[Any], checks: Checks, notation: Notation
) -> None:
    if not unreadable.any():
        return
    wanted, example = _WANTED[c.kind]
    number = c.kind in ("number", "flag")
    remedy = f"write it as {example}, or list the code in missing_values"
    remedy += ", or recode it as a number and declare it in special" if number else ""
    if c.kind == "date":
        remedy += date_hint(_distinct(values, unreadable))
    elif c.kind == "number":
        remedy += notation_remedy(values, unreadable, notation)
    if c.table_name in _distinct(values, unreadable):
        remedy += "; some rows hold the names of columns again: files were joined with their headers"
    checks.note(c.name, f"not {wanted}", int(unreadable.sum()), remedy, **_shown(values, unreadable))


def _check_points(values: pd.Series[Any], c: Column, checks: Checks, notation: Notation) -> None:
    """Numbers that would be others if points stood between thousands."""
    # Where numbers have a type of their own, nobody has to ask what their points mean.
    if values.dtype == np.float64 or notation.decimal != "." or c.table_name in checks.typed:
        return
    # A look at the first rows clears most columns.
    if not grouped_by_points(list(values[:LOOKED_AT].dropna())):
        return
    found = grouped_by_points(list(values.dropna()))
    if found < REPEATED:
        return
    remedy = 'if it divides thousands, write decimal = "," and thousands = "." in [table]'
    checks.note(c.name, "every number with a point has three digits after it", found, remedy, "warning")


def _check_percents(
    typed: Floats, values: pd.Series[Any], c: Column, checks: Checks, notation: Notation
) -> None:
    """Numbers with a percent sign beside numbers without one, as spreadsheets write cells of different formats."""
    if values.dtype == np.float64 or notation.percent is None:
        return
    signed = values.str.strip().str.endswith(("%", "\uff05"), na=False).to_numpy(dtype=bool)
    bare = ~signed & np.isfinite(typed) & (typed != 0)
    if signed.any():
        rule, remedy = "no percent sign, which others have", "check that these are in the same unit"
        checks.note(c.name, rule, int(bare.sum()), remedy, "warning", **_shown(values, bare))


def notation_remedy(values: pd.Series[Any], unreadable: Bools, notation: Notation) -> str:
    """The keys of [table] under which unreadable values would be numbers, to append to a remedy; "" for none."""
    return notation_hint(_distinct(values, unreadable), notation) if unreadable.any() else ""


def _distinct(values: pd.Series[Any], rows: Bools) -> list[str]:
    """The distinct values of the rows as texts, the most frequent first."""
    return list(texts_of(values[rows]).value_counts().index)


def _shown(values: pd.Series[Any], rows: Bools) -> dict[str, Any]:
    """What the table's owner sees of rows that break a rule: where they are, and which values they have."""
    if not rows.any():
        return {}
    return {"at": values.index[rows], "values": _distinct(values, rows)}


def _check_prefix(values: pd.Series[Any], c: Column, checks: Checks) -> None:
    """Codes cut to their beginning: where zeros in front were lost, the beginning is that of another code."""
    if c.prefix is None or c.categories is None:
        return
    texts = texts_of(values)
    known = [t for t in texts.dropna().unique() if not is_missing(t)]
    short = texts.isin(lost_zeros(known, c.categories)).to_numpy()
    rule = "codes with fewer digits than others, and none that begins with 0 as listed ones do"
    remedy = "if zeros in front were lost, these rows count as other categories: export the column as text"
    checks.note(c.name, rule, int(short.sum()), remedy, "warning", **_shown(values, short))


def _check_days(days: Any, values: pd.Series[Any], c: Column, checks: Checks) -> None:
    """Days that stand for something else, as 9999-12-31 does for none."""
    year = pd.DatetimeIndex(days).year.to_numpy(dtype=np.float64, na_value=np.nan)
    odd = (year < FIRST_YEAR) | (year > LAST_YEAR)
    rule = f"a day before {FIRST_YEAR} or after {LAST_YEAR}"
    remedy = "if it stands for no date, list it in missing_values"
    checks.note(c.name, rule, int(odd.sum()), remedy, "warning", **_shown(values, odd))


def _check_missing(missing: Bools, rows: pd.Index[Any], c: Column, checks: Checks) -> None:
    if c.missing == "refuse":
        rule, remedy = "missing, which this column refuses", 'fill in, or missing = "bin"'
        checks.note(c.name, rule, int(missing.sum()), remedy, at=rows[missing])
    elif c.feature and missing.all():
        checks.note(
            c.name, "missing in every row", int(missing.sum()), "check the column's source", "warning"
        )


def _check_number(x: Floats, plain: Bools, values: pd.Series[Any], c: Column, checks: Checks) -> None:
    infinite = np.isinf(x)
    checks.note(
        c.name,
        "infinite",
        int(infinite.sum()),
        "replace by a missing value or a finite bound",
        **_shown(values, infinite),
    )
    if c.low is None or c.high is None:
        return
    beyond = _beyond(x, plain, c)
    outside = x[beyond]
    rule = f"outside the public bounds [{c.low:g}, {c.high:g}]"
    hint = codes_hint(outside, c.low, c.high)
    shown = _shown(values, beyond)
    if _tolerated(c, len(outside), x[plain]):
        severity: Severity = "warning" if hint else "note"
        checks.note(c.name, rule, len(outside), f"counted as the bound{hint}", severity, **shown)
    else:
        checks.note(c.name, rule, len(outside), f"{_bounds_remedy(c)}{hint}", **shown)


def _tolerate(c: Column, unlisted: Bools, values: pd.Series[Any], checks: Checks) -> None:
    """A note where categories that are not listed are tolerated, and then count as missing; else an error."""
    rule, rows, shown = "not in the list of categories", int(unlisted.sum()), _shown(values, unlisted)
    if _tolerated(c, rows, values):
        checks.note(c.name, rule, rows, "counted as missing", "note", **shown)
        return
    hint = category_hint(_distinct(values, unlisted), c.categories or ())
    remedy = hint or "add the category"
    checks.note(c.name, rule, rows, f"{remedy}, or raise outside = {c.outside:g}", **shown)


def _tolerated(c: Column, rows: int, values: Any) -> bool:
    """Whether so many rows are at most the share ``c.outside`` of those that have a value.

    A category that is not listed counts as missing; where missing values are refused, no row is tolerated.
    """
    allowed = 0.0 if c.kind == "category" and c.missing == "refuse" else c.outside
    known = pd.notna(values) if c.kind == "number" else ~values.isin(sorted(MISSING)) & values.notna()
    return rows <= allowed * max(int(known.sum()), 1)


def _bounds_remedy(c: Column) -> str:
    """What helps against values outside the bounds of such a column.

    A linear grid has cells of one width: bounds that hold a long tail leave few cells where most values are, and
    the curve is lost. A log grid over the same bounds loses next to nothing, and public edges nothing at all.
    """
    share = f"raise outside = {c.outside:g}"
    if c.bins is not None:
        return f"correct the unit, or widen low and high, which costs nothing beside public edges, or {share}"
    if c.grid == "log":
        return f"correct the unit, or widen the bounds, which costs little on a log grid, or {share}"
    return (
        'correct the unit; for money and whatever else has a long tail, write grid = "log" with wide bounds; else keep '
        f"the bounds tight and {share} (values beyond count as the bound): wide bounds on a linear grid would leave "
        "few cells where most values are"
    )


def _ends(c: Column) -> tuple[float, float]:
    """Where a column's numbers are cut off: at its bounds, or beside a bound that is a special code.

    A number beyond such a bound must not become the code.
    """
    codes = special_values(c.special)
    low, high = float(c.low or 0.0), float(c.high or 0.0)
    return (
        float(np.nextafter(low, high)) if low in codes else low,
        float(np.nextafter(high, low)) if high in codes else high,
    )


_READERS: dict[str, Callable[[pd.Series[Any], Column, Notation], tuple[Any, Bools]]] = {
    "number": read_number,
    "flag": read_flag,
    "category": read_category,
    "date": read_date,
}
