"""Coarse bands: never a disguise for the holder's columns themselves."""

import numpy as np
import pytest

from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.recipes.scorecard.scoring import LEAST_BAND_SHARE, banded

BANDS = {"edges": [-20, 0, 20], "points": [-30, -10, 10, 30]}


def test_bands_by_hand():
    partial = np.arange(-40, 40)
    out = banded(partial, np.arange(80), BANDS)
    assert out[[0, 19, 20, 39, 40, 59, 60, 79]].tolist() == [-30, -30, -10, -10, 10, 10, 30, 30]


def test_one_flag_makes_one_band():
    partial = np.array([-25, 25])
    rows = np.array([0, 1] * 50)
    assert len(np.unique(banded(partial, rows, BANDS)[rows])) == 1


def test_thin_bands_are_merged():
    partial = np.concatenate([np.arange(1, 20), np.full(1, -35), np.full(1, -30)])
    rows = np.concatenate([np.tile(np.arange(19), 20), [19, 20]])
    out = banded(partial, rows, BANDS)[rows]
    share = [np.mean(out == v) for v in np.unique(out)]
    assert min(share) >= LEAST_BAND_SHARE


def test_every_band_covers_two_sums_at_least():
    rng = np.random.default_rng(0)
    for _ in range(200):
        partial = rng.integers(-40, 40, rng.integers(1, 12))
        rows = rng.integers(0, len(partial), 60)
        out = banded(partial, rows, BANDS)
        if len(np.unique(out[rows])) > 1:
            for value in np.unique(out[rows]):
                assert len(np.unique(partial[rows][out[rows] == value])) > 1


@pytest.mark.parametrize(
    "bands", [None, {"edges": [], "points": [1]}, {"edges": list(range(16)), "points": [0] * 17}]
)
def test_no_bands_or_too_many_are_refused(bands):
    with pytest.raises(PolicyError, match="bands only"):
        banded(np.arange(4), np.arange(4), bands)


@pytest.mark.parametrize("bands", [{"edges": [1, 0], "points": [1, 2, 3]}, {"edges": [1], "points": [1]}])
def test_malformed_bands_are_a_protocol_error(bands):
    with pytest.raises(ProtocolError, match="malformed"):
        banded(np.arange(4), np.arange(4), bands)
