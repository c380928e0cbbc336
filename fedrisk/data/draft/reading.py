"""How a table has to be read: the settings of ``[table]`` that it needs, recognised from its beginning and its texts.

A reader of tables never guesses: it refuses, and says which key to write. A draft writes that key, so that a person
sees it in the file.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fedrisk.data.hints import LOOKED_AT, READ, other_notations, share_read
from fedrisk.data.source import TableSource, read_header
from fedrisk.data.text import PLAIN, plain_width, trim
from fedrisk.errors import DataError

_TRIES = 4
_WRITE = re.compile(r'\b(encoding|delimiter|skip_rows) = ("(?:[^"\\]|\\.)*"|\d+)')


def readable(source: TableSource, base: Path) -> tuple[TableSource, dict[str, Any]]:
    """The source with the settings under which its header can be read, and these settings.

    DataError as the reader says it where no setting helps.
    """
    settings: dict[str, Any] = {}
    for _ in range(_TRIES):
        try:
            read_header(source, base)
            break
        except DataError as error:
            said = {key: tomllib.loads(f"v = {value}")["v"] for key, value in _WRITE.findall(str(error))}
            if not said or said.items() <= settings.items():
                raise
            settings |= said
            source = TableSource.model_validate({**source.model_dump(exclude_unset=True), **settings})
    return source, settings


def notation_of(columns: Iterable[Sequence[str]]) -> dict[str, Any]:
    """The notation under which most of the columns (each its different texts) that are no plain numbers are numbers.

    What is the same in most of them wins: "1,234" alone may be a thousand or a fraction, next to "1.234,50" it may not.
    """
    votes: Counter[tuple[tuple[str, str], ...]] = Counter()
    for texts in columns:
        ways = _ways(texts)
        for way in ways:
            # A column that can be read in one way only says more than one that can be read in two.
            votes[way] += 4 if len(ways) == 1 else 1
    if not votes:
        return {}
    chosen: dict[str, Any] = {}
    for way, _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        given = dict(way)
        conflict = any(chosen.get(k, v) != v for k, v in given.items())
        same_mark = {**chosen, **given}
        if not conflict and same_mark.get("decimal", ".") != same_mark.get("thousands"):
            chosen = same_mark
    return chosen


def _ways(texts: Sequence[str]) -> list[tuple[tuple[str, str], ...]]:
    sample = [plain_width(trim(t)) for t in texts[:LOOKED_AT]]
    sample = [t for t in sample if any(c.isdigit() for c in t)]
    if len(sample) < 2 or len(sample) < 0.5 * min(len(texts), LOOKED_AT) or share_read(sample, PLAIN) >= READ:
        return []
    fits = [keys for keys, other in other_notations(sample, PLAIN) if share_read(sample, other) >= READ]
    fewest = min((len(keys) for keys in fits), default=0)
    plain = [tuple((k, v.strip('"')) for k, v in keys.items()) for keys in fits if len(keys) == fewest]
    return list(dict.fromkeys(plain))
