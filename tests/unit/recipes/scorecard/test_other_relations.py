"""What the same noise hides besides a record made zero, and what it hides of whom who knows a part of the noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.analysis.card_sums import own_pairs
from fedrisk.models.pairs import pairs_sensitivity
from fedrisk.models.shape_rows import gram_sensitivity, radius_units, shape_rows
from fedrisk.privacy.accounting import mu_for
from fedrisk.recipes.scorecard.forms import counts_release
from fedrisk.study_members import BANK
from support.studies import study

SEEDS = st.integers(0, 2**32 - 1)


def counted(bins, label, features, size=4):
    """What an enterprise adds to label counts: (features, size, 2)."""
    out = np.zeros((features, size, 2))
    out[np.arange(features), bins] = (label, 1 - label)
    return out


def pair_sums(rows, owners):
    left, right = own_pairs(owners)
    return (rows[list(left)] * rows[list(right)]).astype(float)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_other_relations_cost_no_more_than_is_said(seed):
    """A label flipped sqrt(2) times, a record replaced at most twice: for counts and Gram matrix even sqrt(2) times.

    Absent at a holder means that its columns are in their bins for unknown enterprises: sqrt(2) times.
    """
    rng = np.random.default_rng(seed)
    features, label = int(rng.integers(1, 9)), float(rng.choice([0.0, 1.0, rng.random()]))
    most, bins = math.sqrt(features), rng.integers(0, 4, features)
    one = counted(bins, label, features)
    root = math.sqrt(2) * (1 + 1e-12)
    assert np.linalg.norm(one - counted(bins, 1 - label, features)) <= root * most
    other = counted(rng.integers(0, 4, features), float(rng.random()), features)
    assert np.linalg.norm(one - other) <= root * most
    theirs = int(rng.integers(0, features + 1))
    absent = np.where(np.arange(features) < theirs, 3, bins)
    assert np.linalg.norm(one - counted(absent, label, features)) <= math.sqrt(2 * theirs) * (1 + 1e-12)
    # Gram matrix of two institutions with two columns for each of three features.
    owners, bits, radii = [0, 0, 1, 1, 2, 2], 8, (1.3, 0.7)
    bases = [rng.normal(size=(5, 2)) * rng.choice([0.1, 1, 100]) for _ in range(3)]

    def row(codes):
        parts = [shape_rows([codes[:2][i : i + 1] for i in (0, 1)], bases[:2], radii[0], bits)]
        parts.append(shape_rows([codes[2:]], bases[2:], radii[1], bits))
        return pair_sums(np.concatenate([p[0] for p in parts]), owners)

    bound = gram_sensitivity([radius_units(r, bits) for r in radii])
    first, second = row(rng.integers(0, 5, 3)), row(rng.integers(0, 5, 3))
    assert np.linalg.norm(first) <= bound
    assert np.linalg.norm(first - second) <= root * bound


def test_two_pieces_that_are_opposite_meet_the_bound_of_a_label_that_is_flipped():
    one, other = (counted([0, 1], label, 2) for label in (1.0, 0.0))
    assert np.linalg.norm(one - other) == pytest.approx(math.sqrt(2) * math.sqrt(2))


@pytest.mark.parametrize("banks", [1, 2, 3, 6])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_two_blocks_of_plain_labels_cost_no_more_than_one_whoever_looks(banks, label):
    """Of N1 + zh + zb and N + zh + z0: by the covariance of what is left to hub, holder and t + 1 banks."""
    mu = mu_for(1.0, 1e-6)
    asked = study(banks, epsilon=1.0)
    release = counts_release(asked, {BANK: [], "tax": [3]}, mu, binary_labels=True, rows=1000)
    block, every = release.block("tax"), release.block("tax.all")
    assert every.with_noise_of == "tax" and set(every.sigma) == {"tax"}
    holder, own, unit = block.sigma["tax"] ** 2, every.sigma["tax"] ** 2, 2**release.scale_bits
    each = block.sigma[asked.banks[0]] ** 2
    known = min(banks - 1, asked.privacy.colluders + 1)

    def price(change, noise):
        """Mahalanobis length of a change, which is mu of a Gaussian mechanism with this noise."""
        return math.sqrt(change @ np.linalg.solve(noise, change)) * unit

    def noise(of_holder, of_own, of_banks):
        return np.array([[of_holder + of_banks, of_holder], [of_holder, of_holder + of_own]])

    # A holder's record takes y from N1 and 1 from N; a bank's takes y from N1 alone.
    of_holder, of_bank = np.array([label, 1.0]), np.array([label, 0.0])
    hub = noise(holder, own, banks * each)
    assert price(of_holder, hub) <= mu and price(of_bank, hub) <= mu
    # Banks that put together what they know: all of theirs, against the holder's record.
    assert price(of_holder, noise(holder, own, 0.0)) <= mu
    # t + 1 of them, against another bank's record.
    assert price(of_bank, noise(holder, own, (banks - known) * each)) <= mu
    # The holder, which knows zh, z0 and N, against a bank's record: N1 + zb is all that is left.
    assert label * unit / math.sqrt((banks - min(known, banks - 1)) * each) <= mu


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_all_that_all_institutions_know_of_an_enterprise_costs_the_price_once(seed):
    """The whole row made zero: counts of all features, all Gram entries and the pairs of all institutions."""
    rng = np.random.default_rng(seed)
    features, bits = int(rng.integers(1, 9)), 8
    whole = counted(rng.integers(0, 4, features), float(rng.random()), features)
    assert np.linalg.norm(whole) <= math.sqrt(features) * (1 + 1e-12)
    radii, owners = (1.3, 0.7, 2.0), [0, 0, 1, 1, 2, 2]
    bases = [rng.normal(size=(5, 2)) * rng.choice([0.1, 1, 100]) for _ in radii]
    codes = rng.integers(0, 5, 3)
    rows = [shape_rows([codes[i : i + 1]], [bases[i]], r, bits)[0] for i, r in enumerate(radii)]
    units = [radius_units(r, bits) for r in radii]
    assert np.linalg.norm(pair_sums(np.concatenate(rows), owners)) <= gram_sensitivity(units)
    # (y - q) p at every institution, |y - q| <= 1 and |p| <= R.
    error = [float(rng.choice([0.0, 1.0])) - rng.random() for _ in radii]
    products = np.concatenate([e * r for e, r in zip(error, rows, strict=True)])
    assert np.linalg.norm(products) <= pairs_sensitivity(units)
