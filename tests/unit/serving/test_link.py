"""A node's stream and a bank's connection: what they do when hub, epoch, certificate or answer are not as before."""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fedrisk.deploy import pki
from fedrisk.deploy.keys import node_public
from fedrisk.deploy.node_home import NodeHome
from fedrisk.errors import ConfigError, EnvelopeError, LaterError, ProtocolError
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.server.membership import expel
from fedrisk.serving.channel import Files
from fedrisk.serving.hub_relay import HubRelay
from fedrisk.serving.link import Attending, epoch_now
from fedrisk.serving.relay import Reply
from sim_institutions.wire import Wire
from support.hub_process import wait_for
from support.scoring import Echo, Lying, Relaying, asking, attending, certify, files_of, scoring_consortium

pytestmark = pytest.mark.slow

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A consortium for tests that change nothing of its hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(tmp_path_factory.mktemp("home")))
        yield scoring_consortium(tmp_path_factory.mktemp("made"), ROLES)


def ask(bank, number=0, seconds=10.0, member="tax"):
    return bank.ask(f"{number:032x}", "0" * 16, {member: b"sealed"}, seconds)[member]


def test_service_is_there_again_after_the_hub_was_restarted(made):
    tax, said = Echo(made, "tax"), []
    with (
        attending(made, tax, news=lambda connected, why: said.append((connected, why))),
        asking(made) as bank,
    ):
        for number in range(3):
            with Relaying(made.home):
                assert ask(bank, number) == Reply("", b"delaes")
            wait_for(lambda: said[-1][0] is False, 5)
    assert [connected for connected, _ in said].count(True) == 3
    assert "does not answer" in said[-1][1]


def test_a_question_in_hand_when_the_hub_is_restarted_is_asked_again(made):
    tax, found = Echo(made, "tax"), []
    tax.seconds = 0.5
    with attending(made, tax), asking(made) as bank:
        with Relaying(made.home) as relay:
            wait_for(lambda: "tax" in relay.relay.connected, 10)
            asked = threading.Thread(target=lambda: found.append(ask(bank, 7, 15.0)))
            asked.start()
            wait_for(lambda: tax.asked, 5)
        with Relaying(made.home):
            asked.join(15)
    assert found == [Reply("", b"delaes")]
    assert {id for _, id, _, _ in tax.asked} == {f"{7:032x}"}


def test_a_relay_that_is_not_there_is_said_so_in_time(made):
    with asking(made) as bank:
        with pytest.raises(LaterError, match="does not answer"):
            ask(bank, seconds=0.5)
        with pytest.raises(LaterError, match="does not answer"):
            HubRelay(files_of(made, "power"))._call("Keys", b"", 0.3)


def test_a_new_epoch_is_said_on_the_open_stream(made):
    tax, now = Echo(made, "tax"), [epoch_now()]
    later = rules.epoch_of(datetime.now(UTC) + timedelta(days=1))
    earlier = rules.epoch_of(datetime.now(UTC) - timedelta(days=1))
    other = later if later != now[0] else earlier
    with (
        Relaying(made.home) as relay,
        attending(made, tax, relay, epoch=lambda: now[0]),
        asking(made) as bank,
    ):
        before = relay.relay._streams["tax"]
        assert bank.keys(["tax"], now[0])["tax"].attempt == now[0]
        if other != now[0]:
            now[0] = other
            wait_for(lambda: bank.keys(["tax"], other), 5)
            assert bank.keys(["tax"], epoch_now()), "the one before is kept beside it"
        assert relay.relay._streams["tax"] is before


def test_a_renewed_certificate_is_taken_up_by_stream_and_questions(made):
    tax = Echo(made, "tax")
    with Relaying(made.home) as relay, attending(made, tax, relay), asking(made) as bank:
        before = relay.relay._streams["tax"].certificate
        assert ask(bank, 1).code == ""
        certify(made, "tax")
        wait_for(lambda: relay.relay.connected and relay.relay._streams["tax"].certificate != before, 10)
        certify(made, "bank")
        bank._looked = 0.0
        assert ask(bank, 2).code == ""
        assert bank._read == files_of(made, "bank").read()
        files_of(made, "bank").certificate.write_bytes(b"half")
        bank._looked = 0.0
        assert ask(bank, 3).code == "", "the connection that stands is kept"
        certify(made, "bank")


@pytest.mark.long
def test_a_wire_that_is_frozen_is_noticed_by_both_ends_and_comes_back(made):
    """No byte arrives and no connection is closed: what nobody answers is given up after some ten seconds."""
    said = []
    with Relaying(made.home) as relay, Wire(int(made.home.scoring_listen.rpartition(":")[2])) as wire:
        files = replace(files_of(made, "tax"), address=f"127.0.0.1:{wire.port}")
        node = Attending(
            files, Echo(made, "tax"), stop=(stop := threading.Event()), news=lambda c, why: said.append(c)
        )
        thread = threading.Thread(target=node.run)
        thread.start()
        try:
            wait_for(lambda: "tax" in relay.relay.connected, 10)
            wire.freeze()
            wait_for(lambda: "tax" not in relay.relay.connected and said[-1] is False, 30)
            wire.mend()
            wait_for(lambda: "tax" in relay.relay.connected and said[-1] is True, 30)
        finally:
            stop.set()
            thread.join(10)


def test_without_a_certificate_of_its_own_nothing_is_opened(made):
    files = files_of(made, "power")
    kept = files.certificate.read_bytes()
    try:
        certify(made, "power", key_of="tax")
        with pytest.raises(LaterError, match="has no certificate for scores"):
            files.credentials()
        files.certificate.unlink()
        said = []
        stop = threading.Event()
        node = Attending(
            files, Echo(made, "power"), stop=stop, news=lambda c, why: (said.append(why), stop.set())
        )
        node.run()
        assert "has no certificate for scores" in said[0]
    finally:
        files.certificate.write_bytes(kept)


