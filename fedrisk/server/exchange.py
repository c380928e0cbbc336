"""One request to each of several institutions, one answer from each: all the hub's traffic goes through here.

Counts exchanges and bytes, waits with a deadline, maps answers to institutions, and turns a refusal or a lost
node into a PeerError that names institution, exchange and code. Nobody's word is taken for who it is: an
institution is known by the signature of its pinned key on its ephemeral key of this attempt.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flwr.serverapp import Grid

from fedrisk.errors import EnvelopeError, PeerError, QuotaError, VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.common_view import CONFIRM, Part, first_digest, next_digest, with_parts
from fedrisk.protocol.payload import Blob, Payload, from_record, request, spends_in
from fedrisk.secure.identity import SignedKey, verify
from fedrisk.server.envelope_file import Spool
from fedrisk.server.spoken import checked_answer, common_protocol, refused_late, version_error

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
    """

    def __init__(
        self,
        grid: Grid,
        attempt: str,
        *,
        timeout: float = 3600.0,
        report: Report | None = None,
    ) -> None:
        self.attempt = attempt
        self.exchanges = 0
        self.sent: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self._grid = grid
        self.missing: list[str] = []
        self._nodes: dict[str, int] = {}
        self.charged: set[str] = set()
        self.on_charge: Callable[[], None] = lambda: None
        self._asked: dict[str, int] = {}
        self._timeout = timeout
        self._report = report or (lambda *_: None)
        self.protocol = versions.PROTOCOL
        self.view = ""
        self._first = 0
        self._parts: list[Part] = []
        self._told: dict[str, int] = {}
        self._codes: dict[str, Mapping[str, Any]] = {}

    def begin_view(self, study_digest: str, kept: Mapping[str, Any] | None = None) -> None:
        """Begin the common view, or go on with the one that :meth:`view_state` gave, which all members have."""
        self.view = first_digest(study_digest, self.attempt) if kept is None else str(kept["digest"])
        self._first = 0 if kept is None else int(kept["told"])
        self._codes = {} if kept is None else {**kept["codes"], **self._codes}

    def view_state(self) -> dict[str, Any]:
        """The view so far, with the members' codes, for a checkpoint; public."""
        return {"digest": self.view, "told": self.told, "codes": dict(self._codes)}

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
        """Describe a study to every node there is and find out who is who.

        Returns the members' answers by name. PeerError for a refusal or a member that did not answer; VersionError
        where another version is needed, here or there; EnvelopeError for one whose key is not the pinned one.
        """
        nodes = self._connected(len(members), len(optional))
        answers: dict[str, Payload] = {}
        refusals: list[str] = []
        self._asked = {str(node): node for node in nodes}
        replies = self._described(content)
        for node, answer in replies.items():
            if answer.refusal is not None:
                refusals.append(answer.refusal)
                continue
            name = str(answer.get("name"))
            if not answer.get("member") or name not in members:
                continue
            if name in answers:
                raise PeerError(f"two nodes answer as {name}; stop one of them")
            if name not in pins:
                raise EnvelopeError(f"no key is pinned at the hub for {name}; register it first")
            verify(SignedKey.from_dict(answer.get("key")), pins[name], name, study_digest, self.attempt)
            answers[name] = answer
            self._nodes[name] = self._asked[node]
            if CONFIRM in answer.body:  # of an attempt that goes on after a stop
                self._codes[name] = answer.get(CONFIRM)
        self.missing = missing = [m for m in members if m not in answers]
        if missing:
            needed = set(missing) - set(optional)
            newer = version_error(replies, members, needed, int(content.get("study").get("format", 1)))
            if newer is not None:
                raise newer
            codes = f" ({', '.join(sorted(refusals))})" if refusals else ""
            raise PeerError(
                f"no agreement from {', '.join(missing)}{codes}: not connected, or refused; "
                "the reason is in the institution's own errors.log. Nothing was released"
            )
        self.sent = {self._name(n): b for n, b in self.sent.items() if self._name(n) in members}
        self.received = {self._name(n): b for n, b in self.received.items() if self._name(n) in members}
        return answers

    def _described(self, content: Payload) -> dict[str, Payload]:
        """Answers to describe by node; asked once more, in an earlier protocol, where members speak no later one."""
        asked = dict.fromkeys(self._asked, content)
        replies = self._send("describe", "agreement", asked, self._asked, tolerant=True)
        chosen = common_protocol(replies)
        if chosen is None or chosen >= self.protocol:
            return replies
        self.protocol = chosen
        return self._send("describe", "agreement", asked, self._asked, tolerant=True)

    def _connected(self, members: int, optional: int) -> list[int]:
        """Nodes that are connected, once there are enough; PeerError after two minutes."""
        deadline = time.monotonic() + min(self._timeout, 120.0)
        while len(nodes := list(self._grid.get_node_ids())) < members - optional:
            if time.monotonic() > deadline:
                raise PeerError(
                    f"{len(nodes)} nodes are connected and the study has {members} institutions; "
                    "start the missing nodes"
                )
            time.sleep(0.2)
        return nodes

    def __call__(self, action: str, what: str, content: Mapping[str, Payload]) -> dict[str, Payload]:
        """Send each institution its request and return all answers by name, or raise PeerError."""
        answers = self._send(action, what, self._stamped(content), self._nodes)
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

    def gather(self, action: str, what: str, content: Mapping[str, Payload]) -> dict[str, Payload]:
        """As a call, but whoever refuses, fails or is not there within `PATIENCE` seconds is left out."""
        stamped = self._stamped(content)
        patience = min(self._timeout, PATIENCE)
        answers = self._send(action, what, stamped, self._nodes, timeout=patience, tolerant=True)
        return {name: a for name, a in answers.items() if a.refusal is None}

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
            nodes = dict(self._nodes) or self._asked
            content = {
                name: Payload(
                    {
                        "attempt": self.attempt,
                        **({"little_in_common": [*little[name]]} if name in little else {}),
                    }
                )
                for name in nodes
            }
            self._send("close", "", content, nodes, timeout=15.0, tolerant=True)

    def _send(
        self,
        action: str,
        what: str,
        content: Mapping[str, Payload],
        nodes: Mapping[str, int],
        *,
        timeout: float | None = None,
        tolerant: bool = False,
    ) -> dict[str, Payload]:
        """Answers by name, in the order of ``content``; ``tolerant`` leaves out nodes that fail instead of raising."""
        timeout = timeout or self._timeout
        if action != "close":
            self.exchanges += 1
            # A screen that is closed, or cannot print a character, is no reason to stop what was paid for.
            with contextlib.suppress(Exception, SystemExit):
                self._report(self.exchanges, action, what)
        waiting: dict[str, str] = {}
        answers: dict[str, Payload] = {}
        unsent = []
        spool = Spool()
        for (
            name
        ) in content:  # one at a time: what was sent, or has come, need not be in memory with all the rest
            number = self._push(action, content[name], name, nodes[name], timeout)
            if number is None:
                unsent.append(name)
            else:
                waiting[number] = name
                self._collect(action, waiting, answers, spool, tolerant)
        if unsent and not tolerant:
            raise PeerError(
                f"exchange {self.exchanges}, {action}, could not be sent to {', '.join(sorted(unsent))}; see that its "
                "node is connected, and run the study again. What was released before stays charged"
            )
        deadline, pause = time.monotonic() + timeout, 0.01
        while waiting:
            self._collect(action, waiting, answers, spool, tolerant)
            if waiting:
                if time.monotonic() > deadline and tolerant:
                    break
                if time.monotonic() > deadline:
                    raise PeerError(
                        f"no answer from {', '.join(sorted(waiting.values()))} within {timeout:.0f} s in "
                        f"exchange {self.exchanges}, {action}; see that the node runs, and run the study again"
                    )
                time.sleep(pause)
                pause = min(pause * 1.5, 0.5)
        return {name: answers[name] for name in content if name in answers}

    def _push(self, action: str, payload: Payload, name: str, node: int, timeout: float) -> str | None:
        """Send one message; its id, or None where Flower did not take it (it then gives no id, or an empty one)."""
        payload = Payload(payload.body, dict(payload.blobs))  # relayed blobs are fetched once, here
        self.received[name] = self.received.get(name, 0) + payload.size()
        message = request(payload, action, node, ttl=timeout, protocol=self.protocol)
        ids = list(self._grid.push_messages([message]))
        return ids[0] if len(ids) == 1 and ids[0] else None

    def _collect(
        self,
        action: str,
        waiting: dict[str, str],
        answers: dict[str, Payload],
        spool: Spool,
        tolerant: bool,
    ) -> None:
        """Take the answers that are there; large envelopes in them go to the spool."""
        for message in self._grid.pull_messages(list(waiting)):
            name = waiting.pop(message.metadata.reply_to_message_id, "")
            if not name:
                continue
            if message.has_error() and tolerant:
                continue
            if message.has_error():
                raise PeerError(
                    f"{name} was lost in exchange {self.exchanges}, {action}; see that its node runs, and "
                    "run the study again. What was released before stays charged"
                )
            answer = checked_answer(from_record(message.content), self.protocol)
            self.sent[name] = self.sent.get(name, 0) + answer.size()
            if CONFIRM in answer.body and action != "describe":
                self._codes[name] = answer.get(CONFIRM)
            if name not in self.charged and spends_in(answer):
                self.charged.add(name)
                self.on_charge()
            answers[name] = spool.keep(answer)

    def _name(self, key: str) -> str:
        by_node = {str(node): name for name, node in self._nodes.items()}
        return by_node.get(key, key)
