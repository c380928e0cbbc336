"""The relay of scores over TLS on loopback: who is let in, how questions come back, and what is refused."""

import logging
import socket
import ssl
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from fedrisk.deploy import pki
from fedrisk.deploy.keys import new_node_key, node_public, private_pem
from fedrisk.files import read_kept, write_atomic
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.server.certificates import certificate_of, hand_out_authority, renew_server, use_next_authority
from fedrisk.server.membership import expel
from fedrisk.server.score_limits import Limits
from fedrisk.serving.link import epoch_now
from fedrisk.serving.relay import Reply
from support.consortium import institution_file
from support.hub_process import wait_for
from support.scoring import (
    Echo,
    Raw,
    Relaying,
    asking,
    attending,
    certify,
    files_of,
    hello,
    question,
    scoring_consortium,
)

pytestmark = pytest.mark.slow

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}
SOON = Limits(return_seconds=0.3, hello_seconds=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A consortium for tests that change nothing of its hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(tmp_path_factory.mktemp("home")))
        yield scoring_consortium(tmp_path_factory.mktemp("made"), ROLES)


@pytest.fixture
def own(tmp_path, fedrisk_home):
    """A consortium for a test that changes its hub."""
    return scoring_consortium(tmp_path, ROLES)


@pytest.fixture
def notes(caplog):
    """(event, peer, code) of what was logged."""
    caplog.set_level(logging.INFO, "fedrisk")

    def found(event):
        return [
            (getattr(r, "peer", None), getattr(r, "code", None))
            for r in caplog.records
            if getattr(r, "event", "") == event
        ]

    return found


def foreign(made, name="bank", *, key=None, authority=None, public=None):
    """TLS with a certificate of somebody else, or with another key than its own."""
    files = files_of(made, name)
    own = key or files.key.read_bytes()
    above = authority or tuple(read_kept(made.home.path / n, "") for n in ("ca.key", "ca.pem"))
    certificate = pki.new_client(*above, name, public or node_public(own))
    return grpc.ssl_channel_credentials(files.ca.read_bytes(), private_pem(own), certificate)


def test_a_question_reaches_its_members_and_comes_back_as_one(made, notes):
    tax, power = Echo(made, "tax"), Echo(made, "power")
    with Relaying(made.home) as relay, attending(made, tax, relay), attending(made, power, relay):
        with asking(made) as bank:
            found = bank.ask("0" * 32, "1" * 16, {"tax": b"for tax", "power": b"for power"}, 5.0)
        assert found == {"tax": Reply("", b"xat rof"), "power": Reply("", b"rewop rof")}
        assert tax.asked == [("bank", "0" * 32, "1" * 16, b"for tax")]
    assert ("bank", "") in notes("question")
    assert {peer for peer, _ in notes("attends")} == {"tax", "power"}


def test_keys_are_relayed_as_they_were_signed(made):
    tax = Echo(made, "tax")
    with Relaying(made.home) as relay, attending(made, tax, relay), asking(made) as bank:
        epoch = epoch_now()
        assert bank.keys(["tax", "power"], epoch) == {"tax": tax.key(epoch)}
        assert bank.keys(["tax"], "1999W01") == {}


def test_members_that_are_away_or_late_have_codes_of_their_own(made):
    tax = Echo(made, "tax")
    tax.seconds = 1.0
    with Relaying(made.home, SOON) as relay, attending(made, tax, relay), asking(made) as bank:
        found = bank.ask("0" * 32, "1" * 16, {"tax": b"x", "power": b"y"}, 0.4)
    assert found == {"tax": Reply("late"), "power": Reply("away")}


# ---- who is let in


def test_nobody_is_let_in_without_a_certificate_of_the_authority(made):
    with Relaying(made.home):
        ca = files_of(made, "bank").ca.read_bytes()
        other = pki.new_authority("pilot")
        for credentials in (
            grpc.ssl_channel_credentials(ca),
            foreign(made, authority=other),
            expired(made),
        ):
            with Raw(made, "bank", credentials) as raw:
                assert raw.code("Ask", question(1, "tax"), 2.0) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        with grpc.insecure_channel(files_of(made, "bank").address) as plain:
            call = plain.unary_unary(f"/{rules.SERVICE}/Keys", None, None)
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=2.0)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def expired(made):
    """TLS with a certificate that held until some days ago."""
    files = files_of(made, "bank")
    above = tuple((made.home.path / n).read_bytes() for n in ("ca.key", "ca.pem"))
    key = files.key.read_bytes()
    old = pki.new_client(
        *above, "bank", node_public(key), days=1, begin=datetime.now(UTC) - timedelta(days=5)
    )
    return grpc.ssl_channel_credentials(files.ca.read_bytes(), private_pem(key), old)


