"""Curves and shape columns: properties, radii, bins without rows and enterprises that a holder does not know."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves, fit_curves, radii, shape_bases, stronger_half
from fedrisk.models.label_counts import LabelCounts, with_known
from fedrisk.models.weight_priors import SLOPE
from support.binned_rows import column, exact_counts, simulate, with_holders


def test_curves_and_bases_have_their_stated_properties():
    y, bins, codes = simulate(n=4000)
    curves = fit_curves(exact_counts(y, bins, codes), bins)
    assert curves.rate == pytest.approx(y.mean())
    assert curves.total == pytest.approx(4000)
    for j, base in enumerate(shape_bases(curves)):
        w = curves.weight[j]
        assert w.sum() == pytest.approx(1)
        assert w @ curves.curve[j] == pytest.approx(0, abs=1e-12)
        assert np.allclose(base[:, 0], SLOPE * curves.curve[j])
        assert 1 <= base.shape[1] <= 4
        cross = base.T @ (w[:, None] * base)
        assert np.allclose(cross, np.diag(np.diag(cross)), atol=1e-9 * cross.max())
        assert np.allclose(w @ base, 0, atol=1e-9)


def test_radii_add_up_by_institution():
    y, bins, codes = simulate(n=4000)
    curves = fit_curves(exact_counts(y, bins, codes), bins)
    bases = shape_bases(curves)
    got = radii(bases, curves, [b.feature.institution for b in bins], clip=1.0)
    assert list(got) == ["tax", "bank"]
    rows = np.concatenate([b[c] for b, c in zip(bases[1::2], codes[1::2], strict=True)], 1)
    assert got["bank"] == pytest.approx(np.sqrt((rows**2).sum(1).mean()))  # no noise: exact root mean square


def test_the_stronger_half_vary_most():
    y, bins, codes = simulate(n=4000)
    curves = fit_curves(exact_counts(y, bins, codes), bins)
    chosen = stronger_half(curves, range(len(bins)))
    assert len(chosen) == 4
    assert set(chosen) == set(np.argsort(curves.spread)[-4:].tolist())


def test_the_stronger_half_are_places_among_the_columns():
    """By hand: spreads 5, 9, 1, 7, 3, 8, of which the second and the fourth are no columns."""
    curve = (np.zeros(2),) * 6
    curves = Curves(0.1, 9.0, curve, np.ones(6), curve, np.array([5.0, 9, 1, 7, 3, 8]), (2,) * 6, (0,) * 6)
    assert stronger_half(curves, [0, 2, 4, 5], least=1) == (3, 0)
    assert stronger_half(curves, [0, 2, 4, 5]) == (3, 0, 2, 1)
    assert stronger_half(curves, [2, 4], share=0.9, least=1) == (1,)


def test_counts_that_are_not_of_the_bins_are_refused():
    y, bins, codes = simulate(n=500)
    with pytest.raises(ConfigError):
        fit_curves(exact_counts(y, bins, codes), bins[:-1])


def test_bins_that_are_alike_have_the_same_modes_on_every_machine():
    """Six empty categories beside two full ones: modes of one eigenvalue would be an accident of the last digits."""
    kinds = tuple("abcdefgh")
    bins = [Bins.public(Feature(institution="tax", column="kind", kind="category", bins=kinds))]
    full = np.zeros(bins[0].size)
    full[:2] = 300.0, 100.0
    curves = fit_curves(LabelCounts((full,), (9 * full,), np.zeros(1)), bins)
    (modes,) = (base[:, 1:] for base in shape_bases(curves))
    rng = np.random.default_rng(0)
    for _ in range(5):
        weight = curves.weight[0] * (1 + 1e-14 * rng.normal(size=len(full)))
        (other,) = (base[:, 1:] for base in shape_bases(replace(curves, weight=(weight,))))
        np.testing.assert_allclose(other @ other.T, modes @ modes.T, rtol=1e-8, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0.0, 1e4),
    st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def test_curves_of_columns_say_nothing_of_unknown_enterprises(seed, variance, known, holders):
    """Whatever is known, and whatever the noise: zero in the last bin, mean zero, shares that add up, all finite."""
    rng = np.random.default_rng(seed)
    bins = with_holders(*holders)
    columns = [b for b in bins if b.feature.kind != "known"]
    share = {b: [0.5, 0.5] if not b.unknown else [0.6 * known, 0.4 * known, 1 - known] for b in columns}
    n1, n0 = (
        tuple(n * np.array(share[b]) + rng.normal(0, variance**0.5, b.size) for b in columns)
        for n in (150, 1850)
    )
    counts = with_known(LabelCounts(n1, n0, np.full(len(columns), variance)), bins)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    for b, curve, weight, base, covariance in zip(
        bins, curves.curve, curves.weight, bases, curves.covariance, strict=True
    ):
        assert curve.shape == weight.shape == (b.size,) and base.shape[0] == b.size
        assert np.isfinite(curve).all() and np.isfinite(base).all() and np.isfinite(covariance).all()
        assert weight.min() >= 0 and weight.sum() == pytest.approx(1)
        assert weight @ curve == pytest.approx(0, abs=1e-9)
        if b.unknown and b.feature.kind != "known":
            assert curve[-1] == 0 and (base[-1] == 0).all() and (covariance[-1] == 0).all()


def grade(missing=True):
    feature = Feature(institution="bank", column="g", kind="category", bins=("a", "b", "c"), missing=missing)
    return Bins(feature, categories=("a", "b", "c"))


def test_a_bin_without_rows_is_neutral():
    """Nothing of category c, of others and of missing values: no points, and no say in the mean."""
    n1, n0 = np.array([50.0, 150.0, 0.0, 0.0, 0.0]), np.array([950.0, 850.0, 0.0, 0.0, 0.0])
    curves = fit_curves(LabelCounts((n1,), (n0,), np.zeros(1)), [grade()])
    (curve,), (weight,) = curves.curve, curves.weight
    assert curve[2:].tolist() == [0.0, 0.0, 0.0]
    assert curve[1] - curve[0] == pytest.approx(np.log(3), abs=0.1)
    assert weight[:2] @ curve[:2] == pytest.approx(0, abs=1e-9)


def test_a_bin_with_no_more_than_its_noise_is_neutral_and_one_with_more_is_not():
    """Noise 10 a count, 14.1 a bin: two deviations are 28.3 rows. 28 defaults of 28 say nothing, 29 of 29 something."""
    for rows in (28.0, 29.0):
        n1, n0 = np.array([100.0, 100.0, rows, 0.0, 0.0]), np.array([900.0, 900.0, 0.0, 0.0, 0.0])
        (curve,) = fit_curves(LabelCounts((n1,), (n0,), np.full(1, 100.0)), [grade()]).curve
        assert curve[2] > 0 if rows > 28.5 else curve[2] == 0


def test_an_ordered_bin_without_rows_keeps_the_curve_of_its_neighbours():
    bins = [Bins(Feature(institution="bank", column="x", low=0, high=9, missing=False), (1.0, 2.0))]
    n1, n0 = np.array([50.0, 0.0, 200.0]), np.array([950.0, 0.0, 800.0])
    (curve,) = fit_curves(LabelCounts((n1,), (n0,), np.zeros(1)), bins).curve
    assert curve[0] < curve[1] < curve[2]


def test_gaps_are_about_known_enterprises():
    """Half unknown, all of these without default; of the known ones .1 default, with a gap .3: the gap is risky."""
    bins = [column("tax", "x", missing=True), Bins.public(known_feature("tax"))]
    n1, n0 = np.array([30.0, 40.0, 30.0, 0.0]), np.array([420.0, 410.0, 70.0, 1000.0])
    counts = with_known(LabelCounts((n1,), (n0,), np.zeros(1)), bins)
    curves = fit_curves(counts, bins)
    assert curves.curve[0][2] - curves.curve[0][:2].max() > 0.7
    assert curves.curve[1][0] > 0.3 > -1 > curves.curve[1][1]
    assert curves.weight[0].tolist() == pytest.approx([0.225, 0.225, 0.05, 0.5])
    assert curves.unknown == (True, False)
