"""Double masks: exact totals whoever is lost, nothing opened twice, wrong shares noticed."""

import hashlib
import json
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import EnvelopeError, PeerError, ProtocolError
from fedrisk.secure import double_mask as dm
from fedrisk.secure import step_keys
from fedrisk.secure.double_mask import Record, Revealed, Survivors, Terms
from fedrisk.secure.identity import EphemeralKey, IdentityKey, SignedKey, pair_secret
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.masked_sum import pair_mask

DIGEST = "d" * 64
SIZE = 5
BOUND = dm.weights_digest(np.zeros(2))


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
        self.pinned = {name: identity.public for name, identity in self.identities.items()}
        self.records = dict.fromkeys(self.names, Record())

    def mask(self, name, values, step=0, bound=BOUND):
        own, record = self.prepared[name].secrets, self.records[name]
        out, self.records[name] = dm.masked(values, own, self.keys, self.terms, step, record, bound)
        return out

    def lists(self, survivors, step=0):
        return Survivors.of(step, survivors, set(self.names) - set(survivors))

    def confirm(self, name, survivors, step=0):
        """A trainer's signature, as it gives it itself."""
        lists, record = self.lists(survivors, step), self.records[name]
        signature, self.records[name] = dm.confirm(self.identities[name], name, self.terms, lists, record)
        return signature

    def signed(self, survivors, step=0):
        """Signatures of all survivors, without their records: what a hub has after an honest confirmation."""
        lists = self.lists(survivors, step)
        sent = Record(sent=frozenset({step}))
        who = {n: self.identities[n] for n in survivors}
        return {n: dm.confirm(identity, n, self.terms, lists, sent)[0] for n, identity in who.items()}

    def reveal(self, name, survivors, step=0, signatures=None):
        enough = len(survivors) >= self.terms.threshold
        if signatures is None:
            signatures = self.signed(survivors, step) if enough else {}
        lists, record = self.lists(survivors, step), self.records[name]
        answer, self.records[name] = dm.reveal(
            self.held[name], name, self.terms, lists, record, signatures, self.pinned
        )
        return answer

    def recover(self, vectors, answers, step=0, bound=BOUND):
        return dm.recover(self.terms, self.keys, step, vectors, answers, bound)


def values_of(names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 2**64, SIZE, np.uint64) for name in names}


def total_of(values, names):
    return sum((values[name] for name in names), np.zeros(SIZE, np.uint64))


def label_of(group, step=0):
    return dm._label(group.terms, step, BOUND)


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
        matrix=f"double mask of {BOUND}",
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
    peeled = vectors[late] - dm._pair_masks(key, survivors, group.keys, 0, label_of(group), (SIZE,))
    mask = peeled - values[late]
    assert np.array_equal(mask, dm._self_mask(late, secret_seed, label_of(group), (SIZE,)))
    assert mask.all()  # a zero by chance: 5 / 2**64
    # with the opened total and the others' seeds there is still one unknown stream for the one unknown value:
    # any other value explains the view with another stream
    other = values_of([late], seed=9)[late]
    assert np.array_equal(other + (peeled - other), peeled)
    # and no node gives the share that is missing
    for name in survivors:
        with pytest.raises(ProtocolError, match="one list"):
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
        label_of(group, 1),
        (SIZE,),
        "uint64",
    )
    right = second - dm._self_mask("b2", group.prepared["b2"].secrets.seeds[1], label_of(group, 1), (SIZE,))
    assert (right - wrong != values["b2"]).all()


def test_a_vector_is_uniform_without_its_seed():
    """Zeros under the masks: with all pair masks taken away, bytes of the stream alone are left."""
    from scipy.stats import chisquare

    group = fresh(3)
    out, _ = dm.masked(
        np.zeros(20_000, np.uint64), group.prepared["b0"].secrets, group.keys, group.terms, 0, Record(), BOUND
    )
    key = EphemeralKey("b0", DIGEST, "1", group.prepared["b0"].secrets.privates[0])
    peeled = out - dm._pair_masks(key, ["b1", "b2"], group.keys, 0, label_of(group), out.shape)
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
        with pytest.raises(ProtocolError, match="one list"):
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


LIES = {"b0": "b2 b3", "b1": "b4", "b2": "b3 b4", "b3": "b2 b4", "b4": "b2 b3"}
"""By trainer, who was lost, as a hub says that lies: 5 trainers, t = 3. Without confirmations b0 + b1 comes open."""


def test_without_confirmations_these_lies_would_open_two_vectors():
    """What the confirmation is for: every trainer answers its list, and the sum of two of five is recovered."""
    group = Group(5, threshold=3)
    values = values_of(group.names)
    vectors = {name: group.mask(name, values[name]) for name in group.names}
    answers = {}
    for name, lost in LIES.items():
        survivors = set(group.names) - set(lost.split())
        answers[name] = group.reveal(name, survivors)  # signatures of all survivors are forged here
    keys = {w: [n for n in group.names if w in answers[n].key_shares] for w in group.names}
    seeds = {w: [n for n in group.names if w in answers[n].seed_shares] for w in group.names}
    assert all(len(keys[w]) < 3 or len(seeds[w]) < 3 for w in group.names)  # 2 t > n: never both
    opened = [w for w in group.names if len(seeds[w]) >= 3]
    assert opened == ["b0", "b1"]

    def secret(of, givers, kind):
        points = [group.names.index(n) + 1 for n in givers[:3]]
        return step_keys.combine(points, [getattr(answers[n], kind)[of] for n in givers[:3]], of, 0)

    total = np.zeros(SIZE, np.uint64)
    for w in opened:
        total += vectors[w] - dm._self_mask(w, secret(w, seeds[w], "seed_shares"), label_of(group), (SIZE,))
    for w in ("b2", "b3", "b4"):
        key = EphemeralKey(w, DIGEST, "1", secret(w, keys[w], "key_shares"))
        total += dm._pair_masks(key, opened, group.keys, 0, label_of(group), (SIZE,))
    assert np.array_equal(total, total_of(values, opened))


