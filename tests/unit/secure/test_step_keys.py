"""Keys and shares of double masking: bound to their terms, stored unchanged, shared by Shamir's scheme."""

import json
from dataclasses import replace

import pytest
from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import EnvelopeError, ProtocolError, StoreError
from fedrisk.secure import step_keys as sk
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.step_keys import StepKeys, StepSecrets, Terms

DIGEST = "d" * 64
TERMS = Terms.of(DIGEST, "1", ["b0", "b1", "b2"], 2)
IDENTITIES = {name: IdentityKey.generate() for name in TERMS.trainers}
PREPARED = {name: sk.prepare(IDENTITIES[name], name, TERMS) for name in TERMS.trainers}


def test_any_threshold_of_the_shares_gives_the_secret():
    """Three trainers, t = 2: the key and the seed of each step from the shares of every two of them."""
    held = {
        me: sk.hold(me, TERMS, {dealer: p.bundles[me] for dealer, p in PREPARED.items()})
        for me in TERMS.trainers
    }
    secrets = PREPARED["b0"].secrets
    for step in (0, 1):
        for start, secret in ((0, secrets.privates[step]), (32, secrets.seeds[step])):
            first = 64 * step + start
            shares = [held[me]["b0"][first : first + 32] for me in TERMS.trainers]
            for places in ([1, 2], [1, 3], [2, 3]):
                chosen = [shares[k - 1] for k in places]
                assert sk.combine(places, chosen, "b0", step) == secret
            assert secret not in shares
    with pytest.raises(ProtocolError, match="share of b0 reconstructed for step 1"):
        sk.combine([1, 2], [bytes(32), bytes(31)], "b0", 1)


def test_public_keys_and_commitments_belong_to_the_secrets():
    secrets, keys = PREPARED["b1"].secrets, PREPARED["b1"].keys
    assert keys.publics == tuple(sk.own_key(secrets, step).public for step in (0, 1))
    assert keys.commitments == tuple(
        sk.commitment("b1", TERMS, step, seed) for step, seed in enumerate(secrets.seeds)
    )
    # the same seed under another name or step has another commitment
    seed = secrets.seeds[0]
    assert len({sk.commitment(name, TERMS, step, seed) for name in ("b0", "b1") for step in (0, 1)}) == 4


def test_places_are_those_of_the_sorted_names():
    assert [sk.place_of(name, TERMS) for name in ("b0", "b1", "b2")] == [0, 1, 2]
    with pytest.raises(ProtocolError, match="not among the trainers"):
        sk.place_of("x", TERMS)


def test_steps_have_a_range():
    TERMS.check_step(0)
    TERMS.check_step(1)
    for step in (-1, 2):
        with pytest.raises(ProtocolError, match="steps 0 to 1"):
            TERMS.check_step(step)


def test_keys_are_bound_to_name_terms_and_identity():
    keys, public, terms = PREPARED["b0"].keys, IDENTITIES["b0"].public, TERMS
    assert sk.verify_keys(StepKeys.from_dict(json.loads(json.dumps(keys.to_dict()))), public, "b0", terms)
    others = [
        replace(terms, attempt="2"),
        replace(terms, study_digest="e" * 64),
        replace(terms, threshold=3),
        replace(terms, steps=3),
        replace(terms, view="told something else"),
        replace(terms, trainers=("b0", "b1", "b2", "b3"), threshold=3),
    ]
    for other in others:
        with pytest.raises(EnvelopeError):
            sk.verify_keys(keys, public, "b0", other)
    foreign = IdentityKey.generate().public
    for wrong in (
        replace(keys, publics=keys.publics[::-1]),
        replace(keys, commitments=keys.commitments[::-1]),
        replace(keys, publics=(keys.publics[0],) * 2),
        replace(keys, publics=keys.publics[:1]),
        replace(keys, signature=bytes(64)),
        replace(keys, institution="b1"),
    ):
        with pytest.raises(EnvelopeError):
            sk.verify_keys(wrong, public, "b0", terms)
    with pytest.raises(EnvelopeError, match="pinned"):
        sk.verify_keys(keys, foreign, "b0", terms)
    with pytest.raises(EnvelopeError):
        sk.verify_keys(replace(keys, institution="b1"), public, "b1", terms)


