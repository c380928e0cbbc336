"""One institution's table: read on its machine, checked against its dictionary, and typed.

Only the columns that the dictionary names are read, in blocks, from CSV, Parquet or a database. Every rule
that a table can break becomes a `Check` with a count, a share and a remedy, so that one run shows everything
that is wrong. No text made here holds a value or an id. The readers' own messages quote the offending row, so
they are dropped, not chained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fedrisk.alignment.ids import normalise
from fedrisk.data.checks import Check, Checks
from fedrisk.data.column_checks import checked_column, notation_remedy
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.dictionary_rules import ROW_NUMBER
from fedrisk.data.hints import (
    DOUBLE_DIGITS,
    category_hint,
    lost_digits,
    plain_ids,
    rounded_digits,
    shorter_ids,
    wrapped,
)
from fedrisk.data.label import Label
from fedrisk.data.source import TableSource, by_value, read_source, where
from fedrisk.data.text import MISSING, Codes, Notation, whole
from fedrisk.data.typed import numbers, texts_of
from fedrisk.errors import DataError

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

REFUSED_SHARE = 0.01
"""Rows whose id breaks its scheme are dropped up to this share; a larger share is an error."""


@dataclass(frozen=True, eq=False)
class Table:
    """The checked table of one institution, n rows in the order of their ids.

    Its representation never shows contents.

    Attributes:
        ids: (n,) object, normalised.
        frame: n rows of typed columns by their dictionary names: numbers and flags float64 with NaN, and with
            special codes as the numbers that they are; categories object with None, dates datetime64.
        label: (n,) float64 in [0, 1], NaN where a row has none; None where the dictionary names no label.
        weight: (n,) float64 in [0, 1], 0 where a row has no label; or None.
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

    @property
    def labelled(self) -> Bools:
        """Which rows have a label, (n,): a customer without one is scored like any other, and teaches no model."""
        return np.zeros(len(self), dtype=bool) if self.label is None else ~np.isnan(self.label)


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
    checks, dictionary = Checks(), dictionary.of_table
    raw = read_source(source, dictionary, base, checks)
    if raw is None:
        return None, checks
    checks.total = len(raw)
    if not len(raw):
        checks.always("table", "has no rows", _no_rows_remedy(source, checks.read))
        return None, checks

    label, weight = _label(raw, dictionary.label, checks, source.notation)
    ids, keep = _ids(raw, dictionary, checks)
    ids = ids[keep]
    _check_repeated(ids, raw.index[keep], dictionary, checks)
    if not keep.any():
        # Why is said above; nothing can be said of columns without rows.
        return None, checks
    raw = raw[keep] if not keep.all() else raw
    checks.total = len(raw)
    notation = source.notation
    frame = pd.DataFrame(
        {c.name: checked_column(raw[c.table_name], c, checks, notation) for c in dictionary.columns},
        # A bank may bring labels and no column.
        index=pd.RangeIndex(len(raw)),
        copy=False,
    )
    _hide(checks, dictionary)
    label = None if label is None else label[keep]
    weight = None if weight is None else weight[keep]
    _check_classes(label, checks)
    # By id: a database returns its rows in any order, and the same rows must give the same digest.
    order = np.argsort(ids.astype(str), kind="stable")
    ids, frame = ids[order], frame.iloc[order].reset_index(drop=True)
    label = None if label is None else label[order]
    weight = None if weight is None else weight[order]
    digest = table_digest(ids, frame, label, weight, dictionary)
    return Table(ids, frame, label, weight, digest, tuple(checks)), checks


def _hide(checks: Checks, d: Dictionary) -> None:
    """Take values out of checks of columns that read the ids or the label: nobody's screen shows them."""
    private = {d.id} | ({d.label.column} if d.label is not None else set())
    names = {c.name for c in d.columns if c.table_name in private}
    checks[:] = [replace(c, values=()) if c.column in names else c for c in checks]


def _no_rows_remedy(source: TableSource, read: int) -> str:
    if not (source.only or source.query):
        return "the file has a header alone; export it again, or check the path"
    if read and source.only:
        return (
            f"none of {read:,} rows has the values of only, which compare as exact text; check path, query and only "
            "(a code in scientific notation lost its digits: export the column as text)"
        )
    return "check path, query and only"


