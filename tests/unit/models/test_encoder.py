"""The sequence encoder: gradients of single enterprises and their bound, gaps, outputs, training."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError, DataError
from fedrisk.models import encoder as en
from fedrisk.secure.fixed_point import bound

SMALL = en.EncoderDesign(series=2, months=8, window=4, horizon=2, hidden=5, bottleneck=3, outputs=7)


def histories(n, design=SMALL, seed=0, gaps=0.1):
    rng = np.random.default_rng(seed)
    x = 0.5 + np.cumsum(rng.normal(0, 0.02, (n, design.months, design.series)), axis=1)
    x[rng.random(x.shape) < gaps] = np.nan
    return x.astype(np.float32)


def mean_loss(trainee, design, weights):
    with torch.no_grad():
        return float(trainee._losses(en._loaded(design, weights), slice(None)).mean())


def test_the_size_is_that_of_the_weights():
    assert SMALL.size == (16 + 1) * 5 + (5 + 1) * 3 + (3 + 1) * 4
    w = en.initial_weights(SMALL, 3)
    assert w.shape == (SMALL.size,)
    assert w.dtype == np.float32
    assert np.array_equal(w, en.initial_weights(SMALL, 3))
    assert not np.array_equal(w, en.initial_weights(SMALL, 4))


def test_a_design_survives_json_and_refuses_nonsense():
    assert en.EncoderDesign.from_dict(SMALL.to_dict()) == SMALL
    for wrong in ({"series": 1, "oops": 2}, {"series": "many"}, {"series": 1, "window": 17}, {"series": 0}):
        with pytest.raises(ConfigError):
            en.EncoderDesign.from_dict(wrong)
    with pytest.raises(ConfigError, match="outputs is 9, at most 8"):
        en.EncoderDesign(series=2, outputs=9)


def test_the_sum_is_that_of_autograd_enterprise_by_enterprise():
    x, w = histories(7), en.initial_weights(SMALL, 1)
    got = en.EncoderTrainee(SMALL, x).clipped_sum(w, 1000.0, 24) / 2**24
    want = np.zeros(SMALL.size)
    for i in range(7):
        one = en.EncoderTrainee(SMALL, x[i : i + 1])
        model = en._loaded(SMALL, w)
        grads = torch.autograd.grad(one._losses(model, slice(None)).sum(), list(model.parameters()))
        want += torch.cat([g.ravel() for g in grads]).numpy()
    assert np.abs(want).max() > 0.1
    assert got == pytest.approx(want, abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100.0), st.floats(0.1, 30.0))
def test_no_enterprise_moves_the_sum_by_more_than_the_bound(seed, clip, size):
    """Zeroing one enterprise moves the sum by a vector within the bound, whatever weights and values."""
    rng = np.random.default_rng(seed)
    x = histories(4, seed=seed) * np.float32(size)
    w = (size * rng.normal(size=SMALL.size)).astype(np.float32)
    total = en.EncoderTrainee(SMALL, x).clipped_sum(w, clip, 20)
    without = x.copy()
    without[2] = np.nan
    part = total - en.EncoderTrainee(SMALL, without).clipped_sum(w, clip, 20)
    assert sum(int(v) ** 2 for v in part) <= bound(clip, 20) ** 2


def test_blocks_do_not_matter(monkeypatch):
    x, w = histories(11), en.initial_weights(SMALL, 1)
    whole = en.EncoderTrainee(SMALL, x).clipped_sum(w, 1.0, 24)
    monkeypatch.setattr(en, "BLOCK", 4)
    parts = en.EncoderTrainee(SMALL, x)
    assert np.abs(parts.clipped_sum(w, 1.0, 24) - whole).max() <= 11 * 8  # float sums in another order
    assert np.allclose(en.encode(SMALL, w, x), en.encode(SMALL, w, x[:]), equal_nan=True)


def test_an_enterprise_without_history_adds_nothing_and_has_no_outputs():
    x, w = histories(3), en.initial_weights(SMALL, 1)
    x[1] = np.nan
    assert not en.EncoderTrainee(SMALL, x[1:2]).clipped_sum(w, 1.0, 24).any()
    out = en.encode(SMALL, w, x)
    assert np.isnan(out).all(axis=1).tolist() == [False, True, False]
    assert out.shape == (3, 7)
    assert np.nanmax(np.abs(out)) <= 1


def test_what_is_in_a_gap_does_not_matter_but_the_gap_does():
    x, w = histories(2, gaps=0.0), en.initial_weights(SMALL, 1)
    full = en.encode(SMALL, w, x)
    x[0, 5, 1] = np.nan
    assert not np.allclose(en.encode(SMALL, w, x)[0], full[0])
    assert np.array_equal(en.encode(SMALL, w, x)[1], full[1])


def test_level_and_unit_of_variation_do_not_matter():
    """Twice the variation around another level gives about the same outputs: the encoder sees the shape."""
    x, w = 10 * (histories(5, gaps=0.0) - 0.5), en.initial_weights(SMALL, 1)
    assert en.encode(SMALL, w, 2 * x + 7) == pytest.approx(en.encode(SMALL, w, x), abs=0.05)


def test_without_weights_the_outputs_are_levels_by_hand():
    """All weights zero: forecasts are the window's level, so outputs are levels against mean and window."""
    d = en.EncoderDesign(series=1, months=8, window=4, horizon=2, hidden=2, bottleneck=2, outputs=3)
    x = np.array([0, 1, 0, 1, 0, 1, 2, 3], dtype=np.float32)[None, :, None]
    out = en.encode(d, np.zeros(d.size, np.float32), x)[0]
    scale = 1.0 + en.FLOOR  # every month's step is one
    assert out[0] == pytest.approx(np.tanh((1.5 - 1.0) / scale), abs=1e-5)  # mean of months 5-8 against 1-8
    assert out[1] == pytest.approx(np.tanh((2.5 - 0.5) / scale), abs=1e-5)  # months 7-8 against 3-6
    assert out[2] == 0


