"""What a bank asks the members of a model and what each answers: the content of the envelopes, as bytes.

All members get the same bytes of a question, and every mask is drawn for their digest: members that were told different
ids, keys or members mask differently, and their sum is random numbers.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from fedrisk.errors import ProtocolError
from fedrisk.secure.keystream import encode_fields
from fedrisk.serving.codes import OK, ROWS
from fedrisk.study_sections import Name

MOST_ROWS = 1000
"""Most rows of one question, and most ids of all its rows."""

MOST_MONTHS = 18
"""Most months of an index that one question asks for."""

MOST_COLUMNS = 16 + 11 * MOST_MONTHS
"""Most columns of an answer: of an index as many sums as there are themes and the rest, for each month."""

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Consent = Annotated[str, StringConstraints(max_length=4096)]


class Asked(BaseModel):
    """A question, as all members of a model get it.

    Attributes:
        id: drawn by the bank, 128 bits; the same id is the same question.
        model: which model; asker: the bank.
        made: when, in seconds since 1970 UTC.
        epoch: of the keys; keys: the members' X25519 keys in it, hexadecimal, by member: exactly those of the model.
        purpose, product: what the scores are for.
        screening: whether it is a list that the bank looks through, which has a quota of its own.
        ids: of enterprises, as the bank writes them.
        row_of: the row of each id, rising from 0, where a row is a sum over several; empty where each id is a row.
        consents: by id; empty texts where there is none.
        to_come: scores that the bank will ask for after these, of the same list: a member whose limits do not bear them
            all refuses the question, so that a list is not given up in its middle. Not written where it is 0.
        repeats: id of a question of the same model that came to nothing because a member failed, and in whose place
            this one is; the first of them. Members that answered it count a consent once for both (serving/book).
        months: of an operating health index, this month and those before it; 1 for everything else.
        salt: 128 bits that the bank draws and the hub never sees: trails hold the question's digest, and whoever knows
            the rest of it, as the hub does, could try out ids.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: Hex32
    model: ModelId
    asker: Name
    made: Annotated[int, Field(ge=0, lt=1 << 40)]
    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}W[0-9]{2}$")]
    keys: Annotated[dict[Name, Hex64], Field(min_length=1, max_length=100)]
    purpose: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    product: Annotated[str, StringConstraints(max_length=64)] = ""
    screening: bool = False
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_ROWS)]
    row_of: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MOST_ROWS)] = ()
    consents: Annotated[tuple[Consent, ...], Field(max_length=MOST_ROWS)]
    to_come: Annotated[int, Field(ge=0, lt=1 << 40)] = 0
    repeats: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""
    months: Annotated[int, Field(ge=1, le=MOST_MONTHS)] = 1
    salt: Hex32 = Field(default_factory=lambda: secrets.token_hex(16))

    @model_validator(mode="after")
    def _fits(self) -> "Asked":
        steps = [b - a for a, b in zip((0, *self.row_of), self.row_of, strict=False)]
        if self.row_of and (self.row_of[0] != 0 or not set(steps) <= {0, 1}):
            raise ValueError("row_of rises from 0 by steps of 1")
        if len(self.consents) != len(self.ids) or (self.row_of and len(self.row_of) != len(self.ids)):
            raise ValueError("one consent, and one row or none, for each id")
        return self

    @property
    def rows(self) -> int:
        """How many rows the answers have."""
        return self.row_of[-1] + 1 if self.row_of else len(self.ids)

    @property
    def root(self) -> str:
        """The first of the questions in whose place this one is: its own id where it is in nobody's."""
        return self.repeats or self.id

    def to_bytes(self) -> bytes:
        """JSON with sorted keys, UTF-8."""
        # Written as before there were months and lists to come, so that members of before read what has neither.
        left_out = {"months"} if self.months == 1 else set()
        if not self.to_come:
            left_out.add("to_come")
        return json.dumps(self.model_dump(exclude=left_out), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Asked":
        """Inverse of `to_bytes`; ProtocolError for anything else, with nothing of it in the text."""
        try:
            found = cls.model_validate_json(raw)
        except ValidationError:
            raise ProtocolError("a question about scores is malformed; nothing was answered") from None
        if found.to_bytes() != raw:
            raise ProtocolError(
                "a question about scores is not written in its one form; nothing was answered"
            )
        return found


def digest_of(raw: bytes) -> str:
    """SHA-256 (hexadecimal) of a question's bytes, for which all its masks are drawn."""
    return hashlib.sha256(encode_fields(b"fedrisk question v1", raw)).hexdigest()


@dataclass(frozen=True)
class Answered:
    """One member's answer.

    Attributes:
        id: of the question; digest: of its bytes (:func:`digest_of`).
        columns: by name ("points", "sum", ...), masked numbers of each row, (rows,) uint32. A refused row has uniform
            random numbers, so that the others' sum for it opens to nobody.
        refused: code by row, for rows that this member does not answer.
    """

    id: str
    digest: str
    columns: Mapping[str, NDArray[np.uint32]]
    refused: Mapping[int, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Head as JSON after its length, the columns' little-endian numbers in the order of their names, a byte a row.

        The byte says why a row is refused, 0 where it is not: the hub sees sizes, and answers to questions of one
        length have one size, whatever was refused and by which code.
        """
        names = sorted(self.columns)
        rows = len(self.columns[names[0]]) if names else 0
        head: dict[str, Any] = {
            "id": self.id,
            "digest": self.digest,
            "columns": names,
            "rows": rows,
        }
        text = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
        body = b"".join(np.asarray(self.columns[n], "<u4").tobytes() for n in names)
        codes = bytes(_PLACES[self.refused.get(row, OK)] for row in range(rows))
        return len(text).to_bytes(4, "big") + text + body + codes

    @classmethod
    def from_bytes(cls, raw: bytes, rows: int) -> "Answered":
        """Inverse of `to_bytes`, for a question with so many rows; ProtocolError for anything else."""
        try:
            size = int.from_bytes(raw[:4], "big")
            head = _Head.model_validate_json(raw[4 : 4 + size])
        except ValidationError:
            raise _malformed() from None
        body, names = raw[4 + size :], head.columns
        if head.rows != rows or list(names) != sorted(set(names)) or len(body) != rows * (4 * len(names) + 1):
            raise _malformed()
        codes = body[4 * rows * len(names) :]
        if any(code >= len(_CODES) for code in codes):
            raise _malformed()
        refused = {row: _CODES[code] for row, code in enumerate(codes) if code}
        numbers = np.frombuffer(body[: 4 * rows * len(names)], "<u4").reshape(len(names), rows)
        return cls(head.id, head.digest, dict(zip(names, numbers, strict=True)), refused)


_CODES: Final = (OK, *ROWS)
_PLACES: Final = {code: place for place, code in enumerate(_CODES)}


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Hex32
    digest: Hex64
    columns: Annotated[list[Name], Field(min_length=1, max_length=MOST_COLUMNS)]
    rows: int


def _malformed() -> ProtocolError:
    return ProtocolError("an answer about scores is malformed; nothing of it was used")
