"""What became of loans that were scored in an earlier month, for the back-test: kept at the bank alone."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.alignment.ids import Scheme
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.source import TableSource, read_header, read_texts
from fedrisk.data.text import trim
from fedrisk.errors import ConfigError, DataError, StoreError
from fedrisk.files import locked, write_atomic
from fedrisk.watching.history import Kept
from fedrisk.watching.loans import NO, YES
from fedrisk.watching.month import Month
from fedrisk.watching.spelling import spelt

COLUMNS: Final = ("id", "month", "outcome")
LABEL: Final = "label"
_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_MONTH = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d\d.*)?")


@dataclass(frozen=True)
class Taken:
    """Outcomes of a file, one for each enterprise and month.

    new: kept from now on. same: were kept so. changed: were kept with another outcome, which is replaced. unknown: rows
    of a loan that was not scored in that month, and not kept. others: rows of another label.
    """

    new: int = 0
    same: int = 0
    changed: int = 0
    unknown: int = 0
    others: int = 0

    def to_dict(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


def words_for(dictionary: Dictionary | None, label: str | None, watched: str) -> tuple[str, ...] | None:
    """How a file may call a label: by its name or by its column in the bank's table; None where none is said.

    watched: name of the label that the watched model foretells. ConfigError where the bank's dictionary knows the
    label, and it is another one.
    """
    if label is None:
        return None
    there = () if dictionary is None else dictionary.labels
    for one in there:
        if label in (one.name, one.column):
            if one.name != watched:
                raise ConfigError(
                    f"the watched model foretells {watched}, and outcomes of {one.name} say nothing of it; give "
                    f"--label {watched}, or name the watch of another model"
                )
            return one.name, one.column
    return (label,)


def take_outcomes(kept: Kept, file: Path, labels: Collection[str] | None = None, *, scheme: Scheme) -> Taken:
    """Keep what became of loans, beside what is kept; the same file once more changes nothing.

    file: .csv or .parquet with ``id``, ``month`` (in which the loan was scored, 2026-05 or a day of it) and ``outcome``
    (1 where it happened). labels: where the file has a column ``label``, rows that name one of these alone are taken
    (`words_for`). scheme: of the ids, which may be spelled otherwise than in the watched table. An enterprise that has
    several loans may stand in a file several times: it happened to it where it happened to one of them.

    Raises:
        ConfigError: no such file, or a column or any row of the label is not in it.
        DataError: it cannot be read, or a month or outcome is none.
    """
    _check(file, labels is not None)
    try:
        with locked(kept.folder / "outcomes.lock"):
            return _taken(kept, file, labels, scheme)
    except OSError as error:
        raise StoreError(
            f"{kept.folder} cannot be written: {error.strerror}; check space and permissions"
        ) from None


def _taken(kept: Kept, file: Path, labels: Collection[str] | None, scheme: Scheme) -> Taken:
    there = _there(kept)
    told, others, unknown = _told(kept, file, labels, scheme)
    # A month in which none of a known label matured is no slip.
    if others and not told and not unknown and len(labels or ()) == 1:
        raise ConfigError(
            f"{file} has no outcome of the label {' or '.join(labels or ())}; its labels are "
            f"{', '.join(sorted(others)[:9])}. Name one with --label"
        )
    counts = Counter(
        "new" if key not in there else "same" if there[key] == outcome else "changed"
        for key, outcome in told.items()
    )
    if counts["new"] or counts["changed"]:
        _write(kept, {**there, **told})
    return Taken(**counts, unknown=unknown, others=others.total())


def _told(
    kept: Kept, file: Path, labels: Collection[str] | None, scheme: Scheme
) -> tuple[dict[tuple[str, str], int], Counter[str], int]:
    """Outcomes of a file by id, as it is kept, and month; rows by other label; rows of loans that were not scored."""
    watched: dict[str, dict[str, str]] = {month: {} for month in map(str, kept.months())}
    told: dict[tuple[str, str], int] = {}
    others, unknown = Counter[str](), 0
    for name, month, outcome, of in _rows(file, labels, scheme):
        if labels is not None and of not in labels:
            others[of] += 1
            continue
        if month in watched and not watched[month]:
            watched[month] = _ids(kept, month, scheme)
        id = watched.get(month, {}).get(name)
        if id is None:
            unknown += 1
            continue
        told[id, month] = max(told.get((id, month), 0), outcome)
    return told, others, unknown


def _check(file: Path, labelled: bool) -> None:
    if not file.name.lower().endswith(_SUFFIXES):
        raise ConfigError(f"{file}: outcomes are read from {', '.join(_SUFFIXES)}; name a file that ends so")
    if not file.is_file():
        raise ConfigError(f"there is no file {file}; check the path of the outcomes")
    header = read_header(TableSource(source=str(file.absolute())), ".")
    wanted = (*COLUMNS, *((LABEL,) if labelled else ()))
    if gone := [name for name in wanted if name not in header]:
        raise ConfigError(
            f"{file} has no column {', '.join(gone)}; it needs id, month (in which the loan was scored) and outcome "
            "(1 where it happened, 0 where not)"
        )
    if not labelled and LABEL in header:
        raise ConfigError(
            f"{file} has outcomes of several labels; say which with --label, for example default"
        )


def _rows(file: Path, labels: Collection[str] | None, scheme: Scheme) -> Iterator[tuple[str, str, int, str]]:
    """Id in its one spelling, month, outcome and label of each row; of other labels the rest is not read."""
    names = [*COLUMNS, *([LABEL] if labels is not None else [])]
    for block in read_texts(TableSource(source=str(file.absolute())), ".", names):
        ids, months, outcomes, *of = ([trim(cell or "") for cell in block[name]] for name in names)
        said = of[0] if of else [""] * len(ids)
        for id, month, outcome, label in zip(spelt(ids, scheme), months, outcomes, said, strict=True):
            if labels is not None and label not in labels:
                yield id, month, 0, label
            else:
                yield id, _month(file, month), _outcome(file, outcome), label


def _month(file: Path, text: str) -> str:
    found = _MONTH.fullmatch(text)
    if found is None:
        raise DataError(
            f"{file}: column month holds what is no month; write year and month, for example 2026-05"
        )
    return found[1]


def _outcome(file: Path, text: str) -> int:
    word = text.casefold()
    if not word or word not in (*YES, *NO):
        raise DataError(
            f"{file}: column outcome is neither 1 nor 0 somewhere; leave out loans that are not known yet"
        )
    return int(word in YES)


def _there(kept: Kept) -> dict[tuple[str, str], int]:
    table = kept.outcomes()
    if table is None:
        return {}
    rows = table.to_pydict()
    keys = zip(rows["id"], rows["month"], strict=True)
    return dict(zip(keys, rows["outcome"], strict=True))


def _ids(kept: Kept, month: str, scheme: Scheme) -> dict[str, str]:
    """Ids of a month's loans with a score, by their one spelling."""
    table = kept.read_month(Month.parse(month), ["id", "score"])
    ids = table.filter(table["score"].is_valid())["id"].to_pylist()
    return dict(zip(spelt(ids, scheme), ids, strict=True))


def _write(kept: Kept, there: dict[tuple[str, str], int]) -> None:
    rows = sorted(there, key=lambda key: (key[1], key[0]))
    table = pa.table(
        {
            "id": pa.array([id for id, _ in rows], pa.string()),
            "month": pa.array([month for _, month in rows], pa.string()),
            "outcome": pa.array([there[key] for key in rows], pa.int8()),
        }
    )
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    write_atomic(kept.outcomes_file, [memoryview(content.getvalue())])