def test_bundles_are_bound_to_dealer_recipient_and_attempt():
    right = {d: p.bundles["b0"] for d, p in PREPARED.items()}
    assert all(len(share) == 64 * 2 for share in sk.hold("b0", TERMS, right).values())
    wrong = [
        {**right, "b1": PREPARED["b1"].bundles["b2"]},
        {**right, "b1": right["b2"]},
        {**right, "b1": right["b1"][:-1]},
        {**right, "b1": b""},
        {name: right[name] for name in ("b0", "b1")},
    ]
    for bundles in wrong:
        with pytest.raises(ProtocolError, match="bundle"):
            sk.hold("b0", TERMS, bundles)
    with pytest.raises(ProtocolError, match="bundle"):
        sk.hold("b0", replace(TERMS, attempt="2"), right)


@pytest.mark.parametrize(("n", "least", "default"), [(2, 2, 2), (3, 2, 2), (4, 3, 3), (6, 4, 5), (17, 9, 12)])
def test_thresholds(n, least, default):
    names = [f"b{i:02}" for i in range(n)]
    assert Terms.of(DIGEST, "1", names, 1).threshold == default
    assert Terms.of(DIGEST, "1", names, 1, least).threshold == least
    for wrong in (0, least - 1, n + 1):
        with pytest.raises(ProtocolError, match="threshold"):
            Terms.of(DIGEST, "1", names, 1, wrong)


def test_terms_that_are_refused():
    for names in ([], ["a"]):
        with pytest.raises(ProtocolError, match="cannot mask"):
            Terms.of(DIGEST, "1", names, 1)
    with pytest.raises(ProtocolError, match="distinct"):
        Terms.of(DIGEST, "1", ["a", "a", "b"], 1)
    with pytest.raises(ProtocolError, match="sorted"):
        Terms(study_digest=DIGEST, attempt="1", trainers=("b", "a"), threshold=2, steps=1)
    with pytest.raises(ProtocolError, match="steps"):
        Terms.of(DIGEST, "1", ["a", "b"], 0)
    with pytest.raises(ProtocolError, match="trainers"):
        sk.default_threshold(0)
    with pytest.raises(ProtocolError, match="not among"):
        sk.prepare(IdentityKey.generate(), "x", Terms.of(DIGEST, "1", ["a", "b"], 1))


def test_stored_secrets_come_back_and_are_not_shown():
    secrets = PREPARED["b0"].secrets
    assert StepSecrets.from_bytes(secrets.to_bytes()) == secrets
    assert secrets.seeds[0].hex() not in repr(secrets) and repr(secrets.seeds[0]) not in repr(secrets)
    for damaged in (b"", secrets.to_bytes()[:-1], b"x" + secrets.to_bytes()):
        with pytest.raises(StoreError):
            StepSecrets.from_bytes(damaged)


def test_malformed_keys_are_refused():
    for wrong in ({}, {**PREPARED["b0"].keys.to_dict(), "signature": "00"}):
        with pytest.raises(EnvelopeError, match="send them again"):
            StepKeys.from_dict(wrong)


# The field of the library, against a multiplication written here.


def times(a, b):
    out = 0
    while b:
        out ^= a if b & 1 else 0
        a = a << 1 ^ (a >> 127) * ((1 << 128) | 0x87)
        b >>= 1
    return out


@settings(max_examples=5, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(2, 6), st.integers(0, 3))
def test_shamir_of_the_library_is_a_polynomial_over_the_field(secret, threshold, more):
    shares = Shamir.split(threshold, threshold + more, secret, ssss=False)
    assert [x for x, _ in shares] == list(range(1, threshold + more + 1))
    # Lagrange at zero by hand, over any threshold of the shares: here the last ones
    value = 0
    chosen = [(x, int.from_bytes(y, "big")) for x, y in shares[-threshold:]]
    for x, y in chosen:
        weight = 1
        for z, _ in chosen:
            if z != x:
                inverse = 1
                for _ in range(127):  # (x + z)^(2^128 - 2)
                    inverse = times(times(inverse, inverse), x ^ z)
                weight = times(weight, times(z, times(inverse, inverse)))
        value ^= times(y, weight)
    assert value.to_bytes(16, "big") == secret
    assert Shamir.combine(shares[-threshold:], ssss=False) == secret
