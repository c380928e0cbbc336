"""The roster at a node: epochs that the hub tells are checked, held as pending, and accepted by a person.

Only what was accepted is pinned. A roster that the hub's pinned identity did not sign, that breaks the chain of epochs,
or that gives this institution other keys than it has is refused, which the audit trail notes as every refusal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fedrisk.audit.entry import ROSTER_ACCEPTED
from fedrisk.clients import certificates
from fedrisk.clients.joining import deployment_of, next_node_key, own_keys, take_next_node_key
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.deploy.documents import Form
from fedrisk.deploy.keys import node_public
from fedrisk.deploy.node_home import FILE, NodeHome
from fedrisk.deploy.pki import in_time
from fedrisk.deploy.roster import Change, Roster, changes
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError, StoreError
from fedrisk.files import PUT_BACK, read_json, read_kept, write_atomic
from fedrisk.protocol.actions import Action
from fedrisk.protocol.form import Body
from fedrisk.protocol.form import Form as MessageForm
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.versions import Spoken
from fedrisk.secure.pins import refuse_changed
from fedrisk.study import Study

MOST_EPOCHS = 200
"""That one message may bring."""


class Told(Body):
    """Epochs that the hub tells: the newest, and those before it that the node said it lacks, oldest first.

    certificate: for the node's key, where it said that it holds none for long; hubs of earlier versions send none.
    """

    roster: dict[str, Any]
    earlier: Annotated[list[dict[str, Any]], Field(max_length=MOST_EPOCHS)] = Field(default_factory=list)
    certificate: Annotated[str, Field(min_length=1, max_length=4000)] | None = None


class _Pending(Form):
    """Of ``roster-pending.json``: epochs after the accepted one, oldest first."""

    epochs: tuple[Roster, ...]


@dataclass(frozen=True)
class Rosters:
    """What a node's folder holds of the roster."""

    home: NodeHome

    @classmethod
    def of(cls, node: Node) -> "Rosters":
        """Those of the node behind an institution; ConfigError where it never joined a consortium."""
        found = deployment_of(node.store)
        if found is None:
            raise ConfigError(
                f"{node.name} is in no consortium; join one with fedrisk node init NODE KIT --institution FILE"
            )
        return cls(NodeHome.load(found.node))

    @property
    def accepted(self) -> Roster | None:
        """The accepted epoch, None before the first."""
        file = self.home.path / "roster.json"
        if not file.exists():
            return None
        try:
            return _read(read_kept(file, PUT_BACK), f"roster {file}")
        except EnvelopeError as error:
            raise StoreError(f"{error}; {PUT_BACK}") from None

    @property
    def pending(self) -> tuple[Roster, ...]:
        """Epochs after it that nobody accepted yet, oldest first."""
        file = self._pending_file
        if not file.exists():
            return ()
        try:
            return _Pending.model_validate_json(
                json.dumps(read_json(file, "remove it: the hub tells it again"))
            ).epochs
        except ValueError:
            raise StoreError(f"{file} is damaged; remove it: the hub tells it again") from None

    @property
    def newest(self) -> Roster | None:
        """The last epoch that is known here, accepted or not."""
        pending = self.pending
        return pending[-1] if pending else self.accepted

    @property
    def _pending_file(self) -> Path:
        return self.home.path / "roster-pending.json"

    def keep_pending(self, epochs: tuple[Roster, ...]) -> None:
        """Keep epochs as pending."""
        write_atomic(self._pending_file, _Pending(epochs=epochs).model_dump_json().encode())

    @property
    def digests(self) -> dict[int, str]:
        """Digests of all epochs that were accepted here, by epoch."""
        file = self.home.path / "roster-digests.json"
        if not file.exists():
            return {}
        try:
            return {int(epoch): str(digest) for epoch, digest in read_json(file, PUT_BACK).items()}
        except ValueError:
            raise StoreError(f"{file} is damaged; {PUT_BACK}") from None

    def keep_accepted(self, roster: Roster) -> None:
        """Keep the last pending epoch as the accepted one; nothing is pending then."""
        known = self.digests | {one.epoch: one.digest() for one in self.pending}
        write_atomic(self.home.path / "roster-digests.json", json.dumps(known).encode())
        write_atomic(self.home.path / "roster.json", roster.to_bytes())
        self._pending_file.unlink(missing_ok=True)

    def changes(self) -> list[Change]:
        """What differs between the accepted epoch and the last pending one, epoch by epoch, in plain words."""
        found: list[Change] = []
        before = self.accepted
        for roster in self.pending:
            found += changes(before, roster)
            before = roster
        return found