def _check_repeated(ids: Objects, rows: pd.Index[Any], d: Dictionary, checks: Checks) -> None:
    repeated = pd.Series(ids, dtype=object).duplicated(keep=False).to_numpy()
    latest = f'"{d.as_of}"' if d.as_of else "a date column"
    checks.note(
        d.id,
        "id occurs more than once",
        int(repeated.sum()),
        f"roll the rows of an enterprise up into one, or keep the latest by {latest}",
        at=rows[repeated],
    )


def _check_classes(label: Floats | None, checks: Checks) -> None:
    if label is None or not len(label):
        return
    label = label[~np.isnan(label)]
    if not len(label):
        checks.always(
            "label", "no row has a label", "check label.column, and the values that count as labels"
        )
        return
    for name, absent in (("positive", label.max() <= 0), ("negative", label.min() >= 1)):
        if absent:
            checks.always(
                "label", f"no {name} label", f"check the values listed as {name}, or which rows are selected"
            )


def _ids(raw: pd.DataFrame, d: Dictionary, checks: Checks) -> tuple[Objects, Bools]:
    """The spelling of every row's id, and which rows have a usable one."""
    if d.id == ROW_NUMBER:
        numbers = raw.index.to_numpy()
        return np.array([row_id(i) for i in numbers], dtype=object), np.ones(len(raw), dtype=bool)
    text, present, lost = id_texts(raw[d.id], d.id, checks)
    ids = np.full(len(raw), "", dtype=object)
    good = present & ~lost
    normal, refused = normalise(text[good].to_numpy(dtype=object), d.id_scheme)
    ids[good] = normal
    good[good] = ~np.asarray(refused, dtype=bool)
    wrong = present & ~lost & ~good
    bad = int(wrong.sum())
    checks.note(
        d.id,
        "check character wrong or not a unified social credit code"
        if d.id_scheme == "uscc"
        else "id unusable",
        bad,
        _ids_remedy(d, bad, len(raw)),
        "warning" if bad <= REFUSED_SHARE * len(raw) else "error",
        at=raw.index[wrong],
    )
    return ids, good


def row_id(row: int) -> str:
    """The id of a row of test data that is known by its number (``id = "@row"``)."""
    return f"ROW{row:09d}"


def spelt_ids(
    values: pd.Series[Any] | None, rows: npt.NDArray[np.int64], d: Dictionary
) -> tuple[Objects, Bools]:
    """The spelling of every row's id, and which rows have a usable one, of a block that nobody judges.

    values: as exact texts or numbers; None where ``rows`` are known by their number.
    """
    if values is None:
        return np.array([row_id(row) for row in rows.tolist()], dtype=object), np.ones(len(rows), dtype=bool)
    text, present, lost = id_texts(values, d.id, Checks())
    ids, good = np.full(len(text), "", dtype=object), present & ~lost
    normal, refused = normalise(text[good].to_numpy(dtype=object), d.id_scheme)
    ids[good] = normal
    good[good] = ~np.asarray(refused, dtype=bool)
    return ids, good


def id_texts(values: pd.Series[Any], name: str, checks: Checks) -> tuple[pd.Series[Any], Bools, Bools]:
    """A column of ids as texts, which rows have one, and of which of them digits were lost before."""
    text, present = _id_texts(values)
    remedy = "fill the id in, or leave these rows out"
    checks.note(name, "id is missing", int((~present).sum()), remedy, at=values.index[~present])
    return text, present, _check_lost(text, values.index, present, name, checks)


def _ids_remedy(d: Dictionary, bad: int, rows: int) -> str:
    """What to do about ids that break their scheme; where most do, the scheme is likely the wrong one."""
    other = "" if d.id_scheme == "opaque" or 2 * bad <= rows else "if they are other ids, "
    scheme = 'write id_scheme = "opaque" (any text, spelt alike at all members); else ' if other else ""
    return f"{other}{scheme}correct the ids; up to {REFUSED_SHARE:.0%} of such rows are left out, more are refused"


