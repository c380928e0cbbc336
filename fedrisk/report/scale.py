"""What a card's scores mean: probabilities by score, how right they were on the hold-out, what being unknown costs.

Everything follows from the card and from released figures.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from fedrisk.findings import Finding
from fedrisk.metrics import CalibrationFit
from fedrisk.models.point_errors import ROUNDING
from fedrisk.models.scorecard import Scorecard
from fedrisk.server.results import Results

REACH = (-3.5, 2.5)
"""How far the table of probabilities goes to the risky and to the safe side, in standard deviations of the score."""

MOST_SCORES = 12
"""Most rows of that table."""

ESTIMATED = 0.5
"""Standard error of an event's points below which they come from the rule for the unknown, not from counts."""

STRAIGHT = 2.0
"""Standard errors by which a slope may be off 1 before it is said to be."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """A score with its odds of repaying and its probability of default; rule: that by the card's scale alone."""

    score: int
    odds: float
    probability: float
    rule: float


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Points of an enterprise that a holder does not know less the mean points of all, with their standard error.

    error: None where the points are by rule, as so few are unknown that noise hides them, and on cards of version 1.
    """

    holder: str
    points: float
    error: float | None


def score_rows(card: Scorecard) -> list[ScoreRow]:
    """Probabilities at round scores over the range in which enterprises are."""
    mean, sd = card.score_distribution()
    low, high = (mean + reach * sd for reach in REACH)
    double = card.scale.double
    step = double * max(1, math.ceil((high - low) / double / MOST_SCORES))
    scores = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    if not len(scores):
        scores = np.array([round(mean)])
    found, rule = card.probability(scores), expit(card.stated_log_odds(scores))
    return [
        ScoreRow(score=round(s), odds=float((1 - p) / p), probability=float(p), rule=float(r))
        for s, p, r in zip(scores, found, rule, strict=True)
    ]


def scale_finding(card: Scorecard) -> Finding:
    """What points mean: a straight line, or with a curvature."""
    scale = card.scale
    values = {
        "base": scale.score,
        "odds": scale.odds,
        "double": scale.double,
        "probability": 1 / (1 + scale.odds),
    }
    if card.calibration is None:
        return Finding("scale_not_calibrated", values)
    if card.calibration.straight:
        return Finding("scale_straight", values)
    rows = score_rows(card)
    low, high = rows[0].score, rows[-1].score
    factors = {name: _factor(card, s) for name, s in (("risky", low), ("safe", high))}
    return Finding("scale_curved", {**values, **factors, "low": low, "high": high})


def _factor(card: Scorecard, score: float) -> float:
    """By what the points that double the odds on average multiply them about that score."""
    half = card.scale.double / 2
    p = card.probability(np.array([score - half, score + half]))
    odds = (1 - p) / p
    return float(odds[1] / odds[0])


def fit_finding(fit: CalibrationFit) -> Finding:
    """How the probabilities stood to what happened on the hold-out."""
    off = (fit.slope - 1) / max(fit.slope_error, 1e-9)
    code = (
        "calibration_right"
        if abs(off) <= STRAIGHT
        else "calibration_bold"
        if off < 0
        else "calibration_timid"
    )
    return Finding(code, vars(fit))


def by_rule(error: float) -> bool:
    """Whether points are no estimate but neutral, as their bin holds fewer enterprises than its noise."""
    return error**2 <= ROUNDING + 1e-9


def scale_findings(results: Results) -> list[Finding]:
    """What a reader has to know of the probabilities: how right they were, and what points mean."""
    fit, card = results.calibration_fit, results.card
    return [*([] if fit is None else [fit_finding(fit)]), *([] if card is None else [scale_finding(card)])]


def unknown_rows(card: Scorecard) -> list[Unknown]:
    """What it costs, or gains, not to be known to a holder: all its columns and the event itself, added up."""
    out = []
    for place, b in enumerate(card.bins):
        if b.feature.kind != "known":
            continue
        places = card.features_of(b.feature.institution)
        points = sum(card.points[j][-1] - card.averages[j] for j in places)
        # The event is a feature of its own; for it the bins of columns and pairs have no points.
        event = (card.errors_of(place) or (None,))[-1]
        error = None if event is None or event < ESTIMATED else event
        out.append(Unknown(holder=b.feature.institution, points=points, error=error))
    return out
