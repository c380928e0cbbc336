"""What a report says of a scorecard, as codes and figures."""

from fedrisk.recipe import Section
from fedrisk.server.outcome import Outcome


def summarise(outcome: Outcome) -> tuple[Section, ...]:
    """Features by weight in the score."""
    card = outcome.card
    if card is None:
        return ()
    rows = [
        (b.feature.name, b.size, min(points), max(points))
        for b, points in zip(card.bins, card.points, strict=True)
    ]
    rows.sort(key=lambda row: -(row[3] - row[2]))
    return (
        Section(code="features", columns=("feature", "bins", "points_from", "points_to"), rows=tuple(rows)),
    )
