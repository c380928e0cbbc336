"""Who is in the consortium: a chain of epochs, each signed by the hub, each with the digest of the one before.

A hub that could change keys for everybody could stand in the middle of all envelopes. So no node takes a key from a
roster unseen: it checks the hub's signature (of the key that was compared when it joined), that the epoch follows the
one that it accepted, that no key changed but by a rotation which the old key signed, and holds the rest for a person.
The chain is one of hashes (Haber & Stornetta 1991): two nodes that accepted the same epoch have the same history, and
its eight words show it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import Field, StringConstraints

from fedrisk.deploy.documents import Document, Form, Key, Moment, NodeKey, Signature
from fedrisk.deploy.hub_home import ConsortiumName
from fedrisk.deploy.kit import Certificate, Protocols, Version
from fedrisk.deploy.rotation import Rotation
from fedrisk.deploy.words import institution_words, words_of
from fedrisk.display_name import same_to_the_eye
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import EnvelopeError, StoreError
from fedrisk.files import PUT_BACK, make_folders, write_atomic
from fedrisk.secure.identity import IdentityKey
from fedrisk.study_members import DisplayName, Role
from fedrisk.study_sections import Name

FOLDER = "roster"

Epoch = Annotated[int, Field(ge=1, le=1_000_000)]
Digest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]

_ASK = "Nothing was accepted; ask the hub's operator by another channel"


class Home(Protocol):
    """A hub's folder (hub_home.HubHome)."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...


class RosterMember(Form):
    """One institution. since: epoch in which it joined. changed: in which it got its present keys.

    rotations: of its keys, oldest first.
    """

    name: Name
    role: Role
    display_name: DisplayName | None
    identity: Key
    flower: NodeKey
    protocols: Protocols
    fedrisk: Version
    since: Epoch
    changed: Epoch
    rotations: Annotated[tuple[Rotation, ...], Field(max_length=1000)] = ()

    @property
    def words(self) -> str:
        """Eight words of its name and identity."""
        return institution_words(self.name, self.identity)

    @property
    def former(self) -> tuple[str, ...]:
        """Its earlier identities, oldest first, without the present one."""
        found = dict.fromkeys(rotation.old_identity for rotation in self.rotations)
        return tuple(key for key in found if key != self.identity)


class Expelled(Form):
    """One institution that is no longer in it. epoch, when: of its expulsion. Its keys admit nobody again."""

    name: Name
    identity: Key
    flower: NodeKey
    since: Epoch
    epoch: Epoch
    when: Moment


