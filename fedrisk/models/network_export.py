"""A network as one ONNX file that takes a bank's raw columns and gives a probability of default.

The file includes the preprocessing: bins, missing values, categories as texts or codes. The graph is built
with `onnx.helper` from the public design and the weights. This needs only the `onnx` package, no tracing and
none of the packages for it (torch.onnx needs onnxscript), and every node in the file is one that is written
here. The file's predictions are compared with the network's by the evaluator that comes with `onnx`, which is
plain NumPy, so that no runtime has to be installed where a model is exported. Any ONNX runtime may apply the
file.

Standard operators, opset 17, and the label encoder of ai.onnx.ml 2 (texts to codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.network import NetworkDesign, named_weights
from fedrisk.models.network_defaults import BIAS
from fedrisk.models.network_inputs import InputColumn, apart_size, category_texts
from fedrisk.models.network_products import Products

Categories = Literal["texts", "codes"]

OPSET, ML_OPSET, IR_VERSION = 17, 2, 8

TOLERANCE = 1e-5
"""Largest difference in probability between file and network; the arithmetic is in single precision."""


def export_network(
    design: NetworkDesign,
    weights: NDArray[Any],
    *,
    categories: Categories = "texts",
    about: Mapping[str, str] | None = None,
) -> bytes:
    """The network as the bytes of an ONNX file.

    There is one input per column, with the column's name. Numbers and flags are double (n, 1), NaN where
    missing, special codes as the numbers that they are. Categories are text (n, 1), as in the dictionary
    and empty where missing; or with ``categories="codes"`` int64 (n, 1), the position in the dictionary's
    list, -1 where missing and any other number for "other". Where the dictionary allows no missing values,
    a missing value counts as below the first edge, or as another category: refuse it beforehand. Outputs:
    "log_odds" and "probability", float (n, 1).

    Args:
        design: of the network.
        weights: of the shared network, or of a bank's personal model (`network.personal_weights`); then the
            file belongs to that bank alone.
        categories: whether categories are texts or codes.
        about: public facts kept in the file, such as study and digest.

    Raises:
        ConfigError: an unknown form of categories.
        DataError: the weights are of another design.
    """
    import onnx
    from onnx import helper

    if categories not in ("texts", "codes"):
        raise ConfigError(f"categories is {categories!r}; use texts or codes")
    g = _Graph()
    inputs = [_input(c, categories) for c in design.columns]
    parts = [g.column(c, categories) for c in design.columns]
    x = g.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    out = _network(g, design, named_weights(design, weights), x)
    g.node("Identity", out, out="log_odds")
    g.node("Sigmoid", out, out="probability")
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1])
        for name in ("log_odds", "probability")
    ]
    graph = helper.make_graph(g.nodes, "risk", inputs, ends, g.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="fedrisk", ir_version=IR_VERSION)
    helper.set_model_props(model, dict(about or {}))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def feeds(
    design: NetworkDesign, frame: pd.DataFrame, categories: Categories = "texts"
) -> dict[str, NDArray[Any]]:
    """The exported file's inputs for the rows of a typed table, by name."""
    out: dict[str, NDArray[Any]] = {}
    for c in design.columns:
        if c.column not in frame.columns:
            raise DataError(f"column {c.column} is absent; the network was made for a table that has it")
        values = frame[c.column]
        if c.kind == "number":
            x = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            x = category_texts(values)
            if categories == "codes":
                place = {"": -1} | {text: k for k, text in enumerate(c.categories)}
                x = np.array([place.get(t, len(c.categories)) for t in x], dtype=np.int64)
        out[c.column] = x[:, None]
    return out


