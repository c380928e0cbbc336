"""Pairs: products of ranks, what a record changes of their sums, and which pairs the evidence keeps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models import pairs
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.pairs import (
    fit_pairs,
    pair_design,
    pair_part,
    pair_radius,
    pair_rows,
    pairs_sensitivity,
    rank_columns,
)
from fedrisk.models.shape_rows import radius_units

BITS = 12
ROWS, LEVELS = 20_000, 5


def bins_of(institution, *columns):
    edges = tuple(float(e) for e in range(1, LEVELS))
    return [
        Bins(Feature(institution=institution, column=c, low=0, high=9, missing=False), edges) for c in columns
    ]


def simulated(weight, seed=1):
    """Codes of three independent features, and labels; weight: of the product of the first two, in log-odds."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, LEVELS, (3, ROWS))
    u = (codes - 2) / np.sqrt(2)
    odds = -2.0 + 0.4 * u[0] + weight * u[0] * u[1]
    return codes, (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float)


def designed(codes, label, institution="tax", bins=None):
    bins = bins_of(institution, "a", "b", "c") if bins is None else bins
    counts = LabelCounts(
        tuple(np.bincount(c, label, b.size) for c, b in zip(codes, bins, strict=True)),
        tuple(np.bincount(c, 1 - label, b.size) for c, b in zip(codes, bins, strict=True)),
        np.zeros(len(bins)),
    )
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    rows = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    gram = rows.T @ rows
    return pair_design(bins, counts, curves, bases, gram, np.zeros_like(gram), institution)


@pytest.fixture(scope="module")
def planted():
    codes, label = simulated(0.5)
    return codes, label, designed(codes, label)


def summed(codes, label, design):
    own = [codes[j] for j in design.own]
    return (label - pair_part(own, design)) @ (pair_rows(own, design, BITS) / 2.0**BITS)


def test_ranks_are_standardised_over_values_and_zero_elsewhere():
    feature = Feature(institution="bank", column="a", low=0, high=9)
    bins = [
        Bins(feature, (3.0, 6.0)),
        Bins.public(Feature(institution="bank", column="k", kind="category", bins=("x",))),
    ]
    counts = LabelCounts(
        (np.array([10.0, 10, 10, 5]), np.array([30.0, 5, 0])),
        (np.array([90.0, 90, 90, 45]), np.array([250.0, 65, 0])),
        np.zeros(2),
    )
    ranks = rank_columns(bins, fit_curves(counts, bins))
    # Three equal bins: -1, 0, 1 times the root of 3/2; missing is zero, and so are categories.
    assert ranks[0] == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5), 0])
    assert not ranks[1].any()


def test_an_institution_with_one_ordered_feature_has_no_pair():
    codes, label = simulated(0.0)
    assert designed(codes[:1], label, bins=bins_of("tax", "a")) is None


def test_a_product_has_nothing_of_either_feature_alone(planted):
    codes, _, design = planted
    expected = pair_part([codes[j] for j in design.own], design)
    weight = expected * (1 - expected)
    for table, (i, j) in zip(design.tables, design.places, strict=True):
        cell = table[codes[i], codes[j]]
        for side in (i, j):
            mean = np.bincount(codes[side], weight * cell) / np.bincount(codes[side], weight)
            # Each of five bins has 4,000 rows and the drawn rows as many: standard error .02.
            assert np.abs(mean).max() < 0.1
    assert design.places == ((0, 1), (0, 2), (1, 2))


def test_the_additive_model_expects_as_many_defaults_as_there_are(planted):
    codes, label, design = planted
    expected = pair_part([codes[j] for j in design.own], design)
    assert ((expected >= 0) & (expected <= 1)).all()
    assert expected.sum() == pytest.approx(label.sum(), rel=0.03)


def test_a_planted_pair_is_kept_with_its_weight_and_no_other(planted):
    codes, label, design = planted
    (kept,) = fit_pairs(design, summed(codes, label, design), 0.0)
    assert (kept.left, kept.right) == (0, 1)
    # Shrunken, and of a product whose marginal parts were taken off; its standard error is about .02.
    assert kept.weight == pytest.approx(0.5, abs=0.1)
    assert kept.table.shape == (LEVELS, LEVELS)


def test_nothing_is_kept_where_sums_say_nothing_or_noise_covers_them(planted):
    codes, label, design = planted
    sums = summed(codes, label, design)
    assert fit_pairs(design, np.zeros(3), 0.0) == ()
    assert fit_pairs(design, sums, float(np.square(sums).max()) * 100) == ()


