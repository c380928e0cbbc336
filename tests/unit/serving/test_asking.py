"""A bank that asks real holders through a relay that may lose, delay, repeat, swap or forge what it carries."""

import contextlib

import numpy as np
import pytest

from fedrisk.audit.usage import attempt_rows, usage_rows
from fedrisk.clients.books import audit_books
from fedrisk.errors import ConfigError, DataError, LaterError
from fedrisk.report.words import word
from fedrisk.secure.envelope import open_sealed, seal
from fedrisk.secure.identity import EphemeralKey, IdentityKey
from fedrisk.serving.asking import Asking
from fedrisk.serving.keys import SERVING, epoch_of
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import Answered, Asked
from fedrisk.serving.opening import answer_context
from fedrisk.serving.relay import Reply
from support.serving import IDS, MODEL, NOW, WEIGHTS, Clock, Consortium

EPOCH = epoch_of(NOW)
PURPOSE = {"purpose": "credit_scoring"}


class Wire:
    """The relay of one machine with a hub in between that does as ``change`` says to each member's reply."""

    def __init__(self, relay):
        self.relay, self.sent, self.told = relay, [], {}
        self.change = lambda name, reply, tries: reply
        self.keys_of = lambda found: found

    def keys(self, members, epoch):
        return self.keys_of(self.relay.keys(members, epoch))

    def ask(self, id, model, envelopes, seconds):
        self.sent.append({name: (id, model, envelope) for name, envelope in envelopes.items()})
        out = {}
        for name, envelope in envelopes.items():
            tries = sum(name in sent for sent in self.sent)
            out[name] = self.change(
                name, lambda n=name, e=envelope: self.relay.ask(id, model, {n: e}, seconds)[n], tries
            )
        return {n: r() if callable(r) else r for n, r in out.items() if r is not None}


@contextlib.contextmanager
def consortium(folder, **how):
    world, clock = Consortium(folder, **how), Clock()
    relay = LocalRelay(world.paths, clock=clock)
    wire = Wire(relay)
    asking = Asking(world.nodes["bank"], wire, clock=clock)
    try:
        yield world, wire, asking, clock
    finally:
        relay.close()


@pytest.fixture
def parts(tmp_path):
    with consortium(tmp_path) as found:
        yield found


def points(sums):
    return sums.columns["points"].tolist()


def scored(world, name):
    return [e.rows for e in world.nodes[name].trail.entries(action="serve", event="score")]


@pytest.mark.parametrize("holders", [("tax",), ("power", "tax"), ("court", "power", "tax")])
def test_sums_by_hand(tmp_path, holders):
    values = {"court": (2.0, None, 0.5), "power": (0.0, 1.0), "tax": (1.0, 1.5, 9.0, 0.0)}
    hand = {"court": (2, 3, 0, 4, 4, 4), "power": (0, 1, 4, 4, 4, 4), "tax": (1, 1, 2, 0, 4, 4)}
    with consortium(tmp_path, holders=holders, values=values) as (world, _, asking, _):
        sums = asking.ask(world.part(), IDS, **PURPOSE)
        assert points(sums) == [sum(WEIGHTS[h] * hand[h][k] for h in holders) for k in range(6)]
        missing = [sum(hand[h][k] == 4 for h in holders) for k in range(6)]
        assert sums.columns["missing"].tolist() == missing
        assert (
            sum(sums.columns[c] for c in ("fresh", "aging", "old", "missing")).tolist() == [len(holders)] * 6
        )
        assert (sums.refused, sums.failed) == ({}, {})


def test_both_sides_enter_the_same_question(parts):
    world, _, asking, _ = parts
    sums = asking.ask(world.part(), IDS, **PURPOSE)
    (mine,) = world.nodes["bank"].trail.entries(action="serve")
    assert (mine.event, mine.rows, mine.digest) == ("delivery", 6, sums.digest)
    for name in world.holders:
        (entry,) = world.nodes[name].trail.entries(action="serve")
        assert (entry.event, entry.rows, entry.digest) == ("score", 6, sums.digest)
    for name in world.names:
        assert audit_books(world.nodes[name]).entries == 1
        (row,) = usage_rows(world.nodes[name].trail.entries())
        assert (row.purpose, row.scores, row.mu) == ("credit_scoring", 6 * (name != "bank"), 0.0)
        assert attempt_rows(world.nodes[name].trail.entries()) == []
    assert word("kind", mine.kind) == "scores of a model that serves"