def test_a_hub_that_lies_gets_no_share():
    """The same lies to trainers that confirm: each signs one list, no list has three signatures, nothing is given."""
    group = Group(5, threshold=3)
    for name in group.names:
        group.mask(name, values_of(group.names)[name])
    told = {name: set(group.names) - set(lost.split()) for name, lost in LIES.items()}
    signatures = {name: group.confirm(name, told[name]) for name in group.names}
    for name in group.names:
        with pytest.raises(ProtocolError, match="have confirmed"):
            group.reveal(name, told[name], signatures=signatures)
        with pytest.raises(ProtocolError, match="one list"):
            group.reveal(name, group.names, signatures=signatures)
    # b0 and b4 were told the same; with a third signature of it they answer, and nobody else does
    group.records["b1"] = Record(sent=frozenset({0}))
    signatures["b1"] = group.confirm("b1", told["b4"])
    assert group.reveal("b4", told["b4"], signatures=signatures).key_shares.keys() == {"b2", "b3"}
    for name in ("b2", "b3"):
        with pytest.raises(ProtocolError):
            group.reveal(name, told[name], signatures=signatures)


def test_shares_of_keys_need_signatures_of_the_threshold():
    group, _ = masked_group(5)  # t = 4
    survivors = group.names[:4]
    signatures = group.signed(survivors)
    for missing in survivors:
        fewer = {n: s for n, s in signatures.items() if n != missing}
        for wrong in (fewer, {**fewer, missing: bytes(64)}, {**fewer, missing: signatures["b0"][:-1] + b"x"}):
            with pytest.raises(
                ProtocolError, match="3 trainers have confirmed the survivors of step 0 and 4"
            ):
                group.reveal("b0", survivors, signatures=wrong)
    assert 0 not in group.records["b0"].named  # a refusal leaves no mark
    assert set(group.reveal("b0", survivors, signatures=signatures).key_shares) == {"b4"}
    # where nobody is lost there is no key share, and no signature is needed
    assert not group.reveal("b1", group.names, signatures={}).key_shares


def test_weights_that_differ_leave_masks_that_do_not_cancel():
    group = fresh(3)
    values = values_of(group.names)
    other = dm.weights_digest(np.array([0.0, 1e-300]))
    told = {"b0": BOUND, "b1": BOUND, "b2": other}
    vectors = {name: group.mask(name, values[name], bound=told[name]) for name in group.names}
    answers = {name: group.reveal(name, group.names) for name in group.names}
    for bound in (BOUND, other):
        total = group.recover(vectors, answers, bound=bound)
        assert (total != total_of(values, group.names)).all()
    # the best that a hub can do: each self mask with its own label; what is left are pair masks of b2 with the rest
    peeled = {
        n: vectors[n]
        - dm._self_mask(n, group.prepared[n].secrets.seeds[0], dm._label(group.terms, 0, told[n]), (SIZE,))
        for n in group.names
    }
    assert (peeled["b2"] != values["b2"]).all()
    assert (peeled["b0"] + peeled["b1"] != total_of(values, ("b0", "b1"))).all()
    assert (sum(peeled.values()) != total_of(values, group.names)).all()


def test_the_digest_of_weights_is_that_of_their_bytes():
    weights = np.arange(3.0)
    assert dm.weights_digest(weights) == hashlib.sha256(weights.astype("<f8").tobytes()).hexdigest()
    assert dm.weights_digest(weights.astype(">f8")) == dm.weights_digest(weights)
    assert dm.weights_digest(np.arange(6.0)[::2]) == dm.weights_digest(np.array([0.0, 2.0, 4.0]))


def test_revealing_for_somebody_who_is_no_trainer():
    group, _ = masked_group()
    with pytest.raises(ProtocolError, match="not among the trainers"):
        dm.reveal(group.held["b0"], "x", group.terms, group.lists(group.names), group.records["b0"], {}, {})


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
        dm.masked(values, own, {"b0": group.keys["b0"]}, group.terms, 1, Record(), BOUND)
    with pytest.raises(ProtocolError, match="another study or attempt"):
        dm.masked(values, replace(own, attempt="2"), group.keys, group.terms, 1, Record(), BOUND)
    swapped = {**group.keys, "b0": group.keys["b1"]}
    with pytest.raises(EnvelopeError, match="not the ones it sent"):
        dm.masked(values, own, swapped, group.terms, 1, Record(), BOUND)


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


# What is sent.


def test_answers_come_back_from_json():
    group, _ = masked_group()
    answer = group.reveal("b0", ["b0", "b1", "b2"])
    assert Revealed.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    for wrong in ({}, {**answer.to_dict(), "seed_shares": {"b0": "00"}}):
        with pytest.raises(ProtocolError):
            Revealed.from_dict(wrong)
