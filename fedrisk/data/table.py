"""One institution's table: read on its machine, checked against its dictionary, and typed.

Only the columns that the dictionary names are read, in blocks, from CSV, Parquet or a database. Every rule
that a table can break becomes a `Check` with a count, a share and a remedy, so that one run shows everything
that is wrong. No text made here holds a value or an id. The readers' own messages quote the offending row, so
they are dropped, not chained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fedrisk.alignment.ids import normalise
from fedrisk.data.dictionary import ROW_NUMBER, Column, Dictionary, Label, canonical
from fedrisk.data.source import Check, Checks, TableSource, by_value, read_source, where
from fedrisk.data.special import special_values
from fedrisk.errors import DataError

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

REFUSED_SHARE = 0.01
"""Rows whose id breaks its scheme are dropped up to this share; a larger share is an error."""

MOST_CODES = 5
"""Most different values outside the bounds that may be codes nobody declared."""

REPEATED = 3
"""Fewest rows of a value that may be such a code."""

_FLAGS = {"1": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0}
_FLAGS |= {"0": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
# By kind: what a value must be, and an example for the remedy.
_WANTED = {
    "number": ("a number", "1234.5"),
    "flag": ("yes or no", "1 or 0"),
    "date": ("a date", "2025-01-31"),
}


@dataclass(frozen=True, eq=False)
class Table:
    """The checked table of one institution, n rows in the order of their ids.

    Its representation never shows contents.

    Attributes:
        ids: (n,) object, normalised.
        frame: n rows of typed columns by their dictionary names: numbers and flags float64 with NaN, and with
            special codes as the numbers that they are; categories object with None, dates datetime64.
        label: (n,) float64 in [0, 1], or None.
        weight: (n,) float64 in [0, 1], or None.
        digest: SHA-256 over all of these, so that a table that changes between two exchanges of a study is
            noticed.
        checks: warnings and notes.
    """

    ids: Objects = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    label: Floats | None = field(repr=False)
    weight: Floats | None = field(repr=False)
    digest: str
    checks: tuple[Check, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)


def read_table(source: TableSource, dictionary: Dictionary, *, base: str | Path) -> Table:
    """The table at ``source``, typed and checked; ``base`` is the folder of the institution file.

    Warnings and notes are in ``Table.checks``.

    Raises:
        ConfigError: the source cannot be found; names the environment variable or the file.
        DataError: lists all rules that the table breaks.
    """
    table, checks = _examine(source, dictionary, Path(base))
    raise_for(checks, where=where(source))
    if table is None:
        # Not expected: a missing table always comes with an error, which was raised above.
        raise DataError(f"{where(source)}: cannot be read; run the check of the institution file")
    return table


def examine_table(
    source: TableSource, dictionary: Dictionary, *, base: str | Path
) -> tuple[Table | None, tuple[Check, ...]]:
    """The table as far as it can be made, also where rules are broken, and all checks; for its owner's eyes alone.

    None where a column is missing or no row is there. Raises only if the source cannot be read at all.
    """
    table, checks = _examine(source, dictionary, Path(base))
    return table, tuple(sorted(checks, key=lambda c: _RANK[c.severity]))


def check_table(source: TableSource, dictionary: Dictionary, *, base: str | Path) -> tuple[Check, ...]:
    """All checks of the table, errors first; raises only if the source cannot be read at all."""
    return examine_table(source, dictionary, base=base)[1]


_RANK = {"error": 0, "warning": 1, "note": 2}


def raise_for(checks: Iterable[Check], *, where: str = "table") -> None:
    """Raise DataError with all checks of severity "error"; do nothing if there is none."""
    errors = [c for c in checks if c.severity == "error"]
    if errors:
        lines = "\n".join(f"  - {c}" for c in errors)
        raise DataError(f"{where}: {len(errors)} rule{'s' * (len(errors) > 1)} broken\n{lines}")


# --- the steps --------------------------------------------------------------------------------------------


def _examine(source: TableSource, dictionary: Dictionary, base: Path) -> tuple[Table | None, list[Check]]:
    """The table, if it can be read and has rows, and everything that is wrong or notable about it."""
    checks = Checks()
    raw = read_source(source, dictionary, base, checks)
    if raw is None:
        return None, checks
    checks.total = len(raw)
    if not len(raw):
        remedy = "check path, query and only" if source.only or source.query else "check the path"
        checks.always("table", "has no rows", remedy)
        return None, checks

    label, weight, keep = _label(raw, dictionary.label, checks)
    ids, known = _ids(raw, dictionary, keep, checks)
    keep &= known
    ids = ids[keep]
    _check_repeated(ids, dictionary, checks)
    if not keep.any():
        checks.always("table", "has no row that a study could use", "repair the rules above first")
    raw = raw[keep] if not keep.all() else raw
    checks.total = len(raw)
    frame = pd.DataFrame(
        {c.name: _typed(raw[c.table_name], c, checks) for c in dictionary.columns}, copy=False
    )
    label = None if label is None else label[keep]
    weight = None if weight is None else weight[keep]
    _check_classes(label, checks)
    # By id: a database returns its rows in any order, and the same rows must give the same digest.
    order = np.argsort(ids.astype(str), kind="stable")
    ids, frame = ids[order], frame.iloc[order].reset_index(drop=True)
    label = None if label is None else label[order]
    weight = None if weight is None else weight[order]
    digest = _digest(ids, frame, label, weight, dictionary)
    return Table(ids, frame, label, weight, digest, tuple(checks)), checks


def _check_repeated(ids: Objects, d: Dictionary, checks: Checks) -> None:
    repeated = pd.Series(ids, dtype=object).duplicated(keep=False).to_numpy()
    latest = f'"{d.as_of}"' if d.as_of else "a date column"
    checks.note(
        d.id,
        "id occurs more than once",
        int(repeated.sum()),
        f"roll the rows of an enterprise up into one, or keep the latest by {latest}",
    )


def _check_classes(label: Floats | None, checks: Checks) -> None:
    if label is None or not len(label):
        return
    for name, absent in (("positive", label.max() <= 0), ("negative", label.min() >= 1)):
        if absent:
            checks.always(
                "label", f"no {name} label", f"check the values listed as {name}, or which rows are selected"
            )


def _ids(raw: pd.DataFrame, d: Dictionary, keep: Bools, checks: Checks) -> tuple[Objects, Bools]:
    """The spelling of every row's id, and which rows have a usable one."""
    if d.id == ROW_NUMBER:
        numbers = raw.index.to_numpy()
        return np.array([f"ROW{i:09d}" for i in numbers], dtype=object), np.ones(len(raw), dtype=bool)
    text = _text(raw[d.id])
    present = text.notna().to_numpy()
    checks.note(
        d.id, "id is missing", int((~present & keep).sum()), "fill the id in, or leave these rows out"
    )
    ids = np.full(len(raw), "", dtype=object)
    normal, refused = normalise(text[present].to_numpy(dtype=object), d.id_scheme)
    ids[present] = normal
    good = present.copy()
    good[present] = ~np.asarray(refused, dtype=bool)
    bad = int((present & ~good & keep).sum())
    checks.note(
        d.id,
        "check character wrong or not a unified social credit code"
        if d.id_scheme == "uscc"
        else "id unusable",
        bad,
        f"correct the ids; up to {REFUSED_SHARE:.0%} of such rows are left out, more are refused",
        "warning" if bad <= REFUSED_SHARE * len(raw) else "error",
    )
    return ids, good


