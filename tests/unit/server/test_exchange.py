"""Exchanges over a grid of plain functions: who is who, refusals, lost nodes, deadlines, bytes."""

import itertools

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import EnvelopeError, LostError, PeerError, ProtocolError
from fedrisk.protocol.common_view import Part, first_digest, next_digest, split
from fedrisk.protocol.payload import Payload, from_record, refused, reply
from fedrisk.secure.identity import EphemeralKey, IdentityKey
from fedrisk.server.envelope_file import LEAST, RelayedBlobs
from fedrisk.server.exchange import Exchange
from fedrisk.server.hub import Hub
from fedrisk.server.journal import Journal

ATTEMPT, DIGEST = "a" * 32, "d" * 64
NAMES = ("bank", "tax")
LOST = object()
SILENT = object()


class FakeGrid(Grid):
    """``nodes``: by number a function (action, payload) -> Payload, LOST, SILENT or a RecordDict.

    ``late``: how many pulls come back empty before answers arrive.
    """

    def __init__(self, nodes, late=0):
        InProcessGrid(ClientApp(), {})  # says who is sending, as Flower's engines do
        self.nodes, self.late = nodes, late
        self.asked, self.replies, self.numbers = [], {}, itertools.count()

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, *_, **__):
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None):
        raise NotImplementedError

    def get_nodes(self):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.nodes)

    def push_messages(self, messages):
        ids = []
        for message in messages:
            name = f"m{next(self.numbers)}"
            message.metadata.__dict__["_message_id"] = name
            node, action = message.metadata.dst_node_id, message.metadata.message_type.removeprefix("query.")
            payload = from_record(message.content)
            self.asked.append((node, action, payload))
            answer = self.nodes[node](action, payload)
            if answer is LOST:
                self.replies[name] = Message(Error(3, "the text of a node's exception"), reply_to=message)
            elif isinstance(answer, RecordDict):
                self.replies[name] = Message(answer, reply_to=message)
            elif answer is not SILENT:
                self.replies[name] = reply(answer, message)
            ids.append(name)
        return self.taken(ids)

    def taken(self, ids):
        return ids

    def pull_messages(self, message_ids):
        if self.late > 0:
            self.late -= 1
            return []
        # The last comes first: answers arrive in any order.
        return [self.replies.pop(i) for i in reversed(list(message_ids)) if i in self.replies]


class Institution:
    """A node that agrees with a properly signed key and then answers with its own name and the action."""

    def __init__(self, name, **odd):
        self.name, self.identity, self.odd = name, IdentityKey.generate(), odd

    def __call__(self, action, payload):
        if action in self.odd:
            return self.odd[action]
        if action != "describe":
            return Payload({"name": self.name, "action": action, "echo": dict(payload.body)}, payload.blobs)
        _, signed = EphemeralKey.generate(self.identity, self.name, DIGEST, ATTEMPT)
        return Payload({"name": self.name, "member": True, "key": signed.to_dict()})


def consortium(**odd):
    """Two institutions (with odd answers by action), their pins, and a stranger's node."""
    nodes = {10 + k: Institution(name, **odd.get(name, {})) for k, name in enumerate(NAMES)}
    pins = {node.name: node.identity.public for node in nodes.values()}
    nodes[7] = lambda action, payload: Payload({"name": "stranger", "member": False})
    return nodes, pins


def called(nodes, pins, *, late=0, timeout=5.0, report=None):
    exchange = Exchange(FakeGrid(nodes, late), ATTEMPT, timeout=timeout, report=report)
    answers = exchange.roll_call(NAMES, Payload({"study": {}, "attempt": ATTEMPT}), pins, DIGEST)
    return exchange, answers


# --- roll call ----------------------------------------------------------------------------------------------


def test_members_are_found_among_all_nodes():
    exchange, answers = called(*consortium())
    assert set(answers) == set(NAMES)
    assert set(exchange.sent) == set(exchange.received) == set(NAMES)  # by name, the stranger left out
    assert exchange.exchanges == 1


