"""Fingerprints of keys as eight words, to be read out over the telephone.

Whoever relays a key could relay his own in its place. So two people compare words over another channel. Eight words of
the 2048 of BIP-39 (Palatinus et al. 2013) are 88 bits, and each trial costs an scrypt (RFC 7914; 2**14 rounds, 16 MB):
to find a second key with the same words takes 2**88 of these. The words stand for a hash, not for a secret.
"""

import functools
import hashlib
import re

from mnemonic import Mnemonic

from fedrisk.errors import EnvelopeError
from fedrisk.secure.keystream import encode_fields

ROUNDS = 1 << 14
"""Cost of a trial: rounds of scrypt (a power of two), with a kilobyte of memory each."""

WORDS = 8
BITS = 11 * WORDS
"""Bits of the fingerprint."""


@functools.cache
def word_list() -> tuple[str, ...]:
    """The 2048 English words of BIP-39."""
    return tuple(Mnemonic("english").wordlist)


@functools.lru_cache(maxsize=4096)
def words_of(kind: bytes, *parts: bytes) -> str:
    """Eight words for what ``parts`` are; ``kind`` keeps words of different things apart.

    >>> words_of(b"example", b"key")
    'spin album nature rural tenant nation place purchase'
    """
    salt = encode_fields(b"fedrisk words v1", kind)
    digest = hashlib.scrypt(encode_fields(kind, *parts), salt=salt, n=ROUNDS, r=8, p=1, dklen=BITS // 8)
    number = int.from_bytes(digest, "big")
    listed = word_list()
    return " ".join(listed[(number >> 11 * place) & 2047] for place in reversed(range(WORDS)))


def hub_words(consortium: str, identity: str) -> str:
    """Words of a hub: of its identity (hexadecimal) and its consortium's name."""
    return words_of(b"hub", consortium.encode(), bytes.fromhex(identity))


def institution_words(name: str, identity: str) -> str:
    """Words of an institution: of its name and identity (hexadecimal)."""
    return words_of(b"institution", name.encode(), bytes.fromhex(identity))


def same_words(given: str, wanted: str, what: str) -> None:
    """EnvelopeError unless the words that a person typed are the wanted ones; case, commas and numbers do not matter.

    what: whose words they are, for the error.
    """
    typed = re.findall(r"[a-z]+", given.lower())
    right = wanted.split()
    if typed == right:
        return
    if len(typed) != len(right):
        raise EnvelopeError(
            f"the words of {what} are {len(right)}, and {len(typed)} were given; read them all, in their order"
        )
    listed = set(word_list())
    if strange := [word for word in typed if word not in listed]:
        raise EnvelopeError(
            f"{strange[0]} is no word of the list; ask how it is spelt, and give all words again"
        )
    place = next(k for k, (one, other) in enumerate(zip(typed, right, strict=True), 1) if one != other)
    raise EnvelopeError(
        f"the words of {what} are not those that were given (word {place} differs): the file that came here is not the "
        "one that was sent, or the words were misheard. Compare again by telephone; where they still differ, throw the "
        "file away and ask how it came to differ"
    )
