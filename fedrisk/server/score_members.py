"""Who may speak to the relay of scores: the members of the hub's newest roster, known by the key of their certificate.

A certificate of the consortium's authority opens the connection. Who is at its other end says the roster alone: the
member with that very key, so whoever was expelled, or has another key since, is refused at once, however long the
certificate still holds.
"""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import node_key_text, public_key_of
from fedrisk.deploy.pki import in_time
from fedrisk.deploy.roster import Roster, RosterMember, epochs, read_epoch
from fedrisk.errors import ConfigError, FedriskError, code_of
from fedrisk.files import PUT_BACK, mark_of, read_json
from fedrisk.server.certificates import BEFORE

log = logging.getLogger("fedrisk")

_MOST_SEEN = 1000


@dataclass(frozen=True)
class _Seen:
    """Of a certificate: its key as the roster writes keys, None where it is of another kind, and when it ends."""

    key: str | None
    until: datetime


class Members:
    """The members of a hub's newest roster. :meth:`look` reads it again; all else is memory, and safe from threads."""

    def __init__(self, home: HubHome) -> None:
        self._home, self._epoch, self._nodes = home, 0, tuple[int, ...]()
        self._roster: Roster | None = None
        self._by_key: dict[str, str] = {}
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    def look(self) -> bool:
        """Read the newest epoch where there is one that is not known yet; whether anything changed.

        What cannot be read leaves everything as it was, and is noted: a disk that is away expels nobody.
        """
        try:
            newest, nodes = max(epochs(self._home), default=0), mark_of(self._home.path / "nodes.json")
            if (newest, nodes) == (self._epoch, self._nodes):
                return False
            roster = read_epoch(self._home, newest)
            by_key = self._keys(roster)
        except FedriskError as error:
            log.warning(
                "the roster cannot be read by the relay", extra={"event": "roster", "code": code_of(error)}
            )
            return False
        self._roster, self._by_key, self._epoch, self._nodes = roster, by_key, newest, nodes
        return True

    def _keys(self, roster: Roster) -> dict[str, str]:
        """Names by key: present ones, and those that rotations left, until the operator retires them."""
        found: dict[str, str] = {}
        letting = self._let_in()
        for one in roster.members:
            former = {rotation.old_flower for rotation in one.rotations} & letting
            found |= dict.fromkeys((one.flower, *former), one.name)
        return found

    def _let_in(self) -> set[str]:
        """Keys that the hub's Flower lets in (engine/superlink)."""
        file = self._home.path / "nodes.json"
        if not file.exists():
            return set()
        wanted = read_json(file, PUT_BACK)
        keys = (pem for pem, entry in wanted.items() if isinstance(entry, dict) and entry.get("in") is True)
        return {text for pem in keys if (text := node_key_text(public_key_of(pem.encode())))}

    def name_of(self, certificate: bytes) -> str | None:
        """The member whose key a certificate (PEM) is for, None where it is nobody's, or has expired meanwhile."""
        with self._lock:
            seen = self._seen.get(certificate)
        if seen is None:
            seen = _look_at(certificate)
            with self._lock:
                self._seen[certificate] = seen
                if len(self._seen) > _MOST_SEEN:
                    self._seen.popitem(last=False)
        if seen.key is None or seen.until <= datetime.now(UTC):
            return None
        return self._by_key.get(seen.key)

    def member(self, name: str) -> RosterMember | None:
        """A member of the newest roster, None where it has none of that name."""
        return None if self._roster is None else self._roster.member(name)

    @property
    def names(self) -> frozenset[str]:
        """All members."""
        return frozenset(self._by_key.values())


def _look_at(certificate: bytes) -> _Seen:
    try:
        found = x509.load_pem_x509_certificate(certificate)
        return _Seen(node_key_text(found.public_key()), found.not_valid_after_utc)
    except Exception:
        # What comes from outside may be damaged in any way, and the library names many.
        return _Seen(None, datetime.min.replace(tzinfo=UTC))


class Certificates:
    """What the relay shows and trusts, read again for new connections whenever one of the files changed."""

    def __init__(self, home: HubHome) -> None:
        self._files = [home.path / name for name in ("server.key", "server.pem", "ca.pem", BEFORE)]
        self._read: tuple[int, ...] = ()

    def credentials(self) -> grpc.ServerCredentials:
        """TLS for both sides: no connection without a certificate of the consortium's authority.

        ConfigError or StoreError where a file cannot be used.
        """
        self._read = mark_of(*self._files)
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._renewed,  # type: ignore[arg-type]
            require_client_authentication=True,
        )

    def _configuration(self) -> "grpc.ServerCertificateConfiguration":
        key, chain, roots = (file.read_bytes() for file in self._files[:3])
        before = self._files[3]
        roots += in_time(before.read_bytes()) if before.exists() else b""
        return grpc.ssl_server_certificate_configuration([(key, chain)], roots)

    def _renewed(self) -> "grpc.ServerCertificateConfiguration | None":
        """Before each handshake: what is new, None where all is as before."""
        changed = mark_of(*self._files)
        if changed == self._read:
            return None
        try:
            # Between the writing of the key and that of the certificate they do not fit.
            if not self._fit():
                return None
            found = self._configuration()
        except (OSError, ValueError, TypeError, ConfigError):
            return None
        self._read = changed
        return found

    def _fit(self) -> bool:
        key = load_pem_private_key(self._files[0].read_bytes(), None)
        shown = x509.load_pem_x509_certificate(self._files[1].read_bytes())
        x509.load_pem_x509_certificates(self._files[2].read_bytes())
        return key.public_key() == shown.public_key()