def test_rows_that_somebody_refuses_have_no_sum(parts):
    world, _, asking, _ = parts
    world.write("tax", (0.0, 1.0, 2.0, None), consent='"reference"')
    world.write("power", (0.0, 1.0, 2.0, None), consent='"reference"')
    sums = asking.ask(world.part(), IDS[:3], consents=("", "c", ""), **PURPOSE)
    assert points(sums) == [0, 111, 0]
    assert sums.refused == {k: {"power": "consent_missing", "tax": "consent_missing"} for k in (0, 2)}
    assert sums.failed == {}


def test_a_member_that_is_away_or_late_is_asked_again_with_the_same_bytes(parts):
    world, wire, asking, _ = parts
    codes = {"court": ["away", "late"], "power": ["later"], "tax": []}
    wire.change = lambda name, reply, tries: Reply(codes[name].pop(0)) if codes[name] else reply
    sums = asking.ask(world.part(), IDS[:4], **PURPOSE)
    assert points(sums) == [0, 111, 222, 333]
    assert [sorted(sent) for sent in wire.sent] == [["court", "power", "tax"], ["court", "power"], ["court"]]
    for name in world.holders:
        assert len({sent[name] for sent in wire.sent if name in sent}) == 1


def test_an_answer_that_was_lost_is_given_again_and_counted_once(parts):
    world, wire, asking, _ = parts

    def lose(name, reply, tries):
        got = reply()
        return Reply("late") if tries < 3 else got

    wire.change = lose
    assert points(asking.ask(world.part(), IDS[:2], **PURPOSE)) == [0, 111]
    assert [scored(world, name) for name in world.holders] == [[2]] * 3


def test_without_one_member_there_is_no_sum(parts):
    world, wire, asking, _ = parts
    wire.change = lambda name, reply, tries: Reply("away") if name == "tax" else reply()
    sums = asking.ask(world.part(), IDS, seconds=0.3, **PURPOSE)
    assert (dict(sums.columns), sums.failed["tax"]) == ({}, "away")
    assert not list(world.nodes["bank"].trail.entries(action="serve"))


@pytest.mark.parametrize("code", ["quota", "approval", "purpose", "asker", "internal", "unknown"])
def test_a_refusal_is_not_asked_about_again(parts, code):
    world, wire, asking, _ = parts
    wire.change = lambda name, reply, tries: Reply(code) if name == "tax" else reply
    assert asking.ask(world.part(), IDS, **PURPOSE).failed == {"tax": code}
    assert len(wire.sent) == 1


def test_a_code_that_nobody_knows_is_none_of_the_relays(parts):
    world, wire, asking, _ = parts
    wire.change = lambda name, reply, tries: Reply("E1 is bad") if name == "tax" else reply
    assert asking.ask(world.part(), IDS, **PURPOSE).failed == {"tax": "internal"}


def test_a_relay_that_cannot_be_reached_is_said_so(parts):
    world, wire, asking, _ = parts

    def gone(*args):
        raise LaterError("no hub")

    part = world.part()
    wire.ask = gone
    with pytest.raises(LaterError):
        asking.ask(part, IDS, seconds=0.2, **PURPOSE)
    wire.keys, asking.peers.fetch = gone, gone
    asking.peers._found.clear()
    with pytest.raises(LaterError):
        asking.ask(part, IDS, seconds=0.2, **PURPOSE)


