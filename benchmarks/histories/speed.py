"""Time and memory of history columns: a million enterprises with 18 months of two series, 24 columns.

Measured in processes of their own: the formulas alone, reading the file block by block with the columns of a study, and
the rows of 1,000 enterprises that are looked up in the index over the file. Memory is the highest resident set of the
process less what it had before the work. Seconds are of the processor, all threads together, so that other work on the
machine counts little. Values in the file are random; what they are costs nothing.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/histories/speed.py [enterprises]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.data.history_kinds import HistoryRule
from fedrisk.institution import Institution
from fedrisk.models.history_columns import compute
from fedrisk.models.history_file import read_columns
from fedrisk.serving.current import CurrentData

ENTERPRISES = 1_000_000
SERIES = ("load", "amount")
KINDS = (
    *(
        "level",
        "trend",
        "fall",
        "yearly_fall",
        "volatility",
        "irregularity",
        "gaps",
        "unmade_gaps",
        "bunching",
    ),
    *("worst", "months_since_best", "lasting_fall"),
)
ASKED = 1_000


def made(folder: Path, n: int) -> None:
    """The file of histories, and a table of one column."""
    rng = np.random.default_rng(1)
    ids = pa.array([f"E{k:08d}" for k in range(n)])
    months = {}
    for series in SERIES:
        for m in range(1, 19):
            x = np.exp(rng.normal(3, 1, n))
            months[f"{series}_m{m:02d}"] = pa.array(
                np.where(rng.random(n) < 0.05, np.nan, x), from_pandas=True
            )
    pq.write_table(pa.table({"id": ids, **months}), folder / "h.parquet")
    pq.write_table(pa.table({"id": ids, "x": pa.array(rng.random(n))}), folder / "t.parquet")


def institution(folder: Path) -> Institution:
    """A holder with a column of every kind in KINDS from both series."""
    columns = [{"name": f"{s}_{k}", "history": s, "kind": k} for s in SERIES for k in KINDS]
    column = {"name": "x", "kind": "number", "meaning": "m", "low": 0, "high": 1}
    return Institution(
        name="power",
        kind="holder",
        table={"source": "t.parquet"},
        dictionary={"id": "id", "id_scheme": "opaque", "columns": [column, *columns]},
        histories={
            "source": "h.parquet",
            "ends": "2026-06",
            "series": [{"name": s, "low": 0, "high": 1e6} for s in SERIES],
        },
        store=str(folder / "store"),
        folder=folder,
    )


def peak() -> float:
    """Highest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def formulas(folder: Path, n: int) -> dict[str, float]:
    """Seconds of each kind for a million enterprises."""
    paths = np.exp(np.random.default_rng(2).normal(3, 1, (min(n, 200_000), 18)))
    out = {}
    for kind in KINDS:
        rule = HistoryRule(series="load", kind=kind, over=18, low=0, high=1e6)
        started = time.process_time()
        compute(rule, paths, ends=12 * 2026 + 5)
        out[kind] = (time.process_time() - started) * 1e6 / len(paths)
    return {**out, "all": sum(out.values()) * len(SERIES)}


def study(folder: Path, n: int) -> dict[str, float]:
    """Seconds and memory of the columns of a study's table, besides the table itself."""
    one = institution(folder)
    ids = np.array([f"E{k:08d}" for k in range(n)], dtype=object)
    before, started = peak(), time.process_time()
    columns, _ = read_columns(one.histories, one.dictionary, folder, ids)
    seconds = time.process_time() - started
    own = sum(v.nbytes for v in columns.values()) / 2**20
    return {"seconds": seconds, "memory_mb": peak() - before, "of_which_columns_mb": own}


def serving(folder: Path, n: int) -> dict[str, float]:
    """Seconds to build the indexes of table and histories, and of lookups of one and of 1,000 enterprises."""
    before, started = peak(), time.process_time()
    data = CurrentData.open(institution(folder), folder / "serving")
    built = time.process_time() - started
    rng, memory = np.random.default_rng(3), peak() - before
    seconds = {}
    for size in (1, ASKED):
        times = []
        for _ in range(7):
            ids = [f"E{k:08d}" for k in rng.integers(0, n, size)]
            started = time.process_time()
            data.rows(ids)
            times.append(time.process_time() - started)
        seconds[f"rows_{size}"] = float(np.median(times))
    data.close()
    return {"index": built, "memory_mb": memory, **seconds}


PARTS = {"formulas": formulas, "study": study, "serving": serving}


def main(n: int) -> int:
    """All parts, each in a process of its own; writes speed.json."""
    out: dict[str, object] = {"enterprises": n, "columns": len(KINDS) * len(SERIES)}
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder), n)
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part, folder, str(n)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            out[part] = json.loads(said)
            print(part, json.dumps(out[part], indent=1), flush=True)
    (Path(__file__).parent / "speed.json").write_text(json.dumps(out, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(PARTS[sys.argv[2]](Path(sys.argv[3]), int(sys.argv[4]))))
        sys.exit(0)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "enterprises", nargs="?", type=int, default=ENTERPRISES, help="how many, for example 10000"
    )
    sys.exit(main(parser.parse_args().enterprises))
