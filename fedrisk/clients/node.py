"""A node: one institution with its store, on its own machine."""

from dataclasses import dataclass
from pathlib import Path

from fedrisk.audit.log import AuditLog
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.store import owner
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
        """The node of an institution file, to be looked at: what its store lacks is not made.

        OwnerError where the store is another institution's.
        """
        institution = load_institution(path)
        owner.check(institution.store_path, institution)
        return cls(institution, NodeStore(institution.store_path, make=False))

    @classmethod
    def open(cls, path: str | Path) -> "Node":
        """The node of an institution file, to serve messages and for acts; its store is made on first use."""
        return cls.load(path).opened()

    def opened(self) -> "Node":
        """This node, with a store that is made on first use and knows whose it is; errors as in :meth:`load`."""
        store = NodeStore(self.store.path)
        owner.claim(store.path, self.institution)
        store.complete_rotation(self.name)
        return Node(self.institution, store)

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
        return self.store.trail_path

    @property
    def trail(self) -> AuditLog:
        """Its audit trail; StoreError where it is lost, so that no new one begins in its place."""
        self.store.refuse_lost_trail()
        return self.store.trail(self.name)

    def about(self, label: str | None) -> "Node":
        """The node as it is in a study about a label (`Institution.about`); ConfigError where it has no such label."""
        institution = self.institution.about(label)
        return self if institution is self.institution else Node(institution, self.store)

    def attempt(self, request: Payload) -> Attempt:
        """The attempt that a request belongs to; ProtocolError where it was never described here."""
        return Attempt(self, self.store.attempt(str(request.get("attempt"))))