class Roster(Document):
    """One epoch.

    authorities: certificates by which nodes know the hub's server, two while the next one is handed out. previous:
    digest of the epoch before, empty in the first. signature: by the hub's identity.
    """

    TAG: ClassVar[bytes] = b"fedrisk roster v1\n"
    WHAT: ClassVar[str] = "roster"

    format: Literal[1] = 1
    kind: Literal["roster"] = "roster"
    consortium: ConsortiumName
    epoch: Epoch
    made: Moment
    hub: Key
    authorities: Annotated[tuple[Certificate, ...], Field(min_length=1, max_length=3)]
    members: Annotated[tuple[RosterMember, ...], Field(max_length=1000)]
    expelled: Annotated[tuple[Expelled, ...], Field(max_length=10000)] = ()
    previous: Digest
    signature: Signature = "0" * 128

    @classmethod
    def latest(cls, home: Home) -> "Roster":
        """The newest epoch of a hub's folder, verified; StoreError where there is none, or it is damaged."""
        return read_epoch(home, max(epochs(home), default=0))

    def signed(self, hub: IdentityKey) -> "Roster":
        """This epoch with the hub's signature."""
        return self.model_copy(update={"signature": hub.sign(self.statement()).hex()})

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the whole epoch with its signature."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def words(self) -> str:
        """Eight words of the whole history up to here: the same at all members."""
        return words_of(b"roster", bytes.fromhex(self.digest()))

    def member(self, name: str) -> RosterMember | None:
        """The institution of that name, or None."""
        return next((one for one in self.members if one.name == name), None)

    def verify(self, hub_identity: str | bytes) -> None:
        """EnvelopeError unless the hub of this identity (hexadecimal, or 32 bytes) signed it and it is sound.

        Sound: no name twice, no name that reads like another, no key under two names, no key of an expelled one, no key
        under which anybody could sign.
        """
        self.check_signed(hub_identity)
        refuse_weak({one.name: bytes.fromhex(one.identity) for one in self.members})

    def check_signed(self, hub_identity: str | bytes) -> None:
        """As `verify`, of any members' keys: a hub reads by it what it wrote, and can expel whose key is refused."""
        key = hub_identity.hex() if isinstance(hub_identity, bytes) else hub_identity
        if self.hub != key or not signed_in_hex(key, self.signature, self.statement()):
            raise EnvelopeError(
                f"epoch {self.epoch} of the roster is not signed by the hub's pinned identity: it was changed on its "
                f"way, or comes from another hub. {_ASK}"
            )
        if broken := self._unsound():
            raise EnvelopeError(f"epoch {self.epoch} of the roster is signed but {broken}. {_ASK}")

    def _unsound(self) -> str:
        names = [one.name for one in self.members]
        if len(set(names)) < len(names):
            return "names an institution twice"
        if pair := same_to_the_eye({one.name: one.display_name for one in self.members}):
            return f"shows {pair[0]} and {pair[1]} under names that read alike"
        identities = [(key, one.name) for one in self.members for key in (*one.former, one.identity)]
        identities += [(one.identity, one.name) for one in self.expelled] + [(self.hub, "")]
        nodes = [(one.flower, one.name) for one in self.members]
        nodes += [(one.flower, one.name) for one in self.expelled]
        if _shared(identities) or _shared(nodes):
            return "has one key under two names"
        if any(not one.since <= one.changed <= self.epoch for one in self.members):
            return "names an epoch that is still to come"
        if (self.epoch == 1) != (self.previous == ""):
            return "does not say which epoch it follows"
        return next((why for one in self.members if (why := self._broken_chain(one))), "")

    def _broken_chain(self, one: RosterMember) -> str:
        """Whether a member's rotations lead to its present keys, each signed by the key before."""
        before: Rotation | None = None
        for number, rotation in enumerate(one.rotations, 1):
            try:
                rotation.verify()
            except EnvelopeError:
                return f"has a rotation of {one.name} that its keys did not sign"
            of = (rotation.consortium, rotation.hub, rotation.name, rotation.number)
            if of != (self.consortium, self.hub, one.name, number):
                return f"has a rotation under {one.name} that is of another institution, consortium or time"
            if before is not None and (before.identity, before.flower) != (
                rotation.old_identity,
                rotation.old_flower,
            ):
                return f"has rotations of {one.name} that do not follow each other"
            before = rotation
        if before is not None and (before.identity, before.flower) != (one.identity, one.flower):
            return f"gives {one.name} other keys than its last rotation"
        return ""

    def check_follows(self, before: "Roster") -> None:
        """EnvelopeError unless this is the epoch after another one: same hub, next number, no key changed silently."""
        if (self.consortium, self.hub) != (before.consortium, before.hub):
            raise EnvelopeError(f"epoch {self.epoch} of the roster is of another consortium. {_ASK}")
        if self.epoch == before.epoch and self.digest() != before.digest():
            raise EnvelopeError(
                f"there are two different rosters of epoch {self.epoch}, both signed by the hub: it told its members "
                f"different things, or was put back from a copy. {_ASK}, and compare with other members"
            )
        if self.epoch <= before.epoch:
            raise EnvelopeError(
                f"epoch {self.epoch} of the roster is old: epoch {before.epoch} was accepted here. It was replayed, or "
                f"the hub was put back from a copy. {_ASK}"
            )
        if self.epoch != before.epoch + 1 or self.previous != before.digest():
            raise EnvelopeError(
                f"epoch {self.epoch} of the roster does not follow epoch {before.epoch}, which is here: an epoch "
                f"between them is missing, or history was rewritten. {_ASK}"
            )
        if self.made < before.made:
            raise EnvelopeError(
                f"epoch {self.epoch} of the roster is dated before the one that it follows. {_ASK}"
            )
        self._check_keys(before)

    def _check_keys(self, before: "Roster") -> None:
        for old in before.members:
            new = self.member(old.name)
            if new is None:
                last = [one for one in self.expelled[len(before.expelled) :] if one.name == old.name]
                if not last or last[-1].identity != old.identity:
                    raise EnvelopeError(
                        f"{old.name} is missing from epoch {self.epoch} of the roster, and nothing says that it was "
                        f"expelled. {_ASK}"
                    )
            elif new.since != old.since or not _led(old, new, self.epoch):
                raise EnvelopeError(
                    f"the key of {old.name} changed in epoch {self.epoch} of the roster, and its old key did not sign "
                    f"the change: this may be somebody who wants to read what is meant for {old.name}. {_ASK}, and "
                    f"{old.name} itself"
                )
        if any(one.since != self.epoch for one in self.members if before.member(one.name) is None):
            raise EnvelopeError(
                f"epoch {self.epoch} of the roster has an institution that joined without an epoch of its own. {_ASK}"
            )
        if self.expelled[: len(before.expelled)] != before.expelled:
            raise EnvelopeError(f"epoch {self.epoch} of the roster forgets who was expelled. {_ASK}")


