"""Writes the Parquet tables, block by block, with two processes at most that draw and one that writes.

Every block is drawn by itself from streams of its own, and the blocks are written in their order, so the
bytes are the same whoever draws them. For each block an institution's rows are in a random order of its own;
the point-in-time table and the history of one institution have the same order.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sim_institutions.ids import mistyped, written
from sim_institutions.institutions import Office, offices
from sim_institutions.profiles import PROFILES
from sim_institutions.seen import Seen, arrow
from sim_institutions.streams import BLOCK, MONTHS, stream
from sim_institutions.views.banks import LABEL
from sim_institutions.world import Constants, pilot, world

ID = "uscc"
Pair = tuple[bytes, bytes | None]  # point-in-time table and history, as Arrow streams


def write_tables(
    profile: str, enterprises: int, seed: int, out: Path, workers: int, say: Callable[[str], None]
) -> dict[str, int]:
    """Tables below ``out/data`` and histories below ``out/histories``; rows of each institution."""
    constants = pilot(PROFILES[profile], seed)
    blocks = -(-enterprises // BLOCK)
    jobs = [(profile, seed, i, min(BLOCK, enterprises - i * BLOCK), constants) for i in range(blocks)]
    files = {o.name: _Files(out, o) for o in offices(PROFILES[profile])}
    started = time.monotonic()
    try:
        for done, pairs in enumerate(_drawn(jobs, min(workers, blocks)), start=1):
            for name, pair in pairs.items():
                files[name].write(pair)
            say(
                f"{min(done * BLOCK, enterprises):,} of {enterprises:,} enterprises, {time.monotonic() - started:.0f} s"
            )
    finally:
        for file in files.values():
            file.close()
    return {name: file.rows for name, file in files.items()}


def draw_block(job: tuple[str, int, int, int, Constants]) -> dict[str, Pair]:
    """All institutions' tables of one block."""
    profile, seed, block, n, constants = job
    w = world(PROFILES[profile], seed, block, n, constants)
    out = {}
    for office in offices(w.profile):
        rng = stream(seed, office.name, block)
        seen = office.view(w, rng)
        ids = written(mistyped(w.e.ids[seen.rows], office.wrong, rng), office.style, office.odd, rng)
        history = _bytes(history_table(ids, seen)) if seen.histories else None
        out[office.name] = (_bytes(point_table(ids, seen)), history)
    return out


def point_table(ids: pa.Array, seen: Seen) -> pa.Table:
    """Ids and point-in-time columns; the label as whole numbers."""
    columns = {ID: ids, **{name: arrow(values) for name, values in seen.columns.items()}}
    if LABEL in columns:
        columns[LABEL] = columns[LABEL].cast(pa.int8())
    return pa.table(columns)


def history_table(ids: pa.Array, seen: Seen) -> pa.Table:
    """Ids and, for each series, the columns SERIES_m01 (oldest) to SERIES_m18."""
    columns = {ID: ids}
    for name, values in seen.histories.items():
        columns |= {f"{name}_m{t + 1:02d}": arrow(values[:, t].copy()) for t in range(MONTHS)}
    return pa.table(columns)


class _Files:
    """The two Parquet files of an institution."""

    def __init__(self, out: Path, office: Office) -> None:
        self.rows = 0
        self._paths = (out / "data" / f"{office.name}.parquet", out / "histories" / f"{office.name}.parquet")
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def write(self, pair: Pair) -> None:
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
        for writer in self._writers.values():
            writer.close()


def _drawn(jobs: list[tuple[str, int, int, int, Constants]], workers: int) -> Iterator[dict[str, Pair]]:
    """The blocks in their order; at most one more than there are workers is kept waiting."""
    if workers <= 1:
        yield from map(draw_block, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[dict[str, Pair]]] = deque()
        rest = iter(jobs)
        for job in rest:
            waiting.append(pool.submit(draw_block, job))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
