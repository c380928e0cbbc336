"""Which card is exported: from a file, a folder of results, or an institution's own store."""

from pathlib import Path

from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.exports.export import WHOLE
from fedrisk.models.edited_card import FILE as EDITED
from fedrisk.models.edited_card import EditedCard
from fedrisk.models.scorecard import Scorecard
from fedrisk.server.results import CARD_FILE
from fedrisk.study_members import BANK


def find_exported(
    source: Path, part: str | None = None, attempt: str | None = None
) -> tuple[Scorecard | EditedCard, str]:
    """The card, and which part of it is exported.

    Args:
        source: a stored or edited card, a folder with one (the edited one where both are there), or an institution's
            file, whose own part of a study it then is.
        part: ``bank``, a holder's name or ``whole``; None for ``bank``, or the institution's own.
        attempt: of an institution, id or its beginning; None for the last one with a card.

    Raises:
        ConfigError: there is no card, the file is none, or an institution asks for another's part.
    """
    if source.suffix == ".toml":
        return _of_institution(Node.load(source), part, attempt)
    if attempt is not None:
        raise ConfigError("an attempt is chosen where an institution's file is named; leave --attempt out")
    file = source
    if source.is_dir():
        file = next((f for f in (source / EDITED, source / CARD_FILE) if f.is_file()), source / CARD_FILE)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise ConfigError(
            f"{source} has no scorecard; name a scorecard.json, the folder of a scorecard study's results, or an "
            "institution's file (TOML)"
        ) from None
    if file.name == EDITED or '"history"' in text:
        return EditedCard.from_json(text), part or BANK
    return Scorecard.from_json(text), part or BANK


def _of_institution(node: Node, part: str | None, attempt: str | None) -> tuple[Scorecard, str]:
    role = node.institution.kind
    own = BANK if role == "bank" else node.name
    if part not in (None, own):
        whole = " For all columns name the results' folder." if part == WHOLE else ""
        raise ConfigError(f"{node.name} exports its own part, {own}; leave --part out.{whole}")
    every = own_results.entries(node)
    if attempt is not None:
        every = [own_results.find(node, attempt)]
    for entry in reversed(every):
        card = _card_of(node, entry.attempt)
        if card is not None:
            return card, own
    raise ConfigError(
        f"{node.name} keeps no card{'' if attempt is None else ' of that attempt'}; a scorecard study leaves one when "
        "it ends, and forgetting an attempt takes it away"
    )


def _card_of(node: Node, attempt: str) -> Scorecard | None:
    """The card that a bank keeps with its scores, or the one that was told in an attempt."""
    file = node.store.path / "results" / attempt / CARD_FILE
    if file.is_file():
        return Scorecard.from_json(file.read_text(encoding="utf-8"))
    kept = Attempt(node, node.store.attempt(attempt))
    # Holders are told the card by which they give points, and not its calibration.
    for told in ("calibration", "card"):
        try:
            return Scorecard.from_json(kept.told(told).get("scorecard"))
        except (FedriskError, OSError):
            continue
    return None
