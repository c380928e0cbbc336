"""Cards on the disk: what a run or a folder has, and edited cards beside the originals.

A folder of an edited card has ``edited_card.json`` with its history, ``scorecard.json`` as other programs read it, and
the release record from which all of it follows. An original is never written over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrisk.errors import ConfigError, FedriskError
from fedrisk.files import write_atomic
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import FILE, EditedCard
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.record import FILE as RECORD_FILE
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server.hub import Hub
from fedrisk.server.results import CARD_FILE, METRICS, make_writable
from fedrisk.server.runs import Runs
from fedrisk.toml_file import load_toml

MOST_EDITS = 1000
"""Most edits of one file."""


@dataclass(frozen=True, kw_only=True)
class CardOnDisk:
    """A card with what is beside it.

    place: the folder or file. card: as it is read. record: None where it is not there, so that the card can be looked
    at and not edited. edited: with its history, where the card was edited.
    """

    place: Path
    card: Scorecard
    record: ReleaseRecord | None = None
    edited: EditedCard | None = None


def find_card(said: str) -> CardOnDisk:
    """The card of a folder of results, an edited card's folder or file, a scorecard.json, or a run of this hub.

    The record is verified by its signature. ConfigError where there is none, EnvelopeError where it was changed.
    """
    path = Path(said)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return _of_file(path)
    if path.suffix or "/" in said:
        raise ConfigError(
            f"there is no card at {said}; name a folder of results, a card's file, or a run of this hub"
        )
    runs = Runs(Hub.default())
    return _of_folder(runs.path / runs.find(said).attempt)


def load_record_of(said: str) -> ReleaseRecord:
    """The release record of a folder, a file or a run of this hub; errors as of :func:`find_card`."""
    path = Path(said)
    if path.exists():
        return ReleaseRecord.load(path)
    runs = Runs(Hub.default())
    return ReleaseRecord.load(runs.path / runs.find(said).attempt)


def load_edits(file: Path) -> tuple[CardEdit, ...]:
    """The edits of a TOML file, a table ``[[edit]]`` each, in order; ConfigError where one is not as it must be."""
    content = load_toml(file, what="edits file")
    edits = content.get("edit")
    if set(content) != {"edit"} or not isinstance(edits, list) or not 0 < len(edits) <= MOST_EDITS:
        raise ConfigError(f"{file}: it must have tables [[edit]] and nothing else, one for each edit")
    out = []
    for number, plain in enumerate(edits, 1):
        try:
            out.append(CardEdit.from_dict(plain))
        except ConfigError as error:
            raise ConfigError(f"{file}, edit {number}: {str(error).removeprefix('edit: ')}") from None
    return tuple(out)


def save_edited(card: EditedCard, record: ReleaseRecord, folder: Path) -> None:
    """Write an edited card with its record to a folder of its own.

    ConfigError where the folder has a card already, which would be lost; StoreError where it cannot be written.
    """
    taken = [name for name in (METRICS, CARD_FILE, FILE) if (folder / name).exists()]
    if taken:
        raise ConfigError(
            f"{folder} has {taken[0]} already, and an edited card never takes the place of another; name a new folder"
        )
    make_writable(folder)
    content = {
        RECORD_FILE: record.to_bytes(),
        CARD_FILE: (card.card.to_json() + "\n").encode(),
        FILE: (card.to_json() + "\n").encode(),
    }
    for name, raw in content.items():
        write_atomic(folder / name, raw, private=name == RECORD_FILE)


def _of_folder(folder: Path) -> CardOnDisk:
    if not any((folder / name).is_file() for name in (FILE, CARD_FILE)):
        raise ConfigError(
            f"{folder} has no card ({CARD_FILE} or {FILE}); name the results of a scorecard study"
        )
    record = ReleaseRecord.load(folder) if (folder / RECORD_FILE).is_file() else None
    edited = _edited(folder / FILE) if (folder / FILE).is_file() else None
    card = edited.card if edited is not None else _card(folder / CARD_FILE)
    return CardOnDisk(place=folder, card=card, record=record, edited=edited)


def _of_file(file: Path) -> CardOnDisk:
    try:
        edited = _edited(file)
    except FedriskError:
        if file.name == FILE:
            raise
        return CardOnDisk(place=file, card=_card(file))
    return CardOnDisk(place=file, card=edited.card, edited=edited)


def _edited(file: Path) -> EditedCard:
    return EditedCard.from_json(_text(file))


def _card(file: Path) -> Scorecard:
    return Scorecard.from_json(_text(file))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise ConfigError(f"{file} cannot be read as a card; take another copy") from None


def parse_edits(
    *,
    merge: Sequence[str] = (),
    monotone: Sequence[str] = (),
    sign: Sequence[str] = (),
    drop: Sequence[str] = (),
    double: float | None = None,
    base: float | None = None,
    odds: float | None = None,
    rate: float | None = None,
    reason: str = "",
    author: str = "",
) -> CardEdit:
    """One edit from words such as ``bank.age=falling``; ConfigError where they are none."""
    return CardEdit.from_dict(
        {
            "merge": list(merge),
            "monotone": dict(_pair(text, "--monotone") for text in monotone),
            "sign": dict(_pair(text, "--sign") for text in sign),
            "drop": list(drop),
            "points_to_double": double,
            "base_score": base,
            "base_odds": odds,
            "long_run_rate": rate,
            "reason": reason,
            "author": author,
        }
    )


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, way = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} {text}: say which way, such as {option} {text or 'bank.age'}=falling")
    return name.strip(), way.strip()
