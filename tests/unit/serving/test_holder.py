"""A holder against whatever a bank, a hub or another holder sends it, with real keys, seals, tables and trails."""

import contextlib
import os
import signal
import sqlite3
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrisk.clients.books import audit_books
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.identity import EphemeralKey, IdentityKey
from fedrisk.serving.codes import WHOLE
from fedrisk.serving.holder import Holder
from fedrisk.serving.keys import DAY, SERVING, WEEK, epoch_of
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import Answered, Asked, digest_of
from fedrisk.serving.noting import STRANGERS
from fedrisk.serving.opening import OLDEST, answer_context, question_context
from fedrisk.serving.relay import Reply
from support.serving import IDS, MODEL, NOW, WEIGHTS, Clock, Consortium, part_of

EPOCH = epoch_of(NOW)
ID = "ab" * 16


class Bank:
    """A bank that builds its questions by hand, and can build wrong ones."""

    def __init__(self, world, clock=None):
        self.world, self.clock = world, clock or Clock()
        self.relay = LocalRelay(world.paths, clock=self.clock)
        self.keys = self.relay.holders["bank"].keys
        self.tax = self.relay.holders["tax"]

    def asked(self, **changes):
        epoch = changes.get("epoch", epoch_of(self.clock()))
        said = {
            "id": ID,
            "model": MODEL,
            "asker": "bank",
            "made": int(self.clock()),
            "epoch": epoch,
            "purpose": "credit_scoring",
            "ids": IDS[:3],
            "salt": "0" * 32,
        } | changes
        said.setdefault("consents", ("",) * len(said["ids"]))
        if "keys" not in said:
            signed = self.relay.keys(self.world.holders, epoch)
            said["keys"] = {name: key.public.hex() for name, key in signed.items()}
        return Asked(**said)

    def sealed(self, raw, *, to="tax", epoch=None, context=None, own=None):
        epoch = epoch or epoch_of(self.clock())
        context = context or question_context(MODEL, epoch, ID, "bank", to)
        peer = self.relay.holders[to].key(epoch)
        return seal(own or self.keys.own(epoch), peer, context, [raw])

    def ask(self, asked=None, *, to="tax", id=ID, model=MODEL, asker="bank", envelope=None):
        asked = asked or self.asked()
        envelope = envelope if envelope is not None else self.sealed(asked.to_bytes(), to=to)
        return self.relay.holders[to].answer(asker, id, model, envelope)

    def opened(self, asked, reply, *, of="tax"):
        assert reply.code == ""
        own, peer = self.keys.own(asked.epoch), self.relay.holders[of].key(asked.epoch)
        (raw,) = open_sealed(own, peer, answer_context(asked, of), reply.envelope)
        return Answered.from_bytes(raw, asked.rows)

    def added(self, asked, replies):
        """Sums of the points that members' replies hold, as signed numbers."""
        total = sum(
            self.opened(asked, r, of=name).columns["points"].astype(np.int64) for name, r in replies.items()
        )
        return [int(v) for v in (total % 2**32).astype(np.uint32).astype(np.int32)]


@pytest.fixture
def world(tmp_path):
    return Consortium(tmp_path)


@pytest.fixture
def bank(world):
    found = Bank(world)
    yield found
    found.relay.close()


def entries(world, name="tax", **filters):
    return list(world.nodes[name].trail.entries(action="serve", **filters))


def counted(bank, what="scores", period="2026-11-26", name="tax"):
    with bank.relay.holders[name].book.question(bank.clock()) as page:
        return page.counted("bank", what, period)


def test_one_part_alone_is_a_random_number_and_all_of_them_are_the_sum(bank, world):
    asked = bank.asked()
    replies = {name: bank.ask(asked, to=name) for name in world.holders}
    assert bank.added(asked, replies) == [0, 111, 222]
    for name, reply in replies.items():
        # A mask of 32 bits hides it: that all three stand there as they are has a chance of 2^-96.
        alone = bank.added(asked, {name: reply})
        assert alone != [0, WEIGHTS[name], 2 * WEIGHTS[name]]