def test_noisy_training_learns_a_rhythm():
    """Rhythms of four months in any phase: training at epsilon 3 nearly halves the error of the forecasts.

    Noise has a fixed seed, so nothing here is by chance.
    """
    rng = np.random.default_rng(0)
    d = en.EncoderDesign(series=1, months=18, hidden=8, outputs=2)
    n = 2500
    phase = rng.integers(0, 4, n)[:, None]
    x = 0.5 + 0.1 * ((np.arange(18)[None] + phase) % 4 < 2) + rng.normal(0, 0.01, (n, 18))
    trainee = en.EncoderTrainee(d, x[:, :, None].astype(np.float32))
    w = en.initial_weights(d, 0).astype(float)
    start = mean_loss(trainee, d, w)
    m, v = np.zeros_like(w), np.zeros_like(w)
    sigma = en.CLIP * np.sqrt(en.STEPS) / 0.648
    for t in range(1, en.STEPS + 1):
        g = (trainee.clipped_sum(w, en.CLIP, 24) / 2**24 + sigma * rng.normal(size=w.shape)) / n
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        w -= en.LEARNING_RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3)
    assert mean_loss(trainee, d, w) < 0.6 * start


def test_wrong_shapes_are_named():
    with pytest.raises(DataError, match=r"the encoder reads \(enterprises, 8, 2\)"):
        en.EncoderTrainee(SMALL, np.zeros((3, 9, 2), np.float32))
    with pytest.raises(DataError, match="weights have shape"):
        en.encode(SMALL, np.zeros(3, np.float32), histories(2))
    with pytest.raises(DataError, match="infinite"):
        en.EncoderTrainee(SMALL, np.full((1, 8, 2), np.inf, np.float32))
