"""How a database writes the ids of enterprises: under which values an id is asked for, and which id a value is.

An index on the column of ids serves only comparisons with the values as they are stored. So an id is asked for under
the spellings that may stand there: in capitals without spaces, as everybody writes it to others; in small letters; as
it was asked; and as a look at some stored ids shows: as a number, filled up with spaces, with an empty fraction.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from fedrisk.alignment.ids import Scheme, normalise
from fedrisk.data.text import MISSING, number_of, text_of, trim, whole
from fedrisk.errors import DataError

SAMPLE = 1000
"""How many stored ids are looked at."""

_FRACTION = re.compile(r"[0-9]{1,15}\.0+")
_DIGITS = re.compile(r"[+-]?[0-9.]+")
_NUMBERS = (int, float, Decimal)


@dataclass(frozen=True)
class Spellings:
    """What a look at some stored ids shows.

    Attributes:
        scheme: of the dictionary.
        kinds: types of the stored values.
        width: of values that are filled up with spaces, 0 where none are.
        fraction: whether all are whole numbers with an empty fraction, as programs write numbers.
        dynamic: whether the database compares a value with what is stored by the type of each.
        odd: whether some are written in a way under which they would not be asked for.
    """

    scheme: Scheme
    kinds: frozenset[type]
    width: int = 0
    fraction: bool = False
    dynamic: bool = False
    odd: bool = False

    @classmethod
    def of(cls, stored: Iterable[Any], scheme: Scheme, database: str) -> Spellings:
        """What some stored values show; ``database`` is SQLAlchemy's name of its kind."""
        values = [v for v in stored if v is not None]
        kinds = frozenset(map(type, values))
        texts = [v for v in values if isinstance(v, str)]
        sizes = {len(t) for t in texts}
        padded = len(sizes) == 1 and any(t.endswith(" ") for t in texts)
        present = [t.strip() for t in texts if t.strip() not in MISSING]
        found = cls(
            scheme,
            kinds,
            # These compare values that are filled up as if they were not.
            width=sizes.pop() if padded and database not in ("postgresql", "mysql", "mariadb") else 0,
            fraction=bool(present) and all(map(_FRACTION.fullmatch, present)),
            dynamic=database == "sqlite",
        )
        ids = found.ids(texts)
        plain = [t.rstrip(" ") if padded else t for t in texts]
        odd = any(i and t not in found.values(i, "") for i, t in zip(ids, plain, strict=True))
        return replace(found, odd=odd)

    def values(self, id: str, given: str) -> list[Any]:
        """The values under which a normalised id is asked for; ``given`` is how it was written by whoever asks."""
        kinds = self.kinds or {str}
        out: list[Any] = []
        if any(issubclass(k, _NUMBERS) and k is not bool for k in kinds) or self.dynamic:
            out += self._numbers(id, Decimal in kinds, float in kinds)
        if uuid.UUID in kinds:
            out += _uuids(id)
        if bytes in kinds:
            out += [id.encode(), id.lower().encode()]
        if self.dynamic or not any(issubclass(k, (*_NUMBERS, uuid.UUID, bytes)) for k in kinds):
            out += self._texts(id, given)
        return list(dict.fromkeys(out))

    def _texts(self, id: str, given: str) -> list[str]:
        texts = [id, id.lower(), *([given, given.strip()] if given else [])]
        texts += [t.ljust(self.width) for t in texts[:2]] if self.width else []
        return texts + ([f"{id}.0"] if self.fraction else [])

    def _numbers(self, id: str, decimals: bool, doubles: bool) -> list[Any]:
        # A look at the characters clears most ids.
        number = number_of(id) if len(id) <= 60 and _DIGITS.fullmatch(id) else None
        if number is None:
            return []
        if decimals:
            return [number]
        if doubles:
            return [float(number)]
        # More would not be compared with the index of a column of whole numbers.
        return [int(number)] if number == int(number) and abs(number) < 2**63 else []

    def ids(self, stored: Sequence[Any]) -> list[str]:
        """The normalised id of each stored value, "" where it is none."""
        texts = [self._text(v) for v in stored]
        spelt, _ = normalise(texts, self.scheme)
        return [str(s) for s in spelt]

    def _text(self, value: Any) -> str | None:
        try:
            text = text_of(value)
        except DataError:
            return None
        if text is None or trim(text) in MISSING:
            return None
        text = text.strip()
        empty = isinstance(value, Decimal) or self.fraction
        return whole(text) if empty else text


def _uuids(id: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(id)]
    except ValueError:
        return []
