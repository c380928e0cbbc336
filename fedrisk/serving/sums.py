"""What the members of a model said together: their answers added up, and looked at before they are believed.

Masks cancel where all members got the same bytes of a question. Where they did not, or one of them lies about its
column's name or length, sums are random numbers; those that the card cannot give are found here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.model_part import ModelPart
from fedrisk.models.scorecard import Scorecard
from fedrisk.secure.ring import to_signed
from fedrisk.serving.ages import AGES
from fedrisk.serving.kinds import point_columns
from fedrisk.serving.measures import measure_of, opened
from fedrisk.serving.messages import Answered
from fedrisk.study_members import BANK


@dataclass(frozen=True)
class Sums:
    """What the members of a model said together, or why there is nothing.

    Attributes:
        id: of the question.
        columns: by name, sums over all members of each row, (rows,) int64; "points", or the points of each theme, on
            the scale of the card that is not calibrated. 0 in rows that are refused. Empty where a member failed.
        refused: code by member, by row, for rows that have no sum.
        failed: code by member, where the question as a whole has no answer.
        digest: of the question, as the trails have it. root: id of the first question in whose place it is.
    """

    id: str
    columns: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    refused: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    root: str = ""


def added(
    part: ModelPart, answers: Sequence[Answered], gone: Sequence[int]
) -> dict[str, NDArray[np.int64]] | None:
    """Sums by column of all that every member gives, 0 in rows that are gone; None where they cannot be right."""
    names = set.intersection(*(set(answer.columns) for answer in answers))
    out: dict[str, NDArray[np.int64]] = {}
    for name in sorted(names):
        total = np.zeros(len(answers[0].columns[name]), np.uint32)
        for answer in answers:
            total += answer.columns[name]
        out[name] = to_signed(total).astype(np.int64)
        out[name][list(gone)] = 0
    there = np.ones(len(next(iter(out.values()), ())), bool)
    there[list(gone)] = False
    return out if PLAUSIBLE[part.kind](part, out, there) else None


def _scorecard(part: ModelPart, columns: Mapping[str, NDArray[np.int64]], there: NDArray[np.bool_]) -> bool:
    """Whether sums are such as the card can give; ``there``: rows that have one.

    Of answers to different questions each sum is a random number of 32 bits: that it lies within the span of points of
    the whole card, fewer than 2^13 numbers, has a chance below 2^-18 a row.
    """
    for ago in range(max(1, months_of(part, columns))):
        for name, (low, high) in zip(point_columns(part, ago), points_spans(part), strict=True):
            if name not in columns:
                return False
            points = columns[name][there]
            if ((points < low) | (points > high)).any():
                return False
    if not all(name in columns for name in AGES):
        return not any(name in columns for name in AGES)
    ages = np.stack([columns[name][there] for name in AGES])
    return bool((ages >= 0).all() and (ages.sum(0) == len(part.holders)).all())


def _measure(part: ModelPart, columns: Mapping[str, NDArray[np.int64]], there: NDArray[np.bool_]) -> bool:
    """Whether sums are such as its members can give; a ratio is random on purpose where one knows nothing."""
    if not {"sum", "known"} <= columns.keys():
        return False
    measure = measure_of(part)
    values, _ = opened(measure, part.institution, columns)
    return measure.kind == "ratio" or not bool(np.isnan(values[there]).any())


PLAUSIBLE: Final[
    dict[str, Callable[[ModelPart, Mapping[str, NDArray[np.int64]], NDArray[np.bool_]], bool]]
] = {
    "measure": _measure,
    "scorecard": _scorecard,
}
"""By kind of model, whether sums are such as its members can give."""


def months_of(part: ModelPart, columns: Mapping[str, NDArray[np.int64]]) -> int:
    """Of how many months all members gave points, this one first; of what is no index 1."""
    months = 0
    while all(name in columns for name in point_columns(part, months)):
        months += 1
    return months


def by_theme(
    part: ModelPart, columns: Mapping[str, NDArray[np.int64]], ago: int = 0
) -> dict[str, NDArray[np.int64]]:
    """The holders' points by theme, (rows,) each; empty where there is one sum. ago: months before."""
    return {
        one.name: columns[name]
        for one, name in zip(part.sums, point_columns(part, ago), strict=False)
        if name in columns
    }


def points_of(part: ModelPart, columns: Mapping[str, NDArray[np.int64]], ago: int = 0) -> NDArray[np.int64]:
    """The sum of all holders' points, (rows,). ago: months before."""
    return np.asarray(np.sum([columns[n] for n in point_columns(part, ago)], axis=0, dtype=np.int64))


def points_spans(part: ModelPart) -> tuple[tuple[int, int], ...]:
    """Least and greatest value that the card can give of each sum of holders' points, before calibration."""
    kept = _spans.get(part.model)
    if kept is None or kept[0] is not part:
        if len(_spans) > 100:
            _spans.clear()
        card = Scorecard.from_json(part.card or "")
        outside = tuple(j for j, b in enumerate(card.bins) if b.feature.institution != BANK)
        sums = [[card.points[j] for j in one.features] for one in part.sums] or [
            [card.points[j] for j in outside]
        ]
        spans = tuple((sum(min(p) for p in inside), sum(max(p) for p in inside)) for inside in sums)
        kept = _spans[part.model] = (part, spans)
    return kept[1]


_spans: dict[str, tuple[ModelPart, tuple[tuple[int, int], ...]]] = {}