def test_a_members_name_with_another_key_is_refused():
    nodes, pins = consortium()
    with pytest.raises(EnvelopeError):
        called(nodes, {**pins, "tax": IdentityKey.generate().public})


def test_a_member_without_a_pin_is_refused():
    nodes, pins = consortium()
    with pytest.raises(EnvelopeError, match="no key is pinned at the hub for tax; register it first"):
        called(nodes, {"bank": pins["bank"]})


def test_two_nodes_with_one_name_are_refused():
    nodes, pins = consortium()
    nodes[11].name = "bank"
    nodes[11].identity = nodes[10].identity
    with pytest.raises(PeerError, match="two nodes answer as bank; stop one of them"):
        called(nodes, pins)


def test_another_institution_cannot_take_a_members_name():
    nodes, pins = consortium()
    nodes[11].name = "bank"
    nodes[10].name = "tax"
    with pytest.raises(EnvelopeError):
        called(nodes, pins)


@pytest.mark.parametrize(("digest", "attempt"), [("e" * 64, ATTEMPT), (DIGEST, "b" * 32)])
def test_a_key_of_another_study_or_attempt_is_refused(digest, attempt):
    nodes, pins = consortium()
    _, signed = EphemeralKey.generate(nodes[11].identity, "tax", digest, attempt)
    nodes[11].odd["describe"] = Payload({"name": "tax", "member": True, "key": signed.to_dict()})
    with pytest.raises(EnvelopeError):
        called(nodes, pins)


def test_a_refusal_is_told_with_its_code():
    nodes, pins = consortium(tax={"describe": refused("budget")})
    with pytest.raises(PeerError, match=r"no agreement from tax \(budget\): .* Nothing was released"):
        called(nodes, pins)


def test_a_member_that_says_it_is_none_is_missing():
    nodes, pins = consortium(tax={"describe": Payload({"name": "tax", "member": False})})
    with pytest.raises(PeerError, match="no agreement from tax: not connected, or refused"):
        called(nodes, pins)


def test_too_few_nodes_are_waited_for_and_then_told():
    nodes, pins = consortium()
    with pytest.raises(PeerError, match="1 nodes are connected and the study has 2 institutions"):
        called({10: nodes[10]}, pins, timeout=0.3)


def test_a_member_whose_answer_lacks_the_key_is_a_protocol_error():
    nodes, pins = consortium(tax={"describe": Payload({"name": "tax", "member": True})})
    with pytest.raises(ProtocolError, match="lacks entry key"):
        called(nodes, pins)


# --- later exchanges ----------------------------------------------------------------------------------------


def requests(**more):
    return {name: Payload({"own": name, **more}) for name in NAMES}


def test_each_gets_its_own_request_with_the_attempt_and_answers_by_name():
    exchange, _ = called(*consortium(), late=3)
    answers = exchange("mask", "masks", requests())
    assert list(answers) == list(NAMES)
    for name in NAMES:
        assert answers[name].get("name") == name
        assert answers[name].get("echo") == {"own": name, "attempt": ATTEMPT}


def test_only_those_asked_are_asked():
    exchange, _ = called(*consortium())
    exchange("evaluate", "one", {"tax": Payload()})
    assert [(node, action) for node, action, _ in exchange._grid.asked[3:]] == [(11, "evaluate")]


def test_bytes_by_hand():
    exchange, answers = called(*consortium())
    sent, received = dict(exchange.sent), dict(exchange.received)
    assert sent == {name: answers[name].size() for name in NAMES}
    assert received == dict.fromkeys(NAMES, Payload({"study": {}, "attempt": ATTEMPT}).size())
    blob = np.zeros(100, np.uint32)
    got = exchange("mask", "masks", {"tax": Payload({}, {"x": blob})})
    asked = Payload({"attempt": ATTEMPT}, {"x": blob}).size()
    assert asked == 400 + len('{"attempt":""}') + len(ATTEMPT)
    assert exchange.received == {"bank": received["bank"], "tax": received["tax"] + asked}
    assert exchange.sent == {"bank": sent["bank"], "tax": sent["tax"] + got["tax"].size()}


