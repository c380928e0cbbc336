"""Who is let into a consortium, and who is put out: the acts of the hub's operator.

Each is a new epoch of the signed roster, and a line in ``acts.jsonl``. Whether the words were compared by another
channel is the operator's to say; whoever calls these functions has asked. ``register`` and ``unregister`` reach
Flower's SuperLink (engine/superlink), which lets in the P-384 keys that it knows.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fedrisk.deploy import pki
from fedrisk.deploy.documents import Form, Key, Moment, at, now
from fedrisk.deploy.hub_home import FILE, HubHome
from fedrisk.deploy.kit import InvitationId, Kit, Request, expired
from fedrisk.deploy.roster import Expelled, Roster, RosterMember, write_epoch
from fedrisk.deploy.rotation import Rotation
from fedrisk.deploy.words import hub_words
from fedrisk.display_name import same_to_the_eye
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError
from fedrisk.file_rules import checked
from fedrisk.files import PUT_BACK, private_folder, read_json, write_atomic
from fedrisk.secure.identity import HUB
from fedrisk.server.acts import next_epoch, note_act, one_at_a_time
from fedrisk.server.certificates import authorities, renew_server
from fedrisk.server.hub import Hub
from fedrisk.study_members import DisplayName, Role
from fedrisk.study_sections import Name

INVITATION_DAYS = 14
"""How long an invitation holds."""

Register = Callable[[HubHome, str, str], object]
"""(home, name, public P-384 key) -> let a node in."""

Unregister = Callable[[HubHome, str], object]
"""(home, name) -> let it in no longer."""


class Invitation(Form):
    """An invitation as the hub keeps it. token: SHA-256 of the kit's. used: digest of the request that it let in."""

    id: InvitationId
    name: Name
    role: Role
    display_name: DisplayName | None
    token: Key
    made: Moment
    expires: Moment
    used: str = ""


def make_hub(folder: str | Path, settings: Mapping[str, Any], *, moment: datetime | None = None) -> HubHome:
    """A hub's folder with its authority, certificate, identity and the first, empty epoch of its roster.

    settings: of hub.toml. moment: from which the certificates hold. ConfigError where there is a hub already.
    """
    home = HubHome.create(folder, settings)
    try:
        identity = Hub(home.path).identity
        key, certificate = pki.new_authority(home.name, begin=moment)
        write_atomic(home.path / "ca.key", key)
        write_atomic(home.path / "ca.pem", certificate)
        renew_server(home, moment=moment)
        private_folder(home.path / "invitations")
        first = Roster(
            consortium=home.name,
            epoch=1,
            made=now(),
            hub=identity.public.hex(),
            authorities=authorities(home),
            members=(),
            previous="",
        )
        write_epoch(home, first.signed(identity))
    except BaseException:
        # Without its settings the folder is no hub's, and the command can be given again.
        (home.path / FILE).unlink(missing_ok=True)
        raise
    return home


def words_of_hub(home: HubHome) -> str:
    """The hub's eight words, which every institution compares when it joins."""
    return hub_words(home.name, Hub(home.path).identity.public.hex())


def invite(
    home: HubHome,
    name: str,
    role: str,
    *,
    display_name: str | None = None,
    days: float = INVITATION_DAYS,
    renew: bool = False,
) -> Kit:
    """A kit for one institution. renew: in place of an earlier invitation, whose kit is void from then on.

    ConfigError where the name is taken, or invited already.
    """
    roster, file = Roster.latest(home), _invitation_file(home, name)
    _free(roster, name, display_name)
    if file.exists() and not renew and not _read(file).used:
        raise ConfigError(
            f"{name} is invited already; send it the kit again, or make a new one with --renew, which voids the first"
        )
    hub, token, moment = Hub(home.path).identity, secrets.token_hex(16), datetime.now(UTC)
    certificates = authorities(home)
    draft = {
        "consortium": home.name,
        "address": home.address,
        "scoring": home.scoring,
        "name": name,
        "role": role,
        "display_name": display_name,
        "hub": hub.public.hex(),
        "hub_words": hub_words(home.name, hub.public.hex()),
        "fingerprint": pki.fingerprint(certificates[0].encode()),
        "authorities": certificates,
        "invitation": secrets.token_hex(6),
        "token": token,
        "made": at(moment),
        "expires": at(moment + timedelta(days=days)),
    }
    kit = checked(Kit, draft, where="invitation").signed(hub)
    kept = Invitation(
        id=kit.invitation,
        name=kit.name,
        role=kit.role,
        display_name=kit.display_name,
        token=_hashed(token),
        made=kit.made,
        expires=kit.expires,
    )
    write_atomic(file, kept.model_dump_json(indent=1).encode())
    note_act(home, "invite", name, role=role, expires=kit.expires)
    return kit


