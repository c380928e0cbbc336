"""Double masks: exact totals whoever is lost, nothing opened twice, wrong shares noticed."""

import json
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import EnvelopeError, PeerError, ProtocolError, StoreError
from fedrisk.secure import double_mask as dm
from fedrisk.secure import step_keys
from fedrisk.secure.double_mask import Record, Revealed, Terms
from fedrisk.secure.identity import EphemeralKey, IdentityKey, SignedKey, pair_secret
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.masked_sum import pair_mask

DIGEST = "d" * 64
SIZE = 5


class Group:
    """All trainers of one attempt, with what each one keeps and what the hub relays."""

    def __init__(self, n, steps=1, threshold=None, attempt="1"):
        self.terms = Terms.of(DIGEST, attempt, [f"b{i}" for i in range(n)], steps, threshold)
        self.names = self.terms.trainers
        self.identities = {name: IdentityKey.generate() for name in self.names}
        self.prepared = {name: dm.prepare(self.identities[name], name, self.terms) for name in self.names}
        self.keys = {
            name: dm.verify_keys(p.keys, self.identities[name].public, name, self.terms)
            for name, p in self.prepared.items()
        }
        self.held = {
            me: dm.hold(me, self.terms, {d: p.bundles[me] for d, p in self.prepared.items()})
            for me in self.names
        }
        self.records = dict.fromkeys(self.names, Record())

    def mask(self, name, values, step=0):
        own = self.prepared[name].secrets
        out, self.records[name] = dm.masked(values, own, self.keys, self.terms, step, self.records[name])
        return out

    def reveal(self, name, survivors, step=0):
        lost = set(self.names) - set(survivors)
        answer, self.records[name] = dm.reveal(
            self.held[name], name, self.terms, step, survivors, lost, self.records[name]
        )
        return answer

    def recover(self, vectors, answers, step=0):
        return dm.recover(self.terms, self.keys, step, vectors, answers)


def values_of(names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 2**64, SIZE, np.uint64) for name in names}


def total_of(values, names):
    return sum((values[name] for name in names), np.zeros(SIZE, np.uint64))


def subsets(names, least):
    return chain.from_iterable(combinations(names, k) for k in range(least, len(names) + 1))


GROUPS = {n: Group(n, steps=2) for n in (3, 4, 5, 6)}  # dealt once; records are set back before each use


def fresh(n):
    GROUPS[n].records = dict.fromkeys(GROUPS[n].names, Record())
    return GROUPS[n]


