"""The network: scale at the start, gradients against autograd, the exact bound, forms, and room for noise."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models import network, network_defaults
from fedrisk.models.binning import Bins
from fedrisk.models.network import (
    NetworkDesign,
    NetworkTrainee,
    initial_weights,
    logits,
    named_weights,
    personal_weights,
    shared_curves,
)
from fedrisk.models.network_defaults import default_hidden, default_rate
from fedrisk.models.network_inputs import encode, input_columns
from fedrisk.models.network_products import Products
from fedrisk.models.personal import LinearModel
from fedrisk.secure.fixed_point import bound, quantise_rows

pytestmark = pytest.mark.slow

BINS = [
    Bins(Feature(institution="bank", column="age", low=0, high=80), edges=(20.0, 40.0, 60.0)),
    Bins.public(Feature(institution="bank", column="sector", kind="category", bins=tuple("ABCDEFGHIJKLMN"))),
    Bins(Feature(institution="bank", column="debt", low=0, high=1), edges=(0.5,)),
]
COLUMNS = input_columns(BINS)
LOGISTIC = NetworkDesign(kind="logistic", columns=COLUMNS)
DEEP = NetworkDesign(columns=COLUMNS, hidden=6, blocks=1)
PRODUCTS = NetworkDesign(kind="products", columns=COLUMNS, products=Products.of(COLUMNS, 0.0))
DESIGNS = [
    pytest.param(d, id=f"{d.kind}{d.blocks}")
    for d in (LOGISTIC, NetworkDesign(columns=COLUMNS, hidden=5), DEEP, PRODUCTS)
]


def rows(n=60, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.uniform(0, 80, n),
            "sector": rng.choice(list("ABCXYZ"), n).astype(object),
            "debt": rng.random(n),
        }
    )
    return encode(frame, BINS), (rng.random(n) < 0.3 + 0.4 * (frame["debt"].to_numpy() > 0.5)).astype(float)


def norms_of(trainee, weights):
    """Length of every enterprise's gradient before clipping."""
    return np.concatenate([np.linalg.norm(part, axis=1) for part in trainee._gradients(weights, None)])


def log_loss(logit, y):
    return float(np.mean(np.logaddexp(0, logit) - y * logit))


def moved(design, seed=3, size=0.3):
    rng = np.random.default_rng(seed)
    return initial_weights(design, 0) + rng.normal(0, size, design.size).astype(np.float32)


@pytest.mark.parametrize("design", DESIGNS)
def test_training_begins_at_even_odds(design):
    x, _ = rows()
    assert not logits(design, initial_weights(design, 0), x).any()


@pytest.mark.parametrize("design", DESIGNS)
def test_the_sum_is_that_of_autograd_where_nothing_is_clipped(design):
    x, y = rows()
    w = moved(design)
    trainee = NetworkTrainee(design, x, y)
    net = network._loaded(design, w)
    network._loss(net(torch.from_numpy(x)), torch.from_numpy(y.astype(np.float32))).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in net.parameters()]).numpy()
    np.testing.assert_allclose(trainee.clipped_sum(w, 100.0, 24) / 2**24, expected, atol=2e-5)