def hands(made, tmp_path, *, lowest=None, highest=None, ciphers=None, host="localhost", certificate=True):
    """A TLS handshake of a member's certificate with the relay, by OpenSSL: version and cipher; SSLError."""
    files = files_of(made, "bank")
    context = ssl.create_default_context(cafile=files.ca)
    context.set_alpn_protocols(["h2"])
    if certificate:
        (tmp_path / "key.pem").write_bytes(private_pem(files.key.read_bytes()))
        context.load_cert_chain(files.certificate, tmp_path / "key.pem")
    with warnings.catch_warnings():
        # What nobody should use is deprecated in Python as well.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = lowest or ssl.TLSVersion.TLSv1_2
        context.maximum_version = highest or ssl.TLSVersion.TLSv1_3
    if ciphers is not None:
        context.set_ciphers(ciphers)
    address, _, port = files.address.rpartition(":")
    with (
        socket.create_connection((address, int(port)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as channel,
    ):
        # With TLS 1.3 a server that misses a certificate says so after the handshake; else it begins with HTTP/2.
        channel.settimeout(5)
        if not channel.recv(1):
            raise ConnectionResetError
        return channel.version(), channel.cipher()[0]


def test_only_tls_of_today_is_spoken(made, tmp_path):
    """TLS 1.2 or 1.3 with authenticated encryption and fresh keys; nothing older, and no weaker cipher (RFC 9325)."""
    old, new = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2
    with Relaying(made.home):
        assert hands(made, tmp_path)[0] == "TLSv1.3"
        version, cipher = hands(made, tmp_path, highest=new)
        assert (
            version == "TLSv1.2" and cipher.startswith("ECDHE-") and ("GCM" in cipher or "CHACHA" in cipher)
        )
        for weak in (
            {"lowest": old, "highest": ssl.TLSVersion.TLSv1_1, "ciphers": "ALL:@SECLEVEL=0"},
            {"highest": new, "ciphers": "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384"},
            {"host": "elsewhere.example"},
            {"certificate": False},
        ):
            with pytest.raises(OSError):
                hands(made, tmp_path, **weak)


def test_a_certificate_for_a_key_that_the_roster_has_not_opens_nothing(made, notes):
    with Relaying(made.home), Raw(made, "bank", foreign(made, key=new_node_key())) as raw:
        for method in ("Ask", "Keys"):
            assert raw.code(method, question(1, "tax")) == "stranger"
        assert raw.stream(b"").end() == "stranger"
    assert notes("refused") == [("stranger", "stranger")] * 3


def test_who_it_is_says_the_key_and_not_the_name_in_the_certificate(made):
    tax = Echo(made, "tax")
    with Relaying(made.home) as relay, attending(made, tax, relay):
        # The bank's key in a certificate that says power.
        files = files_of(made, "bank")
        with Raw(made, "bank", foreign(made, "power", key=files.key.read_bytes())) as raw:
            raw.call("Ask", question(2, "tax"))
    assert tax.asked[0][0] == "bank"


def test_an_expelled_member_is_out_within_seconds(own, notes):
    tax = Echo(own, "tax")
    with Relaying(own.home, SOON) as relay, Raw(own, "tax") as raw:
        stream = raw.stream(hello(tax))
        assert stream.next().WhichOneof("content") == "welcome"
        expel(own.home, "tax", own.unregister, reason="left")
        assert stream.end() == "stranger"
        assert raw.code("Ask", question(1, "power")) == "stranger"
        assert raw.stream(hello(tax)).end() == "stranger"
        with asking(own) as bank:
            assert bank.ask("0" * 32, "0" * 16, {"tax": b"x"}, 3.0) == {"tax": Reply("away")}
            assert bank.keys(["tax"], epoch_now()) == {}
        assert relay.relay.connected == frozenset()
    assert ("tax", None) in notes("left")


def test_a_member_that_joins_is_let_in_without_a_restart(own):
    with Relaying(own.home) as relay:
        own.join(
            "water", "holder", institution_file(own.home.path.parent / "institutions", "water", "holder")
        )
        home = own.nodes["water"]
        assert home.scoring == own.home.scoring, "from the kit"
        certify(own, "water")
        with attending(own, Echo(own, "water"), relay):
            pass


def test_the_next_authority_is_taken_up_and_old_certificates_hold_meanwhile(own):
    tax = Echo(own, "tax")
    with Relaying(own.home) as relay, asking(own) as bank, attending(own, tax, relay):
        hand_out_authority(own.home)
        own.accept()
        use_next_authority(own.home, at_once=True)
        with Raw(own, "power") as old:
            assert old.code("Keys", pb.KeysWanted(protocol=1, epoch=epoch_now()).SerializeToString()) == ""
        own.accept()
        certify(own, "bank")
        certify(own, "tax")
        wait_for(lambda: bank.ask("0" * 32, "0" * 16, {"tax": b"x"}, 5.0)["tax"].code == "", 10)


# ---- streams


def test_a_newer_stream_takes_the_place_of_an_older_one(made):
    tax = Echo(made, "tax")
    with Relaying(made.home) as relay, Raw(made, "tax") as one, Raw(made, "tax") as two:
        first = one.stream(hello(tax))
        first.next()
        second = two.stream(hello(tax))
        second.next()
        assert first.end() == "replaced"
        with Raw(made, "bank") as bank:
            asked = threading.Thread(target=lambda: bank.code("Ask", question(3, "tax")))
            asked.start()
            part = second.next().part
            assert (part.id, part.asker) == (f"{3:032x}", "bank")
            second.send(answer(part, "tax", b"ok"))
            asked.join(5)
        assert relay.relay.connected == {"tax"}
        second.close()


def answer(part, of, envelope=b"", **changed):
    """A member's message that answers a part."""
    fields = {"id": part.id, "asker": part.asker, "member": of, "envelope": envelope, **changed}
    return pb.FromNode(answer=pb.Answer(**fields)).SerializeToString()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"protocol": 9}, "version"),
        ({"epoch": "1999W01"}, "keys"),
        ({"institution": "power"}, "envelope"),
        ({"signature": b"\0" * 64}, "envelope"),
        ({"public": b"\0" * 31}, "envelope"),
    ],
)
def test_a_hello_that_is_not_signed_by_its_member_is_refused(made, notes, changed, word):
    with Relaying(made.home) as relay, Raw(made, "tax") as raw:
        assert raw.stream(hello(Echo(made, "tax"), **changed)).end() == word
        assert relay.relay.connected == frozenset()
    assert notes("refused") == [("tax", word)]


