"""The description of the service in OpenAPI 3.0, which Swagger UI 4 and many generators of clients read.

FastAPI writes 3.1, whose schemas are JSON Schema 2020-12. What 3.0 lacks is written in its own words.
"""

from typing import Any, Final

VERSION: Final = "3.0.3"


def as_3_0(document: dict[str, Any]) -> dict[str, Any]:
    """A document of OpenAPI 3.1 as one of 3.0.3.

    >>> as_3_0({"openapi": "3.1.0", "x": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "X"}})
    {'openapi': '3.0.3', 'x': {'title': 'X', 'type': 'string', 'nullable': True}}
    """
    out = _schema(document)
    return {**out, "openapi": VERSION}


def _schema(found: Any) -> Any:
    if isinstance(found, list):
        return [_schema(item) for item in found]
    if not isinstance(found, dict):
        return found
    whole = ("example", "examples", "default")
    out = {key: value if key in whole else _schema(value) for key, value in found.items()}
    out.pop("propertyNames", None)
    if "const" in out and not isinstance(out["const"], dict):
        out["enum"] = [out.pop("const")]
    for low in ("minimum", "maximum"):
        mark = f"exclusive{low.capitalize()}"
        if isinstance(out.get(mark), int | float) and not isinstance(out[mark], bool):
            out[low], out[mark] = out[mark], True
    return _nullable(out)


def _nullable(out: dict[str, Any]) -> dict[str, Any]:
    """Without the type null: in 3.0 it is a mark beside the other types."""
    choices = out.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return out
    left = [c for c in choices if c != {"type": "null"}]
    rest = {key: value for key, value in out.items() if key != "anyOf"}
    # Beside a reference nothing else counts in 3.0.
    single = {"allOf": left} if "$ref" in left[0] else left[0]
    return {**rest, **(single if len(left) == 1 else {"anyOf": left}), "nullable": True}
