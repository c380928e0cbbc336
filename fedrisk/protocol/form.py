"""What a message may hold: every field and array that comes from the hub is checked here, before any handler sees it.

An action says the form of its requests beside its handler (protocol/actions). A form is a pydantic model of the body,
strict, without unknown fields and without numbers that are not finite, and a rule for every array or string of bytes.
Sizes that follow from the study (rows of a list, weights of a model) are checked where they are known, by whoever
takes the array.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fedrisk.errors import ProtocolError, VersionError
from fedrisk.protocol.payload import Payload

MOST_ROWS = 1 << 28
"""More rows than any list has."""

MOST_BYTES = 1 << 36
"""More bytes than any sealed envelope has."""

AttemptId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=1 << 20)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=MOST_ROWS)]
Seed = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class Body(BaseModel):
    """Fields of one kind of message: no field more, none of another type, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OfAttempt(Body):
    """A message of an attempt that says nothing else."""

    attempt: AttemptId


class Confirmed(Body):
    """One member's confirmation of the common view (protocol/common_view)."""

    number: Annotated[int, Field(ge=1, le=64)]
    code: Digest


@dataclass(frozen=True, kw_only=True)
class BlobForm:
    """Rule for an array of one of these dtypes, or for bytes where ``dtype`` is None.

    ndim: its axes. low, high: range of its numbers. most: its largest number of elements, or of bytes.
    """

    dtype: str | tuple[str, ...] | None = None
    ndim: tuple[int, ...] = (1,)
    low: float | None = None
    high: float | None = None
    most: int = MOST_ROWS

    def fits(self, blob: Any) -> bool:
        """Whether a blob keeps the rule; floating-point numbers have to be finite."""
        if self.dtype is None:
            return isinstance(blob, bytes) and len(blob) <= MOST_BYTES
        allowed = (self.dtype,) if isinstance(self.dtype, str) else self.dtype
        if not isinstance(blob, np.ndarray) or blob.dtype.name not in allowed:
            return False
        if blob.ndim not in self.ndim or blob.size > self.most:
            return False
        if blob.dtype.kind == "f" and not np.isfinite(blob).all():
            return False
        if not blob.size:
            return True
        return (self.low is None or blob.min() >= self.low) and (self.high is None or blob.max() <= self.high)


SEALED = BlobForm()
"""A sealed envelope; what is in it is checked by whoever opens it."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of a message: its body, and its blobs by name, where ``*`` stands for any text."""

    body: type[Body] = OfAttempt
    blobs: Mapping[str, BlobForm] = field(default_factory=dict)

    def check(self, payload: Payload, what: str) -> None:
        """ProtocolError unless a payload has this form; the text names the field and no value.

        VersionError for a field, array or envelope that this version does not know, where all else is as it should be.
        what: the action or part that it belongs to.
        """
        try:
            self.body.model_validate(dict(payload.body))
        except ValidationError as error:
            raise _misformed(what, error) from None
        for name, blob in payload.blobs.items():
            rule = self.blobs.get(name) or next(
                (rule for pattern, rule in self.blobs.items() if fnmatchcase(name, pattern)), None
            )
            if rule is None:
                raise _unknown(what, "an array or envelope")
            if not rule.fits(blob):
                raise ProtocolError(
                    f"{what}: an array or envelope is of another type, size or range than it may have; "
                    "hub and institution must run the same version. Nothing was used of the message"
                )


def _misformed(what: str, error: ValidationError) -> ProtocolError:
    """The error for a body that breaks rules: of another version where the only rule is that a field is not known."""
    found = error.errors(include_url=False)
    wrong = [item for item in found if item["type"] != "extra_forbidden"] or found
    where = ".".join(str(part) for part in wrong[0]["loc"])[:80]
    if wrong is found and all(item["type"] == "extra_forbidden" for item in found):
        return _unknown(what, f"field {where}")
    return ProtocolError(
        f"{what}: field {where or '(all)'} is missing, of another type or out of range; "
        "hub and institution must run the same version. Nothing was used of the message"
    )


def _unknown(what: str, thing: str) -> VersionError:
    return VersionError(
        f"{what}: this version of fedrisk does not know {thing}; the hub runs a later one. Upgrade fedrisk here. "
        "Nothing was used of the message"
    )
