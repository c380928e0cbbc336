"""The outlet: paid before noise, all noise before anything leaves, on the disk before it is sent, and sent once."""

import math

import numpy as np
import pytest

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges, Noise
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.errors import BudgetError, PolicyError, ProtocolError
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.policy import Policy
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import load_study
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block, Planned, Release

ATTEMPT = "0123456789abcdef"
REQUEST = Payload({"attempt": ATTEMPT, "release": "counts"})
EXACT = np.array([10, 20, 30])


def block(name="bank", *, sigma=4.0, **more):
    return Block(name=name, left="bank", right="bank", shape=(3,), sigma={"bank": sigma}, **more)


def made(*blocks, name="counts", mu=0.5, population="training", draws=1):
    return Release(
        name=name,
        population=population,
        mu=mu,
        ring="uint32",
        scale_bits=0,
        blocks=blocks or (block(),),
        draws=draws,
    )


@pytest.fixture
def node(consortium):
    return Node.open(consortium.paths["bank"])


@pytest.fixture
def begin(node, consortium):
    """Begins an attempt at the tiny study whose plan may cost mu 1 in all."""

    def begin(*, research_seed=None, price=1.0, attempt=ATTEMPT, study=None):
        study = study or load_study(consortium.study_file)
        # As each message does before anything is done with it.
        node.trail.append(
            [{"attempt": attempt, "action": "describe", "event": "request", "counterparty": "hub"}]
        )
        state = node.store.begin(
            attempt, Begun(study=study.model_dump(mode="json"), research_seed=research_seed)
        )
        planned = (Planned(name="counts", population="training", mu=0.5),)
        state.save(Plan(planned=planned, price={"bank": price}))
        return Attempt(node, state)

    return begin


def plain(block, noise):
    return noise.add(block, EXACT)


def test_order_policy_debit_noise_mask_commit(begin, monkeypatch):
    order = []

    def watch(owner, name, word):
        original = getattr(owner, name)

        def watched(*arguments, **more):
            order.append(word)
            return original(*arguments, **more)

        monkeypatch.setattr(owner, name, watched)

    watch(Policy, "check", "policy")
    watch(Ledger, "debit", "debit")
    watch(outlet, "discrete_gaussian", "noise")
    watch(Ledger, "commit", "commit")

    def mask(block, part):
        order.append("mask")
        return part

    answer = outlet.release(begin(), made(), REQUEST, plain, mask)
    assert order == ["policy", "debit", "noise", "mask", "commit"]
    assert list(answer.blobs) == ["bank"]


def test_what_leaves_is_noisy_and_carries_its_price(begin, node):
    answer = outlet.release(begin(), made(block(sigma=1000.0)), REQUEST, plain)
    sent = answer.array("bank").astype(np.int64)
    assert answer.array("bank").dtype == np.uint32
    assert (sent != EXACT).any()  # three draws of 0 have a chance of 6e-11
    spend = answer.get("spend")
    assert (spend["release"], spend["mu"], spend["institution"], spend["population"]) == (
        "counts",
        0.5,
        "bank",
        "training",
    )
    assert node.ledger.spent() == pytest.approx(0.5)
    assert outlet.charged(begin(), "counts")
    assert not outlet.charged(begin(), "gram")


@pytest.mark.parametrize(("first", "second"), [("training", "all"), ("holdout", "all"), ("all", "holdout")])
def test_a_release_of_all_counts_for_both_populations_of_the_budget(begin, node, first, second):
    outlet.release(begin(), made(name="one", mu=0.8, population=first), REQUEST, plain)
    with pytest.raises(BudgetError, match="the study has"):
        outlet.release(begin(), made(name="two", mu=0.7, population=second), REQUEST, plain)
    outlet.release(begin(), made(name="two", mu=0.59, population=second), REQUEST, plain)
    assert node.ledger.spent() == pytest.approx(math.hypot(0.8, 0.59))