def check_request(home: HubHome, request: Request) -> Invitation:
    """The invitation that a request answers.

    EnvelopeError where the request is not signed by its keys, is of another hub, or nobody invited it; PolicyError
    where the invitation has expired; ConfigError where it was used, or the name or a key is taken.
    """
    request.verify()
    roster, name = Roster.latest(home), request.name
    if (request.consortium, request.hub) != (roster.consortium, roster.hub):
        raise EnvelopeError(
            f"the request of {name} is for another hub or consortium ({request.consortium}); it answers a kit that was "
            "not made here. Nothing was admitted"
        )
    if (known := roster.member(name)) is not None and known.identity == request.identity:
        raise ConfigError(f"{name} was admitted with this key in epoch {known.since} already; nothing to do")
    file = _invitation_file(home, name)
    invitation = _read(file) if file.exists() else None
    if invitation is None or not hmac.compare_digest(invitation.token, _hashed(request.token)):
        raise EnvelopeError(
            f"the request of {name} answers no invitation that is open here: it is of a kit that was renewed, or "
            f"nobody was invited as {name}. Invite it (fedrisk hub invite HUB {name} --role {request.role} --renew)"
        )
    if invitation.used:
        raise ConfigError(
            f"the invitation of {name} was used; a request is taken once. Invite it again with --renew"
        )
    if expired(invitation.expires):
        raise PolicyError(
            f"the invitation of {name} expired at {invitation.expires}; make a new one (fedrisk hub invite HUB {name} "
            f"--role {invitation.role} --renew)"
        )
    asked = (request.invitation, request.role, request.display_name)
    if asked != (invitation.id, invitation.role, invitation.display_name):
        raise EnvelopeError(
            f"the request of {name} asks for another role or display name than it was invited to ({invitation.role}); "
            "nothing was admitted. Invite it again with --renew where the new one is right"
        )
    _free(roster, name, request.display_name)
    _unused(roster, name, request.identity, request.flower)
    return invitation


def admit(home: HubHome, request: Request, register: Register) -> Roster:
    """Let an institution in whose words were compared: its keys are known from the new epoch on, which is returned.

    Errors of ``check_request``, and of ``register``; nothing has changed then.
    """
    with one_at_a_time(home):
        invitation = check_request(home, request)
        before, hub = Roster.latest(home), Hub(home.path)
        epoch = before.epoch + 1
        member = RosterMember(
            name=request.name,
            role=request.role,
            display_name=request.display_name,
            identity=request.identity,
            flower=request.flower,
            protocols=request.protocols,
            fedrisk=request.fedrisk,
            since=epoch,
            changed=epoch,
        )
        after = next_epoch(before, hub.identity, members=(*before.members, member))
        register(home, request.name, request.flower)
        hub.pin({request.name: bytes.fromhex(request.identity)})
        write_epoch(home, after)
        used = invitation.model_copy(update={"used": hashlib.sha256(request.to_bytes()).hexdigest()})
        write_atomic(_invitation_file(home, request.name), used.model_dump_json(indent=1).encode())
        note_act(home, "admit", request.name, epoch=epoch, words=request.words)
    return after


def check_rotation(home: HubHome, rotation: Rotation) -> RosterMember:
    """The institution whose keys a rotation changes.

    EnvelopeError where it is not signed by old and new keys, is of another hub, or does not begin with the present
    keys; ConfigError where it was admitted already or a key is taken.
    """
    rotation.verify()
    roster, name = Roster.latest(home), rotation.name
    if (rotation.consortium, rotation.hub) != (roster.consortium, roster.hub):
        raise EnvelopeError(f"the rotation of {name} is for another hub or consortium; nothing was changed")
    member = roster.member(name)
    if member is None:
        raise EnvelopeError(
            f"the rotation of {name} is of an institution that is no member; nothing was changed"
        )
    if rotation in member.rotations:
        raise ConfigError(f"this rotation of {name} was admitted already; nothing to do")
    begins = (rotation.old_identity, rotation.old_flower, rotation.number)
    if begins != (member.identity, member.flower, len(member.rotations) + 1):
        raise EnvelopeError(
            f"the rotation of {name} does not begin with the keys that it has now: it is an old one that was sent "
            "again, or was made on a copy of its store. Nothing was changed; ask it for a new one"
        )
    _unused(roster, name, rotation.identity, rotation.flower)
    return member