def test_progress_is_told_before_each_exchange():
    told = []
    exchange, _ = called(*consortium(), report=lambda *what: told.append(what))
    exchange("mask", "masks for counts", requests())
    assert told == [(1, "describe", "agreement"), (2, "mask", "masks for counts")]


def test_all_refusals_are_told_with_exchange_and_codes():
    exchange, _ = called(*consortium(tax={"mask": refused("data")}, bank={"mask": refused("budget")}))
    with pytest.raises(PeerError) as caught:
        exchange("mask", "masks", requests())
    text = str(caught.value)
    assert "stopped in exchange 2, mask: refused by bank (budget), tax (data)" in text
    assert "errors.log" in text


def test_a_lost_node_is_told_without_its_text():
    exchange, _ = called(*consortium(tax={"release": LOST}))
    with pytest.raises(PeerError) as caught:
        exchange("release", "sums", requests())
    assert "tax was lost in exchange 2, release" in str(caught.value)
    assert "exception" not in str(caught.value)


@pytest.mark.parametrize(
    "taken", [[None], [""], []]
)  # as Flower over HTTP, in memory, or for a message too large
@pytest.mark.parametrize("named", [("tax",), ("bank", "tax")])
def test_a_message_that_flower_does_not_take_is_told(taken, named):
    exchange, _ = called(*consortium())
    grid = exchange._grid
    numbers = [exchange._nodes[name] for name in named]
    grid.taken = lambda ids: taken if grid.asked[-1][0] in numbers else ids
    with pytest.raises(
        PeerError, match=f"exchange 2, release, could not be sent to {', '.join(named)}; see that"
    ):
        exchange("release", "sums", requests())


def test_large_envelopes_wait_in_a_file_and_are_fetched_when_they_are_sent():
    """Neither what goes out nor what comes in is in memory all at once."""
    large = {"bank": b"b" * LEAST, "tax": b"t" * (LEAST + 5)}
    masked = {name: {"mask": Payload({}, {"x": blob, "y": b"small"})} for name, blob in large.items()}
    exchange, _ = called(*consortium(**masked))
    answers = exchange("mask", "masks", requests())
    for name in NAMES:
        assert list(answers[name].blobs) == ["x", "y"] and len(answers[name].blobs) == 2
        assert not isinstance(answers[name].blobs, dict)  # the file's
        assert answers[name].raw("x") == large[name] and answers[name].raw("y") == b"small"
    fetched = []

    class Watched(RelayedBlobs):
        def __getitem__(self, name):
            fetched.append(name)
            return super().__getitem__(name)

    onward = {name: Watched() for name in NAMES}
    onward["bank"].add("from tax", answers["tax"], "x")
    onward["tax"].add("from bank", answers["bank"], "x")
    exchange("release", "sums", {name: Payload({}, blobs) for name, blobs in onward.items()})
    told = {node: payload for node, action, payload in exchange._grid.asked if action == "release"}
    assert told[exchange._nodes["bank"]].raw("from tax") == large["tax"]
    assert told[exchange._nodes["tax"]].raw("from bank") == large["bank"]
    assert fetched == ["from tax", "from bank"]  # once each


def test_what_an_answer_lacks_cannot_be_relayed():
    with pytest.raises(ProtocolError, match="lacks bytes x"):
        RelayedBlobs().add("a", Payload(), "x")


def test_a_silent_node_meets_the_deadline():
    exchange, _ = called(*consortium(tax={"release": SILENT}), timeout=0.4)
    with pytest.raises(PeerError, match="no answer from tax within 0 s in exchange 2, release"):
        exchange("release", "sums", requests())


def test_a_malformed_answer_is_a_protocol_error():
    exchange, _ = called(*consortium(tax={"release": RecordDict()}))
    with pytest.raises(ProtocolError, match="malformed"):
        exchange("release", "sums", requests())


# --- the common view ----------------------------------------------------------------------------------------


def told_by(exchange, name, **content):
    exchange.tell(name, content)
    return Part(exchange.told, name, Payload(content))