def test_a_holder_that_is_alone_gives_its_points_without_masks(tmp_path):
    bank = Bank(Consortium(tmp_path, holders=("tax",)))
    asked = bank.asked(ids=IDS)
    assert bank.opened(asked, bank.ask(asked)).columns["points"].tolist() == [0, 100, 200, 300, 400, 400]
    bank.relay.close()


def test_holders_that_are_told_different_ids_give_random_numbers(bank, world):
    """Masks are drawn for the bytes. The least mean sum of the points in question is 0, the greatest 444: a sum of 32
    random bits is in between with a chance below 2^-23 a row, so that this test fails by chance once in 10^6 runs.
    """
    asked, other = bank.asked(ids=IDS[:3]), bank.asked(ids=IDS[:2] + IDS[3:4])
    replies = {"court": bank.ask(asked, to="court"), "power": bank.ask(asked, to="power")}
    tax = bank.opened(other, bank.ask(other)).columns["points"].astype(np.int64)
    total = sum(
        bank.opened(asked, r, of=name).columns["points"].astype(np.int64) for name, r in replies.items()
    )
    sums = ((total + tax) % 2**32).astype(np.uint32).astype(np.int32)
    assert not any(0 <= v <= 444 for v in sums)


def test_the_same_question_gets_the_same_bytes_and_counts_once(bank, world):
    asked = bank.asked()
    first = bank.ask(asked)
    # The table changes in between: the answer does not.
    world.write("tax", (2.0, 2.0, 2.0, 2.0))
    for _ in range(3):
        assert bank.ask(asked) == first
    assert counted(bank) == 3
    assert [e.rows for e in entries(world, event="score")] == [3]


def test_the_size_of_an_answer_tells_nothing_of_its_rows(bank, world):
    """The hub sees sizes: of an answer, of a refused id, of a consent that is missing."""
    answered = bank.ask(bank.asked(ids=IDS[:1]))
    world.write("power", (0.0, 1.0), consent='"token"', registers=f'[{{ name = "r", key = "{"ab" * 32}" }}]')
    world.write("court", (0.0, 1.0), consent='"reference"')
    sizes, codes = {len(answered.envelope)}, set()
    for to, consent in (("power", "x"), ("power", ""), ("court", "\n"), ("court", "x")):
        asked = bank.asked(ids=IDS[:1], consents=(consent,))
        reply = bank.ask(asked, to=to, id=ID)
        codes.add(bank.opened(asked, reply, of=to).refused.get(0, ""))
        sizes.add(len(reply.envelope))
        bank.relay.holders[to].book._connection.execute("delete from question")
    assert codes == {"consent_form", "consent_missing", ""}
    assert len(sizes) == 1


def test_questions_that_are_refused_row_by_row_have_a_quota_too(bank, world, monkeypatch):
    """Each is kept for a day and entered: without one a bank could fill a holder's disk."""
    monkeypatch.setattr("fedrisk.serving.rows.MOST_REFUSED", 5)
    world.write("tax", (0.0, 1.0), consent='"reference"', per_day="5")
    codes = []
    for k in range(3):
        asked = bank.asked(id=f"{k:032x}")
        context = question_context(MODEL, EPOCH, asked.id, "bank", "tax")
        envelope = bank.sealed(asked.to_bytes(), context=context)
        codes.append(bank.ask(asked, id=asked.id, envelope=envelope).code)
    assert codes == ["", "quota", "quota"]
    assert (counted(bank, "refused"), counted(bank)) == (3, 0)
    assert bank.tax.book.kept(f"{1:032x}") is None


