"""Estimator: the noiseless limit, the fall-back under noise, and the recount branch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.metrics import auc
from fedrisk.models import estimator as es
from fedrisk.models.binning import Bins


def simulate(n=12_000, seed=0, features=8):
    """Correlated features, half at the bank and half at a holder, additive log-odds with curved parts."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 1, (n, 1))
    x = 0.7 * common + 0.7 * rng.normal(0, 1, (n, features))
    z = -2 + x @ np.linspace(0.5, -0.4, features) + 0.4 * (x[:, 0] ** 2 - 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    bins = [
        Bins(
            Feature(institution="bank" if j % 2 else "tax", column=f"x{j}", low=-4, high=4, missing=False),
            edges=tuple(np.linspace(-1.5, 1.5, 9)),
        )
        for j in range(features)
    ]
    codes = [b.codes(x[:, j]) for j, b in enumerate(bins)]
    return y, bins, codes


def exact_counts(y, bins, codes, variance=0.0, rng=None):
    def noisy(label, size, c):
        out = np.bincount(c, label, size)
        return out if rng is None else out + rng.normal(0, variance**0.5, size)

    n1 = tuple(noisy(y, b.size, c) for b, c in zip(bins, codes, strict=True))
    n0 = tuple(noisy(1 - y, b.size, c) for b, c in zip(bins, codes, strict=True))
    return es.LabelCounts(n1, n0, np.full(len(bins), variance))


def gram_of(bases, codes):
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    return x.T @ x


def fit(y, bins, codes, variance=0.0, gram_sd=0.0, seed=0):
    rng = np.random.default_rng(seed)
    counts = exact_counts(y, bins, codes, variance, rng)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    gram = gram_of(bases, codes)
    noise = np.triu(rng.normal(0, 1, gram.shape), 1) * gram_sd
    return es.fit_weights(bases, counts, curves, gram + noise + noise.T, np.full(gram.shape, gram_sd**2))


def score(contributions, codes):
    return sum(f[c] for f, c in zip(contributions, codes, strict=True))


def test_without_noise_it_matches_pooled_logistic_regression_on_the_same_bins():
    y, bins, codes = simulate()
    y2, _, codes2 = simulate(seed=1)
    hot = [
        np.concatenate([np.eye(b.size)[c] for b, c in zip(bins, cs, strict=True)], 1)
        for cs in (codes, codes2)
    ]
    pooled = LogisticRegression(C=1.0, max_iter=500).fit(hot[0], y)
    best = auc(y2, pooled.decision_function(hot[1]))
    got = auc(y2, score(fit(y, bins, codes), codes2))
    assert got > best - 0.004
    naive = auc(y2, score(es.fit_curves(exact_counts(y, bins, codes), bins).curve, codes2))
    assert got > naive + 0.01  # correlated features: adding the curves up is worse


def test_huge_gram_noise_falls_back_to_shrunken_curves():
    y, bins, codes = simulate()
    curves = es.fit_curves(exact_counts(y, bins, codes), bins)
    got = fit(y, bins, codes, gram_sd=1e7)
    for f, c in zip(got, curves.curve, strict=True):
        slope = float(f @ c / (c @ c))
        assert 0.0 < slope < 1.2
        assert np.abs(f - slope * c).max() < 0.05


def test_a_noisy_gram_matrix_still_beats_adding_curves_up():
    """Seeds are fixed. Noise 20 against entries of about 80: .67, the sum of curves .65, no noise .71."""
    y, bins, codes = simulate()
    y2, _, codes2 = simulate(seed=1)
    naive = auc(y2, score(es.fit_curves(exact_counts(y, bins, codes), bins).curve, codes2))
    noisy = [auc(y2, score(fit(y, bins, codes, 100.0, 20.0, k), codes2)) for k in range(3)]
    assert min(noisy) > naive + 0.01


def test_weights_solve_the_discriminant_when_the_prior_is_idle():
    """One curve column a feature and no noise: h G d = b, by plain linear algebra."""
    y, bins, codes = simulate(n=200_000)
    counts = exact_counts(y, bins, codes)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves, modes=0)
    gram = gram_of(bases, codes)
    got = es.fit_weights(bases, counts, curves, gram, np.zeros_like(gram))
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    d = np.linalg.solve(x.T @ x * curves.rate * (1 - curves.rate), x.T @ (y - curves.rate))
    found = np.array([f @ b[:, 0] / (b[:, 0] @ b[:, 0]) for f, b in zip(got, bases, strict=True)])
    assert np.allclose(found, d, atol=0.05 * np.abs(d).max())


