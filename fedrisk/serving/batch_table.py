"""Answers of a batch as tables (serving/answer_table), page by page, and the finished file.

A page's answers are kept as Parquet until all are there; then they are put together in the order of the list, or by
grade, as the file that was asked for.
"""

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

from fedrisk.serving.answer_table import schema_of
from fedrisk.serving.batch_list import Page
from fedrisk.serving.grades import GRADES
from fedrisk.serving.words import of_code

GROUP = 50_000
"""Rows of one group of a Parquet file."""


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


def page_table(page: Page, answers: pa.Table) -> pa.Table:
    """Rows of a page in its order; answers: those of its distinct ids, in their order (`answer_table`)."""
    codes = page.codes
    unasked = [
        {"id": page.written[k], "code": codes[k], "words": of_code(codes[k])}
        for k, place in enumerate(page.places)
        if place < 0
    ]
    if not unasked and page.places == list(range(len(answers))):
        return answers
    rest = iter(range(len(answers), len(answers) + len(unasked)))
    order = [place if place >= 0 else next(rest) for place in page.places]
    there = pa.Table.from_pylist(unasked, schema=answers.schema)
    return pa.concat_tables([answers, there]).take(pa.array(order, pa.int64())).combine_chunks()


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


def put_together(
    files: Sequence[Path], to: Path, *, grades: Sequence[str], sort: bool, bins: Sequence[str] = ()
) -> None:
    """Write the finished file, for its owner only, in a name of its own; OSError where that fails.

    to: ends in .csv or .parquet. grades: as in `summarised`. sort: from the best grade to the worst, rows without a
    score last; each in the order of the list. bins: own columns whose bins are columns of the file too.
    """
    schema = schema_of(bins)
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        tables = _gathered(_chosen(files, schema, grades, sort), schema)
        if to.suffix == ".parquet":
            with pq.ParquetWriter(handle, schema) as parquet:
                for table in tables:
                    parquet.write_table(table)
        else:
            with pa.csv.CSVWriter(handle, schema) as text:
                for table in tables:
                    text.write_table(table)
        handle.flush()
        os.fsync(handle.fileno())


def _chosen(
    files: Sequence[Path], schema: pa.Schema, grades: Sequence[str], sort: bool
) -> Iterator[pa.Table]:
    """Tables of the rows that are written, in their order; a page is read once for each grade that is sorted by."""
    if not sort:
        for file in files:
            table = pq.read_table(file, schema=schema)
            yield table.filter(pc.is_in(table["grade"], pa.array(grades))) if grades else table
        return
    for wanted in [g for g in GRADES if not grades or g in grades] + ([] if grades else [None]):
        for file in files:
            table = pq.read_table(file, schema=schema)
            yield table.filter(
                pc.is_null(table["grade"]) if wanted is None else pc.equal(table["grade"], wanted)
            )


def _gathered(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in groups of thousands."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= GROUP:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    yield pa.concat_tables([*waiting, schema.empty_table()]).combine_chunks()
