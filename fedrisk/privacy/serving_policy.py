"""What an institution allows of models that serve: who gets scores from it, how many, and with whose consent."""

from collections import Counter
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.secure.weak_points import weak
from fedrisk.study_sections import Name

MONITORING = "portfolio_monitoring"
"""Purpose of scores of a bank's own loans while they run."""

KEYS_OF_A_REGISTER = 3
"""Most keys of one register at a time: an old one, its successor, and one in reserve."""


OWN_INFORMATION = "own_information"
"""Purpose of what an enterprise asks about itself, through its agent."""


class Register(BaseModel):
    """A key of a register of consents whose tokens are taken.

    name: as it stands in tokens (``iss``). key: its Ed25519 public key, 64 hexadecimal digits. until: last day (UTC) on
    which tokens signed with this key are taken. A register that changes its key has an entry for each of them, the old
    one with ``until``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    until: date | None = None

    @model_validator(mode="after")
    def _of_a_signer(self) -> "Register":
        if weak(bytes.fromhex(self.key)):
            raise ValueError(
                "key is none that a register has, since anybody could sign under it, or nobody; ask the register for "
                "its key by telephone and put that in"
            )
        return self


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
    per_enterprise: most scores of one enterprise that one bank gets within 30 days, and most answers of one measure.
    screening: most enterprises of lists that one bank looks through in a calendar month; 0 allows no lists.
    monitoring: most scores of loans that run which one bank gets in a calendar month, by any model it is served with,
        under the purpose portfolio_monitoring, which ``purposes`` has to name; 0 allows none. No lists that a bank
        looks through, and of an index one month.
    monitoring_consent: what has to come with these; None asks for what ``consent`` says.
    index_months: most months of an operating health index in one answer, this one and those before it. Each counts as a
        score of the enterprise (per_day, per_enterprise).
    agents: institutions, agents in the list of members, that may ask, for enterprises themselves, for an index that
        this one answers (docs/health-index.md): of an enterprise whose token names the agent and the purpose
        own_information, whatever ``consent`` says. None where it is empty.
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
    monitoring: Annotated[int, Field(ge=0)] = 0
    monitoring_consent: Literal["token", "reference", "none"] | None = None
    index_months: Annotated[int, Field(ge=1, le=18)] = 1
    agents: tuple[Name, ...] = ()
    ages: Literal["never", "several", "always"] = "several"
    measures: tuple[MeasureRule, ...] = ()
    answers_days: Annotated[int, Field(ge=1)] = 1827

    @model_validator(mode="after")
    def _keys_apart(self) -> "ServingPolicy":
        keys = [r.key for r in self.registers]
        if len(set(keys)) < len(keys):
            raise ValueError(
                "policy.serving.registers names a key twice; a key belongs to one register, once"
            )
        per_name = Counter(r.name for r in self.registers)
        if any(count > KEYS_OF_A_REGISTER for count in per_name.values()):
            raise ValueError(
                f"policy.serving.registers has more than {KEYS_OF_A_REGISTER} keys of one register; remove old ones"
            )
        return self

    def registers_on(self, day: date) -> tuple[Register, ...]:
        """Registers with the keys whose tokens are taken on a day (UTC)."""
        return tuple(r for r in self.registers if r.until is None or day <= r.until)

    def consent_for(self, purpose: str, *, scores: bool = True) -> Literal["token", "reference", "none"]:
        """What has to come with an enterprise that is asked about for a purpose.

        scores: whether it is asked for a score; a measure has no consents of its own for loans that run.

        >>> rules = ServingPolicy(monitoring=1000, monitoring_consent="reference")
        >>> rules.consent_for("portfolio_monitoring"), rules.consent_for("credit_scoring")
        ('reference', 'token')
        """
        own = self.monitoring_consent if scores and purpose == MONITORING and self.monitoring else None
        return self.consent if own is None else own

    @property
    def consent_words(self) -> str:
        """What has to come with every enterprise, in words."""
        return self.words_of(self.consent)

    def words_of(self, consent: Literal["token", "reference", "none"]) -> str:
        """A rule of consents in words."""
        return {
            "token": f"a token of a pinned register, valid for at most {self.consent_days} days",
            "reference": "a reference, which is noted and proves nothing",
            "none": "NONE IS ASKED FOR",
        }[consent]

    def answers_nobody(self, today: date) -> str:
        """Why no question could ever be answered under these rules, in words; empty where one can.

        >>> ServingPolicy().answers_nobody(date(2026, 1, 1))[:55]
        'policy.serving.consent is "token" and no register is pi'
        """
        watched = self.monitoring > 0 and self.monitoring_consent in ("reference", "none")
        pinned = any(r.until is None or r.until >= today for r in self.registers)
        if self.consent == "token" and not watched and not pinned:
            what = "every key in it is past its last day" if self.registers else "no register is pinned"
            return (
                f'policy.serving.consent is "token" and {what}: every question about scores would be refused; put '
                'the register\'s name and key into policy.serving.registers, or say consent = "reference" or "none"'
            )
        if self.models == 0 or self.per_day == 0:
            return "policy.serving.models or policy.serving.per_day is 0: no scores are given"
        return ""
