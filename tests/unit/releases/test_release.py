"""Releases and their blocks, and the secure products behind them."""

import math

import pytest

from fedrisk.recipes.scorecard.forms import counts_release, gram_release
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.release import Block, Planned, Release, parties, product_label, products
from support.studies import OWNERS, RADII, SIZES, study


def small(**sigma):
    wide = Block(
        name="wide", left="bank", right="bank", shape=(2, 3), sigma=sigma, ring="uint16", columns=(1, 3)
    )
    plain = Block(name="plain", left="tax", right="bank", shape=(4, 5), sigma={"tax": 8.0})
    return Release(name="r", population="training", mu=0.5, ring="uint32", scale_bits=2, blocks=(wide, plain))


def test_noise_of_a_release_by_hand():
    release = small(b0=12.0, b1=16.0)
    # Deviations 20 and 8 in ring units, of which 4 are a unit.
    assert (release.variance("wide"), release.variance("plain")) == (25.0, 4.0)
    assert release.deviation() == (2.0, 5.0)
    assert release.block("wide").contributors == ("b0", "b1")
    assert math.isclose(release.deviation()[1] ** 2, release.variance("wide"))


def test_a_block_has_the_releases_ring_unless_it_has_its_own():
    release = small(b0=12.0)
    assert [release.ring_of(b) for b in release.blocks] == ["uint16", "uint32"]
    with pytest.raises(KeyError):
        release.block("nobody")


def test_a_planned_release_says_what_the_release_says():
    release = small(b0=12.0, b1=16.0)
    planned = Planned.of(release)
    assert (planned.name, planned.population, planned.mu) == ("r", "training", 0.5)
    assert planned.deviation == (2.0, 5.0)
    assert planned.release is release


def test_columns_of_a_product_are_the_shape_unless_stated():
    asked = study(2)
    release = small(b0=1.0)
    assert [release.columns_of(p) for p in products(asked, release)] == [(4, 5), (4, 5)]
    wide = counts_release(asked, SIZES, 0.2)
    assert {wide.columns_of(p) for p in products(asked, wide)} == {(4, 2)}


def test_products_are_one_a_block_of_two_and_list():
    asked = study(2)
    counts = products(asked, counts_release(asked, SIZES, 0.2))
    assert [(p.id, p.left, p.right) for p in counts] == [
        ("tax@b0", "tax", "b0"),
        ("tax@b1", "tax", "b1"),
        ("power@b0", "power", "b0"),
        ("power@b1", "power", "b1"),
    ]
    gram = products(asked, gram_release(asked, OWNERS, RADII, 1000, 0.2))
    assert [(p.id, p.left, p.right) for p in gram] == [
        ("tax.bank@b0", "tax", "b0"),
        ("tax.bank@b1", "tax", "b1"),
        ("power.bank@b0", "power", "b0"),
        ("power.bank@b1", "power", "b1"),
        ("tax.power@b0", "tax", "power"),
        ("tax.power@b1", "tax", "power"),
    ]
    assert (gram[0].partner("tax"), gram[0].partner("b0")) == ("b0", "tax")
    assert products(asked, evaluation_release(asked, 8)) == ()
    assert products(study(3, ()), counts_release(study(3, ()), {"bank": [3]}, 0.2)) == ()
    for product in (*counts, *gram):
        assert parties(product.id) == (product.left, product.right)


def test_no_two_products_of_a_study_share_a_label():
    """Streams drawn under one label twice would uncover their difference."""
    asked = study(2)
    releases = (
        evaluation_release(asked, 24),
        counts_release(asked, SIZES, 0.2),
        gram_release(asked, OWNERS, RADII, 5000, 0.2),
        counts_release(asked, SIZES, 0.2, "recount"),
    )
    labels = [
        product_label(asked.digest(), attempt, release, product).encode()
        for attempt in ("a" * 16, "b" * 16)
        for release in releases
        for product in products(asked, release)
    ]
    assert len(set(labels)) == len(labels) == 2 * (4 + 6 + 4)
