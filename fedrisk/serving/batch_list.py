"""A list of enterprises to be scored, read from a file in pages: one question to the members each, in flat memory.

A page has at most a thousand ids, none twice. Where an id comes again within a page with the same consent and values,
it is asked about once; with others, a new page begins. Pages follow from the file alone, so that a batch that was
stopped finds the same ones again.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedrisk.data.source import TableSource, read_header, read_texts
from fedrisk.data.text import trim
from fedrisk.errors import ConfigError
from fedrisk.serving.messages import MOST_ROWS
from fedrisk.toml_file import near_name

LONGEST_ID, LONGEST_CONSENT = 64, 4096
"""Most letters of an id and of a consent in a question (serving/messages)."""

SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class ListFile:
    """The file with the ids.

    Attributes:
        path: a .csv, .csv.gz or .parquet file.
        column: with the ids. consent: with the enterprises' consents, or None.
        values: columns of the bank's own that the file has in place of its table's.
        screening: whether only enterprises with a consent are asked about.
    """

    path: Path
    column: str
    consent: str | None = None
    values: tuple[str, ...] = ()
    screening: bool = False


@dataclass
class Page:
    """Rows of the list that go into one question.

    Attributes:
        number: from 0.
        written: each row's id as the file has it, "" where there is none.
        places: of each row, which of ``ids`` it is; -1 where it is not asked about, for the reason in ``codes``.
        ids, consents, values: what is asked; values by place, as texts.
    """

    number: int
    written: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    codes: dict[int, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    consents: list[str] = field(default_factory=list)
    values: dict[int, dict[str, str | None]] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    def add(self, id: str, consent: str, values: dict[str, str | None] | None, code: str) -> bool:
        """Take one more row; False where it needs another page."""
        place = -1
        if not code:
            place = self._seen.get(id, len(self.ids))
            if place < len(self.ids):
                if (self.consents[place], self.values.get(place)) != (consent, values):
                    return False
            elif len(self.ids) == MOST_ROWS:
                return False
        if len(self.written) >= 4 * MOST_ROWS:
            return False
        if place == len(self.ids):
            self._seen[id] = place
            self.ids.append(id)
            self.consents.append(consent)
            if values is not None:
                self.values[place] = values
        if code:
            self.codes[len(self.written)] = code
        self.written.append(id)
        self.places.append(place)
        return True

    def digest(self) -> bytes:
        """SHA-256 of the page's content."""
        content = [
            self.written,
            self.places,
            sorted(self.codes.items()),
            self.consents,
            sorted(self.values.items()),
        ]
        return hashlib.sha256(json.dumps(content).encode()).digest()


@dataclass(frozen=True)
class Counted:
    """What a list holds: its rows and pages, and a digest of its content."""

    rows: int
    pages: int
    digest: str


def check_columns(file: ListFile, own: Sequence[str] = ()) -> ListFile:
    """The file, with those of the bank's ``own`` columns that it has; ConfigError where a column is not in it.

    DataError where it cannot be read.
    """
    if not file.path.name.lower().endswith(SUFFIXES):
        raise ConfigError(f"{file.path}: ids are read from {', '.join(SUFFIXES)}; name a file that ends so")
    if not file.path.is_file():
        raise ConfigError(f"there is no file {file.path}; check the path of the ids")
    header = read_header(TableSource(source=str(file.path.absolute())), ".")
    for name, option in ((file.column, "--column"), (file.consent, "--consent")):
        if name is not None and name not in header:
            near = near_name(name, header)
            raise ConfigError(
                f"{file.path} has no column {name}{f'; did you mean {near}?' if near else ''} Its columns are "
                f"{', '.join(header)}; name one with {option}"
            )
    taken = (file.column, file.consent)
    values = tuple(name for name in own if name in header and name not in taken)
    return ListFile(file.path, file.column, file.consent, values, file.screening)


def pages(file: ListFile) -> Iterator[Page]:
    """The pages of a list, one after the other; DataError where the file cannot be read."""
    page = Page(0)
    names = [file.column, *([file.consent] if file.consent else []), *file.values]
    for block in read_texts(TableSource(source=str(file.path.absolute())), ".", names):
        columns = [block[name].tolist() for name in names]
        for cells in zip(*columns, strict=True):
            id, consent, values, code = _row(file, cells)
            if not page.add(id, consent, values, code):
                yield page
                page = Page(page.number + 1)
                page.add(id, consent, values, code)
    if page.written:
        yield page


def counted(file: ListFile) -> Counted:
    """Goes through a list once."""
    state, rows, number = hashlib.sha256(), 0, 0
    for page in pages(file):
        state.update(page.digest())
        rows += len(page.written)
        number += 1
    if not rows:
        raise ConfigError(f"{file.path} has no rows; there is nobody to score")
    return Counted(rows, number, state.hexdigest())


def _row(file: ListFile, cells: Sequence[str | None]) -> tuple[str, str, dict[str, str | None] | None, str]:
    """Id, consent, values and code of a row; with a code nobody is asked about it."""
    id = trim(cells[0] or "")
    consent = trim(cells[1] or "") if file.consent else ""
    given = cells[2 if file.consent else 1 :]
    values = dict(zip(file.values, given, strict=True)) if any(v is not None for v in given) else None
    code = ""
    if not 0 < len(id) <= LONGEST_ID:
        code = "own_id"
    elif len(consent) > LONGEST_CONSENT:
        code = "consent_form"
    elif file.screening and not consent:
        code = "consent_missing"
    return id, consent, values, code
