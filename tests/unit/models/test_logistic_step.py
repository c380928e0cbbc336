"""The logistic step: rows drawn as the releases say, and weights where a strong label makes probabilities near one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.data.features import Feature, known_feature
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, radii, shape_bases
from fedrisk.models.estimator import moment_equations, weights_from
from fedrisk.models.joint_bins import drawn_rows
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.logistic_step import logistic_equations
from fedrisk.models.shape_rows import shape_rows

FEATURES, KNOWN = 6, 0.7


def strong(rows, seed):
    """A trouble that three columns of a holder show, often all of them, and three of a bank; holders miss some rows."""
    rng = np.random.default_rng(seed)
    trouble = rng.random(rows) < 0.06
    depth = np.where(trouble, rng.exponential(1.6, rows), 0.0)[:, None]
    x = depth + 0.5 * rng.normal(0, 1, (rows, 1)) + rng.normal(0, 1, (rows, FEATURES))
    y = (rng.random(rows) < expit(-6 + 1.2 * x.sum(1) * 0.5 + 3 * trouble)).astype(int)
    unknown = rng.random(rows) > KNOWN
    bins, codes = [], []
    for j in range(FEATURES):
        owner = "bank" if j < 3 else "tax"
        feature = Feature(institution=owner, column=f"x{j}", low=-4, high=9, missing=False)
        bins.append(Bins(feature, edges=tuple(np.linspace(-1, 5, 9)), unknown=owner == "tax"))
        code = bins[-1].codes(x[:, j]).astype(int)
        codes.append(np.where(unknown, bins[-1].size - 1, code) if owner == "tax" else code)
    bins.append(Bins.public(known_feature("tax")))
    codes.append(unknown.astype(int))
    return y, bins, codes


@pytest.fixture(scope="module")
def study():
    """Releases of such a study with hardly any noise, and fresh rows."""
    y, bins, codes = strong(30_000, 0)
    n1, n0 = (
        tuple(np.bincount(c, w, b.size).astype(float) for b, c in zip(bins, codes, strict=True))
        for w in (y, 1 - y)
    )
    counts = LabelCounts(n1, n0, np.full(len(bins), 1.0))
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    owner = [b.feature.institution for b in bins]
    parts = []
    for name, radius in radii(bases, curves, owner).items():
        own = [j for j, o in enumerate(owner) if o == name]
        parts.append(shape_rows([codes[j] for j in own], [bases[j] for j in own], radius, 20) / 2.0**20)
    rows = np.concatenate(parts, axis=1)
    return counts, curves, bases, rows.T @ rows, owner, codes, strong(30_000, 1)


def test_drawn_rows_go_together_as_rows_do_before_they_are_clipped(study):
    _, curves, bases, gram, owner, codes, *_ = study
    rows = drawn_rows(curves, bases, owner, gram, np.ones_like(gram))
    whole = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    truth = whole.T @ whole / len(whole)
    at = np.cumsum([0, *(b.shape[1] for b in bases)])[:-1]
    curved = np.ix_(at, at)
    other = ~np.eye(len(at), dtype=bool)

    def missed(found):
        return float(np.linalg.norm((found - truth)[curved][other]))

    drawn = (rows.shapes * rows.weight[:, None]).T @ rows.shapes
    assert missed(drawn + rows.lacking) < 0.35 * missed(gram / curves.total)


def test_who_a_holder_does_not_know_is_unknown_in_all_of_its_columns(study):
    _, curves, bases, gram, owner, *_ = study
    rows = drawn_rows(curves, bases, owner, gram, np.ones_like(gram))
    at = np.cumsum([0, *(b.shape[1] for b in bases)])
    known = np.isclose(rows.shapes[:, at[-2]], bases[-1][0, 0])
    assert float(rows.weight @ known) == pytest.approx(KNOWN, abs=0.03)
    assert not rows.shapes[~known][:, at[3] : at[6]].any()


def test_a_strong_label_is_ranked_better_than_by_the_linear_step(study):
    counts, curves, bases, gram, owner, _, (y, _, fresh) = study
    released = bases, counts, curves, gram, np.ones_like(gram)

    def figures(weights):
        score = sum(f[c] for f, c in zip(weights.contributions, fresh, strict=True))
        limit = np.quantile(score[y == 0], 0.99)
        return auc(y, score), float((score[y == 1] > limit).mean())

    linear, logistic = (
        figures(weights_from(e, bases, curves))
        for e in (moment_equations(*released), logistic_equations(*released, owner))
    )
    assert logistic[0] > linear[0] + 0.002
    assert logistic[1] > linear[1] + 0.01


def test_the_same_releases_give_the_same_weights_to_the_last_bit(study):
    counts, curves, bases, gram, owner, *_ = study
    released = bases, counts, curves, gram, np.ones_like(gram)
    one, other = (weights_from(logistic_equations(*released, owner), bases, curves).mean for _ in range(2))
    assert (one == other).all()


def test_noise_that_drowns_the_matrix_leaves_shrunken_curves(study):
    counts, curves, bases, gram, owner, _, (y, _, fresh) = study
    noise = np.triu(np.random.default_rng(0).normal(0, 1, gram.shape), 1) * 1e6
    released = bases, counts, curves, gram + noise + noise.T, np.full(gram.shape, 1e12)
    weights = weights_from(logistic_equations(*released, owner), bases, curves)
    found = auc(y, sum(f[c] for f, c in zip(weights.contributions, fresh, strict=True)))
    naive = auc(y, sum(f[c] for f, c in zip(curves.curve, fresh, strict=True)))
    assert found > naive - 0.01


def test_last_digits_of_a_curve_do_not_put_bins_that_are_alike_in_another_order(study):
    """Members work the card out on machines that add up otherwise."""
    _, curves, bases, gram, owner, *_ = study

    def shapes(last):
        alike = (np.round(curves.curve[0], 1) + last, *curves.curve[1:])
        return drawn_rows(replace(curves, curve=alike), bases, owner, gram, np.ones_like(gram)).shapes

    digits = 1e-14 * np.arange(len(curves.curve[0]))
    assert (np.diff(np.sort(np.round(curves.curve[0], 1))) == 0).any()
    assert (shapes(digits) == shapes(-digits)).all()


def test_the_stream_that_rows_are_drawn_by_is_the_one_of_all_members():
    """numpy may change it in a later version: then rows are to be drawn by a stream of fedrisk's own, as before."""
    found = np.random.default_rng(0).standard_normal((2, 2))
    assert found == pytest.approx(np.array([[0.12573022, -0.13210486], [0.64042265, 0.10490012]]), abs=1e-8)
