"""One request to each of several institutions, one answer from each: all the hub's traffic goes through here.

Counts exchanges and bytes, maps answers to institutions, and turns a refusal or a lost node into a PeerError that names
institution, exchange and code. How messages travel is server/post; what is kept of them, server/journal. Members alone
are asked, where the engine knows nodes by name; but nobody's word is taken for who it is: an institution is known by
the signature of its pinned key on its ephemeral key of this attempt.
"""

import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.serverapp import Grid

from fedrisk.errors import EnvelopeError, LostError, PeerError, ProtocolError, QuotaError, VersionError
from fedrisk.protocol.common_view import CONFIRM, Part, first_digest, next_digest, with_parts
from fedrisk.protocol.payload import Blob, Payload, refused, spends_in
from fedrisk.secure.identity import SignedKey, verify
from fedrisk.server.envelope_file import Spool
from fedrisk.server.journal import Journal, Kept
from fedrisk.server.post import NodeSeen, Post, named, nodes_of
from fedrisk.server.spoken import common_protocol, refused_late, version_error

Report = Callable[[int, str, str], None]
"""Called before each exchange with its number, action and a few words on what it does."""


_QUOTA = (
    ". Code quota: the key authority agreed to evaluate fewer ids of an institution than it has now. fedrisk quota "
    "with the authority's file shows whose; its operator agrees more with --size, where these ids are right"
)

PATIENCE = 600.0
"""Seconds after which an exchange that can go on without some institutions does so."""


