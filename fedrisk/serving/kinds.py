"""What a holder gives for each kind of model: the numbers of each row before masks, and what is counted for it.

A kind is a few functions: :data:`KINDS` has one for each ``kind`` of a model's part. Holders mask, count, seal and
enter all kinds alike (serving/holder).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.model_part import ModelPart
from fedrisk.privacy.policy import Policy
from fedrisk.serving.book import day_of, month_of
from fedrisk.serving.messages import Asked

AGES: Final = ("fresh", "aging", "old", "missing")
"""Columns of how old a row is, one of which counts each row of each holder."""

FRESH_DAYS, AGING_DAYS = 31, 92
"""A row is fresh up to so many days, and aging up to so many; older ones are old."""

SEVERAL = 3
"""Fewest holders among which one hides in a count of ages."""

Columns = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Known:
    """What this holder has of the enterprises of a question.

    frame: typed columns in the order of the ids, missing where it knows none. known: whether it knows the enterprise.
    day: of the row, NaT where it is not dated. (n,) each.
    """

    frame: pd.DataFrame
    known: NDArray[np.bool_]
    day: NDArray[np.datetime64]


@dataclass(frozen=True)
class Limit:
    """What is counted of a question, and how much of it a bank gets in a period."""

    what: str
    period: str
    most: int


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    refused: code of a question that does not fit the model or the policy, or "".
    limits: what is counted by id. scores: whether scores of one enterprise are counted (policy.per_enterprise).
    columns: names of what is given; give: numbers by column, (n,), of the n ids of the question at ``places``, which
    are added up by row.
    """

    refused: Callable[[Asked, ModelPart, Policy], str]
    limits: Callable[[Asked, ModelPart, Policy, float], Sequence[Limit]]
    scores: bool
    columns: Callable[[ModelPart, Policy], Sequence[str]]
    give: Callable[[Asked, ModelPart, Policy, Known, NDArray[np.intp], float], Columns]


def _fits(asked: Asked, part: ModelPart, policy: Policy) -> str:
    allowed = policy.purposes if policy.serving.purposes is None else policy.serving.purposes
    if asked.row_of:
        return "form"
    return "" if asked.purpose in allowed and asked.purpose == part.purpose else "purpose"


def _limits(asked: Asked, part: ModelPart, policy: Policy, now: float) -> list[Limit]:
    limits = [Limit("scores", day_of(now), policy.serving.per_day)]
    if asked.screening:
        limits.append(Limit("screening", month_of(now), policy.serving.screening))
    return limits


def _columns(part: ModelPart, policy: Policy) -> tuple[str, ...]:
    rule = policy.serving.ages
    told = rule == "always" or (rule == "several" and len(part.holders) >= SEVERAL)
    return ("points", *AGES) if told else ("points",)


def _give(
    asked: Asked,
    part: ModelPart,
    policy: Policy,
    known: Known,
    places: NDArray[np.intp],
    now: float,
) -> Columns:
    today = np.datetime64(int(now // 86_400), "D")
    age = (today - known.day.astype("datetime64[D]")).astype("timedelta64[D]").astype(np.int64)
    undated = np.isnat(known.day)
    here = known.known & (undated | (age <= part.fresh_days))
    given: Columns = {"points": given_points(part, known.frame, here)}
    # A row that has no date is no fresh one.
    place = np.where(undated, 2, np.searchsorted((FRESH_DAYS, AGING_DAYS), age, side="left"))
    place = np.where(here, place, 3)
    for k, name in enumerate(AGES):
        given[name] = (place == k).astype(np.int64)
    return given


def given_points(part: ModelPart, frame: pd.DataFrame, here: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What a holder gives of each enterprise, (n,), as in the study; those that are not ``here`` are unknown to it."""
    table = GivenPoints(*part.given) if part.given is not None else None
    exact = np.zeros(len(here), np.int64)
    for stored, points in zip(part.bins, part.points, strict=True):
        bins, of = bins_from(stored), np.asarray(points, np.int64)
        codes = np.full(len(here), bins.size - 1, np.int64)
        if here.any():
            column = bins.feature.column
            codes[here] = 0 if not bins.feature.is_column else bins.codes(frame[column][here])
        exact += of[codes]
    return exact if table is None else table.of(exact)


def bins_from(stored: Mapping[str, Any]) -> Bins:
    """Bins as a part keeps them."""
    return Bins.from_dict(dict(stored))


KINDS: Final[dict[str, Kind]] = {
    "scorecard": Kind(refused=_fits, limits=_limits, scores=True, columns=_columns, give=_give),
}
