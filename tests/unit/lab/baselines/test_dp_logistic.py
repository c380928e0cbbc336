"""What DP-SGD is fair and accounted for by: no gradient is clipped, and the accountant counts every step."""

import math

import numpy as np

from fedrisk.lab.baselines.dp_logistic import BINS, STEPS_OF_EPOCH
from fedrisk.lab.baselines.inputs import indicators, public_codes


def test_no_row_is_longer_than_the_clipping_norm(split):
    """A gradient is the row times a number between -1 and 1; a longer row would take most from rare defaults."""
    bins, codes = public_codes(split, BINS)
    x = indicators(bins, codes) / math.sqrt(len(bins))
    assert np.allclose((x**2).sum(axis=1), 1)


def test_every_step_is_counted():
    """The package counts int(epochs / share) steps, and runs as many batches an epoch as 1 / share says."""
    for steps in range(1, STEPS_OF_EPOCH + 1):
        assert int(20 / (1 / steps)) == 20 * steps and int(1 / (1 / steps)) == steps