def told(node: Node, request: Payload) -> Payload:
    """Action ``roster``: epochs of the roster -> the accepted epoch, the last pending one, the first that it lacks.

    And what this version speaks, since the roster says what was spoken when the institution joined; and which key and
    certificate the node has for scores, which hubs of earlier versions pass over.

    EnvelopeError where one is not the hub's, or does not follow what is here. Nothing of the message is kept then.
    """
    rosters = Rosters.of(node)
    newest = Roster.from_dict(request.get("roster"))
    earlier = [Roster.from_dict(plain) for plain in request.body.get("earlier") or ()]
    lacks = receive(node, rosters, [*earlier, newest])
    if certificate := request.body.get("certificate"):
        certificates.take(node, rosters.home, str(certificate))
    accepted, pending = rosters.accepted, rosters.pending
    return Payload(
        {
            "accepted": 0 if accepted is None else accepted.epoch,
            "pending": pending[-1].epoch if pending else None,
            "lacks": lacks,
            "certificate": certificates.held(node, rosters.home),
            **Spoken.here().to_dict(),
        }
    )


ACTIONS: tuple[Action, ...] = (
    Action(
        name="roster",
        serve=told,
        form=MessageForm(body=Told),
        in_attempt=False,
        entered=False,
    ),
)


def receive(node: Node, rosters: Rosters, epochs: list[Roster]) -> int | None:
    """Check epochs and hold as pending what follows; the first epoch that is lacking in between, or None.

    Epochs that are known are compared with what is here. Where the policy says ``first_use_by_roster`` and nothing
    needs a person, they are accepted at once. EnvelopeError as ``told``.
    """
    hub, accepted, pending = node.store.pins.of_hub(), rosters.accepted, rosters.pending
    known = {roster.epoch: roster for roster in (*((accepted,) if accepted else ()), *pending)}
    last, added, lacks = rosters.newest, list[Roster](), None
    for roster in sorted(epochs, key=lambda one: one.epoch):
        roster.verify(hub)
        if last is not None and roster.epoch <= last.epoch:
            same = known.get(roster.epoch)
            if same is not None and same.digest() != roster.digest():
                roster.check_follows(same)
            if roster is epochs[-1] and roster.epoch < last.epoch:
                # The hub's newest is older than what it told before.
                roster.check_follows(last)
            continue
        if last is not None and roster.epoch > last.epoch + 1:
            lacks = last.epoch + 1
            break
        if last is None and (since := _since(node, roster, newest=roster is epochs[-1])) != roster.epoch:
            # The first epoch here is the one in which this institution joined.
            lacks = lacks or since
            continue
        _check_own(node, rosters.home, roster)
        if last is not None:
            roster.check_follows(last)
        known[roster.epoch] = last = roster
        added.append(roster)
    if added:
        rosters.keep_pending((*pending, *added))
        _trust(rosters.home, accepted, added[-1])
        if node.institution.policy.pin == "first_use_by_roster" and not needs_person(node, rosters):
            accept(node, rosters)
    return lacks


@lru_cache(maxsize=8)
def _read(content: bytes, what: str) -> Roster:
    """A roster from its bytes, made once: every question of an agent asks for it.

    The bytes themselves say whether it is another one: time and size of a file do not where it is written twice in one
    tick of the clock.
    """
    return Roster.from_bytes(content, what)


def _since(node: Node, roster: Roster, *, newest: bool) -> int | None:
    """In which epoch this institution joined, None in one before; EnvelopeError where the newest does not name it."""
    own = roster.member(node.name)
    if own is None and newest:
        raise EnvelopeError(
            f"epoch {roster.epoch} of the roster does not name {node.name}: it was not admitted yet, or is no member "
            "any more. Nothing was accepted"
        )
    return None if own is None else own.since


def _check_own(node: Node, home: NodeHome, roster: Roster) -> None:
    """EnvelopeError where an epoch gives this institution keys that it does not have."""
    own = roster.member(node.name)
    if own is None:
        return
    identities, flowers = own_keys(home, node)
    if own.identity not in identities or own.flower not in flowers:
        raise EnvelopeError(
            f"epoch {roster.epoch} of the roster gives {node.name} a key that it does not have: somebody else was "
            "admitted under its name, or its store was put back from a copy. Nothing was accepted; ask the hub's "
            "operator"
        )


def _trust(home: NodeHome, accepted: Roster | None, newest: Roster) -> None:
    """Keep the certificates of authorities that an epoch hands out, beside those of the accepted one.

    Not only once a person accepts: they show which server is the hub's and nothing more, and the hub's identity, which
    was compared, vouches for them. A node that nobody looks at for a month must still reach its hub.
    """
    both = dict.fromkeys([*newest.authorities, *(() if accepted is None else accepted.authorities)])
    write_atomic(home.ca, in_time("".join(both).encode()))


def needs_person(node: Node, rosters: Rosters) -> bool:
    """Whether something pending must be seen by a person, whatever the policy says, or has to wait."""
    try:
        _pins_after(node, rosters)
        _check_open(node, rosters)
    except (EnvelopeError, PolicyError):
        return True
    newest = rosters.newest
    return (
        newest is None
        or newest.member(node.name) is None
        or any(change.kind == "role" for change in rosters.changes())
        or bool(_rejoined(rosters))
    )


