"""Whose store it is: a store remembers its institution, and refuses another one of the same name.

Two institutions of one name, say of two demonstrations on one machine, would otherwise share ledger, quota, sides of
the split and keys. Known are the name, the kind, the institution's file, where its table lies and by which column it
is keyed; never what is in the table, which changes every month. A file at its place is the same institution whatever
table it names, and so is a table at its place whatever file names it; a file in which the table's place *and* its ids
are others is another one.

``store.json`` holds this, with the place of the table only as a hash with a salt of the store's own, since the address
of a database may hold more than others should read.
"""

import hashlib
import json
import secrets
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fedrisk
from fedrisk.errors import OwnerError, StoreError
from fedrisk.files import PUT_BACK, read_json, write_atomic
from fedrisk.institution import Institution
from fedrisk.layout import Layout, bring_forward, not_yet, too_new
from fedrisk.user import user_name

FILE = "store.json"

LAYOUT = Layout(what="store", number=1)
"""Of a store's files, the record among them: a later one is refused, an earlier one brought forward."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """An institution as its store knows it: table and ids are hashes, empty at an authority."""

    name: str
    kind: str
    file: str
    table: str
    ids: str

    @classmethod
    def of(cls, institution: Institution, salt: str) -> "Owner":
        """The institution of a file, hashed with a store's salt."""
        dictionary, place = institution.dictionary, institution.place
        ids = None if dictionary is None else json.dumps([dictionary.id, dictionary.id_scheme])
        return cls(
            name=institution.name,
            kind=institution.kind,
            file=str(institution.file or ""),
            table=_hashed(salt, place),
            ids=_hashed(salt, ids),
        )

    def is_same(self, other: "Owner") -> bool:
        """Whether two describe one institution."""
        if (self.name, self.kind) != (other.name, other.kind):
            return False
        if self.table and self.table == other.table:
            return True
        same_ids = self.table == other.table or self.ids == other.ids
        return bool(self.file) and self.file == other.file and same_ids


@dataclass(frozen=True, kw_only=True)
class Record:
    """What ``store.json`` holds: the store's random id and salt, where it lies, whose it is and whose it was.

    layout: of the store's files, ``format`` in the file.
    """

    store: str
    salt: str
    place: str
    owner: Owner
    version: str
    layout: int = field(default_factory=lambda: LAYOUT.number)
    history: tuple[Mapping[str, str], ...] = ()

    def to_json(self) -> bytes:
        """The file's content."""
        content = asdict(self)
        return json.dumps({"format": content.pop("layout"), **content}, indent=1).encode()


def read(folder: Path) -> Record | None:
    """The record of a store, None where it has none; StoreError where it is damaged or of a later version."""
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        later = content["format"] > LAYOUT.number
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}; check its permissions") from None
    except (ValueError, KeyError, TypeError):
        raise _damaged(file) from None
    if later:
        raise too_new(LAYOUT.what, folder, content.get("version"))
    try:
        return _record(content)
    except (KeyError, TypeError):
        raise _damaged(file) from None


def check(folder: Path, institution: Institution) -> Record | None:
    """The record of an institution's store, None where it has none yet.

    Raises:
        OwnerError: the store belongs to another institution of the same name, or is a copy of one that is still there.
        StoreError: the record is damaged, of a later version, or of an earlier layout that is not brought forward yet.
    """
    record = _checked(folder, institution)
    if record is not None and record.layout < LAYOUT.number:
        raise not_yet(LAYOUT.what, folder, record.layout, LAYOUT.number)
    return record


def _checked(folder: Path, institution: Institution) -> Record | None:
    record = read(folder)
    if record is None:
        return None
    if not record.owner.is_same(Owner.of(institution, record.salt)):
        raise _other(folder, record, institution)
    if record.place != str(folder) and _still_there(record):
        raise OwnerError(
            f"store {folder} is a copy of {record.place}, which is still there. Each of the two forgets what the other "
            "is charged. Use the store that counts; if it is this one, take the other away and run "
            f"fedrisk store adopt {shlex.quote(str(institution.file))}"
        )
    return record


