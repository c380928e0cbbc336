"""The results of a sweep as one tidy table, from the files of its cells: a row for each model on each cell's hold-out.

Rows stand in the order of the sweep's cells; within a cell first the study's model, then those that its banks made
beside it, then baselines in the order of their registry. So the table is the same, but for seconds, in whatever order
cells were run, and by however many processes.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.errors import StoreError
from fedrisk.files import write_atomic
from fedrisk.lab.baselines import baselines
from fedrisk.lab.baselines.measured import left_out
from fedrisk.lab.cell import Cell, Row
from fedrisk.lab.sweep_folder import SweepFolder, baseline_key
from fedrisk.lab.versions import in_words

TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("cell", "data_set", "recipe", "settings", "kind", "model"), pa.string()),
    **dict.fromkeys(("error", "versions", "data_digest", "source"), pa.string()),
    **dict.fromkeys(("bins", "institutions", "seed", "exchanges", "bytes"), pa.int64()),
    **dict.fromkeys(("rows_training", "rows_holdout", "defaults_training", "defaults_holdout"), pa.int64()),
    **dict.fromkeys(("private", "label_private", "research"), pa.bool_()),
}
"""Of the columns that are no floating-point numbers."""


def key_of_baseline(cell: Cell, name: str, split: str, data_digest: str) -> str:
    """The file of a baseline on a cell's split; the same for all epsilons where it does not depend on them."""
    at_epsilon = baselines()[name].at_epsilon
    return baseline_key(
        name,
        split=split,
        data=data_digest,
        epsilon=cell.epsilon if at_epsilon else None,
        seed=cell.seed,
        bins=cell.bins,
    )


def asked_of(cell: Cell, names: Sequence[str]) -> tuple[str, ...]:
    """The baselines that a cell has: without noise none whose point is its noise."""
    return tuple(n for n in names if math.isfinite(cell.epsilon) or not baselines()[n].at_epsilon)


def rows_of(
    folder: SweepFolder,
    cells: Sequence[Cell],
    names: Sequence[str],
    without: Mapping[str, Sequence[str]] | None = None,
) -> list[Row]:
    """All rows of cells that are there, failed ones included.

    names: of the baselines that were asked for. without: those left out, with the packages that they lack; each has a
    row that says so, so that a table never looks whole where it is not.
    """
    return [row for cell in cells for row in _rows_of(folder, cell, asked_of(cell, names), without or {})]


def _rows_of(
    folder: SweepFolder, cell: Cell, names: Sequence[str], without: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    kept = folder.cell(cell)
    if kept is None:
        return
    shared = {
        "cell": cell.digest,
        "data_set": cell.data_set,
        "recipe": cell.recipe,
        "epsilon": cell.epsilon,
        "bins": cell.bins,
        "institutions": cell.institutions,
        "seed": cell.seed,
        "settings": json.dumps(dict(cell.settings), sort_keys=True, default=str) if cell.settings else "",
        "versions": in_words(kept["versions"]),
        "data_digest": kept.get("data_digest", ""),
    }
    if "error" in kept:
        noisy = math.isfinite(cell.epsilon)
        failed = {"kind": "study", "model": cell.recipe, "private": noisy, "error": kept["error"]}
        yield Row(**shared, **failed)
        return
    for row in kept["rows"]:
        yield Row(**shared, **row)
    for name in names:
        if name in without:
            yield Row(**shared, **left_out(baselines()[name], without[name]))
            continue
        found = kept["split"] and folder.baseline(
            key_of_baseline(cell, name, kept["split"], kept["data_digest"])
        )
        if found:
            yield Row(**shared, **found["row"])


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table with the columns of `Row`, each of its type."""
    table: pd.DataFrame = _arrow(rows).to_pandas()
    return table


def write_results(rows: Sequence[Row], file: Path, about: Mapping[str, str]) -> None:
    """Write the table as Parquet. about: goes to the file's own metadata, under names that begin with ``fedrisk.``.

    StoreError where it cannot be written.
    """
    said = {f"fedrisk.{name}": text for name, text in about.items()}
    table = _arrow(rows)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **said})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(file, sink.getvalue().to_pybytes(), private=False)


def read_about(file: Path) -> dict[str, str]:
    """What a results file says of itself: sweep, digest, versions, machine. StoreError where it cannot be read."""
    try:
        found = pq.read_schema(file).metadata or {}
    except (OSError, ValueError):
        raise StoreError(f"{file} cannot be read as a table of results; run fedrisk bench again") from None
    texts = {name.decode(): value.decode("utf-8", "replace") for name, value in found.items()}
    return {
        name.removeprefix("fedrisk."): text for name, text in texts.items() if name.startswith("fedrisk.")
    }


def _arrow(rows: Sequence[Row]) -> pa.Table:
    names = [field.name for field in fields(Row)]
    schema = pa.schema([(name, TYPES.get(name, pa.float64())) for name in names])
    return pa.table({name: [getattr(row, name) for row in rows] for name in names}, schema=schema)
