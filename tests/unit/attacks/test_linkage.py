"""Guesses of names by classes: what the hub knows anyway is in the chance that it is held against."""

import hashlib
from types import SimpleNamespace

import pytest

from fedrisk.attacks.linkage import named

IDS = [f"E{k}" for k in range(6)]
STUDY = SimpleNamespace(study=SimpleNamespace(digest=lambda: "digest"))


def opaque(name):
    return hashlib.sha256(b"a key that nobody has" + name.encode()).digest()


def test_chance_is_the_number_of_classes_over_the_customers():
    """Three of the bank's four customers are on the holder's list, where one name more is: 3/4 and 1/2 right."""
    bank, tax = ["E0", "E1", "E2", "E3"], ["E0", "E1", "E2", "E4"]
    seen = {"alfa": [opaque(i) for i in bank], "tax": [opaque(i) for i in tax]}
    guess, chance = named(STUDY, seen, "alfa", {"tax": set(tax)}, IDS)
    assert chance == pytest.approx((3 / 4 + 1 / 2) / 4)
    assert set(guess) == set(seen["alfa"])
    # A guess is on the same lists as the pseudonym.
    assert all((guess[opaque(i)] in tax) == (i in tax) for i in bank)


@pytest.mark.parametrize("salt", ["", "digest"])
def test_hashes_without_a_key_are_named(salt):
    seen = {"alfa": [hashlib.sha256(f"{salt}{i}".encode()).digest() for i in IDS], "tax": []}
    guess, _ = named(STUDY, seen, "alfa", {"tax": set()}, IDS)
    assert list(guess.values()) == IDS
