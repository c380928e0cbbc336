"""Who saw what, from the audit trails of a run; and whether the institutions' trails agree.

Each institution writes down what it sent to another and what it received, with digest, size and kind; the hub
only relays. So what A says that it sent to B must be what B says that it received from A. Verify every trail, or every
signed table (``table``), before it is compared: this module takes entries and lines of tables as they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fedrisk.audit.usage import price
from fedrisk.errors import ConfigError

SHOWS = ("answer", "sent", "release", "refusal", "score")
"""Events by which somebody sees something."""


class Said(Protocol):
    """What is compared of an entry of a trail (``AuditEntry``) or of a line of a signed table (``TableLine``)."""

    @property
    def format(self) -> int:
        """The format that its kind is of."""
        ...

    @property
    def index(self) -> int:
        """Its place in the trail."""
        ...

    @property
    def institution(self) -> str:
        """Whose trail it is in."""
        ...

    @property
    def attempt(self) -> str:
        """The attempt at a study."""
        ...

    @property
    def event(self) -> str:
        """What happened."""
        ...

    @property
    def counterparty(self) -> str:
        """To whom, or from whom."""
        ...

    @property
    def kind(self) -> str:
        """The kind of thing."""
        ...

    @property
    def protection(self) -> str:
        """How it was protected."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        ...

    @property
    def bytes(self) -> int:
        """Its size."""
        ...

    @property
    def spend(self) -> dict[str, Any] | None:
        """What it charges: ``mu`` and ``research``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """One thing on which two trails do not agree.

    what: ``missing`` (the sender says sent, the receiver does not say received), ``extra`` (the other way
    round), or ``different`` (both name something, of another digest, size or kind). sent: the sender's entry,
    None where the thing is extra. received: the receiver's entry, None where the thing is missing.
    """

    attempt: str
    sender: str
    receiver: str
    what: Literal["missing", "extra", "different"]
    sent: Said | None
    received: Said | None

    @property
    def differs(self) -> tuple[str, ...]:
        """Which of ``digest``, ``bytes``, ``kind`` the two entries differ in; empty unless ``different``."""
        if self.sent is None or self.received is None:
            return ()
        return _differs(self.sent, self.received)


@dataclass(frozen=True, kw_only=True)
class DisclosureRow:
    """What one institution let a counterparty see of one kind: how protected, at what price, how much.

    mu: root of the sum of squares of the spends (Dong, Roth & Su 2022). bytes, count: summed over entries.
    """

    institution: str
    counterparty: str
    kind: str
    protection: str
    mu: float
    bytes: int
    count: int


def crosscheck(logs: Mapping[str, Sequence[Said]], attempt: str) -> list[Disagreement]:
    """Compare the trails of an attempt, each under its institution's name; an empty list if all agree.

    Only pairs of which both trails are there can be compared. The same thing relayed twice counts once, since
    a hub that asks again after a lost message shows nothing new. Kinds are compared between entries of one
    format only: the two formats name the same kind in different ways. ConfigError if a trail holds entries of
    another institution.
    """
    sent: dict[tuple[str, str], list[Said]] = defaultdict(list)
    received: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for name, entries in logs.items():
        for entry in entries:
            if entry.institution != name:
                raise ConfigError(
                    f"the trail given for {name} holds an entry of {entry.institution}; give each trail "
                    "under the name of its own institution"
                )
            if entry.attempt != attempt or entry.counterparty not in logs:
                continue
            if entry.event == "sent":
                sent[name, entry.counterparty].append(entry)
            elif entry.event == "received":
                received[entry.counterparty, name].append(entry)
    found: list[Disagreement] = []
    for pair in sorted(sent.keys() | received.keys()):
        found += _compare(attempt, pair, sent[pair], received[pair])
    return found


def disclosures(entries: Iterable[Said], attempt: str) -> list[DisclosureRow]:
    """Who saw what in an attempt, from the entries of one institution or of several.

    Answers, things sent, releases, refusals and scores that name a ``kind``. An answer whose whole content is
    in other entries names none, so that nothing is in the table twice. Sorted by institution, counterparty,
    kind, protection.
    """
    groups: dict[tuple[str, str, str, str], list[Said]] = defaultdict(list)
    for entry in entries:
        if entry.attempt == attempt and entry.event in SHOWS and entry.kind:
            groups[entry.institution, entry.counterparty, entry.kind, entry.protection].append(entry)
    return [
        DisclosureRow(
            institution=institution,
            counterparty=counterparty,
            kind=kind,
            protection=protection,
            mu=math.hypot(*(price(entry) for entry in group)),
            bytes=sum(entry.bytes for entry in group),
            count=len(group),
        )
        for (institution, counterparty, kind, protection), group in sorted(groups.items())
    ]


def _compare(
    attempt: str, pair: tuple[str, str], sent: list[Said], received: list[Said]
) -> list[Disagreement]:
    """Equal things cancel out; of the rest, those alike in digest, else in kind, are the same one changed."""
    gone, come = _distinct(sent), _distinct(received)
    left = [entry for what, entry in gone.items() if what not in come]
    right = [entry for what, entry in come.items() if what not in gone]
    found: list[Disagreement] = []

    def add(what: Literal["missing", "extra", "different"], one: Said | None, other: Said | None) -> None:
        found.append(
            Disagreement(
                attempt=attempt, sender=pair[0], receiver=pair[1], what=what, sent=one, received=other
            )
        )

    for name in ("digest", "kind"):
        for one in list(left):
            alike = getattr(one, name)
            other = next((e for e in right if alike and getattr(e, name) == alike), None)
            if other is not None:
                left.remove(one)
                right.remove(other)
                if _differs(one, other):
                    add("different", one, other)
    for entry in left:
        add("missing", entry, None)
    for entry in right:
        add("extra", None, entry)
    return found


def _distinct(entries: Iterable[Said]) -> dict[tuple[str, int, str], Said]:
    """Each thing once, under its digest, size and kind; the first entry of it counts."""
    things: dict[tuple[str, int, str], Said] = {}
    of_content: dict[tuple[str, int], list[Said]] = defaultdict(list)
    for entry in entries:
        alike = of_content[entry.digest, entry.bytes]
        if all(_differs(entry, other) for other in alike):
            alike.append(entry)
            things[entry.digest, entry.bytes, entry.kind] = entry
    return things


def _differs(one: Said, other: Said) -> tuple[str, ...]:
    """Names of the fields in which two entries say different things of what went between two institutions."""
    compared = ("digest", "bytes", "kind") if one.format == other.format else ("digest", "bytes")
    return tuple(name for name in compared if getattr(one, name) != getattr(other, name))