def test_a_stream_that_is_silent_or_begins_with_something_else_is_ended(made):
    with Relaying(made.home, SOON), Raw(made, "tax") as raw:
        assert raw.stream().end() == "form"
        assert raw.stream(answer(pb.Part(), "tax", b"x")).end() == "form"
        assert raw.stream(b"\xff\xff").end() == "form"


def test_a_member_that_is_lost_with_a_part_in_hand_gets_it_again_when_it_is_back(made):
    tax = Echo(made, "tax")
    with Relaying(made.home) as relay, Raw(made, "bank") as bank, Raw(made, "tax") as raw:
        stream = raw.stream(hello(tax))
        stream.next()
        answers = []
        asked = threading.Thread(target=lambda: answers.append(bank.call("Ask", question(4, "tax"), 10)))
        asked.start()
        assert stream.next().part.id == f"{4:032x}"
        stream.close()
        wait_for(lambda: not relay.relay.connected, 5)
        with attending(made, tax, relay):
            asked.join(10)
        (found,) = pb.Answers.FromString(answers[0]).answers
        assert (found.code, found.envelope) == ("", b"delaes")


def test_a_member_that_takes_nothing_keeps_nobody_else_waiting(made):
    """It attends, and reads no message: its own askers are late, others are answered at once."""
    limits = Limits(return_seconds=0.3, parts=2)
    big = b"x" * (1 << 20)
    with Relaying(made.home, limits) as relay, Raw(made, "tax") as slow, Raw(made, "bank") as bank:
        stream = slow.stream(hello(Echo(made, "tax")))
        stream.next()
        waiting = [
            threading.Thread(target=bank.code, args=("Ask", question(k, "tax", content=big, seconds=1.5), 10))
            for k in range(8)
        ]
        for one in waiting:
            one.start()
        with attending(made, Echo(made, "power"), relay):
            began = time.monotonic()
            assert bank.code("Ask", question(99, "power")) == ""
            assert time.monotonic() - began < 1.4
        for one in waiting:
            one.join(10)
        stream.close()


# ---- what is too much, and what is malformed


def test_a_flood_is_refused_and_the_next_member_served(made, notes):
    with Relaying(made.home, Limits(questions=20, return_seconds=0.1)) as relay, Raw(made, "power") as raw:
        codes = [raw.code("Keys", b"") for _ in range(60)]
        assert "many" in codes
        tax = Echo(made, "tax")
        with attending(made, tax, relay), asking(made) as bank:
            assert bank.ask("0" * 32, "0" * 16, {"tax": b"x"}, 5.0)["tax"].code == ""
    assert ("power", "many") in notes("refused")