def _id_texts(values: pd.Series[Any]) -> tuple[pd.Series[Any], Bools]:
    """Ids as texts, and which rows have one.

    Where all are whole numbers with an empty fraction, a program made numbers of them: they are the numbers.
    """
    text = texts_of(values).str.strip()
    present = (text.notna() & ~text.isin(sorted(MISSING))).to_numpy()
    # One look tells a column of other ids.
    if present.any() and whole(text[present].iloc[0]) != text[present].iloc[0]:
        shorter = text.str.replace(r"^(\d{1,15})\.0+$", r"\1", regex=True)
        if (shorter[present] != text[present]).all():
            text = shorter
    return text, present


def _check_lost(
    text: pd.Series[Any], rows: pd.Index[Any], present: Bools, name: str, checks: Checks
) -> Bools:
    """Which rows have an id whose digits were lost before the table was written: an error for each kind."""
    texts = pa.array(text, pa.string(), from_pandas=True)
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    again = "export the column as text from where it was still text, lost digits cannot be brought back"
    kinds = (
        (
            lost_digits,
            f"digits of ids were lost: numbers in floating point, which keep {DOUBLE_DIGITS} digits",
            again,
        ),
        (rounded_digits, f"digits of ids were lost: only zeros after the first {DOUBLE_DIGITS}", again),
        (wrapped, 'ids are wrapped as in spreadsheets (="..." or a leading apostrophe)', "export plain text"),
    )
    lost = np.zeros(len(text), dtype=bool)
    for look, rule, remedy in kinds if not plain_ids(texts) else ():
        found = look(texts) & present & ~lost
        checks.note(name, rule, int(found.sum()), remedy, at=rows[found])
        lost |= found
    shorter = shorter_ids(texts) & present
    checks.note(
        name,
        "ids are numbers with fewer digits than most",
        int(shorter.sum()),
        "if zeros in front of them were lost, nobody else's id matches: export the column as text",
        "note",
        at=rows[shorter],
    )
    return lost


def _label(
    raw: pd.DataFrame, rule: Label | None, checks: Checks, notation: Notation
) -> tuple[Floats | None, Floats | None]:
    """Label, NaN where a row has none, and selection weight. Rows without a label stay: customers to be scored."""
    if rule is None:
        return None, None
    given = raw[rule.column]
    empty = (given.isna() | given.isin(sorted(MISSING))).to_numpy(dtype=bool)
    kept = "scored like any other row, and not trained on"
    if rule.positive:
        classes = Codes([*rule.positive, *rule.negative], notation=notation)

        def meaning(text: str) -> float:
            place = classes.place(text)
            return np.nan if place is None else float(place < len(rule.positive))

        label = by_value(texts_of(given), meaning)
        unlisted = np.isnan(label) & ~empty
        hint = category_hint(
            list(texts_of(given[unlisted]).unique()), [str(v) for v in (*rule.positive, *rule.negative)]
        )
        remedy = f"{kept}; list the value under positive or negative if it is an outcome"
        remedy = f"{kept}; {hint}" if hint else remedy
        checks.note(
            rule.column,
            "no label: value neither positive nor negative",
            int(unlisted.sum()),
            remedy,
            "warning",
            at=raw.index[unlisted],
        )
        without = np.isnan(label) & empty
    else:
        label, unreadable = numbers(given, notation)
        checks.note(
            rule.column,
            "label is not a number",
            int(unreadable.sum()),
            f"write a number in [0, 1]{notation_remedy(given, unreadable, notation)}",
            at=raw.index[unreadable],
        )
        without = np.isnan(label) & ~unreadable
        wide = (label < 0) | (label > 1)
        remedy = "list its values under positive and negative"
        checks.note(rule.column, "label outside [0, 1]", int(wide.sum()), remedy, at=raw.index[wide])
    checks.note(rule.column, "no label", int(without.sum()), kept, "warning")
    if rule.weight is None:
        return label, None
    weight, _ = numbers(raw[rule.weight], notation)
    weight[np.isnan(label)] = 0.0
    wide = ~((weight >= 0) & (weight <= 1))
    remedy = "divide by a public upper bound; larger weights would raise the sensitivity"
    checks.note(
        rule.weight, "selection weight missing or outside [0, 1]", int(wide.sum()), remedy, at=raw.index[wide]
    )
    return label, weight


def table_digest(
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