def test_masks_by_hand():
    """Three trainers: value + own stream + stream with the later names - stream with the earlier ones."""
    group = fresh(3)
    values = values_of(group.names)
    own = group.prepared["b1"].secrets
    key = EphemeralKey("b1", DIGEST, "1", own.privates[1])
    label = Label(
        study=DIGEST,
        attempt="1",
        release="step 1",
        sender="",
        counterparty="",
        bank_list="",
        matrix="double mask",
    )
    expected = values["b1"] + expand(
        own.seeds[1], replace(label, sender="b1", counterparty="b1", role="self"), (SIZE,), "uint64"
    )
    for other, sign in (("b0", -1), ("b2", 1)):
        shared = pair_secret(key, SignedKey(other, DIGEST, "1", group.keys[other].publics[1], b""))
        first, second = sorted(("b1", other))
        stream = expand(
            shared, replace(label, sender=first, counterparty=second, role="Z"), (SIZE,), "uint64"
        )
        expected = expected + stream if sign > 0 else expected - stream
    assert np.array_equal(group.mask("b1", values["b1"], 1), expected)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_every_pattern_of_losses_gives_the_exact_total(n):
    """All sets of survivors, and for each the smallest and largest sets that answer the unmasking."""
    group = fresh(n)
    values = values_of(group.names)
    vectors = {name: group.mask(name, values[name]) for name in group.names}
    after = group.records
    for survivors in subsets(group.names, group.terms.threshold):
        group.records = dict(after)
        answers = {name: group.reveal(name, survivors) for name in survivors}
        seen = {name: vectors[name] for name in survivors}
        for answering in (survivors, survivors[-group.terms.threshold :]):
            total = group.recover(seen, {name: answers[name] for name in answering})
            assert np.array_equal(total, total_of(values, survivors))


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 6), st.data())
def test_losses_at_either_round_of_two_steps(n, data):
    """Lost before the vector, lost after it, back at the next step; totals stay exact or are not opened."""
    group = fresh(n)
    for step in (0, 1):
        survivors = data.draw(st.sets(st.sampled_from(group.names), min_size=1), "vectors")
        answering = data.draw(st.sets(st.sampled_from(sorted(survivors))), "answers")
        values = values_of(group.names, data.draw(st.integers(0, 9)))
        vectors = {name: group.mask(name, values[name], step) for name in survivors}
        if len(survivors) < group.terms.threshold:
            for name in survivors:
                with pytest.raises(ProtocolError, match="survive"):
                    group.reveal(name, survivors, step)
            with pytest.raises(PeerError):
                group.recover(vectors, {}, step)
            continue
        answers = {name: group.reveal(name, survivors, step) for name in answering}
        if len(answering) < group.terms.threshold:
            with pytest.raises(PeerError, match="needed"):
                group.recover(vectors, answers, step)
        else:
            total = group.recover(vectors, answers, step)
            assert np.array_equal(total, total_of(values, survivors))


def test_two_trainers_sum_but_recover_nothing():
    group = Group(2)
    values = values_of(group.names)
    vectors = {name: group.mask(name, values[name]) for name in group.names}
    assert not any(np.array_equal(vectors[name], values[name]) for name in group.names)
    # the pair masks cancel, the self masks do not: nothing is open before the unmasking
    assert not np.array_equal(sum(vectors.values()), total_of(values, group.names))
    with pytest.raises(ProtocolError, match="survive"):
        group.reveal("b0", ["b0"])
    answers = {name: group.reveal(name, group.names) for name in group.names}
    assert np.array_equal(group.recover(vectors, answers), total_of(values, group.names))
    with pytest.raises(PeerError):
        group.recover(vectors, {"b0": answers["b0"]})


def test_a_late_vector_stays_masked_by_the_seed_that_nobody_revealed():
    """The hub uses all it saw: every answer, every vector, the late one too."""
    group = fresh(4)
    values = values_of(group.names)
    vectors = {name: group.mask(name, values[name]) for name in group.names}
    late, survivors = "b3", ("b0", "b1", "b2")
    answers = {name: group.reveal(name, survivors) for name in survivors}
    assert np.array_equal(
        group.recover({name: vectors[name] for name in survivors}, answers), total_of(values, survivors)
    )
    # no share of the late one's seed is among the answers, and of no survivor a share of its key
    assert all(late not in a.seed_shares and set(a.key_shares) == {late} for a in answers.values())
    secret_seed = group.prepared[late].secrets.seeds[0]
    shares = {name: group.held[name][late][32:64] for name in group.names}  # of step 0, known to no hub
    seen = [s for a in answers.values() for kind in (a.seed_shares, a.key_shares) for s in kind.values()]
    assert not set(seen) & {secret_seed, *shares.values()}
    # the hub's best: it can rebuild the late one's key and so all its pair masks, and no more than that
    used = survivors[: group.terms.threshold]
    private = step_keys.combine(
        [group.names.index(n) + 1 for n in used], [answers[n].key_shares[late] for n in used], late, 0
    )
    assert private == group.prepared[late].secrets.privates[0]
    key = EphemeralKey(late, DIGEST, "1", private)
    peeled = vectors[late] - dm._pair_masks(key, survivors, group.keys, group.terms, 0, (SIZE,))
    mask = peeled - values[late]
    assert np.array_equal(mask, dm._self_mask(late, secret_seed, group.terms, 0, (SIZE,)))
    assert mask.all()  # a zero by chance: 5 / 2**64
    # with the opened total and the others' seeds there is still one unknown stream for the one unknown value:
    # any other value explains the view with another stream
    other = values_of([late], seed=9)[late]
    assert np.array_equal(other + (peeled - other), peeled)
    # and no node gives the share that is missing
    for name in survivors:
        with pytest.raises(ProtocolError, match="never both"):
            group.reveal(name, group.names)


