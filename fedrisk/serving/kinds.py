"""What a holder gives for each kind of model: the numbers of each row before masks, and what is counted for it.

A kind is a few functions: :data:`KINDS` has one for each ``kind`` of a model's part. Holders mask, count, seal and
enter all kinds alike (serving/holder).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.model_part import GivenSum, ModelPart
from fedrisk.models.told_bits import tells_ages
from fedrisk.privacy.policy import Policy
from fedrisk.privacy.serving_policy import MONITORING, OWN_INFORMATION
from fedrisk.serving.ages import AGES, age_classes
from fedrisk.serving.book import day_of, month_of
from fedrisk.serving.current import CurrentData, Found
from fedrisk.serving.measure_rules import rule_of
from fedrisk.serving.measures import check_rows, columns_of_measure, measure_of
from fedrisk.serving.messages import Asked

EARLIER = "ago"
"""Stands in the name of a column of an earlier month."""

Columns = dict[str, NDArray[np.int64]]


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
    limits: what is counted by id. under: what answers about one enterprise are counted with (policy.per_enterprise):
        scores of all models together, each measure by itself.
    months: how many months of an index are given of each enterprise; 1 of whatever is no index.
    columns: names of what is given, of so many months; together: which of these have their masks from one
        stream, by its name.
    give: numbers by column, (n,), of the n ids of the question at ``places``, which are added up by row; of so many
        months.
    """

    refused: Callable[[Asked, ModelPart, Policy], str]
    limits: Callable[[Asked, ModelPart, Policy, float], Sequence[Limit]]
    under: Callable[[ModelPart], str]
    months: Callable[[Asked, ModelPart, Policy, CurrentData], int]
    columns: Callable[[ModelPart, Policy, int], Sequence[str]]
    together: Callable[[Sequence[str]], dict[str, list[str]]]
    give: Callable[[Asked, ModelPart, Policy, Found, NDArray[np.intp], float, int], Columns]


def _fits(asked: Asked, part: ModelPart, policy: Policy) -> str:
    if asked.row_of or (asked.months > 1 and part.index is None):
        return "form"
    if asked.asker not in part.banks:
        # An agent: it asks for enterprises themselves, and for nothing else.
        return "form" if asked.screening else "" if asked.purpose == OWN_INFORMATION else "purpose"
    allowed = policy.purposes if policy.serving.purposes is None else policy.serving.purposes
    monitored = _monitored(asked, policy)
    if monitored and asked.screening:
        # A list that a bank looks through is none of loans that run, and has a limit and consents of its own.
        return "purpose"
    return "" if asked.purpose in allowed and (asked.purpose == part.purpose or monitored) else "purpose"


def _monitored(asked: Asked, policy: Policy) -> bool:
    """Whether it is about loans that run, which the policy gives limits and consents of their own."""
    return asked.purpose == MONITORING and policy.serving.monitoring > 0


def _limits(asked: Asked, part: ModelPart, policy: Policy, now: float) -> list[Limit]:
    if _monitored(asked, policy):
        return [Limit("monitoring", month_of(now), policy.serving.monitoring)]
    limits = [Limit("scores", day_of(now), policy.serving.per_day)]
    if asked.screening:
        limits.append(Limit("screening", month_of(now), policy.serving.screening))
    return limits


def _months(asked: Asked, part: ModelPart, policy: Policy, data: CurrentData) -> int:
    """Of an index, no more months than were asked for, the policy allows and the histories reach back to.

    For loans that run only this month: what such a loan's contract allows is to watch it from now on.
    """
    if part.index is None or asked.months == 1 or _monitored(asked, policy):
        return 1
    reach = data.months_back(part.index.moving) + 1
    return max(1, min(asked.months, policy.serving.index_months, reach))


def _columns(part: ModelPart, policy: Policy, months: int) -> tuple[str, ...]:
    points = tuple(name for ago in range(months) for name in point_columns(part, ago))
    return (*points, *AGES) if tells_ages(part, policy.serving.ages) else points


def point_columns(part: ModelPart, ago: int = 0) -> tuple[str, ...]:
    """Names of the sums of points of a model: one, or as many as there are themes and the rest.

    ago: of an index, as they were so many months before.
    """
    names = tuple(f"points_{k}" for k in range(len(part.sums))) or ("points",)
    return names if not ago else tuple(f"{name}_{EARLIER}_{ago}" for name in names)


