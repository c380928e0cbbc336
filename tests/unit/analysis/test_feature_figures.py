"""Information values, PSI and points of features: by hand, and without the flattery of noise."""

import numpy as np
import pytest

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.feature_figures import (
    column_values,
    counted_value,
    divergence,
    feature_points,
    information_values,
    logarithmic_mean,
    merged,
)
from fedrisk.data.features import Feature
from fedrisk.metrics import psi
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts


def column(name, bins):
    feature = Feature(institution="bank", column=name, low=0, high=1, missing=False)
    return Bins(feature, edges=tuple(np.arange(1, bins) / bins))


def test_the_logarithmic_mean_turns_a_square_into_the_divergence():
    p, q = np.array([0.1, 0.3, 0.6]), np.array([0.2, 0.3, 0.5])
    mean = logarithmic_mean(p, q)
    assert mean[1] == 0.3
    assert ((p - q) ** 2 / mean).sum() == pytest.approx(divergence(p, q)) == pytest.approx(psi(p, q))


def test_bins_are_merged_among_their_like():
    # Four in an order, then three of their own, of which two are rare.
    into = merged(np.array([0.2, 0.2, 0.05, 0.2, 0.3, 0.03, 0.02]), 4, 0.2)
    assert [np.flatnonzero(row).tolist() for row in into] == [[0], [1], [2, 3], [4, 5, 6]]
    assert merged(np.array([0.5, 0.5]), 2, 2.0).tolist() == [[1, 1]]


def test_noise_does_not_add_information():
    """Mean of the values of 40 noisy columns: within four standard errors of the true one, .097, and of zero."""
    rng, rows, noise = np.random.default_rng(5), 20_000, 25.0
    share = np.full(6, 1 / 6)
    told, silent = share * np.exp(np.linspace(0.5, -0.5, 6)), share
    told = told / told.sum()
    n1, n0 = [], []
    for p in [told] * 40 + [silent] * 40:
        n1.append(rng.multinomial(1500, p) + rng.normal(0, noise, 6))
        n0.append(rng.multinomial(rows - 1500, share) + rng.normal(0, noise, 6))
    bins = tuple(column(f"c{k}", 6) for k in range(80))
    counts = LabelCounts(tuple(n1), tuple(n0), np.full(80, noise**2))
    found = {v.column: v.value for v in column_values(CardSums(bins=bins, counts=counts))}
    true = divergence(told, share)
    informed = [found[f"c{k}"] for k in range(40)]
    values = np.array([e.value for e in informed])
    assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(40)
    assert sum(e.low <= true <= e.high for e in informed) >= 34
    nothing = [found[f"c{k}"] for k in range(40, 80)]
    assert all(e.low == 0 for e in nothing) and np.mean([e.value for e in nothing]) < 0.01
    raw = np.mean(
        [divergence(*(np.maximum(v, 1) / np.maximum(v, 1).sum() for v in (n1[k], n0[k]))) for k in range(40)]
    )
    assert raw > values.mean() + 0.01


def test_counted_values_of_large_samples_are_those_of_the_divergence():
    a, b = [5e6, 3e6, 2e6], [3e6, 3e6, 4e6]
    found = counted_value(a, b)
    assert found.value == pytest.approx(psi(a, b), rel=1e-3) and found.low < found.value < found.high
    assert counted_value([0, 0], [1, 1]) is None


def test_a_whole_run_has_values_and_points_of_all_its_columns(finished):
    for results in finished.values():
        values, points = information_values(results.record), feature_points(results.card)
        assert len(values) == sum(b.feature.is_column for b in results.card.bins)
        assert [v.value.value for v in values] == sorted((v.value.value for v in values), reverse=True)
        assert all(0 <= v.value.low <= v.value.value <= v.value.high for v in values)
        assert [len(p.labels) for p in points] == [b.size for b in results.card.bins]
        assert all((p.points.low < p.points.value).all() for p in points)
