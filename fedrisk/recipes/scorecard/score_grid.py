"""What a holder gives for sums of its points: points on the holders' common grid, or points of bands.

Where there are not two holders with several columns each behind the sum, a holder gives coarse bands instead of points,
unless its policy allows points. Both are on one grid of all holders, so that their sum takes a limited number of values
whatever the card's points are: crafted points tell no more than honest ones.
"""

from collections.abc import Sequence

from fedrisk.clients.attempt import Attempt
from fedrisk.models.given_points import BANDS, GivenPoints, common_step, holder_shares, merged_bands
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.prepared import told_counts
from fedrisk.study import BANK


def given_points(attempt: Attempt, card: Scorecard) -> GivenPoints:
    """What this holder gives for each sum of its points, from released numbers and the points alone."""
    study, role, policy = attempt.study, attempt.role, attempt.node.institution.policy
    # Columns whose points are all the same hide nobody; what unknown enterprises get is the same in all columns.
    known = [card.points[j][: b.known] for j, b in enumerate(card.bins)]
    columns = {h: sum(len(set(known[j])) > 1 for j in card.columns_of(h)) for h in study.holders}
    spans, step = spans_of(attempt, card), grid_step(attempt, card)
    if policy.scores == "points" or sum(n >= policy.band_columns for n in columns.values()) >= 2:
        return GivenPoints.grid(*spans[role], step=step)
    curves = told_counts(attempt)[2]
    places = card.features_of(role)
    shares = holder_shares([card.points[j] for j in places], [curves.weight[j] for j in places])
    bands = merged_bands(card.band_edges(role, BANDS), card.band_points(role, BANDS), shares)
    return bands.on_grid(*spans[role], step=step)


def spans_of(attempt: Attempt, card: Scorecard) -> dict[str, tuple[int, int]]:
    """Least and greatest sum of points of each holder."""
    return {h: _span([card.points[j] for j in card.features_of(h)]) for h in attempt.study.holders}


def grid_step(attempt: Attempt, card: Scorecard) -> int:
    """Step of the grid of all holders' points: as many values as each of them states that it takes part in.

    A holder goes by its policy of today where that is stricter than what it stated.
    """
    limits = [attempt.statements[h].score_values for h in attempt.study.holders]
    if attempt.role != BANK:
        limits.append(attempt.node.institution.policy.score_values)
    return common_step(spans_of(attempt, card).values(), min(limits))


def _span(points: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Least and greatest sum of one number of each feature's points."""
    return sum(min(p) for p in points), sum(max(p) for p in points)
