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
from fedrisk.serving.measures import measure_of, opened
from fedrisk.serving.messages import Answered
from fedrisk.study import BANK


@dataclass(frozen=True)
class Sums:
    """What the members of a model said together, or why there is nothing.

    Attributes:
        id: of the question.
        columns: by name, sums over all members of each row, (rows,) int64; "points" on the scale of the card that is
            not calibrated. 0 in rows that are refused. Empty where a member failed.
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
    if "points" not in columns:
        return False
    low, high = points_span(part)
    points = columns["points"][there]
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


def points_span(part: ModelPart) -> tuple[int, int]:
    """Least and greatest sum that the card can give of all holders' points, before calibration."""
    kept = _spans.get(part.model)
    if kept is None or kept[0] is not part:
        if len(_spans) > 100:
            _spans.clear()
        card = Scorecard.from_json(part.card or "")
        outside = [p for b, p in zip(card.bins, card.points, strict=True) if b.feature.institution != BANK]
        kept = _spans[part.model] = (part, (sum(min(p) for p in outside), sum(max(p) for p in outside)))
    return kept[1]


_spans: dict[str, tuple[ModelPart, tuple[int, int]]] = {}
