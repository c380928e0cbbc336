"""What a holder gives for sums of its points: points on the holders' common grid, or points of bands.

Where there are not two holders with several columns each behind a sum, a holder gives coarse bands instead of points,
unless its policy allows points. Both are on one grid of all holders of the sum, so that it takes a limited number of
values whatever the card's points are: crafted points tell no more than honest ones. A holder that is in several sums
(recipes/scorecard/themes) gives fewer values in each, so that all of them together tell no more of it than one would.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.attempt import Attempt
from fedrisk.errors import PolicyError
from fedrisk.models.card_pairs import tied_features
from fedrisk.models.given_points import (
    BANDS,
    GivenPoints,
    common_step,
    holder_shares,
    merged_bands,
    sum_shares,
)
from fedrisk.models.index_scale import INDEX_VALUES
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.prepared import told_counts
from fedrisk.recipes.scorecard.settings import NONE, ScorecardSettings
from fedrisk.recipes.scorecard.themes import ScoreSum, numbers_of, score_sums, values_of_each
from fedrisk.study_members import BANK

REACH = 3.0
"""Standard deviations of a holder's points to both sides of their mean within which an index tells them apart."""

Weights = Sequence[NDArray[np.float64]]


def sums_of(attempt: Attempt) -> tuple[ScoreSum, ...]:
    """The sums of a study; PolicyError where this holder's policy of today no longer allows what it stated."""
    study, said = attempt.study, attempt.statements
    sums = score_sums(study, attempt.plan.features, said)
    policy = attempt.node.institution.policy
    if attempt.role in study.holders and sums != score_sums(
        study, attempt.plan.features, {**said, attempt.name: policy}
    ):
        raise PolicyError(
            f"{attempt.name}: its policy (score_themes, band_columns) no longer allows the sums by theme that it "
            "agreed to; no score is given. Run the study again"
        )
    return sums


def given_points(
    attempt: Attempt, card: Scorecard, one: ScoreSum, weights: Weights | None = None
) -> GivenPoints:
    """What this holder gives for each sum of its points that are in one of the sums, from released numbers alone.

    weights: enterprises by bin of all features without pairs, in the card's order; None where the card is the study's.
    """
    role, policy = attempt.role, attempt.node.institution.policy
    columns = _hiding(attempt, card, one)
    spans, step = spans_of(card, one, near=is_index(attempt)), grid_step(attempt, card, one)
    if policy.scores == "points" or sum(n >= policy.band_columns for n in columns.values()) >= 2:
        return GivenPoints.grid(*spans[role], step=step)
    weights = told_counts(attempt)[2].weight if weights is None else weights
    return _bands(attempt, card, one.places(card, role), weights).on_grid(*spans[role], step=step)


def _hiding(attempt: Attempt, card: Scorecard, one: ScoreSum) -> dict[str, int]:
    """How many columns each holder of a sum has that hide another's points.

    Columns whose points are all the same hide nobody; what unknown enterprises get is the same in all columns. Nor do
    columns of an index that count in every month as they are now: they cancel in the difference of two months, and a
    holder that alone has histories would be seen in it by itself.
    """
    moving = {f.name for f in attempt.plan.features if f.moving} if is_index(attempt) else None
    hiding = [
        b.feature.is_column
        and len(set(card.points[j][: b.known])) > 1
        and (moving is None or b.feature.name in moving)
        for j, b in enumerate(card.bins)
    ]
    return {h: sum(hiding[j] for j in one.places(card, h)) for h in one.holders}


def _bands(attempt: Attempt, card: Scorecard, places: Sequence[int], every_weight: Weights) -> GivenPoints:
    """Coarse bands of this holder's points in some features, none of few enterprises."""
    every = sorted(places) == sorted(card.features_of(attempt.role))
    # Whether it knows an enterprise comes last.
    places = sorted(places, key=lambda j: card.bins[j].feature.kind == "known")
    points, weights = tied_features(card, places, every_weight)
    sd = card.partial_sd[attempt.role] if every else _spread(points, weights)
    last = card.bins[places[-1]].feature
    # Whether it knows an enterprise decides all its columns at once, in the sum that says so.
    shares = (holder_shares if last.kind == "known" else sum_shares)(points, weights)
    edges, values = card.bands(places, sd, BANDS)
    return merged_bands(edges, values, shares)


def _spread(points: Sequence[Sequence[int]], weights: Sequence[np.ndarray]) -> float:
    """Standard deviation of a sum of points, as if columns were independent, from released shares of bins."""
    variance = 0.0
    for p, w in zip(points, weights, strict=True):
        share, value = w / w.sum(), np.asarray(p, float)
        variance += float(share @ value**2 - (share @ value) ** 2)
    return float(np.sqrt(max(variance, 0.0)))


def is_index(attempt: Attempt) -> bool:
    """Whether the study makes an operating health index."""
    return ScorecardSettings.of(attempt.study).index != NONE


def spans_of(card: Scorecard, one: ScoreSum, *, near: bool = False) -> dict[str, tuple[int, int]]:
    """Least and greatest sum of points of each holder of a sum, as it is given.

    near: what is more than `REACH` standard deviations from the mean counts as that, by the card's released figures, as
    for an index: nearly all enterprises are between, and its few numbers are spent on these.
    """
    found = {}
    for h in one.holders:
        places = one.places(card, h)
        low, high = _span([card.points[j] for j in places])
        if near:
            mean, sd = sum(card.averages[j] for j in places), card.partial_sd[h]
            least, most = round(mean - REACH * sd), round(mean + REACH * sd)
            low, high = max(low, min(least, high)), min(high, max(most, low))
        found[h] = low, high
    return found


def grid_step(attempt: Attempt, card: Scorecard, one: ScoreSum) -> int:
    """Step of the grid of a sum's points: as many values as each of its holders states that it takes part in.

    A holder goes by its policy of today where that is stricter than what it stated.
    """
    sums = sums_of(attempt)
    limits = {h: attempt.statements[h].score_values for h in one.holders}
    if attempt.role != BANK and attempt.name in limits:
        today = attempt.node.institution.policy.score_values
        limits[attempt.name] = min(limits[attempt.name], today)
    if is_index(attempt):
        # An index is one of so many numbers, so no sum behind it needs more.
        limits = {h: min(limit, INDEX_VALUES) for h, limit in limits.items()}
    each = min(values_of_each(limit, numbers_of(sums, h)) for h, limit in limits.items())
    return common_step(spans_of(card, one, near=is_index(attempt)).values(), each)


def _span(points: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Least and greatest sum of one number of each feature's points."""
    return sum(min(p) for p in points), sum(max(p) for p in points)