def test_what_a_relay_changes_swaps_or_repeats_is_noticed(parts):
    world, wire, asking, _ = parts
    earlier = {}

    def remember(name, reply, tries):
        earlier[name] = reply()
        return earlier[name]

    part = world.part()
    wire.change = remember
    asking.ask(part, IDS[:1], **PURPOSE)
    forged = bytearray(earlier["tax"].envelope)
    forged[60] ^= 1
    for wrong in (
        earlier["tax"],
        earlier["power"],
        Reply("", b""),
        Reply("", b"rubbish"),
        Reply("", bytes(forged)),
    ):
        wire.change = lambda name, reply, tries, wrong=wrong: wrong if name == "tax" else reply
        sums = asking.ask(part, IDS[:1], **PURPOSE)
        assert sums.failed == {"tax": "envelope"}
        assert not sums.columns


def resealed(world, wire, asking, change):
    """A holder that seals something else than it should."""

    def answer(name, reply, tries):
        got = reply()
        if name != "tax":
            return got
        epoch, holder = EPOCH, wire.relay.holders["tax"]
        own, bank = holder.keys.own(epoch), wire.relay.holders["bank"].keys.signed(epoch)
        asked = Asked(
            id=wire.sent[-1]["tax"][0],
            model=MODEL,
            asker="bank",
            made=int(NOW),
            epoch=epoch,
            keys={"tax": "0" * 64},
            purpose="x",
            ids=("x",),
            consents=("",),
        )
        context = answer_context(asked, "tax")
        (raw,) = open_sealed(asking.keys.own(epoch), holder.key(epoch), context, got.envelope)
        return Reply("", seal(own, bank, context, change(raw)))

    wire.change = answer


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: [b"rubbish"],
        lambda raw: [raw, raw],
        lambda raw: [Answered.from_bytes(raw, 2).to_bytes().replace(b'"rows":2', b'"rows":1')],
        lambda raw: [
            Answered(
                "ab" * 16, Answered.from_bytes(raw, 2).digest, Answered.from_bytes(raw, 2).columns
            ).to_bytes()
        ],
        lambda raw: [
            Answered(Answered.from_bytes(raw, 2).id, "0" * 64, Answered.from_bytes(raw, 2).columns).to_bytes()
        ],
    ],
)
def test_a_holder_that_answers_something_else_fails_alone(parts, change):
    world, wire, asking, _ = parts
    resealed(world, wire, asking, change)
    assert asking.ask(world.part(), IDS[:2], **PURPOSE).failed == {"tax": "form"}


def test_sums_that_the_card_cannot_give_are_not_believed(parts):
    """A holder that masks otherwise than the others makes the sum a random number: nobody can be named for it."""
    world, wire, asking, _ = parts

    def other_masks(raw):
        answer = Answered.from_bytes(raw, 2)
        columns = {n: c + np.uint32(1 << 20) if n == "points" else c for n, c in answer.columns.items()}
        return [Answered(answer.id, answer.digest, columns).to_bytes()]

    resealed(world, wire, asking, other_masks)
    sums = asking.ask(world.part(), IDS[:2], **PURPOSE)
    assert sums.failed == dict.fromkeys(world.holders, "form")
    assert not sums.columns


def test_columns_that_not_all_give_are_not_there(parts):
    """One that keeps its ages to itself leaves masks of the others open, so that nobody's are told."""
    world, _, asking, _ = parts
    world.write("power", (0.0, 1.0, 2.0, None), ages='"never"')
    sums = asking.ask(world.part(), IDS[:3], **PURPOSE)
    assert (list(sums.columns), points(sums)) == (["points"], [0, 111, 222])


def test_a_relay_brings_in_no_member_of_its_own(parts):
    world, wire, asking, _ = parts
    _, forged = EphemeralKey.generate(IdentityKey.generate(), "tax", SERVING, EPOCH)
    wire.keys_of = lambda found: {**found, "tax": forged}
    assert asking.ask(world.part(), IDS, seconds=0.2, **PURPOSE).failed == {"tax": "away"}


@pytest.mark.parametrize("who", ["tax", "bank"])
def test_a_member_that_made_a_new_key_is_found_again(parts, who):
    world, wire, asking, _ = parts
    part = world.part()
    assert points(asking.ask(part, IDS[:2], **PURPOSE)) == [0, 111]
    wire.relay.holders[who].keys.drop()
    if who == "bank":
        asking.keys.drop()
    for peers in (asking.peers, *(h.peers for h in wire.relay.holders.values())):
        peers._fetched.clear()
    assert points(asking.ask(part, IDS[:3], **PURPOSE)) == [0, 111, 222]


