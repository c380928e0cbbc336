"""Two runs side by side: what differs in their studies, key by key, and in their figures, with standard errors.

A difference of two figures has the error of both: they are taken to be independent, as the noise of two runs is. Two
runs that evaluate the same enterprises err alike on them, so the error is then too wide. It is the error of measuring
two models, not of fitting them: of two runs with one setting the models differ by the noise of their trainings, too.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fedrisk.models.comparison import Z
from fedrisk.server.results import Results


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of two runs. name: as people call it. content: of its study, None where it is not known."""

    name: str
    results: Results
    content: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of the studies with its two values; None where a study has not got it."""

    key: str
    one: Any
    other: Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of both runs with its standard errors; None where there is none.

    difference: of the second less the first, error: its standard error. more_than_noise: whether its 90 % interval
    leaves out 0; None where no error is known.
    """

    code: str
    one: float | None
    one_error: float | None
    other: float | None
    other_error: float | None
    difference: float | None
    error: float | None
    more_than_noise: bool | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs side by side. same_study: None where a study is not known."""

    one: str
    other: str
    same_study: bool | None
    keys: tuple[Key, ...]
    figures: tuple[Figure, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def compare(one: Side, other: Side) -> Comparison:
    """The comparison of two runs; nothing but their results is read."""
    keys: tuple[Key, ...] = ()
    same = None
    if one.content is not None and other.content is not None:
        keys = differing(one.content, other.content)
        same = not keys
    figures = [_figure(code, *a, *b) for code, a, b in _pairs(one.results, other.results)]
    return Comparison(
        one=one.name,
        other=other.name,
        same_study=same,
        keys=keys,
        figures=tuple(f for f in figures if f.one is not None or f.other is not None),
    )


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Key, ...]:
    """Keys in which two studies differ, as ``section.key``, institutions by name.

    >>> [(k.key, k.one, k.other) for k in differing({"privacy": {"epsilon": 1.0}}, {"privacy": {"epsilon": 3.0}})]
    [('privacy.epsilon', 1.0, 3.0)]
    """
    first, second = _flat(one), _flat(other)
    names = [*first, *(name for name in second if name not in first)]
    return tuple(
        Key(key=name, one=first.get(name), other=second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, Mapping):
        out: dict[str, Any] = {}
        for name, value in content.items():
            out |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
        return out
    if isinstance(content, list | tuple) and content and all(isinstance(v, Mapping) for v in content):
        out = {}
        for k, value in enumerate(content):
            out |= _flat({n: v for n, v in value.items() if n != "name"}, f"{prefix}.{value.get('name', k)}")
        return out
    return {prefix: list(content) if isinstance(content, tuple) else content}


Value = tuple[float | None, float | None]


def _pairs(one: Results, other: Results) -> list[tuple[str, Value, Value]]:
    return [(code, a, b) for (code, a), (_, b) in zip(_values(one), _values(other), strict=True)]


def _values(r: Results) -> list[tuple[str, Value]]:
    """Figures with their standard errors, in the order in which they are read."""
    error, fit = r.auc_standard_error, r.calibration_fit
    gini = None if error is None else 2 * error
    return [
        ("auc", (r.auc, error)),
        ("gini", (r.gini, gini)),
        ("ks", (r.ks, None)),
        ("brier", (r.brier, None)),
        ("slope", (None, None) if fit is None else (fit.slope, fit.slope_error)),
        ("predicted", (None, None) if fit is None else (fit.predicted, None)),
        ("observed", (None, None) if fit is None else (fit.observed, fit.observed_error)),
        ("epsilon", (r.epsilon, None)),
        ("mu", (r.mu, None)),
        ("training", (float(sum(r.rows.training.values())), None)),
        ("holdout", (float(sum(r.rows.holdout.values())), None)),
        ("exchanges", (float(r.exchanges), None)),
        ("seconds", (r.seconds, None)),
    ]


def _figure(
    code: str, one: float | None, one_error: float | None, other: float | None, other_error: float | None
) -> Figure:
    difference = None if one is None or other is None else other - one
    error, more = None, None
    if difference is not None and one_error is not None and other_error is not None:
        error = math.hypot(one_error, other_error)
        more = abs(difference) > Z * error
    return Figure(
        code=code,
        one=one,
        one_error=one_error,
        other=other,
        other_error=other_error,
        difference=difference,
        error=error,
        more_than_noise=more,
    )
