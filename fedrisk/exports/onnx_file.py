"""A card as an ONNX file in doubles: inputs by column, outputs score, probability, points and reasons.

Standard operators, opset 17, and the label encoder of ai.onnx.ml 2 for texts. Numbers are doubles from end to end, so
the file gives the card's points exactly and its probability to rounding. This needs the package ``onnx`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.exports.card_part import EXTERNAL_POINTS, CardPart, ExportColumn, ExportPair, free_name
from fedrisk.models.scorecard import EXTERNAL

OPSET, ML_OPSET, IR_VERSION = 17, 2, 8


def to_onnx(part: CardPart, *, reasons: int = 4) -> bytes:
    """The file's bytes.

    Inputs, each (n, 1): a column of numbers is double, NaN where missing; one of texts is string, empty where missing;
    ``external_points`` is double, NaN for the average. Outputs: ``score`` double (n, 1), ``probability`` double (n, 1)
    for a bank's part or the whole card, ``points`` int64 (n, columns and pairs, in order), and ``reasons`` string
    (n, N), empty where there are fewer. An output that is called like an input has an underscore behind its name. Score
    and probability are NaN where a value is missing for which the card has no points.

    Errors: ConfigError where the package onnx is not installed, or there is no column.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError:
        raise ConfigError("ONNX files need the package onnx; run pip install onnx") from None
    if not part.columns:
        raise ConfigError(
            "this part of the card has no column, so there is nothing to score; export another part"
        )
    g = _Graph(part.inputs)
    total = _graph(g, part, min(reasons, len(part.parts)))
    graph = helper.make_graph(g.nodes, part.about.study or "card", _inputs(part), total, g.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="fedrisk", ir_version=IR_VERSION)
    model.producer_version = part.about.version
    model.doc_string = "\n".join(part.about.lines())
    helper.set_model_props(model, part.about.facts())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants of a graph that grows; names are numbers, since columns may be called anything.

    inputs: names of these.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = frozenset(inputs)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def free(self, wanted: str) -> str:
        """A name that no input has."""
        return free_name(wanted, self.inputs)

    def node(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        """Adds a node; the name of its output."""
        from onnx import helper

        name = out or self.free(f"@{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, values: Any, kind: Any = np.float64) -> str:
        """Adds a constant tensor; its name."""
        from onnx import TensorProto, helper, numpy_helper

        name = self.free(f"#{len(self.constants)}")
        if kind is str:
            texts = np.asarray(values, dtype=object)
            raw = [t.encode() for t in texts.ravel()]
            self.constants.append(helper.make_tensor(name, TensorProto.STRING, texts.shape, raw))
        else:
            self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def cast(self, x: str, kind: str) -> str:
        """As another type: ``INT64`` or ``DOUBLE``."""
        from onnx import TensorProto

        return self.node("Cast", x, to=getattr(TensorProto, kind))


def _inputs(part: CardPart) -> list[Any]:
    from onnx import TensorProto, helper

    kinds = {c.name: TensorProto.STRING if c.is_text else TensorProto.DOUBLE for c in part.columns}
    if part.external is not None:
        kinds[EXTERNAL_POINTS] = TensorProto.DOUBLE
    return [helper.make_tensor_value_info(name, kind, ["n", 1]) for name, kind in kinds.items()]


def _graph(g: _Graph, part: CardPart, reasons: int) -> list[Any]:
    """All nodes; the outputs."""
    from onnx import TensorProto, helper

    codes = [_code(g, c) for c in part.columns]
    given = [_gathered(g, c.points, code) for c, code in zip(part.columns, codes, strict=True)]
    given += [_gathered(g, p.points, _cell(g, p, codes)) for p in part.pairs]
    points = g.node("Concat", *given, out=g.free("points"), axis=1)
    parts = g.cast(points, "DOUBLE")
    if part.external is not None:
        default = g.constant([[part.external.default]])
        absent = g.node("IsNaN", EXTERNAL_POINTS)
        parts = g.node("Concat", parts, g.node("Where", absent, default, EXTERNAL_POINTS), axis=1)
    summed = g.node("ReduceSum", parts, g.constant([1], np.int64), keepdims=1)
    score = g.node("Add", summed, g.constant([[part.base]]))
    score = g.node("Add", score, _refused(g, part, codes), out=g.free("score"))
    ends = [(score, TensorProto.DOUBLE, 1), (points, TensorProto.INT64, len(given))]
    if part.curve is not None:
        _probability(g, part, score)
        ends.insert(1, (g.free("probability"), TensorProto.DOUBLE, 1))
    if reasons:
        _reasons(g, part, codes, parts, reasons)
        ends.append((g.free("reasons"), TensorProto.STRING, reasons))
    return [helper.make_tensor_value_info(name, kind, ["n", width]) for name, kind, width in ends]


def _code(g: _Graph, column: ExportColumn) -> str:
    """Code of each row's bin, int64 (n, 1). A missing value without a bin gets the code after the last."""
    b, x = column.bins, column.name
    if column.is_known:
        return g.cast(g.node("Not", _knows(g, column)), "INT64")
    absent_code = b.missing_place if b.feature.missing else b.size
    if column.is_text:
        listed = [case for case in column.cases() if case.test == "category"]
        code = g.node(
            "LabelEncoder",
            x,
            domain="ai.onnx.ml",
            keys_strings=["", *(str(case.value) for case in listed)],
            values_int64s=[absent_code, *(case.code for case in listed)],
            default_int64=b.levels - 1,
        )
    else:
        reached = g.node("GreaterOrEqual", x, g.constant([b.edges])) if b.edges else None
        code = (
            g.node("ReduceSum", g.cast(reached, "INT64"), g.constant([1], np.int64), keepdims=1)
            if reached is not None
            else g.cast(g.node("IsNaN", x), "INT64")
        )
        for case in column.cases():
            if case.test == "special":
                same = g.node("Equal", x, g.constant([[case.value]]))
                code = g.node("Where", same, g.constant([[case.code]], np.int64), code)
        code = g.node("Where", g.node("IsNaN", x), g.constant([[absent_code]], np.int64), code)
    if b.unknown and column.knower is not None:
        code = g.node("Where", _knows(g, column), code, g.constant([[b.size - 1]], np.int64))
    return code


def _knows(g: _Graph, column: ExportColumn) -> str:
    return g.node("Equal", column.knower or column.name, g.constant([[1.0]]))


def _gathered(g: _Graph, points: tuple[int, ...], code: str) -> str:
    """Points of each code; 0 of the code after the last, whose score is not a number anyway."""
    return g.node("Gather", g.constant([*points, 0], np.int64), code, axis=0)


def _cell(g: _Graph, pair: ExportPair, codes: list[str]) -> str:
    wide = g.node("Mul", codes[pair.left], g.constant([[pair.width]], np.int64))
    cell = g.node("Add", wide, codes[pair.right])
    return g.node("Min", cell, g.constant([[len(pair.points)]], np.int64))


def _refused(g: _Graph, part: CardPart, codes: list[str]) -> str:
    """NaN where a value is missing for which there are no points, else 0; (n, 1)."""
    out = g.constant([[0.0]])
    for c, code in zip(part.columns, codes, strict=True):
        if not c.bins.feature.missing and not c.is_known:
            gone = g.node("Equal", code, g.constant([[c.bins.size]], np.int64))
            out = g.node("Where", gone, g.constant([[np.nan]]), out)
    return out


def _probability(g: _Graph, part: CardPart, score: str) -> None:
    c = part.curve
    if c is None:
        return
    one = g.constant([[1.0]])
    u = g.node("Add", g.node("Mul", score, g.constant([[c.step]])), g.constant([[c.start]]))
    z = u
    if (c.level, c.slope, c.bend) != (0.0, 1.0, 0.0):
        zero = g.constant([[0.0]])
        tail = g.node("Log", g.node("Add", one, g.node("Exp", g.node("Neg", g.node("Abs", u)))))
        soft = g.node("Add", g.node("Where", g.node("Greater", u, zero), u, zero), tail)
        bent = g.node("Mul", soft, g.constant([[c.bend]]))
        straight = g.node("Mul", u, g.constant([[c.slope]]))
        level = g.constant([[c.level - c.bend * float(np.log(2))]])
        z = g.node("Add", g.node("Add", straight, bent), level)
    below = g.node("Add", one, g.node("Exp", g.node("Neg", z)))
    g.node("Div", one, below, out=g.free("probability"))


def _reasons(g: _Graph, part: CardPart, codes: list[str], parts: str, most: int) -> None:
    """Names of the parts that fall short furthest, (n, most)."""
    averages = g.constant([[average for _, average in part.parts]])
    short = g.node("Sub", averages, parts)
    from onnx import helper

    largest, place = g.free(f"@{len(g.nodes)}.values"), g.free(f"@{len(g.nodes)}.places")
    size = g.constant([most], np.int64)
    g.nodes.append(helper.make_node("TopK", [short, size], [largest, place], axis=1, largest=1, sorted=1))
    texts, starts = _texts(part)
    # A part without bins of its own has one text, so its code is 0.
    rest = len(part.parts) - len(codes)
    zero = g.node("Sub", codes[0], codes[0])
    offsets = g.node("Add", g.node("Concat", *codes, *[zero] * rest, axis=1), g.constant([starts], np.int64))
    found = g.node("Gather", g.constant(texts, str), g.node("GatherElements", offsets, place, axis=1), axis=0)
    falls = g.node("Greater", largest, g.constant([[1e-9]]))
    g.node("Where", falls, found, g.constant([[""]], str), out=g.free("reasons"))


def _texts(part: CardPart) -> tuple[NDArray[Any], list[int]]:
    """All reasons in a row, and where those of each part begin."""
    listed = [[*c.reasons, c.name] for c in part.columns] + [[p.name] for p in part.pairs]
    listed += [[EXTERNAL]] if part.external is not None else []
    starts = np.cumsum([0, *(len(texts) for texts in listed)])[:-1]
    return np.array([t for texts in listed for t in texts], dtype=object), [int(s) for s in starts]
