"""The hub's desk: it tells nodes the roster, and asks the members of each proposal for their word, one round at a time.

A round never waits: it sends what is due, takes the answers that are there, and says which proposals are ready to run.
Whoever calls it goes round every second or two, for as long as the hub works. A study is told to its members alone: to
the nodes that Flower knows under their names and, where there is a roster, by the keys that the roster has for them.

A lost node, a late answer or none is nothing: it is asked again. What is refused stays refused. Before a proposal is
ready, every agreement that is not optional is a fresh one: an institution whose approval has lapsed meanwhile, or whose
node is off, would only make the run fail.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from flwr.serverapp import Grid

from fedrisk.deploy import pki
from fedrisk.deploy.keys import public_key_of
from fedrisk.deploy.roster import Roster, after_epoch
from fedrisk.errors import FedriskError, ProtocolError, code_of
from fedrisk.protocol import versions
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.protocol.versions import Spoken
from fedrisk.server.hub import Hub
from fedrisk.server.post import answered, pushed
from fedrisk.server.proposals import Answer, Proposal, Proposals, stamp
from fedrisk.study import FORMAT

if TYPE_CHECKING:
    from fedrisk.server.late_tables import LateTables
    from fedrisk.server.late_warnings import LateWarnings

log = logging.getLogger("fedrisk")

TTL = 30.0
"""Seconds for which a message of the desk waits for its node."""

SOONEST, LATEST = 3.0, 15.0
"""Seconds between two questions to a member that waits: few at first, more as days go by."""

REFUSED_ROSTER, REFUSED_FOR_NOW = timedelta(minutes=10), timedelta(minutes=1)
"""After so long a node is told the roster again that refused it, or sent a certificate again, and is asked again that
could not answer just then."""

LOOK, WANTED = timedelta(minutes=1), timedelta(days=30)
"""Time between two looks for tables that are missing, and how long after a run they are wanted."""

FRESH = timedelta(seconds=60)
"""How old an agreement may be when a study begins; an older one is asked for once more."""

GRACE = timedelta(hours=1)
"""How long after its deadline a proposal to which all have agreed waits for nodes that are off just then."""

PASSING = frozenset({"later", "store", "internal", "clock"})
"""Codes of refusals that are no answer of people or policy: the member is asked again."""

VERSION, UNKNOWN, LAPSED = "version", "roster", "lapsed"
"""Codes that the hub itself notes: no protocol in common with a member, none of that name in the roster, too late."""


@dataclass(frozen=True)
class _Sent:
    """A message that is out: to whom, about what (None: the roster), until when an answer can come."""

    node: str
    proposal: Proposal | None
    until: datetime


class Desk:
    """The rounds of one hub over one grid.

    roster: the newest epoch, None where there is none (a hub on one machine). clock: the time, in UTC. certify: (name,
    public key of its node) -> a certificate for the relay of scores, as PEM; None where this hub relays none.

    A node is asked in the highest protocol that it and this hub speak: by what it last answered, else by the roster.
    """

    def __init__(
        self,
        grid: Grid,
        hub: Hub,
        proposals: Proposals,
        roster: Roster | None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        certify: Callable[[str, str], str] | None = None,
    ) -> None:
        self._certify = certify
        self._held: dict[str, tuple[str, datetime | None]] = {}
        self._grid, self._hub, self._proposals = grid, hub, proposals
        self._roster, self._clock = roster, clock
        self._spoken: dict[str, Spoken] = {}
        self._members = {} if roster is None else {one.name: one for one in roster.members}
        self._late: LateTables | None = None
        self._warnings: LateWarnings | None = None
        self._looked: datetime | None = None
        self._sent: dict[str, _Sent] = {}
        self._asked: dict[tuple[str, str], datetime] = {}
        self._later: dict[tuple[str, str], datetime] = {}
        self._told: dict[str, int] = {}
        self._lacks: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()
        self._over: set[tuple[str, str]] = set()

    def turn(self) -> list[Proposal]:
        """One round; the proposals that are ready to run now, the oldest first."""
        self._take()
        nodes = self._nodes()
        self._tell_roster(nodes)
        self._late_work(nodes)
        for proposal in self._proposals.open():
            self._ask(proposal, nodes)
        self._take()
        for proposal in self._proposals.open():
            self._settle(proposal)
        every = self._proposals.all()
        for proposal in every:
            if proposal.to_node()["over"]:
                self._take_back(proposal, nodes)
        return [p for p in every if p.state == "ready"]

    def _late_work(self, nodes: Mapping[str, int]) -> None:
        """Ask for what is missing of studies that ended: tables, and what banks confirm of a threshold.

        Reading results takes much memory, so it is loaded where something is missing.
        """
        now = self._clock()
        if self._looked is None or now - self._looked >= LOOK:
            self._looked = now
            if self._late is None and tables_missing(self._hub, now):
                from fedrisk.server.late_tables import LateTables

                self._late = LateTables(self._grid, self._hub, clock=self._clock)
            if self._warnings is None and thresholds_missing(self._hub, now):
                from fedrisk.server.late_warnings import LateWarnings

                self._warnings = LateWarnings(self._grid, self._hub, clock=self._clock)
        for late in (self._late, self._warnings):
            if late is not None:
                late.turn(nodes)

    def _nodes(self) -> dict[str, int]:
        """Connected nodes by the name of their institution; where there is a roster, those with a key that it has.

        A node takes its new key once its people accept the epoch that has it, and must hear of that under its old one.
        Of two nodes that say one name with equal right, none is asked.
        """
        found: dict[str, dict[int, list[int]]] = {}
        for info in self._grid.get_nodes():
            rank = self._rank(info)
            if rank is not None:
                found.setdefault(str(info.name), {}).setdefault(rank, []).append(int(info.node_id))
        best = {name: ranks[min(ranks)] for name, ranks in found.items()}
        return {name: ids[0] for name, ids in best.items() if len(ids) == 1}

    def _rank(self, info: Any) -> int | None:
        """0 for a node with its institution's present key, more for earlier ones, None for one that is told nothing."""
        name = str(info.name)
        if self._roster is None:
            return 0 if name else None
        member = self._members.get(name)
        if member is None:
            return None
        keys = [member.flower, *(one.old_flower for one in reversed(member.rotations))]
        for rank, key in enumerate(keys):
            if same_key(info.public_key, key):
                return rank
        self._say(
            name, "key", f"a node calls itself {name} and has no key of it in the roster; it is told nothing"
        )
        return None

    def _tell_roster(self, nodes: Mapping[str, int]) -> None:
        """Tell the newest epoch to nodes that lack it, with those before it that they said they lack.

        And again, with a certificate, to those that said they hold none for long; others do not know that field.
        """
        if self._roster is None:
            return
        for name, node in nodes.items():
            knows = self._told.get(name, 0) >= self._roster.epoch
            key = self._key_to_certify(name)
            if (knows and key is None) or not self._due((name, "roster"), SOONEST):
                continue
            body: dict[str, Any] = {"roster": self._roster.to_dict()}
            if lacks := self._lacks.get(name):
                earlier = [one for one in after_epoch(self._hub, lacks - 1) if one.epoch < self._roster.epoch]
                body["earlier"] = [one.to_dict() for one in earlier]
            if knows and key is not None:
                self._later[name, "roster"] = self._clock() + REFUSED_ROSTER
                body["certificate"] = self._certificate(name, key)
            if body.get("certificate", "") is None:
                continue
            self._push("roster", Payload(body), name, node, None)

    def _certificate(self, name: str, key: str) -> str | None:
        """A certificate for a node's key; None, and a line in the log, where the authority's files cannot be used."""
        try:
            return None if self._certify is None else self._certify(name, key)
        except FedriskError as error:
            log.error(
                "no certificate can be made", extra={"event": "desk", "peer": name, "code": code_of(error)}
            )
            return None

    def _key_to_certify(self, name: str) -> str | None:
        """The key for which a node needs a certificate now, None where it needs none; one that the roster has."""
        member = self._members.get(name)
        if self._certify is None or member is None or name not in self._held:
            return None
        key, until = self._held[name]
        ahead = timedelta(days=pki.CLIENT_AHEAD_DAYS)
        if key not in (member.flower, *(one.old_flower for one in member.rotations)):
            return None
        return key if until is None or until - self._clock() < ahead else None

    def _ask(self, proposal: Proposal, nodes: Mapping[str, int]) -> None:
        """Ask the members whose word is due."""
        now = self._clock()
        age = (now - datetime.fromisoformat(proposal.submitted)).total_seconds()
        pause, undecided = min(max(SOONEST, age / 60), LATEST), proposal.undecided(now)
        for name in proposal.whole.members:
            if not self._may_be_asked(proposal, name) or name not in nodes:
                continue
            answer = proposal.answers.get(name)
            agreed = answer is not None and answer.state == "agreed"
            if agreed and (self._fresh(answer, now) or undecided):
                continue
            if (answer is None or answer.state != "refused") and self._due((name, proposal.id), pause):
                content = Payload({"proposal": proposal.to_node()})
                self._push("propose", content, name, nodes[name], proposal)

    def _take_back(self, proposal: Proposal, nodes: Mapping[str, int]) -> None:
        """Tell those that were asked, and did not refuse, that nobody has to decide any more; once a start."""
        if proposal.past(self._clock()):
            return
        for name in (*proposal.members("waiting"), *proposal.members("agreed")):
            about = (name, proposal.id)
            if (
                name in proposal.answers
                and name in nodes
                and about not in self._over
                and self._due(about, SOONEST)
            ):
                self._push("propose", Payload({"proposal": proposal.to_node()}), name, nodes[name], proposal)

    def _may_be_asked(self, proposal: Proposal, name: str) -> bool:
        """Whether the roster has the member, with a protocol that this hub speaks; what stands against it is noted."""
        if self._roster is None:
            return True
        member = self._members.get(name)
        if member is None:
            if self._state(proposal, name) != "refused":
                self._note(proposal, name, "refused", UNKNOWN)
            return False
        if self._protocol(name) is not None:
            return True
        self._say(
            name, "version", f"{versions.of_node(name, self._speaks(name))}; it is asked once that is done"
        )
        if self._state(proposal, name) == "waiting" and self._code(proposal, name) != VERSION:
            self._note(proposal, name, "waiting", VERSION)
        return False

    def _speaks(self, name: str) -> Spoken | None:
        """What a node speaks, as far as it is known."""
        member = self._members.get(name)
        if name in self._spoken or member is None:
            return self._spoken.get(name)
        protocols = tuple(sorted(member.protocols))
        return Spoken(protocols=protocols, fedrisk=member.fedrisk, study_format=FORMAT)

    def _protocol(self, name: str) -> int | None:
        """The protocol to ask a node in; None where there is none in common."""
        spoken = self._speaks(name)
        return versions.PROTOCOL if spoken is None else versions.common([spoken.protocols])

    def _hear(self, name: str, answer: Payload) -> bool:
        """Keep what a node says that it speaks; whether it is to be asked again, in another protocol than before."""
        said, before = Spoken.found(answer.body), self._protocol(name)
        if said is None:
            return False
        self._spoken[name] = said
        now = self._protocol(name)
        return answer.refusal == VERSION and now is not None and now != before

    def _settle(self, proposal: Proposal) -> None:
        """Move an open proposal on where its members' words, or its deadline, decide it."""
        now, optional = self._clock(), set(proposal.whole.optional)
        refused = [m for m in proposal.members("refused") if m not in optional]
        agreed = proposal.members("agreed")
        undecided = proposal.undecided(now) or not agreed
        fresh = all(self._fresh(proposal.answers[m], now) for m in agreed if m not in optional)
        if refused:
            code = self._code(proposal, refused[0])
            self._proposals.update(proposal.id, state="lapsed" if code == LAPSED else "refused", code=code)
        elif fresh and not undecided:
            self._proposals.update(proposal.id, state="ready")
        elif proposal.past(now if undecided else now - GRACE):
            self._proposals.update(proposal.id, state="lapsed", code=LAPSED)

    def _take(self) -> None:
        """Take the answers that are there; messages whose time is over are asked again when that is due."""
        for sent, message in answered(self._grid, self._sent):
            try:
                answer = from_record(message.content)
            except ProtocolError:
                continue
            if sent.proposal is None:
                self._roster_answer(sent.node, answer)
            else:
                self._word(sent.proposal, sent.node, answer)
                if sent.proposal.over:
                    self._over.add((sent.node, sent.proposal.id))
        now = self._clock()
        self._sent = {number: sent for number, sent in self._sent.items() if sent.until > now}

    def _roster_answer(self, name: str, answer: Payload) -> None:
        """Keep which epoch a node has, or from which on it lacks them; one that refuses is told again later."""
        if self._hear(name, answer):
            self._asked.pop((name, "roster"), None)
            return
        if answer.refusal is not None:
            self._say(
                name, "roster", f"{name} refuses the roster ({answer.refusal}); its own errors.log says why"
            )
            self._later[name, "roster"] = self._clock() + REFUSED_ROSTER
            return
        self._hear_certificate(name, answer.body.get("certificate"))
        known = [e for e in (answer.body.get("accepted"), answer.body.get("pending")) if type(e) is int]
        lacks = answer.body.get("lacks")
        self._told[name] = max(known, default=0)
        if type(lacks) is int and lacks > 0:
            self._lacks[name] = lacks
            # At once: epochs that are missing are no reason to wait.
            self._asked.pop((name, "roster"), None)
            return
        self._lacks.pop(name, None)
        if self._roster is not None and self._told[name] < self._roster.epoch:
            self._later[name, "roster"] = self._clock() + REFUSED_ROSTER

    def _hear_certificate(self, name: str, said: Any) -> None:
        """Keep which key a node has, and until when its certificate holds; nodes of earlier versions say nothing."""
        key = said.get("key") if isinstance(said, dict) else None
        if not isinstance(key, str):
            return
        until = None
        with contextlib.suppress(ValueError, TypeError):
            until = datetime.fromisoformat(said["until"])
        self._held[name] = (key, until if until is not None and until.tzinfo is not None else None)

    def _word(self, proposal: Proposal, name: str, answer: Payload) -> None:
        """Keep a member's word; what is no answer of people or policy is asked again."""
        if self._hear(name, answer):
            self._asked.pop((name, proposal.id), None)
            return
        if answer.refusal is not None:
            if answer.refusal in PASSING:
                self._later[name, proposal.id] = self._clock() + REFUSED_FOR_NOW
            else:
                self._note(proposal, name, "refused", answer.refusal[:40])
            return
        state, code = answer.body.get("state"), answer.body.get("code")
        if state not in ("agreed", "waiting", "refused") or answer.body.get("digest") != proposal.digest:
            self._note(proposal, name, "refused", VERSION)
        elif state == "refused":
            self._note(proposal, name, "refused", str(code)[:40] if code else "refused")
        else:
            self._note(proposal, name, state, None)

    def _note(self, proposal: Proposal, name: str, state: Any, code: str | None) -> None:
        """Write a word where it is another than before, or makes an agreement fresh."""
        before = proposal.answers.get(name)
        now = self._clock()
        said = Answer(state=state, code=code, at=stamp(now))
        if before is not None and replace(before, at=said.at) == said and state != "agreed":
            return
        self._proposals.answered(proposal.id, name, said)
        if before is None or (before.state, before.code) != (state, code):
            log.info(
                "%s about %s: %s",
                name,
                proposal.whole.name,
                state,
                extra={"event": "proposal", "study": proposal.whole.name, "peer": name, "code": code},
            )

    def _push(self, action: str, content: Payload, name: str, node: int, proposal: Proposal | None) -> None:
        """Send one message; nothing where Flower does not take it."""
        about = "roster" if proposal is None else proposal.id
        now = self._clock()
        self._asked[name, about] = now
        message = request(content, action, node, ttl=TTL, protocol=self._protocol(name))
        number = pushed(self._grid, message)
        if number is not None:
            self._sent[number] = _Sent(name, proposal, now + timedelta(seconds=TTL + 5))

    def _due(self, about: tuple[str, str], pause: float) -> bool:
        """Whether a question may be put: none about this is out, and the last is long enough ago."""
        name, what = about
        for sent in self._sent.values():
            if sent.node == name and what == ("roster" if sent.proposal is None else sent.proposal.id):
                return False
        last, now = self._asked.get(about), self._clock()
        if about in self._later and now < self._later[about]:
            return False
        return last is None or now - last >= timedelta(seconds=pause)

    def _fresh(self, answer: Answer | None, now: datetime) -> bool:
        return answer is not None and now - datetime.fromisoformat(answer.at) <= FRESH

    def _state(self, proposal: Proposal, name: str) -> str:
        return proposal.answers[name].state if name in proposal.answers else "waiting"

    def _code(self, proposal: Proposal, name: str) -> str | None:
        return proposal.answers[name].code if name in proposal.answers else None

    def _say(self, name: str, what: str, text: str) -> None:
        """A line of the hub's log, once."""
        if (name, what) not in self._said:
            self._said.add((name, what))
            log.warning("%s", text, extra={"event": "desk", "peer": name})


