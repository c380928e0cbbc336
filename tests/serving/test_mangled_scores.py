"""Mangled, replayed, reordered and misaddressed messages to the relay and to nodes: refused, or answered as before.

A fixed seed makes the messages from honest ones. Whatever comes, each call ends with a word or with the bytes that the
same question got before; all of it is noted, no thread dies, and the next honest question has its right sums.
"""

import contextlib
import logging
import random
import sqlite3
import threading
from collections import Counter

import grpc
import pytest

from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.serving.asking import Asking
from fedrisk.serving.codes import WHOLE
from fedrisk.serving.link import epoch_now
from fedrisk.serving.relay import Reply
from support.deployed_scores import deployed
from support.hub_process import wait_for
from support.mangled_scores import mangled, questions, to_nodes
from support.scoring import WORDS, Echo, Lying, Raw, RawStream, Relaying, attending, hello
from support.serving import IDS, MODEL

HOLDERS = ("power", "tax")
SUMS = [0, 110, 220, 330]
"""Points of the first enterprises at both holders together."""


class Kept:
    """A relay that keeps what a bank would send, and sends nothing."""

    def __init__(self, keys):
        self.keys, self.sent = keys, []

    def ask(self, id, model, envelopes, seconds):
        self.sent.append((id, dict(envelopes)))
        return {name: Reply("internal") for name in envelopes}


@pytest.fixture
def consortium(tmp_path, fedrisk_home, caplog):
    caplog.set_level(logging.INFO, "fedrisk")
    return deployed(tmp_path, holders=HOLDERS)


def honest(made, keys, number):
    """(id, envelopes) of so many questions that nobody has answered yet."""
    kept = Kept(keys)
    bank = Asking(made.nodes["bank"], kept)
    for k in range(number):
        bank.ask(made.part(), IDS[k % 3 : k % 3 + 1], purpose="credit_scoring")
    return kept.sent


def check_honest(made, asking):
    sums = asking.ask(made.part(), IDS[:4], purpose="credit_scoring")
    assert sums.failed == {}
    assert sums.columns["points"].tolist() == SUMS


def counted(made, name):
    """How many questions an institution's book has, and how many enterprises it counted."""
    with contextlib.closing(sqlite3.connect(made.store(name) / "serving" / "book.sqlite")) as book:
        return book.execute("select count(*) from question").fetchone()[0]


def events(caplog):
    return Counter(getattr(r, "event", "") for r in caplog.records)


def refusals(caplog):
    """Codes of the messages that were refused."""
    return [r.code for r in caplog.records if getattr(r, "event", "") == "refused"]


def to_relay(made, caplog, number):
    rng = random.Random(20261126)
    with made.served() as asking, Raw(made.hub, "bank") as bank:
        check_honest(made, asking)
        sent = honest(made, asking.relay.keys, 6)
        raws = [
            pb.Question(
                protocol=1,
                id=id,
                model=MODEL,
                seconds=5.0,
                parts=[pb.Sealed(member=name, envelope=sealed) for name, sealed in envelopes.items()],
            ).SerializeToString()
            for id, envelopes in sent
        ]
        genuine = {(id, name): sealed for id, envelopes in sent for name, sealed in envelopes.items()}
        first, ended = {}, Counter()
        caplog.clear()
        for way, raw in questions(raws, rng, number):
            word, answers = outcome(bank, raw)
            ended[way, word or "answered"] += 1
            asked = {p.member: p.envelope for p in pb.Question.FromString(raw).parts} if answers else {}
            for one in answers:
                assert bool(one.code) != bool(one.envelope), (way, one.code)
                assert one.code in ("", *WHOLE)
                if one.envelope:
                    assert genuine.get((one.id, one.member)) == asked[one.member], way
                    assert first.setdefault((one.id, one.member), one.envelope) == one.envelope, way
        assert events(caplog)["refused"] + events(caplog)["question"] >= number
        assert {word for _, word in ended} <= {"answered", *WORDS}
        assert {way for way, _ in ended} >= {"message", "envelope", "replayed", "swapped"}
        assert all(counted(made, name) <= len(sent) + 1 for name in HOLDERS)
        check_honest(made, asking)
    return ended


def outcome(bank, raw):
    try:
        return "", pb.Answers.FromString(bank.call("Ask", raw, 20)).answers
    except grpc.RpcError as error:
        return error.details(), ()


