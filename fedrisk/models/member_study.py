"""One study as a member of it sees it from its own store: what left it, what it cost, and what the study released.

It is gathered at the member (clients/member_study). Nothing of it is another member's: the card and the released sums
are public to the study's members, all else is the institution's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fedrisk.models.knowledge import PastStudy
from fedrisk.models.scorecard import Scorecard


@dataclass(frozen=True, kw_only=True)
class Moved:
    """One thing that left, or came in, of the audit trail: when, with whom, codes of kind and protection, size, price.

    mu: 0 where nothing is charged, infinite without privacy. rows: length of the public list it was computed on.
    """

    time: str
    other: str
    kind: str
    protection: str
    bytes: int
    rows: int
    mu: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The privacy budget in mu: cap, spent and left of this period, for life, and how much a study may cost at most.

    first, end: first day of the period and of the next one; None under a cap for life. research: studies' releases
    without privacy, which charge nothing.
    """

    cap: float
    spent: float
    left: float
    lifetime: float
    most_epsilon: float
    first: date | None = None
    end: date | None = None
    research: int = 0


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model of the study that serves, or could: id, state, product by role, who may ask, and each change with who.

    bits: most that one answer tells a bank of an enterprise, with the ages of records (models/told_bits); None of what
    gives no points.
    """

    model: str
    version: int
    state: str
    roles: Mapping[str, str]
    banks: tuple[str, ...]
    bits: float | None
    changes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who decided on the study, when (UTC), and by what: a person, a standing rule, the policy or the hub."""

    state: str
    by: str
    who: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """The audit trail: entries, hash of the last one, the institution's key, and whose heads it keeps (with counts)."""

    entries: int
    head: str
    key: str
    witnessed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MemberStudy:
    """A study at one of its members.

    Attributes:
        institution: the member, by its name in studies; role: what its columns are called in the card.
        study: as it was described. when: it began here, ISO 8601.
        mu: what the attempt was charged, the dearer of training and hold-out. left, came: in the order of the trail.
        scored: enterprises of which each bank has scores. budget: of the institution, now.
        card: the scorecard that was told; None of another recipe, or once the attempt is forgotten.
        released: what the study released; None where nothing is kept.
        meanings: of own columns. models, approval: of this study. rules: the most that its serving policy lets out.
        quotas: where the member is the key authority, agreed and used ids by institution.
    """

    institution: str
    role: str
    study: Mapping[str, Any]
    attempt: str
    when: str
    research: bool
    mu: float
    left: tuple[Moved, ...]
    came: tuple[Moved, ...]
    scored: Mapping[str, int]
    budget: Budget
    card: Scorecard | None = None
    released: PastStudy | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Served, ...] = ()
    approval: Approval | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    quotas: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)
    signatures: Signatures | None = None

    @property
    def name(self) -> str:
        """Of the study."""
        return str(self.study.get("name", ""))