def test_asked_again_the_same_bytes_return_and_cost_nothing(begin, node):
    first = outlet.release(begin(), made(block(sigma=1000.0)), REQUEST, plain)

    def never(block, noise):
        raise AssertionError("a part was computed a second time")

    again = outlet.release(begin(), made(block(sigma=1000.0)), REQUEST, never)
    assert again.array("bank").tobytes() == first.array("bank").tobytes()
    assert again.body == first.body
    assert node.ledger.spent() == pytest.approx(0.5)
    assert len(node.ledger.entries()) == 1


def test_the_same_release_for_another_request_is_refused(begin, node):
    outlet.release(begin(), made(), REQUEST, plain)
    with pytest.raises(ProtocolError):
        outlet.release(begin(), made(), Payload({**REQUEST.body, "rows": 3}), plain)
    assert len(node.ledger.entries()) == 1


@pytest.mark.parametrize("draws", [1, 2])
def test_a_part_that_draws_too_little_noise_is_refused_and_nothing_is_sent(begin, node, draws):
    attempt = begin()

    def lazy(block, noise):
        for _ in range(draws - 1):
            noise.add(block, EXACT)
        return EXACT

    with pytest.raises(
        ProtocolError, match="block bank of release counts has not all its noise; nothing is sent"
    ):
        outlet.release(attempt, made(draws=draws), REQUEST, lazy)
    (entry,) = node.ledger.entries()
    assert entry.committed is None
    assert node.ledger.answer(f"{ATTEMPT}:counts") is None
    assert node.ledger.spent() == pytest.approx(0.5)  # reserved: noise may have been drawn


def test_one_lazy_block_keeps_the_others_back_too(begin, node):
    def lazy(block, noise):
        return plain(block, noise) if block.name == "one" else EXACT

    with pytest.raises(ProtocolError, match="block two of release counts"):
        outlet.release(begin(), made(block("one"), block("two")), REQUEST, lazy)
    assert node.ledger.answer(f"{ATTEMPT}:counts") is None


@pytest.mark.parametrize("draws", [1, 3])
def test_a_part_that_draws_more_than_was_paid_for_is_refused(begin, node, draws):
    def greedy(block, noise):
        for _ in range(draws):
            out = noise.add(block, EXACT)
        noise.add(block, EXACT)
        return out

    with pytest.raises(ProtocolError, match=rf"release counts was paid for {draws} draw\(s\) of noise"):
        outlet.release(begin(), made(draws=draws), REQUEST, greedy)
    assert node.ledger.answer(f"{ATTEMPT}:counts") is None


def test_several_draws_that_were_paid_for_leave_as_one(begin):
    def steps(block, noise):
        return noise.add(block, EXACT) + noise.add(block, EXACT)

    seeded = begin(research_seed=3)
    answer = outlet.release(seeded, made(draws=2), REQUEST, steps)
    assert np.abs(answer.array("bank").astype(np.int32) - 2 * EXACT).max() < 100


def test_noise_cannot_be_had_without_a_debit(begin, node):
    attempt = begin()
    with pytest.raises(ProtocolError, match="noise of release counts was asked for before it was paid"):
        Noise(attempt, made())
    outlet.release(attempt, made(), REQUEST, plain)
    with pytest.raises(ProtocolError, match="noise of release gram was asked for before it was paid"):
        Noise(attempt, made(name="gram"))


def test_a_policy_that_refuses_is_asked_before_anything_is_paid(begin, node, consortium):
    attempt = begin(study=load_study(consortium.study_file, ["purpose=marketing"]))
    with pytest.raises(PolicyError, match="purpose marketing"):
        outlet.release(attempt, made(), REQUEST, plain)
    assert node.ledger.entries() == ()
    assert attempt.state.find(Charges) is None


