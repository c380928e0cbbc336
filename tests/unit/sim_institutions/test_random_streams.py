"""Random streams do not depend on each other; series and rounding by hand."""

import re

import numpy as np
import pytest

from sim_institutions.calibration import README
from sim_institutions.random_streams import (
    BLOCK_SIZE,
    autoregressive,
    coarse,
    logistic,
    noisy,
    normal,
    significant,
    stream,
    uniform,
)


def test_a_stream_depends_on_seed_and_name_alone():
    first = stream(1, "tax_office", 3).random(5)
    assert np.array_equal(first, stream(1, "tax_office", 3).random(5))
    for other in (stream(2, "tax_office", 3), stream(1, "tax_office", 4), stream(1, "court", 3)):
        assert not np.array_equal(first, other.random(5))


def test_numbers_are_float32():
    rng = stream(1, "x")
    for drawn in (
        normal(rng, 2, 3),
        uniform(rng, 2, 3),
        noisy(normal(rng, 4), 0.5, rng),
        logistic(np.zeros(2)),
    ):
        assert drawn.dtype == np.float32


def test_an_autoregressive_series_is_stationary():
    path = autoregressive(normal(stream(1, "x"), 20_000, 18), 0.8)
    # 20,000 rows: a variance of 1 has standard error .01, a correlation below .01.
    assert np.allclose(path.var(axis=0), 1, atol=0.05)
    assert np.corrcoef(path[:, 3], path[:, 4])[0, 1] == pytest.approx(0.8, abs=0.03)


def test_a_noisy_reading_has_the_stated_correlation():
    level = normal(stream(1, "x"), 20_000)
    reading = noisy(level, 0.6, stream(1, "y"))
    assert np.corrcoef(level, reading)[0, 1] == pytest.approx(0.6, abs=0.03)
    assert reading.var() == pytest.approx(1, abs=0.05)


def test_logistic_stays_finite():
    assert logistic(np.array([-1e6, 0.0, 1e6], dtype=np.float32)).tolist() == pytest.approx([0, 0.5, 1])


def test_rounding_keeps_missing_values():
    x = np.array([np.nan, 1.23456], dtype=np.float32)
    assert np.isnan(significant(x, 3)[0])
    assert significant(x, 3)[1] == np.float32(1.23)
    assert np.isnan(coarse(x)[0])
    assert coarse(x)[1] == pytest.approx(1.23456, rel=1e-3)


def test_a_block_has_the_size_that_the_readme_states():
    stated = re.search(r"blocks of ([\d,]+)", README.read_text(encoding="utf-8"))
    assert stated
    assert int(stated[1].replace(",", "")) == BLOCK_SIZE
