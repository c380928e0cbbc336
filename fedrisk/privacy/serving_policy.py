"""What an institution allows of models that serve: who gets scores from it, how many, and with whose consent."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.study import Name


class Register(BaseModel):
    """A register of consents whose tokens are taken. key: its Ed25519 public key, 64 hexadecimal digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class MeasureRule(BaseModel):
    """A sum across institutions in which this one takes part.

    measure: its name, or a pattern with *. banks: who may ask. per_month: most enterprises a bank asks about in a
    calendar month. least_members: fewest institutions behind the sum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    banks: tuple[Name, ...]
    per_month: Annotated[int, Field(ge=1)] = 1000
    least_members: Annotated[int, Field(ge=1)] = 3


class ServingPolicy(BaseModel):
    """Rules of one institution for models that serve ([policy.serving]).

    approve: ``by_hand``, or ``own_parts``: a model whose part here follows from this institution's own study is
        approved by itself once it passes all checks.
    models: most models that one bank may be served with at once, champion and challengers together.
    purposes: for which scores are given; None takes policy.purposes.
    consent: ``token`` of a pinned register, ``reference``, which is noted in the trail and proves nothing, or ``none``.
    registers: whose tokens are taken. consent_days: longest validity of a token that is taken.
    per_day: most enterprises that one bank gets scores of in a day (UTC).
    per_enterprise: most scores of one enterprise that one bank gets within 30 days.
    screening: most enterprises of lists that one bank looks through in a calendar month; 0 allows no lists.
    ages: whether a bank may learn how many members knew an enterprise and how old their data were. ``several``: only
        with three members or more, in whose count one hides among the others.
    measures: sums across institutions in which this one takes part; none where it is empty.
    answers_days: at a bank, days for which its node keeps what it answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    approve: Literal["by_hand", "own_parts"] = "by_hand"
    models: Annotated[int, Field(ge=0)] = 2
    purposes: tuple[str, ...] | None = None
    consent: Literal["token", "reference", "none"] = "token"
    registers: tuple[Register, ...] = ()
    consent_days: Annotated[int, Field(ge=1)] = 366
    per_day: Annotated[int, Field(ge=0)] = 20_000
    per_enterprise: Annotated[int, Field(ge=1)] = 31
    screening: Annotated[int, Field(ge=0)] = 0
    ages: Literal["never", "several", "always"] = "several"
    measures: tuple[MeasureRule, ...] = ()
    answers_days: Annotated[int, Field(ge=1)] = 1827

    @model_validator(mode="after")
    def _one_key_each(self) -> "ServingPolicy":
        names, keys = [r.name for r in self.registers], [r.key for r in self.registers]
        if len(set(names)) < len(names) or len(set(keys)) < len(keys):
            raise ValueError("policy.serving.registers names a register or a key twice; name each once")
        return self
