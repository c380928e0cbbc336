"""How an institution joins a consortium, and changes its keys: what is made at home, and the file that is sent.

Both private keys are made here and stay here: the identity in the institution's store, the P-384 key by which the hub's
Flower knows the node in the node's folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.clients.store.store import NodeStore
from fedrisk.deploy.documents import Key, now
from fedrisk.deploy.keys import new_node_key, node_public
from fedrisk.deploy.kit import Kit, Request
from fedrisk.deploy.node_home import FILE, NodeHome
from fedrisk.deploy.roster import RosterMember
from fedrisk.deploy.rotation import Rotation
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import PUT_BACK, read_json, read_kept, write_atomic
from fedrisk.home import resolved
from fedrisk.institution import Institution, load_institution
from fedrisk.protocol.versions import Spoken
from fedrisk.secure.identity import IdentityKey


@dataclass(frozen=True)
class Deployment:
    """Of which consortium an institution is a member. hub: the hub's identity, hexadecimal. node: the node's folder."""

    consortium: str
    hub: Key
    node: Path


def deployment_of(store: NodeStore) -> Deployment | None:
    """What a store says of it, None where its institution never joined one; StoreError where that is damaged."""
    file = store.deployment_path
    if not file.exists():
        return None
    content = read_json(file, PUT_BACK)
    try:
        return Deployment(str(content["consortium"]), str(content["hub"]), Path(str(content["node"])))
    except KeyError:
        raise StoreError(f"{file} is damaged; {PUT_BACK}") from None


def join(
    kit: Kit,
    institution_file: Path,
    folder: Path | None = None,
    *,
    health: int | None = None,
    service: Mapping[str, int] | None = None,
) -> tuple[NodeHome, Request]:
    """Make a node's folder with its keys, and the request that answers the kit.

    folder: by default ``nodes/NAME`` beside the stores of FEDRISK_HOME. A folder that was made for the same hub before
    keeps its keys and gets a request for the new kit. service: ports of a bank's own service, by their keys in
    node.toml.

    Raises:
        EnvelopeError: the kit is not as its hub signed it, or the store knows another hub.
        PolicyError: the invitation has expired.
        ConfigError: the institution's file is of another name or kind than the kit, or it is in another consortium.
    """
    kit.verify()
    institution = load_institution(institution_file)
    _check_same(kit, institution)
    _check_one_consortium(kit, institution)
    node = Node.open(institution_file)
    place = folder or institution.store_path.parent.parent / "nodes" / institution.name
    home = _home(kit, place, institution_file, health, service)
    with node.store.one_at_a_time():
        identity = node.store.identity
        # Made before the first pin: from then on a ledger that is not there is a lost one.
        _ = node.ledger
        node.store.pin(bytes.fromhex(kit.hub), {institution.name: identity.public})
        if not home.key.exists():
            write_atomic(home.key, new_node_key(), replace=False)
        flower = read_kept(home.key, PUT_BACK)
        write_atomic(home.ca, "".join(kit.authorities).encode())
        write_atomic(home.path / "kit.json", kit.to_bytes())
        spoken = Spoken.here()
        request = Request.of(kit, identity, flower, protocols=spoken.protocols, version=spoken.fedrisk)
        write_atomic(home.path / "request.json", request.to_bytes())
        member_of = {"consortium": kit.consortium, "hub": kit.hub, "node": str(home.path)}
        write_atomic(node.store.deployment_path, json.dumps(member_of).encode() + b"\n")
    return home, request


def _check_same(kit: Kit, institution: Institution) -> None:
    if institution.name != kit.name:
        raise ConfigError(
            f"the kit invites {kit.name}, and {institution.file} is of {institution.name}; name the institution file "
            f"of {kit.name}, or ask the hub's operator for a kit for {institution.name}"
        )
    if institution.kind != kit.role:
        raise ConfigError(
            f"the kit invites {kit.name} as {kit.role}, which needs an institution file of that kind; "
            f'{institution.file} says kind = "{institution.kind}". Ask the hub\'s operator for a kit of the right '
            "role, or name another file"
        )


def _check_one_consortium(kit: Kit, institution: Institution) -> None:
    """ConfigError where the store belongs to another consortium: two hubs would share one ledger and one trail."""
    before = deployment_of(NodeStore(institution.store_path, make=False))
    if before is not None and before.hub != kit.hub:
        raise ConfigError(
            f"{institution.name} is in consortium {before.consortium} already (node {before.node}), and the kit is of "
            f"{kit.consortium}: one node has one hub. For a second consortium give it an institution file with a store "
            'of its own (store = "..."), a second budget that its data-protection officer must agree to'
        )


def _home(
    kit: Kit,
    folder: Path,
    institution_file: Path,
    health: int | None,
    service: Mapping[str, int] | None,
) -> NodeHome:
    """The node's folder, made or, where it is of the same hub, as it is."""
    path = resolved(str(folder), what="node's folder", base=Path.cwd())
    if not (path / FILE).exists():
        settings = {
            "hub": kit.address,
            "institution": str(institution_file.resolve()),
            "health": health,
            "scoring": kit.scoring,
            **(service or {}),
        }
        return NodeHome.create(path, settings)
    home = NodeHome.load(path)
    known = home.path / "kit.json"
    if known.exists() and Kit.read(known).hub != kit.hub:
        raise ConfigError(
            f"{path} is a node of {Kit.read(known).consortium}, and the kit is of {kit.consortium}; name another "
            "folder with --home"
        )
    if home.institution != institution_file.resolve():
        raise ConfigError(
            f"{path} is the node of {home.institution}, and {institution_file} was named; name another folder with "
            "--home"
        )
    return home


