"""Pinned keys, signed attempt keys, pair secrets."""

from dataclasses import replace

import pytest

from fedrisk.errors import EnvelopeError, StoreError
from fedrisk.secure.identity import (
    EphemeralKey,
    IdentityKey,
    SignedKey,
    pair_secret,
    verify,
)

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def bank():
    return IdentityKey.generate()


@pytest.fixture(scope="module")
def tax():
    return IdentityKey.generate()


def test_rfc_8032_first_vector():
    key = IdentityKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901")


def test_keys_on_disk(tmp_path):
    kind = IdentityKey
    key, path = kind.generate(), tmp_path / "key"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert kind.load(path) == key
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    with pytest.raises(StoreError, match="exists"):
        kind.generate().save(path)
    assert kind.load(path) == key
    path.chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        kind.load(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(StoreError, match="holds no key"):
        kind.load(path)
    with pytest.raises(StoreError, match="cannot read"):
        kind.load(tmp_path / "absent")
    with pytest.raises(StoreError, match="cannot write"):
        key.save(tmp_path / "absent" / "key")


def test_private_bytes_are_not_shown(bank):
    own, _ = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    for key in (bank, own):
        assert "private" not in repr(key)
        assert repr(key.private) not in repr(key)


def test_signed_key_round_trip_and_verification(bank):
    own, signed = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    assert signed.public == own.public
    again = SignedKey.from_dict(signed.to_dict())
    assert again == signed
    assert verify(again, bank.public, "bank", DIGEST, "1") is again


def test_every_attempt_has_a_fresh_key(bank):
    keys = {EphemeralKey.generate(bank, "bank", DIGEST, "1")[0].private for _ in range(20)}
    assert len(keys) == 20


@pytest.mark.parametrize("change", [{"institution": "bank2"}, {"study_digest": "cd" * 32}, {"attempt": "2"}])
def test_signature_covers_the_names(bank, change):
    _, signed = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    asked = {"institution": "bank", "study_digest": DIGEST, "attempt": "1"}
    with pytest.raises(EnvelopeError, match="relayed for"):
        verify(signed, bank.public, **{**asked, **change})
    forged = replace(signed, **change)  # the text says what is wanted, but was not signed
    with pytest.raises(EnvelopeError, match="not signed"):
        verify(forged, bank.public, **{**asked, **change})


def test_signature_covers_the_key_and_needs_the_pinned_identity(bank, tax):
    _, signed = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    _, other = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    for forged, pinned in (
        (replace(signed, public=other.public), bank.public),
        (replace(signed, signature=other.signature), bank.public),
        (replace(signed, signature=bytes(64)), bank.public),
        (signed, tax.public),
        (signed, b"short"),
    ):
        with pytest.raises(EnvelopeError, match=r"bank.*not signed by its pinned"):
            verify(forged, pinned, "bank", DIGEST, "1")


def test_a_bare_signature_over_the_same_bytes_does_not_pass(bank):
    """Domain separation: a signature made for something else is no signature of an attempt key."""
    own, signed = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    bare = bank.sign(b"bank" + DIGEST.encode() + b"1" + own.public)
    with pytest.raises(EnvelopeError):
        verify(replace(signed, signature=bare), bank.public, "bank", DIGEST, "1")


@pytest.mark.parametrize(
    "change",
    [{"public": "zz"}, {"public": "00"}, {"signature": "00"}, {"signature": None}, {"attempt": 1}],
)
def test_malformed_signed_keys(bank, change):
    data = EphemeralKey.generate(bank, "bank", DIGEST, "1")[1].to_dict()
    with pytest.raises(EnvelopeError, match="signed key"):
        SignedKey.from_dict({**data, **change})
    with pytest.raises(EnvelopeError):
        SignedKey.from_dict({k: v for k, v in data.items() if k != next(iter(change))})


def test_stored_attempt_key(bank):
    own, _ = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    data = own.to_bytes()
    assert EphemeralKey.from_bytes(data) == own
    for damaged in (b"", data[:-1], data + b"\0", b"\0" + data, data.replace(b"v1", b"v2")):
        with pytest.raises(StoreError, match="damaged"):
            EphemeralKey.from_bytes(damaged)


def test_pair_secret_is_shared_and_bound(bank, tax):
    def of(attempt="1", digest=DIGEST, name="tax"):
        a = EphemeralKey.generate(bank, "bank", digest, attempt)
        b = EphemeralKey.generate(tax, name, digest, attempt)
        return a, b

    (a, a_signed), (b, b_signed) = of()
    secret = pair_secret(a, b_signed)
    assert secret == pair_secret(b, a_signed)
    assert len(secret) == 32
    # the same two key pairs under another name, study or attempt give another secret
    for change in ({"institution": "power"}, {"study_digest": "0" * 64}, {"attempt": "2"}):
        names = {k: v for k, v in change.items() if k != "institution"}
        assert pair_secret(replace(a, **names), replace(b_signed, **change)) != secret
    for change in ({"study_digest": "0" * 64}, {"attempt": "2"}):
        with pytest.raises(EnvelopeError, match="tax is for another"):
            pair_secret(a, replace(b_signed, **change))
    with pytest.raises(EnvelopeError, match="itself"):
        pair_secret(a, a_signed)
    with pytest.raises(EnvelopeError, match="itself"):
        pair_secret(a, replace(a_signed, institution="tax"))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_degenerate_keys_are_refused(bank, tax, point):
    a, _ = EphemeralKey.generate(bank, "bank", DIGEST, "1")
    _, b_signed = EphemeralKey.generate(tax, "tax", DIGEST, "1")
    with pytest.raises(EnvelopeError, match="tax is degenerate"):
        pair_secret(a, replace(b_signed, public=point))
