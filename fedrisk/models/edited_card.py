"""An edited card with its history: what was changed, why and by whom, when, and from which card to which.

Each entry names the digests of the card before it and after it, of the release record that all of it follows from, and
of the entry before; so an entry that is changed, left out or put elsewhere is seen. That the last entries were not cut
off, only who has a later copy can say. An original card is never changed: this is another file beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.scorecard import Scorecard

FORMAT = 1
"""Of the stored form."""

FILE = "edited_card.json"

MOST_ENTRIES = 1000
"""Most edits of one card."""

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class EditEntry:
    """One edit in the history of a card.

    Attributes:
        number: 1 for the first. edit: what was done, why and by whom. time: UTC, ISO 8601.
        record: digest of the release record. before, after: SHA-256 of the card's JSON before and after it;
            given: of the card by which holders give points, after it.
        costs: what it was said to cost when it was made, plain figures (recipes/scorecard/edit_report).
        previous: digest of the entry before; empty for the first.
    """

    number: int
    edit: CardEdit
    time: str
    record: str
    before: str
    after: str
    given: str
    costs: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {**vars(self), "edit": self.edit.to_dict(), "costs": dict(self.costs)}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the whole entry."""
        return _sha(json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False))


@dataclass(frozen=True, kw_only=True)
class EditedCard:
    """A card after its edits.

    Attributes:
        study, attempt: of the study that made the card.
        first: the card before its calibration, by which holders give points.
        card: as it is read: calibrated, on its scale.
        history: all edits, the oldest first; empty for a card as its study made it.
    """

    study: str
    attempt: str
    first: Scorecard
    card: Scorecard
    history: tuple[EditEntry, ...] = ()

    @property
    def edits(self) -> tuple[CardEdit, ...]:
        """All edits, the oldest first."""
        return tuple(entry.edit for entry in self.history)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the card as it is stored in ``scorecard.json``."""
        return card_digest(self.card)

    def broken(self) -> list[str]:
        """What of the history does not fit, in words; empty where all digests do."""
        out, previous, card = [], "", None
        for place, entry in enumerate(self.history, 1):
            wrong = {
                "its number": entry.number == place,
                "the digest of the entry before": entry.previous == previous,
                "the card before it": card in (None, entry.before),
                "the release record": entry.record == self.history[0].record,
            }
            out += [f"edit {place}: {what} is another one" for what, fits in wrong.items() if not fits]
            previous, card = entry.digest, entry.after
        if self.history and card != self.digest:
            out.append("the card is not the one after its last edit")
        if self.history and self.history[-1].given != card_digest(self.first):
            out.append("the card by which holders give points is not the one after the last edit")
        return out

    def to_json(self) -> str:
        """The file."""
        plain = {
            "format": FORMAT,
            "study": self.study,
            "attempt": self.attempt,
            "first": json.loads(self.first.to_json()),
            "card": json.loads(self.card.to_json()),
            "history": [{**e.to_dict(), "digest": e.digest} for e in self.history],
        }
        return json.dumps(plain, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> EditedCard:
        """Inverse of :meth:`to_json`; ConfigError where it is malformed, or of a later format.

        Digests are not looked at: see :meth:`broken`.
        """
        try:
            plain = json.loads(text)
            if type(plain["format"]) is not int or plain["format"] < 1:
                raise ValueError
            if plain["format"] > FORMAT:
                raise ConfigError(
                    f"edited card: format is {plain['format']}, this program reads {FORMAT}; upgrade fedrisk"
                )
            if not isinstance(plain["history"], list) or len(plain["history"]) > MOST_ENTRIES:
                raise ValueError
            return cls(
                study=_line(plain["study"]),
                attempt=_line(plain["attempt"]),
                first=Scorecard.from_json(json.dumps(plain["first"])),
                card=Scorecard.from_json(json.dumps(plain["card"])),
                history=tuple(_entry(e) for e in plain["history"]),
            )
        except ConfigError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise ConfigError("edited card: the file is none, or damaged; take another copy") from None


def _entry(plain: Mapping[str, Any]) -> EditEntry:
    parts = {k: v for k, v in plain.items() if k != "digest"}
    entry = EditEntry(**{**parts, "edit": CardEdit.from_dict(parts["edit"])})
    digests = [entry.record, entry.before, entry.after, entry.given]
    digests += [entry.previous] if entry.number != 1 or entry.previous else []
    if type(entry.number) is not int or not _TIME.fullmatch(entry.time):
        raise ValueError
    if not all(_SHA.fullmatch(digest) for digest in digests):
        raise ValueError
    _check_costs(entry.costs)
    if plain.get("digest") != entry.digest:
        raise ConfigError(
            f"edited card: edit {entry.number} was changed after it was made (its digest is another one); take another "
            "copy"
        )
    return entry


def _line(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError
    return text


def _check_costs(costs: Mapping[str, Any]) -> None:
    """ValueError, KeyError or TypeError where costs are not of the form in which they are shown; there may be none."""
    if not costs:
        return
    held = costs["holdout"]
    rows = [costs["auc"][name] for name in ("change", "low", "high")]
    rows += [] if held is None else [held["auc"], held["error"]]
    for name in ("mean_probability", "spread", "features"):
        before, after = costs[name]
        rows += [before, after]
    for name, (before, after) in costs["information"].items():
        rows += [before, *(() if after is None else (after,))]
        _line(name)
    for point in costs["points"]:
        rows += [point["before"], *(() if point["after"] is None else (point["after"],))]
        _line(point["feature"])
    if any(type(v) not in (int, float) or not math.isfinite(v) for v in rows):
        raise ValueError


def card_digest(card: Scorecard) -> str:
    """SHA-256 (hex) of a card's JSON with a line's end, as ``sha256sum scorecard.json`` has it."""
    return _sha(card.to_json() + "\n")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
