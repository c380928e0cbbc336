"""An outcome of a data dictionary, which only a bank knows: default within a year, distress, thirty days late."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fedrisk.data.text import Codes, Value, canonical
from fedrisk.file_rules import Stated, refuse
from fedrisk.study import DEFAULT_LABEL


class Label(BaseModel, metaclass=Stated):
    """An outcome, which only a bank knows.

    A bank may have several, by ``name``: default within twelve months, distress, thirty days late. A study is about
    one of them. ``horizon`` says what counts and over which time, ``meaning`` (``meaning_zh`` in Chinese) what it is
    called among people: both are told to all members.

    ``positive`` lists the values that mean default and ``negative`` those that mean no default. A row with
    any other value, or with none, has no label: it is counted, scored like all others, and trained on by nobody.
    With both lists empty the column is itself a number in [0, 1], or missing where there is no label. ``selection``
    states for whom labels exist. ``weight`` names a column of selection weights in [0, 1] (larger weights would raise
    the sensitivity of every sum). ``drafted``: as in a column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(default=DEFAULT_LABEL, pattern=r"^[a-z][a-z0-9_]{0,47}$")
    column: str = Field(min_length=1)
    positive: tuple[Value, ...] = ()
    negative: tuple[Value, ...] = ()
    horizon: str = Field(min_length=1)
    meaning: str = ""
    meaning_zh: str = ""
    weight: str | None = None
    selection: str = "labels exist for approved borrowers only"
    drafted: bool = Field(default=False, exclude=True)

    @model_validator(mode="after")
    def _rules(self) -> Label:
        problems = []
        if any(isinstance(v, str) and not v.strip() for v in (*self.positive, *self.negative)):
            problems.append(
                "positive or negative lists an empty text, and an empty cell is no label; write the outcome into the "
                "table (a query can: COALESCE(column, 'no'))"
            )
        if bool(self.positive) != bool(self.negative):
            problems.append(
                "positive and negative are given together or not at all; list the values of both, or leave "
                "both out if the column is a number in [0, 1]"
            )
        if both := _shared(self.positive, self.negative) | _shared(self.negative, self.positive):
            problems.append(
                f"positive and negative share {', '.join(map(repr, sorted(both)))}; a value means one or "
                "the other, so remove it from one list"
            )
        refuse(problems)
        return self

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where it is as usual, so that a dictionary from before there were names keeps its bytes."""
        content: dict[str, Any] = handler(self)
        usual = {"name": DEFAULT_LABEL, "meaning": "", "meaning_zh": ""}
        return {k: v for k, v in content.items() if k not in usual or v != usual[k]}

    def meaning_in(self, language: str) -> str:
        """What it means in a language (ISO 639-1); empty where the dictionary says nothing.

        >>> Label(column="bad", horizon="12 months", meaning="overdue", meaning_zh="逾期").meaning_in("zh")
        '逾期'
        """
        return self.meaning_zh if language == "zh" and self.meaning_zh else self.meaning

    def public(self) -> dict[str, Any]:
        """What others may see of it: nothing of its column or codes."""
        said = {"name": self.name, "meaning": self.meaning, "meaning_zh": self.meaning_zh}
        usual = {"name": DEFAULT_LABEL, "meaning": "", "meaning_zh": ""}
        return {
            "horizon": self.horizon,
            "selection": self.selection,
            "weighted": self.weight is not None,
            **{k: v for k, v in said.items() if v != usual[k]},
        }


def _shared(one: tuple[Value, ...], other: tuple[Value, ...]) -> set[str]:
    """Values of one list that the other has too, as texts."""
    codes = Codes(other)
    return {canonical(v) for v in one if codes.place(canonical(v)) is not None}