def test_fewer_shares_than_the_threshold_fit_every_secret():
    """For t - 1 shares of any one secret there is a polynomial for every other secret as well."""
    group = fresh(5)  # t = 4
    shares = [group.held[name]["b0"][32:48] for name in group.names[:3]]  # first half of the seed
    for guess in (bytes(16), b"x" * 16):
        points = [(0, guess), *enumerate(shares, 1)]
        # interpolate at 4: Shamir.combine gives the value at 0, so move every point by 4 (addition is xor)
        fourth = Shamir.combine([(x ^ 4, y) for x, y in points], ssss=False)
        assert Shamir.combine([*enumerate(shares, 1), (4, fourth)], ssss=False) == guess


def test_what_is_opened_for_one_step_opens_no_other():
    group = Group(3, steps=3)
    for p in group.prepared.values():
        assert len(set(p.secrets.seeds)) == len(set(p.secrets.privates)) == 3
    seeds = [seed for p in group.prepared.values() for seed in p.secrets.seeds]
    publics = [key for k in group.keys.values() for key in k.publics]
    assert len(set(seeds)) == len(set(publics)) == 9
    values = values_of(group.names)
    first, second = (group.mask("b2", values["b2"], step) for step in (0, 1))
    assert (first != second).all()
    for step in (0, 1):
        for name in ("b0", "b1"):
            group.mask(name, values[name], step)
    answers = {name: group.reveal(name, ["b0", "b1"], 0) for name in ("b0", "b1")}
    private = step_keys.combine([1, 2], [answers[n].key_shares["b2"] for n in ("b0", "b1")], "b2", 0)
    key = EphemeralKey("b2", DIGEST, "1", private)
    assert key.public == group.keys["b2"].publics[0]
    assert key.public not in group.keys["b2"].publics[1:]
    wrong = pair_mask(
        {n: pair_secret(key, SignedKey(n, DIGEST, "1", group.keys[n].publics[1], b"")) for n in ("b0", "b1")},
        "b2",
        dm._label(group.terms, 1),
        (SIZE,),
        "uint64",
    )
    right = second - dm._self_mask("b2", group.prepared["b2"].secrets.seeds[1], group.terms, 1, (SIZE,))
    assert (right - wrong != values["b2"]).all()


def test_a_vector_is_uniform_without_its_seed():
    """Zeros under the masks: with all pair masks taken away, bytes of the stream alone are left."""
    from scipy.stats import chisquare

    group = fresh(3)
    out, _ = dm.masked(
        np.zeros(20_000, np.uint64), group.prepared["b0"].secrets, group.keys, group.terms, 0, Record()
    )
    key = EphemeralKey("b0", DIGEST, "1", group.prepared["b0"].secrets.privates[0])
    peeled = out - dm._pair_masks(key, ["b1", "b2"], group.keys, group.terms, 0, out.shape)
    for left in (out, peeled):  # fresh keys each run: each fails with probability 5e-7
        assert chisquare(np.bincount(left.view(np.uint8), minlength=256)).pvalue > 5e-7


# What a node refuses.


def masked_group(n=4):
    group = fresh(n)
    values = values_of(group.names)
    return group, {name: group.mask(name, values[name]) for name in group.names}


