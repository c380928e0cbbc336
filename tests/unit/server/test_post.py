"""Messages that are lost on the way are sent again, with the same content, until the deadline; answers count once."""

import itertools

import pytest
from flwr.app import Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo

from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import LATER, LostError
from fedrisk.protocol.payload import Payload, from_record, refused, reply
from fedrisk.server import post as module
from fedrisk.server.post import NodeSeen, Post, nodes_of

NODES = {"bank": 1, "tax": 2}
LOST, SILENT, UNTAKEN = object(), object(), object()


class Line:
    """A grid of which each node plays a script: an answer for each message that comes, the last one for good."""

    def __init__(self, **scripts):
        InProcessGrid(ClientApp(), {})  # says who is sending, as Flower's engines do
        self.scripts = {NODES[name]: list(script) for name, script in scripts.items()}
        self.numbers, self.replies, self.came = itertools.count(), {}, {1: [], 2: []}
        self.activated = {1: "monday", 2: "monday"}
        self.on_look = lambda: None

    def get_nodes(self):
        self.on_look()
        return [NodeInfo(node_id=n, name=k, last_activated_at=self.activated[n]) for k, n in NODES.items()]

    def push_messages(self, messages):
        (message,) = messages
        number, node = f"m{next(self.numbers)}", message.metadata.dst_node_id
        message.metadata.__dict__["_message_id"] = number
        payload = from_record(message.content)
        self.came[node].append(payload)
        script = self.scripts[node]
        said = script.pop(0) if len(script) > 1 else script[0]
        if said is UNTAKEN:
            return [None]
        if said is LOST:
            self.replies[number] = Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)
        elif said is not SILENT:
            self.replies[number] = reply(said, message)
        return [number]

    def pull_messages(self, ids):
        return [self.replies.pop(i) for i in ids if i in self.replies]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.005)


ANSWER = Payload({"answer": 1})


def ask(line, *, patient=True, timeout=5.0, tolerant=False):
    post, answers, sizes = Post(line, patient), {}, {}
    content = {name: Payload({"to": name}, {"x": b"blob"}) for name in line.scripts and ("bank", "tax")}
    there = post.ask(
        "mask",
        content,
        NODES,
        answers.__setitem__,
        timeout=timeout,
        where="exchange 3, mask",
        tolerant=tolerant,
        sent=sizes.__setitem__,
    )
    assert there == set(answers)
    assert set(sizes) == set(NODES)
    return post, answers


@pytest.mark.parametrize("fault", [LOST, refused(LATER), UNTAKEN])
def test_a_request_is_sent_again_with_the_same_content(fault):
    line = Line(bank=[ANSWER], tax=[fault, fault, ANSWER])
    post, answers = ask(line)
    assert {name: a.body["answer"] for name, a in answers.items()} == {"bank": 1, "tax": 1}
    assert len(line.came[1]) == 1 and len(line.came[2]) == 3 and post.again == 2
    assert len({p.digest() for p in line.came[2]}) == 1


def test_what_was_delivered_to_a_node_that_was_started_anew_is_sent_again():
    line = Line(bank=[ANSWER], tax=[SILENT, ANSWER])
    looks = itertools.count()

    def on_look():
        if next(looks) == 4:
            line.activated[2] = "tuesday"

    line.on_look = on_look
    post, answers = ask(line)
    assert set(answers) == {"bank", "tax"} and post.again == 1 and len(line.came[2]) == 2


def test_a_node_that_is_slow_is_not_asked_again():
    line = Line(bank=[ANSWER], tax=[SILENT])
    post, answers = ask(line, timeout=0.3, tolerant=True)
    assert set(answers) == {"bank"} and post.again == 0


def test_a_second_answer_is_dropped_and_counted():
    line = Line(bank=[ANSWER], tax=[SILENT, ANSWER])
    first = []

    def on_look():
        # The first answer comes after all, just before the second.
        if line.came[2] and not first:
            first.append(1)
            line.activated[2] = "tuesday"

    line.on_look = on_look
    pushed = line.push_messages

    def push(messages):
        (message,) = messages
        ids = pushed([message])
        if len(line.came[2]) == 2 and message.metadata.dst_node_id == 2:
            (old,) = [i for i in ("m0", "m1") if i not in line.replies and i != ids[0]][-1:]
            line.replies[old] = reply(Payload({"answer": 1}), message)
            line.replies[old].metadata.__dict__["_reply_to_message_id"] = old
        return ids

    line.push_messages = push
    post, answers = ask(line)
    assert set(answers) == {"bank", "tax"} and post.dropped == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (LOST, "tax was lost in exchange 3, mask; see that its node runs"),
        (SILENT, "no answer from tax within 0 s in exchange 3, mask"),
        (refused(LATER), "tax cannot answer exchange 3, mask for now: its disk is full"),
        (UNTAKEN, "exchange 3, mask, could not be sent to tax"),
    ],
)
@pytest.mark.parametrize("patient", [True, False])
def test_after_the_deadline_it_is_said_who_is_missing_and_how_to_go_on(fault, said, patient):
    with pytest.raises(LostError, match=said) as caught:
        ask(Line(bank=[ANSWER], tax=[fault]), patient=patient, timeout=0.3)
    assert "--resume" in str(caught.value) and "bank" not in str(caught.value)


@pytest.mark.parametrize("fault", [LOST, SILENT, refused(LATER), UNTAKEN])
def test_who_can_be_done_without_is_left_out(fault):
    _, answers = ask(Line(bank=[ANSWER], tax=[fault]), timeout=0.2, tolerant=True)
    assert set(answers) == {"bank"}


def test_on_one_machine_nobody_is_asked_twice():
    line = Line(bank=[ANSWER], tax=[LOST, ANSWER])
    with pytest.raises(LostError):
        ask(line, patient=False)
    assert len(line.came[2]) == 1


def test_a_refusal_is_an_answer():
    line = Line(bank=[ANSWER], tax=[refused("budget")])
    _, answers = ask(line)
    assert answers["tax"].refusal == "budget" and len(line.came[2]) == 1


def test_a_message_that_flower_never_takes_is_given_up():
    line = Line(bank=[ANSWER], tax=[UNTAKEN])
    with pytest.raises(LostError, match="could not be sent to tax"):
        ask(line)
    assert len(line.came[2]) == module.MOST_UNTAKEN


def test_nodes_have_names_where_they_were_registered():
    line = Line(bank=[ANSWER], tax=[ANSWER])
    assert nodes_of(line) == [NodeSeen(1, "bank", "monday"), NodeSeen(2, "tax", "monday")]
    assert not any(node.name for node in nodes_of(_Unnamed()))


class _Unnamed:
    def get_nodes(self):
        raise NotImplementedError

    def get_node_ids(self):
        return [7, 8]
