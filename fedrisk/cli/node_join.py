"""``fedrisk node init``, ``roster`` and ``rotate-keys``: how a node joins, whom it trusts, and how its keys change."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.node import NodeFolder, node_app
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.roster import Rosters

Yes = Annotated[
    bool, typer.Option("--yes", help="For scripts: state that all words were compared over another channel.")
]


@node_app.command("init")
def node_init(
    node: NodeFolder,
    kit: Annotated[
        Path,
        typer.Argument(
            help="The kit from the hub's operator, for example bank.kit.json.", show_default=False
        ),
    ],
    institution: Annotated[
        Path,
        typer.Option("--institution", help="The institution's own file, for example institutions/bank.toml."),
    ],
    words: Annotated[
        str | None,
        typer.Option(
            "--words", help='The hub\'s eight words as its operator said them, for example "toy fame ...".'
        ),
    ] = None,
    yes: Yes = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File of the request; default: NAME.request.json. Example: r.json."),
    ] = None,
    health: Annotated[
        int | None, typer.Option("--health", help="Loopback port of health and metrics, for example 9493.")
    ] = None,
    service: Annotated[
        int | None,
        typer.Option(
            "--service",
            help="At a bank: loopback port of scores for its loan system, HTTP, for example 9485.",
        ),
    ] = None,
    service_grpc: Annotated[
        int | None,
        typer.Option("--service-grpc", help="At a bank: the same over gRPC, for example 9486."),
    ] = None,
) -> None:
    """Make a node's folder with its keys, and the request to send to the hub; no private key leaves this machine."""
    from fedrisk.cli.compared import compare
    from fedrisk.clients.joining import join
    from fedrisk.deploy.kit import Kit
    from fedrisk.files import write_atomic

    invitation = Kit.read(kit)
    invitation.verify()
    compare(
        _("the hub of {consortium}", consortium=invitation.consortium), invitation.hub_words, words, yes=yes
    )
    ports = {"service": service, "service_grpc": service_grpc}
    given = {key: port for key, port in ports.items() if port is not None}
    home, request = join(invitation, institution, node, health=health, service=given)
    file = to or Path(f"{request.name}.request.json")
    write_atomic(file, request.to_bytes())
    tell(_("words of this request: {words}", words=request.words))
    tell(_("words of the hub:      {hub_words}", hub_words=invitation.hub_words))
    tell(
        _(
            "{file}: send it to the operator of {consortium}, and read the words of the request by telephone",
            file=file,
            consortium=invitation.consortium,
        )
    )
    tell(
        _(
            "node of {name}: {path}; start it with fedrisk node serve once it was admitted",
            name=request.name,
            path=home.path,
        )
    )


@node_app.command("roster")
def node_roster(
    node: NodeFolder,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="Accept what is pending, after words of new institutions were compared."
        ),
    ] = False,
    words: Annotated[
        list[str] | None,
        typer.Option(
            "--words", help='With --accept: words of a new institution, for example "tax: toy fame ...".'
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Whom this node trusts, and what the hub would change: who is new, who is gone, whose key is another."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.roster import Rosters
    from fedrisk.deploy.node_home import NodeHome

    home = NodeHome.load(node)
    institution = Node.load(home.institution)
    rosters = Rosters(home)
    if accept:
        _accept(institution, rosters, words or [], yes)
    if as_json:
        tell_json(_as_json(rosters))
    else:
        _show(rosters)


@node_app.command("rotate-keys")
def node_rotate(
    node: NodeFolder,
    identity: Annotated[
        bool,
        typer.Option(
            "--identity", help="The institution's identity alone; both keys where neither is named."
        ),
    ] = False,
    node_key: Annotated[
        bool, typer.Option("--node-key", help="The key by which Flower knows the node alone, in flower.key.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File of the rotation; default: NAME.rotation.json. Example: r.json."),
    ] = None,
) -> None:
    """Make new keys, signed by the old ones: a file for the hub. They hold once the roster with them is accepted."""
    from fedrisk.clients.joining import rotate
    from fedrisk.clients.node import Node
    from fedrisk.clients.roster import Rosters
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.errors import ConfigError
    from fedrisk.files import write_atomic

    home = NodeHome.load(node)
    institution = Node.open(home.institution)
    accepted = Rosters(home).accepted
    member = None if accepted is None else accepted.member(institution.name)
    if member is None:
        raise ConfigError(
            f"{institution.name} is in no roster that was accepted here, so there are no keys to change; join first"
        )
    both = identity == node_key
    rotation = rotate(home, institution, member, identity=both or identity, flower=both or node_key)
    file = to or Path(f"{rotation.name}.rotation.json")
    write_atomic(file, rotation.to_bytes())
    tell(_("words of this rotation: {words}", words=rotation.words))
    tell(_("{file}: send it to the hub's operator, and read the words by telephone", file=file))
    tell(
        _(
            "the old keys hold until the roster with the new ones is accepted here: fedrisk node roster NODE --accept"
        )
    )


def _accept(institution: "Node", rosters: "Rosters", words: list[str], yes: bool) -> None:
    from fedrisk.cli.compared import compare
    from fedrisk.clients.joining import next_node_key
    from fedrisk.clients.roster import accept

    given = {name.strip(): said for name, _, said in (one.partition(":") for one in words)}
    for change in rosters.changes():
        note(change.text, style=None)
        if change.kind == "joined" and change.name != institution.name:
            compare(change.name, change.words, given.get(change.name), yes=yes)
    node = institution.opened()
    renewed = next_node_key(rosters.home).exists()
    with node.store.one_at_a_time():
        accept(node, rosters)
    if renewed and not next_node_key(rosters.home).exists():
        note(_("the node's key changed: start fedrisk node serve again"), style="bold")


def _show(rosters: "Rosters") -> None:
    from fedrisk.cli.hub_members import print_members

    accepted, pending = rosters.accepted, rosters.pending
    if accepted is None:
        tell(_("no roster was accepted yet"))
    else:
        tell(
            _(
                "{consortium}, accepted epoch {epoch} of {made}",
                consortium=accepted.consortium,
                epoch=accepted.epoch,
                made=accepted.made,
            )
        )
        tell(_("words of the epoch, the same at all members: {words}", words=accepted.words))
        print_members(accepted)
    if not pending:
        tell(
            _("nothing is pending")
            if accepted
            else _("nothing is pending either: serve the node, and the hub tells it")
        )
        return
    tell(_("pending: epoch {epoch}; accept it with --accept", epoch=pending[-1].epoch), "yellow")
    for change in rosters.changes():
        tell(f"  {change.text}{f'; words: {change.words}' if change.words else ''}")


def _as_json(rosters: "Rosters") -> dict[str, object]:
    accepted, pending = rosters.accepted, rosters.pending
    return {
        "accepted": None if accepted is None else {**accepted.to_dict(), "words": accepted.words},
        "pending": pending[-1].epoch if pending else None,
        "changes": [change.model_dump() for change in rosters.changes()],
    }
