"""Records that are tried at an institution: crafted rows at bounds and without values, and the worst ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.attacks.audit_settings import SERIES
from fedrisk.attacks.consortium import Consortium, Run
from fedrisk.models.binning import Bins
from fedrisk.study_members import BANK

Row = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]

FINE = 40
"""Values of a numeric column that are tried where its bins are not known."""

SINGLED_OUT = 3
"""Rows that released numbers single out, before those that are crafted: of most points, of least, and longest."""


def values_of(content: Mapping[str, Any]) -> Values:
    """By column of an institution's table, values that a record may have: its bounds and beyond, some between, none."""
    out: dict[str, Sequence[Any]] = {}
    if "encoders" in content:
        return {
            f"{series['name']}_m{month:02d}": (0.0, float(series["high"]), float(series["high"]) / 50, np.nan)
            for series in SERIES
            for month in range(1, 19)
        }
    for column in content["dictionary"]["columns"]:
        if column["kind"] == "category":
            out[column["name"]] = (*column["categories"], None)
        elif column["kind"] == "flag":
            out[column["name"]] = (0.0, 1.0, np.nan)
        else:
            low, high = float(column["low"]), float(column["high"])
            between = np.linspace(low, high, FINE)
            fine = np.sign(between) * np.geomspace(1e-3, 1, FINE) * max(abs(low), abs(high))
            values = sorted({low, high, *between, *np.clip(fine, low, high)})
            out[column["name"]] = (*values, np.nan)
    return out


def crafted(values: Values, rng: np.random.Generator) -> Iterator[Row]:
    """Rows without end: all columns at their least, at their greatest, without a value, in turns, then by chance."""
    yield {name: of[0] for name, of in values.items()}
    yield {name: of[-2] for name, of in values.items()}
    yield {name: of[-1] for name, of in values.items()}
    yield {name: of[0] if k % 2 else of[-2] for k, (name, of) in enumerate(values.items())}
    while True:
        yield {name: of[int(rng.integers(len(of)))] for name, of in values.items()}


def worst_rows(run: Run, name: str, values: Values) -> list[Row]:
    """Rows that a study's own released numbers single out: of most and of least points, and longest in a Gram matrix.

    Empty where the study leaves no card.
    """
    card = run.results.card
    if card is None:
        return []
    role = BANK if name in run.study.banks else name
    lengths = _lengths(run)
    rows: list[dict[str, Any]] = [{}, {}, {}]
    for j, bins in enumerate(card.bins):
        column = bins.feature.column
        if bins.feature.institution != role or column not in values:
            continue
        codes = [_code(bins, value) for value in values[column]]
        points = [card.points[j][code] for code in codes]
        long = lengths.get(bins.feature.name)
        keys = [points, [-p for p in points], points if long is None else [long[code] for code in codes]]
        for row, key in zip(rows, keys, strict=True):
            row[column] = values[column][int(np.argmax(key))]
    return [row for row in rows if row]


def _code(bins: Bins, value: Any) -> int:
    return int(bins.codes(pd.Series([value], dtype=object if bins.feature.kind == "category" else float))[0])


def _lengths(run: Run) -> dict[str, Any]:
    """By feature, the length of each bin's part of a shape row; empty where no Gram matrix was released."""
    found = None if run.results.record is None else run.results.record.find("gram")
    if found is None or run.results.card is None:
        return {}
    bases = found.about["bases"]
    names = [b.feature.name for b in run.results.card.bins if b.feature.kind != "pair"]
    return {n: np.linalg.norm(np.asarray(b, float), axis=1) for n, b in zip(names, bases, strict=True)}


def with_record(made: Consortium, name: str, id: str, row: Row | None) -> None:
    """An institution's record of one enterprise becomes another; None: it is gone.

    Written to the institution's file; the tables in memory stay.
    """
    for file, table in tables_of(made, name).items():
        there = (table["id"] == id).to_numpy()
        if row is None:
            table = table[~there]
        else:
            for column in [c for c in row if c in table]:
                values = table[column].to_numpy(copy=True)
                if values.dtype.kind in "iu" and not float(row[column]).is_integer():
                    values = values.astype(float)
                values[there] = row[column]
                table = table.assign(**{column: values})
        table.to_parquet(made.folder / file, index=False)


def tables_of(made: Consortium, name: str) -> dict[str, pd.DataFrame]:
    """An institution's tables as they are on the disk, by file."""
    files = [f"{name}.parquet"] + [
        f"{name}_{e['name']}.parquet" for e in made.content[name].get("encoders", ())
    ]
    return {file: pd.read_parquet(made.folder / file) for file in files}
