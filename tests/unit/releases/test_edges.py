"""Histograms for bin edges: of columns that want them, no finer than needed."""

import pytest

from fedrisk.data.features import Feature, features_from
from fedrisk.privacy.accounting import SIGMA_MIN
from fedrisk.releases.budget import EDGES_SHARE, split, total_mu
from fedrisk.releases.edges import edges_release
from support.studies import features, study


def mu_of(asked):
    return split(total_mu(asked), {"edges": EDGES_SHARE})["edges"]


def test_the_scale_is_no_finer_than_needed():
    """One power of two less would fall below the least sigma; none is used where none is needed."""
    number = Feature(institution="bank", column="x", low=0, high=1)
    one = study(epsilon=1.0)
    assert edges_release(one, [number], mu_of(one)).scale_bits == 0
    seven = study(7, epsilon=100.0, colluders=0)
    large = edges_release(seven, [number], mu_of(seven))
    assert large.scale_bits > 0
    assert min(large.blocks[0].sigma.values()) / 2 < SIGMA_MIN * 1.02


def test_edges_only_of_columns_that_want_them():
    release = edges_release(study(), features(), 0.05)
    assert [(b.name, b.shape) for b in release.blocks] == [("bank", (1, 256)), ("tax", (1, 256))]
    assert (release.name, release.population, release.mu) == ("edges", "training", 0.05)
    public = [f for f in features() if not f.private_edges]
    assert edges_release(study(), public, 0.05) is None


def test_the_noise_covers_one_cell_of_each_column():
    """By hand: two columns, so a row moves two cells by 1, and the deviation is sqrt(2) by mu in plain units."""
    release = edges_release(study(), features(), 0.05)
    for block in release.blocks:
        assert release.variance(block.name) == pytest.approx(2 / 0.05**2, rel=1e-3)


def test_features_of_a_dictionary_and_back():
    found = features()
    assert [f.name for f in found] == ["bank.x", "bank.y", "bank.late", "tax.x", "tax.y", "tax.late"]
    assert all(f.missing for f in found if f.institution == "tax")  # enterprises unknown there need a bin
    plain = [{**vars(f), "bins": None if f.bins is None else list(f.bins)} for f in found]
    assert features_from(plain) == found
