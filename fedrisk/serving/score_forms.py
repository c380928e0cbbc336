"""What a loan system asks a bank's node, and what it is answered: one form for Python, HTTP and gRPC."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.errors import FedriskError
from fedrisk.serving.messages import MOST_ROWS, Consent, Id
from fedrisk.serving.words import of_code

CHAMPION = "champion"
"""Asks for whatever model is deployed as champion."""

Value = str | int | float | bool | None
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class ServiceError(FedriskError):
    """A whole request of a loan system that has no answers; ``reason`` is a code of codes.SERVICE.

    detail: what the sentence leaves open, as names of models; never content of the request.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{of_code(reason)}{f' {detail}' if detail else ''}")
        self.reason, self.detail = reason, detail


class Application(BaseModel):
    """What an enterprise applies for, for the bank's own table of decisions (serving/decisions).

    amount: in the product's currency; months: the term; turnover: of a year; green: whether it is flagged as green;
    measures: sums across institutions by name, as exposure at other banks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] | None = None
    months: Annotated[int, Field(ge=1, le=1200)] | None = None
    turnover: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] | None = None
    green: bool = False
    measures: dict[
        Annotated[str, StringConstraints(max_length=64)], Annotated[float, Field(allow_inf_nan=False)]
    ] = Field(default_factory=dict, max_length=50)


class ScoreRequest(BaseModel):
    """A request: enterprises, and what their scores are for.

    Attributes:
        ids: of 1 to 1000 enterprises, none twice.
        model: first digits of a model's id, the name of its study, or ``champion``.
        purpose: empty for the model's. product: of the bank; with one, its table of decisions gives advice.
        applications: what is applied for, by position of the id.
        consents: one for each id, or none at all; empty texts where there is none.
        values: the bank's own columns by position of the id, in place of its table's row: an applicant is no customer.
        screening: whether it is a list that the bank looks through.
        key: the loan system's id of this request: the same again gets the same answers and asks nobody twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_ROWS)]
    model: Annotated[str, StringConstraints(min_length=1, max_length=80)] = CHAMPION
    purpose: Annotated[str, StringConstraints(max_length=64)] = ""
    product: Annotated[str, StringConstraints(max_length=64)] = ""
    applications: dict[int, Application] = Field(default_factory=dict)
    consents: Annotated[tuple[Consent, ...], Field(max_length=MOST_ROWS)] = ()
    values: dict[int, dict[str, Value]] = Field(default_factory=dict)
    screening: bool = False
    key: RequestId | None = None

    @model_validator(mode="after")
    def _fits(self) -> "ScoreRequest":
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("an id stands twice; ask about each enterprise once")
        if self.consents and len(self.consents) != len(self.ids):
            raise ValueError("one consent for each id, or none at all")
        if any(not 0 <= row < len(self.ids) for row in (*self.values, *self.applications)):
            raise ValueError("values or applications are for a row that is not there")
        for given in self.values.values():
            if any(isinstance(v, float) and not math.isfinite(v) for v in given.values()):
                raise ValueError("values are finite numbers")
        return self


class ModelUsed(BaseModel):
    """Which model gave an answer."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    version: int
    deployed_as: str = Field(description="champion or challenger; file: an index that a bank gave out")


class Ages(BaseModel):
    """How many of the members behind a score knew the enterprise, and how old their records are; never which member.

    Where ``told`` is false, all counts are None: the members' policies say whether a bank learns them.
    """

    model_config = ConfigDict(frozen=True)

    told: bool
    fresh: int | None = Field(None, description="at most 31 days old")
    aging: int | None = Field(None, description="at most 92 days old")
    old: int | None = Field(None, description="older")
    missing: int | None = Field(None, description="not known, or older than the model takes")
    words: str = ""


class ScoreAnswer(BaseModel):
    """The answer about one enterprise: a score with what explains it, or a code and a sentence.

    Attributes:
        id: as it was asked. code: empty, or why there is no score; words: the same as a sentence.
        members: codes by member, where members give nothing.
        score: whole points, higher is safer. probability: of default.
        grade: of the bank's own table of decisions (grade_scale "bank"), else of the public scale (serving/grades).
        reasons: what speaks most against it: the bank's own columns, and "external data" for all that others know.
        own_points, external_points: the score's parts, beside the base.
        own_probability: by the bank's own model beside the card, where it keeps one.
        ages: of the members' records. own_day: date of the bank's own row. missing: own columns without a value.
        decision: what the bank's own table of decisions advises.
        notice: what a reader must know, for instance that a model has no privacy.
        made: when, in seconds since 1970 UTC.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    code: str = ""
    words: str = ""
    members: dict[str, str] = Field(default_factory=dict)
    model: ModelUsed
    score: int | None = None
    probability: float | None = None
    probability_words: str = ""
    grade: str | None = None
    grade_scale: Literal["bank", "public"] | None = None
    reasons: tuple[str, ...] = ()
    own_points: int | None = None
    external_points: int | None = None
    own_probability: float | None = None
    ages: Ages | None = None
    own_day: str | None = None
    missing: tuple[str, ...] = ()
    decision: dict[str, Any] | None = None
    notice: str | None = None
    made: float = 0.0


class ModelShown(BaseModel):
    """A model of this bank, as a loan system may choose it, with the scale on which its scores lie.

    low, high: scores between which nearly all enterprises are. columns: the bank's own columns in it, which may be
    given as values. holders: who answers beside the bank. horizon: what default means, in the bank's words.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    version: int
    state: str
    deployed_as: str | None
    purpose: str
    made: str
    holders: tuple[str, ...]
    columns: tuple[dict[str, Any], ...]
    low: int
    high: int
    mean: int
    horizon: str = ""
    notice: str | None = None
