"""What a report says of a scorecard, as codes and figures."""

import math

from fedrisk.findings import Finding
from fedrisk.models.binning import Bins
from fedrisk.models.directions import course_finding, proposed_direction
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipe import Cell, Section
from fedrisk.server.outcome import Outcome


def summarise(outcome: Outcome) -> tuple[Section, ...]:
    """Features by weight with their courses, and directions that a further study could state."""
    if outcome.card is None:
        return ()
    proposals = _proposals(outcome.card)
    return (_features(outcome.card), *([proposals] if proposals.rows else []))


def _features(card: Scorecard) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for j in card.by_spread():
        bins, points, errors = card.bins[j], card.points[j], card.errors_of(j)
        error = None if errors is None else round(math.sqrt(sum(e * e for e in errors) / len(errors)), 1)
        course = course_finding(bins, points, errors)
        rows.append((_name(bins), bins.size, min(points), max(points), error, course))
    columns = ("feature", "bins", "points_from", "points_to", "error", "course")
    return Section(code="features", columns=columns, rows=tuple(rows))


def _name(bins: Bins) -> Cell:
    if bins.feature.kind == "known":
        return Finding("known_feature", {"holder": bins.feature.institution})
    return bins.feature.name


def _proposals(card: Scorecard) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for j, (bins, points) in enumerate(zip(card.bins, card.points, strict=True)):
        way = proposed_direction(bins, points, card.errors_of(j))
        if way is not None:
            rows.append((bins.feature.name, Finding("state_direction", {"way": way})))
    return Section(code="directions", columns=("feature", "proposal"), rows=tuple(rows))
