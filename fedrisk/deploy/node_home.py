"""A node's folder: what an institution starts its node from.

    node.toml                  the hub's address, the institution's own file, log and health (this module)
    flower.key                 the node's P-384 key, by which the hub's Flower knows it
    node.pem                   the hub's certificate for that key, by which its relay of scores lets the node in
    ca.pem                     the certificate authorities that it trusts, of this consortium alone
    kit.json                   the invitation; roster.json the accepted roster, roster-pending.json a newer one
    claim                      Flower's number of this node; status.json what the serving process says of itself
    node.jsonl                 the log

Everything else of the institution (identity, ledger, trail, pins) stays in its own store, as on one machine. Which
table is read, the institution's own file says, and nothing that comes from the hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedrisk import layout
from fedrisk.deploy.hub_home import Address, Port
from fedrisk.deploy.settings_folder import SettingsFolder
from fedrisk.home import resolved

FILE = "node.toml"
VARIABLE = "FEDRISK_NODE"


class NodeSettings(BaseModel):
    """node.toml.

    hub: HOST:PORT of the hub. institution: path of the institution's own file; a relative one begins at the node's
    folder. health: loopback port of /live, /ready and /metrics; none where it is left out. scoring: HOST:PORT of the
    hub's relay of scores; no scores are served or asked for where it is left out. service, service_grpc: loopback ports
    of a bank's own service for its loan system, HTTP and gRPC; none where they are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hub: Address
    institution: str
    health: Port | None = None
    scoring: Address | None = None
    service: Port | None = None
    service_grpc: Port | None = None


_FOLDER = SettingsFolder(who="node", file=FILE, layout=layout.NODE, model=NodeSettings)


@dataclass(frozen=True)
class NodeHome:
    """A node's folder with its settings."""

    path: Path
    settings: NodeSettings = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> "NodeHome":
        """Read node.toml in a folder; ConfigError where there is none or it breaks a rule.

        StoreError where it is of a later layout; whoever serves from it brings an earlier one forward (layout.py).
        """
        return cls(*_FOLDER.load(folder))

    @classmethod
    def create(cls, folder: str | Path, settings: Mapping[str, Any]) -> "NodeHome":
        """Make a folder, for its owner only, with its node.toml; ConfigError where there is a node already."""
        return cls(*_FOLDER.create(folder, settings))

    @property
    def hub(self) -> str:
        """HOST:PORT of the hub."""
        return self.settings.hub

    @property
    def institution(self) -> Path:
        """The institution's own file."""
        return resolved(self.settings.institution, what="institution", base=self.path)

    @property
    def health(self) -> int | None:
        """Loopback port of health and metrics, or None."""
        return self.settings.health

    @property
    def scoring(self) -> str | None:
        """HOST:PORT of the hub's relay of scores, or None."""
        return self.settings.scoring

    @property
    def service(self) -> int | None:
        """Loopback port of a bank's HTTP service for its loan system, or None."""
        return self.settings.service

    @property
    def service_grpc(self) -> int | None:
        """Loopback port of the same service over gRPC, or None."""
        return self.settings.service_grpc

    @property
    def certificate(self) -> Path:
        """The hub's certificate for the node's key; not there before the hub made one."""
        return self.path / "node.pem"

    @property
    def key(self) -> Path:
        """The node's P-384 key."""
        return self.path / "flower.key"

    @property
    def ca(self) -> Path:
        """Certificates of the authorities that it trusts."""
        return self.path / "ca.pem"

    @property
    def claim(self) -> Path:
        """Flower's number of this node, kept so that a killed one can be taken off before the next begins."""
        return self.path / "claim"

    @property
    def log(self) -> Path:
        """The node's log, a JSON object a line."""
        return self.path / "node.jsonl"