def test_a_hub_that_asks_for_more_than_was_agreed_pays_nothing_and_gets_nothing(begin, node):
    attempt = begin(price=0.6)
    outlet.release(attempt, made(mu=0.5), REQUEST, plain)
    # sqrt(.5^2 + .4^2) = .64 is above .6; the other population has its whole price left.
    with pytest.raises(BudgetError, match=r"release gram would bring this attempt to mu 0\.6403"):
        outlet.release(attempt, made(name="gram", mu=0.4), REQUEST, plain)
    outlet.release(attempt, made(name="evaluation", mu=0.6, population="holdout"), REQUEST, plain)
    assert [e.spend.release for e in node.ledger.entries()] == ["counts", "evaluation"]


def test_a_full_ledger_refuses_before_noise_is_drawn(begin, node, monkeypatch):
    monkeypatch.setattr(outlet, "discrete_gaussian", lambda *_, **__: pytest.fail("noise was drawn"))
    with pytest.raises(BudgetError, match="privacy budget"):
        outlet.release(begin(price=1000.0), made(mu=500.0), REQUEST, plain)
    assert node.ledger.entries() == ()


def test_no_noise_is_for_research_runs_alone(begin, node):
    exact = made(block(sigma=0.0))
    with pytest.raises(ProtocolError, match="without noise is for research runs only"):
        outlet.release(begin(), exact, REQUEST, plain)
    assert node.ledger.answer(f"{ATTEMPT}:counts") is None
    other = begin(research_seed=1, attempt="f" * 16)
    assert outlet.release(other, exact, REQUEST, plain).array("bank").tolist() == EXACT.tolist()
    assert node.ledger.spent() == pytest.approx(0.5)  # of the first, which was debited


def test_exact_figures_leave_in_research_runs_alone(begin, node):
    def answer():
        return Payload({"auc": 0.5})

    with pytest.raises(ProtocolError, match="exact figures are for research runs only"):
        outlet.release_exact(begin(), made(), REQUEST, answer)
    assert node.ledger.entries() == ()
    told = outlet.release_exact(begin(research_seed=1, attempt="f" * 16), made(), REQUEST, answer)
    assert told.get("auc") == 0.5
    (entry,) = node.ledger.entries()
    assert entry.spend.research and entry.spend.price == math.inf


def test_a_charge_sends_nothing_but_its_price(begin, node):
    release = Release(name="external", population="training", mu=0.5, ring="uint64", scale_bits=0, blocks=())
    answer = outlet.charge(begin(), release, REQUEST)
    assert (list(answer.body), dict(answer.blobs)) == (["spend"], {})
    assert outlet.charge(begin(), release, REQUEST).body == answer.body
    assert node.ledger.spent() == pytest.approx(0.5)


def test_research_noise_repeats_and_differs_between_blocks(begin):
    release = made(block("one", sigma=1000.0), block("two", sigma=1000.0))
    first, again, other = (
        outlet.release(begin(research_seed=seed, attempt=attempt), release, REQUEST, plain)
        for seed, attempt in ((1, "a" * 16), (1, "b" * 16), (2, "c" * 16))
    )
    assert first.array("one").tolist() == again.array("one").tolist() != other.array("one").tolist()
    assert first.array("one").tolist() != first.array("two").tolist()


def test_the_very_noise_of_another_block_is_in_this_one_too(begin):
    """With (N1 + z1) and (N + z1 + z0) the difference holds z0 alone: deviation 0 here, so it is exact."""
    one, both = block("tax", sigma=1000.0), block("tax.all", sigma=0.0, with_noise_of="tax")
    answer = outlet.release(begin(research_seed=1), made(one, both), REQUEST, plain)
    assert answer.array("tax").tolist() == answer.array("tax.all").tolist() != EXACT.tolist()


def test_a_block_of_others_is_left_to_them(begin):
    others = Block(name="tax", left="tax", right="tax", shape=(3,), sigma={"tax": 4.0})
    answer = outlet.release(begin(), made(block(), others), REQUEST, plain)
    assert list(answer.blobs) == ["bank"]