def received(exchange, node):
    """Parts and codes of the last message to a node."""
    (payload,) = [p for n, _, p in exchange._grid.asked[-2:] if n == node]
    _, parts, codes = split(payload)
    return [(p.number, p.name, dict(p.content.body)) for p in parts], codes


def ask_all(exchange):
    exchange("mask", "a few words", requests())


def test_a_part_goes_once_to_each_with_the_next_message():
    exchange, _ = called(*consortium())
    exchange.begin_view(DIGEST)
    told_by(exchange, "one", x=1)
    exchange("mask", "to one alone", {"bank": Payload()})
    told_by(exchange, "two", x=2)
    ask_all(exchange)
    assert received(exchange, 10)[0] == [(2, "two", {"x": 2})]
    assert received(exchange, 11)[0] == [(1, "one", {"x": 1}), (2, "two", {"x": 2})]
    ask_all(exchange)
    assert received(exchange, 10)[0] == received(exchange, 11)[0] == []


def test_parts_bring_their_arrays():
    exchange, _ = called(*consortium())
    exchange.begin_view(DIGEST)
    exchange.tell("one", {}, {"bank": np.arange(3.0)})
    ask_all(exchange)
    _, parts, _ = split([p for n, _, p in exchange._grid.asked if n == 11][-1])
    assert parts[0].content.array("bank").tolist() == [0, 1, 2]


def test_the_hub_has_the_digest_that_members_have():
    exchange, _ = called(*consortium())
    exchange.begin_view(DIGEST)
    digest = first_digest(DIGEST, ATTEMPT)
    assert exchange.view == digest
    for name in ("one", "two"):
        digest = next_digest(digest, told_by(exchange, name, x=name))
        assert exchange.view == digest
    assert exchange.told == 2


def test_codes_go_to_those_whom_they_are_for():
    nodes, pins = consortium()
    codes = {10: {"tax": "a" * 64, "power": "b" * 64}, 11: {"bank": "c" * 64}}
    for node, said in codes.items():
        nodes[node].odd["mask"] = Payload({"confirm": {"number": 1, "codes": said}})
    exchange, _ = called(nodes, pins)
    exchange.begin_view(DIGEST)
    ask_all(exchange)
    assert received(exchange, 10)[1] == received(exchange, 11)[1] == {}
    ask_all(exchange)
    assert received(exchange, 10)[1] == {"tax": {"number": 1, "code": "c" * 64}}
    assert received(exchange, 11)[1] == {"bank": {"number": 1, "code": "a" * 64}}


# --- nodes with names ---------------------------------------------------------------------------------------


class NamedGrid(FakeGrid):
    """As a SuperLink that knows under which names nodes were registered."""

    def get_nodes(self):
        names = {10: "bank", 11: "tax", 7: "stranger"}
        return [NodeInfo(node_id=node, name=names[node]) for node in self.nodes]


def test_a_study_is_described_to_its_members_alone():
    nodes, pins = consortium()
    grid = NamedGrid(nodes)
    answers = Exchange(grid, ATTEMPT).roll_call(NAMES, Payload({"attempt": ATTEMPT}), pins, DIGEST)
    assert set(answers) == set(NAMES) and {node for node, _, _ in grid.asked} == {10, 11}


def test_a_name_alone_makes_no_member():
    """The pinned key decides: a node that was registered under a member's name and signs with another key is refused."""
    nodes, pins = consortium()
    nodes[11].identity = IdentityKey.generate()
    with pytest.raises(EnvelopeError):
        Exchange(NamedGrid(nodes), ATTEMPT).roll_call(NAMES, Payload({"attempt": ATTEMPT}), pins, DIGEST)


def test_whose_node_is_missing_is_told():
    nodes, pins = consortium()
    with pytest.raises(PeerError, match=r"1 nodes are connected.*\(of tax\)"):
        Exchange(NamedGrid({10: nodes[10], 7: nodes[7]}), ATTEMPT, timeout=0.3).roll_call(
            NAMES, Payload({"attempt": ATTEMPT}), pins, DIGEST
        )


# --- after a stop -------------------------------------------------------------------------------------------


