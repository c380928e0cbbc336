"""Which loans a bank watches in a month: rows of its own table that are active, each enterprise once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.data.source import TableSource, read_header, read_texts
from fedrisk.data.text import trim
from fedrisk.errors import ConfigError, DataError
from fedrisk.files import write_atomic
from fedrisk.institution import Institution
from fedrisk.toml_file import near_name
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.spelling import as_before, scheme_of, spelt

ID: Final = "id"
CONSENT: Final = "consent"
"""Columns of a list of loans."""

YES: Final = ("1", "1.0", "true", "yes", "y")
NO: Final = ("0", "0.0", "false", "no", "n", "")


@dataclass(frozen=True)
class Counts:
    """Rows of the table.

    loans: active ones, each enterprise once. ended: not active. repeated: active rows of an enterprise that stands
    above. nameless: without an id.
    """

    loans: int = 0
    ended: int = 0
    repeated: int = 0
    nameless: int = 0

    def to_dict(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


def write_active(
    institution: Institution, rules: WatchRules, file: Path, before: Iterable[Sequence[str]] = ()
) -> Counts:
    """Write the list of active loans as Parquet, whole or not at all: ``id``, and ``consent`` where there is one.

    Loans stand in the order of ids, since members see the list, and not in that of the table.

    before: ids of earlier months, the newest first. An enterprise that is there has the id by which it was watched,
    however the table spells it now; spelled in two ways in one table it is one enterprise.

    Raises:
        ConfigError: a column is not there, or no loan is active.
        DataError: the table cannot be read, or its column of active loans says neither yes nor no.
    """
    found, counts = [], Counter[str]()
    for id, active, consent in _rows(institution, rules):
        if not active:
            counts["ended"] += 1
        elif not id:
            counts["nameless"] += 1
        else:
            found.append((id, consent))
    scheme = scheme_of(institution)
    first: dict[str, tuple[str, str]] = {}
    for name, row in zip(spelt([id for id, _ in found], scheme), found, strict=True):
        first.setdefault(name, row)
    # In the order of ids: that of the bank's table may say who came when, or how large a loan is.
    first = dict(sorted(first.items()))
    counts["loans"], counts["repeated"] = len(first), len(found) - len(first)
    ids = as_before([id for id, _ in first.values()], before, scheme)
    consents = [consent for _, consent in first.values()]
    if not ids:
        raise ConfigError(
            f"no loan of {institution.name} is active; check the column that watch.active names, and [table]"
        )
    columns = {ID: pa.array(ids, pa.string())}
    if rules.consent is not None:
        columns[CONSENT] = pa.array(consents, pa.string())
    content = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), content, compression="zstd")
    write_atomic(file, [memoryview(content.getvalue())])
    return Counts(**counts)


def _rows(institution: Institution, rules: WatchRules) -> Iterator[tuple[str, bool, str]]:
    """Id, whether it is active, and consent of each row of the table."""
    table, dictionary = institution.table, institution.dictionary
    if table is None or dictionary is None:
        raise ConfigError(f"{institution.name} is an {institution.kind} and has no loans; name a bank")
    if table.only or table.part is not None:
        raise ConfigError(
            "loans are watched in a table of the bank's own; [table] only and part cut one for simulations: remove them"
        )
    names = [dictionary.id, *(n for n in (rules.active, rules.consent) if n is not None)]
    _check_names(table, institution.folder, rules)
    for block in read_texts(table, institution.folder, list(dict.fromkeys(names))):
        columns: list[list[Any]] = [block[name].tolist() for name in names]
        for row in zip(*columns, strict=True):
            active = True if rules.active is None else is_active(row[1], rules.active)
            yield trim(row[0] or ""), active, trim(row[-1] or "") if rules.consent is not None else ""


def _check_names(table: TableSource, folder: Path, rules: WatchRules) -> None:
    header = read_header(table, folder)
    for name, key in ((rules.active, "watch.active"), (rules.consent, "watch.consent")):
        if name is not None and name not in header:
            near = near_name(name, header)
            raise ConfigError(
                f"{key}: the bank's table has no column {name}{f'; did you mean {near}?' if near else ''} "
                "Name one that it has, or remove the key"
            )


def is_active(text: str | None, column: str) -> bool:
    """Whether a cell of the column that ``watch.active`` names says so; DataError where it says neither."""
    word = trim(text or "").casefold()
    if word not in (*YES, *NO):
        raise DataError(
            f"watch.active: column {column} has a value that is neither yes nor no; write 1 for a loan that is "
            "outstanding, 0 for one that is not"
        )
    return word in YES