def test_a_second_unmasking_with_other_lists_is_refused_and_the_same_one_is_answered_alike():
    group, _ = masked_group()
    first = group.reveal("b0", ["b0", "b1", "b2"])
    record = group.records["b0"]
    assert group.reveal("b0", ["b2", "b1", "b0"]) == first
    assert group.records["b0"] == record
    for survivors in (["b0", "b1", "b3"], ["b0", "b2", "b3"], list(group.names)):
        with pytest.raises(ProtocolError, match="never both"):
            group.reveal("b0", survivors)
    assert group.records["b0"] == record


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.sampled_from(["b0", "b1", "b2", "b3", "b4"])), max_size=8))
def test_no_node_ever_gives_both_shares_of_one_trainer(requests):
    group, _ = masked_group(5)
    for name in group.names:
        seeds, keys = set(), set()
        for survivors in requests:
            try:
                answer = group.reveal(name, survivors)
            except ProtocolError:
                continue
            seeds |= set(answer.seed_shares)
            keys |= set(answer.key_shares)
        assert not seeds & keys


def test_a_hub_that_lies_gets_a_smaller_total_but_no_single_vector():
    """The limit that the module states: 5 trainers, t = 3, other lists for each node; s = 2 are opened."""
    group = Group(5, threshold=3)
    values = values_of(group.names)
    vectors = {name: group.mask(name, values[name]) for name in group.names}
    named_lost = {"b0": "b2 b3", "b1": "b4", "b2": "b3 b4", "b3": "b2 b4", "b4": "b2 b3"}
    answers = {
        name: group.reveal(name, set(group.names) - set(lost.split())) for name, lost in named_lost.items()
    }
    keys = {w: [n for n in group.names if w in answers[n].key_shares] for w in group.names}
    seeds = {w: [n for n in group.names if w in answers[n].seed_shares] for w in group.names}
    assert all(len(keys[w]) < 3 or len(seeds[w]) < 3 for w in group.names)  # 2 t > n: never both
    opened = [w for w in group.names if len(seeds[w]) >= 3]
    assert opened == ["b0", "b1"] and all(len(keys[w]) == 3 for w in ("b2", "b3", "b4"))
    chosen = {
        name: Revealed(
            name,
            0,
            {w: answers[seeds[w][i]].seed_shares[w] for w in opened},
            {w: answers[keys[w][i]].key_shares[w] for w in ("b2", "b3", "b4")},
        )
        for i, name in enumerate(["b0", "b1", "b2"])
    }
    total = np.zeros(SIZE, np.uint64)
    for w in opened:
        points = [group.names.index(n) + 1 for n in seeds[w][:3]]
        seed = step_keys.combine(points, [a.seed_shares[w] for a in chosen.values()], w, 0)
        total += vectors[w] - dm._self_mask(w, seed, group.terms, 0, (SIZE,))
    for w in ("b2", "b3", "b4"):
        points = [group.names.index(n) + 1 for n in keys[w]]
        private = step_keys.combine(points, [a.key_shares[w] for a in chosen.values()], w, 0)
        key = EphemeralKey(w, DIGEST, "1", private)
        total += dm._pair_masks(key, opened, group.keys, group.terms, 0, (SIZE,))
    assert np.array_equal(
        total, total_of(values, opened)
    )  # too little noise: hence the honest-hub assumption
    # at the default threshold every list has one lost at most, and what comes open is 4 of 5 as stated
    assert group.terms.threshold < dm.default_threshold(5) == 4


def test_lists_that_are_refused():
    group, _ = masked_group()
    held, terms, record = group.held["b0"], group.terms, group.records["b0"]

    def ask(survivors, lost, record=record, step=0):
        return dm.reveal(held, "b0", terms, step, survivors, lost, record)

    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2", "b3"], ["b3"])
    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2"], [])
    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2"], ["b3", "x"])
    with pytest.raises(ProtocolError, match="at least 3"):
        ask(["b0", "b1"], ["b2", "b3"])
    with pytest.raises(ProtocolError, match="not among the survivors"):
        ask(["b1", "b2", "b3"], ["b0"])
    with pytest.raises(ProtocolError, match="not among the survivors"):
        ask(group.names, [], Record())  # it sent nothing in this step
    with pytest.raises(ProtocolError, match="steps 0 to 1"):
        ask(group.names, [], step=2)
    with pytest.raises(ProtocolError, match="not among the trainers"):
        dm.reveal(held, "x", terms, 0, group.names, [], record)


