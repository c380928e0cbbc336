"""Sums across institutions for one enterprise: what is summed, as all members state it, and each one's part of it.

A measure is a small file, the same at all members: total exposure at other banks, the number of lenders, exposure of
related enterprises, a ratio between two institutions, an index. Each responder gives whole numbers of public steps
within a public range, masked like points of a score, so that the asking bank opens the sum and nothing else. Range and
step bound what an answer tells: a responder's part is one of `Measure.steps_of` numbers, and the sum has at most
`Measure.bits`.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.file_rules import checked
from fedrisk.models.model_part import ModelPart
from fedrisk.secure.keystream import encode_fields
from fedrisk.serving.current import Found
from fedrisk.study_sections import Name
from fedrisk.toml_file import load_toml

MOST_STEPS = 1 << 16
"""Most numbers that one institution's part of a sum can be: 16 bits."""

MOST_OF_OTHERS = 10
"""How many times as wide one institution's range may be as another's: a sum that one dominates is its number."""

MOST_RELATED = 50
"""Most enterprises of one row, whatever a measure states."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Term(BaseModel):
    """What one institution gives.

    Attributes:
        member: the institution. column: of its table, a number.
        low, high: for a ratio, the range of the column's values; both above 0.
        weight, mean, deviation: for an index, its weight, and by what it is standardised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    member: Name
    column: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    low: Positive | None = None
    high: Positive | None = None
    weight: Number | None = None
    mean: Number | None = None
    deviation: Positive | None = None


class Measure(BaseModel):
    """A sum across institutions for one enterprise.

    Attributes:
        kind: ``sum`` of a column; ``count`` of institutions where it is above 0; ``related``, a sum over enterprises
            that the bank names together; ``ratio`` of two institutions' columns, opened as the difference of their
            logarithms; ``index``, a weighted sum of standardised columns.
        purpose: what answers are for. banks: who may ask; the one that asks is never among those that answer.
        high: for a sum, the highest value of one institution; values outside 0 to high are clipped.
        step: what values are rounded to: of the column for a sum, of the logarithm for a ratio, of the index itself.
        clip: for an index, how many deviations from the mean a column counts at most.
        most_related: for related, most enterprises of one row.
        fresh_days: a row that is older counts as unknown.
        terms: who gives what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: Name
    kind: Literal["sum", "count", "related", "ratio", "index"]
    meaning: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    unit: Annotated[str, StringConstraints(max_length=32)] = ""
    purpose: Name
    banks: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)]
    high: Positive | None = None
    step: Positive | None = None
    clip: Positive | None = None
    most_related: Annotated[int, Field(ge=2, le=MOST_RELATED)] | None = None
    fresh_days: Annotated[int, Field(ge=1)] = 366
    terms: Annotated[tuple[Term, ...], Field(min_length=2, max_length=100)]

    @model_validator(mode="after")
    def _rules(self) -> "Measure":
        problems = [*_key_problems(self), *_member_problems(self)]
        if not problems:
            problems = _size_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def members(self) -> tuple[str, ...]:
        """All who give something, in the order of their names."""
        return tuple(sorted({t.member for t in self.terms}))

    def responders(self, bank: str) -> tuple[str, ...]:
        """Who answers when ``bank`` asks: all members but itself."""
        return tuple(m for m in self.members if m != bank)

    def terms_of(self, member: str) -> tuple[Term, ...]:
        """What one institution gives; none where it only asks."""
        return tuple(t for t in self.terms if t.member == member)

    def steps_of(self, member: str) -> tuple[int, int]:
        """Least and greatest whole number that a member gives for one enterprise."""
        ends = [_ends(self, term) for term in self.terms_of(member)]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def bits_of(self, member: str) -> float:
        """At most so many bits of a member's own number are told, were it read out alone."""
        low, high = self.steps_of(member)
        return math.log2(high - low + 1)

    def bits(self, bank: str) -> float:
        """At most so many bits the bank learns of one row: of the sum, and of how many institutions are behind it."""
        each = [self.steps_of(m) for m in self.responders(bank)]
        ids = self.most_related or 1
        # The number of lenders is the sum itself, and of a ratio only whether both are there is told.
        known = {"count": 1, "ratio": 2}.get(self.kind, ids * len(each) + 1)
        return math.log2(ids * sum(high - low for low, high in each) + 1) + math.log2(known)

    @property
    def canonical(self) -> bytes:
        """The content in its one form: JSON with sorted keys, UTF-8."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the content: members that were given different files have different measures."""
        return hashlib.sha256(encode_fields(b"fedrisk measure v1", self.canonical)).hexdigest()[:16]

    def part(self, institution: str, role: str, *, version: int = 1, made: date | None = None) -> ModelPart:
        """This measure as an institution keeps it."""
        return ModelPart(
            model=self.id,
            kind="measure",
            name=self.name,
            version=version,
            made=made or datetime.now(UTC).date(),
            purpose=self.purpose,
            banks=self.banks,
            holders=self.members,
            institution=institution,
            role=role,
            fresh_days=self.fresh_days,
            measure=self.model_dump(mode="json"),
        )