def test_digests_in_trails_are_of_bytes_that_the_hub_cannot_guess(bank):
    """All of a question but its ids may be known: two of the same words have other digests."""
    content = bank.asked().model_dump(exclude={"salt"})
    one, other = Asked(**content), Asked(**content)
    assert one.model_copy(update={"salt": other.salt}) == other
    assert digest_of(one.to_bytes()) != digest_of(other.to_bytes())
    bare = one.to_bytes().replace(f',"salt":"{one.salt}"'.encode(), b"")
    assert b"salt" not in bare
    assert bank.ask(envelope=bank.sealed(bare)) == Reply("form")


def test_other_content_under_the_same_id_is_refused(bank, world):
    bank.ask()
    for other in (bank.asked(ids=IDS[:2]), bank.asked(made=int(NOW) + 1), bank.asked(product="x")):
        assert bank.ask(other) == Reply("repeated")
    assert counted(bank) == 3


def test_what_is_asked_at_once_by_many_threads_is_answered_once(bank, world):
    asked, found = bank.asked(), []
    envelope = bank.sealed(asked.to_bytes())
    threads = [threading.Thread(target=lambda: found.append(bank.ask(envelope=envelope))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({reply.envelope for reply in found}) == 1
    assert counted(bank) == 3
    assert len(entries(world, event="score")) == 1


def test_old_questions_and_those_of_tomorrow_are_refused(bank):
    for shift in (-OLDEST - 1, OLDEST + 1):
        assert bank.ask(bank.asked(made=int(NOW) + shift)) == Reply("old")
    assert bank.ask(bank.asked(made=int(NOW) - OLDEST)).code == ""


def test_a_question_that_was_deleted_cannot_come_again(bank):
    asked = bank.asked()
    envelope = bank.sealed(asked.to_bytes())
    first = bank.ask(asked, envelope=envelope)
    bank.clock.now += DAY - 1
    assert bank.ask(asked, envelope=envelope) == first
    bank.clock.now += 2
    with bank.tax.book.question(bank.clock()):
        # The first page of another day.
        pass
    assert bank.ask(asked, envelope=envelope) == Reply("old")


def test_a_clock_that_ran_ahead_and_was_put_back_draws_no_mask_again(bank, world):
    """Two days ahead, another question has old answers deleted. Back again, the first question is young once more:
    answered from other data under the same masks, the difference would be the tax office's own."""
    asked = bank.asked()
    assert bank.ask(asked).code == ""
    bank.clock.now += 2 * DAY
    later = bank.asked(id="cd" * 16)
    context = question_context(MODEL, EPOCH, later.id, "bank", "tax")
    assert bank.ask(later, id=later.id, envelope=bank.sealed(later.to_bytes(), context=context)).code == ""
    assert bank.tax.book.kept(ID) is None
    bank.clock.now -= 2 * DAY
    world.write("tax", (2.0, 2.0, 2.0, 2.0))
    envelope, own = bank.sealed(asked.to_bytes()), bank.tax.keys.own(EPOCH)
    assert bank.ask(asked, envelope=envelope) == Reply("keys")
    assert bank.tax.keys.own(EPOCH).public != own.public
    # Under the new key all goes on; what was sealed for the old one opens no more.
    assert bank.ask(asked, envelope=envelope) == Reply("envelope")
    assert bank.ask(bank.asked()).code == ""


def test_a_process_forgets_the_secrets_of_weeks_that_are_over(bank):
    """Files alone are not enough: a node runs for months."""
    bank.ask()
    private = bank.tax.keys.own(EPOCH).private
    memory = (bank.tax.peers._secrets, bank.tax.peers._found, bank.tax.keys._kept)
    assert all(memory)
    bank.tax.tidy()
    assert any(private in place for place in bank.tax.peers._secrets)
    bank.clock.now += WEEK + 2 * DAY
    bank.tax.tidy()
    assert not any(memory)


def test_a_key_that_was_deleted_by_hand_is_used_no_more(bank):
    """Also by a process that has read it: what was put back from a copy is made safe so."""
    asked = bank.asked()
    envelope = bank.sealed(asked.to_bytes())
    (bank.tax.keys.folder / f"{EPOCH}.key").unlink()
    assert bank.ask(asked, envelope=envelope) == Reply("envelope")
    assert bank.tax.key(EPOCH).public.hex() != asked.keys["tax"]


def test_envelopes_open_in_their_one_place(bank, world):
    raw = bank.asked().to_bytes()
    fits = bank.sealed(raw)
    assert bank.ask(envelope=fits).code == ""
    assert bank.ask(envelope=fits, id="cd" * 16) == Reply("envelope")
    assert bank.ask(envelope=bank.sealed(raw, to="power")) == Reply("envelope")
    assert bank.ask(
        envelope=bank.sealed(raw, context=question_context("f" * 16, EPOCH, ID, "bank", "tax"))
    ) == Reply("envelope")
    stranger, _ = EphemeralKey.generate(IdentityKey.generate(), "bank", SERVING, EPOCH)
    assert bank.ask(envelope=bank.sealed(raw, own=stranger)) == Reply("envelope")
    # What it says of itself inside has to be what its place says.
    for wrong in ({"id": "cd" * 16}, {"model": "f" * 16}, {"asker": "power"}):
        assert bank.ask(bank.asked(**wrong)) == Reply("form")
    assert bank.ask(bank.asked(epoch="2026W40", keys=bank.asked().keys)) == Reply("keys")


def test_the_relay_is_not_believed_about_who_asks(tmp_path):
    world = Consortium(tmp_path, banks=("bank", "other"))
    bank = Bank(world)
    assert bank.ask(asker="other") == Reply("envelope")
    assert bank.ask(asker="power") == Reply("asker")
    assert bank.ask(asker="") == Reply("asker")
    bank.relay.close()


def test_keys_in_a_question_are_the_very_ones_that_the_holders_signed(bank, world):
    keys = dict(bank.asked().keys)
    forged = {**keys, "power": "7" * 64}
    own = {**keys, "tax": "7" * 64}
    assert bank.ask(bank.asked(keys=forged)) == Reply("keys")
    assert bank.ask(bank.asked(keys=own)) == Reply("keys")
    fewer = {name: keys[name] for name in ("tax", "power")}
    more = {**keys, "bank": "7" * 64}
    # A sum over other holders would be an equation of one of them.
    assert bank.ask(bank.asked(keys=fewer)) == Reply("form")
    assert bank.ask(bank.asked(keys=more)) == Reply("form")
    assert counted(bank) == 0


def test_a_member_without_a_pinned_key_is_not_answered_with(bank, world):
    world.nodes["tax"].store.repin({}, gone=["power"])
    assert bank.ask() == Reply("keys")
    world.nodes["tax"].store.repin({}, gone=["bank"])
    assert bank.ask() == Reply("keys")


def test_questions_around_the_end_of_a_week(world):
    clock = Clock()
    monday = NOW - NOW % DAY
    while epoch_of(monday) == EPOCH:
        monday += DAY
    clock.now = monday - 10
    bank = Bank(world, clock)
    asked = bank.asked()
    envelope = bank.sealed(asked.to_bytes())
    clock.now = monday + 10
    assert bank.ask(asked, envelope=envelope).code == ""
    after = bank.asked(id="cd" * 16)
    context = question_context(MODEL, after.epoch, after.id, "bank", "tax")
    assert bank.ask(after, id=after.id, envelope=bank.sealed(after.to_bytes(), context=context)).code == ""
    clock.now = monday + DAY + 10
    assert bank.ask(asked, envelope=envelope).code in ("envelope", "keys")
    assert [f.stem for f in bank.tax.keys.folder.glob("*.key")] == [epoch_of(clock.now)]
    bank.relay.close()


def test_models_that_are_not_here_or_not_approved_are_not_answered(bank, world):
    assert bank.ask(model="f" * 16) == Reply("unknown")
    for state in ("candidate", "refused", "retired"):
        world.set_state("tax", state)
        assert bank.ask() == Reply("approval")
    world.set_state("tax", "approved")
    assert bank.ask().code == ""


def test_a_model_is_not_answered_by_an_encoder_that_it_was_not_made_with(bank, world):
    world.put(part_of("tax", world.holders, world.banks, encoders={"load": "0" * 64}))
    assert bank.ask() == Reply("approval")
    assert "encoder load is not the one" in (world.store("tax") / "errors.log").read_text()


def test_a_bank_answers_nothing_by_its_own_part(bank):
    envelope = seal(
        bank.tax.keys.own(EPOCH),
        bank.relay.holders["bank"].key(EPOCH),
        question_context(MODEL, EPOCH, ID, "tax", "bank"),
        [b""],
    )
    assert bank.relay.holders["bank"].answer("tax", ID, MODEL, envelope) == Reply("unknown")


def test_the_policy_is_read_again_when_it_changes(bank, world):
    assert bank.ask().code == ""
    second = {"id": "cd" * 16}

    def again(**changes):
        asked = bank.asked(**second, **changes)
        context = question_context(MODEL, EPOCH, asked.id, "bank", "tax")
        return bank.ask(asked, id=asked.id, envelope=bank.sealed(asked.to_bytes(), context=context))

    assert again(purpose="marketing") == Reply("purpose")
    world.write("tax", (0.0,), purposes='["marketing"]')
    assert again() == Reply("purpose")
    world.write("tax", (0.0,), per_day="5")
    assert again() == Reply("quota")
    world.write("tax", (0.0,), per_day="6")
    assert again().code == ""
    assert counted(bank) == 6


def test_lists_have_a_quota_of_their_own(bank, world):
    listed = bank.asked(screening=True, consents=("c",) * 3)
    assert bank.ask(listed) == Reply("quota")
    world.write("tax", (0.0,), screening="3")
    assert bank.ask(listed).code == ""
    assert counted(bank, "screening", "2026-11") == 3


def test_one_enterprise_is_scored_as_often_as_the_policy_allows(bank, world):
    world.write("tax", (0.0,), per_enterprise="2")
    asked = bank.asked(ids=("E1", "e1 ", "E2", "E1"))
    assert bank.opened(asked, bank.ask(asked)).refused == {3: "enterprise_quota"}
    assert counted(bank) == 3


def test_rows_that_are_refused_open_to_nothing(bank, world):
    world.write("tax", (0.0, 1.0, 2.0, None), consent='"reference"')
    asked = bank.asked(ids=IDS[:4], consents=("", "c", "", "c"))
    replies = {name: bank.ask(asked, to=name) for name in world.holders}
    tax = bank.opened(asked, replies["tax"])
    assert tax.refused == {0: "consent_missing", 2: "consent_missing"}
    sums = bank.added(asked, replies)
    assert (sums[1], sums[3]) == (111, 333)
    # What would be there if the refused row held the bare mask: the sum of the other two.
    others = {k: k * (WEIGHTS["court"] + WEIGHTS["power"]) for k in (0, 2)}
    assert all(sums[k] != others[k] for k in (0, 2))
    # Uniform and never drawn twice: asked anew under a policy that allows it, nothing follows from the two.
    assert counted(bank) == 2
    (entry,) = entries(world, event="score")
    assert entry.rows == 2


def test_a_question_of_which_all_rows_are_refused_is_entered_as_a_refusal(bank, world):
    world.write("tax", (0.0,), consent='"token"')
    asked = bank.asked(consents=("x", "x", ""))
    assert set(bank.opened(asked, bank.ask(asked)).refused) == {0, 1, 2}
    (entry,) = entries(world)
    assert (entry.event, entry.code, entry.rows) == ("refusal", "rows", 0)
    assert counted(bank) == 0


@pytest.mark.parametrize(
    ("rule", "holders", "given"),
    [
        ('"never"', ("court", "power", "tax"), False),
        ('"several"', ("court", "power", "tax"), True),
        ('"several"', ("power", "tax"), False),
        ('"always"', ("power", "tax"), True),
    ],
)
def test_ages_are_told_as_the_policy_says(tmp_path, rule, holders, given):
    world = Consortium(tmp_path, holders=holders, serving={"ages": rule})
    bank = Bank(world)
    asked = bank.asked()
    names = set(bank.opened(asked, bank.ask(asked)).columns)
    assert names == ({"points", "fresh", "aging", "old", "missing"} if given else {"points"})
    bank.relay.close()


def test_entries_say_who_got_what_and_never_of_whom(bank, world):
    asked = bank.asked(ids=("E1", "E2", "E3"))
    reply = bank.ask(asked)
    (entry,) = entries(world)
    assert (entry.event, entry.kind, entry.protection) == (
        "score",
        "served_scorecard",
        "masked_among_holders",
    )
    assert (entry.counterparty, entry.rows, entry.digest) == ("bank", 3, digest_of(asked.to_bytes()))
    assert (entry.attempt, entry.bytes, entry.spend) == ("", len(reply.envelope), None)
    everything = b"".join(
        f.read_bytes()
        for f in world.store("tax").rglob("*")
        if f.is_file() and f.suffix in (".jsonl", ".log", ".head")
    )
    assert b"E1" not in everything
    assert audit_books(world.nodes["tax"]).entries == 1


def test_refusals_are_counted_and_noted_and_strangers_do_not_fill_the_disk(bank, world):
    bank.ask(bank.asked(purpose="marketing"))
    for _ in range(3 * STRANGERS):
        assert bank.ask(envelope=b"rubbish") == Reply("envelope")
    assert bank.tax.noting.counts["purpose"] == 1
    assert bank.tax.noting.counts["envelope"] == 3 * STRANGERS
    assert len(entries(world, code="envelope")) == STRANGERS
    (entry,) = entries(world, code="purpose")
    assert (entry.event, entry.counterparty) == ("refusal", "bank")
    assert {e["code"] for e in world.nodes["tax"].store.errors.read()} == {"purpose", "envelope"}


def test_what_is_not_foreseen_is_said_at_home_alone(bank, world, monkeypatch):
    def fail(*args):
        raise ValueError(f"{IDS[1]} is a secret")

    monkeypatch.setattr("fedrisk.serving.rows.Rows.values", fail)
    assert bank.ask() == Reply("internal")
    errors = world.nodes["tax"].store.errors.read()
    assert {e["code"] for e in errors} == {"internal"}
    assert len(errors) == 1
    assert not any(IDS[1] in str(e) for e in errors)


def test_a_disk_or_table_that_is_away_is_a_matter_of_time(bank, world):
    (world.folder / "tax.csv").rename(world.folder / "gone.csv")
    asked = bank.asked()
    assert bank.ask(asked) == Reply("later")
    (world.folder / "gone.csv").rename(world.folder / "tax.csv")
    again = Bank(world)
    assert again.ask(asked).code == ""
    assert counted(again) == 3
    again.relay.close()


def test_a_table_is_opened_again_only_where_it_is_another_one(bank, world):
    assert bank.ask().code == ""
    first = bank.tax._now
    world.write("tax", (0.0,), per_day="5000")
    assert bank.ask().code == ""
    assert bank.tax._now is not first
    assert bank.tax._now.data is first.data
    file = world.folder / "tax.toml"
    file.write_text(file.read_text("utf-8").replace("high = 9", "high = 8"), "utf-8")
    assert bank.ask().code == ""
    assert bank.tax._now.data is not first.data


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mangled_envelopes_never_raise_and_are_never_answered(bank, data):
    raw = bank.sealed(bank.asked().to_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "add", "random"]))
    mangled = {
        "flip": lambda: (
            raw[:place] + bytes([raw[place] ^ (1 << data.draw(st.integers(0, 7)))]) + raw[place + 1 :]
        ),
        "cut": lambda: raw[:place],
        "add": lambda: raw + data.draw(st.binary(min_size=1, max_size=40)),
        "random": lambda: data.draw(st.binary(max_size=200)),
    }[how]()
    reply = bank.ask(envelope=mangled)
    assert reply.code in ("envelope", "form") and not reply.envelope


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asker=st.text(max_size=70),
    id=st.text(max_size=40),
    model=st.text(max_size=20),
    envelope=st.binary(max_size=80),
)
def test_nothing_that_a_hub_says_raises(bank, asker, id, model, envelope):
    reply = bank.tax.answer(asker, id, model, envelope)
    assert reply.code in WHOLE and not reply.envelope


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_what_a_bank_seals_may_be_anything(bank, content):
    assert bank.ask(envelope=bank.sealed(content)) == Reply("form")