def test_more_questions_at_a_time_than_a_member_may_have_are_refused(made):
    tax = Echo(made, "tax")
    tax.seconds = 1.0
    with Relaying(made.home, Limits(open_questions=2)) as relay, attending(made, tax, relay):
        with Raw(made, "bank") as bank:
            codes = []
            threads = [
                threading.Thread(target=lambda k=k: codes.append(bank.code("Ask", question(k, "tax"), 10)))
                for k in range(4)
            ]
            for one in threads:
                one.start()
            for one in threads:
                one.join(10)
        assert sorted(codes) == ["", "", "many", "many"]


def test_answers_that_nobody_asked_for_are_noted_and_end_the_stream_when_they_are_many(made, notes):
    with Relaying(made.home, Limits(strays=3)), Raw(made, "tax") as raw:
        stream = raw.stream(hello(Echo(made, "tax")))
        stream.next()
        for k in range(6):
            stream.send(answer(pb.Part(id=f"{k:032x}", asker="bank"), "tax", b"x"))
        assert stream.end() == "many"
    assert notes("refused").count(("tax", "stray")) >= 3


@pytest.mark.parametrize(
    "changed",
    [
        {"member": "power"},
        {"code": "late"},
        {"envelope": b""},
        {"code": "L" * 30, "envelope": b""},
        {"envelope": b"x" * (rules.MOST_ENVELOPE + 1)},
    ],
    ids=["another", "both", "neither", "code", "large"],
)
def test_an_answer_that_is_malformed_ends_its_stream_and_nothing_else(made, changed):
    with Relaying(made.home, SOON), Raw(made, "tax") as raw, Raw(made, "bank") as bank:
        stream = raw.stream(hello(Echo(made, "tax")))
        stream.next()
        codes = []
        asked = threading.Thread(
            target=lambda: codes.append(
                pb.Answers.FromString(bank.call("Ask", question(5, "tax", seconds=2.0)))
            )
        )
        asked.start()
        part = stream.next().part
        stream.send(answer(part, "tax", **{"envelope": b"x", **changed}))
        assert stream.end() == "form"
        asked.join(10)
        assert [one.code for one in codes[0].answers] == ["away"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\xff", "form"),
        (question("0" * 31, "tax"), "form"),
        (question(1), "form"),
        (question(1, "tax", "tax"), "form"),
        (question(1, "bank"), "form"),
        (question(1, "../tax"), "form"),
        (question(1, "tax", content=b""), "form"),
        (question(1, "tax", model="x"), "form"),
        (question(1, "tax", seconds=float("nan")), "form"),
        (question(1, "tax", seconds=-1.0), "form"),
        (question(1, "tax", protocol=7), "version"),
        (question(1, *(f"m{k}" for k in range(101))), "form"),
        (question(1, "tax", content=b"x" * (rules.MOST_ENVELOPE + 1)), "form"),
    ],
)
def test_a_question_that_is_malformed_is_refused_and_noted(made, notes, content, word):
    with Relaying(made.home), Raw(made, "bank") as raw:
        assert raw.code("Ask", content) == word
    assert notes("refused") == [("bank", word)]


def test_a_message_that_is_too_large_is_not_taken(made):
    with Relaying(made.home), Raw(made, "bank") as raw:
        parts = [pb.Sealed(member=f"m{k}", envelope=b"x" * rules.MOST_ENVELOPE) for k in range(6)]
        large = pb.Question(protocol=1, id="0" * 32, model="0" * 16, seconds=1.0, parts=parts)
        assert raw.code("Ask", large.SerializeToString()) in ("RESOURCE_EXHAUSTED", "many")
        assert raw.code("Keys", b"") == "version"


def test_unknown_methods_are_refused(made):
    with Relaying(made.home), Raw(made, "bank") as raw:
        assert raw.code("Roster", b"") == "UNIMPLEMENTED"


def test_a_renewed_certificate_of_the_server_is_taken_up(own):
    with Relaying(own.home), Raw(own, "bank") as before:
        assert before.code("Keys", b"") == "version"
        renew_server(own.home)
        with Raw(own, "tax") as after:
            assert after.code("Keys", b"") == "version"
        write_atomic(own.home.path / "server.pem", b"damaged")
        with Raw(own, "power") as still:
            assert still.code("Keys", b"") == "version", "what was read before is kept"


def test_certificates_of_members_say_their_names(made):
    pem = certificate_of(made.home, "tax", made.roster.member("tax").flower).encode()
    until = pki.check_client(
        pem, (made.home.path / "ca.pem").read_bytes(), "tax", made.roster.member("tax").flower
    )
    assert 89 < pki.days_left(pem) <= 90
    assert until.tzinfo is not None