def _together(names: Sequence[str]) -> dict[str, list[str]]:
    """Ages are given together or not at all, whatever the others give: one stream does for them.

    So are the points of one month; of how many months, each holder decides for itself.
    """
    out: dict[str, list[str]] = {}
    for name in names:
        _points, _, ago = name.partition(f"_{EARLIER}_")
        matrix = "ages" if name in AGES else f"points {ago}" if ago else "points"
        out.setdefault(matrix, []).append(name)
    return out


def _give(
    asked: Asked,
    part: ModelPart,
    policy: Policy,
    found: Found,
    places: NDArray[np.intp],
    now: float,
    months: int,
) -> Columns:
    today = datetime.fromtimestamp(now, UTC).date()
    found = found.used_for(b.feature.column for b in bins_of(part))
    fresh = found.usable(today, part.fresh_days)
    points, usable = given_points(part, found, fresh)
    classes = age_classes(usable, found.day, today, part.fresh_days)
    given = dict(zip(point_columns(part), points, strict=True))
    for ago in range(1, months):
        earlier, _ = given_points(part, found.earlier(ago), fresh)
        given |= dict(zip(point_columns(part, ago), earlier, strict=True))
    return {**given, **{name: (classes == k).astype(np.int64) for k, name in enumerate(AGES)}}


def given_points(
    part: ModelPart, found: Found, usable: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What a holder gives of each enterprise, (sums, n), as in the study, and of which it has a row.

    Of the others it gives what it gives of enterprises that it does not know.
    """
    codes, usable = found.codes(bins_of(part), usable)
    single = GivenSum(name="", features=tuple(range(len(part.points))))
    given = []
    for one in part.sums or (single,):
        exact = np.zeros(len(usable), np.int64)
        for j in one.features:
            exact += np.asarray(part.points[j], np.int64)[codes[:, j]]
        table = (one.edges, one.values) if part.sums else part.given
        given.append(exact if table is None else GivenPoints(*table).of(exact))
    return np.stack(given), usable


def bins_of(part: ModelPart) -> tuple[Bins, ...]:
    """Bins of a part, made once for as long as it is the same one."""
    kept = _bins.get(part.model)
    if kept is None or kept[0] is not part:
        if len(_bins) > 100:
            _bins.clear()
        kept = _bins[part.model] = (part, tuple(Bins.from_dict(dict(stored)) for stored in part.bins))
    return kept[1]


_bins: dict[str, tuple[ModelPart, tuple[Bins, ...]]] = {}


def _all_together(names: Sequence[str]) -> dict[str, list[str]]:
    return {"sums": list(names)}


def _measure_fits(asked: Asked, part: ModelPart, policy: Policy) -> str:
    """A measure has a rule of its own, which is looked at anew for every question."""
    measure, rule = measure_of(part), rule_of(policy.serving, part.name, asked.asker)
    if rule is None or len(part.answering(asked.asker)) < max(2, rule.least_members):
        return "asker"
    try:
        check_rows(measure, asked.row_of)
    except ProtocolError:
        return "form"
    if asked.screening or asked.months > 1:
        return "form"
    allowed = policy.purposes if policy.serving.purposes is None else policy.serving.purposes
    return "" if asked.purpose in allowed and asked.purpose == part.purpose else "purpose"


def _measure_limits(asked: Asked, part: ModelPart, policy: Policy, now: float) -> list[Limit]:
    rule = rule_of(policy.serving, part.name, asked.asker)
    return [Limit(f"measure {part.name}", month_of(now), 0 if rule is None else rule.per_month)]


def _measure_columns(part: ModelPart, policy: Policy, months: int) -> tuple[str, ...]:
    return ("sum", "known")


def _measure_give(
    asked: Asked,
    part: ModelPart,
    policy: Policy,
    found: Found,
    places: NDArray[np.intp],
    now: float,
    months: int,
) -> Columns:
    return columns_of_measure(part, found, today=datetime.fromtimestamp(now, UTC).date())


KINDS: Final[dict[str, Kind]] = {
    "measure": Kind(
        refused=_measure_fits,
        limits=_measure_limits,
        under=lambda part: f"measure {part.name}|",
        months=lambda asked, part, policy, data: 1,
        columns=_measure_columns,
        together=_all_together,
        give=_measure_give,
    ),
    "scorecard": Kind(
        refused=_fits,
        limits=_limits,
        under=lambda part: "",
        months=_months,
        columns=_columns,
        together=_together,
        give=_give,
    ),
}
