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
from sim_institutions.random_streams import BLOCK_SIZE, MONTHS, stream
from sim_institutions.views.banks import LABEL

ID = "uscc"
# Profile, seed, number of the block, its number of enterprises, and the constants of all blocks.
Job = tuple[str, int, int, int, Constants]
# Point-in-time table and histories of one institution, as Arrow streams.
Pair = tuple[bytes, bytes | None]
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
    files = {o.name: InstitutionFiles(out, o.name) for o in offices(PROFILES[profile])}
    started = time.monotonic()
    try:
        for done, pairs in enumerate(generated(block_tables, jobs, min(workers, blocks)), start=1):
            for name, pair in pairs.items():
                files[name].write(pair)
            finished, passed = min(done * BLOCK_SIZE, enterprises), time.monotonic() - started
            say(f"{finished:,} of {enterprises:,} enterprises, {passed:.0f} s")
    finally:
        for file in files.values():
            file.close()
    return {name: file.rows for name, file in files.items()}


def block_tables(job: Job) -> dict[str, Pair]:
    """All institutions' tables of one block."""
    profile, seed, number, n, constants = job
    block = generate_block(PROFILES[profile], seed, number, n, constants)
    out = {}
    for office in offices(block.profile):
        rng = stream(seed, office.name, number)
        observed = office.observe(block, rng)
        codes = mistyped(block.enterprises.ids[observed.rows], office.wrong, rng)
        ids = written(codes, office.style, office.odd, rng)
        history = history_table(ids, observed) if observed.histories else None
        out[office.name] = pair(point_table(ids, observed), history)
    return out


def pair(point: pa.Table, history: pa.Table | None) -> Pair:
    """Both tables as they go from process to process."""
    return _bytes(point), None if history is None else _bytes(history)


def point_table(ids: pa.Array, observed: Observations) -> pa.Table:
    """Ids and point-in-time columns; the label as whole numbers."""
    columns = {ID: ids, **{name: arrow(values) for name, values in observed.columns.items()}}
    if LABEL in columns:
        columns[LABEL] = columns[LABEL].cast(pa.int8())
    return pa.table(columns)


def history_table(ids: pa.Array, observed: Observations) -> pa.Table:
    """Ids and, for each series, the columns SERIES_m01 (oldest) to SERIES_m18."""
    columns = {ID: ids}
    for name, values in observed.histories.items():
        columns |= {f"{name}_m{t + 1:02d}": arrow(values[:, t].copy()) for t in range(MONTHS)}
    return pa.table(columns)


class InstitutionFiles:
    """The two Parquet files of an institution below a folder; one row group for each block."""

    def __init__(self, out: Path, name: str) -> None:
        self.rows = 0
        self._paths = (out / "data" / f"{name}.parquet", out / "histories" / f"{name}.parquet")
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def write(self, pair: Pair) -> None:
        """Write the next block."""
        for path, content in zip(self._paths, pair, strict=True):
            if content is None:
                continue
            table = pa.ipc.open_stream(content).read_all()
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
                self._writers[path] = pq.ParquetWriter(
                    path, table.schema, compression="zstd", compression_level=1, use_dictionary=texts
                )
            self._writers[path].write_table(table)
        self.rows += pa.ipc.open_stream(pair[0]).read_all().num_rows

    def close(self) -> None:
        """No block follows."""
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


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
