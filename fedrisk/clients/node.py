"""A node: one institution with its store, and what every handler needs of an attempt."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.audit.log import AuditLog
from fedrisk.clients.store.attempt_store import AttemptState
from fedrisk.clients.store.store import NodeStore
from fedrisk.data.table import Table
from fedrisk.errors import DataError, ProtocolError
from fedrisk.institution import Institution, load_institution
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.protocol import Payload
from fedrisk.secure.identity import EphemeralKey, SignedKey, pair_secret
from fedrisk.study import BANK, Study, study_from


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
    def trail(self) -> AuditLog:
        """Its audit trail."""
        return AuditLog(self.store.path / "audit.jsonl", self.store.identity, self.name)

    def attempt(self, request: Payload) -> "Attempt":
        """The attempt that a request belongs to; ProtocolError where it was never described here."""
        return Attempt(self, self.store.attempt(str(request.get("attempt"))))


class Attempt:
    """An institution's side of one attempt at a study."""

    def __init__(self, node: Node, state: AttemptState) -> None:
        self.node = node
        self.state = state
        self.name = node.name

    @functools.cached_property
    def study(self) -> Study:
        """The study as it was described and agreed to."""
        return study_from(self.state["study"])

    @property
    def role(self) -> str:
        """Owner name of its columns: "bank" for every bank, a holder's own name."""
        return BANK if self.study.role_of(self.name) == "bank" else self.name

    @property
    def research_seed(self) -> int | None:
        """Seed of a research run, which has no privacy, or None."""
        seed: int | None = self.state["research_seed"]
        return seed

    @property
    def key_tag(self) -> str:
        """Name of the key under which pseudonyms are made: authority and epoch, apart from those of research runs.

        Names and epochs hold no "@", so that no study's names can make one tag look like another.
        """
        tag = f"{self.study.authority}@{self.study.alignment.epoch}"
        return tag if self.research_seed is None else f"research@{self.study.holdout.seed}@{tag}"

    @property
    def key(self) -> EphemeralKey:
        """Own X25519 key of this attempt."""
        return EphemeralKey.from_bytes(self.state.secret("ephemeral"))

    @functools.cached_property
    def peers(self) -> Mapping[str, SignedKey]:
        """Everybody's ephemeral keys, verified against the pinned ones when they came."""
        return {name: SignedKey.from_dict(key) for name, key in self.state["keys"].items()}

    def pair_secrets(self, *names: str) -> dict[str, bytes]:
        """Secrets shared with each of these institutions, self left out."""
        known: dict[str, bytes] = self.__dict__.setdefault("_pairs", {})  # once a message: many blocks ask
        key = self.key
        for name in names:
            if name != self.name and name not in known:
                known[name] = pair_secret(key, self.peers[name])
        return {name: known[name] for name in names if name != self.name}

    def read(self) -> Table:
        """The institution's table in the attempt's secret row order.

        Files are read once and again only when they changed on the disk. DataError where the content is not
        what it was when the attempt began.
        """
        institution = self.node.institution
        if institution.table is None:
            raise ProtocolError(f"{self.name} is an authority and has no table; check the study's roles")
        mark = _mark(institution)

        def arranged() -> Table:
            table = institution.read()
            return _arranged(table, self.state.row_order(len(table)))

        table = arranged() if mark is None else self.state.held("table", (mark, institution), arranged)
        if "table" in self.state and self.state["table"] != table.digest:
            raise DataError(
                f"the table of {self.name} changed between two exchanges of one study; nothing more is released. "
                "Keep the table still while a study runs, and run the study anew"
            )
        return table

    def by_id(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        """Places of own row numbers in the order of their ids: what is fitted must not depend on the attempt's order.

        A table is read in the order of its ids, so the secret order itself tells.
        """
        return np.argsort(self.state.row_order(len(self.read()))[rows])

    def begin_once(self, name: str, request: Payload) -> None:
        """Record a request that must not come twice with other content: masks would be used twice."""
        digest = digest_of(request)
        if name in self.state and self.state[name] != digest:
            raise ProtocolError(
                f"{name} was asked for twice with different content; masks and noise are never used twice. "
                "Run the study anew"
            )
        self.state.update(**{name: digest})


def digest_of(payload: Payload) -> str:
    """SHA-256 over a payload's body and blobs, hexadecimal."""
    state = hashlib.sha256(json.dumps(payload.body, sort_keys=True).encode())
    for name in sorted(payload.blobs):
        blob = payload.blobs[name]
        head = f"{len(name)}:{name}:"
        if isinstance(blob, np.ndarray):
            head += f"{blob.dtype.str}{blob.shape}:"
        state.update(head.encode())
        state.update(blob_digest(payload, name))
    return state.hexdigest()


def blob_digest(payload: Payload, name: str) -> bytes:
    """SHA-256 of one blob's bytes, computed once for a message: trail, ledger and replay check all ask for it."""
    known: dict[str, bytes] = payload.__dict__.setdefault("_blob_digests", {})
    if name not in known:
        blob = payload.blobs[name]
        raw = np.ascontiguousarray(blob).data if isinstance(blob, np.ndarray) else blob
        known[name] = hashlib.sha256(raw).digest()
    return known[name]


def _mark(institution: Institution) -> tuple[tuple[str | int, ...], ...] | None:
    """What tells cheaply whether a file changed; None for a database, which is read each time."""
    marks = []
    for path in institution.files or ():
        try:
            stat = path.stat()
        except OSError:
            return None  # reading it says what is wrong
        marks.append((str(path), stat.st_ino, stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size))
    return tuple(marks) or None


def _arranged(table: Table, order: NDArray[np.int64]) -> Table:
    def pick(array: NDArray[Any] | None) -> Any:
        return None if array is None else array[order]

    frame: pd.DataFrame = table.frame.iloc[order].reset_index(drop=True)
    return replace(
        table, ids=pick(table.ids), frame=frame, label=pick(table.label), weight=pick(table.weight)
    )