class Exchange:
    """Request and reply over a Flower grid for one attempt at a study.

    missing: members that did not agree in the roll call. exchanges: how many were made. sent: bytes that each
    institution sent to the hub. received: bytes that the hub sent to it. Both without Flower's own framing. charged:
    institutions of which priced answers came; on_charge: called with the first of each.

    protocol: in which the study runs (protocol/versions): the latest, until members say that they speak earlier ones
    only.

    view: digest of what was told to all members alike (protocol/common_view); the hub hands on each part and the
    members' confirmations with the next message to each.

    journal: keeps answers, so that the attempt can go on after a stop; None keeps nothing. deadline: seconds within
    which an action is to be answered; ``timeout`` bounds all. patient: see :class:`fedrisk.server.post.Post`.
    """

    def __init__(
        self,
        grid: Grid,
        attempt: str,
        *,
        timeout: float = 3600.0,
        deadline: Callable[[str], float] | None = None,
        report: Report | None = None,
        journal: Journal | None = None,
        patient: bool = False,
    ) -> None:
        self.attempt = attempt
        self.exchanges = 0
        self.sent: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self._grid = grid
        self.post = Post(grid, patient, attempt=attempt)
        self.missing: list[str] = []
        self._nodes: dict[str, int] = {}
        self.charged: set[str] = set()
        self.on_charge: Callable[[], None] = lambda: None
        self._asked: dict[str, int] = {}
        self._timeout = timeout
        self._deadline = deadline or (lambda action: timeout)
        self._report = report or (lambda *_: None)
        self.view = ""
        self._first = 0
        self._parts: list[Part] = []
        self._told: dict[str, int] = {}
        self._codes: dict[str, Mapping[str, Any]] = {}
        self._journal = journal
        self._seed = secrets.token_bytes(32) if journal is None else b""
        self._described: _Described | None = None

    @property
    def protocol(self) -> int:
        """In which the study runs."""
        return self.post.protocol

    def draw(self, what: str) -> bytes:
        """32 bytes that nobody else can know, of one name within the attempt: the same after a stop.

        HKDF-Expand (RFC 5869) of the attempt's seed with one block.
        """
        seed = self._seed if self._journal is None else self._journal.seed
        info = f"fedrisk draw of the hub|{self.attempt}|{self.exchanges}|{what}".encode()
        return hmac.new(seed, info + b"\x01", hashlib.sha256).digest()

    @contextlib.contextmanager
    def in_memory(self) -> Iterator[None]:
        """Nothing of the exchanges within is kept on the disk, for answers that the hub can open."""
        journal, self._journal, self._seed = self._journal, None, self._seed or secrets.token_bytes(32)
        try:
            yield
        finally:
            self._journal = journal

    def once(self, name: str, make: Callable[[], Payload]) -> Payload:
        """What ``make`` came to with its exchanges; after a stop what was kept of it, in their place.

        Answers of its exchanges are no longer kept then. name: one of a kind within the attempt.
        """
        if self._journal is None:
            return make()
        kept = self._journal.result(name)
        before = self.exchanges
        if kept is not None:
            self._take_over(kept.get("exchange"))
            own = Payload(kept.get("body"), kept.blobs)
        else:
            own = make()
            state = {"exchange": self._state(), "body": dict(own.body)}
            self._journal.keep_result(name, Payload(state, own.blobs))
        self._journal.forget(range(before + 1, self.exchanges + 1))
        return own

    def _state(self) -> dict[str, Any]:
        """What later exchanges need to know of those before them; public."""
        return {
            "exchanges": self.exchanges,
            "sent": self.sent,
            "received": self.received,
            "charged": sorted(self.charged),
            "view": self.view,
            "parts": self.told,
            "told": self._told,
            "codes": {name: dict(said) for name, said in self._codes.items()},
        }

    def _take_over(self, state: Mapping[str, Any]) -> None:
        self.exchanges = int(state["exchanges"])
        self.sent, self.received = dict(state["sent"]), dict(state["received"])
        self.charged = set(state["charged"])
        if self.told != int(state["parts"]):
            # Told within, to all whom it concerns.
            self._first, self._parts = int(state["parts"]), []
        self.view, self._told, self._codes = state["view"], dict(state["told"]), dict(state["codes"])

    def begin_view(self, study_digest: str) -> None:
        """Begin the common view."""
        self.view = first_digest(study_digest, self.attempt)

    def tell(self, name: str, content: Mapping[str, Any], blobs: Mapping[str, Blob] | None = None) -> None:
        """Add a part to the common view; it goes out with the next message to each institution."""
        part = Part(self.told + 1, name, Payload(dict(content), dict(blobs or {})))
        self.view = next_digest(self.view, part)
        self._parts.append(part)

    @property
    def told(self) -> int:
        """Number of parts of the view so far."""
        return self._first + len(self._parts)

    def roll_call(
        self,
        members: Sequence[str],
        content: Payload,
        pins: Mapping[str, bytes],
        study_digest: str,
        optional: Sequence[str] = (),
    ) -> dict[str, Payload]:
        """Describe a study to its members and find out who is who.

        Where the engine does not know nodes by name, it is described to every node there is; once more, in an earlier
        protocol, where members speak no later one. Returns the members' answers by name. PeerError for a refusal or a
        member that did not answer; VersionError where another version is needed, here or there; EnvelopeError for one
        whose key is not the pinned one.
        """
        self.expect(members, content, pins, study_digest)
        self.exchanges += 1
        self._tell_progress("describe", "agreement")
        answers, replies = self._find(members, len(optional))
        chosen = common_protocol(replies)
        if chosen is not None and chosen < self.post.protocol:
            self.post.protocol = chosen
            answers, replies = self._find(members, len(optional))
        self.missing = missing = [m for m in members if m not in answers]
        if missing:
            needed = set(missing) - set(optional)
            newer = version_error(replies, members, needed, int(content.get("study").get("format", 1)))
            if newer is not None:
                raise newer
            codes = f" ({said})" if (said := _codes(replies)) else ""
            raise PeerError(
                f"no agreement from {', '.join(missing)}{codes}: not connected, or refused; "
                "the reason is in the institution's own errors.log. Nothing was released"
            )
        return answers

    def expect(
        self, members: Sequence[str], content: Payload, pins: Mapping[str, bytes], study_digest: str
    ) -> None:
        """By what members are found that agreed before a stop: the study is described to them again then."""
        self._described = _Described(tuple(members), content, pins, study_digest)

    def _find(
        self, members: Sequence[str], optional: int = 0
    ) -> tuple[dict[str, Payload], dict[str, Payload]]:
        """Answers of members to the description, each by its pinned key, and all replies.

        Replies stand by the name of the node where it is known, else by its number.
        """
        described = self._described
        if described is None:
            return {}, {}
        nodes = self._connected(members, optional)
        known = named(nodes)
        self._asked = asked = {str(node.id): node.id for node in nodes}
        called = {str(node.id): node.name or str(node.id) for node in nodes}
        answers: dict[str, Payload] = {}
        replies: dict[str, Payload] = {}
        sizes: dict[str, int] = {}

        def arrived(node: str, answer: Payload) -> None:
            replies[called[node]] = answer
            if answer.refusal is not None:
                return
            name = str(answer.get("name"))
            if not answer.get("member") or name not in members:
                return
            if name in answers:
                raise PeerError(f"two nodes answer as {name}; stop one of them")
            if name not in described.pins:
                raise EnvelopeError(f"no key is pinned at the hub for {name}; register it first")
            key = SignedKey.from_dict(answer.get("key"))
            verify(key, described.pins[name], name, described.digest, self.attempt)
            answers[name] = answer
            self._nodes[name] = asked[node]
            self.sent[name] = self.sent.get(name, 0) + answer.size()
            self.received[name] = self.received.get(name, 0) + sizes[node]

        self.post.ask(
            "describe",
            {node: self._description(called[node], described.content) for node in asked},
            asked,
            arrived,
            timeout=self._within("describe"),
            where="the agreement",
            tolerant=True,
            # A node that is nobody's, as far as is known, may stay lost.
            patient=self.post.patient and known,
            sent=sizes.__setitem__,
        )
        return {name: answers[name] for name in members if name in answers}, replies

    def _description(self, name: str, content: Payload) -> Payload:
        """What a node of that name is told of the study: the same as all."""
        return content

    def _connected(self, members: Sequence[str], optional: int) -> list[NodeSeen]:
        """The members' nodes, once all that are needed are connected; PeerError after two minutes.

        Every node there is, where names are not known: then they are counted.
        """
        deadline = time.monotonic() + min(self._timeout, 120.0)
        while True:
            nodes = nodes_of(self._grid)
            if named(nodes):
                nodes = [node for node in nodes if node.name in members]
            if len({node.name or node.id for node in nodes}) >= len(members) - optional:
                return nodes
            if time.monotonic() > deadline:
                raise LostError(
                    f"{len(nodes)} nodes are connected and the study has {len(members)} institutions; "
                    f"start the missing nodes{_absent(members, nodes)}"
                )
            time.sleep(0.2)

    def _registered(self) -> dict[str, int]:
        """Nodes of members as they are registered; good enough to tell them that nothing more will come."""
        members = () if self._described is None else self._described.members
        return {node.name: node.id for node in nodes_of(self._grid) if node.name in members}

    def _within(self, action: str) -> float:
        """Seconds within which an action is to be answered."""
        return min(self._timeout, self._deadline(action))

    def _tell_progress(self, action: str, what: str) -> None:
        # A screen that is closed, or cannot print a character, is no reason to stop what was paid for.
        with contextlib.suppress(Exception, SystemExit):
            self._report(self.exchanges, action, what)

    def __call__(self, action: str, what: str, content: Mapping[str, Payload]) -> dict[str, Payload]:
        """Send each institution its request and return all answers by name, or raise PeerError."""
        answers = self._send(action, what, self._stamped(content))
        refusals = {name: a.refusal for name, a in answers.items() if a.refusal is not None}
        if late := refused_late(answers):
            raise VersionError(
                f"the study stopped in exchange {self.exchanges}, {action}: {late}. What was released before stays "
                "charged"
            )
        if refusals:
            listed = ", ".join(f"{name} ({code})" for name, code in sorted(refusals.items()))
            more = _QUOTA if QuotaError.code in refusals.values() else ""
            raise PeerError(
                f"the study stopped in exchange {self.exchanges}, {action}: refused by {listed}. "
                f"The reason is in the institution's own errors.log; what was released before stays charged{more}"
            )
        return answers

    def gather(
        self, action: str, what: str, content: Mapping[str, Payload], fewest: int = 0
    ) -> dict[str, Payload]:
        """As a call, but whoever refuses, fails or is not there within `PATIENCE` seconds is left out.

        fewest: where fewer answer, the exchange is not over, and those who are missing are asked again after a stop.
        """
        return self._send(action, what, self._stamped(content), tolerant=True, fewest=fewest)

    def _stamped(self, content: Mapping[str, Payload]) -> dict[str, Payload]:
        """Requests with the attempt, with the parts of the view that are new to each, and with the others' codes."""
        out = {}
        for name, payload in content.items():
            new = self._parts[max(0, self._told.get(name, 0) - self._first) :]
            self._told[name] = self.told
            codes = {
                sender: {"number": said["number"], "code": said["codes"][name]}
                for sender, said in self._codes.items()
                if sender != name and name in said["codes"]
            }
            stamped = Payload({**payload.body, "attempt": self.attempt}, payload.blobs)
            out[name] = with_parts(stamped, new, codes)
        return out

    def close(self, little_in_common: Mapping[str, Sequence[str]] | None = None) -> None:
        """Tell every node that the attempt is over, so that its secrets go; whoever cannot be reached forgets later.

        little_in_common: by member that it concerns, holders with hardly an enterprise in common with the banks, where
        that is why. Never raises, and is not counted as an exchange: nothing of the study is in it.
        """
        little = little_in_common or {}
        with contextlib.suppress(Exception):
            nodes = {**self._registered(), **self._nodes} or self._asked
            content = {
                name: Payload(
                    {
                        "attempt": self.attempt,
                        **({"little_in_common": [*little[name]]} if name in little else {}),
                    }
                )
                for name in nodes
            }
            self.post.ask(
                "close", content, nodes, lambda *_: None, timeout=15.0, where="", tolerant=True, patient=False
            )

    def afterwards(
        self, action: str, *, timeout: float, told: Payload | None = None, only: Collection[str] | None = None
    ) -> dict[str, Payload]:
        """Ask members for something once the attempt is over; whoever is not there in time is left out.

        told: what comes with it beside the attempt. only: members that are asked, by default all.

        No exchange of the study: it is not counted, and nothing is told or confirmed with it. Who answers with what
        cannot be read counts as if it had refused: one member's fault costs no other's answer.
        """
        nodes = {**self._registered(), **self._nodes}
        nodes = {name: node for name, node in nodes.items() if only is None or name in only}
        more = told or Payload()
        content = dict.fromkeys(nodes, Payload({**more.body, "attempt": self.attempt}, more.blobs))
        answers: dict[str, Payload] = {}
        self.post.ask(
            action,
            content,
            nodes,
            answers.__setitem__,
            timeout=timeout,
            where="",
            tolerant=True,
            malformed=lambda name: answers.__setitem__(name, refused(ProtocolError.code)),
        )
        return answers

    def _send(
        self,
        action: str,
        what: str,
        content: Mapping[str, Payload],
        *,
        tolerant: bool = False,
        fewest: int = 0,
    ) -> dict[str, Payload]:
        """Answers by name, in the order of ``content``, refusals among them unless ``tolerant``.

        ``tolerant`` leaves out whoever refuses or fails, instead of raising. What the journal has is not asked again.
        """
        self.exchanges += 1
        number, journal = self.exchanges, self._journal
        over = None if journal is None else journal.done(number, action, self.view)
        wanted = [name for name in content if over is None or name in over]
        answers: dict[str, Payload] = {}
        if journal is not None:
            for name, kept in journal.kept(number, action, wanted).items():
                self._count(action, name, kept.answer, kept.received)
                answers[name] = kept.answer
        missing = {name: content[name] for name in wanted if name not in answers}
        if missing or over is None:
            answers |= self._ask(action, what, missing, tolerant=tolerant)
        good = [name for name in content if name in answers and answers[name].refusal is None]
        enough = len(good) >= fewest if tolerant else len(good) == len(content)
        if journal is not None and over is None and enough:
            journal.keep_done(number, action, good, self.view)
        return {name: answers[name] for name in content if name in (good if tolerant else answers)}

    def _ask(
        self, action: str, what: str, content: Mapping[str, Payload], *, tolerant: bool = False
    ) -> dict[str, Payload]:
        """Answers of those who are really asked, each kept before it is used."""
        self._tell_progress(action, what)
        lost = [name for name in content if name not in self._nodes]
        if lost:
            _, replies = self._find(lost, len(lost) if tolerant else 0)
            lost = [name for name in lost if name not in self._nodes]
            if lost and not tolerant:
                said = _codes(replies)
                kind = PeerError if said else LostError
                raise kind(
                    f"{', '.join(lost)} cannot go on with exchange {self.exchanges}, {action} "
                    f"({said or 'not connected'}); the reason is in the institution's own "
                    "errors.log"
                )
        answers: dict[str, Payload] = {}
        sizes: dict[str, int] = {}
        spool = Spool()

        def arrived(name: str, answer: Payload) -> None:
            self._count(action, name, answer, sizes.get(name, 0))
            answers[name] = self._kept(spool, action, name, Kept(answer, sizes.get(name, 0)))

        self.post.ask(
            action,
            {name: payload for name, payload in content.items() if name not in lost},
            self._nodes,
            arrived,
            timeout=min(self._within(action), PATIENCE) if tolerant else self._within(action),
            where=f"exchange {self.exchanges}, {action}",
            tolerant=tolerant,
            sent=sizes.__setitem__,
        )
        return answers

    def _kept(self, spool: Spool, action: str, name: str, kept: Kept) -> Payload:
        """An answer once it is on the disk: in the journal, or else its large envelopes for as long as it is needed."""
        if self._journal is None or kept.answer.refusal is not None:
            return spool.keep(kept.answer)
        return self._journal.keep(self.exchanges, action, name, kept)

    def _count(self, action: str, name: str, answer: Payload, received: int) -> None:
        """Bytes, the member's confirmations and who was charged, of an answer that came or was kept."""
        self.received[name] = self.received.get(name, 0) + received
        self.sent[name] = self.sent.get(name, 0) + answer.size()
        if CONFIRM in answer.body:
            self._codes[name] = answer.get(CONFIRM)
        if name not in self.charged and spends_in(answer):
            self.charged.add(name)
            self.on_charge()


@dataclass(frozen=True)
class _Described:
    """What members are told of the study, and by what they are known."""

    members: tuple[str, ...]
    content: Payload
    pins: Mapping[str, bytes]
    digest: str


def _codes(replies: Mapping[str, Payload]) -> str:
    """Codes of refusals, listed."""
    return ", ".join(sorted(a.refusal for a in replies.values() if a.refusal is not None))


def _absent(members: Sequence[str], nodes: Sequence[NodeSeen]) -> str:
    """Whose nodes are missing, where names are known."""
    absent = sorted(set(members) - {node.name for node in nodes})
    return f" (of {', '.join(absent)})" if named(nodes) else ""
