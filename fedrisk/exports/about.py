"""What every export says of itself: which card it is, of which study, and what its reader must know."""

from __future__ import annotations

from dataclasses import dataclass

import fedrisk
from fedrisk.models.edited_card import EditedCard, EditEntry, card_digest
from fedrisk.models.scorecard import Scorecard


@dataclass(frozen=True)
class About:
    """Facts of an exported card.

    Attributes:
        study: name of its study.
        part: whose part: ``bank``, a holder's name, or ``whole card``.
        digest: SHA-256 of ``scorecard.json``.
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
    def of(cls, source: Scorecard | EditedCard, part: str) -> About:
        """Of a card; with its edits, where these are known."""
        card, history = (source.card, source.history) if isinstance(source, EditedCard) else (source, ())
        return cls(
            study=one_line(card.study),
            part=one_line(part),
            digest=card_digest(card),
            version=fedrisk.__version__,
            notice=None if card.notice is None else one_line(card.notice),
            calibrated=card.calibration is not None,
            edits=tuple(_said(entry) for entry in history),
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
            out.append(
                "The card is not calibrated: points are on the scale on which holders give them, and a probability is "
                "a first estimate"
            )
        return out + [f"Edit {k}: {text}" for k, text in enumerate(self.edits, start=1)]


def one_line(text: str) -> str:
    r"""A text as one printable line, which cannot end a comment or begin another.

    >>> one_line("a\nb */ -- c")
    'a b * / -- c'
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.replace("*/", "* /").replace('"""', "'''").split())


def _said(entry: EditEntry) -> str:
    """One edit of a card, in words."""
    done = ", ".join(
        f"{name} {_plain(value)}"
        for name, value in entry.edit.to_dict().items()
        if value and name not in ("reason", "author")
    )
    return one_line(f"{entry.time[:10]}, {entry.edit.author}: {done}; reason: {entry.edit.reason}")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