def predict_exported(content: bytes, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Probability, (n,), by ONNX's evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    (probability,) = ReferenceEvaluator(onnx.load_from_string(content)).run(["probability"], dict(inputs))
    return np.asarray(probability, dtype=np.float64)[:, 0]


def check_export(
    content: bytes,
    design: NetworkDesign,
    frame: pd.DataFrame,
    log_odds: NDArray[Any],
    categories: Categories = "texts",
) -> float:
    """Largest difference between the file's probabilities for these rows and the network's.

    Args:
        content: the file.
        design: of the network.
        frame: rows of a typed table.
        log_odds: the network's log-odds of these rows, (n,).
        categories: whether the file takes texts or codes.

    Raises:
        DataError: the difference exceeds TOLERANCE; the file must not be used.
    """
    if not len(frame):
        return 0.0
    theirs = predict_exported(content, feeds(design, frame, categories))
    difference = float(np.abs(theirs - expit(np.asarray(log_odds, dtype=np.float64))).max())
    if not difference <= TOLERANCE:
        raise DataError(
            f"the exported network differs from the trained one by {difference:.2g} in probability, at most "
            f"{TOLERANCE:g} is allowed; export it again and report the case"
        )
    return difference


class _Graph:
    """Nodes and constants of a graph that is being built; every result gets a number as its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def column(self, c: InputColumn, categories: Categories) -> str:
        """One column's inputs as float (n, width), computed in doubles like `network_inputs.encode`."""
        from onnx import TensorProto

        if c.kind == "category":
            raw, gone = self._category(c, categories)
        else:
            raw, gone = self._number(c)
        zero = self.constant(np.zeros((1, 1)))
        centre = self.constant(np.array([c.centre], dtype=np.float64).reshape(1, -1))
        moved = self.node("Mul", self.node("Sub", raw, centre), self.constant(np.array([[c.scale]])))
        apart = [self.node("Equal", c.column, self.constant(np.array([[code]]))) for code in c.special]
        apart += [gone] if c.missing else []
        if apart:
            size = self.constant(np.array([[c.scale * apart_size(c)]]))
            for here in apart:
                moved = self.node("Where", here, zero, moved)
            own = [self.node("Where", here, size, zero) for here in apart]
            moved = self.node("Concat", moved, *own, axis=1)
        return self.node("Cast", moved, to=TensorProto.FLOAT)

    def _number(self, c: InputColumn) -> tuple[str, str]:
        from onnx import TensorProto

        x = c.column
        gone = self.node("IsNaN", x)
        if c.coding == "steps":
            if not c.centre:
                # A column without edges has no input but the one for missing values.
                none = self.constant(np.zeros((1, 0)))
                return self.node("Mul", self.node("Cast", gone, to=TensorProto.DOUBLE), none), gone
            edges = self.constant(np.array([c.edges], dtype=np.float64))
            above = self.node("GreaterOrEqual", x, edges)
            return self.node("Cast", above, to=TensorProto.DOUBLE), gone
        t = x
        if c.log:
            size = self.node("Div", self.node("Abs", x), self.constant(np.array([[c.log]])))
            grown = self.node("Log", self.node("Add", size, self.constant(np.ones((1, 1)))))
            t = self.node("Mul", self.node("Sign", x), grown)
        marks = np.array([c.marks], dtype=np.float64)
        low = self.constant(marks[:, :-1])
        gap = self.constant(np.maximum(np.diff(marks), 1e-300))
        part = self.node("Div", self.node("Sub", t, low), gap)
        ends = self.constant(np.array(0.0)), self.constant(np.array(1.0))
        return self.node("Clip", part, *ends), gone

    def _category(self, c: InputColumn, categories: Categories) -> tuple[str, str]:
        from onnx import TensorProto

        n = len(c.centre)
        codes = c.column
        if categories == "texts":
            codes = self.node(
                "LabelEncoder",
                c.column,
                domain="ai.onnx.ml",
                keys_strings=["", *c.categories],
                values_int64s=[-1, *range(n - 1)],
                default_int64=n - 1,
            )
        places = self.constant(np.arange(n, dtype=np.int64)[None])
        gone = self.node("Equal", codes, self.constant(np.array([[-1]], dtype=np.int64)))
        known = self.node("Less", codes, self.constant(np.array([[n - 1]], dtype=np.int64)))
        positive = self.node("GreaterOrEqual", codes, self.constant(np.array([[0]], dtype=np.int64)))
        other = self.constant(np.array([[n - 1]], dtype=np.int64))
        place = self.node("Where", self.node("And", known, positive), codes, other)
        return self.node("Cast", self.node("Equal", place, places), to=TensorProto.DOUBLE), gone


def _input(c: InputColumn, categories: Categories) -> Any:
    from onnx import TensorProto, helper

    kind = TensorProto.DOUBLE
    if c.kind == "category":
        kind = TensorProto.STRING if categories == "texts" else TensorProto.INT64
    return helper.make_tensor_value_info(c.column, kind, ["n", 1])


def _network(g: _Graph, design: NetworkDesign, w: dict[str, NDArray[np.float32]], x: str) -> str:
    wide = w["wide.weight"]
    out = g.node("MatMul", x, g.constant(wide[:, :-1].T))
    out = g.node("Add", out, g.constant(wide[:, -1:] * np.float32(BIAS)))
    if design.products is not None:
        return g.node("Add", out, _products(g, design.products, w["last.weight"], x))
    if design.kind != "mlp":
        return out
    parts, at = [], 0
    for k, (start, stop) in enumerate(design.embedded):
        if start > at:
            parts.append(_slice(g, x, at, start))
        parts.append(g.node("MatMul", _slice(g, x, start, stop), g.constant(w[f"embeddings.{k}.weight"].T)))
        at = stop
    if at < design.width:
        parts.append(_slice(g, x, at, design.width))
    h = g.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    h = g.node("Relu", _linear(g, h, w["first.weight"], w["first.bias"]))
    for k in range(design.blocks):
        more = g.node("Relu", _linear(g, h, w[f"middle.{k}.weight"], w[f"middle.{k}.bias"]))
        h = g.node("Add", h, more)
    gain = np.float32(np.sqrt(2 / design.hidden))
    return g.node("Add", out, g.node("MatMul", h, g.constant(w["last.weight"].T * gain)))


def _products(g: _Graph, products: Products, weight: NDArray[np.float32], x: str) -> str:
    scores = g.node("MatMul", x, g.constant(products.matrix.astype(np.float32)))
    left, right = (g.node("Gather", scores, g.constant(side), axis=1) for side in products.pairs)
    share = g.constant(np.array([[1 / np.sqrt(weight.size)]], dtype=np.float32))
    made = g.node("Mul", g.node("Mul", left, right), share)
    one = g.constant(np.ones((1, 1), dtype=np.float32))
    length = g.node("Max", g.node("ReduceL2", made, axes=[1], keepdims=1), one)
    return g.node("MatMul", g.node("Div", made, length), g.constant(weight.T * np.float32(products.gain)))


def _linear(g: _Graph, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    return g.node("Add", g.node("MatMul", x, g.constant(weight.T)), g.constant(bias[None]))


def _slice(g: _Graph, x: str, start: int, stop: int) -> str:
    ends = [g.constant(np.array([v], dtype=np.int64)) for v in (start, stop, 1)]
    return g.node("Slice", x, *ends)
