"""A node: one institution with its store, on its own machine."""

from dataclasses import dataclass
from pathlib import Path

from fedrisk.audit.log import AuditLog
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.store.store import NodeStore
from fedrisk.institution import Institution, load_institution
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.protocol.payload import Payload


@dataclass(frozen=True)
class Node:
    """An institution on its own machine."""

    institution: Institution
    store: NodeStore

    @classmethod
    def load(cls, path: str | Path) -> "Node":
        """The node of an institution file."""
        institution = load_institution(path)
        return cls(institution, NodeStore(institution.store_path))

    @property
    def name(self) -> str:
        """The institution's name."""
        return self.institution.name

    @property
    def ledger(self) -> Ledger:
        """Its privacy ledger, under the caps of its policy."""
        return self.store.ledger(self.institution.policy.caps)

    @property
    def trail_path(self) -> Path:
        """File of its audit trail."""
        return self.store.path / "audit.jsonl"

    @property
    def trail(self) -> AuditLog:
        """Its audit trail; StoreError where it is lost, so that no new one begins in its place."""
        self.store.refuse_lost_trail()
        return AuditLog(self.trail_path, self.store.identity, self.name)

    def attempt(self, request: Payload) -> Attempt:
        """The attempt that a request belongs to; ProtocolError where it was never described here."""
        return Attempt(self, self.store.attempt(str(request.get("attempt"))))