def to_node(made, caplog, number):
    """A hub that lies sends a holder whatever it likes."""
    rng = random.Random(20261127)
    with Relaying(made.hub.home) as relay, made.served(relay) as asking:
        check_honest(made, asking)
        sent = honest(made, asking.relay.keys, 6)
        keys = {name: handler.key(epoch_now()) for name, handler in made.handlers.items()}
    tax = made.handlers["tax"]
    said = pb.SignedKeys(
        keys=[
            pb.SignedKey(institution=n, epoch=k.attempt, public=k.public, signature=k.signature)
            for n, k in keys.items()
        ]
    ).SerializeToString()
    raws = [
        pb.ToNode(
            part=pb.Part(id=id, asker="bank", model=MODEL, seconds=30.0, envelope=envelopes["tax"])
        ).SerializeToString()
        for id, envelopes in sent
    ]
    messages = list(to_nodes(raws, rng, number))
    caplog.clear()
    parts = [raw for _, raw in messages]
    with Lying(made.hub, answer=lambda *_: said, parts=parts) as lying, attending(made.hub, tax):
        wait_for(lambda: events(caplog)["refused"] + events(caplog)["question"] >= number, 60)
        wait_for(lambda: len(lying.answers) >= events(caplog)["question"], 10)
        answers = list(lying.answers)
    genuine = {id for id, _ in sent}
    first = {}
    for one in answers:
        assert bool(one.code) != bool(one.envelope)
        assert one.code in ("", *WHOLE)
        if one.envelope:
            assert one.id in genuine and one.asker == "bank"
            assert first.setdefault(one.id, one.envelope) == one.envelope
    assert counted(made, "tax") <= len(sent) + 1
    with made.served() as asking:
        check_honest(made, asking)
    return Counter((one.code or "answered") for one in answers)


def on_a_stream(made, caplog, number):
    """A member whose answers are mangled, come twice, in another order, or for others: nothing false is handed on."""
    rng = random.Random(20261128)
    echo = Echo(made.hub, "tax")
    refused = 0
    with Relaying(made.hub.home) as relay, Raw(made.hub, "bank") as bank, Raw(made.hub, "tax") as raw:
        stream, k = RawStream(raw._channel, [hello(echo)]), 0
        stream.next()
        while k < number:
            id, k = f"{k:032x}", k + 1
            found = []
            asked = threading.Thread(target=lambda i=id, f=found: f.append(outcome(bank, one_question(i))))
            asked.start()
            part = stream.next().part
            while part.id != id:
                part = stream.next().part
            right = pb.FromNode(
                answer=pb.Answer(id=id, asker="bank", member="tax", envelope=b"right")
            ).SerializeToString()
            replayed = pb.FromNode(
                answer=pb.Answer(id="f" * 32, asker="power", member="tax", envelope=b"wrong")
            ).SerializeToString()
            caplog.clear()
            stream.send(rng.choice((mangled(right, rng), replayed, pb.FromNode().SerializeToString())))
            # It is refused, or it is an answer still: what a member says in it is its own.
            wait_for(lambda f=found: f or refusals(caplog), 20)
            if "form" in refusals(caplog):
                refused += 1
                wait_for(lambda: "tax" not in relay.relay.connected, 20)
                stream.close()
                stream = RawStream(raw._channel, [hello(echo)])
                stream.next()
                part = stream.next().part
            stream.send(right)
            asked.join(20)
            (answer,) = found[0][1]
            assert answer.code == "" and (answer.id, answer.member) == (id, "tax")
        assert relay.relay.connected == {"tax"}
        stream.close()
    assert refused
    return refused


def one_question(id):
    parts = [pb.Sealed(member="tax", envelope=b"sealed")]
    return pb.Question(protocol=1, id=id, model=MODEL, seconds=10.0, parts=parts).SerializeToString()


@pytest.mark.slow
def test_a_sample_to_the_relay(consortium, caplog):
    to_relay(consortium, caplog, 60)


@pytest.mark.slow
def test_a_sample_to_a_node(consortium, caplog):
    to_node(consortium, caplog, 60)


@pytest.mark.slow
def test_a_sample_on_a_members_stream(consortium, caplog):
    on_a_stream(consortium, caplog, 12)


@pytest.mark.mangle
def test_messages_to_the_relay(consortium, caplog):
    print(sorted(to_relay(consortium, caplog, 500).items()))


@pytest.mark.mangle
def test_messages_to_a_node(consortium, caplog):
    print(sorted(to_node(consortium, caplog, 500).items()))


@pytest.mark.mangle
def test_messages_on_a_members_stream(consortium, caplog):
    print(on_a_stream(consortium, caplog, 50))
