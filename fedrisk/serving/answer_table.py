"""Answers as a table: the fields that a single answer has, one column each.

A list of answers becomes a table row by row (`table_of`); for a whole page at once there is `answer_table`, which has
the same values, bit for bit, without an object for each row.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fedrisk.serving.answering import Answering, Scored
from fedrisk.serving.grades import grade
from fedrisk.serving.score_forms import ScoreAnswer
from fedrisk.serving.words import chance

REASONS = 4
"""Most reasons of an answer."""

AGES = ("fresh", "aging", "old", "missing")

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("score", pa.int32()),
        ("probability", pa.float64()),
        ("probability_words", pa.string()),
        ("grade", pa.string()),
        *((f"reason_{k}", pa.string()) for k in range(1, REASONS + 1)),
        ("own_points", pa.int32()),
        ("external_points", pa.int32()),
        ("own_probability", pa.float64()),
        *((f"ages_{name}", pa.int32()) for name in AGES),
        ("ages_words", pa.string()),
        ("own_day", pa.string()),
        ("missing", pa.string()),
        ("decision", pa.string()),
        ("notice", pa.string()),
        ("code", pa.string()),
        ("words", pa.string()),
        ("members", pa.string()),
        ("model", pa.string()),
        ("model_version", pa.int32()),
        ("made", pa.float64()),
    ]
)

_PLAIN = tuple(name for name in _SCHEMA.names if name in ScoreAnswer.model_fields)
"""Columns that are fields of an answer as they are."""

BIN: Final = "bin_"
"""Begins the names of columns with bins of the bank's own columns, where they are asked for; -1 without a score."""


def schema_of(bins: Sequence[str] = ()) -> pa.Schema:
    """Columns of a table of answers. bins: own columns whose bins are wanted beside them."""
    return pa.schema([*_SCHEMA, *((BIN + name, pa.int16()) for name in bins)])


def table_of(answers: Sequence[ScoreAnswer]) -> pa.Table:
    """Answers as a table, without bins."""
    return pa.Table.from_pylist([flat(answer) for answer in answers], schema=_SCHEMA)


def flat(answer: ScoreAnswer) -> dict[str, Any]:
    """One answer as a row; what has several parts in one column is JSON, or a list with commas."""
    row: dict[str, Any] = {name: getattr(answer, name) for name in _PLAIN}
    row["missing"] = ", ".join(answer.missing)
    row["members"] = ", ".join(f"{name}: {code}" for name, code in sorted(answer.members.items()))
    row["decision"] = None if answer.decision is None else json.dumps(answer.decision, sort_keys=True)
    row |= {f"reason_{k}": reason for k, reason in enumerate(answer.reasons[:REASONS], start=1)}
    if answer.ages is not None:
        row |= {f"ages_{name}": getattr(answer.ages, name) for name in AGES}
        row["ages_words"] = answer.ages.words
    row["model"], row["model_version"] = answer.model.id, answer.model.version
    return row


def answer_table(
    answering: Answering, bins: Sequence[str] = (), graded: Callable[[float], str] = grade
) -> pa.Table:
    """The answers of a request, in the order of its ids, with the bins of these own columns.

    graded: the grade of a probability; by default that of the public scale.
    """
    without = answering.without()
    scored = [k for k in range(len(answering.request.ids)) if k not in without]
    gone = table_of([without[k] for k in sorted(without)])
    for name in bins:
        gone = gone.append_column(BIN + name, pa.array(np.full(len(gone), -1), pa.int16()))
    if not scored:
        return gone
    found = _scored_table(answering, scored, answering.scored(scored), bins, graded)
    if not without:
        return found
    order = np.argsort(np.array([*scored, *sorted(without)]))
    return pa.concat_tables([found, gone]).take(pa.array(order)).combine_chunks()


def with_bins(table: pa.Table, answering: Answering, bins: Sequence[str]) -> pa.Table:
    """Answers of a request that were made one by one, with the bins of own columns beside them."""
    if not bins:
        return table
    found = answer_table(answering, bins)
    for name in bins:
        table = table.append_column(BIN + name, found[BIN + name])
    return table


def _scored_table(
    answering: Answering, rows: Sequence[int], s: Scored, bins: Sequence[str], graded: Callable[[float], str]
) -> pa.Table:
    n, own, part = len(rows), answering.own, answering.model.part
    columns: dict[str, Any] = {
        "id": [answering.request.ids[k] for k in rows],
        "score": s.total,
        "probability": s.probability,
        "probability_words": _each(s.probability, chance),
        "grade": _each(s.probability, graded),
        "own_points": s.own,
        "external_points": s.external,
        "own_probability": s.bank,
        "own_day": [own.day.get(k) for k in rows],
        "missing": [", ".join(own.missing.get(k, ())) for k in rows],
        "notice": [answering.model.card.notice] * n,
        "code": [""] * n,
        "words": [""] * n,
        "members": [""] * n,
        "model": [part.model] * n,
        "model_version": np.full(n, part.version),
        "made": np.full(n, time.time()),
        **_ages(answering, s),
    }
    for place in range(REASONS):
        columns[f"reason_{place + 1}"] = [said[place] if len(said) > place else None for said in s.reasons]
    features = {f.column: k for k, f in enumerate(answering.model.features)}
    columns |= {BIN + name: s.codes[features[name]] for name in bins}
    schema = schema_of(bins)
    return pa.table([_array(columns.get(f.name), f.type, n) for f in schema], schema=schema)


def _ages(answering: Answering, s: Scored) -> dict[str, Any]:
    """Columns of the members' ages; rows with the same counts share one sentence."""
    if s.places is None:
        return {}
    given = answering.sums.columns if answering.sums is not None else {}
    if not all(name in given for name in AGES):
        return {"ages_words": [answering.ages(0).words] * len(s.places)}
    counts = np.stack([given[name][s.places] for name in AGES], axis=1)
    _, first, which = np.unique(counts, axis=0, return_index=True, return_inverse=True)
    words = np.array([answering.ages(int(s.places[k])).words for k in first], object)
    return {
        "ages_words": words[which.reshape(-1)],
        **{f"ages_{name}": counts[:, k] for k, name in enumerate(AGES)},
    }


def _each(values: NDArray[np.float64], say: Callable[[float], str]) -> NDArray[Any]:
    """What is said of each value; scores are few, so each is put into words once."""
    different, which = np.unique(values, return_inverse=True)
    return np.array([say(float(v)) for v in different], object)[which]


def _array(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, kind)
    return pa.array(values, type=kind, from_pandas=False)
