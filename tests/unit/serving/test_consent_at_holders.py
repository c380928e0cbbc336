"""Consents through real holders: each asks what its policy says, uses are counted for good, and trails tell no id."""

import time
import tomllib
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from fedrisk.clients.node import Node
from fedrisk.serving.asking import Asking
from fedrisk.serving.consent_token import Token, token_digest
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import Asked
from fedrisk.serving.relay import Reply
from sim_institutions.consent_register import ConsentRegister
from support.serving import HOLDERS, IDS, MODEL, Clock, Consortium, part_of

ASKED = ("bank", "credit_scoring")


@pytest.fixture
def register(tmp_path):
    made = ConsentRegister(tmp_path / "register")
    made.give(IDS, *ASKED, datetime.now(UTC).date() + timedelta(days=90))
    return made


@pytest.fixture
def consortium(tmp_path, register):
    """The court asks for tokens, the power utility notes references, the tax office asks for nothing."""
    (pinned,) = tomllib.loads(register.to_pin)["policy"]["serving"]["registers"]
    made = Consortium(tmp_path / "c", values=dict.fromkeys(HOLDERS, (0.0, 1.0, 2.0)))
    rules = f'[{{ name = "{pinned["name"]}", key = "{pinned["key"]}" }}]'
    made.write("court", (0.0, 1.0, 2.0), consent='"token"', registers=rules)
    made.write("power", (0.0, 1.0, 2.0), consent='"reference"')
    return made


@pytest.fixture
def ask(consortium):
    """Asks anew with each call, through holders that were started anew."""

    def call(ids, consents, kept=None):
        questions = []
        relay = LocalRelay(consortium.paths)
        try:
            asking = Asking(Node.open(consortium.paths["bank"]), relay)
            sums = asking.ask(
                consortium.part(),
                ids,
                purpose="credit_scoring",
                consents=consents,
                kept=kept,
                keep=questions.append,
            )
        finally:
            relay.close()
        return sums, (questions or [kept])[0]

    return call


def test_each_holder_asks_for_what_its_policy_says(ask, register):
    tokens = register.tokens(IDS[:2], *ASKED)
    sums, _ = ask(IDS[:4], [tokens[0], "contract 7", "", tokens[1]])
    assert sums.failed == {}
    assert sums.refused == {
        1: {"court": "consent_form"},
        2: {"court": "consent_missing", "power": "consent_missing"},
        3: {"court": "consent_enterprise"},
    }
    assert sums.columns["points"][0] == 0


def test_a_token_is_used_once_also_after_a_restart(ask, register):
    (token,) = register.tokens(IDS[1:2], *ASKED)
    sums, question = ask(IDS[1:2], [token])
    assert (sums.refused, sums.columns["points"].tolist()) == ({}, [111])
    again, _ = ask(IDS[1:2], [token])
    assert again.refused == {0: {"court": "consent_used"}}
    resent, _ = ask(IDS[1:2], [token], kept=question)
    assert (resent.refused, resent.columns["points"].tolist()) == ({}, [111])


class Unsteady:
    """The relay of one machine, at which the tax office is away."""

    def __init__(self, relay):
        self.relay, self.away, self.keys = relay, False, relay.keys

    def ask(self, id, model, envelopes, seconds):
        there = {n: e for n, e in envelopes.items() if not (self.away and n == "tax")}
        return {n: Reply("away") for n in envelopes} | self.relay.ask(id, model, there, seconds)


@pytest.fixture
def unsteady(consortium):
    clock = Clock(time.time())
    relay = LocalRelay(consortium.paths, clock=clock)
    wire = Unsteady(relay)
    yield wire, Asking(Node.open(consortium.paths["bank"]), wire, clock=clock), clock
    relay.close()


def test_a_member_that_made_a_new_key_costs_no_consent(unsteady, consortium, register):
    """The court answers and uses the token, the tax office has another key: the second question is in its place."""
    wire, asking, _ = unsteady
    (first, second) = register.tokens(IDS[:2], *ASKED)
    part, how = consortium.part(), {"purpose": "credit_scoring"}
    assert asking.ask(part, IDS[:1], consents=[first], **how).columns["points"].tolist() == [0]
    wire.relay.holders["tax"].keys.drop()
    for peers in (asking.peers, *(h.peers for h in wire.relay.holders.values())):
        peers._fetched.clear()
    sums = asking.ask(part, IDS[1:2], consents=[second], **how)
    assert (sums.failed, sums.refused, sums.columns["points"].tolist()) == ({}, {}, [111])
    assert len(list(consortium.nodes["court"].trail.entries(action="serve", event="score"))) == 3


def test_a_member_that_was_away_for_an_hour_costs_no_consent(unsteady, consortium, register):
    wire, asking, clock = unsteady
    (token,) = register.tokens(IDS[1:2], *ASKED)
    part, how = consortium.part(), {"purpose": "credit_scoring", "consents": [token]}
    wire.away, kept = True, []
    assert asking.ask(part, IDS[1:2], seconds=1.0, keep=kept.append, **how).failed == {"tax": "away"}
    clock.now += 3600
    wire.away = False
    # The tax office takes no question of an hour ago, and the court has answered it.
    sums = asking.ask(part, IDS[1:2], kept=kept[0], keep=kept.append, **how)
    assert (sums.failed, sums.refused, sums.columns["points"].tolist()) == ({}, {}, [111])
    assert Asked.from_bytes(kept[1]).repeats == Asked.from_bytes(kept[0]).id == sums.root


