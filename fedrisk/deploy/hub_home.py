"""The hub's folder: what a consortium's operator starts a hub from.

    hub.toml                 name, addresses, ports (this module)
    ca.pem ca.key            the consortium's certificate authority; server.pem server.key of the hub
    identity.key pins.json   the hub's signing key and the members' keys (server/hub); holdout.key, bank.key
    roster/EPOCH.json        signed rosters; invitations/
    proposals/  runs/        studies as proposals, and what was run (server/proposals, server/runs)
    flower.sqlite            Flower's database; hub.jsonl the log

The folder is at the same time the hub's store: ``server.hub.Hub(home.path)``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fedrisk import layout
from fedrisk.deploy.settings_folder import SettingsFolder

FILE = "hub.toml"
VARIABLE = "FEDRISK_HUB"

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
ConsortiumName = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]


class HubSettings(BaseModel):
    """hub.toml.

    name: of the consortium. address: HOST:PORT as nodes reach it, in the server's certificate. listen: HOST:PORT of
    the public port here, by default all addresses at the public port. health: loopback port of /live, /ready and
    /metrics; none where it is left out. scoring: HOST:PORT of the relay of scores as nodes reach it; no scores are
    relayed where it is left out. scoring_listen: HOST:PORT of it here, by default all addresses at that port.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ConsortiumName
    address: Address
    listen: Address | None = None
    health: Port | None = None
    scoring: Address | None = None
    scoring_listen: Address | None = None


_FOLDER = SettingsFolder(who="hub", file=FILE, layout=layout.HUB, model=HubSettings)


@dataclass(frozen=True)
class HubHome:
    """A hub's folder with its settings."""

    path: Path
    settings: HubSettings = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> "HubHome":
        """Read hub.toml in a folder; ConfigError where there is none, or it breaks a rule.

        StoreError where it is of a later layout; whoever serves from it brings an earlier one forward (layout.py).
        """
        return cls(*_FOLDER.load(folder))

    @classmethod
    def create(cls, folder: str | Path, settings: Mapping[str, Any]) -> "HubHome":
        """Make a folder, for its owner only, with its hub.toml; ConfigError where there is a hub already."""
        return cls(*_FOLDER.create(folder, settings))

    @property
    def name(self) -> str:
        """The consortium's name."""
        return self.settings.name

    @property
    def address(self) -> str:
        """HOST:PORT as nodes reach it."""
        return self.settings.address

    @property
    def listen(self) -> str:
        """HOST:PORT of the public port on this machine."""
        return self.settings.listen or f"0.0.0.0:{self.address.rpartition(':')[2]}"

    @property
    def health(self) -> int | None:
        """Loopback port of health and metrics, or None."""
        return self.settings.health

    @property
    def scoring(self) -> str | None:
        """HOST:PORT of the relay of scores as nodes reach it, None where this hub relays none."""
        return self.settings.scoring

    @property
    def scoring_listen(self) -> str | None:
        """HOST:PORT of the relay of scores on this machine, None where this hub relays none."""
        if self.scoring is None:
            return None
        return self.settings.scoring_listen or f"0.0.0.0:{self.scoring.rpartition(':')[2]}"

    @property
    def database(self) -> Path:
        """Flower's database."""
        return self.path / "flower.sqlite"

    @property
    def log(self) -> Path:
        """The hub's log, a JSON object a line."""
        return self.path / "hub.jsonl"