def _label(
    raw: pd.DataFrame, rule: Label | None, checks: Checks
) -> tuple[Floats | None, Floats | None, Bools]:
    """Label, selection weight, and which rows have a label."""
    keep = np.ones(len(raw), dtype=bool)
    if rule is None:
        return None, None, keep
    if rule.positive:
        classes = {canonical(v): 1.0 for v in rule.positive} | {canonical(v): 0.0 for v in rule.negative}
        label = by_value(raw[rule.column], lambda v: classes.get(canonical(v), np.nan))
        remedy = "dropped; list the value under positive or negative if it is an outcome"
        keep = ~np.isnan(label)
        checks.note(
            rule.column,
            "no label: value neither positive nor negative",
            int((~keep).sum()),
            remedy,
            "warning",
        )
    else:
        label, unreadable = _numbers(raw[rule.column])
        checks.note(rule.column, "label is not a number", int(unreadable.sum()), "write a number in [0, 1]")
        keep = ~np.isnan(label)
        checks.note(rule.column, "no label", int((~keep & ~unreadable).sum()), "dropped", "warning")
        wide = int(((label < 0) | (label > 1)).sum())
        checks.note(rule.column, "label outside [0, 1]", wide, "list its values under positive and negative")
    if rule.weight is None:
        return label, None, keep
    weight, _ = _numbers(raw[rule.weight])
    wide = int((keep & ~((weight >= 0) & (weight <= 1))).sum())
    remedy = "divide by a public upper bound; larger weights would raise the sensitivity"
    checks.note(rule.weight, "selection weight missing or outside [0, 1]", wide, remedy)
    return label, weight, keep