@pytest.mark.parametrize("code", ["keys", "envelope"])
def test_a_hub_that_speaks_of_other_keys_has_nothing_counted_twice(parts, code):
    """No key is another one, so the very same bytes go once more."""
    world, wire, asking, _ = parts
    wire.change = lambda name, reply, tries: Reply(code) if name == "tax" and tries == 1 else reply
    assert points(asking.ask(world.part(), IDS[:2], **PURPOSE)) == [0, 111]
    assert len({sent["court"][0] for sent in wire.sent}) == 1
    wire.change = lambda name, reply, tries: Reply(code) if name == "tax" else reply()
    assert asking.ask(world.part(), IDS[:2], **PURPOSE).failed == {"tax": code}
    assert scored(world, "court") == [2, 2]


@pytest.mark.parametrize("who", ["tax", "bank"])
def test_a_member_changes_its_identity_while_it_serves(parts, who):
    """Entries from then on are signed by the new key, and others take its keys of the week by it alone."""
    world, wire, asking, _ = parts
    part, store = world.part(), world.nodes[who].store
    assert points(asking.ask(part, IDS[:2], **PURPOSE)) == [0, 111]
    old = store.identity.public
    store.make_next_identity()
    assert points(asking.ask(part, IDS[:3], **PURPOSE)) == [0, 111, 222]
    store.take_next_identity(who)
    for peers in (asking.peers, *(h.peers for h in wire.relay.holders.values())):
        peers._fetched.clear()
    for name in world.names:
        if name != who:
            world.nodes[name].store.repin({who: [old, store.identity.public]})
    assert points(asking.ask(part, IDS[:4], **PURPOSE)) == [0, 111, 222, 333]
    assert audit_books(world.nodes[who]).entries == 4


def test_a_question_that_was_kept_is_answered_as_it_was(parts):
    world, wire, asking, _ = parts
    part, kept = world.part(), []
    wire.change = lambda name, reply, tries: Reply("away") if name == "tax" else reply
    asking.ask(part, IDS[:3], seconds=0.1, keep=kept.append, **PURPOSE)
    wire.change = lambda name, reply, tries: reply
    again = asking.ask(part, IDS[:3], kept=kept[0], **PURPOSE)
    assert points(again) == [0, 111, 222]
    assert again.id == Asked.from_bytes(kept[0]).id
    assert [scored(world, name) for name in world.holders] == [[3]] * 3
    # Of another question, nothing of it is used.
    for wrong in (kept[0], b"rubbish"):
        other = asking.ask(part, IDS[:2], kept=wrong, **PURPOSE)
        assert points(other) == [0, 111]
        assert other.id != again.id


@pytest.mark.parametrize(
    "how",
    [
        {"ids": ()},
        {"ids": ("x" * 65,)},
        {"ids": ("x",) * 1001},
        {"ids": ("x",), "consents": ("", "")},
        {"ids": ("x", "y"), "row_of": (0, 2)},
        {"ids": ("x",), "purpose": ""},
    ],
)
def test_what_is_no_question_is_not_asked(parts, how):
    world, wire, asking, _ = parts
    with pytest.raises(DataError) as error:
        asking.ask(world.part(), **(PURPOSE | how))
    assert "xxx" not in str(error.value)
    assert wire.sent == []


def test_which_bank_asks_has_to_be_clear(tmp_path):
    world = Consortium(tmp_path, holders=("tax",), banks=("bank", "other"))
    relay = LocalRelay(world.paths, clock=Clock())
    with pytest.raises(ConfigError):
        _ = relay.asker
    asking = Asking(world.nodes["other"], relay.of("other"), clock=Clock())
    assert points(asking.ask(world.part("other"), IDS[:2], **PURPOSE)) == [0, 100]
    relay.close()
