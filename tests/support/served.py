"""A tiny consortium whose model serves: relay, two holders and the bank's service, each a process, over TLS on loopback.

Folders are made by the functions that the commands call, and the study runs in the process of the test: what is tried
here is what comes after it. Processes run no studies, so that they start quickly. One member calls the relay through a
wire that can be cut.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import node_public
from fedrisk.deploy.node_home import NodeHome
from fedrisk.engine.in_process import run_local
from fedrisk.engine.kept_parts import follows
from fedrisk.files import write_atomic
from fedrisk.recipes import load_study
from fedrisk.recipes.scorecard.model_parts import part_of
from fedrisk.server.certificates import certificate_of, renew_server
from fedrisk.server.hub import Hub
from fedrisk.serving import registry
from sim_institutions.consent_register import ConsentRegister
from sim_institutions.loan_system import LoanSystem
from sim_institutions.processes import Machine, Service, free_ports, wait_until
from sim_institutions.wire import Wire
from support.deployed import Deployed, canaries, deployed, settings

BANK, PURPOSE = "bank", "credit_scoring"
ROLES = {BANK: "bank", "tax": "holder", "power": "holder"}
CUT = "power"
"""The member behind the wire."""

RULES = """
[policy.serving]
approve = "own_parts"
consent = "token"
per_enterprise = 100000
per_day = 1000000
ages = "always"

{register}
"""


@dataclass
class Served:
    """The consortium, its register and model. secret: what to search for in the hub's files, by kind."""

    place: Deployed
    register: ConsentRegister
    model: str
    attempt: str
    wire: Wire
    service_port: int
    secret: dict[str, list[bytes]]
    serving: dict[str, Service] = field(default_factory=dict)

    @property
    def machines(self) -> dict[str, Machine]:
        return self.place.machines

    def node(self, name: str) -> Node:
        return self.place.joined.node(name)

    def serve(self, *names: str) -> None:
        """Start the relay ("hub") or members' serving, by default all, and wait until they are connected."""
        for name in names or self.machines:
            group, home = (
                ("hub", self.place.home) if name == "hub" else ("node", self.place.joined.nodes[name].path)
            )
            self.serving[name] = self.machines[name].start(group, "scoring", home)
        for name in names or self.machines:
            self.wait(name)

    def wait(self, name: str, seconds: float = 60.0) -> None:
        """Wait until a member is connected, and the bank's service answers."""
        if name == "hub":
            return
        wait_until(f"{name} is connected", lambda: self.connected(name), self.serving[name], seconds)
        if name == BANK:
            wait_until("the bank's service answers", self.healthy, self.serving[name], seconds)

    def connected(self, name: str) -> bool:
        with contextlib.suppress(OSError, ValueError):
            file = self.place.joined.nodes[name].path / "scoring-status.json"
            said = json.loads(file.read_text())
            return (
                bool(said.get("connected"))
                and said.get("pid", self.serving[name].process.pid) == self.serving[name].process.pid
            )
        return False

    def healthy(self) -> bool:
        if not self.token.exists():
            return False
        with contextlib.closing(self.loan_system()) as system:
            return system.get("/v1/health").get("status") == "ok"

    @property
    def token(self) -> Path:
        return self.place.joined.nodes[BANK].path / "service.token"

    def loan_system(self) -> LoanSystem:
        return LoanSystem(self.service_port, self.token)

    def tokens(
        self, ids: Sequence[str], *, uses: int = 1000, purpose: str = PURPOSE, bank: str = BANK
    ) -> dict[str, str]:
        """Consents of enterprises, by id."""
        return dict(zip(ids, self.register.tokens(ids, bank, purpose, uses=uses), strict=True))

    def book(self, name: str) -> dict[str, int]:
        """How many questions a holder remembers, and how many scores it has counted."""
        file = self.node(name).store.path / "serving" / "book.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as book:
            questions = book.execute("select count(*) from question").fetchone()[0]
            scores = book.execute("select coalesce(sum(number), 0) from scored").fetchone()[0]
        return {"questions": questions, "scores": scores}

    def stop(self) -> dict[str, int]:
        """End all, members first; exit codes."""
        order = [n for n in self.serving if n != "hub"] + [n for n in self.serving if n == "hub"]
        codes = {name: self.serving[name].stop() for name in order}
        self.serving.clear()
        return codes


@contextlib.contextmanager
def served(folder: Path, tables: Path) -> Iterator[Served]:
    """A consortium that has built, approved and deployed a model, not served yet; all ends with the block."""
    register = ConsentRegister(folder / "register", "register")
    secret = canaries(tables)
    for name in ("tax", "power"):
        file = tables / "institutions" / f"{name}.toml"
        file.write_text(file.read_text() + RULES.format(register=register.to_pin))
    scoring, service = free_ports(2)

    def study(home: HubHome) -> None:
        # A member of a consortium runs no study that was not proposed to it: the model is older than the consortium.
        paths = {name: tables / "institutions" / f"{name}.toml" for name in ROLES}
        run_local(load_study(tables / "study.toml"), paths, hub=Hub(home.path))

    with deployed(folder, tables, ROLES, study) as place, Wire(scoring) as wire:
        _relayed(place, scoring, wire.port, service)
        bank = place.joined.node(BANK)
        (part,) = bank.store.models.parts()
        for name in ROLES:
            node = place.joined.node(name)
            if not node.store.models.state(part.model).serves:
                registry.approve(node, part.model, who="tester", follows=follows(node))
        registry.deploy(bank, part.model, as_="champion", who="tester")
        made = Served(place, register, part.model, part.attempt, wire, service, secret)
        try:
            yield made
        finally:
            made.stop()


def _relayed(place: Deployed, scoring: int, wired: int, service: int) -> None:
    """Addresses of the relay in all folders, and certificates for all nodes."""
    home = place.joined.home.path
    address = f'"127.0.0.1:{scoring}"'
    settings(home / "hub.toml", scoring=address, scoring_listen=address)
    hub = HubHome.load(home)
    renew_server(hub)
    for name, node in place.joined.nodes.items():
        settings(node.path / "node.toml", scoring=f'"127.0.0.1:{wired}"' if name == CUT else address)
        if name == BANK:
            settings(node.path / "node.toml", service=service)
        certificate = certificate_of(hub, name, node_public(node.key.read_bytes()))
        write_atomic(NodeHome.load(node.path).certificate, certificate.encode())


def approve_all(run: Any) -> None:
    """Approve a study's model wherever it waits for a person: noise decides whether its points tell a column."""
    for seen in run.nodes.values():
        node = Node.open(seen.institution.file)
        for own in node.store.models.parts():
            if node.store.models.state(own.model).name == "candidate":
                made = part_of(Attempt(node, node.store.attempt(run.attempt)))
                registry.approve(node, own.model, who="ann", follows=lambda part, made=made: made)
