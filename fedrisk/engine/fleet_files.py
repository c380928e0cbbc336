"""What a node connects with: the hub's address, its key and CA, the release of flwr; and how the connection is."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from fedrisk.deploy.keys import private_key_of
from fedrisk.errors import ConfigError, StoreError

FLOWER = "1.41"
"""The minor release whose private names this file and its neighbours use."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Where a node connects, and by which files. hub: HOST:PORT. claim: kept between starts (`engine/claim`)."""

    hub: str
    ca: Path
    key: Path
    claim: Path


@dataclass
class LinkState:
    """How the connection is. since: unix time of the last change; reason: in words, while it is away.

    ahead: seconds by which this machine's clock is before the hub's. certificate_until: unix time.
    """

    connected: bool = False
    since: float = 0.0
    reason: str | None = None
    ahead: float | None = None
    certificate_until: float | None = None


def check_flower() -> None:
    """ConfigError where another release of flwr is installed than this node was made for."""
    found = version("flwr")
    if not found.startswith(f"{FLOWER}."):
        raise ConfigError(
            f"flwr {found} is installed, and this node speaks to its hub as flwr {FLOWER} does; install fedrisk again, "
            f'or pip install "flwr[simulation]=={FLOWER}.*"'
        )


def load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The node's P-384 key; StoreError where it is gone, ConfigError where it is none."""
    try:
        key = private_key_of(file.read_bytes())
    except OSError as error:
        raise StoreError(
            f"{file} cannot be read: {error.strerror}; put it back from its copy, or make a node anew with fedrisk "
            "node init"
        ) from None
    if key is None:
        raise ConfigError(f"{file} holds no P-384 key in OpenSSH form; put it back from its copy")
    return key
