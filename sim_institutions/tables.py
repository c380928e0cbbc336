"""Writes the Parquet tables block by block: worker processes generate blocks, this one writes them.

Every block comes from separate random streams, and the blocks are written in order, so the bytes do not
depend on which process generates which block. Within a block the rows of each institution are in a random
order that no other institution shares. The point-in-time table and the histories of one institution have the
same order.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from sim_institutions.block import Constants, generate_block, pilot_constants
from sim_institutions.ids import mistyped, written
from sim_institutions.institutions import offices
from sim_institutions.observations import Observations, arrow
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import BLOCK_SIZE, stream
from sim_institutions.views.banks import ACTIVE, LABELS

ID = "uscc"
# Column of a file of histories with a day of the last month.
ENDS = "ends"
# Column of a file of histories by which seasonal indices differ.
SECTOR = "sector"
# Columns that are whole numbers.
WHOLE = LABELS | {ACTIVE}
# Profile, seed, number of the block, its number of enterprises, and the constants of all blocks.
Job = tuple[str, int, int, int, Constants]
# Tables of a block by the file that they go into, such as "data/tax_office", as Arrow streams.
Tables = dict[str, bytes]
Task = TypeVar("Task")
Made = TypeVar("Made")


def write_tables(
    profile: str, enterprises: int, seed: int, out: Path, workers: int, say: Callable[[str], None]
) -> dict[str, int]:
    """Write tables below ``out/data`` and histories below ``out/histories``.

    Returns the number of rows of each institution. ``say`` is called with one line of progress per block.
    """
    constants = pilot_constants(PROFILES[profile], seed)
    blocks = -(-enterprises // BLOCK_SIZE)
    jobs = [
        (profile, seed, i, min(BLOCK_SIZE, enterprises - i * BLOCK_SIZE), constants) for i in range(blocks)
    ]
    started = time.monotonic()
    with TableFiles(out) as files:
        for done, tables in enumerate(generated(block_tables, jobs, min(workers, blocks)), start=1):
            files.write(tables)
            finished, passed = min(done * BLOCK_SIZE, enterprises), time.monotonic() - started
            say(f"{finished:,} of {enterprises:,} enterprises, {passed:.0f} s")
    return files.rows_of([o.name for o in offices(PROFILES[profile])])


def block_tables(job: Job) -> Tables:
    """All institutions' tables of one block."""
    profile, seed, number, n, constants = job
    block = generate_block(PROFILES[profile], seed, number, n, constants)
    out: Tables = {}
    for office in offices(block.profile):
        rng = stream(seed, office.name, number)
        observed = office.observe(block, rng)
        codes = mistyped(block.enterprises.ids[observed.rows], office.wrong, rng)
        ids = written(codes, office.style, office.odd, rng)
        out |= institution_tables(office.name, ids, observed)
    return out


def institution_tables(
    name: str,
    ids: pa.Array,
    observed: Observations,
    folder: str = "",
    *,
    histories: bool = True,
    ends: date | None = None,
) -> Tables:
    """Point-in-time table and histories of an institution; folder: ends with a slash. ends: a day of the last month."""
    out = {f"{folder}data/{name}": packed(point_table(ids, observed))}
    if observed.histories and histories:
        out[f"{folder}histories/{name}"] = packed(history_table(ids, observed, ends))
    return out


def point_table(ids: pa.Array, observed: Observations) -> pa.Table:
    """Ids and point-in-time columns; labels and what else is counted as whole numbers."""
    columns = {ID: ids, **{name: arrow(values) for name, values in observed.columns.items()}}
    for name in WHOLE & columns.keys():
        columns[name] = columns[name].cast(pa.int8())
    return pa.table(columns)


def history_table(ids: pa.Array, observed: Observations, ends: date | None = None) -> pa.Table:
    """Ids, perhaps a day of the last month and the sector, and, for each series, SERIES_m01 (the oldest month) on."""
    columns = {ID: ids}
    if ends is not None:
        columns |= {ENDS: pa.repeat(pa.scalar(ends), len(ids)), SECTOR: arrow(observed.columns[SECTOR])}
    for name, values in observed.histories.items():
        columns |= {f"{name}_m{t + 1:02d}": arrow(values[:, t].copy()) for t in range(values.shape[1])}
    return pa.table(columns)


class TableFiles:
    """Parquet files below a folder, written block by block: one row group for each. A context manager.

    rows: of each file, by its name without the ending.
    """

    def __init__(self, out: Path) -> None:
        self.rows: dict[str, int] = {}
        self._out = out
        self._writers: dict[str, pq.ParquetWriter] = {}

    def write(self, tables: Tables) -> None:
        """Write the next block."""
        for name, content in tables.items():
            table = pa.ipc.open_stream(content).read_all()
            if name not in self._writers:
                path = self._out / f"{name}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
                self._writers[name] = pq.ParquetWriter(
                    path, table.schema, compression="zstd", compression_level=1, use_dictionary=texts
                )
            self._writers[name].write_table(table)
            self.rows[name] = self.rows.get(name, 0) + table.num_rows

    def rows_of(self, names: Sequence[str], folder: str = "") -> dict[str, int]:
        """Rows of each institution's table; folder: ends with a slash."""
        return {name: self.rows.get(f"{folder}data/{name}", 0) for name in names}

    def __enter__(self) -> "TableFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()


def generated(make: Callable[[Task], Made], jobs: Sequence[Task], workers: int) -> Iterator[Made]:
    """What is made of the blocks in order. At most one block more than there are workers is under way at a time."""
    if workers <= 1:
        yield from map(make, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Made]] = deque()
        rest = iter(jobs)
        for job in rest:
            waiting.append(pool.submit(make, job))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def packed(table: pa.Table) -> bytes:
    """A table as it goes from process to process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
