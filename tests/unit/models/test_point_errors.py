"""Standard errors of points: by hand, and against how contributions vary over other noise and other rows."""

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves, fit_curves, shape_bases
from fedrisk.models.estimator import Weights, posterior_weights
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.point_errors import contribution_errors, point_errors
from fedrisk.models.weight_priors import SLOPE

FEATURES, SIZE = 8, 10


def simulated(n, rng):
    """Outcomes and bin codes of correlated columns, and the columns' bins."""
    x = 0.7 * rng.normal(0, 1, (n, 1)) + 0.7 * rng.normal(0, 1, (n, FEATURES))
    z = -2 + x @ np.linspace(0.5, -0.4, FEATURES) + 0.4 * (x[:, 0] ** 2 - 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    edges = tuple(np.linspace(-1.5, 1.5, SIZE - 1))
    bins = [
        Bins(Feature(institution="tax", column=f"x{j}", low=-4, high=4, missing=False), edges=edges)
        for j in range(FEATURES)
    ]
    return y, bins, [b.codes(x[:, j]) for j, b in enumerate(bins)]


def counted(y, codes, sd, rng):
    """Label counts with normal noise."""
    n1, n0 = (
        tuple(np.bincount(c, label, SIZE) + rng.normal(0, sd, SIZE) for c in codes) for label in (y, 1 - y)
    )
    return LabelCounts(n1, n0, np.full(FEATURES, sd**2))


def curves(covariance, weight=(0.5, 0.5)):
    w = np.array(weight)
    zero = np.zeros(2)
    return Curves(
        0.1, 100.0, (zero,), np.ones(1), (w,), np.zeros(1), (2,), (0,), covariance=(np.array(covariance),)
    )


def test_without_weights_they_are_those_of_the_curves():
    assert contribution_errors(curves([[0.04, 0], [0, 0.09]]))[0].tolist() == pytest.approx([0.2, 0.3])


def test_curve_and_weights_add_up_by_hand():
    """Share .5 (weight 2.5 times SLOPE) of the curve's variance, and the base times the weight's variance.

    The base 1, -1 has mean zero, so that nothing is taken off: variance 1 * .01 + .25 * .04 in each bin.
    """
    base = np.array([[1.0], [-1.0]])
    weights = Weights((base[:, 0] * 2.5,), np.array([0.5 / SLOPE]), np.array([[0.01]]))
    got = contribution_errors(curves([[0.04, 0], [0, 0.04]]), [base], weights)
    assert got[0].tolist() == pytest.approx([0.02**0.5] * 2)


def test_points_by_hand():
    got = point_errors([np.array([0.0]), np.array([0.1, 0.2])], 30.0)
    assert got[0] == pytest.approx((12**-0.5,))
    assert got[1] == pytest.approx(((9 + 1 / 12) ** 0.5, (36 + 1 / 12) ** 0.5))


@pytest.mark.parametrize("second", [True, False])
def test_other_rows_and_other_noise_stay_within_two_errors(second):
    """Pairs of fits on other rows with other noise: the share of bins within two errors of each other is about .95.

    32 pairs with 80 bins each. Bins of a feature go together, so that the share's own error is about .015. Of curves
    alone it is higher: that another step could have been chosen is in the errors, and curves of either step are alike.
    """

    def fit(seed):
        rng = np.random.default_rng(1000 + seed)
        y, bins, codes = simulated(4000, rng)
        counts = counted(y, codes, 10.0, rng)
        found = fit_curves(counts, bins)
        if not second:
            return found.curve, contribution_errors(found)
        bases = shape_bases(found)
        shape = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], 1)
        gram = shape.T @ shape
        noise = np.triu(rng.normal(0, 30, gram.shape), 1)
        variance = np.full(gram.shape, 900.0)
        weights = posterior_weights(bases, counts, found, gram + noise + noise.T, variance)
        return weights.contributions, contribution_errors(found, bases, weights)

    inside = []
    for k in range(32):
        (f, e), (g, d) = fit(2 * k), fit(2 * k + 1)
        inside += [abs(a - b) <= 2 * np.hypot(u, v) for a, b, u, v in zip(f, g, e, d, strict=True)]
    assert 0.90 < np.concatenate(inside).mean() < (0.99 if second else 0.998)