def test_what_a_bank_says_of_failed_questions_makes_no_consent_endless(unsteady, consortium, register):
    _, asking, clock = unsteady
    part, how = consortium.part(), {"purpose": "credit_scoring"}

    def codes(token, **more):
        sums = asking.ask(part, IDS[1:2], consents=[token], **how, **more)
        return sums.refused.get(0, {}).get("court", ""), sums.root

    first, second, third = (register.tokens(IDS[1:2], *ASKED)[0] for _ in range(3))
    code, root = codes(first)
    assert (code, codes(first)[0]) == ("", "consent_used")
    assert [codes(first, repeats=root)[0] for _ in range(3)] == ["", "", "consent_used"]
    # A question that the token was not used for is no excuse, nor is one of yesterday.
    code, _ = codes(second)
    assert (code, codes(second, repeats=root)[0]) == ("", "consent_used")
    code, root = codes(third)
    clock.now += 86_400
    assert (code, codes(third, repeats=root)[0]) == ("", "consent_used")


def test_another_model_is_another_use_whatever_it_repeats(unsteady, consortium, register):
    _, asking, _ = unsteady
    (token,) = register.tokens(IDS[1:2], *ASKED)
    how = {"purpose": "credit_scoring", "consents": [token]}
    root = asking.ask(consortium.part(), IDS[1:2], **how).root
    other = "ef" * 8
    for name in consortium.names:
        part = part_of(name, consortium.holders, consortium.banks, model=other)
        consortium.put(part)
        store = consortium.nodes[name].store.models
        state = store.path / other / "states.jsonl"
        state.write_text((store.path / MODEL / "states.jsonl").read_text())
    sums = asking.ask(
        part_of("bank", consortium.holders, consortium.banks, model=other), IDS[1:2], repeats=root, **how
    )
    assert sums.refused == {0: {"court": "consent_used"}}


def test_uses_that_a_token_says(ask, register):
    (token,) = register.tokens(IDS[:1], *ASKED, uses=2)
    codes = [ask(IDS[:1], [token])[0].refused.get(0, {}).get("court", "") for _ in range(3)]
    assert codes == ["", "", "consent_used"]


def test_a_signature_is_verified_once_and_counts_while_its_key_is_pinned(
    ask, register, consortium, monkeypatch
):
    """Also by a holder that was started anew; what is used up, and a key that was withdrawn, are seen at once."""
    counted, real = [], Token.signed_by
    monkeypatch.setattr(Token, "signed_by", lambda *a: counted.append(a) or real(*a))
    (token,) = register.tokens(IDS[1:2], *ASKED, uses=2)
    codes = [ask(IDS[1:2], [token])[0].refused.get(0, {}).get("court", "") for _ in range(3)]
    assert (codes, len(counted)) == (["", "", "consent_used"], 1)
    rules = f'[{{ name = "consents", key = "{"ab" * 32}" }}]'
    consortium.write("court", (0.0, 1.0, 2.0), consent='"token"', registers=rules)
    assert ask(IDS[1:2], [token])[0].refused == {0: {"court": "consent_register"}}


def test_taking_back_stops_new_tokens_alone(ask, register):
    """A token from before is taken still: a register cannot call back what it signed."""
    (token,) = register.tokens(IDS[:1], *ASKED)
    assert register.take_back(register.of(IDS[0])[0].id)
    assert ask(IDS[:1], [token])[0].refused == {}


def test_neither_trail_nor_log_holds_a_token_a_reference_or_an_id(ask, register, consortium, caplog):
    (token,) = register.tokens(["E1"], *ASKED)
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    ask(["E1", "E2"], [token, "form of Secret-Street 4"])
    ask(["E1", "E2"], [token, "form of Secret-Street 4"])
    secret = (token.split(".")[1], token.split(".")[2], jti, "Secret-Street", '"E1"', '"E2"')
    seen = 0
    for name in HOLDERS:
        for file in consortium.store(name).rglob("*"):
            if file.is_file() and file.suffix in (".jsonl", ".log", ".json", ".txt"):
                text = file.read_text(encoding="utf-8", errors="replace")
                assert not [s for s in secret if s in text], file.name
                seen += '"serve"' in text
    assert seen >= len(HOLDERS)
    assert not [s for s in secret if s in caplog.text]
    # The book of uses knows the token by its digest, and its signature by a mark.
    book = b"".join(f.read_bytes() for f in (consortium.store("court") / "serving").glob("book.sqlite*"))
    assert (
        token_digest("consents", jti).encode() in book or bytes.fromhex(token_digest("consents", jti)) in book
    )
    assert token.encode() not in book and jti.encode() not in book and b"Secret-Street" not in book