def _killed_before_it_is_sent(folder, point):
    """A holder that ends at a point of its answer, as if it was killed."""
    world = Consortium(folder)
    bank = Bank(world)

    def end(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    target = {
        "before_commit": (type(bank.tax.book), "enterprise"),
        "after_commit": (Holder, "_enter"),
        "after_entry": (type(bank.tax.book), "mark_entered"),
    }[point]
    setattr(*target, end)
    bank.ask(bank.asked(made=int(NOW)))


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_entry"])
def test_a_holder_that_is_killed_gives_the_answer_that_it_kept_and_counts_once(tmp_path, point):
    process = get_context("fork").Process(target=_killed_before_it_is_sent, args=(tmp_path, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    world = Consortium(tmp_path)
    kept = []
    with contextlib.closing(sqlite3.connect(world.store("tax") / "serving" / "book.sqlite")) as file:
        kept = file.execute("select answer from question").fetchall()
    assert len(kept) == (point != "before_commit")
    # Other data by now: they must never go out under the masks of the answer that is kept.
    world.write("tax", (2.0, 2.0, 2.0, 2.0))
    bank = Bank(world)
    asked = bank.asked(made=int(NOW))
    reply = bank.ask(asked)
    if kept:
        assert reply.envelope == kept[0][0]
    replies = {"tax": reply} | {name: bank.ask(asked, to=name) for name in ("court", "power")}
    assert bank.added(asked, replies) == ([0, 111, 222] if kept else [200, 211, 222])
    assert bank.ask(asked) == reply
    assert counted(bank) == 3
    assert [e.rows for e in entries(world, event="score")] == [3]
    bank.relay.close()


def test_a_thousand_rows_at_once(bank, world):
    ids = tuple(f"X{k}" for k in range(996)) + IDS[:4]
    world.write("tax", (0.0, 1.0, 2.0, None), per_day="1000")
    asked = bank.asked(ids=ids)
    replies = {name: bank.ask(asked, to=name) for name in world.holders}
    assert bank.added(asked, replies) == [444] * 996 + [0, 111, 222, 333]


def test_a_part_of_another_institution_is_not_answered_by(bank, world):
    world.put(part_of("tax", world.holders, institution="tax", role="tax", holders=("court", "power")))
    assert bank.ask() == Reply("unknown")


def test_answers_are_for_the_bank_alone(bank, world):
    asked = bank.asked()
    reply = bank.ask(asked)
    power = bank.relay.holders["power"]
    for reader in (power.keys.own(EPOCH), bank.tax.keys.own(EPOCH)):
        context = Context(MODEL, "scores", EPOCH, f"answer {ID}", "tax", reader.institution)
        with pytest.raises(Exception, match="envelope"):
            list(open_sealed(reader, bank.tax.key(EPOCH), context, reply.envelope))


def test_keys_of_a_week_that_is_long_over_are_not_used(world):
    clock = Clock(NOW)
    bank = Bank(world, clock)
    asked, envelope = bank.asked(), None
    envelope = bank.sealed(asked.to_bytes())
    clock.now = NOW + 2 * WEEK
    assert bank.ask(asked, envelope=envelope).code in ("envelope", "keys")
    bank.relay.close()
