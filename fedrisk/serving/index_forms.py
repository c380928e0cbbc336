"""What is asked and answered about an operating health index: one form for the command and HTTP."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.serving.messages import MOST_MONTHS, MOST_ROWS, Consent, Id
from fedrisk.serving.score_forms import CHAMPION, ModelUsed, RequestId


class IndexRequest(BaseModel):
    """A request for the index of enterprises.

    Attributes:
        ids: of 1 to 1000 enterprises, none twice.
        months: this one and those before it, 1 to 18. Each counts as a score of the enterprise at the members.
        model: ``champion``: the index that is deployed; else as for scores.
        purpose: empty for the model's. consents: one for each id, or none at all; empty texts where there is none.
        key: the asking program's id of this request: the same again gets the same answers and asks nobody twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_ROWS)]
    months: Annotated[int, Field(ge=1, le=MOST_MONTHS)] = MOST_MONTHS
    model: Annotated[str, StringConstraints(min_length=1, max_length=80)] = CHAMPION
    purpose: Annotated[str, StringConstraints(max_length=64)] = ""
    consents: Annotated[tuple[Consent, ...], Field(max_length=MOST_ROWS)] = ()
    key: RequestId | None = None

    @model_validator(mode="after")
    def _fits(self) -> "IndexRequest":
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("an id stands twice; ask about each enterprise once")
        if self.consents and len(self.consents) != len(self.ids):
            raise ValueError("one consent for each id, or none at all")
        return self


class IndexMonth(BaseModel):
    """The index of one month.

    ago: months before this one. index: 0 to 100, 100 is the healthiest. themes: points of each theme, where the model
    gives several sums; higher is healthier, and a difference says what moved the index.
    """

    model_config = ConfigDict(frozen=True)

    ago: int
    index: int
    themes: dict[str, int] = Field(default_factory=dict)


class ScaleShown(BaseModel):
    """What an index is a percentile of: enterprises of the study, and how far its scale may be wrong."""

    model_config = ConfigDict(frozen=True)

    study: str
    made: str
    enterprises: int
    error: float = Field(description="points of the index by which the scale may be wrong, at most (95 %)")
    moving: tuple[str, ...] = Field(description="columns that are known month by month, as MEMBER.COLUMN")
    still: tuple[str, ...] = Field(description="columns that count in every month as they are now")


class IndexAnswer(BaseModel):
    """The answer about one enterprise.

    Attributes:
        id: as it was asked. code: empty, or why there is no index; words: the same as a sentence, or that fewer months
            are told than were asked for. members: codes by member, where members give nothing.
        months: this one first; none where there is a code. Months that members do not tell are left out. asked: how
            many were asked for.
        notice: what a reader must know, for instance that a model has no privacy.
        made: when, in seconds since 1970 UTC.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    code: str = ""
    words: str = ""
    members: dict[str, str] = Field(default_factory=dict)
    model: ModelUsed
    months: tuple[IndexMonth, ...] = ()
    asked: int = 1
    notice: str | None = None
    made: float = 0.0

    @property
    def index(self) -> int | None:
        """Of this month."""
        return self.months[0].index if self.months else None

    def change(self, months: int) -> int | None:
        """Points by which the index rose in so many months; None where they are not told."""
        if len(self.months) <= months:
            return None
        return self.months[0].index - self.months[months].index

    def moved(self, months: int = 1) -> dict[str, int]:
        """Points by which each theme rose in so many months, the one that moved most first; empty where not told."""
        if len(self.months) <= months:
            return {}
        now, then = self.months[0].themes, self.months[months].themes
        rose = {name: now[name] - then[name] for name in now}
        return dict(sorted(rose.items(), key=lambda item: (-abs(item[1]), item[0])))


class IndexBody(BaseModel):
    """Answers in the order in which enterprises were asked about, and their scale."""

    answers: tuple[IndexAnswer, ...]
    scale: ScaleShown