def tables_missing(hub: Hub, now: datetime) -> bool:
    """Whether a run of the last weeks has fewer signed tables beside its results than members (server/tables)."""

    def missing(folder: Path, content: Mapping[str, Any]) -> bool:
        tables = folder / "disclosures.json"
        there = len(json.loads(tables.read_bytes())["tables"]) if tables.exists() else 0
        return there < len(content["institutions"])

    return _of_some_run(hub, now, missing)


def thresholds_missing(hub: Hub, now: datetime) -> bool:
    """Whether banks of a run of the last weeks have not confirmed its threshold (server/late_warnings)."""

    def missing(folder: Path, content: Mapping[str, Any]) -> bool:
        return (
            bool(content.get("warning"))
            and b'"warning_unconfirmed"' in (folder / "metrics.json").read_bytes()
        )

    return _of_some_run(hub, now, missing)


def _of_some_run(hub: Hub, now: datetime, missing: Callable[[Path, Mapping[str, Any]], bool]) -> bool:
    """Whether something is missing of a run of the last weeks whose results are whole."""
    for file in hub.path.glob("runs/*/run.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = json.loads(file.read_bytes())
            recent = run["results"] == "whole" and now - datetime.fromisoformat(run["ended"]) <= WANTED
            if recent and missing(file.parent, run["content"]):
                return True
    return False


def same_key(registered: bytes, listed: str) -> bool:
    """Whether the key under which Flower knows a node is the one that the roster lists, whatever form either has."""
    found = [_point(registered), _point(listed.encode())]
    return found[0] is not None and found[0] == found[1]


def _point(raw: bytes) -> bytes | None:
    """A public key in one form for all; None where it is none."""
    try:
        return public_key_of(raw).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except ValueError:
        return None