def test_logistic_gradients_by_hand():
    x, y = rows(4)
    w = moved(LOGISTIC)
    z = np.column_stack([x.astype(float), np.full(4, network_defaults.BIAS)])
    p = 1 / (1 + np.exp(-z @ w.astype(float)))
    by_hand = (p - y)[:, None] * z
    norms = np.linalg.norm(by_hand, axis=1)
    trainee = NetworkTrainee(LOGISTIC, x, y)
    np.testing.assert_allclose(norms_of(trainee, w), norms, rtol=1e-4)
    clip = float(np.median(norms))
    expected = (by_hand * np.minimum(1, clip / norms)[:, None]).sum(0)
    np.testing.assert_allclose(trainee.clipped_sum(w, clip, 24) / 2**24, expected, atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_row_without_a_label_adds_zeros_and_moves_no_other_row(design):
    """Whether one has a label is protected as its gradient is: the sum changes by that, to the last bit."""
    x, y = rows()
    w, clip = moved(design), 0.5
    (single,) = NetworkTrainee(design, x, y)._gradients(w, None)
    whole, label = NetworkTrainee(design, x, y).clipped_sum(w, clip, 24), y.astype(float)
    for i in (0, 17, 59):
        label[i] = np.nan
        whole = whole - quantise_rows(single[i : i + 1], clip, 24)[0]
        without = NetworkTrainee(design, x, label)
        assert (without.clipped_sum(w, clip, 24) == whole).all() and without.rows == len(y)
        other = x.copy()
        other[i] = 50.0
        assert (NetworkTrainee(design, other, label).clipped_sum(w, clip, 24) == whole).all()
    chosen = np.array([17, 3])
    (both,) = NetworkTrainee(design, x, y)._gradients(w, chosen)
    some = NetworkTrainee(design, x, label).clipped_sum(w, clip, 24, chosen)
    assert (some == quantise_rows(both[1:], clip, 24)[0]).all()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("clip", [0.001, 0.5])
def test_one_enterprise_moves_the_sum_by_no_more_than_the_bound(design, clip):
    """Its contribution is replaced by another, the row count stays: nobody else's gradient changes."""
    x, y = rows()
    x = 3 * x  # long rows: most are clipped
    w = moved(design)
    whole = NetworkTrainee(design, x, y).clipped_sum(w, clip, 24)
    (before,) = NetworkTrainee(design, x, y)._gradients(w, None)
    for i in (0, 17, 59):
        other, label = x.copy(), y.copy()
        other[i], label[i] = -x[i] + 3, 1 - y[i]
        (after,) = NetworkTrainee(design, other, label)._gradients(w, None)
        assert (np.delete(before, i, 0) == np.delete(after, i, 0)).all()
        assert (before[i] != after[i]).any()
        own = quantise_rows(before[i : i + 1], clip, 24)[0]
        assert 0 < sum(int(v) ** 2 for v in own) <= bound(clip, 24) ** 2
        change = whole - NetworkTrainee(design, other, label).clipped_sum(w, clip, 24)
        new = quantise_rows(after[i : i + 1], clip, 24)[0]
        assert (change == own - new).all()


def test_a_label_that_is_flipped_may_turn_a_clipped_gradient_round():
    """So it costs twice what the row made zero does, and not sqrt(2) times as in counts."""
    (x, _), clip = rows(1), 0.1
    weights = initial_weights(LOGISTIC)
    one, other = (
        NetworkTrainee(LOGISTIC, x, np.array([y])).clipped_sum(weights, clip, 24) for y in (0.0, 1.0)
    )
    length = math.sqrt(sum(int(v) ** 2 for v in (one - other).tolist()))
    assert 1.99 * bound(clip) < length <= 2 * bound(clip)


def test_blocks_of_rows_change_nothing(monkeypatch):
    x, y = rows()
    w = moved(DEEP)
    whole = NetworkTrainee(DEEP, x, y).clipped_sum(w, 1.0, 24)
    monkeypatch.setattr(network, "BLOCK_NUMBERS", 7 * DEEP.size)
    parts = NetworkTrainee(DEEP, x, y).clipped_sum(w, 1.0, 24)
    assert np.abs(whole - parts).max() <= 60 * 8  # last bits of single precision


def test_the_same_twice_and_the_same_start_everywhere():
    x, y = rows()
    w = moved(DEEP)
    trainee = NetworkTrainee(DEEP, x, y)
    assert (trainee.clipped_sum(w, 1.0, 24) == trainee.clipped_sum(w, 1.0, 24)).all()
    assert initial_weights(DEEP, 5).tobytes() == initial_weights(DEEP, 5).tobytes()
    assert initial_weights(DEEP, 5).tobytes() != initial_weights(DEEP, 6).tobytes()


def test_descent_lowers_the_loss_and_finds_the_risky_side():
    x, y = rows(400)
    trainee = NetworkTrainee(DEEP, x, y)
    w = initial_weights(DEEP, 0).astype(float)
    before = log_loss(logits(DEEP, w, x), y)
    assert before == pytest.approx(np.log(2), abs=1e-6)
    for _ in range(30):
        w -= 2.0 * trainee.clipped_sum(w, 2.0, 24) / 2**24 / trainee.rows
    out = logits(DEEP, w, x)
    assert log_loss(out, y) < before - 0.05
    assert out[x[:, -2] > 0].mean() > out[x[:, -2] < 0].mean()


def test_an_enterprises_gradient_is_about_as_long_as_its_error():
    x, y = rows(400)
    for design in (LOGISTIC, NetworkDesign(columns=COLUMNS, hidden=32)):
        norms = norms_of(NetworkTrainee(design, x, y), initial_weights(design, 0))
        assert 0.3 < norms.mean() / 0.5 < 2.0  # the error of everybody is one half at the start


def test_large_categories_are_embedded_and_keep_their_order():
    assert DEEP.embedded == ((4, 20),)
    names = list(named_weights(DEEP, initial_weights(DEEP, 0)))
    assert names == [n for n, _ in network.RiskNetwork(DEEP).named_parameters()]
    assert named_weights(DEEP, initial_weights(DEEP, 0))["embeddings.0.weight"].shape == (8, 16)
    assert LOGISTIC.size == LOGISTIC.width + 1


def test_the_design_survives_json():
    for design in (LOGISTIC, DEEP):
        assert NetworkDesign.from_dict(json.loads(json.dumps(design.to_dict()))) == design
    with pytest.raises(ConfigError, match="malformed"):
        NetworkDesign.from_dict({"version": 1})
    with pytest.raises(ConfigError, match="upgrade"):
        NetworkDesign.from_dict({**DEEP.to_dict(), "version": 99})


def test_what_does_not_fit_is_refused():
    x, y = rows()
    with pytest.raises(DataError, match="one label"):
        NetworkTrainee(DEEP, x, y[:-1])
    with pytest.raises(DataError, match="one label"):
        NetworkTrainee(DEEP, x, y + 1)
    with pytest.raises(DataError, match="inputs have shape"):
        logits(DEEP, initial_weights(DEEP, 0), x[:, :-1])
    with pytest.raises(DataError, match="belong together"):
        logits(DEEP, initial_weights(LOGISTIC, 0), x)
    with pytest.raises(ConfigError, match="kind"):
        NetworkDesign(kind="tree", columns=COLUMNS)
    with pytest.raises(ConfigError, match="no column"):
        NetworkDesign(columns=())


def test_noise_decides_size_and_rate():
    assert default_hidden(100, 0.0) == 32
    sizes = [default_hidden(100, n) for n in (1e-4, 1e-3, 2e-3, 4e-3, 1e-2)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 32 and sizes[-1] == 0
    rates = [default_rate(n) for n in (0.0, 1e-4, 1e-3, 1e-1)]
    assert rates == sorted(rates, reverse=True) and rates[-1] == 6.0
    assert NetworkDesign.of(BINS, noise=1.0).kind == "logistic"
    assert NetworkDesign.of(BINS, noise=0.0).hidden == 32


def test_no_rows_are_no_trouble():
    x, y = rows(0)
    trainee = NetworkTrainee(DEEP, x, y)
    assert not trainee.clipped_sum(initial_weights(DEEP, 0), 1.0, 24).any()
    assert logits(DEEP, initial_weights(DEEP, 0), x).shape == (0,)


@pytest.mark.parametrize("design", DESIGNS)
def test_curves_add_up_and_a_personal_model_is_a_network(design):
    x, _ = rows()
    w = moved(design)
    curves, spans = shared_curves(design, w, x)
    assert len(spans) == 3 and curves.shape[1] == 3 + (design.kind != "logistic")
    constant = float(named_weights(design, w)["wide.weight"][0, -1]) * network_defaults.BIAS
    np.testing.assert_allclose(curves.sum(1) + constant, logits(design, w, x), atol=1e-5)
    rng = np.random.default_rng(8)
    model = LinearModel(-0.7, rng.normal(1, 0.5, curves.shape[1]), rng.normal(0, 0.3, design.width))
    own = personal_weights(design, w, model)
    np.testing.assert_allclose(logits(design, own, x), model.logits(x, curves), atol=1e-4)