def accept(node: Node, rosters: Rosters) -> list[Change]:
    """Accept what is pending: pin new institutions, forget expelled ones, change keys; what changed, in plain words.

    Raises:
        ConfigError: nothing is pending.
        EnvelopeError: a key differs from the pinned one, and the old key did not sign that.
        PolicyError: an attempt at a study is open with an institution whose key changes, or which is gone.
    """
    pending, newest, accepted = rosters.pending, rosters.newest, rosters.accepted
    if not pending or newest is None:
        raise ConfigError("no epoch of the roster is pending; the hub tells a new one when there is one")
    for before, roster in zip((accepted, *pending), pending, strict=False):
        # Once more, as the file could have been changed on the disk.
        roster.verify(node.store.pins.of_hub())
        if before is not None:
            roster.check_follows(before)
    found = rosters.changes()
    rotated, gone = _pins_after(node, rosters)
    _check_open(node, rosters)
    node.trail.note(ROSTER_ACCEPTED, counterparty="hub", digest=newest.digest())
    own = newest.member(node.name)
    node.store.repin(rotated, gone)
    if own is not None:
        if own.identity != node.store.identity.public.hex():
            node.store.take_next_identity(node.name)
        if next_node_key(rosters.home).exists() and own.flower == node_public(
            read_kept(next_node_key(rosters.home), PUT_BACK)
        ):
            take_next_node_key(rosters.home)
        if own.rotations:
            (rosters.home.path / "rotation.json").unlink(missing_ok=True)
    write_atomic(rosters.home.ca, in_time("".join(newest.authorities).encode()))
    rosters.keep_accepted(newest)
    return found


def _pins_after(node: Node, rosters: Rosters) -> tuple[Mapping[str, list[bytes]], set[str]]:
    """By institution its earlier keys and its present one, and who is gone; EnvelopeError for a key from nowhere."""
    newest, pins = rosters.newest, node.store.pins
    if newest is None:
        return {}, set()
    rejoined = _rejoined(rosters)
    changed = [
        one.name
        for one in newest.members
        if one.name not in rejoined
        and (pinned := pins.institutions.get(one.name)) is not None
        and pinned.hex() not in (one.identity, *one.former)
    ]
    refuse_changed(changed, node.store.pins_path)
    rotated = {
        one.name: [*(bytes.fromhex(key) for key in one.former), bytes.fromhex(one.identity)]
        for one in newest.members
    }
    seen = {one.name for roster in (rosters.accepted, *rosters.pending) if roster for one in roster.members}
    return rotated, seen - {one.name for one in newest.members} - {node.name}


def _rejoined(rosters: Rosters) -> set[str]:
    """Institutions that were expelled and let in again since the accepted epoch: their keys are compared anew."""
    newest, accepted = rosters.newest, rosters.accepted
    if newest is None or accepted is None:
        return set()
    old = {one.name: one.since for one in accepted.members}
    return {one.name for one in newest.members if old.get(one.name, one.since) != one.since}


def _check_open(node: Node, rosters: Rosters) -> None:
    """PolicyError where an open attempt uses a key that would change: it goes on with the old one until it is over."""
    changing = {change.name for change in rosters.changes() if change.kind in ("keys", "left")}
    for state in node.store.open_attempts():
        members = {str(one.get("name")) for one in state.load(Begun).study.get("institutions", ())}
        if found := sorted(changing & members):
            raise PolicyError(
                f"attempt {state.id} is open and uses keys of {', '.join(found)}, which the roster changes; accept "
                "once it is over (a study that never ends is given up after a day)"
            )


def refuse_strangers(node: Node, study: Study) -> None:
    """PolicyError where a study has a member whose key no accepted roster has; nothing on one machine."""
    if not node.store.deployed:
        return
    known = {node.name, *node.store.pins.institutions}
    if strangers := sorted(set(study.members) - known):
        raise PolicyError(
            f"{node.name} knows no {', '.join(strangers)}: not in the roster that was accepted here, or expelled "
            "since. Look at fedrisk node roster, compare words and accept, or leave it out of the study"
        )


def unsettled(node: Node, study: Study) -> list[str]:
    """Members of a study whose keys a pending epoch changes: until it is accepted they would not be believed here."""
    found = deployment_of(node.store)
    if found is None or not (found.node / FILE).exists():
        return []
    changed = {one.name for one in Rosters.of(node).changes() if one.kind in ("joined", "left", "keys")}
    return sorted(changed & set(study.members))


def roster_of(node: Node, study: Study) -> str | None:
    """Digest of the accepted epoch in which keys of a member last changed; None on one machine, or where none is here.

    All members state it, and find the same at all others: so a hub cannot have told them different rosters.
    """
    found = deployment_of(node.store)
    if found is None or not (found.node / FILE).exists():
        return None
    rosters = Rosters.of(node)
    accepted = rosters.accepted
    members = [] if accepted is None else [one for one in accepted.members if one.name in study.members]
    return rosters.digests.get(max((one.changed for one in members), default=0))
