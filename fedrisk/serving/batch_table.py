"""Answers of a batch as a table: the fields that a single answer has, one column each, and the finished file.

A page's answers are kept as Parquet until all are there; then they are put together in the order of the list, or by
grade, as the file that was asked for.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fedrisk.serving.batch_list import Page
from fedrisk.serving.grades import GRADES
from fedrisk.serving.score_forms import ScoreAnswer
from fedrisk.serving.words import of_code

REASONS = 4
"""Most reasons of an answer."""

GROUP = 50_000
"""Rows of one group of a Parquet file."""

AGES = ("fresh", "aging", "old", "missing")

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("score", pa.int32()),
        ("probability", pa.float64()),
        ("probability_words", pa.string()),
        ("grade", pa.string()),
        *((f"reason_{k}", pa.string()) for k in range(1, REASONS + 1)),
        ("own_points", pa.int32()),
        ("external_points", pa.int32()),
        ("own_probability", pa.float64()),
        *((f"ages_{name}", pa.int32()) for name in AGES),
        ("ages_words", pa.string()),
        ("own_day", pa.string()),
        ("missing", pa.string()),
        ("decision", pa.string()),
        ("notice", pa.string()),
        ("code", pa.string()),
        ("words", pa.string()),
        ("members", pa.string()),
        ("model", pa.string()),
        ("model_version", pa.int32()),
        ("made", pa.float64()),
    ]
)

_PLAIN = tuple(name for name in _SCHEMA.names if name in ScoreAnswer.model_fields)
"""Columns that are fields of an answer as they are."""


@dataclass
class Summary:
    """What a batch came to.

    Attributes:
        rows: of the list. scored: those with a score. written: rows of the file.
        grades: how many have each. codes: how many have each code in place of a score; words: a sentence for each.
    """

    rows: int = 0
    scored: int = 0
    written: int = 0
    grades: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.rows,
            "scored": self.scored,
            "written": self.written,
            "grades": {g: self.grades[g] for g in GRADES if self.grades[g]},
            "codes": dict(self.codes.most_common()),
            "words": self.words,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Summary":
        """Inverse of `to_dict`."""
        grades, codes = Counter(content["grades"]), Counter(content["codes"])
        return cls(content["rows"], content["scored"], content["written"], grades, codes, content["words"])


def page_table(page: Page, answers: Sequence[ScoreAnswer]) -> pa.Table:
    """Rows of a page in its order; answers: those of its distinct ids, in their order."""
    rows = [
        flat(answers[place]) if place >= 0 else {"id": page.written[k], "code": page.codes[k]}
        for k, place in enumerate(page.places)
    ]
    for row in rows:
        row.setdefault("words", of_code(row["code"]) if row.get("code") else "")
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def flat(answer: ScoreAnswer) -> dict[str, Any]:
    """One answer as a row; what has several parts in one column is JSON, or a list with commas."""
    row: dict[str, Any] = {name: getattr(answer, name) for name in _PLAIN}
    row["missing"] = ", ".join(answer.missing)
    row["members"] = ", ".join(f"{name}: {code}" for name, code in sorted(answer.members.items()))
    row["decision"] = None if answer.decision is None else json.dumps(answer.decision, sort_keys=True)
    row |= {f"reason_{k}": reason for k, reason in enumerate(answer.reasons[:REASONS], start=1)}
    if answer.ages is not None:
        row |= {f"ages_{name}": getattr(answer.ages, name) for name in AGES}
        row["ages_words"] = answer.ages.words
    row["model"], row["model_version"] = answer.model.id, answer.model.version
    return row


def write_page(file: IO[bytes], table: pa.Table) -> None:
    """One page as Parquet."""
    pq.write_table(table, file, compression="zstd")


def summarised(files: Sequence[Path], wanted: Sequence[str]) -> Summary:
    """Counts over all pages. wanted: grades that are written; all, and rows without a score, where it is empty."""
    out = Summary()
    for file in files:
        table = pq.read_table(file, columns=["grade", "code", "words"])
        codes, words = table["code"].to_pylist(), table["words"].to_pylist()
        out.rows += len(table)
        for grade, code, said in zip(table["grade"].to_pylist(), codes, words, strict=True):
            if code:
                out.codes[code] += 1
                out.words.setdefault(code, said)
            elif grade:
                out.grades[grade] += 1
    out.scored = out.rows - out.codes.total()
    out.written = sum(out.grades[g] for g in wanted) if wanted else out.rows
    return out


def put_together(files: Sequence[Path], to: Path, *, grades: Sequence[str], sort: bool) -> None:
    """Write the finished file, for its owner only, in a name of its own; OSError where that fails.

    to: ends in .csv or .parquet. grades: as in `summarised`. sort: from the best grade to the worst, rows without a
    score last; each in the order of the list.
    """
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        tables = _gathered(_chosen(files, grades, sort))
        if to.suffix == ".parquet":
            with pq.ParquetWriter(handle, _SCHEMA) as parquet:
                for table in tables:
                    parquet.write_table(table)
        else:
            with pa.csv.CSVWriter(handle, _SCHEMA) as text:
                for table in tables:
                    text.write_table(table)
        handle.flush()
        os.fsync(handle.fileno())


def _chosen(files: Sequence[Path], grades: Sequence[str], sort: bool) -> Iterator[pa.Table]:
    """Tables of the rows that are written, in their order; a page is read once for each grade that is sorted by."""
    if not sort:
        for file in files:
            table = pq.read_table(file, schema=_SCHEMA)
            yield table.filter(pc.is_in(table["grade"], pa.array(grades))) if grades else table
        return
    for wanted in [g for g in GRADES if not grades or g in grades] + ([] if grades else [None]):
        for file in files:
            table = pq.read_table(file, schema=_SCHEMA)
            yield table.filter(
                pc.is_null(table["grade"]) if wanted is None else pc.equal(table["grade"], wanted)
            )


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in groups of thousands."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= GROUP:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    yield pa.concat_tables([*waiting, _SCHEMA.empty_table()]).combine_chunks()