def rotate(
    home: NodeHome, node: Node, member: RosterMember, *, identity: bool = True, flower: bool = True
) -> Rotation:
    """New keys, signed by the old ones: the file to send to the hub. Nothing changes here before the roster has them.

    member: the institution in the accepted roster. Asked once more before that, the same new keys are used.
    ConfigError where nothing is to be changed, or the institution is in no consortium.
    """
    if not (identity or flower):
        raise ConfigError("say which key is to change: --identity, --node-key, or both")
    deployment = deployment_of(node.store)
    if deployment is None:
        raise ConfigError(f"{node.name} is in no consortium; there is nobody to tell of new keys")
    with node.store.one_at_a_time():
        old, old_flower = node.store.identity, read_kept(home.key, PUT_BACK)
        new = node.store.make_next_identity() if identity else old
        new_flower = _next_node_key(home) if flower else old_flower
        if not identity:
            (node.store.path / "identity.next.key").unlink(missing_ok=True)
        if not flower:
            next_node_key(home).unlink(missing_ok=True)
        rotation = Rotation(
            consortium=deployment.consortium,
            hub=deployment.hub,
            name=node.name,
            number=len(member.rotations) + 1,
            made=now(),
            old_identity=old.public.hex(),
            identity=new.public.hex(),
            old_flower=node_public(old_flower),
            flower=node_public(new_flower),
        ).signed(old, new, new_flower)
        write_atomic(home.path / "rotation.json", rotation.to_bytes())
    return rotation


def next_node_key(home: NodeHome) -> Path:
    """File of the P-384 key that the node is about to change to."""
    return home.path / "flower.next.key"


def own_keys(home: NodeHome, node: Node) -> tuple[set[str], set[str]]:
    """Identities and P-384 keys under which a roster may know this institution: the present and the next ones."""
    following = node.store.next_identity
    identities: list[IdentityKey] = [node.store.identity, *([] if following is None else [following])]
    files = [file for file in (home.key, next_node_key(home)) if file.exists()]
    return {key.public.hex() for key in identities}, {
        node_public(read_kept(file, PUT_BACK)) for file in files
    }


def take_next_node_key(home: NodeHome) -> None:
    """Change to the next P-384 key; Flower knows the node under another number from then on."""
    file = next_node_key(home)
    if file.exists():
        write_atomic(home.key, read_kept(file, PUT_BACK))
        home.claim.unlink(missing_ok=True)
        file.unlink()


def _next_node_key(home: NodeHome) -> bytes:
    file = next_node_key(home)
    if not file.exists():
        write_atomic(file, new_node_key(), replace=False)
    return read_kept(file, PUT_BACK)
