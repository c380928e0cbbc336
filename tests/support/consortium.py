"""A hub's folder and nodes that joined it, on the disk, without any process: for tests that begin there.

Everything is made by the functions that the commands call; only Flower's SuperLink, which registers the nodes' keys, is
left out (``registered`` has what it would be told).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedrisk.clients.joining import join
from fedrisk.clients.node import Node
from fedrisk.clients.roster import Rosters, accept, receive
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.kit import Kit, Request
from fedrisk.deploy.node_home import NodeHome
from fedrisk.deploy.roster import Roster, after_epoch
from fedrisk.server.hub import Hub
from fedrisk.server.membership import admit, invite, make_hub

HOLDER = """
[table]
source = "{name}.csv"

[dictionary]
id = "id"
id_scheme = "opaque"

[[dictionary.columns]]
name = "sales"
kind = "number"
meaning = "sales"
low = 0.0
high = 10.0
bins = [1.0, 5.0]
"""

LABEL = """
[dictionary.label]
column = "bad"
positive = [1]
negative = [0]
horizon = "default within a year"
selection = "labels exist for borrowers only"
"""


@dataclass
class Joined:
    """A consortium. registered: what Flower would be told, public P-384 key by name, in order."""

    home: HubHome
    nodes: dict[str, NodeHome] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    registered: list[tuple[str, str]] = field(default_factory=list)

    @property
    def hub(self) -> Hub:
        return Hub(self.home.path)

    @property
    def roster(self) -> Roster:
        return Roster.latest(self.home)

    def node(self, name: str) -> Node:
        """The institution behind a node's folder, opened."""
        return Node.open(self.nodes[name].institution)

    def rosters(self, name: str) -> Rosters:
        return Rosters(self.nodes[name])

    def register(self, home: HubHome, name: str, public: str) -> None:
        self.registered.append((name, public))

    def unregister(self, home: HubHome, name: str) -> None:
        self.registered = [one for one in self.registered if one[0] != name]

    def kit(self, name: str, role: str, **how: object) -> Kit:
        return invite(self.home, name, role, **how)

    def join(self, name: str, role: str, institution: Path, **how: object) -> Request:
        """Invite, make the node's folder, and admit its request."""
        node, request = join(self.kit(name, role, **how), institution, self.home.path.parent / f"node_{name}")
        self.nodes[name], self.requests[name] = node, request
        admit(self.home, request, self.register)
        return request

    def tell(self, *names: str) -> None:
        """Each node receives what it lacks of the roster; nothing is accepted."""
        for name in names or self.nodes:
            newest = self.rosters(name).newest
            since = newest.epoch if newest is not None else self.roster.member(name).since - 1
            receive(self.node(name), self.rosters(name), after_epoch(self.home, since))

    def accept(self, *names: str) -> None:
        """Each node receives what it lacks of the roster, and accepts it."""
        for name in names or self.nodes:
            self.tell(name)
            if self.rosters(name).pending:
                accept(self.node(name), self.rosters(name))


def make_joined_hub(folder: Path, *, name: str = "pilot", address: str = "127.0.0.1:9490") -> Joined:
    """A hub's folder without members."""
    return Joined(make_hub(folder / "hub", {"name": name, "address": address}))


def joined(
    folder: Path,
    names_and_roles: Mapping[str, str] | Sequence[tuple[str, str]],
    *,
    institutions: Mapping[str, Path] | None = None,
    accepted: bool = True,
    name: str = "pilot",
    address: str = "127.0.0.1:9490",
    before: Callable[[HubHome], object] = lambda home: None,
) -> Joined:
    """A hub's folder and one node's folder for each institution, admitted, with the last roster accepted by all.

    names_and_roles: {"bank": "bank", "tax": "holder"}. institutions: their files; where one is left out, a small file
    is written (its table is not). accepted: whether nodes accept the roster. before: called with the hub's folder, as
    long as nobody has joined it. Stores lie below FEDRISK_HOME (use the
    ``fedrisk_home`` fixture) or where the files say.
    """
    made = make_joined_hub(folder, name=name, address=address)
    before(made.home)
    for member, role in dict(names_and_roles).items():
        file = (institutions or {}).get(member) or institution_file(folder / "institutions", member, role)
        made.join(member, role, file)
    if accepted:
        made.accept()
    return made


def institution_file(folder: Path, name: str, kind: str, more: str = "") -> Path:
    """A small institution file with a store of its own beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.toml"
    text = f'name = "{name}"\nkind = "{kind}"\nstore = "stores/{name}"\n{more}'
    if kind not in ("authority", "regulator"):
        text += HOLDER.format(name=name)
    if kind == "bank":
        text += LABEL
    file.write_text(text, encoding="utf-8")
    return file
