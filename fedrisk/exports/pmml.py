"""A card as a PMML 4.4 scorecard (Data Mining Group 2019), which engines of many vendors score.

Each column is a characteristic, each bin an attribute with its points and reason. Points, score and the order of
attributes are the card's. The probability is an output that is computed from the score. Missing values are those that
the engine calls missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from fedrisk.exports.card_part import EXTERNAL_POINTS, CardPart, Case, ExportColumn, free_name
from fedrisk.models.scorecard import EXTERNAL

NAMESPACE = "http://www.dmg.org/PMML-4_4"
VERSION = "4.4"


def _score(part: CardPart) -> str:
    """The score's name: an engine takes an input of that name for it."""
    return free_name("score", part.inputs)


MOST_EXPONENT = 700.0
"""Beyond it a probability is 0 or 1 to 300 digits."""


def to_pmml(part: CardPart, *, reasons: int = 4) -> str:
    """The document's text: inputs by name, outputs ``score``, ``probability`` and ``reason_1`` to ``reason_N``.

    An output that is called like an input has an underscore behind its name.

    A holder's part has no probability. reasons: how many, 0 for none; an engine ranks all columns, also those above the
    average. A missing value for which the card has no points is invalid, and an engine refuses the row.
    """
    root = Element("PMML", {"version": VERSION, "xmlns": NAMESPACE})
    header = SubElement(root, "Header", {"description": "; ".join(part.about.lines())})
    for name, value in part.about.facts().items():
        SubElement(header, "Extension", {"extender": "fedrisk", "name": name, "value": value})
    SubElement(header, "Application", {"name": "fedrisk", "version": part.about.version})
    fields = [*_fields(part)]
    dictionary = SubElement(root, "DataDictionary", {"numberOfFields": str(len(fields))})
    for name, text in fields:
        kind = ("categorical", "string") if text else ("continuous", "double")
        SubElement(dictionary, "DataField", {"name": name, "optype": kind[0], "dataType": kind[1]})
    _model(root, part, min(reasons, len(part.parts)))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _fields(part: CardPart) -> Iterator[tuple[str, bool]]:
    """Inputs: name, and whether it is a text."""
    yield from ((c.name, c.is_text) for c in part.columns)
    if part.external is not None:
        yield EXTERNAL_POINTS, False


def _model(root: Element, part: CardPart, reasons: int) -> None:
    model = SubElement(
        root,
        "Scorecard",
        {
            "modelName": part.about.study,
            "functionName": "regression",
            "useReasonCodes": "true",
            "reasonCodeAlgorithm": "pointsBelow",
            "baselineMethod": "mean",
            "initialScore": str(part.base),
        },
    )
    _schema(model, part)
    _output(model, part, reasons)
    if part.pairs:
        local = SubElement(model, "LocalTransformations")
        for k in sorted({k for p in part.pairs for k in (p.left, p.right)}):
            field = {"name": _bin_field(part, k), "optype": "continuous", "dataType": "integer"}
            _bin(SubElement(local, "DerivedField", field), part.columns[k], part.columns[k].cases())
        for number, pair in enumerate(part.pairs):
            field = {"name": _cell_field(part, number), "optype": "categorical", "dataType": "integer"}
            derived = SubElement(local, "DerivedField", field)
            total = _apply(derived, "+")
            product = _apply(total, "*")
            _field(product, _bin_field(part, pair.left))
            _constant(product, str(pair.width), "integer")
            _field(total, _bin_field(part, pair.right))
    _characteristics(model, part)


def _schema(model: Element, part: CardPart) -> None:
    schema = SubElement(model, "MiningSchema")
    for c in part.columns:
        known = {"name": c.name, "usageType": "active", "invalidValueTreatment": "asIs"}
        if not c.bins.feature.missing and not c.is_known:
            known |= {"missingValueTreatment": "returnInvalid"}
        SubElement(schema, "MiningField", known)
    if part.external is not None:
        SubElement(
            schema,
            "MiningField",
            {
                "name": EXTERNAL_POINTS,
                "usageType": "active",
                "missingValueReplacement": str(part.external.default),
                "missingValueTreatment": "asMean",
            },
        )


def _output(model: Element, part: CardPart, reasons: int) -> None:
    output = SubElement(model, "Output")
    number = {"optype": "continuous", "dataType": "double"}
    SubElement(output, "OutputField", {"name": _score(part), "feature": "predictedValue", **number})
    if part.curve is not None:
        field = {"name": free_name("probability", part.inputs), "feature": "transformedValue", **number}
        _probability(SubElement(output, "OutputField", field), part)
    for k in range(1, reasons + 1):
        field = {"name": free_name(f"reason_{k}", part.inputs), "optype": "categorical", "dataType": "string"}
        SubElement(output, "OutputField", {**field, "feature": "reasonCode", "rank": str(k)})