def test_entries_within_a_feature_are_ignored():
    y, bins, codes = simulate(n=3000)
    counts = exact_counts(y, bins, codes)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    gram, noise = gram_of(bases, codes), np.ones((sum(b.shape[1] for b in bases),) * 2)
    other, other_noise = gram.copy(), noise.copy()
    k = bases[0].shape[1]
    other[:k, :k] = 1e6
    other_noise[:k, :k] = 1e6
    a = es.fit_weights(bases, counts, curves, gram, noise)
    b = es.fit_weights(bases, counts, curves, other, other_noise)
    assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def test_curves_and_bases_have_their_stated_properties():
    y, bins, codes = simulate(n=4000)
    curves = es.fit_curves(exact_counts(y, bins, codes), bins)
    assert curves.rate == pytest.approx(y.mean())
    assert curves.total == pytest.approx(4000)
    for j, base in enumerate(es.shape_bases(curves)):
        w = curves.weight[j]
        assert w.sum() == pytest.approx(1)
        assert w @ curves.curve[j] == pytest.approx(0, abs=1e-12)
        assert np.allclose(base[:, 0], es.SLOPE * curves.curve[j])
        assert 1 <= base.shape[1] <= 4
        cross = base.T @ (w[:, None] * base)
        assert np.allclose(cross, np.diag(np.diag(cross)), atol=1e-9 * cross.max())
        assert np.allclose(w @ base, 0, atol=1e-9)


def test_radii_add_up_by_institution():
    y, bins, codes = simulate(n=4000)
    curves = es.fit_curves(exact_counts(y, bins, codes), bins)
    bases = es.shape_bases(curves)
    got = es.radii(bases, curves, [b.feature.institution for b in bins], clip=1.0)
    assert list(got) == ["tax", "bank"]
    rows = np.concatenate([b[c] for b, c in zip(bases[1::2], codes[1::2], strict=True)], 1)
    assert got["bank"] == pytest.approx(np.sqrt((rows**2).sum(1).mean()))  # no noise: exact root mean square


def test_recount_by_hand():
    first = es.LabelCounts(
        (np.array([10.0, 20.0]), np.array([5.0])),
        (np.array([1.0, 2.0]), np.array([3.0])),
        np.array([4.0, 9.0]),
    )
    second = es.LabelCounts((np.array([14.0, 24.0]),), (np.array([5.0, 6.0]),), np.array([12.0]))
    both = es.combine_counts(first, second, [0])
    assert both.n1[0].tolist() == pytest.approx([11.0, 21.0])
    assert both.n0[0].tolist() == pytest.approx([2.0, 3.0])
    assert both.n1[1].tolist() == [5.0]
    assert both.variance.tolist() == pytest.approx([3.0, 9.0])
    with pytest.raises(ConfigError):
        es.combine_counts(first, second, [0, 1])


def test_recount_rule_and_stronger_half():
    assert es.few_positives(79, 8)
    assert not es.few_positives(80, 8)
    y, bins, codes = simulate(n=4000)
    curves = es.fit_curves(exact_counts(y, bins, codes), bins)
    chosen = es.stronger_half(curves, range(len(bins)))
    assert len(chosen) == 4
    assert set(chosen) == set(np.argsort(curves.spread)[-4:].tolist())


