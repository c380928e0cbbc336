"""Keyed hashes of pseudonyms, against hashlib one by one."""

import hashlib

import numpy as np

from fedrisk.alignment.keyed_hash import keyed_hashes


def _by_hand(value, key, purpose):
    digest = hashlib.blake2b(bytes(value), key=key, digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "little")


def test_each_pseudonym_is_hashed_by_itself():
    pseudonyms = np.random.default_rng(1).integers(0, 256, (20, 32), dtype=np.uint8)
    pseudonyms[0] = 0
    pseudonyms[1, -5:] = 0  # zeros at the end belong to a pseudonym
    for purpose in (b"", b"fedrisk/sample"):
        expected = [_by_hand(v, b"k" * 32, purpose) for v in pseudonyms]
        assert keyed_hashes(pseudonyms, b"k" * 32, purpose).tolist() == expected


def test_every_second_row_and_none():
    pseudonyms = np.random.default_rng(2).integers(0, 256, (6, 32), dtype=np.uint8)
    all_of_them = keyed_hashes(pseudonyms, b"k" * 16)
    assert keyed_hashes(pseudonyms[::2], b"k" * 16).tolist() == all_of_them[::2].tolist()
    assert keyed_hashes(pseudonyms[:0], b"k" * 16).shape == (0,)
