"""A bank's side of measures: rows from a file, questions of a thousand ids, and what the sums say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedrisk.data.source import TableSource, read_texts
from fedrisk.data.text import trim
from fedrisk.errors import ConfigError, PolicyError, ProtocolError
from fedrisk.models.model_part import ModelPart
from fedrisk.serving.asking import Asking
from fedrisk.serving.batch_list import LONGEST_CONSENT, LONGEST_ID, ListFile, check_columns
from fedrisk.serving.measures import Measure, check_rows, measure_of, opened
from fedrisk.serving.messages import MOST_ROWS
from fedrisk.serving.sums import Sums
from fedrisk.serving.words import of_members

MOST_ASKED = 100_000
"""Most ids of one file; what is asked for is shown on a screen."""


@dataclass(frozen=True)
class Row:
    """One row of what is asked: its name, an id or a group's, and its enterprises with their consents."""

    name: str
    ids: tuple[str, ...]
    consents: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What came of a row.

    value: None where there is none. known: how many lend to it, or know it (serving/measures). code, words: why there
    is nothing; members: their codes.
    """

    row: str
    value: float | None = None
    known: int | None = None
    code: str = ""
    words: str = ""
    members: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in ("row", "value", "known", "code", "words", "members")}


def read_ids(file: Path, column: str, consent: str | None) -> list[Row]:
    """A row for each id of a list, in its order, with its consent; ConfigError where the list cannot be read so."""
    found = _pairs_of(file, column, consent, None, lambda id, _: id)
    return [Row(name, (pairs[0][0],), (pairs[0][1],)) for name, pairs in found.items()]


def read_rows(
    measure: Measure, file: Path, column: str, *, group: str | None = None, consent: str | None = None
) -> list[Row]:
    """Rows of a file: one for each id, or for related enterprises one for each group, or one for all.

    ConfigError where a column or an id is not there, or a row is larger than the measure allows.
    """
    related = measure.kind == "related"
    if group is not None and not related:
        raise ConfigError(f"measure {measure.name} is no sum over related enterprises; leave --group out")
    found = _pairs_of(
        file, column, consent, group, lambda id, of: (of if group else "related") if related else id
    )
    rows = []
    for name, pairs in found.items():
        once = list(dict.fromkeys(pairs)) if related else pairs[:1]
        if len({i for i, _ in once}) != len(once):
            raise ConfigError(f"{file}: an enterprise of a row has two consents; keep one")
        try:
            check_rows(measure, [0] * len(once))
        except ProtocolError as error:
            raise ConfigError(f"{file}: {error}") from None
        rows.append(Row(name, tuple(i for i, _ in once), tuple(t for _, t in once)))
    return rows


def _pairs_of(
    file: Path,
    column: str,
    consent: str | None,
    group: str | None,
    row_of: Callable[[str, str], str],
) -> dict[str, list[tuple[str, str]]]:
    """Ids with their consents by row; row_of: the row of an id and of what stands in the column ``group``."""
    check_columns(ListFile(file, column, consent))
    if group is not None:
        check_columns(ListFile(file, group))
    names = list(dict.fromkeys(n for n in (column, consent, group) if n is not None))
    found: dict[str, list[tuple[str, str]]] = {}
    count = 0
    for block in read_texts(TableSource(source=str(file.absolute())), ".", names):
        for cells in block.to_dict("records"):
            id, token = trim(cells[column] or ""), trim(cells[consent] or "") if consent else ""
            count += 1
            if not 0 < len(id) <= LONGEST_ID or len(token) > LONGEST_CONSENT or count > MOST_ASKED:
                raise ConfigError(
                    f"{file}: row {count} has no id of at most {LONGEST_ID} letters, too long a consent, or is one of "
                    f"more than {MOST_ASKED:,}; correct the list"
                )
            found.setdefault(row_of(id, trim(cells[group] or "") if group else ""), []).append((id, token))
    if not found:
        raise ConfigError(f"{file} has no rows; there is nobody to ask about")
    return found


def asked_of(asking: Asking, part: ModelPart, rows: Sequence[Row]) -> list[Asked]:
    """Ask the members about rows, in questions of at most a thousand ids; what came of each.

    PolicyError where the measure is not approved here; errors as `Asking.ask`.
    """
    state = asking.node.store.models.state(part.model)
    if not state.serves:
        raise PolicyError(
            f"measure {part.name} ({part.model}) is {state.name} at {asking.node.name}; approve it with fedrisk model "
            "approve, as all its members do"
        )
    out: list[Asked] = []
    for some in _questions(rows):
        row_of = [k for k, row in enumerate(some) for _ in row.ids]
        sums = asking.ask(
            part,
            [i for row in some for i in row.ids],
            purpose=part.purpose,
            consents=[c for row in some for c in row.consents],
            row_of=row_of if len(row_of) > len(some) else (),
        )
        out += _answers(part, some, sums, asking.node.name)
    return out


def _questions(rows: Sequence[Row]) -> list[list[Row]]:
    out: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        if size + len(row.ids) > MOST_ROWS:
            out.append([])
            size = 0
        out[-1].append(row)
        size += len(row.ids)
    return out


def _answers(part: ModelPart, rows: Sequence[Row], sums: Sums, bank: str) -> list[Asked]:
    if sums.failed:
        codes = dict(sums.failed)
        code, words = codes[min(codes)], of_members(codes)
        return [Asked(row.name, code=code, words=words, members=codes) for row in rows]
    measure = measure_of(part)
    values, known = opened(measure, bank, sums.columns)
    out = []
    for k, row in enumerate(rows):
        codes = dict(sums.refused.get(k, {}))
        if codes:
            out.append(Asked(row.name, code=codes[min(codes)], words=of_members(codes), members=codes))
            continue
        value = None if np.isnan(values[k]) else float(values[k])
        words = "" if value is not None else "one of both does not know it, or both"
        out.append(Asked(row.name, value, int(known[k]), "" if value is not None else "unknown_there", words))
    return out