def test_the_stronger_half_are_places_among_the_columns():
    """By hand: spreads 5, 9, 1, 7, 3, 8, of which the second and the fourth are no columns."""
    curve = (np.zeros(2),) * 6
    curves = es.Curves(0.1, 9.0, curve, np.ones(6), curve, np.array([5.0, 9, 1, 7, 3, 8]), (2,) * 6, (0,) * 6)
    assert es.stronger_half(curves, [0, 2, 4, 5], least=1) == (3, 0)
    assert es.stronger_half(curves, [0, 2, 4, 5]) == (3, 0, 2, 1)
    assert es.stronger_half(curves, [2, 4], share=0.9, least=1) == (1,)


def test_counts_are_weighted_by_precision():
    """A feature with a thousandfold variance must not spoil the rate."""
    n1 = (np.array([50.0, 50.0]), np.array([400.0, 500.0]))
    n0 = (np.array([450.0, 450.0]), np.array([450.0, 450.0]))
    counts = es.LabelCounts(n1, n0, np.array([1.0, 1000.0]))
    assert counts.positives == pytest.approx(100, abs=1)


def test_bad_shapes_are_refused():
    y, bins, codes = simulate(n=500)
    counts = exact_counts(y, bins, codes)
    with pytest.raises(ConfigError):
        es.fit_curves(counts, bins[:-1])
    with pytest.raises(ConfigError):
        es.LabelCounts((np.ones(2),), (np.ones(3),), np.ones(1))
    with pytest.raises(ConfigError):
        es.LabelCounts((np.ones(2),), (np.ones(2),), np.array([-1.0]))
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    with pytest.raises(ConfigError):
        es.fit_weights(bases, counts, curves, np.eye(3), np.eye(3))


def test_bins_that_are_alike_have_the_same_modes_on_every_machine():
    """Six empty categories beside two full ones: modes of one eigenvalue would be an accident of the last digits."""
    kinds = tuple("abcdefgh")
    bins = [Bins.public(Feature(institution="tax", column="kind", kind="category", bins=kinds))]
    full = np.zeros(bins[0].size)
    full[:2] = 300.0, 100.0
    curves = es.fit_curves(es.LabelCounts((full,), (9 * full,), np.zeros(1)), bins)
    (modes,) = (base[:, 1:] for base in es.shape_bases(curves))
    rng = np.random.default_rng(0)
    for _ in range(5):
        weight = curves.weight[0] * (1 + 1e-14 * rng.normal(size=len(full)))
        (other,) = (base[:, 1:] for base in es.shape_bases(replace(curves, weight=(weight,))))
        np.testing.assert_allclose(other @ other.T, modes @ modes.T, rtol=1e-8, atol=1e-8)


# --- what a holder does not know, and bins without rows ------------------------------------------------------


def column(institution, name, edges=(1.0,), missing=False, **parts):
    feature = Feature(institution=institution, column=name, low=0, high=9, missing=missing, **parts)
    return Bins(feature, edges, unknown=institution != "bank")


def with_holders(*holders):
    """One column of the bank, then these holders' columns, by the count of them, each with what says who is known."""
    bins = [column("bank", "a")]
    for number, columns in enumerate(holders):
        bins += [column(f"h{number}", f"x{k}") for k in range(columns)]
        bins.append(Bins.public(known_feature(f"h{number}")))
    return bins


