"""Months of a watch that are made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.watching.history import SCORES, Kept
from fedrisk.watching.month import Month

MODEL = "0123456789abcdef"


def write(
    kept: Kept,
    month: str,
    scores: Mapping[str, int | None],
    *,
    probability: Mapping[str, float] | float = 0.01,
    external: Mapping[str, int] | int = 0,
    reasons: Sequence[str] = (),
    model: str = MODEL,
    of: str = SCORES,
) -> Month:
    """Keep a month in which each of these has a score, or none."""

    def each(given: Any, id: str) -> Any:
        return given.get(id) if isinstance(given, Mapping) else given

    rows = [
        {
            "id": id,
            "score": score,
            "probability": None if score is None else each(probability, id),
            "external_points": None if score is None else each(external, id),
            "code": "" if score is not None else "own_row",
            **{f"reason_{k}": (list(reasons) + [None] * 4)[k - 1] for k in range(1, 5)},
        }
        for id, score in scores.items()
    ]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("score", pa.int32()),
            ("probability", pa.float64()),
            ("external_points", pa.int32()),
            ("code", pa.string()),
            *((f"reason_{k}", pa.string()) for k in range(1, 5)),
        ]
    )
    kept.write_month(
        Month.parse(month),
        pa.Table.from_pylist(rows, schema=schema),
        {"model": model, "name": "demo", "version": 1, "rows": len(rows), "codes": {}},
        of,
    )
    return Month.parse(month)


def read_ids(file: Path) -> list[str]:
    """Ids of a list of loans."""
    return list(pq.read_table(file)["id"].to_pylist())