def admit_rotation(home: HubHome, rotation: Rotation, register: Register) -> Roster:
    """Put an institution's new keys in place of its old ones, in a new epoch, which is returned.

    The old P-384 key still lets its node in until it is retired: the node changes over when it accepts the epoch.
    Errors of ``check_rotation``, and of ``register``.
    """
    with one_at_a_time(home):
        member = check_rotation(home, rotation)
        before, hub = Roster.latest(home), Hub(home.path)
        changed = member.model_copy(
            update={
                "identity": rotation.identity,
                "flower": rotation.flower,
                "rotations": (*member.rotations, rotation),
                "changed": before.epoch + 1,
            }
        )
        members = tuple(changed if one.name == member.name else one for one in before.members)
        after = next_epoch(before, hub.identity, members=members)
        if rotation.flower != rotation.old_flower:
            register(home, member.name, rotation.flower)
        hub.repin({member.name: bytes.fromhex(rotation.identity)})
        write_epoch(home, after)
        note_act(home, "rotate", member.name, epoch=after.epoch, words=rotation.words)
    return after


def expel(home: HubHome, name: str, unregister: Unregister, *, reason: str) -> Roster:
    """Put an institution out: its node is let in no longer, and the new epoch, which is returned, says so.

    reason: kept at the hub alone. ConfigError where it is no member, or without a reason.
    """
    if not reason.strip():
        raise ConfigError("an expulsion needs a reason: what happened, and who decided")
    with one_at_a_time(home):
        before, hub = Roster.latest(home), Hub(home.path)
        member = before.member(name)
        if member is None:
            known = ", ".join(one.name for one in before.members) or "nobody"
            raise ConfigError(f"{name} is no member of {home.name} (members: {known}); check the name")
        gone = Expelled(
            name=name,
            identity=member.identity,
            flower=member.flower,
            since=member.since,
            epoch=before.epoch + 1,
            when=now(),
        )
        members = tuple(one for one in before.members if one.name != name)
        after = next_epoch(before, hub.identity, members=members, expelled=(*before.expelled, gone))
        unregister(home, name)
        hub.repin({}, gone=(name,))
        write_epoch(home, after)
        _invitation_file(home, name).unlink(missing_ok=True)
        note_act(home, "expel", name, epoch=after.epoch, reason=reason)
    return after


def _free(roster: Roster, name: str, display_name: str | None) -> None:
    if name == HUB:
        raise ConfigError("no institution may be called hub; choose another name")
    if roster.member(name) is not None:
        raise ConfigError(f"{name} is a member of {roster.consortium} already; choose another name")
    shown = {one.name: one.display_name for one in roster.members}
    if pair := same_to_the_eye({**shown, name: display_name}):
        raise ConfigError(f"{pair[0]} and {pair[1]} would read alike; choose another name or --display-name")


def _unused(roster: Roster, name: str, identity: str, flower: str) -> None:
    """ConfigError where a key is, or was, that of an institution of another name."""
    known = [(one.name, {one.identity, *one.former}, one.flower) for one in roster.members]
    known += [(one.name, {one.identity}, one.flower) for one in roster.expelled]
    for other, identities, node_key in known:
        if other != name and (identity in identities or flower == node_key):
            raise ConfigError(
                f"a key of {name} is that of {other}; each institution has keys of its own. Make new ones in a store "
                "of its own (another FEDRISK_HOME), and send a new request"
            )


def _invitation_file(home: HubHome, name: str) -> Path:
    # A name that is none must not become a path; the kit's form then names the rule.
    safe = name if name.isascii() and name.replace("_", "").isalnum() else "none"
    return home.path / "invitations" / f"{safe}.json"


def _read(file: Path) -> Invitation:
    return Invitation.model_validate(read_json(file, PUT_BACK))


def _hashed(token: str) -> str:
    return hashlib.sha256(f"fedrisk invitation {token}".encode()).hexdigest()