def load_measure(path: Path) -> Measure:
    """Read a measure's file; ConfigError names the file and every rule that it breaks."""
    where = f"measure {path}"
    return checked(Measure, load_toml(path, what="measure"), where=where)


def measure_of(part: ModelPart) -> Measure:
    """The measure of a part; StoreError where the part is none, or is not the measure that its id says."""
    return _measure_of(part.model, json.dumps(part.measure, sort_keys=True), part.kind)


@lru_cache(maxsize=64)
def _measure_of(model: str, content: str, kind: str) -> Measure:
    try:
        measure = Measure.model_validate_json(content)
    except ValidationError:
        measure = None
    if kind != "measure" or measure is None or measure.id != model:
        raise StoreError(f"{model} is no measure, or damaged; add it again from its file")
    return measure


def columns_of_measure(
    part: ModelPart, found: Found, *, today: date | None = None
) -> dict[str, NDArray[np.int64]]:
    """What this institution gives of each enterprise, before masks: "sum" and "known", (n,) each.

    "sum": whole numbers of steps. "known": 1 where this institution lends to it (``sum``, ``count``, ``related``: its
    column is above 0), or has all columns of it (``index``). An enterprise that is unknown, or whose row is older than
    ``fresh_days``, has 0 in both.

    For a ratio it has uniform random numbers of the 32-bit ring in both, in place of 0: what the bank adds up is then
    uniform whatever the other institution has, so that its number stays closed, and whether it knows the enterprise as
    well. The sum of "known" is 2 where both know it, and else by chance, once in 2**32.
    """
    measure = measure_of(part)
    found = found.used_for(term.column for term in measure.terms_of(part.institution))
    fresh = found.usable(today or datetime.now(UTC).date(), measure.fresh_days)
    totals, there = np.zeros(len(fresh), np.int64), fresh.copy()
    for term in measure.terms_of(part.institution):
        values = _values(found.frame, term.column)
        have = fresh & np.isfinite(values)
        there &= have
        totals += np.where(have, _steps(measure, term, np.where(have, values, 1.0)), 0)
        if measure.kind in LENDING:
            there &= np.where(have, values, 0.0) > 0
    out = {"sum": totals, "known": there.astype(np.int64)}
    if measure.kind == "ratio":
        # No value, no number: neither its own nor one by which the other's would open.
        for column in out.values():
            column[~there] = np.frombuffer(secrets.token_bytes(4 * int((~there).sum())), "<u4")
    return out


LENDING = ("sum", "count", "related")
"""Kinds whose "known" counts institutions that lend."""


def check_rows(measure: Measure, rows: Sequence[int]) -> None:
    """ProtocolError where a row has more enterprises than the measure allows: one, or for related its most.

    rows: the row of each enterprise, rising from 0; empty where each is a row.
    """
    most = measure.most_related or 1
    if len(rows) and np.bincount(np.asarray(rows, np.int64)).max() > most:
        raise ProtocolError(
            f"measure {measure.name} takes rows of at most {most} enterprises; ask in smaller rows, or agree on another"
        )


