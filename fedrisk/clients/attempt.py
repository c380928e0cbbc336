"""An institution's side of one attempt at a study: what was agreed, whose keys are known, what was asked.

What is remembered between exchanges is typed: frozen dataclasses, each saved and loaded whole.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.data.features import Feature
from fedrisk.data.table import Table
from fedrisk.errors import DataError, ProtocolError
from fedrisk.institution import Institution
from fedrisk.protocol.common_view import first_digest
from fedrisk.protocol.payload import Payload, unpack
from fedrisk.protocol.statements import Statement, statements_from
from fedrisk.releases.plan import Plan
from fedrisk.secure.identity import EphemeralKey, SignedKey, pair_secret
from fedrisk.study import Study, study_from
from fedrisk.study_members import BANK

if TYPE_CHECKING:
    from fedrisk.clients.node import Node


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What the institution agreed to when the study was described to it.

    table: digest of the table as it was then, None at an authority. features: its public columns. remembered: what the
    recipe keeps. key: the attempt's signed public key, as a dictionary. statement: what it states of itself to all.
    """

    table: str | None
    features: tuple[Feature, ...]
    remembered: dict[str, Any]
    key: dict[str, Any]
    statement: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class View:
    """The common view so far (protocol/common_view).

    digests: after each part. names: of the parts. confirmed: by member, the number of parts that it has confirmed.
    message: action and digest of the message that told the last parts; earlier: number of parts before it.
    answered: number of parts whose messages were answered. What was told with a refused message is never confirmed.
    """

    digests: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    confirmed: dict[str, int] = field(default_factory=dict)
    message: str = ""
    earlier: int = 0
    answered: int = 0


@dataclass(frozen=True, kw_only=True)
class Peers:
    """Everybody's and the hub's signed ephemeral keys, verified against the pinned ones when they came.

    protocol: in which all were told them; the attempt's from then on (protocol/versions).
    """

    keys: dict[str, dict[str, Any]]
    hub: dict[str, Any]
    protocol: int = 1


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Digests of requests that must not come a second time with other content."""

    digests: dict[str, str] = field(default_factory=dict)


def epoch_tag(authority: str, epoch: str) -> str:
    """Name of a key of pseudonyms, in stores and quotas: authority, epoch and function.

    Names and epochs hold no "@", so that no study's names can make one tag look like another. Tags without a function
    are of an older version, whose function (RFC 9497, mode 0x00) gave other pseudonyms: for pseudonyms and quotas
    they are other epochs, and their sides of the split count as an earlier epoch's.

    >>> epoch_tag("tax", "2026")
    'tax@2026@voprf'
    """
    return f"{authority}@{epoch}@voprf"


def key_tag_of(study: Study, *, research: bool) -> str:
    """Name of the key under which a study's pseudonyms are made, apart from the names in research runs."""
    tag = epoch_tag(study.authority, study.alignment.epoch)
    return f"research@{study.holdout.seed}@{tag}" if research else tag