def begun(tmp_path, nodes, pins):
    """An exchange with a journal, as a new process makes it; members are found once they are asked."""
    exchange = Exchange(NamedGrid(nodes), ATTEMPT, timeout=5.0, journal=Journal.of(Hub(tmp_path), ATTEMPT))
    (tmp_path / "runs" / ATTEMPT / "journal").mkdir(parents=True, exist_ok=True)
    (tmp_path / "runs" / ATTEMPT / "journal" / "seed").write_bytes(b"s" * 32)
    exchange.expect(NAMES, Payload({"attempt": ATTEMPT}), pins, DIGEST)
    return exchange


def test_who_has_answered_is_not_asked_again(tmp_path):
    nodes, pins = consortium(tax={"mask": LOST})
    with pytest.raises(LostError):
        begun(tmp_path, nodes, pins)("mask", "masks", requests())
    nodes[11].odd.clear()
    exchange = begun(tmp_path, nodes, pins)
    answers = exchange("mask", "masks", requests())
    assert list(answers) == list(NAMES)
    assert [(n, a) for n, a, _ in exchange._grid.asked] == [(11, "describe"), (11, "mask")]
    again = begun(tmp_path, nodes, pins)
    assert {n: a.digest() for n, a in again("mask", "masks", requests()).items()} == {
        n: a.digest() for n, a in answers.items()
    }
    assert again._grid.asked == [] and again.exchanges == exchange.exchanges == 1
    assert again.draw("x") == exchange.draw("x") != exchange.draw("y")


def test_who_was_left_out_stays_left_out(tmp_path):
    nodes, pins = consortium(tax={"step": LOST})
    assert list(begun(tmp_path, nodes, pins).gather("step", "a step", requests())) == ["bank"]
    nodes[11].odd.clear()
    assert list(begun(tmp_path, nodes, pins).gather("step", "a step", requests())) == ["bank"]


def test_an_exchange_with_too_few_is_not_over(tmp_path):
    nodes, pins = consortium(tax={"step": LOST})
    assert list(begun(tmp_path, nodes, pins).gather("step", "a step", requests(), fewest=2)) == ["bank"]
    nodes[11].odd.clear()
    exchange = begun(tmp_path, nodes, pins)
    assert list(exchange.gather("step", "a step", requests(), fewest=2)) == list(NAMES)
    assert 10 not in [node for node, _, _ in exchange._grid.asked]


def test_a_refusal_is_not_kept(tmp_path):
    nodes, pins = consortium(tax={"mask": refused("data")})
    for _ in range(2):
        exchange = begun(tmp_path, nodes, pins)
        with pytest.raises(PeerError, match=r"refused by tax \(data\)"):
            exchange("mask", "masks", requests())
        assert (11, "mask") in [(node, action) for node, action, _ in exchange._grid.asked]


def test_what_a_part_came_to_takes_its_place_with_the_view(tmp_path):
    nodes, pins = consortium()
    codes = {"number": 1, "codes": {"tax": "a" * 64}}
    nodes[10].odd["mask"] = Payload({"confirm": codes})

    def part(exchange):
        def make():
            exchange.begin_view(DIGEST)
            exchange.tell("one", {"x": 1})
            ask_all(exchange)
            return Payload({"made": 1}, {"array": np.arange(3)})

        return make

    first = begun(tmp_path, nodes, pins)
    made = [first.once("part", part(first))]
    again = begun(tmp_path, nodes, pins)
    made.append(again.once("part", part(again)))
    assert [(m.body, m.array("array").tolist()) for m in made] == 2 * [({"made": 1}, [0, 1, 2])]
    assert again._grid.asked == []
    assert not list((tmp_path / "runs" / ATTEMPT / "journal").glob("001-*"))
    for exchange in (first, again):
        exchange.tell("two", {"x": 2})
        nodes[10].odd.clear()
        exchange("release", "sums", requests(round="two"))
        assert exchange.told == 2
    assert first.view == again.view and first.exchanges == again.exchanges == 2
    assert first._told == again._told and first._codes == again._codes
