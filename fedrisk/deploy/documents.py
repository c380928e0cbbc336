"""Signed files that people send to each other: kits, requests, rotations and rosters.

Each is JSON of one form, in one spelling: a file that says the same in other bytes was edited, and is refused as one
that was damaged. What is signed is a tag and the fields without the signatures, so no signature of one kind of file
holds for another (domain separation).
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from fedrisk.deploy.keys import check_node_key
from fedrisk.errors import ConfigError, EnvelopeError

MOST_BYTES = 1 << 20
"""More than any such file has: a roster of a hundred members has a tenth of it."""

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key, or a SHA-256."""

Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
"""An Ed25519 signature."""

NodeSignature = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){1,160}$")]
"""An ECDSA signature, in DER."""

NodeKey = Annotated[str, StringConstraints(max_length=400), AfterValidator(check_node_key)]
"""A P-384 public key as OpenSSH writes it."""

Moment = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
]
"""UTC, to the second."""


class Form(BaseModel):
    """Frozen, and strict: no field more, none of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Document(Form):
    """A signed file. FORMAT: the latest known. TAG: what its signatures begin with. WHAT: its name for people."""

    FORMAT: ClassVar[int] = 1
    TAG: ClassVar[bytes]
    WHAT: ClassVar[str]
    SIGNATURES: ClassVar[frozenset[str]] = frozenset({"signature"})

    def to_bytes(self) -> bytes:
        """The file's content: JSON of one spelling, a field a line."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False).encode() + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON."""
        return self.model_dump(mode="json")

    def statement(self) -> bytes:
        """The bytes that are signed: the tag, and all fields but the signatures."""
        plain = {name: value for name, value in self.to_dict().items() if name not in self.SIGNATURES}
        return self.TAG + json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """Inverse of ``to_dict``; EnvelopeError where it has not this form. Nothing is verified yet."""
        try:
            found = cls.model_validate_json(json.dumps(plain))
        except (TypeError, ValueError, RecursionError):
            raise _malformed(cls.WHAT, "its form") from None
        if found.to_dict() != plain:
            raise _malformed(cls.WHAT, "its form")
        return found

    @classmethod
    def read(cls, file: Path) -> Self:
        """A file's content; EnvelopeError where it is damaged or edited, ConfigError where it cannot be read."""
        what = f"{cls.WHAT} {file}"
        try:
            if file.stat().st_size > MOST_BYTES:
                raise _malformed(what, "its size")
            return cls.from_bytes(file.read_bytes(), what)
        except OSError as error:
            raise ConfigError(f"{what} cannot be read: {error.strerror}; check the path") from None

    @classmethod
    def from_bytes(cls, raw: bytes, what: str) -> Self:
        """Inverse of ``to_bytes``; line ends may be those of another system. Nothing is verified yet.

        EnvelopeError where it is damaged, cut, edited, or of a later version.
        """
        text = raw.replace(b"\r\n", b"\n").strip() + b"\n"
        later = re.match(rb'\{\s*"format": ([0-9]{1,6}),', text)
        if later and int(later.group(1)) > cls.FORMAT:
            raise EnvelopeError(
                f"{what} is of format {int(later.group(1))}, and this version of fedrisk knows formats up to "
                f"{cls.FORMAT}: upgrade fedrisk here, or ask its sender for one of the older version"
            )
        try:
            found = cls.model_validate_json(text)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])[:80]
            raise _malformed(what, where or "its form") from None
        if found.to_bytes() != text:
            raise _malformed(what, "its spelling")
        return found


def _malformed(what: str, where: str) -> EnvelopeError:
    return EnvelopeError(
        f"{what} is damaged, cut off or edited ({where}); ask for the file once more, and send it as an attachment. "
        "Nothing was used of it"
    )


def now() -> str:
    """The moment, as these files state it."""
    return at(datetime.now(UTC))


def at(moment: datetime) -> str:
    """A moment (with its zone), as these files state it.

    >>> at(datetime(2026, 3, 1, 12, tzinfo=UTC))
    '2026-03-01T12:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
