"""The interface that training code knows of a model: what satisfies it, and what the hub may rely on."""

import numpy as np

from fedrisk.models.trainable import Trainee
from fedrisk.secure.fixed_point import bound, quantise_rows


class Mean:
    """Learns a mean: loss (w - row)^2 / 2, gradient w - row."""

    def __init__(self, data):
        self.data = data
        self.size, self.rows = data.shape[1], len(data)

    def clipped_sum(self, weights, clip, bits):
        return quantise_rows(weights - self.data, clip, bits).sum(0)

    def local_loss(self, weights):
        return float(np.square(weights - self.data).sum(1).mean() / 2)


def descend(trainee: Trainee, steps: int) -> np.ndarray:
    w = np.zeros(trainee.size)
    for _ in range(steps):
        w -= 0.5 * trainee.clipped_sum(w, 10.0, 24) / 2.0**24 / trainee.rows
    return w


def test_a_model_with_these_four_is_trained_by_its_sums_alone():
    data = np.array([[1.0, 2.0], [3.0, -2.0]])
    trainee = Mean(data)
    w = descend(trainee, 60)
    np.testing.assert_allclose(w, [2.0, 0.0], atol=1e-6)
    assert trainee.local_loss(w) < trainee.local_loss(np.zeros(2))


def test_one_enterprise_moves_the_sum_by_no_more_than_the_bound():
    data = np.array([[1.0, 2.0], [300.0, -200.0]])
    whole, without = Mean(data), Mean(data[:1])
    moved = whole.clipped_sum(np.zeros(2), 1.5, 24) - without.clipped_sum(np.zeros(2), 1.5, 24)
    assert sum(int(v) ** 2 for v in moved) <= bound(1.5, 24) ** 2
    assert moved.any()
