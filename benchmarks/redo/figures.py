"""One number out of a results file: where it lies, what is asked of it, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Step = str | int | dict[str, Any]
"""Of a path: a key, a pattern of keys or "*" for everything, a place in a list, or what a row of a list has to say."""

REDUCED = {"mean": fmean, "least": min, "most": max, "sum": sum, "count": len}


class Unread(Exception):
    """A path that leads nowhere in a results file; says where it ended."""


class Figure(BaseModel):
    """A number that a claim rests on.

    file: in the claim's folder. path: to the number, or to several. of: what is made of several. minus: path to what
    is taken off, in the same file. times: what the number is multiplied by. bound: what it has to keep to, on its
    side; without one it is shown and judged by nothing. same: by how much two runs of the same code may differ, in
    the unit of the figure, and why: in words. timing: seconds or bytes of memory, which are the machine's too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = "results.json"
    path: tuple[Step, ...]
    of: Literal["mean", "least", "most", "sum", "count"] | None = None
    minus: tuple[Step, ...] | None = None
    times: float = 1.0
    bound: float | None = None
    side: Literal["at most", "at least", "exactly"] = "at most"
    same: float = Field(ge=0)
    why: str
    timing: bool = False
    show: str = ".3f"

    @model_validator(mode="after")
    def _written(self) -> Figure:
        self.text(0.0)
        return self

    def read(self, content: Any) -> float:
        """The number in a results file; Unread where it is not there."""
        value = _one(content, self.path, self.of)
        if self.minus is not None:
            value -= _one(content, self.minus, self.of)
        return value * self.times

    def holds(self, value: float) -> bool | None:
        """Whether a value keeps to the bound; None where there is none."""
        if self.bound is None:
            return None
        if self.side == "exactly":
            return value == self.bound
        return value <= self.bound if self.side == "at most" else value >= self.bound

    def text(self, value: float) -> str:
        """A value as tables show it: no zero before the point, a space before %; with show "yes", a word."""
        if self.show == "yes":
            return "yes" if value else "no"
        shown = format(value, self.show).replace("%", " %")
        sign, digits = (shown[0], shown[1:]) if shown[:1] in ("-", "+") else ("", shown)
        return ("−" if sign == "-" else sign) + (digits[1:] if digits.startswith("0.") else digits)

    @property
    def asked(self) -> str:
        """The bound as tables show it, without zeros at its end; empty where there is none."""
        if self.bound is None:
            return ""
        text = self.text(self.bound)
        return (
            re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", text).replace(". ", " ").rstrip(".") if "." in text else text
        )


def _one(content: Any, path: Sequence[Step], of: str | None) -> float:
    found = list(_walk(content, path, ()))
    if of is not None:
        if not found:
            raise Unread(f"nothing is at {list(path)}")
        return float(REDUCED[of](found))
    if len(found) != 1:
        raise Unread(f"{len(found)} numbers are at {list(path)}; say what is made of them (of)")
    return float(found[0])


def _walk(content: Any, path: Sequence[Step], gone: tuple[Step, ...]) -> Sequence[Any]:
    if not path and content is None and any("*" in s for s in gone if isinstance(s, str)):
        # A figure that one of several settings could not give is null there, and counts for nothing.
        return []
    if not path:
        if not isinstance(content, bool | int | float):
            raise Unread(f"no number is at {list(gone)}")
        return [content]
    step, rest = path[0], path[1:]
    return [x for part in _parts(content, step, gone) for x in _walk(part, rest, (*gone, step))]


def _parts(content: Any, step: Step, gone: tuple[Step, ...]) -> Sequence[Any]:
    if step == "*" and isinstance(content, list):
        return content
    if isinstance(step, str) and "*" in step and isinstance(content, dict):
        return [x for key, x in content.items() if fnmatchcase(key, step)]
    if isinstance(step, Mapping) and isinstance(content, list):
        rows = [r for r in content if isinstance(r, dict) and all(r.get(k) == v for k, v in step.items())]
        if not rows:
            raise Unread(f"no row of {list(gone)} says {dict(step)}")
        return rows
    if isinstance(step, int) and isinstance(content, list) and step < len(content):
        return [content[step]]
    if isinstance(step, str) and isinstance(content, dict) and step in content:
        return [content[step]]
    raise Unread(f"there is no {step!r} at {list(gone)}")
