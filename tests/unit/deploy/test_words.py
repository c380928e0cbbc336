"""Words of fingerprints: the same for the same thing, others for another, and compared as people say them."""

import pytest

from fedrisk.deploy.words import BITS, WORDS, hub_words, institution_words, same_words, word_list, words_of
from fedrisk.errors import EnvelopeError

WANTED = "toy fame budget assume tragic ocean kid make"


def test_eight_words_of_a_list_of_2048_are_88_bits():
    assert (len(word_list()), len(set(word_list())), WORDS, BITS) == (2048, 2048, 8, 88)
    assert all(word in word_list() for word in words_of(b"a", b"b").split())


def test_words_differ_with_every_part_and_kind():
    said = [
        words_of(b"a", b"bc"),
        words_of(b"a", b"b", b"c"),
        words_of(b"ab", b"c"),
        hub_words("x", "00" * 32),
        hub_words("y", "00" * 32),
        hub_words("x", "01" * 32),
        institution_words("x", "00" * 32),
    ]
    assert len(set(said)) == len(said)


def test_all_bits_of_the_hash_are_in_the_words(monkeypatch):
    """The first word is the top eleven bits, the last the lowest."""
    import hashlib

    for number, word in ((0, "abandon"), ((1 << 88) - 1, "zoo")):
        monkeypatch.setattr(hashlib, "scrypt", lambda *a, _number=number, **k: _number.to_bytes(11, "big"))
        assert words_of.__wrapped__(b"x") == " ".join([word] * 8)
    monkeypatch.setattr(hashlib, "scrypt", lambda *a, **k: (1 << 77 | 2).to_bytes(11, "big"))
    assert words_of.__wrapped__(b"x").split()[::7] == ["ability", "able"]


@pytest.mark.parametrize(
    "given", [WANTED, WANTED.upper(), f"  {WANTED.replace(' ', ', ')}.", "1 " + WANTED.replace(" ", " - ")]
)
def test_words_are_taken_as_people_write_them(given):
    same_words(given, WANTED, "the hub")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("toy fame budget", "are 8, and 3 were given"),
        (WANTED.replace("kid", "kiddo"), "kiddo is no word of the list"),
        (WANTED.replace("kid", "kit"), "word 7 differs"),
        (" ".join(reversed(WANTED.split())), "word 1 differs"),
        ("", "0 were given"),
    ],
)
def test_other_words_are_refused_with_what_to_do(given, why):
    with pytest.raises(EnvelopeError, match=why):
        same_words(given, WANTED, "the hub")