def test_vectors_that_are_refused():
    group, _ = masked_group()
    own, values = group.prepared["b0"].secrets, np.zeros(SIZE, np.uint64)
    with pytest.raises(ProtocolError, match="masked before"):
        group.mask("b0", values)
    with pytest.raises(ProtocolError, match="uint64"):
        group.mask("b0", np.zeros(SIZE, np.int64), 1)
    with pytest.raises(ProtocolError, match="steps 0 to 1"):
        group.mask("b0", values, 2)
    with pytest.raises(ProtocolError, match="missing for a trainer"):
        dm.masked(values, own, {"b0": group.keys["b0"]}, group.terms, 1, Record())
    with pytest.raises(ProtocolError, match="another study or attempt"):
        dm.masked(values, replace(own, attempt="2"), group.keys, group.terms, 1, Record())
    swapped = {**group.keys, "b0": group.keys["b1"]}
    with pytest.raises(EnvelopeError, match="not the ones it sent"):
        dm.masked(values, own, swapped, group.terms, 1, Record())


# What the hub refuses.


@pytest.mark.parametrize("kind", ["seed_shares", "key_shares"])
@pytest.mark.parametrize("place", [0, 15, 16, 31])
def test_a_changed_share_gives_an_error_and_no_total(kind, place):
    group, vectors = masked_group()
    survivors = ["b0", "b1", "b2"]
    answers = {name: group.reveal(name, survivors) for name in survivors}
    shares = dict(getattr(answers["b1"], kind))
    name = next(iter(shares))
    changed = bytearray(shares[name])
    changed[place] ^= 0xFF  # not a single bit: X25519 ignores three bits of the first byte, one of the last
    answers["b1"] = replace(answers["b1"], **{kind: {**shares, name: bytes(changed)}})
    with pytest.raises(ProtocolError, match=f"of {name} reconstructed"):
        group.recover({n: vectors[n] for n in survivors}, answers)


def test_shares_of_another_step_or_trainer_are_noticed():
    group, vectors = masked_group()
    answers = {name: group.reveal(name, group.names) for name in group.names}
    answers["b1"] = replace(answers["b1"], seed_shares=answers["b2"].seed_shares)
    with pytest.raises(ProtocolError, match="reconstructed"):
        group.recover(vectors, answers)
    answers["b1"] = replace(answers["b2"])
    with pytest.raises(ProtocolError, match="other survivors or another step"):
        group.recover(vectors, answers)


def test_other_refusals_of_the_hub():
    group, vectors = masked_group()
    answers = {name: group.reveal(name, group.names) for name in group.names}
    with pytest.raises(ProtocolError, match="other survivors"):
        group.recover({n: vectors[n] for n in group.names[:3]}, answers)
    with pytest.raises(ProtocolError, match="shape"):
        group.recover({**vectors, "b0": vectors["b0"][:2]}, answers)
    with pytest.raises(ProtocolError, match="no trainer"):
        group.recover({**vectors, "x": vectors["b0"]}, answers)
    with pytest.raises(PeerError):
        group.recover({}, {})


# What is stored and sent.


def test_records_and_answers_come_back_from_json():
    group, _ = masked_group()
    answer = group.reveal("b0", ["b0", "b1", "b2"])
    record = group.records["b0"]
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    assert record == Record(frozenset({0}), {0: ("b3",)})
    assert Revealed.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    with pytest.raises(StoreError):
        Record.from_dict({"sent": [0]})
    for wrong in ({}, {**answer.to_dict(), "seed_shares": {"b0": "00"}}):
        with pytest.raises(ProtocolError):
            Revealed.from_dict(wrong)