def test_who_is_known_follows_from_the_columns_by_hand():
    """200 of 1,000 unknown by one column, 220 by the other: 210, as their mean says, with half of the variance."""
    bins = with_holders(2)
    counts = es.LabelCounts(
        (np.array([40.0, 60.0]), np.array([30.0, 50.0, 20.0]), np.array([26.0, 50.0, 24.0])),
        (np.array([500.0, 400.0]), np.array([400.0, 320.0, 180.0]), np.array([400.0, 304.0, 196.0])),
        np.array([4.0, 16.0, 16.0]),
    )
    got = es.with_known(counts, bins)
    assert [n.tolist() for n in got.n1[:3]] == [n.tolist() for n in counts.n1]
    assert got.n1[3].tolist() == pytest.approx([78.0, 22.0])
    assert got.n0[3].tolist() == pytest.approx([712.0, 188.0])
    assert got.variance.tolist() == pytest.approx([4.0, 16.0, 16.0, 8.0])
    # What is made up of the columns' counts is no further evidence on the rate.
    assert (got.positives, got.rate_error) == pytest.approx((counts.positives, counts.rate_error))


def test_each_holder_is_known_by_its_own_columns():
    bins = with_holders(1, 2)
    unknown = {1: 10.0, 3: 30.0, 4: 50.0}
    made = [np.array([20.0, 80.0])]
    made += [np.array([60.0 - u / 2, 40.0 - u / 2, u]) for j, u in unknown.items()]
    counts = es.LabelCounts(tuple(made), tuple(9 * n for n in made), np.ones(4))
    got = es.with_known(counts, bins)
    assert len(got.n1) == len(bins) == 6
    assert [got.n1[j].tolist() for j in (2, 5)] == [pytest.approx([90, 10]), pytest.approx([60, 40])]
    assert got.variance.tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    without = [b for b in bins if b.feature.kind != "known"]
    assert es.with_known(counts, without).n1 == counts.n1


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
    counts = es.with_known(es.LabelCounts(n1, n0, np.full(len(columns), variance)), bins)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    for b, curve, weight, base, covariance in zip(
        bins, curves.curve, curves.weight, bases, curves.covariance, strict=True
    ):
        assert curve.shape == weight.shape == (b.size,) and base.shape[0] == b.size
        assert np.isfinite(curve).all() and np.isfinite(base).all() and np.isfinite(covariance).all()
        assert weight.min() >= 0 and weight.sum() == pytest.approx(1)
        assert weight @ curve == pytest.approx(0, abs=1e-9)
        if b.unknown and b.feature.kind != "known":
            assert curve[-1] == 0 and (base[-1] == 0).all() and (covariance[-1] == 0).all()


def test_weighed_contributions_leave_unknown_ones_where_they_are():
    """The modes have nothing in the last bin, so that an unknown enterprise gets nothing of any column."""
    bins = with_holders(2)
    n1 = (np.array([40.0, 160.0]), *(np.array([20.0, 80.0, 100.0]),) * 2)
    n0 = (np.array([900.0, 900.0]), *(np.array([500.0, 400.0, 900.0]),) * 2)
    counts = es.with_known(es.LabelCounts(n1, n0, np.full(3, 4.0)), bins)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    gram = np.diag(np.full(sum(b.shape[1] for b in bases), 50.0))
    got = es.fit_weights(bases, counts, curves, gram, np.ones_like(gram))
    assert [f[-1] for f in got[1:3]] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert curves.weight[3] @ got[3] == pytest.approx(0, abs=1e-9)


def grade(missing=True):
    feature = Feature(institution="bank", column="g", kind="category", bins=("a", "b", "c"), missing=missing)
    return Bins(feature, categories=("a", "b", "c"))


def test_a_bin_without_rows_is_neutral():
    """Nothing of category c, of others and of missing values: no points, and no say in the mean."""
    n1, n0 = np.array([50.0, 150.0, 0.0, 0.0, 0.0]), np.array([950.0, 850.0, 0.0, 0.0, 0.0])
    curves = es.fit_curves(es.LabelCounts((n1,), (n0,), np.zeros(1)), [grade()])
    (curve,), (weight,) = curves.curve, curves.weight
    assert curve[2:].tolist() == [0.0, 0.0, 0.0]
    assert curve[1] - curve[0] == pytest.approx(np.log(3), abs=0.1)
    assert weight[:2] @ curve[:2] == pytest.approx(0, abs=1e-9)


