"""What every export says of itself: which card it is, of which study, and what its reader must know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import fedrisk
from fedrisk.models.scorecard import Scorecard


@dataclass(frozen=True)
class About:
    """Facts of an exported card.

    Attributes:
        study: name of its study.
        part: whose part: ``bank``, a holder's name, or ``whole card``.
        digest: SHA-256 of the stored card.
        version: of fedrisk that wrote the export.
        notice: for instance that the card is of a research run, without privacy; None where there is nothing to say.
        calibrated: whether its scale was fitted to training rows.
        edits: what was changed after release, one line each, in order.
    """

    study: str
    part: str
    digest: str
    version: str
    notice: str | None
    calibrated: bool
    edits: tuple[str, ...]

    @classmethod
    def of(cls, card: Scorecard, part: str) -> About:
        """Of a card."""
        return cls(
            study=card.study,
            part=part,
            digest=hashlib.sha256(card.to_json().encode()).hexdigest(),
            version=fedrisk.__version__,
            notice=None if card.notice is None else one_line(card.notice),
            calibrated=card.calibration is not None,
            edits=tuple(_said(edit) for edit in getattr(card, "edits", None) or ()),
        )

    def facts(self) -> dict[str, str]:
        """Name and text of each fact, for formats that keep such pairs."""
        out = {"study": self.study, "part": self.part, "card_digest": self.digest}
        out |= {"fedrisk": self.version, "calibrated": "yes" if self.calibrated else "no"}
        out |= {f"edit_{k}": text for k, text in enumerate(self.edits, start=1)}
        return out | ({"notice": self.notice} if self.notice else {})

    def lines(self) -> list[str]:
        """The same as lines of text, for a comment at the top of a file."""
        out = [
            f"Scorecard of study {self.study}, part: {self.part}",
            f"Card {self.digest}",
            f"Written by fedrisk {self.version}",
        ]
        if self.notice:
            out.append(f"NOTICE: {self.notice}")
        if not self.calibrated:
            out.append("NOTICE: the card is not calibrated; its probabilities are a first estimate")
        return out + [f"Edit {k}: {text}" for k, text in enumerate(self.edits, start=1)]


def one_line(text: str) -> str:
    """A text as one printable line, which cannot end a comment or begin another.

    >>> one_line("a\\nb */ -- c")
    'a b * / -- c'
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.replace("*/", "* /").replace('"""', "'''").split())


def _said(edit: Any) -> str:
    """One edit of a card, in words."""
    parts = [str(getattr(edit, key)) for key in ("what", "reason", "author", "day") if getattr(edit, key, None)]
    return one_line("; ".join(parts) or str(edit))