class Attempt:
    """An institution's side of one attempt at a study, for the time of one message."""

    def __init__(self, node: "Node", state: AttemptStore) -> None:
        self._node = node
        self.state = state
        self.name = node.name
        self._secrets: dict[str, bytes] = {}

    @functools.cached_property
    def node(self) -> "Node":
        """The institution with the study's label alone: here, and nowhere later, it is chosen which label is read."""
        begun = self.state.find(Begun)
        return self._node if begun is None else self._node.about(begun.study.get("label"))

    @functools.cached_property
    def study(self) -> Study:
        """The study as it was described and agreed to."""
        return study_from(self.state.load(Begun).study)

    @functools.cached_property
    def agreement(self) -> Agreement:
        """What was agreed; ProtocolError where the study was not described to the end."""
        return self.state.load(Agreement)

    @property
    def role(self) -> str:
        """Owner name of its columns: "bank" for every bank, a holder's own name."""
        return BANK if self.study.role_of(self.name) == "bank" else self.name

    @property
    def research_seed(self) -> int | None:
        """Seed of a research run, which has no privacy, or None."""
        return self.state.load(Begun).research_seed

    @property
    def research(self) -> bool:
        """Whether this is a research run, which has no privacy."""
        return self.research_seed is not None

    @property
    def plan(self) -> Plan:
        """The plan as this institution made it when the order of rows came, with what was prepared since."""
        return self.state.load(Plan)

    @property
    def lists(self) -> tuple[str, ...]:
        """Trainers on whose lists the institution has rows: a trainer on its own list, another holder on all."""
        trainers = self.study.trainers
        return (self.name,) if self.name in trainers else trainers

    @property
    def key_tag(self) -> str:
        """Name of the key under which pseudonyms are made, apart from the names in research runs."""
        return key_tag_of(self.study, research=self.research)

    @property
    def key(self) -> EphemeralKey:
        """The institution's X25519 key of this attempt."""
        return EphemeralKey.from_bytes(self.state.secret("ephemeral"))

    @functools.cached_property
    def peers(self) -> Mapping[str, SignedKey]:
        """Everybody's ephemeral keys, verified against the pinned ones when they came."""
        return {name: SignedKey.from_dict(key) for name, key in self.state.load(Peers).keys.items()}

    @property
    def view(self) -> str:
        """Digest of everything that the hub has told all members alike, study and attempt included.

        Masks and seals are made for it: with members that were told different things nothing opens.
        """
        return self.view_after((self.state.find(View) or View()).digests)

    def view_after(self, digests: Sequence[str]) -> str:
        """The last of the view's digests, or the one before anything was told."""
        return digests[-1] if digests else first_digest(self.study.digest(), self.state.id)

    def view_with(self, name: str) -> str:
        """The view's digest after a part that was told, whatever was told since; ProtocolError where it never was."""
        view = self.state.find(View) or View()
        if name not in view.names:
            raise _never_told(name)
        return view.digests[view.names.index(name)]

    def told(self, name: str) -> Payload:
        """A part of the common view; ProtocolError where it was never told.

        Only what is in the view counts: a part whose message was cut off half-way lies on the disk already, and nobody
        has confirmed it.
        """
        content = self.state.message(f"told_{name}") if self.was_told(name) else None
        if content is None:
            raise _never_told(name)
        return unpack(content)

    def was_told(self, name: str) -> bool:
        """Whether a part is in the common view."""
        return name in (self.state.find(View) or View()).names

    @functools.cached_property
    def statements(self) -> dict[str, Statement]:
        """What each member states of itself to all others (protocol/statements)."""
        return statements_from(self.told("members").get("statements"))

    @property
    def hub(self) -> SignedKey:
        """The hub's ephemeral key, verified against its pinned identity when it came."""
        return SignedKey.from_dict(self.state.load(Peers).hub)

    def pair_secrets(self, *names: str) -> dict[str, bytes]:
        """Secrets shared with each of these institutions, this one left out; derived once for a message."""
        key = self.key
        others = [name for name in names if name != self.name]
        for name in others:
            if name not in self._secrets:
                self._secrets[name] = pair_secret(key, self.peers[name])
        return {name: self._secrets[name] for name in others}

    def read(self) -> Table:
        """The institution's table in the attempt's secret row order.

        Files are read once and again only when they changed on the disk. DataError where the content is not
        what it was when the attempt began.
        """
        institution = self.node.institution
        if institution.table is None:
            raise ProtocolError(f"{self.name} brings no records and has no table; check the study's roles")
        mark = _mark(institution)

        def make() -> Table:
            table = institution.read()
            return _arranged(table, self.state.row_order(len(table)))

        table = make() if mark is None else self.state.cached("table", (mark, institution), make)
        agreed = self.state.find(Agreement)
        if agreed is not None and agreed.table not in (None, table.digest):
            raise DataError(
                f"the table of {self.name} changed between two exchanges of one study; nothing more is released. "
                "Keep the table still while a study runs, and run the study again"
            )
        return table

    def by_id(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        """Places of the institution's row numbers in the order of their ids.

        What is fitted must not depend on the attempt's secret order. A table is read in the order of its ids, so the
        secret order itself says which place belongs to which id.
        """
        return np.argsort(self.state.row_order(len(self.read()))[rows])

    def begin_once(self, name: str, request: Payload) -> None:
        """Record a request that must not come twice with other content: masks would be used twice."""
        asked, digest = self.state.find(Requests) or Requests(), request.digest()
        if asked.digests.get(name, digest) != digest:
            raise ProtocolError(
                f"{name} was asked for twice with different content; masks and noise are never used twice. "
                "Run the study again"
            )
        if name not in asked.digests:
            self.state.save(Requests(digests={**asked.digests, name: digest}))

    def begun(self, name: str) -> bool:
        """Whether that request came before."""
        return name in (self.state.find(Requests) or Requests()).digests


def _mark(institution: Institution) -> tuple[tuple[str | int, ...], ...] | None:
    """What shows cheaply whether a file changed; None for a database, which is read each time."""
    marks = []
    for path in institution.files or ():
        try:
            stat = path.stat()
        except OSError:
            # Reading it says what is wrong.
            return None
        marks.append((str(path), stat.st_ino, stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size))
    return tuple(marks) or None


def _never_told(name: str) -> ProtocolError:
    return ProtocolError(f"the hub never told part {name} of the study; run the study again")


def _arranged(table: Table, order: NDArray[np.int64]) -> Table:
    def pick(array: NDArray[Any] | None) -> Any:
        return None if array is None else array[order]

    frame: pd.DataFrame = table.frame.iloc[order].reset_index(drop=True)
    return replace(
        table, ids=pick(table.ids), frame=frame, label=pick(table.label), weight=pick(table.weight)
    )