def opened(
    measure: Measure, bank: str, columns: Mapping[str, NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What the bank reads from the sums of all who answer it: values (rows,), NaN where there is none, and "known".

    A ratio has a value where both institutions know the enterprise; its "known" is 2 or 0. A sum out of the range that
    it can have says that somebody's part was wrong: it has no value.
    """
    total, known = columns["sum"], columns["known"]
    ends = np.array([measure.steps_of(m) for m in measure.responders(bank)])
    step, ids = measure.step or 1.0, measure.most_related or 1
    if measure.kind == "ratio":
        there = (known == 2) & (total >= ends[:, 0].sum()) & (total <= ends[:, 1].sum())
        return np.where(there, np.exp(np.where(there, total, 0) * step), np.nan), np.where(there, 2, 0)
    least, most = ids * np.minimum(ends[:, 0], 0).sum(), ids * np.maximum(ends[:, 1], 0).sum()
    right = (total >= least) & (total <= most) & (known >= 0) & (known <= ids * len(ends))
    return np.where(right, total * step, np.nan), known


def _steps(measure: Measure, term: Term, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Values as whole numbers of steps, clipped to their range."""
    step = measure.step or 1.0
    if measure.kind == "count":
        found = (values > 0).astype(np.float64)
    elif measure.kind == "ratio":
        sign = 1.0 if term == measure.terms[0] else -1.0
        found = sign * np.rint(np.log(np.clip(values, term.low, term.high)) / step)
    elif measure.kind == "index":
        clip = measure.clip or 0.0
        scores = np.clip((values - (term.mean or 0.0)) / (term.deviation or 1.0), -clip, clip)
        found = np.rint((term.weight or 0.0) * scores / step)
    else:
        found = np.rint(np.clip(values, 0.0, measure.high) / step)
    # Steps that would be out of all range are refused when the measure is read (`_size_problems`).
    return np.clip(found, -_HUGE, _HUGE).astype(np.int64)


_HUGE = float(1 << 52)


def _ends(measure: Measure, term: Term) -> tuple[int, int]:
    """Least and greatest number of steps of a term, by the same arithmetic as all between."""
    ends = [term.low or 0.0, term.high or 0.0] if measure.kind == "ratio" else [-np.inf, np.inf]
    low, high = sorted(_steps(measure, term, np.array(ends)).tolist())
    return low, high


def _values(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column as doubles; all missing where it is gone, which the table's own rules told of."""
    if column not in frame:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)


_KEYS = {
    "sum": {"high", "step"},
    "count": set[str](),
    "related": {"high", "step", "most_related"},
    "ratio": {"step"},
    "index": {"step", "clip"},
}
_TERM_KEYS = {"ratio": {"low", "high"}, "index": {"weight", "mean", "deviation"}}


def _key_problems(measure: Measure) -> list[str]:
    """Keys that a kind needs, or has no use for."""
    kind = measure.kind
    given = {k for k in ("high", "step", "clip", "most_related") if getattr(measure, k) is not None}
    problems = _differences(kind, given, _KEYS[kind], "")
    for term in measure.terms:
        own = {k for k in ("low", "high", "weight", "mean", "deviation") if getattr(term, k) is not None}
        problems += _differences(kind, own, _TERM_KEYS.get(kind, set()), f"terms of {term.member}: ")
    return list(dict.fromkeys(problems))


def _differences(kind: str, given: set[str], wanted: set[str], where: str) -> list[str]:
    found = [f"{where}kind {kind} needs {key}; add it" for key in sorted(wanted - given)]
    return found + [f"{where}kind {kind} has no {key}; remove it" for key in sorted(given - wanted)]


def _member_problems(measure: Measure) -> list[str]:
    """Who gives what, and how many are behind an answer."""
    problems = []
    pairs = [(t.member, t.column) for t in measure.terms]
    names = [t.member for t in measure.terms]
    if measure.kind != "index" and len(set(names)) < len(names):
        problems.append("an institution is named by two terms; name each once")
    if len(set(pairs)) < len(pairs):
        problems.append("a column is named twice; name each once")
    if len(set(measure.banks)) < len(measure.banks):
        problems.append("banks names one twice; name each once")
    if measure.kind == "ratio" and len(names) != 2:
        problems.append("a ratio has two terms: what is divided, and by what")
    alone = [b for b in measure.banks if len(measure.responders(b)) < 2]
    if alone:
        problems.append(
            f"when {alone[0]} asks, a single institution answers, and its number would be read out; name two others"
        )
    return problems


def _size_problems(measure: Measure) -> list[str]:
    """Ranges and steps."""
    if measure.kind == "ratio" and any((t.low or 0.0) >= (t.high or 0.0) for t in measure.terms):
        return ["terms: low must be below high"]
    with np.errstate(over="ignore"):
        each = {m: measure.steps_of(m) for m in measure.members}
    large = [m for m, (low, high) in each.items() if high - low >= MOST_STEPS]
    if large:
        return [
            f"{large[0]} gives one of more than {MOST_STEPS} numbers; take a larger step, or a smaller range"
        ]
    spans = {m: high - low for m, (low, high) in each.items()}
    if min(spans.values()) == 0:
        return ["the step is larger than the range, so that an institution says nothing; take a smaller one"]
    if max(spans.values()) > MOST_OF_OTHERS * min(spans.values()):
        widest = max(spans, key=lambda m: spans[m])
        return [
            f"the range of {widest} is more than {MOST_OF_OTHERS} times that of another, so that the sum would nearly "
            "be its number; choose ranges or weights that are closer"
        ]
    reach = (measure.most_related or 1) * sum(max(abs(low), abs(high)) for low, high in each.values())
    if reach >= 1 << 31:
        return ["the sum may leave 32 bits; take a larger step, or a smaller range"]
    return []
