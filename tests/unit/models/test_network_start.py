"""A network's first weights make the card's log-odds, in every bin, special code and missing value."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.network_defaults import BIAS
from fedrisk.models.network_inputs import encode, input_columns
from fedrisk.models.network_start import start_weights

BINS = [
    Bins(
        Feature(institution="bank", column="age", low=0, high=99, special=((99.0, "not stated"),)),
        edges=(20.0, 40.0),
    ),
    Bins.public(Feature(institution="bank", column="town", kind="category", bins=("a", "b"))),
    Bins.public(Feature(institution="bank", column="flag", kind="flag", missing=False)),
    Bins(Feature(institution="bank", column="empty", low=0, high=1)),
]
FRAME = pd.DataFrame(
    {
        "age": [10.0, 20.0, 50.0, 99.0, np.nan],
        "town": pd.Series(["a", "b", "else", None, "a"], dtype=object),
        "flag": [0.0, 1.0, 1.0, 0.0, 1.0],
        "empty": [0.5, np.nan, 0.1, 0.2, 0.3],
    }
)


def log_odds(curves, intercept):
    weights = start_weights(input_columns(BINS), curves, intercept)
    x = encode(FRAME, BINS).astype(float)
    return np.column_stack([x, np.full(len(x), BIAS)]) @ weights


def test_one_column_by_hand():
    """Age has bins below 20, 20 to 40, above, then the code 99 and missing."""
    curve = np.array([-1.0, 0.5, 2.0, 3.0, 0.25])
    expected = -2.0 + np.array([-1.0, 0.5, 2.0, 3.0, 0.25])
    np.testing.assert_allclose(log_odds([curve, None, None, None], -2.0), expected, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=16, max_size=16), st.booleans())
def test_all_columns_add_up(values, known):
    sizes = [b.size for b in BINS]
    curves = np.split(np.array(values[: sum(sizes)]), np.cumsum(sizes)[:-1])
    codes = [b.codes(FRAME[b.feature.column]) for b in BINS]
    expected = values[-1] + sum(
        c[k] for c, k, b in zip(curves, codes, BINS, strict=True) if known or b.feature.column != "town"
    )
    given_ = [c if known or b.feature.column != "town" else None for c, b in zip(curves, BINS, strict=True)]
    np.testing.assert_allclose(log_odds(given_, values[-1]), expected, atol=1e-4)


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="one curve"):
        start_weights(input_columns(BINS), [None], 0.0)
    with pytest.raises(ConfigError, match="one number for each bin"):
        start_weights(input_columns(BINS), [np.zeros(2), None, None, None], 0.0)
    with pytest.raises(ConfigError, match="steps"):
        start_weights(input_columns(BINS, "piecewise"), [np.zeros(5), None, None, None], 0.0)