def _typed(values: pd.Series[Any], c: Column, checks: Checks) -> Any:
    """One column's values in their type, checked against the dictionary."""
    if c.missing_values:
        codes = {canonical(v) for v in c.missing_values}
        values = values.mask(by_value(values, lambda v: float(canonical(v) in codes)) == 1.0)
    typed, unreadable = _READERS[c.kind](values, c)
    if c.kind == "number":
        plain = ~_take_codes(typed, values, c) if c.special else slice(None)
        _check_number(typed[plain], c, checks)
        if c.low is not None:
            typed[plain] = np.clip(typed[plain], *_ends(c))
    if c.kind == "category":
        _tolerate(
            c, "not in the list of categories", int(unreadable.sum()), values, "add the category", checks
        )
    else:
        wanted, example = _WANTED[c.kind]
        number = (
            ", or recode it as a number and declare it in special" if c.kind in ("number", "flag") else ""
        )
        remedy = f"write it as {example}, or list the code in missing_values{number}"
        checks.note(c.name, f"not {wanted}", int(unreadable.sum()), remedy)
    _check_missing(pd.isna(typed) & ~unreadable, c, checks)
    return typed


def _check_missing(missing: Bools, c: Column, checks: Checks) -> None:
    if c.missing == "refuse":
        checks.note(
            c.name, "missing, which this column refuses", int(missing.sum()), 'fill in, or missing = "bin"'
        )
    elif c.feature and missing.all():
        checks.note(
            c.name, "missing in every row", int(missing.sum()), "check the column's source", "warning"
        )


def _check_number(x: Floats, c: Column, checks: Checks) -> None:
    infinite = np.isinf(x)
    checks.note(c.name, "infinite", int(infinite.sum()), "replace by a missing value or a finite bound")
    if c.low is None or c.high is None:
        return
    outside = x[((x < c.low) | (x > c.high)) & ~infinite]
    rule = f"outside the public bounds [{c.low:g}, {c.high:g}]"
    hint = _codes_hint(outside)
    if _tolerated(c, len(outside), x):
        checks.note(c.name, rule, len(outside), f"counted as the bound{hint}", "warning" if hint else "note")
    else:
        checks.note(c.name, rule, len(outside), f"{_bounds_remedy(c)}{hint}")


def _tolerate(c: Column, rule: str, rows: int, values: Any, remedy: str, checks: Checks) -> None:
    """A note where the rows are tolerated, else an error; for categories, whose values then count as missing."""
    if _tolerated(c, rows, values):
        checks.note(c.name, rule, rows, "counted as missing", "note")
    else:
        checks.note(c.name, rule, rows, f"{remedy}, or raise outside = {c.outside:g}")


def _tolerated(c: Column, rows: int, values: Any) -> bool:
    """Whether so many rows are at most the share ``c.outside`` of those that have a value.

    A category that is not listed counts as missing; where missing values are refused, no row is tolerated.
    """
    allowed = 0.0 if c.kind == "category" and c.missing == "refuse" else c.outside
    return rows <= allowed * max(int(pd.notna(values).sum()), 1)


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


def _codes_hint(outside: Floats) -> str:
    """What to do where a few values make up most of those outside the bounds, as codes do; "" where they do not."""
    counts = np.sort(np.unique(outside, return_counts=True)[1])[::-1][:MOST_CODES]
    counts = counts[counts >= REPEATED]
    if counts.sum() * 2 <= len(outside):
        return ""
    few = "one value makes" if len(counts) == 1 else f"{len(counts)} values make"
    return (
        f"; {few} up {int(counts.sum()):,} of these rows, as codes do: if so, declare each with its meaning in special "
        "(a bin of its own), or list it in missing_values"
    )