def claim(folder: Path, institution: Institution) -> None:
    """Enter an institution as the owner of its store, or what changed of it since; errors as in :func:`check`.

    A store of an earlier layout is brought forward, once it is known to be this institution's.
    """
    record = _checked(folder, institution)
    if record is not None and record.layout < LAYOUT.number:
        bring_forward(folder, found=record.layout, layout=LAYOUT, mark=lambda number: _mark(folder, number))
        record = _checked(folder, institution)
    if record is None:
        salt = secrets.token_hex(16)
        made = Record(
            store=secrets.token_hex(16),
            salt=salt,
            place=str(folder),
            owner=Owner.of(institution, salt),
            version=fedrisk.__version__,
        )
        write_atomic(folder / FILE, made.to_json(), replace=False)
        # Another process may have been first, for another institution.
        check(folder, institution)
        return
    now = replace(
        record, place=str(folder), owner=Owner.of(institution, record.salt), version=fedrisk.__version__
    )
    if now != record:
        write_atomic(folder / FILE, now.to_json())


def adopt(folder: Path, institution: Institution, *, reason: str) -> Owner | None:
    """Make an institution the owner of a store by an act that the record keeps; whose it was, None where unknown.

    A damaged record is written anew. StoreError where it is of a later version or cannot be written.
    """
    try:
        record = read(folder)
    except StoreError as error:
        if not isinstance(error, DamagedRecord):
            raise
        record = None
    salt = secrets.token_hex(16) if record is None else record.salt
    owner = Owner.of(institution, salt)
    act = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": user_name(),
        "reason": reason,
        "from": "unknown" if record is None else record.owner.file,
        "to": owner.file,
    }
    made = Record(
        store=secrets.token_hex(16),
        salt=salt,
        place=str(folder),
        owner=owner,
        version=fedrisk.__version__,
        history=(*(() if record is None else record.history), act),
    )
    write_atomic(folder / FILE, made.to_json())
    return None if record is None else record.owner


class DamagedRecord(StoreError):
    """``store.json`` says nothing that can be read."""


def _record(content: Mapping[str, Any]) -> Record:
    texts = {key: content[key] for key in ("store", "salt", "place", "version")}
    owner = {key: content["owner"][key] for key in ("name", "kind", "file", "table", "ids")}
    if not all(isinstance(value, str) for value in (*texts.values(), *owner.values())):
        raise TypeError
    history = tuple(dict(act) for act in content["history"])
    layout = content["format"]
    if type(layout) is not int or layout < 1:
        raise TypeError
    return Record(**texts, owner=Owner(**owner), layout=layout, history=history)


def _hashed(salt: str, text: str | None) -> str:
    return "" if text is None else hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()


def _still_there(record: Record) -> bool:
    """Whether the place that a record names holds the same store: this one was copied, not moved."""
    with suppress(StoreError):
        other = read(Path(record.place))
        return other is not None and other.store == record.store
    return False


def _other(folder: Path, record: Record, institution: Institution) -> OwnerError:
    owner, file = record.owner, str(institution.file)
    was = f"{owner.name} ({owner.kind}, {owner.file or '?'})"
    if owner.file == file:
        was += ", which named another table with other ids"
    whose = f"store {folder} belongs to {was}; this is {institution.name} ({institution.kind}, {file})"
    return OwnerError(f"{whose}. {_remedy([file])}", whose=whose, file=file)


def together(errors: Sequence[OwnerError]) -> OwnerError:
    """One error for several stores, with the remedy once."""
    if len(errors) == 1 or not all(error.whose for error in errors):
        return OwnerError("\n".join(str(error) for error in errors))
    lines = [error.whose for error in errors]
    return OwnerError("\n".join([*lines, _remedy([error.file for error in errors])]))


def _remedy(files: Sequence[str]) -> str:
    named = "each of them" if len(files) > 1 else "this one"
    return (
        f"Two institutions must not share a ledger, a quota or pseudonyms. Give {named} a store of its own: another "
        'FEDRISK_HOME for the whole consortium, another name, or store = "..." in the file. Where it is the same '
        f"institution, whose files moved: fedrisk store adopt {' '.join(map(shlex.quote, files))}"
    )


def _damaged(file: Path) -> "DamagedRecord":
    return DamagedRecord(
        f"{file}, which says whose store this is, is damaged; put it back from its copy, or, where you know whose it "
        "is, run fedrisk store adopt with the institution's file"
    )


def _mark(folder: Path, layout: int) -> None:
    """Write into the record that the store has a layout now."""
    file = folder / FILE
    content = {**read_json(file, PUT_BACK), "format": layout, "version": fedrisk.__version__}
    write_atomic(file, json.dumps(content, indent=1).encode())
