"""What the dealing hub knows of a product, by the product's own functions; and whether its guesses see what there is."""

import numpy as np
import pytest

from fedrisk.attacks.dealing_hub import digit_counts, guesses, inverse
from fedrisk.attacks.dealt import Dealt
from fedrisk.attacks.intervals import deviation, share
from fedrisk.releases.release import Product
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.product import Shape, deal, left_share, mask

LABEL = Label(
    study="s", attempt="a", release="counts", sender="tax", counterparty="alfa", bank_list="alfa", matrix="m"
)
SHAPE = Shape(40, 12, 1, "uint32")
LEFT, RIGHT = bytes(range(32)), bytes(range(1, 33))


def product(received, y):
    """The product as the hub knows it, with what the left party sent."""
    from dataclasses import replace

    def drawn(secret, role, shape):
        return expand(secret, replace(LABEL, role=role, block=0), shape, "uint32")

    r, s, t = drawn(LEFT, "R", (40, 12)), drawn(RIGHT, "S", (40, 1)), drawn(RIGHT, "T", (12, 1))
    return Dealt("counts", Product("m", "alfa", "tax", "alfa"), r, s, t, received)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).integers(0, 2, (40, 1)).astype(np.uint32)


@pytest.fixture(scope="module")
def bare(labels):
    """The left party's share as it would leave without masks."""
    correction = deal(LEFT, RIGHT, LABEL, SHAPE)
    masked = mask(RIGHT, LABEL, "right", [labels], SHAPE)
    return left_share(LEFT, LABEL, correction, masked, SHAPE)


def test_the_hub_knows_a_bare_share_for_any_labels_that_it_suspects(bare, labels):
    assert (product(bare, labels).bare(labels) == bare).all()
    other = labels.copy()
    other[3] ^= 1
    assert (product(bare, labels).bare(other) != bare).all()


def test_every_guess_is_right_of_a_bare_share_with_noise(bare, labels):
    rng = np.random.default_rng(2)
    noisy = bare + rng.integers(-50, 50, bare.shape).astype(np.uint32)
    assert all(guesses(product(noisy, labels), labels, rng)) and len(bare) == 12


def test_guesses_of_a_share_under_a_mask_are_those_of_a_coin(bare, labels):
    """Six thousand guesses with a fixed seed: about half are right."""
    rng, right = np.random.default_rng(3), []
    for _ in range(500):
        masked = bare + rng.integers(0, 2**32, bare.shape, dtype=np.uint32)
        right += guesses(product(masked, labels), labels, rng)
    found = share(sum(right), len(right))
    assert found.low < 0.5 < found.high and found.high - found.low < 0.06


def test_digits_are_halves_of_bytes():
    assert digit_counts([np.array([0x1234], np.uint16)])[[1, 2, 3, 4]].tolist() == [1, 1, 1, 1]


def test_noise_of_twice_the_deviation_spends_half_the_mu():
    one = inverse(deviation(np.array([2.0, -2.0, 2.0, -2.0])), 4.0)
    assert one.value == pytest.approx(2.0) and one.low < 2.0 < one.high
