"""Codes: valid, different in all blocks, and readable in every way of writing."""

import numpy as np
import pytest

from fedrisk.alignment.ids import normalise
from sim_institutions.ids import _HIGH, _LOW, _permuted, codes, mistyped, written
from sim_institutions.random_streams import stream

N = 5000


@pytest.fixture(scope="module")
def some():
    number = np.r_[np.arange(N // 2), 5_291_000 - np.arange(N // 2)]
    rng = np.random.default_rng(0)
    return codes(number, rng.random(N) < 0.7, rng.integers(0, 100, N), 1)


def plain(values):
    return written(values, "plain", 1.0, stream(1, "x")).to_pylist()


def test_codes_are_valid_different_and_of_no_assigned_district(some):
    ids = plain(some)
    spelt, refused = normalise(ids, "uscc")
    assert not refused.any()
    assert spelt.tolist() == ids
    assert len(set(ids)) == N
    assert all(i[0] == "9" and i[1] in "12" and i[2:6] == "3699" for i in ids)


def test_permutation_is_one():
    number = np.arange(200_000)
    out = _permuted(number, 3)
    assert len(np.unique(out)) == len(number)
    assert out.min() >= 0
    assert out.max() < _LOW * _HIGH
    assert not np.array_equal(out, _permuted(number, 4))
    # Neighbours come out far apart: rank correlation of a random order, six standard deviations.
    assert abs(np.corrcoef(number, out)[0, 1]) < 6 / np.sqrt(len(number))


@pytest.mark.parametrize("style", ["lower", "spaced", "full_width"])
def test_every_way_of_writing_reads_as_the_same_code(some, style):
    odd = written(some, style, 0.5, stream(1, "x")).to_pylist()
    share = np.mean([a != b for a, b in zip(odd, plain(some), strict=True)])
    assert 0.4 < share < 0.6
    spelt, refused = normalise(odd, "uscc")
    assert not refused.any()
    assert spelt.tolist() == plain(some)


def test_mistyped_codes_are_refused(some):
    wrong = mistyped(some, 0.1, stream(1, "y"))
    changed = (wrong != some).any(axis=1)
    assert 0.06 < changed.mean() < 0.14
    _, refused = normalise(plain(wrong), "uscc")
    assert np.array_equal(refused, changed)
