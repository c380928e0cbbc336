"""The exported file, raw columns in and probability out, against the network itself."""

import numpy as np
import onnx
import pandas as pd
import pytest
from scipy.special import expit

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.network import NetworkDesign, initial_weights, logits
from fedrisk.models.network_export import (
    TOLERANCE,
    check_export,
    export_network,
    feeds,
    predict_exported,
)
from fedrisk.models.network_inputs import encode, input_columns
from fedrisk.models.network_products import Products

BINS = [
    Bins(Feature(institution="bank", column="age", low=0, high=80), edges=(20.0, 40.1, 60.0)),
    Bins.public(Feature(institution="bank", column="sector", kind="category", bins=("1", "B"))),
    Bins.public(Feature(institution="bank", column="town", kind="category", bins=tuple("abcdefghijklmnop"))),
    Bins.public(Feature(institution="bank", column="flag", kind="flag")),
    Bins(Feature(institution="bank", column="debt", low=-1e6, high=1e6, grid="log"), edges=(-5.0, 1e3)),
    Bins(Feature(institution="bank", column="empty", low=0, high=1), edges=()),
]
FRAME = pd.DataFrame(
    {
        "age": [19.99, 20.0, 40.1, np.nan, 99.0, np.nextafter(40.1, 0)],
        "sector": pd.Series(["1", 1.0, "B", None, "other", "B"], dtype=object),
        "town": pd.Series(["a", "p", None, "zz", "c", "d"], dtype=object),
        "flag": [0.0, 1.0, np.nan, 1.0, 0.0, 1.0],
        "debt": [-1e6, -5.0, 0.0, 999.0, np.nan, 5e6],
        "empty": [0.5, np.nan, 0.1, 0.2, 0.3, 0.4],
    }
)


def made(kind, coding):
    design = NetworkDesign(kind=kind, columns=input_columns(BINS, coding), hidden=7, blocks=2)
    rng = np.random.default_rng(4)
    weights = initial_weights(design, 1) + rng.normal(0, 0.4, design.size).astype(np.float32)
    return design, weights, logits(design, weights, encode(FRAME, BINS, coding))


@pytest.mark.parametrize("coding", ["steps", "piecewise"])
@pytest.mark.parametrize("kind", ["logistic", "mlp"])
@pytest.mark.parametrize("categories", ["texts", "codes"])
def test_the_file_predicts_what_the_network_predicts(kind, coding, categories):
    design, weights, ours = made(kind, coding)
    content = export_network(design, weights, categories=categories)
    assert check_export(content, design, FRAME, ours, categories) <= TOLERANCE
    assert np.ptp(ours) > 0.5  # the rows differ, so agreement says something


@pytest.mark.parametrize("coding", ["steps", "piecewise"])
@pytest.mark.parametrize("categories", ["texts", "codes"])
def test_another_runtime_agrees(coding, categories):
    runtime = pytest.importorskip("onnxruntime")
    design, weights, ours = made("mlp", coding)
    content = export_network(design, weights, categories=categories)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    log_odds, probability = session.run(None, feeds(design, FRAME, categories))
    np.testing.assert_allclose(log_odds[:, 0], ours, atol=1e-4)
    np.testing.assert_allclose(probability[:, 0], expit(ours), atol=TOLERANCE)


def test_a_file_with_products_predicts_what_the_network_predicts():
    columns = input_columns(BINS)
    curves = [np.arange(float(b.size)) for b in BINS]
    design = NetworkDesign(kind="products", columns=columns, products=Products.of(columns, 0.0, curves))
    weights = np.random.default_rng(4).normal(0, 2, design.size).astype(np.float32)
    ours = logits(design, weights, encode(FRAME, BINS))
    assert check_export(export_network(design, weights), design, FRAME, ours) <= TOLERANCE
    assert np.ptp(ours) > 0.5


def test_a_wrong_file_is_noticed():
    design, weights, ours = made("mlp", "steps")
    content = export_network(design, weights + np.float32(0.05))
    with pytest.raises(DataError, match="differs"):
        check_export(content, design, FRAME, ours)


def test_the_file_says_what_it_takes_and_whence_it_comes():
    design, weights, _ = made("mlp", "steps")
    model = onnx.load_from_string(export_network(design, weights, about={"study": "s1"}))
    assert [i.name for i in model.graph.input] == list(FRAME.columns)
    assert [o.name for o in model.graph.output] == ["log_odds", "probability"]
    assert {p.key: p.value for p in model.metadata_props} == {"study": "s1"}


def test_one_row_and_one_column_do():
    bins = BINS[:1]
    design = NetworkDesign(kind="logistic", columns=input_columns(bins))
    content = export_network(design, np.ones(design.size))
    got = predict_exported(content, {"age": np.array([[np.nan]])})
    np.testing.assert_allclose(
        got, expit(logits(design, np.ones(design.size), encode(FRAME.iloc[[3]], bins))), atol=TOLERANCE
    )


def test_what_does_not_fit_is_refused():
    design, weights, _ = made("mlp", "steps")
    with pytest.raises(ConfigError, match="texts or codes"):
        export_network(design, weights, categories="numbers")
    with pytest.raises(DataError, match="belong together"):
        export_network(design, weights[:-1])
    with pytest.raises(DataError, match="column town is absent"):
        feeds(design, FRAME.drop(columns="town"))


@pytest.mark.parametrize("coding", ["steps", "piecewise"])
@pytest.mark.parametrize("missing", [True, False])
def test_special_codes_are_read_by_the_file_as_by_the_network(coding, missing):
    feature = Feature(
        institution="bank",
        column="trades",
        low=0,
        high=80,
        special=(("-9", "no record"), ("99", "never asked")),
        missing=missing,
    )
    bins = [Bins(feature, edges=(20.0, 40.0))]
    values = [-9.0, 99.0, 5.0, 30.0, -8.0, 80.0]
    frame = pd.DataFrame({"trades": values + [np.nan] * missing})
    design = NetworkDesign(kind="logistic", columns=input_columns(bins, coding))
    weights = np.random.default_rng(3).normal(size=design.size)
    ours = logits(design, weights, encode(frame, bins, coding))
    assert len(set(np.round(ours[:4], 6))) == 4
    assert check_export(export_network(design, weights), design, frame, ours) <= TOLERANCE