def _led(old: RosterMember, new: RosterMember, epoch: int) -> bool:
    """Whether what was added to a member's rotations leads from its old keys to its new ones."""
    known = len(old.rotations)
    if new.rotations[:known] != old.rotations:
        return False
    added = new.rotations[known:]
    if not added:
        return (old.identity, old.flower, old.changed) == (new.identity, new.flower, new.changed)
    first = added[0]
    return (first.old_identity, first.old_flower) == (old.identity, old.flower) and new.changed == epoch


def _shared(owned: Sequence[tuple[str, str]]) -> bool:
    """Whether one key stands under two names."""
    owners: dict[str, str] = {}
    return any(owners.setdefault(key, name) != name for key, name in owned)


class Change(Form):
    """One difference between two epochs. kind: what it is. text: in plain words. words: eight, of a key to compare."""

    kind: Literal["joined", "left", "keys", "role", "shown", "version", "authority"]
    name: str
    text: str
    words: str = ""


def changes(before: Roster | None, after: Roster) -> list[Change]:
    """What differs in plain words: who is new, who is gone, whose key or role changed."""
    old = {} if before is None else {one.name: one for one in before.members}
    found = [_joined(one) for one in after.members if one.name not in old]
    for name, one in old.items():
        now = after.member(name)
        found += (
            [Change(kind="left", name=name, text=f"{name} was expelled")]
            if now is None
            else _changed(one, now)
        )
    if before is not None and before.authorities != after.authorities:
        text = f"the hub's server is known by {len(after.authorities)} certificate(s) of an authority now"
        found.append(Change(kind="authority", name="hub", text=text))
    return found


def _joined(one: RosterMember) -> Change:
    shown = f" ({one.display_name})" if one.display_name else ""
    return Change(
        kind="joined", name=one.name, text=f"{one.name}{shown} joined as {one.role}", words=one.words
    )


def _changed(old: RosterMember, new: RosterMember) -> list[Change]:
    found = []
    if new.identity != old.identity:
        text = f"{new.name} has a new identity, signed by its old one"
        found.append(Change(kind="keys", name=new.name, text=text, words=new.words))
    if new.flower != old.flower:
        text = f"{new.name} has a new key for its node, signed by its identity"
        found.append(Change(kind="keys", name=new.name, text=text))
    if new.role != old.role:
        text = f"{new.name} was {old.role} and is {new.role} now"
        found.append(Change(kind="role", name=new.name, text=text))
    if new.display_name != old.display_name:
        text = f"{new.name} is shown as {new.display_name or new.name} now"
        found.append(Change(kind="shown", name=new.name, text=text))
    if (new.fedrisk, new.protocols) != (old.fedrisk, old.protocols):
        text = f"{new.name} runs fedrisk {new.fedrisk} now"
        found.append(Change(kind="version", name=new.name, text=text))
    return found


def epochs(home: Home) -> list[int]:
    """Numbers of the epochs in a hub's folder, in their order."""
    found = (path.stem for path in (home.path / FOLDER).glob("*.json"))
    return sorted(int(stem) for stem in found if stem.isdecimal())


def read_epoch(home: Home, epoch: int) -> Roster:
    """One epoch of a hub's folder; StoreError where it is missing or damaged."""
    file = _file(home, epoch)
    try:
        found = Roster.from_bytes(file.read_bytes(), f"roster {file}")
        found.check_signed(found.hub)
    except (OSError, EnvelopeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not as the hub signed it"
        raise StoreError(f"{file} cannot be used: {why}; {PUT_BACK}") from None
    if found.epoch != epoch:
        raise StoreError(f"{file} holds epoch {found.epoch} of the roster; {PUT_BACK}")
    return found


def after_epoch(home: Home, epoch: int) -> list[Roster]:
    """All epochs of a hub's folder after one, oldest first: what a node lacks that has accepted that one."""
    return [read_epoch(home, number) for number in epochs(home) if number > epoch]


def write_epoch(home: Home, roster: Roster) -> None:
    """Keep an epoch; one that is there is never replaced: StoreError then."""
    file = _file(home, roster.epoch)
    make_folders(file.parent)
    write_atomic(file, roster.to_bytes(), replace=False)
    if file.read_bytes() != roster.to_bytes():
        raise StoreError(f"{file} was made by another command meanwhile; look at the roster, and do it again")


def _file(home: Home, epoch: int) -> Path:
    return home.path / FOLDER / f"{epoch:06d}.json"