def test_a_server_of_another_authority_is_not_spoken_to(made, tmp_path):
    other = pki.new_authority("pilot")
    server = pki.new_server(other[0], other[1], made.home.address)
    with Lying(made, server=server, answer=lambda method, raw: b"") as lying, asking(made) as bank:
        with pytest.raises(LaterError):
            ask(bank, seconds=1.0)
        assert lying.called == []


def test_who_was_expelled_is_told_so(tmp_path, fedrisk_home):
    own, said = scoring_consortium(tmp_path, ROLES), []
    expel(own.home, "tax", own.unregister, reason="left")
    with Relaying(own.home), attending(own, Echo(own, "tax"), news=lambda c, why: said.append(why)):
        wait_for(lambda: said, 10)
        assert "was expelled" in said[0]
        with asking(own, "tax") as bank, pytest.raises(EnvelopeError, match="was expelled"):
            bank.keys(["bank"], epoch_now())


def test_a_holder_that_fails_answers_with_a_word_and_stays(made, caplog):
    class Failing(Echo):
        def answer(self, asker, id, model, envelope):
            raise ValueError("row 91440300 of somebody")

    caplog.set_level(logging.INFO, "fedrisk")
    tax = Failing(made, "tax")
    with Relaying(made.home) as relay, attending(made, tax, relay), asking(made) as bank:
        assert [ask(bank, k).code for k in range(2)] == ["internal", "internal"]
    assert "91440300" not in caplog.text


def test_a_part_that_waited_too_long_is_not_answered(made):
    tax = Echo(made, "tax")
    tax.seconds = 0.6
    with Relaying(made.home) as relay, attending(made, tax, relay), asking(made) as bank:
        threads = [threading.Thread(target=ask, args=(bank, k, 0.4)) for k in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(10)
        tax.seconds = 0.0
        assert ask(bank, 99).code == ""
        assert len(tax.asked) < 9, "four threads, and the rest was left"


def test_a_node_without_the_address_of_a_relay_is_told_what_to_set(tmp_path):
    home = NodeHome.create(tmp_path / "node", {"hub": "h:1", "institution": "i.toml"})
    with pytest.raises(ConfigError, match=r"set scoring = \"HOST:PORT\" in its node.toml"):
        Files.of(home, "tax")


# ---- a relay that lies


@pytest.mark.parametrize(
    "answers",
    [
        b"\xff\xff",
        pb.Answers(id="1" * 32),
        pb.Answers(id="0" * 32),
        pb.Answers(id="0" * 32, answers=[pb.Answer(member="power", code="away")]),
        pb.Answers(id="0" * 32, answers=[pb.Answer(member="tax", code="away")] * 2),
        pb.Answers(id="0" * 32, answers=[pb.Answer(member="tax", code="pay")]),
        pb.Answers(id="0" * 32, answers=[pb.Answer(member="tax")]),
        pb.Answers(id="0" * 32, answers=[pb.Answer(member="tax", code="away", envelope=b"x")]),
    ],
    ids=["bytes", "other id", "none", "other member", "twice", "no code", "neither", "both"],
)
def test_what_does_not_answer_the_question_is_not_used(made, answers):
    raw = answers if isinstance(answers, bytes) else answers.SerializeToString()
    with Lying(made, answer=lambda method, _: raw), asking(made) as bank, pytest.raises(ProtocolError):
        ask(bank)


def test_keys_that_were_not_asked_for_are_left_out(made):
    def key(name, epoch="2026W48", public=b"p" * 32):
        return pb.SignedKey(institution=name, epoch=epoch, public=public, signature=b"s" * 64)

    answer = pb.SignedKeys(keys=[key("power"), key("tax", "2026W47"), key("bank", public=b"p")])
    with Lying(made, answer=lambda *_: answer.SerializeToString()), asking(made) as bank:
        assert set(bank.keys(["tax", "power", "bank"], "2026W48")) == {"power"}
        with pytest.raises(ProtocolError):
            bank.keys(["tax"], "2026W48")


def test_parts_that_are_malformed_are_noted_and_the_next_is_answered(made, caplog):
    """A relay that sends rubbish on the stream: the node stays, and answers what can be answered."""
    caplog.set_level(logging.WARNING, "fedrisk")
    fine = pb.Part(id="0" * 32, asker="bank", model="0" * 16, seconds=5.0, envelope=b"sealed")
    bad = []
    for changed in (
        {"id": "x"},
        {"asker": "../bank"},
        {"model": ""},
        {"seconds": float("inf")},
        {"envelope": b""},
    ):
        part = pb.Part()
        part.CopyFrom(fine)
        for field, value in changed.items():
            setattr(part, field, value)
        bad.append(pb.ToNode(part=part).SerializeToString())
    sent = [b"\xff\xff", pb.ToNode().SerializeToString(), *bad, pb.ToNode(part=fine).SerializeToString()]
    tax = Echo(made, "tax")
    with Lying(made, parts=sent) as lying, attending(made, tax):
        wait_for(lambda: any(a.envelope for a in lying.answers), 10)
    assert [id for _, id, _, _ in tax.asked] == ["0" * 32]
    assert {a.code for a in lying.answers if not a.envelope} == {"form"}
    refused = [r for r in caplog.records if getattr(r, "event", "") == "refused"]
    assert len(refused) == len(sent) - 1


def test_the_public_key_is_that_of_the_roster(made):
    assert node_public(files_of(made, "tax").key.read_bytes()) == made.roster.member("tax").flower
