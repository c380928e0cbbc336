"""Models that serve, or could: the folder ``models`` of an institution's store.

    models/ID/part.json     this institution's part (models/model_part), written once; only a threshold may follow
    models/ID/states.jsonl  a line for each change: time, state, product, champion or challenger, who, by what, why
    models/ID/*             what only this institution has of it: a bank's own models

A model is there once its part is: whatever belongs to it is written before. What it is today is the last state.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from fedrisk.attempt_id import meant
from fedrisk.errors import ConfigError, NothingYet, StoreError
from fedrisk.files import PUT_BACK, damaged, locked, make_folders, read_kept, write_atomic
from fedrisk.models.model_part import ModelPart
from fedrisk.models.warning_point import WarningPoint

PART, STATES = "part.json", "states.jsonl"

Name = Literal["candidate", "approved", "deployed", "retired", "refused"]
As = Literal["champion", "challenger"]

_STATES_REMEDY = f"{PUT_BACK}, or delete it: the model is then a candidate that has to be approved again"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a model's state.

    time: UTC, ISO 8601 in milliseconds. as_, product: of a deployment. by: a person, or a rule of the policy; who: the
    person, or the rule's name. why: stays here. salt: random, so that nobody who has the trail, which holds a digest of
    this, can guess what is in it.
    """

    time: str
    state: Name
    as_: As | None = None
    product: str = ""
    who: str = ""
    by: Literal["person", "rule"] = "person"
    why: str = ""
    salt: str = ""

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class State:
    """What a model is today.

    Attributes:
        name: its state. roles: of a deployed one, champion or challenger by product; "" stands for all products that
            have none of their own.
        changes: all that led here, the oldest first.
    """

    name: Name = "candidate"
    roles: Mapping[str, As] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def as_(self) -> As | None:
        """Champion where it is one of any product, else challenger; None where it is not deployed."""
        return max(self.roles.values(), default=None)

    @property
    def serves(self) -> bool:
        """Whether it was approved here and not taken back."""
        return self.name in ("approved", "deployed")

    def after(self, change: Change) -> "State":
        """The state after a change.

        >>> one = Change(time="", state="deployed", as_="champion")
        >>> State("approved").after(one).roles, State("approved").after(one).as_
        ({'': 'champion'}, 'champion')
        """
        roles = {}
        if change.state == "deployed" and change.as_ is not None:
            roles = {**self.roles, change.product: change.as_}
        return State(change.state, roles, (*self.changes, change))


_changes: TypeAdapter[Change] = TypeAdapter(Change)


