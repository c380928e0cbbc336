"""Estimator: the noiseless limit, the fall-back under noise, and a card from elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fedrisk.errors import ConfigError
from fedrisk.metrics import auc
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.estimator import posterior_weights
from fedrisk.models.label_counts import LabelCounts, with_known
from support.binned_rows import exact_counts, gram_of, simulate, with_holders


def contributions(*sums):
    return posterior_weights(*sums).contributions


def fit(y, bins, codes, variance=0.0, gram_sd=0.0, seed=0):
    rng = np.random.default_rng(seed)
    counts = exact_counts(y, bins, codes, variance, rng)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    gram = gram_of(bases, codes)
    noise = np.triu(rng.normal(0, 1, gram.shape), 1) * gram_sd
    return contributions(bases, counts, curves, gram + noise + noise.T, np.full(gram.shape, gram_sd**2))


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
    naive = auc(y2, score(fit_curves(exact_counts(y, bins, codes), bins).curve, codes2))
    assert got > naive + 0.01  # correlated features: adding the curves up is worse


def test_huge_gram_noise_falls_back_to_shrunken_curves():
    y, bins, codes = simulate()
    curves = fit_curves(exact_counts(y, bins, codes), bins)
    got = fit(y, bins, codes, gram_sd=1e7)
    for f, c in zip(got, curves.curve, strict=True):
        slope = float(f @ c / (c @ c))
        assert 0.0 < slope < 1.2
        assert np.abs(f - slope * c).max() < 0.05


def test_a_noisy_gram_matrix_still_beats_adding_curves_up():
    """Seeds are fixed. Noise 20 against entries of about 80: .67, the sum of curves .65, no noise .71."""
    y, bins, codes = simulate()
    y2, _, codes2 = simulate(seed=1)
    naive = auc(y2, score(fit_curves(exact_counts(y, bins, codes), bins).curve, codes2))
    noisy = [auc(y2, score(fit(y, bins, codes, 100.0, 20.0, k), codes2)) for k in range(3)]
    assert min(noisy) > naive + 0.01


def test_weights_solve_the_discriminant_when_the_prior_is_idle():
    """One curve column a feature and no noise: h G d = b, by plain linear algebra."""
    y, bins, codes = simulate(n=200_000)
    counts = exact_counts(y, bins, codes)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves, modes=0)
    gram = gram_of(bases, codes)
    got = contributions(bases, counts, curves, gram, np.zeros_like(gram))
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    d = np.linalg.solve(x.T @ x * curves.rate * (1 - curves.rate), x.T @ (y - curves.rate))
    found = np.array([f @ b[:, 0] / (b[:, 0] @ b[:, 0]) for f, b in zip(got, bases, strict=True)])
    assert np.allclose(found, d, atol=0.05 * np.abs(d).max())


def test_entries_within_a_feature_are_ignored():
    y, bins, codes = simulate(n=3000)
    counts = exact_counts(y, bins, codes)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    gram, noise = gram_of(bases, codes), np.ones((sum(b.shape[1] for b in bases),) * 2)
    other, other_noise = gram.copy(), noise.copy()
    k = bases[0].shape[1]
    other[:k, :k] = 1e6
    other_noise[:k, :k] = 1e6
    a = contributions(bases, counts, curves, gram, noise)
    b = contributions(bases, counts, curves, other, other_noise)
    assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def test_a_matrix_of_another_shape_is_refused():
    y, bins, codes = simulate(n=500)
    counts = exact_counts(y, bins, codes)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    with pytest.raises(ConfigError):
        contributions(bases, counts, curves, np.eye(3), np.eye(3))


def test_weighed_contributions_leave_unknown_ones_where_they_are():
    """The modes have nothing in the last bin, so that an unknown enterprise gets nothing of any column."""
    bins = with_holders(2)
    n1 = (np.array([40.0, 160.0]), *(np.array([20.0, 80.0, 100.0]),) * 2)
    n0 = (np.array([900.0, 900.0]), *(np.array([500.0, 400.0, 900.0]),) * 2)
    counts = with_known(LabelCounts(n1, n0, np.full(3, 4.0)), bins)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    gram = np.diag(np.full(sum(b.shape[1] for b in bases), 50.0))
    got = contributions(bases, counts, curves, gram, np.ones_like(gram))
    assert [f[-1] for f in got[1:3]] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert curves.weight[3] @ got[3] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sd", [5.0, 30.0])
def test_a_card_from_elsewhere_helps_and_a_wrong_one_does_not_hurt(sd):
    """AUC with a card of other rows, without, and with that card turned round; at 30 the matrix drowns in noise."""
    rng = np.random.default_rng(11)
    y, bins, codes = simulate(4000, 1)
    y2, _, codes2 = simulate(12_000, 2)
    counts = exact_counts(y, bins, codes, 400.0, rng)
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    gram = gram_of(bases, codes)
    noise = np.triu(rng.normal(0, sd, gram.shape), 1)
    card = fit(y2, bins, codes2)
    found = {}
    for name, joint in (("none", ()), ("card", card), ("wrong", tuple(-f for f in card))):
        known = replace(curves, joint=joint)
        got = contributions(bases, counts, known, gram + noise + noise.T, np.full(gram.shape, sd**2))
        found[name] = auc(y2, score(got, codes2))
    assert found["card"] > found["none"] + 0.005
    assert found["wrong"] > found["none"] - 0.005
