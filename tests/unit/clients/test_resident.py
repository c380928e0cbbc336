"""The poll loop around a link: what it serves, how it stops, and that nothing of a run's configuration reaches the app."""

import threading
from pathlib import Path

import pytest
from flwr.app import Context, Message
from flwr.supercore.task_identity import TaskIdentity

from fedrisk.clients import resident
from fedrisk.clients.resident import Poll, context_of, serve
from fedrisk.errors import LaterError
from fedrisk.protocol.payload import Payload, from_record, refused, reply, request

FAST = Poll(busy=0.001, idle=0.002)
MINE = Path("/own/bank.toml")


@pytest.fixture(autouse=True)
def identity():
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 7, 1, 1


class Pair:
    """A link whose messages are given; sets ``stop`` when they are all gone."""

    def __init__(self, *messages, stop=None):
        self.messages, self.sent, self.asked = list(messages), [], 0
        self.stop = stop or threading.Event()

    def receive(self):
        self.asked += 1
        if not self.messages:
            self.stop.set()
            return None
        return self.messages.pop(0)

    def send(self, reply):
        self.sent.append(from_record(reply.content))


def message(body, action="mask"):
    return request(Payload(body), action, 5, ttl=60.0)


def echo(message, context):
    return reply(from_record(message.content), message)


def run(link, app=echo, **more):
    return serve(link, app, context_of(MINE), stop=link.stop, poll=FAST, **more)


def test_messages_are_answered_in_their_order():
    link = Pair(message({"n": 1}), None, message({"n": 2}))
    assert run(link) == 2
    assert [answer.body for answer in link.sent] == [{"n": 1}, {"n": 2}]


def test_the_app_is_told_its_own_institution_and_nothing_of_the_run():
    seen: list[Context] = []

    def look(message, context):
        seen.append(context)
        context.node_config["institution"] = "/other.toml"
        context.state["kept"] = message.content["body"]
        return reply(Payload(), message)

    run(Pair(message({}), message({})), look)
    for context in seen:
        assert dict(context.run_config) == {}
    # What an app does to its context does not reach the next message.
    again: list[str] = []
    run(Pair(message({})), lambda m, c: again.append(c.node_config["institution"]) or reply(Payload(), m))
    assert again == [str(MINE)]
    assert list(seen[1].state) == ["kept"] and seen[0] is not seen[1]


def test_a_stopped_node_finishes_what_is_in_hand_and_takes_nothing_more():
    link = Pair(message({"n": 1}), message({"n": 2}))

    def stop_within(message, context):
        link.stop.set()
        return echo(message, context)

    assert run(link, stop_within) == 1
    assert [answer.body for answer in link.sent] == [{"n": 1}]
    assert len(link.messages) == 1


def test_a_node_that_is_stopped_before_it_began_asks_for_nothing():
    link = Pair(message({}))
    link.stop.set()
    assert run(link) == 0
    assert link.asked == 0


def test_once_ends_when_nothing_waits():
    link = Pair(message({"n": 1}), message({"n": 2}), None, message({"n": 3}))
    assert run(link, once=True) == 2
    assert len(link.messages) == 1


def test_an_error_of_the_app_is_a_code_without_its_text(caplog):
    def broken(message, context):
        raise ValueError("enterprise 4711")

    link = Pair(message({}), message({}))
    codes = []
    assert run(link, broken, served=lambda about: codes.append(about.code)) == 2
    assert [answer.body["refused"] for answer in link.sent] == ["internal", "internal"]
    assert codes == ["internal", "internal"]
    assert "4711" not in caplog.text


def test_what_was_served_is_told_with_sizes_and_codes():
    told = []
    link = Pair(message({"n": 1}, "mask"), message({}, "release"))
    run(
        link,
        lambda m, c: reply(
            refused("budget") if "release" in m.metadata.message_type else Payload({}, {"x": b"1" * 100}), m
        ),
        served=told.append,
    )
    assert [(t.action, t.code) for t in told] == [("mask", None), ("release", "budget")]
    assert told[0].bytes_out > 100 > told[0].bytes_in > 0


def test_what_the_link_raises_ends_the_loop():
    class Lost(Pair):
        def receive(self):
            raise LaterError("a clock is wrong")

    with pytest.raises(LaterError, match="clock"):
        run(Lost())


def test_no_message_is_kept_after_it_was_answered():
    import gc
    import weakref

    first = message({"n": 1})
    ghost, alive = weakref.ref(first), []
    link = Pair(first, None)
    del first

    class Watched(Pair):
        def receive(self):
            alive.append(ghost() is not None)
            return super().receive()

    watched = Watched(*link.messages)
    link.messages.clear()
    run(watched)
    gc.collect()
    assert alive == [True, False, False]


def test_pauses_are_short_while_there_is_work_and_spread():
    poll = Poll()
    short, long = ([poll.pause(t) for _ in range(100)] for t in (0.0, 1e6))
    assert all(0.08 <= p <= 0.12 for p in short) and all(0.8 <= p <= 1.2 for p in long)
    assert len(set(long)) > 1


def test_a_size_counts_arrays_and_bodies():
    large = request(Payload({"a": 1}, {"x": bytes(1 << 20)}), "mask", 5, ttl=60.0)
    assert 1 << 20 < resident.size_of(large) < (1 << 20) + 100
    assert isinstance(large, Message)


def test_an_answer_leaves_at_the_end_of_its_step(monkeypatch):
    """Work of 1.2 and of 1.4 seconds: both answers leave after 1.5."""
    clock = [100.0]

    def sleep(seconds):
        clock[0] += seconds

    class Watching(Pair):
        def receive(self):
            self.began = clock[0]
            return super().receive()

        def send(self, reply):
            super().send(reply)
            left.append(clock[0] - self.began)

    left: list[float] = []
    work = iter([1.2, 1.4])
    monkeypatch.setattr(resident.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(resident.time, "sleep", sleep)
    monkeypatch.setattr(resident.AnswerSteps, "drawn", lambda: resident.AnswerSteps(0.0))
    run(Watching(message({}), message({})), lambda m, c: sleep(next(work)) or echo(m, c))
    assert left == pytest.approx([1.5, 1.5])
