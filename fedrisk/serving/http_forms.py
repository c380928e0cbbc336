"""Forms of the HTTP service, with examples for its description."""

from typing import Annotated, Any, Final, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.serving.grades import grade
from fedrisk.serving.index_forms import IndexRequest
from fedrisk.serving.messages import MOST_MONTHS, MOST_ROWS, Consent, Id
from fedrisk.serving.score_forms import (
    CHAMPION,
    Ages,
    Application,
    ModelShown,
    ModelUsed,
    RequestId,
    ScoreAnswer,
    ScoreRequest,
    Value,
)
from fedrisk.serving.words import chance, of_code, of_members


class Enterprise(BaseModel):
    """One enterprise that is asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[Id, Field(description="As the bank writes it, for example a unified social credit code.")]
    consent: Annotated[
        Consent,
        Field(description="A token of a register of consents, or a reference to one; empty for none."),
    ] = ""
    values: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], Value] | None,
        Field(
            max_length=1000,
            description="The bank's own columns, for an enterprise that is not in its table. GET /v1/models has them.",
        ),
    ] = None
    application: Annotated[
        Application | None,
        Field(description="What it applies for, where the bank's table of decisions is asked."),
    ] = None


class ScoresAsked(BaseModel):
    """A request for scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enterprises: Annotated[tuple[Enterprise, ...], Field(min_length=1, max_length=MOST_ROWS)]
    model: Annotated[
        str,
        StringConstraints(min_length=1, max_length=80),
        Field(
            description="champion, the first digits of a model's id (at least 4), or the name of its study."
        ),
    ] = CHAMPION
    purpose: Annotated[
        str,
        StringConstraints(max_length=64),
        Field(description="What the scores are for; empty for the model's."),
    ] = ""
    product: Annotated[
        str,
        StringConstraints(max_length=64),
        Field(description="Of the bank. With one, its table of decisions gives advice."),
    ] = ""

    @model_validator(mode="after")
    def _once(self) -> "ScoresAsked":
        if len({e.id for e in self.enterprises}) < len(self.enterprises):
            raise ValueError("an id stands twice; ask about each enterprise once")
        return self

    def as_request(self, key: RequestId | None) -> ScoreRequest:
        """As the service takes it; key: the loan system's id of the request."""
        rows = self.enterprises
        return ScoreRequest(
            ids=tuple(e.id for e in rows),
            model=self.model,
            purpose=self.purpose,
            product=self.product,
            consents=tuple(e.consent for e in rows),
            values={k: e.values for k, e in enumerate(rows) if e.values is not None},
            applications={k: e.application for k, e in enumerate(rows) if e.application is not None},
            key=key,
        )


class IndexEnterprise(BaseModel):
    """One enterprise whose index is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[Id, Field(description="As the bank writes it, for example a unified social credit code.")]
    consent: Annotated[
        Consent,
        Field(description="A token of a register of consents, or a reference to one; empty for none."),
    ] = ""


class IndexAsked(BaseModel):
    """A request for the operating health index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enterprises: Annotated[tuple[IndexEnterprise, ...], Field(min_length=1, max_length=MOST_ROWS)]
    months: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_MONTHS,
            description="This month and those before it. Each counts as a score of the enterprise.",
        ),
    ] = MOST_MONTHS
    model: Annotated[
        str,
        StringConstraints(min_length=1, max_length=80),
        Field(description="champion, the first digits of a model's id, or the name of its study."),
    ] = CHAMPION
    purpose: Annotated[str, StringConstraints(max_length=64), Field(description="Empty for the model's.")] = (
        ""
    )

    @model_validator(mode="after")
    def _once(self) -> "IndexAsked":
        if len({e.id for e in self.enterprises}) < len(self.enterprises):
            raise ValueError("an id stands twice; ask about each enterprise once")
        return self

    def as_request(self, key: RequestId | None) -> IndexRequest:
        """As the service takes it; key: the asking program's id of the request."""
        return IndexRequest(
            ids=tuple(e.id for e in self.enterprises),
            consents=tuple(e.consent for e in self.enterprises),
            months=self.months,
            model=self.model,
            purpose=self.purpose,
            key=key,
        )


class ScoresBody(BaseModel):
    """Answers in the order in which enterprises were asked about."""

    answers: tuple[ScoreAnswer, ...]


class ModelsBody(BaseModel):
    """The bank's models, the newest version of a name last."""

    bank: str
    models: tuple[ModelShown, ...]
    products: tuple[str, ...] = Field((), description="of the bank's table of decisions")


class Health(BaseModel):
    """That the service answers; whether members can be reached shows in answers."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="of fedrisk")


class Problem(BaseModel):
    """Why a whole request has no answers (RFC 9457); nothing of the request is repeated."""

    type: str = "about:blank"
    title: str = Field(description="what is wrong, the rule and the remedy, in sentences")
    status: int
    code: str = Field(description="for programs; see the examples")
    detail: str = ""
    places: list[str] = Field(
        default_factory=list, description="where a request is malformed, and by which rule"
    )


_USED = ModelUsed(id="5c1d0e9ab34f7a21", name="small_enterprises", version=3, deployed_as="champion")
_LATE = {"tax": "consent_expired"}

_ANSWERED: Final = ScoreAnswer(
    id="91350100M000100Y43",
    model=_USED,
    score=598,
    probability=0.0342,
    probability_words=chance(0.0342),
    grade=grade(0.0342),
    grade_scale="public",
    reasons=("limit_used", "external data"),
    own_points=21,
    external_points=-14,
    ages=Ages(
        told=True,
        fresh=2,
        aging=1,
        old=0,
        missing=0,
        words="3 of 3 members know it. Records: 2 of the last month, 1 of the last three months.",
    ),
    made=1795708800.0,
)
_REFUSED: Final = ScoreAnswer(
    id="91350100M000100Y43",
    code="consent_expired",
    words=of_members(_LATE),
    members=_LATE,
    model=_USED,
    made=1795708800.0,
)
_NOT_HERE: Final = ScoreAnswer(
    id="91350100M000100Y43", code="own_row", words=of_code("own_row"), model=_USED, made=1795708800.0
)


def _shown(summary: str, answer: ScoreAnswer) -> dict[str, Any]:
    return {"summary": summary, "value": {"answers": [answer.model_dump(mode="json")]}}


EXAMPLE_ANSWERS: Final[dict[str, Any]] = {
    "scored": _shown("A score", _ANSWERED),
    "refused": _shown("No score: a member refuses the consent", _REFUSED),
    "not_here": _shown("No score: no customer, and no values were given", _NOT_HERE),
}

EXAMPLES: Final = Body(
    openapi_examples={
        "customer": {
            "summary": "A customer of the bank, with a consent",
            "value": {
                "enterprises": [{"id": "91350100M000100Y43", "consent": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"}],
                "purpose": "credit_scoring",
            },
        },
        "applicant": {
            "summary": "An applicant who is no customer, with the bank's own columns and what it applies for",
            "value": {
                "enterprises": [
                    {
                        "id": "91350100M000100Y43",
                        "consent": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
                        "values": {"limit_used": 0.4, "days_late": 0, "secured": True},
                        "application": {"amount": 300000, "months": 12, "turnover": 2500000},
                    }
                ],
                "product": "working_capital",
            },
        },
    }
)