def test_a_bin_with_no_more_than_its_noise_is_neutral_and_one_with_more_is_not():
    """Noise 10 a count, 14.1 a bin: two deviations are 28.3 rows. 28 defaults of 28 say nothing, 29 of 29 something."""
    for rows in (28.0, 29.0):
        n1, n0 = np.array([100.0, 100.0, rows, 0.0, 0.0]), np.array([900.0, 900.0, 0.0, 0.0, 0.0])
        (curve,) = es.fit_curves(es.LabelCounts((n1,), (n0,), np.full(1, 100.0)), [grade()]).curve
        assert curve[2] > 0 if rows > 28.5 else curve[2] == 0


def test_an_ordered_bin_without_rows_keeps_the_curve_of_its_neighbours():
    bins = [Bins(Feature(institution="bank", column="x", low=0, high=9, missing=False), (1.0, 2.0))]
    n1, n0 = np.array([50.0, 0.0, 200.0]), np.array([950.0, 0.0, 800.0])
    (curve,) = es.fit_curves(es.LabelCounts((n1,), (n0,), np.zeros(1)), bins).curve
    assert curve[0] < curve[1] < curve[2]


def test_gaps_are_about_known_enterprises():
    """Half unknown, all of these without default; of the known ones .1 default, with a gap .3: the gap is risky."""
    bins = [column("tax", "x", missing=True), Bins.public(known_feature("tax"))]
    n1, n0 = np.array([30.0, 40.0, 30.0, 0.0]), np.array([420.0, 410.0, 70.0, 1000.0])
    counts = es.with_known(es.LabelCounts((n1,), (n0,), np.zeros(1)), bins)
    curves = es.fit_curves(counts, bins)
    assert curves.curve[0][2] - curves.curve[0][:2].max() > 0.7
    assert curves.curve[1][0] > 0.3 > -1 > curves.curve[1][1]
    assert curves.weight[0].tolist() == pytest.approx([0.225, 0.225, 0.05, 0.5])
    assert curves.unknown == (True, False)


def test_noise_of_the_unknown_where_one_column_was_counted_twice():
    """The mean of three counts of variances 1, 4 and 4 has variance 1."""
    columns = [
        Bins(Feature(institution="tax", column=c, kind="flag"), edges=(0.5,), unknown=True) for c in "abc"
    ]
    bins = [*columns, Bins.public(known_feature("tax"))]
    part = tuple(np.array([50.0, 30.0, 10.0, 20.0]) for _ in columns)
    counts = es.with_known(es.LabelCounts(part, part, np.array([1.0, 4.0, 4.0])), bins)
    assert counts.variance.tolist() == [1.0, 4.0, 4.0, 1.0]
    assert counts.n1[3].tolist() == pytest.approx([90.0, 20.0])


@pytest.mark.parametrize("sd", [5.0, 30.0])
def test_a_card_from_elsewhere_helps_and_a_wrong_one_does_not_hurt(sd):
    """AUC with a card of other rows, without, and with that card turned round; at 30 the matrix drowns in noise."""
    rng = np.random.default_rng(11)
    y, bins, codes = simulate(4000, 1)
    y2, _, codes2 = simulate(12_000, 2)
    counts = exact_counts(y, bins, codes, 400.0, rng)
    curves = es.fit_curves(counts, bins)
    bases = es.shape_bases(curves)
    gram = gram_of(bases, codes)
    noise = np.triu(rng.normal(0, sd, gram.shape), 1)
    card = fit(y2, bins, codes2)
    found = {}
    for name, joint in (("none", ()), ("card", card), ("wrong", tuple(-f for f in card))):
        known = replace(curves, joint=joint)
        got = es.fit_weights(bases, counts, known, gram + noise + noise.T, np.full(gram.shape, sd**2))
        found[name] = auc(y2, score(got, codes2))
    assert found["card"] > found["none"] + 0.005
    assert found["wrong"] > found["none"] - 0.005
