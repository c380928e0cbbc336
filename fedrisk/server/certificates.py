"""The hub's certificate and the authority that signs it: made, renewed, and handed out one period ahead."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from fedrisk.deploy import pki
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import Roster, write_epoch
from fedrisk.errors import ConfigError, PolicyError
from fedrisk.files import PUT_BACK, read_kept, write_atomic
from fedrisk.server.acts import next_epoch, note_act, one_at_a_time
from fedrisk.server.hub import Hub

BEFORE = "ca-before.pem"
"""Authorities before the present one, whose certificates of nodes still hold."""


def renew_server(home: HubHome, *, moment: datetime | None = None, days: float = pki.SERVER_DAYS) -> None:
    """A new certificate for the hub's server, with a new key, signed by the present authority."""
    authority, signer = (read_kept(home.path / name, PUT_BACK) for name in ("ca.pem", "ca.key"))
    also = () if home.scoring is None else (home.scoring,)
    key, certificate = pki.new_server(signer, authority, home.address, also=also, days=days, begin=moment)
    write_atomic(home.path / "server.key", key)
    write_atomic(home.path / "server.pem", certificate)


def certificate_of(home: HubHome, name: str, public: str) -> str:
    """A certificate (PEM) for a member's node, signed by the present authority.

    public: the P-384 key, as OpenSSH writes it. ConfigError or StoreError where a file of the authority is damaged.
    """
    authority, signer = (read_kept(home.path / file, PUT_BACK) for file in ("ca.pem", "ca.key"))
    return pki.new_client(signer, authority, name, public).decode()


def hand_out_authority(home: HubHome) -> Roster:
    """Make the next authority and hand it out in a new epoch; the present one signs until ``use_next_authority``."""
    with one_at_a_time(home):
        if (home.path / "ca-next.key").exists():
            raise ConfigError("the next authority is handed out already; use it with --use-next")
        key, certificate = pki.new_authority(home.name)
        write_atomic(home.path / "ca-next.key", key)
        write_atomic(home.path / "ca-next.pem", certificate)
        both = read_kept(home.path / "ca.pem", PUT_BACK) + certificate
        write_atomic(home.path / "ca.pem", both)
        return _authorities_changed(home, "hand out authority")


def use_next_authority(home: HubHome, *, at_once: bool = False) -> Roster:
    """Have the next authority sign the server's certificate, and hand the old one out no longer.

    PolicyError where it was handed out less than AHEAD_DAYS ago, unless ``at_once``: a node that has not seen it would
    not reach the hub any more.
    """
    with one_at_a_time(home):
        file = home.path / "ca-next.pem"
        if not file.exists():
            raise ConfigError("no next authority was handed out; do so with --next first")
        out = datetime.now(UTC) - datetime.fromtimestamp(file.stat().st_mtime, UTC)
        if out < timedelta(days=pki.AHEAD_DAYS) and not at_once:
            raise PolicyError(
                f"the next authority was handed out {out.days} days ago, and nodes that have not fetched it would not "
                f"reach the hub any more; wait until it is {pki.AHEAD_DAYS} days, or say --at-once"
            )
        # Nodes call with certificates of the old authority until each has its next one: whom the relay lets in says the
        # key, which the roster has.
        write_atomic(home.path / BEFORE, read_kept(home.path / "ca.pem", PUT_BACK))
        write_atomic(home.path / "ca.key", read_kept(home.path / "ca-next.key", PUT_BACK))
        write_atomic(home.path / "ca.pem", read_kept(file, PUT_BACK))
        renew_server(home)
        for name in ("ca-next.key", "ca-next.pem"):
            (home.path / name).unlink()
        return _authorities_changed(home, "use next authority")


def authorities(home: HubHome) -> tuple[str, ...]:
    """The certificates that nodes are to trust, each as PEM."""
    pem = read_kept(home.path / "ca.pem", PUT_BACK)
    return tuple(one.public_bytes(Encoding.PEM).decode() for one in pki.certificates(pem))


def _authorities_changed(home: HubHome, act: str) -> Roster:
    before = Roster.latest(home)
    after = next_epoch(before, Hub(home.path).identity, authorities=authorities(home))
    write_epoch(home, after)
    note_act(home, act, home.name, epoch=after.epoch)
    return after
