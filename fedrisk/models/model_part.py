"""One institution's part of a model that serves: what it needs to answer, and nothing of the others' parts.

A holder keeps the bins and points of its own columns, and what it gives for each sum of them. A bank keeps the card as
rows were scored by it, and as it was calibrated. All members of a model know it by the same id, a digest of its study
and card.
"""

import hashlib
import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fedrisk.errors import StoreError
from fedrisk.models.index_scale import IndexScale
from fedrisk.models.warning_point import WarningPoint
from fedrisk.secure.keystream import encode_fields
from fedrisk.study_sections import Name

REST = "rest"
"""Name of the sum of all points that are in no theme."""

FRESH_DAYS = 366
"""Days after which a row counts as missing, where the study names no other number."""


def model_id(study_digest: str, attempt: str, card: str) -> str:
    """The id of a model, 16 hexadecimal digits; card: the scorecard by which rows were scored, as JSON.

    >>> len(model_id("0" * 64, "1", "{}"))
    16
    """
    raw = encode_fields(b"fedrisk model v1", study_digest.encode(), attempt.encode(), card.encode())
    return hashlib.sha256(raw).hexdigest()[:16]


class GivenSum(BaseModel):
    """One of several sums of points that a bank is given, as one institution has it.

    Attributes:
        name: of its theme, or of the rest.
        features: which of this holder's features are in it, none where it gives 0; at a bank places in the card.
        alone: whether no other holder is in it, so that a bank sees this one's number as it is.
        edges, values: what this holder gives for a sum of their points (models/given_points); at a bank none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    features: tuple[int, ...] = ()
    alone: bool = False
    edges: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


class ServedIndex(BaseModel):
    """What makes a model an operating health index, which is asked for months (serving/index).

    Attributes:
        moving: columns that are computed from monthly histories, so that they are known as of earlier months; at a
            holder its own, by their names, at a bank all, as HOLDER.COLUMN.
        still: the others, which count in every month as they are now.
        scale: at a bank, by which its score becomes an index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    moving: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    scale: IndexScale | None = None


class ModelPart(BaseModel):
    """An institution's part.

    Attributes:
        kind: ``scorecard``, or ``measure``: a sum across institutions that nobody trained.
        name: of the study or measure; version: how many of that name came before it here, and one.
        made: day (UTC). study, attempt: digest and id of the study that made it; empty for measures.
        purpose: what it serves. label: which outcome it foretells (data/label.Label); None of the one called
            ``default``. banks: who may ask. holders: who answers, always all of them.
        institution, role: whose part it is.
        fresh_days: after so many days a row counts as missing.
        bins: of this holder's features, as `Bins.to_dict`. points: of each bin, on the scale of the card that is not
            calibrated. given: edges and values of what is given for a sum of points (models/given_points); where there
            are several sums, those of the one with most values.
        sums: where a bank is given several sums, by theme, all of them in one order; empty where there is one.
        shares: of enterprises in each bin of these features among the training rows, from the study's released counts;
            what is asked about later is held against it at home (analysis/stability).
        values: most different values of the sum of all holders' points: a score tells log2 of it in bits at most. Of
            several sums, of the one with most.
        readable: of each of this holder's features, how well its bin is guessed from a score by the form of the card
            alone, 0 to 1 (models/readable).
        encoders: digests of this holder's encoders whose columns are among these features, by name: trained again, an
            encoder says something else, and the points no longer fit.
        computed: digests of the rules of this member's columns that are computed from histories, by column: by another
            rule they say something else.
        card, calibrated: of a bank, as JSON.
        measure: what is summed, for measures.
        warning: at a bank, at which scores it warns, where its study states a rate of false alarms.
        edited: digest of the file of the edited card that it is of (models/edited_card), which lies beside it; empty
            where it is of the card that its study made.
        index: where it serves an operating health index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    kind: Literal["scorecard", "measure"]
    name: str
    version: Annotated[int, Field(ge=1)]
    made: date
    study: str = ""
    attempt: str = ""
    purpose: str
    label: Name | None = None
    banks: tuple[Name, ...]
    holders: tuple[Name, ...]
    institution: Name
    role: Name
    fresh_days: Annotated[int, Field(ge=1)] = FRESH_DAYS
    bins: tuple[dict[str, Any], ...] = ()
    points: tuple[tuple[int, ...], ...] = ()
    given: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    sums: Annotated[tuple[GivenSum, ...], Field(max_length=11)] = ()
    shares: tuple[tuple[Annotated[float, Field(ge=0, le=1)], ...], ...] = ()
    values: Annotated[int, Field(ge=1)] | None = None
    readable: tuple[float, ...] = ()
    encoders: dict[str, str] = Field(default_factory=dict)
    computed: dict[str, str] = Field(default_factory=dict)
    card: str | None = None
    calibrated: str | None = None
    measure: dict[str, Any] | None = None
    warning: WarningPoint | None = None
    edited: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    index: ServedIndex | None = None

    def answering(self, bank: str) -> tuple[str, ...]:
        """Who answers when ``bank`` asks: all holders but itself, where it is one of them."""
        return tuple(name for name in self.holders if name != bank)

    def to_bytes(self) -> bytes:
        """JSON, for the institution's own store."""
        # Parts are stored as before there were edits, rules, labels or indices where they have none, so that older
        # programs read them.
        left_out = {
            key for key in ("edited", "computed", "label", "warning", "index") if not getattr(self, key)
        }
        return json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "ModelPart":
        """Inverse of `to_bytes`; StoreError where it is damaged."""
        try:
            return cls.model_validate_json(raw)
        except ValidationError:
            raise StoreError(
                "a model's part is damaged; put it back from its copy, or run the study again"
            ) from None