def test_no_more_pairs_are_kept_than_asked_for(planted):
    _, _, design = planted
    assert len(fit_pairs(design, np.full(3, 400.0), 0.0, most=2)) == 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, LEVELS - 1)] * 3), min_size=1, max_size=30))
def test_rows_stay_within_their_radius_in_integers(planted, cells):
    _, _, design = planted
    rows = pair_rows(list(np.array(cells).T), design, BITS)
    assert (np.square(rows).sum(1) <= radius_units(design.radius, BITS) ** 2).all()


def test_a_code_outside_its_feature_is_an_error(planted):
    _, _, design = planted
    wrong = [np.array([LEVELS]), np.array([0]), np.array([0])]
    with pytest.raises(DataError, match="outside"):
        pair_rows(wrong, design, BITS)
    with pytest.raises(DataError, match="outside"):
        pair_part(wrong, design)


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("whose", ["bank", "holder"])
def test_a_record_made_zero_changes_the_sums_by_no_more_than_the_sensitivity(planted, label, whose):
    """The worst row of all cells, at a bank and a holder with the same design; ring units, q rounded to 2^-BITS."""
    _, _, design = planted
    cells = np.array(np.meshgrid(*[np.arange(LEVELS)] * 3)).reshape(3, -1)
    rows = pair_rows(list(cells), design, BITS)
    expected = np.rint(pair_part(list(cells), design) * 2**BITS).astype(np.int64)
    units = radius_units(design.radius, BITS)
    limit = pairs_sensitivity([units, units]) * 2**BITS
    whole = (int(label) * 2**BITS - expected)[:, None] * rows
    if whose == "holder":
        # Its own part goes; the bank's sums stay what they were.
        change = np.square(whole).sum(1).max()
        assert change <= (units * 2**BITS) ** 2
    else:
        # The bank's own part goes, and y times the holder's products; what the holder expected stays.
        held = int(label) * 2**BITS * rows
        change = (np.square(whole).sum(1) + np.square(held).sum(1)).max()
    assert change <= limit**2


def test_sensitivity_wants_positive_integers():
    assert pairs_sensitivity([3, 4]) == pytest.approx(5)
    for wrong in ([], [0], [1.5]):
        with pytest.raises(ConfigError, match="radii"):
            pairs_sensitivity(wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_products_that_are_no_numbers_are_refused(planted, value):
    codes, _, found = planted
    table = found.tables[0].copy()
    table[0, 0] = value
    broken = replace(found, tables=(table, *found.tables[1:]))
    for made in (
        lambda: pair_rows(codes, broken, BITS),
        lambda: pair_part(codes, replace(found, level=value)),
    ):
        with pytest.raises(DataError, match="not finite"):
            made()


def test_products_beyond_all_sense_stay_within_the_radius(planted):
    codes, _, found = planted
    huge = replace(found, tables=tuple(t * 1e300 for t in found.tables))
    rows = pair_rows(codes, huge, BITS)
    assert (np.square(rows).sum(1) <= radius_units(found.radius, BITS) ** 2).all()


def test_errors_of_kept_pairs_are_those_of_their_weights(planted):
    """Over fresh noise of the release, with many enterprises: weights spread as their stated errors, within a third."""
    codes, label, found = planted
    rows = pair_rows(codes, found, BITS) / 2.0**BITS
    exact = (label - pair_part(codes, found)) @ rows
    rng, variance = np.random.default_rng(4), 400.0
    drawn = [
        {p.place: p for p in fit_pairs(found, exact + rng.normal(0, 20, len(exact)), variance)}
        for _ in range(200)
    ]
    first = [d[0] for d in drawn if 0 in d]
    spread, stated = np.std([p.weight for p in first]), np.mean([p.error for p in first])
    # Stated errors also hold the sampling of enterprises, which is the same in all draws.
    assert len(first) > 150 and spread < 1.33 * stated


def test_of_many_columns_those_are_taken_that_tell_most(planted, monkeypatch):
    """Of three: that on which default depends, and of the others the one with the larger curve."""
    codes, label, found = planted
    assert found.own == (0, 1, 2)
    monkeypatch.setattr(pairs, "MOST_COLUMNS", 2)
    fewer = designed(codes, label)
    assert len(fewer.own) == 2 and 0 in fewer.own and len(fewer.places) == 1
    assert fewer.radius == pair_radius(1) < found.radius
