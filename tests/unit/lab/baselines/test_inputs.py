"""Columns as numbers, by hand."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.data.features import Feature
from fedrisk.lab.baselines.inputs import indicators, public_bins, raw, scale_of, standardised


def test_a_number_goes_by_its_grid_between_its_bounds():
    age = Feature(institution="bank", column="age", low=0, high=8)
    place, low = scale_of(age, pd.Series([0.0, 2.0, 8.0, 99.0, -5.0, np.nan]))
    assert place.tolist() == pytest.approx([0, 0.25, 1, 1, 0, -0.05])
    assert low < -0.05


def test_special_codes_and_missing_values_lie_apart_whatever_the_feature_says():
    age = Feature(institution="bank", column="a", low=0, high=8, special=(("-1", "none"),), missing=False)
    place, low = scale_of(age, pd.Series([-1.0, np.nan, 4.0]))
    assert place.tolist() == pytest.approx([-0.05, -0.1, 0.5])
    assert low == pytest.approx(-0.125)


def test_a_category_takes_its_public_place_and_others_the_last():
    grade = Feature(institution="bank", column="g", kind="category", bins=("A", "B", "C"))
    place, _ = scale_of(grade, pd.Series(["A", "C", "Z", None], dtype=object))
    assert place.tolist() == pytest.approx([0.125, 0.625, 0.875, -0.05])


def test_public_bins_are_those_stated_or_even_ones():
    features = (
        Feature(institution="bank", column="a", low=0, high=8),
        Feature(institution="bank", column="b", bins=(1.0, 2.0), missing=False),
    )
    bins = public_bins(features, 4)
    assert [b.edges for b in bins] == [(2.0, 4.0, 6.0), (1.0, 2.0)]
    assert [b.size for b in bins] == [5, 4]
    table = indicators(bins, [np.array([0, 4]), np.array([2, 3])])
    assert table.toarray().tolist() == [[1, 0, 0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0, 0, 0, 1]]


def test_standardised_columns_have_mean_zero_over_training_rows(split):
    x = standardised(split)
    own = x[split.training]
    assert np.isfinite(x).all()
    assert own.mean(0) == pytest.approx(0, abs=1e-12)
    assert own.std(0) == pytest.approx(1)


def test_boosting_takes_missing_values_and_categories_as_they_are(split):
    x, category = raw(split)
    assert category.tolist() == [False, True, False, False, False]
    assert np.isnan(x[split.frame["bank.grade"].isna(), 1]).all()
    assert set(x[(split.frame["bank.grade"] == "Z").to_numpy(), 1]) == {3.0}
