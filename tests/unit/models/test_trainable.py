"""What training code knows of a model, what the hub may rely on, and the file of a trained model."""

import io
import json
import zipfile

import numpy as np
import pytest

from fedrisk.errors import ConfigError
from fedrisk.models.trainable import TrainedModel, Trainee
from fedrisk.secure.fixed_point import bound, quantise_rows


class Mean:
    """Learns a mean: loss (w - row)^2 / 2, gradient w - row."""

    def __init__(self, data):
        self.data = data
        self.size, self.rows = data.shape[1], len(data)

    def clipped_sum(self, weights, clip, bits):
        return quantise_rows(weights - self.data, clip, bits).sum(0)


def descend(trainee: Trainee, steps: int) -> np.ndarray:
    w = np.zeros(trainee.size)
    for _ in range(steps):
        w -= 0.5 * trainee.clipped_sum(w, 10.0, 24) / 2.0**24 / trainee.rows
    return w


def test_a_model_with_these_three_is_trained_by_its_sums_alone():
    data = np.array([[1.0, 2.0], [3.0, -2.0]])
    trainee = Mean(data)
    w = descend(trainee, 60)
    np.testing.assert_allclose(w, [2.0, 0.0], atol=1e-6)


def test_one_enterprise_moves_the_sum_by_no_more_than_the_bound():
    data = np.array([[1.0, 2.0], [300.0, -200.0]])
    whole, without = Mean(data), Mean(data[:1])
    moved = whole.clipped_sum(np.zeros(2), 1.5, 24) - without.clipped_sum(np.zeros(2), 1.5, 24)
    assert sum(int(v) ** 2 for v in moved) <= bound(1.5, 24) ** 2
    assert moved.any()


def test_a_trained_model_comes_back_from_its_file():
    model = TrainedModel(np.array([0.5, -1.25]), {"kind": "logistic"}, {"study": "s", "mu": 0.5})
    again = TrainedModel.from_bytes(model.to_bytes())
    assert again.weights.dtype == np.float32
    assert again.weights.tolist() == [0.5, -1.25]
    assert (again.design, again.about) == (model.design, model.about)


def test_the_file_is_plain_numpy_and_json():
    content = TrainedModel(np.zeros(2, np.float32), {"kind": "mlp"}, {}).to_bytes()
    assert sorted(zipfile.ZipFile(io.BytesIO(content)).namelist()) == ["json.npy", "weights.npy"]
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        assert json.loads(file["json"].tobytes()) == {"design": {"kind": "mlp"}, "about": {}}


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_another_file_is_refused(content):
    with pytest.raises(ConfigError, match="train it again"):
        TrainedModel.from_bytes(content)
    other = io.BytesIO()
    np.savez(other, weights=np.zeros(2))
    with pytest.raises(ConfigError, match="no trained network"):
        TrainedModel.from_bytes(other.getvalue())
