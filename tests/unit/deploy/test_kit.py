"""Kits and requests: what is damaged, cut, edited, expired or of another hub is refused in a sentence."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from fedrisk.deploy import pki
from fedrisk.deploy.documents import at, now
from fedrisk.deploy.keys import new_node_key, node_public, node_sign, node_signed
from fedrisk.deploy.kit import Kit, Request
from fedrisk.deploy.words import hub_words
from fedrisk.errors import ConfigError, EnvelopeError, FedriskError, PolicyError
from fedrisk.secure.identity import IdentityKey

HUB, BANK, FLOWER = IdentityKey.generate(), IdentityKey.generate(), new_node_key()


def make_kit(**changes):
    _, authority = pki.new_authority("pilot")
    content = {
        "consortium": "pilot",
        "address": "hub.example:9490",
        "name": "bank",
        "role": "bank",
        "display_name": "城市银行",
        "hub": HUB.public.hex(),
        "hub_words": hub_words("pilot", HUB.public.hex()),
        "fingerprint": pki.fingerprint(authority),
        "authorities": (authority.decode(),),
        "invitation": "0123456789ab",
        "token": "00" * 16,
        "made": now(),
        "expires": at(datetime.now(UTC) + timedelta(days=1)),
    }
    return Kit(**{**content, **changes}).signed(HUB)


KIT = make_kit()
REQUEST = Request.of(KIT, BANK, FLOWER, protocols=(1,), version="0.1.0")


def test_a_kit_and_its_request_are_read_back(tmp_path):
    for document in (KIT, REQUEST):
        file = tmp_path / "f.json"
        file.write_bytes(document.to_bytes())
        assert type(document).read(file) == document
        document.verify()
        file.write_bytes(document.to_bytes().replace(b"\n", b"\r\n") + b"\r\n")
        assert type(document).read(file) == document, "a mail program changes line ends"
        assert (
            type(document).from_dict(json.loads(json.dumps(document.to_dict(), sort_keys=True))) == document
        )


def test_neither_file_holds_a_private_key():
    for document in (KIT, REQUEST):
        content = document.to_bytes()
        assert b"PRIVATE" not in content
        for secret in (HUB.private, BANK.private):
            assert secret.hex().encode() not in content
            assert secret not in content


@pytest.mark.parametrize("document", [KIT, REQUEST], ids=["kit", "request"])
def test_every_bit_flip_is_refused(document):
    """A sample of all bits: each leaves a file that is not read, or does not verify, and says so."""
    content = document.to_bytes()
    draws = random.Random(7)
    places = {*draws.sample(range(8 * len(content)), 400), *range(0, 8 * 16, 3)}
    for place in places:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        if bytes(changed).strip() == content.strip():
            continue
        with pytest.raises(FedriskError, match="[;:] |\\. "):
            type(document).from_bytes(bytes(changed), "file").verify()


@pytest.mark.parametrize("document", [KIT, REQUEST], ids=["kit", "request"])
def test_what_is_cut_off_doubled_or_spelt_otherwise_is_refused(document):
    content = document.to_bytes()
    plain = document.to_dict()
    texts = [
        b"",
        b"{}",
        b"[]",
        b"\x00" * 40,
        content[: len(content) // 2],
        content + content,
        json.dumps(plain).encode(),
        content.replace(b'"name"', b'"nam"'),
        content.replace(b"{\n", b'{\n "more": 1,\n', 1),
        content.replace(b'"format": 1', b'"format": 1.0'),
        content.replace(b'"name": "bank"', b'"name": "bank",\n "name": "bank"'),
    ]
    for text in texts:
        with pytest.raises(EnvelopeError, match="damaged, cut off or edited"):
            type(document).from_bytes(text, "the file")
    with pytest.raises(EnvelopeError, match="upgrade fedrisk here"):
        type(document).from_bytes(content.replace(b'"format": 1', b'"format": 2'), "the file")


def test_a_file_that_is_not_there_or_too_large_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nothing.json cannot be read"):
        Kit.read(tmp_path / "nothing.json")
    (tmp_path / "large").write_bytes(b" " * (1 << 21))
    with pytest.raises(EnvelopeError, match="its size"):
        Kit.read(tmp_path / "large")


@pytest.mark.parametrize(
    "change",
    [
        {"address": "evil.example:9490"},
        {"role": "authority"},
        {"name": "other"},
        {"token": "11" * 16},
        {"hub": BANK.public.hex()},
        {"consortium": "another"},
        {"expires": "2999-01-01T00:00:00Z"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_edited_kit_does_not_verify(change):
    with pytest.raises(EnvelopeError, match="not as the hub made it"):
        KIT.model_copy(update=change).verify()


def test_a_kit_whose_words_are_anothers_is_refused():
    with pytest.raises(EnvelopeError, match="words are not those of its key"):
        make_kit(hub_words=hub_words("another", HUB.public.hex())).verify()


def test_an_expired_kit_says_how_to_get_a_new_one():
    with pytest.raises(PolicyError, match="--renew"):
        make_kit(expires=at(datetime.now(UTC) - timedelta(seconds=5))).verify()
    KIT.verify(datetime.now(UTC) + timedelta(hours=23))
    with pytest.raises(PolicyError, match="expired at"):
        KIT.verify(datetime.now(UTC) + timedelta(hours=25))


@pytest.mark.parametrize(
    "change",
    [
        {"role": "authority"},
        {"name": "other"},
        {"identity": HUB.public.hex()},
        {"flower": node_public(new_node_key())},
        {"protocols": (1, 2)},
        {"fedrisk": "9"},
        {"token": "11" * 16},
        {"hub": BANK.public.hex()},
        {"signature": "00" * 64},
        {"signature_flower": "00"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_edited_request_does_not_verify_and_has_other_words(change):
    changed = REQUEST.model_copy(update=change)
    with pytest.raises(EnvelopeError, match="not signed by the two keys"):
        changed.verify()
    if not next(iter(change)).startswith("signature"):
        assert changed.words != REQUEST.words


def test_a_request_for_a_key_that_one_does_not_have_does_not_verify():
    """Someone relays another's public key as his own: he cannot sign with it."""
    statement = REQUEST.model_copy(update={"identity": HUB.public.hex()})
    with pytest.raises(EnvelopeError, match="two keys"):
        statement.model_copy(update={"signature": BANK.sign(statement.statement()).hex()}).verify()


def test_a_node_key_is_p384_in_one_spelling():
    public = node_public(FLOWER)
    assert node_signed(public, node_sign(FLOWER, b"m"), b"m")
    assert not node_signed(public, node_sign(FLOWER, b"m"), b"n")
    ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKrJDrsEXIo5sWj5vKVPY5s8C0M0OC0QZ5SDCC2zX0EO"
    for other in (f"{public} comment", ed25519, "nothing", public.replace("384", "256", 1)):
        with pytest.raises(EnvelopeError, match=r"flower"):
            Request.from_bytes(REQUEST.to_bytes().replace(public.encode(), other.encode()), "the file")