def _characteristics(model: Element, part: CardPart) -> None:
    every = SubElement(model, "Characteristics")

    def characteristic(name: str, average: float) -> Element:
        return SubElement(
            every, "Characteristic", {"name": name, "reasonCode": name, "baselineScore": repr(average)}
        )

    for c in part.columns:
        parent = characteristic(c.name, c.average)
        for case in c.cases():
            if case.points is not None:
                given = {"partialScore": str(case.points), "reasonCode": case.reason}
                _predicate(SubElement(parent, "Attribute", given), c, case)
    for number, pair in enumerate(part.pairs):
        parent = characteristic(pair.name, pair.average)
        for code, points in enumerate(pair.points):
            attribute = SubElement(parent, "Attribute", {"partialScore": str(points)})
            _simple(attribute, _cell_field(part, number), "equal", str(code))
    if part.external is not None:
        attribute = SubElement(characteristic(EXTERNAL, part.external.average), "Attribute")
        SubElement(attribute, "True")
        _field(SubElement(attribute, "ComplexPartialScore"), EXTERNAL_POINTS)


def _predicate(parent: Element, column: ExportColumn, case: Case) -> None:
    if case.test == "else":
        SubElement(parent, "True")
    elif case.test == "unknown":
        either = SubElement(parent, "CompoundPredicate", {"booleanOperator": "or"})
        SubElement(either, "SimplePredicate", {"field": column.knower or "", "operator": "isMissing"})
        _simple(either, column.knower or "", "notEqual", "1")
    elif case.test == "missing":
        SubElement(parent, "SimplePredicate", {"field": column.name, "operator": "isMissing"})
    else:
        _simple(parent, column.name, "lessThan" if case.test == "below" else "equal", _said(case))


def _said(case: Case) -> str:
    return case.value if isinstance(case.value, str) else repr(case.value)


def _simple(parent: Element, field: str, operator: str, value: str) -> None:
    SubElement(parent, "SimplePredicate", {"field": field, "operator": operator, "value": value})


# --- expressions --------------------------------------------------------------------------------------------


def _apply(parent: Element, function: str) -> Element:
    return SubElement(parent, "Apply", {"function": function})


def _field(parent: Element, name: str) -> None:
    SubElement(parent, "FieldRef", {"field": name})


def _constant(parent: Element, value: str, kind: str = "double") -> None:
    SubElement(parent, "Constant", {"dataType": kind}).text = value


def _bin_field(part: CardPart, column: int) -> str:
    return free_name(f"bin of {part.columns[column].name}", part.inputs)


def _cell_field(part: CardPart, pair: int) -> str:
    return free_name(f"cell_{pair + 1}", part.inputs)


def _bin(parent: Element, column: ExportColumn, cases: tuple[Case, ...]) -> None:
    """The code of a column's bin: one condition in another."""
    case, *rest = cases
    if case.test == "else":
        _constant(parent, str(case.code), "integer")
        return
    if case.code is None:
        # Its field refuses missing values.
        _bin(parent, column, tuple(rest))
        return
    choice = _apply(parent, "if")
    _condition(choice, column, case)
    _constant(choice, str(case.code), "integer")
    _bin(choice, column, tuple(rest))


def _condition(parent: Element, column: ExportColumn, case: Case) -> None:
    if case.test == "missing":
        _field(_apply(parent, "isMissing"), column.name)
        return
    if case.test == "unknown":
        either = _apply(parent, "or")
        _field(_apply(either, "isMissing"), column.knower or "")
        differs = _apply(either, "notEqual")
        _field(differs, column.knower or "")
        _constant(differs, "1.0")
        return
    compared = _apply(parent, "lessThan" if case.test == "below" else "equal")
    _field(compared, column.name)
    _constant(compared, _said(case), "string" if case.test == "category" else "double")


def _probability(parent: Element, part: CardPart) -> None:
    """1 / (1 + exp(-z)), with z held within bounds."""
    share = _apply(parent, "/")
    _constant(share, "1.0")
    below = _apply(share, "+")
    _constant(below, "1.0")
    held = _apply(_apply(below, "exp"), "max")
    _constant(held, repr(-MOST_EXPONENT))
    least = _apply(held, "min")
    _constant(least, repr(MOST_EXPONENT))
    negative = _apply(least, "*")
    _constant(negative, "-1.0")
    _log_odds(negative, part)


def _log_odds(parent: Element, part: CardPart) -> None:
    c = part.curve
    if c is None or (c.level, c.slope, c.bend) == (0.0, 1.0, 0.0):
        _line(parent, part)
        return
    total = _apply(parent, "+")
    straight = _apply(total, "+")
    _constant(straight, repr(c.level - c.bend * 0.6931471805599453))
    _line(_times(straight, c.slope), part)
    soft = _apply(_times(total, c.bend), "+")
    above = _apply(soft, "max")
    _line(above, part)
    _constant(above, "0.0")
    inner = _apply(_apply(soft, "ln"), "+")
    _constant(inner, "1.0")
    held = _apply(_apply(inner, "exp"), "max")
    _constant(held, repr(-MOST_EXPONENT))
    _line(_apply(_times(held, -1.0), "abs"), part)


def _times(parent: Element, factor: float) -> Element:
    product = _apply(parent, "*")
    _constant(product, repr(factor))
    return product


def _line(parent: Element, part: CardPart) -> None:
    """Start + step x score."""
    if part.curve is None:
        return
    total = _apply(parent, "+")
    _constant(total, repr(part.curve.start))
    _field(_times(total, part.curve.step), _score(part))