def _take_codes(typed: Floats, values: pd.Series[Any], c: Column) -> Bools:
    """Which rows of a number hold a special code; where single precision stored one, it becomes the exact code."""
    found = np.zeros(len(typed), dtype=bool)
    kind = values.dtype
    for code in special_values(c.special):
        stored = float(kind.type(code)) if kind in (np.float16, np.float32) else code
        here = typed == stored
        typed[here] = code
        found |= here
    return found


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


# The readers by kind: each returns the typed values, and which of them are unreadable or not listed.


def _flags(values: pd.Series[Any], c: Column) -> tuple[Floats, Bools]:
    known = {**_FLAGS, **{code: float(code) for code, _ in c.special}}
    typed = by_value(values, lambda v: known.get(canonical(v).lower(), np.inf))
    unreadable = np.isinf(typed)
    typed[unreadable] = np.nan
    return typed, unreadable


def _dates(values: pd.Series[Any], c: Column) -> tuple[npt.NDArray[np.datetime64], Bools]:
    moments = _text(values) if pd.api.types.is_numeric_dtype(values) else values
    typed: Any = pd.to_datetime(moments, format="ISO8601", errors="coerce", utc=True)
    unreadable = (typed.isna() & values.notna()).to_numpy()
    return typed.dt.tz_localize(None).to_numpy(dtype="datetime64[us]"), unreadable


def _categories(values: pd.Series[Any], c: Column) -> tuple[Objects, Bools]:
    listed = None if c.categories is None else set(c.categories)

    def name_of(value: object) -> str | None:
        # The unchanged text comes first ("01" is not "1"); a number that a reader made of it comes second.
        for text in (str(value).strip(), canonical(value)):
            text = text[: c.prefix] if c.prefix else text
            if listed is None or text in listed:
                return text
        return None

    codes, distinct = pd.factorize(values)
    names = np.array([*(name_of(v) for v in distinct), None], dtype=object)
    typed: Objects = names[codes]
    return typed, np.asarray(pd.isna(typed)) & (codes >= 0)


def _text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Text without surrounding space, missing where empty; integers without a decimal point."""
    if pd.api.types.is_float_dtype(values):
        whole = values.dropna()
        values = values.astype("Int64") if bool((whole == whole.round()).all()) else values
    text = values.astype("string").str.strip()
    return text.mask(text == "")


def _numbers(values: pd.Series[Any]) -> tuple[Floats, Bools]:
    """Values as float64 with NaN where missing or unreadable, and which values were unreadable."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=np.float64, na_value=np.nan, copy=True), np.zeros(
            len(values), dtype=bool
        )
    if isinstance(values.dtype, pd.StringDtype):
        # The common case, all values readable, is fast in Arrow.
        try:
            parsed = pa.array(values, from_pandas=True).cast(pa.float64())
        except pa.ArrowInvalid:
            values = _text(values)
        else:
            if isinstance(parsed, pa.ChunkedArray):
                parsed = parsed.combine_chunks()
            return np.array(parsed.to_numpy(zero_copy_only=False), dtype=np.float64), np.zeros(
                len(values), bool
            )
    number = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64, copy=True)
    return number, np.isnan(number) & values.notna().to_numpy(dtype=bool)


_READERS: dict[str, Callable[[pd.Series[Any], Column], tuple[Any, Bools]]] = {
    "number": lambda values, c: _numbers(values),
    "flag": _flags,
    "category": _categories,
    "date": _dates,
}


def _digest(
    ids: Objects, frame: pd.DataFrame, label: Floats | None, weight: Floats | None, d: Dictionary
) -> str:
    """SHA-256 of all parts, each with its name and length, so that no two tables give the same bytes."""
    sha = hashlib.sha256()

    def add(name: str, content: bytes | memoryview) -> None:
        sha.update(f"{name}:{len(content)};".encode())
        sha.update(content)

    add("id lengths", np.fromiter(map(len, ids), dtype=np.int32, count=len(ids)).tobytes())
    add("ids", "".join(ids).encode())
    for c in d.columns:
        values = frame[c.name].to_numpy()
        if c.kind == "category":
            codes, distinct = pd.factorize(values)
            add(f"names of {c.name}", "\0".join(distinct).encode())
            values = codes.astype(np.int32)
        add(c.name, values.tobytes())
    for name, part in (("label", label), ("weight", weight)):
        if part is not None:
            add(name, part.tobytes())
    return sha.hexdigest()