class ModelStore:
    """The folder of an institution's models; makes nothing before something is kept, and nothing at all for reading.

    Errors of the disk are StoreError and name the file with the remedy.
    """

    def __init__(self, store: Path, *, make: bool = True) -> None:
        self.path = store / "models"
        self._make = make

    def ids(self) -> list[str]:
        """Ids of all models here, in order."""
        return sorted(file.parent.name for file in self.path.glob(f"*/{PART}"))

    def parts(self) -> list[ModelPart]:
        """This institution's parts of all its models, by name and version."""
        found = [self._read(id) for id in self.ids()]
        return sorted(found, key=lambda part: (part.name, part.version, part.model))

    def has(self, id: str) -> bool:
        """Whether there is a model of exactly that id."""
        return _plain(id) and (self.path / id / PART).is_file()

    def part(self, said: str) -> ModelPart:
        """The part of the model that a person means by an id, the beginning of one, or its study's name.

        A few letters will do where they fit one model alone, a name where one model alone has it. ConfigError where
        none is meant, or several are.
        """
        if self.has(said):
            return self._read(said)
        fits = meant(said, self.ids(), least=1)
        named = [part.model for part in self.parts() if part.name == said]
        if len(named) > 1:
            raise ConfigError(
                f"{len(named)} models here are of study {said}; name one by its id: {', '.join(named)}"
            )
        fits = sorted({*fits, *named})
        if len(fits) == 1:
            return self._read(fits[0])
        what = f"{len(fits)} models begin with {said}" if fits else f"there is no model {said}"
        raise ConfigError(f"{what} here; fedrisk model list shows all")

    def state(self, id: str) -> State:
        """What the model of that id is today; a candidate where nothing was decided yet."""
        file = self.path / id / STATES
        if not file.exists():
            return State()
        state = State()
        for line in read_kept(file, _STATES_REMEDY).splitlines():
            try:
                state = state.after(_changes.validate_json(line))
            except ValidationError:
                raise damaged(file, _STATES_REMEDY) from None
        return state

    def edits_served(self, bank: str, since: date, *, but: str = "") -> int:
        """How many edited cards served a bank after a day, each a version of scores of its own; ``but`` is not counted.

        One that was retired counts until its last day is past.
        """
        count = 0
        for part in self.parts():
            if not part.edited or part.model == but or bank not in part.banks:
                continue
            state = self.state(part.model)
            approved = any(c.state == "approved" for c in state.changes)
            count += approved and (state.serves or state.changes[-1].time[:10] > since.isoformat())
        return count

    def put(self, part: ModelPart, files: Mapping[str, bytes] | None = None) -> ModelPart:
        """Keep a part with files of its own, and give it its version; the part as it is kept.

        The same model once more stays as it is, only files are written again. To be called while no other process
        keeps models, or within :meth:`changing`.
        """
        self._refuse_making()
        folder = self.path / part.model
        for name, content in (files or {}).items():
            write_atomic(folder / name, content)
        if self.has(part.model):
            return self._read(part.model)
        earlier = [p for p in self._whole() if p.name == part.name and p.kind == part.kind]
        kept = part.model_copy(update={"version": 1 + max((p.version for p in earlier), default=0)})
        write_atomic(folder / PART, kept.to_bytes())
        return kept

    def with_warning(self, attempt: str, warning: WarningPoint) -> None:
        """Give the model of an attempt the threshold of warnings, which is known once the study is over.

        Nothing else of a part ever changes, and a threshold that is there stays. Edited cards have other scores, and
        none.
        """
        with self.changing():
            for part in self._whole():
                if (part.attempt, part.edited, part.warning) == (attempt, "", None):
                    changed = part.model_copy(update={"warning": warning})
                    write_atomic(self.path / part.model / PART, changed.to_bytes())

    def change(self, id: str, change: Change) -> State:
        """Add a change of state, on the disk when this returns; the state after it."""
        self._refuse_making()
        state, file = self.state(id), self.path / id / STATES
        before = read_kept(file, _STATES_REMEDY) if file.exists() else b""
        write_atomic(file, before + change.to_line())
        return state.after(change)

    def file(self, id: str, name: str) -> bytes | None:
        """A file of its own of a model, None where there is none."""
        file = self.path / id / name
        return read_kept(file, PUT_BACK) if file.is_file() else None

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """States are looked at and changed by one process at a time."""
        self._refuse_making()
        try:
            make_folders(self.path)
            lock = locked(self.path / ".lock")
            lock.__enter__()
        except OSError as error:
            raise StoreError(
                f"{self.path / '.lock'} cannot be locked: {error.strerror}; remove it, nothing is kept in it"
            ) from None
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _whole(self) -> Iterator[ModelPart]:
        """Parts that can be read: a damaged one of an earlier study must not lose what this one has paid for."""
        for id in self.ids():
            with contextlib.suppress(StoreError):
                yield self._read(id)

    def _read(self, id: str) -> ModelPart:
        file = self.path / id / PART
        try:
            mark = file.stat()
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}; {PUT_BACK}") from None
        return _parsed(file, mark.st_mtime_ns, mark.st_ino, mark.st_size)

    def _refuse_making(self) -> None:
        if not self._make:
            raise NothingYet(f"{self.path.parent} is only read here; nothing was changed in it")


@lru_cache(maxsize=64)
def _parsed(file: Path, *mark: int) -> ModelPart:
    """A part as the file has it; read again when the file is another one. Questions come many times a second."""
    try:
        part = ModelPart.from_bytes(read_kept(file, PUT_BACK))
    except StoreError:
        raise damaged(file, PUT_BACK) from None
    if part.model != file.parent.name:
        raise damaged(file, PUT_BACK)
    return part


def _plain(id: str) -> bool:
    return len(id) == 16 and id.isascii() and id.isalnum()
