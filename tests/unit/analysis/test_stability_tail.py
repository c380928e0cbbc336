"""The tail of a non-central chi-squared, where the exact series has no numbers left."""

import pytest
from scipy.stats import ncx2

from fedrisk.analysis.stability import _upper_tail


def test_a_tail_beyond_the_series_is_normal():
    assert _upper_tail(60.0, 4.0, 50.0) == pytest.approx(float(ncx2.sf(60.0, 4.0, 50.0)))
    assert _upper_tail(1.003e6, 1e6, 1e3) == pytest.approx(0.08, abs=0.01)
    for at, expected in ((1e12, 0.5), (2e12, 0.0)):
        assert _upper_tail(at, 1.0, 1e12) == pytest.approx(expected, abs=1e-3)
