"""The bank's own columns of the enterprises that are asked about: from its table, or as its loan system gives them.

An applicant is no customer yet and stands in no table. What the loan system gives is read by the dictionary as the
table is: notation, bounds, codes for missing values, categories.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.checks import Checks
from fedrisk.data.column import Column
from fedrisk.data.column_checks import checked_column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.text import PLAIN, Notation
from fedrisk.models.binning import Bins
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.score_forms import Value


class Found(Protocol):
    """Rows of a table: typed columns in the order of the ids, missing where unknown; see serving/current."""

    @property
    def frame(self) -> pd.DataFrame:
        """Typed columns."""
        ...

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether there is a row, (n,)."""
        ...

    @property
    def day(self) -> NDArray[np.datetime64]:
        """Of each row, (n,), NaT where it has none."""
        ...

    def used_for(self, columns: Iterable[str]) -> "Found":
        """The same, for a model of these columns."""
        ...

    @property
    def malformed(self) -> NDArray[np.bool_]:
        """Which ids break the dictionary's form of ids, (n,)."""
        ...


class Looked(Protocol):
    """Where rows are looked up by id; see serving/current."""

    def rows(self, ids: Sequence[str]) -> Found:
        """Rows of the ids."""
        ...


@dataclass(frozen=True)
class OwnRows:
    """Own columns of the rows that have them.

    Attributes:
        columns: by name, (n,) of all rows; those without are missing.
        refused: code and names of columns, by row.
        missing: names of columns without a value, by row.
        day: date of the bank's row, by row, where it has one.
    """

    columns: Mapping[str, Any]
    refused: Mapping[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    missing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    day: Mapping[int, str] = field(default_factory=dict)


def own_rows(
    model: CardModel,
    dictionary: Dictionary,
    table: Looked,
    ids: Sequence[str],
    values: Mapping[int, Mapping[str, Value]],
    notation: Notation = PLAIN,
) -> OwnRows:
    """Own columns of each id, in order; ids that have values in ``values`` are not looked up.

    Errors of the table itself are raised as the table raises them.
    """
    rows = len(ids)
    looked = [k for k in range(rows) if k not in values]
    refused: dict[int, tuple[str, tuple[str, ...]]] = {}
    day: dict[int, str] = {}
    parts: list[tuple[list[int], Any]] = []
    if looked:
        found = table.rows([ids[k] for k in looked]).used_for(model.columns)
        parts.append((looked, found.frame))
        for place, row in enumerate(looked):
            if found.malformed[place]:
                refused[row] = ("own_id", ())
            elif not found.known[place]:
                refused[row] = ("own_row", ())
            elif not np.isnat(found.day[place]):
                day[row] = str(found.day[place])
    if values:
        given = sorted(values)
        typed, broken = _typed(dictionary, model.columns, [values[k] for k in given], notation)
        parts.append((given, typed))
        refused |= {given[place]: ("own_value", names) for place, names in broken.items()}
    needed = {b.feature.column for b in model.bins}
    # What only the bank's own models take may be gone from its table: then they say nothing.
    there = [c for c in model.columns if c in needed or all(c in columns for _, columns in parts)]
    columns = {name: _joined(parts, name, rows) for name in there}
    missing = _missing(model.bins, columns, rows)
    for row, names in missing.items():
        lacking = tuple(
            b.feature.column for b in model.bins if b.feature.column in names and not b.feature.missing
        )
        if lacking and row not in refused:
            refused[row] = ("own_missing", lacking)
    return OwnRows(columns, refused, missing, day)


def _typed(
    dictionary: Dictionary,
    names: Sequence[str],
    given: Sequence[Mapping[str, Value]],
    notation: Notation,
) -> tuple[dict[str, Any], dict[int, tuple[str, ...]]]:
    """Columns of the model as typed arrays, and by row the names of columns whose values break the dictionary."""
    described = {c.name: c for c in dictionary.columns}
    broken: dict[int, list[str]] = {}
    for place, row in enumerate(given):
        if unknown := len(row.keys() - described.keys()):
            broken[place] = [f"{unknown} that the dictionary does not have"]
    typed = {}
    for name in names:
        if name not in described:
            continue
        column = described[name]
        raw = [row.get(column.name) for row in given]
        typed[column.name], wrong = _typed_column(column, raw, notation)
        for place in wrong:
            broken.setdefault(place, []).append(column.name)
    return typed, {place: tuple(names) for place, names in broken.items()}


def _typed_column(column: Column, raw: Sequence[Value], notation: Notation) -> tuple[Any, list[int]]:
    """One column, and the rows whose values cannot be read or are no category of it.

    Numbers beyond the public bounds count as the bound, as in the table.
    """
    rule = {"missing": "bin", "outside": 0.0 if column.kind == "category" else 1.0}
    checks = Checks()
    checks.total = len(raw)
    texts = pd.Series([_text(v, notation) for v in raw], dtype=object)
    typed = checked_column(texts, column.model_copy(update=rule), checks, notation)
    if not any(c.severity == "error" for c in checks):
        return typed, []
    if len(raw) == 1:
        return typed, [0]
    return typed, [k for k, value in enumerate(raw) if _typed_column(column, [value], notation)[1]]


def _text(value: Value, notation: Notation) -> str | None:
    """A value as a text of the table: whole numbers without a fraction, truth values as 1 and 0."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return (str(int(value)) if whole else repr(value)).replace(".", notation.decimal)


def _joined(parts: Sequence[tuple[list[int], Any]], column: str, rows: int) -> Any:
    """One column of all rows, in their order."""
    if len(parts) == 1:
        return np.asarray(parts[0][1][column])
    arrays = [np.asarray(columns[column]) for _, columns in parts]
    out = np.empty(rows, object if any(a.dtype == object for a in arrays) else np.float64)
    for (places, _), array in zip(parts, arrays, strict=True):
        out[places] = array
    return out


def _missing(bins: Sequence[Bins], columns: Mapping[str, Any], rows: int) -> dict[int, tuple[str, ...]]:
    out: dict[int, list[str]] = {}
    for b in bins:
        for row in np.flatnonzero(pd.isna(columns[b.feature.column])).tolist():
            out.setdefault(row, []).append(b.feature.column)
    return {row: tuple(names) for row, names in out.items()}
