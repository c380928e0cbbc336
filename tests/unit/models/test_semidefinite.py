"""The nearest matrix without eigenvalues below a bound: itself where it has none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.models.semidefinite import semidefinite


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.0, 0.02]), st.floats(-3.0, 8.0))
def test_it_is_the_matrix_of_clipped_eigenvalues(seed, size, least, shift):
    """With most shifts some eigenvalues are below, with large ones none."""
    matrix = np.random.default_rng(seed).normal(size=(size, size)) + shift * np.eye(size)
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    want = (vector * np.maximum(value, least)) @ vector.T
    np.testing.assert_allclose(semidefinite(matrix, least), want, atol=1e-12)


def test_a_matrix_without_any_below_stays_to_the_bit():
    matrix = np.array([[2.0, 0.1], [0.1, 0.3]])
    assert np.array_equal(semidefinite(matrix, 0.02), matrix)
