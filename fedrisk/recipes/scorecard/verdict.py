"""After a study: is the card worth using? From released numbers alone, so that everybody who has them says the same.

Two kinds of evidence are joined. The *spread of the score* between the classes, as the label counts of the training
rows give it, says what AUC to expect; it is noisy, and it flatters, as the points were chosen on the same counts. How
much was measured on many studies (benchmarks/gain), as a line and the spread about it. The *histogram of the hold-out*
says what came out, with the error of its noise and of the rows. Both are weighed by their precision (normal errors).

A card is published as not worth using where its AUC is more likely than not below LEAST_AUC, as doubtful where the
chance of that is above DOUBT. A probability is worth nothing where it is worse than the constant default rate: the gain
in log loss over the constant comes from the same histogram, with its error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedrisk.findings import Finding
from fedrisk.metrics import auc_standard_error
from fedrisk.models.comparison import Z
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard import gain_constants as fitted
from fedrisk.recipes.scorecard.expectation import GainSizes

Floats = NDArray[np.float64]
Histogram = tuple[Floats, Floats, Floats]
"""Defaults, others and probability of default by score bin, in order of rising risk."""

LEAST_AUC = 0.60
"""A card that ranks less well than this is not worth its price: points of a single plain column often reach it."""

DOUBT = 0.10
"""Chance of an AUC below that from which on a card is published as doubtful."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its standard error."""

    value: float
    error: float


def flattered_auc(sd: float, gap: float, rate: float) -> float:
    """AUC of two normal classes whose score has the released spread, gap of means and default rate.

    >>> flattered_auc(10.0, 0.0, 0.1)
    0.5
    """
    within = math.sqrt(max(sd**2 - rate * (1 - rate) * gap**2, 1e-12))
    return float(ndtr(max(gap, 0.0) / within / math.sqrt(2)))


def expected_auc(flattered: float, noise: float, recount: bool) -> Estimate:
    """AUC to expect from what was released in training, without any hold-out.

    flattered: of :func:`flattered_auc`. noise: share of the ranking that noise takes (expectation.GainSizes). recount:
    whether the second release was a second count; curves are then added up as if they told different things.
    """
    kept = fitted.EXPECTED_LINE[0] + fitted.EXPECTED_LINE[1] * noise + fitted.EXPECTED_LINE[2] * recount
    value = 0.5 + max(kept, 0.0) * (flattered - 0.5)
    return Estimate(
        value=value, error=math.sqrt(fitted.EXPECTED_SPREAD[0] + fitted.EXPECTED_SPREAD[1] * noise)
    )


def released_auc(counts: Sequence[Floats], variance: float, rows: int, rate: float) -> Estimate | None:
    """AUC of a noisy histogram, nearly unbiased, with an error for noise and sampling; None where it says nothing.

    Counts below zero stay as they are: clipped, they would draw the AUC to one half. Of the number of defaults, the
    noisy total and rate times rows (both public) are weighed by their precision, for the total alone has the noise of
    all bins. counts: defaults and others by score bin, in order of rising risk. variance: of the noise of each number.
    rows: of the hold-out.
    """
    n1, n0 = counts
    expected = rate * rows
    if expected < 1 or rows - expected < 1:
        return None
    weights = np.array([1 / max(len(n1) * variance, 1e-9), 1 / expected])
    positives = float(weights @ np.array([n1.sum(), expected]) / weights.sum())
    negatives = rows - positives
    if positives < 1 or negatives < 1:
        return None
    below = (np.cumsum(n0) - n0 / 2) / negatives
    area = 0.5 + float(n1 @ (below - 0.5)) / positives
    # The error's formula takes counts; the noisy ones, clipped and scaled to the totals, are near enough for it.
    kept = [np.maximum(n, 0.0) for n in counts]
    scaled = [k * total / max(k.sum(), 1e-9) for k, total in zip(kept, (positives, negatives), strict=True)]
    error = auc_standard_error(scaled[0], scaled[1], variance)
    if not math.isfinite(error):
        return None
    of_total = (area - 0.5) / positives / math.sqrt(float(weights.sum())) if variance > 0 else 0.0
    return Estimate(value=area, error=math.hypot(error, of_total))


def log_loss_gain(histogram: Histogram, variance: float, rows: int, rate: float) -> Estimate:
    """By how much the card's log loss is below that of quoting the default rate to everybody, from the histogram."""
    n1, n0, p = histogram
    up, down = np.log(p / rate), np.log((1 - p) / (1 - rate))
    gain = float(n1 @ up + n0 @ down) / rows
    noise = variance * float(up @ up + down @ down) / rows**2
    square = float(np.maximum(n1, 0) @ up**2 + np.maximum(n0, 0) @ down**2) / rows
    return Estimate(value=gain, error=math.sqrt(noise + max(square - gain**2, 0.0) / rows))


def joined(estimates: Sequence[Estimate]) -> Estimate:
    """Independent estimates of one figure, weighed by their precision.

    >>> round(joined([Estimate(value=0.6, error=0.1), Estimate(value=0.8, error=0.1)]).value, 9)
    0.7
    """
    weight = np.array([1 / max(e.error, 1e-9) ** 2 for e in estimates])
    value = float(weight @ np.array([e.value for e in estimates]) / weight.sum())
    return Estimate(value=value, error=float(1 / math.sqrt(weight.sum())))


def judged(found: Estimate) -> Finding:
    """The verdict on a card of that AUC.

    >>> [judged(Estimate(value=v, error=0.02)).code for v in (0.59, 0.61, 0.7)]
    ['card_worthless', 'card_doubtful', 'card_worth']
    """
    below = float(ndtr((LEAST_AUC - found.value) / max(found.error, 1e-9)))
    code = "card_worthless" if below > 0.5 else "card_doubtful" if below > DOUBT else "card_worth"
    return Finding(code, {"auc": found.value, "error": found.error, "least": LEAST_AUC, "chance": below})


def verdict(
    card: Scorecard,
    sizes: GainSizes,
    *,
    rows: int,
    recount: bool,
    histogram: Histogram | None,
    variance: float,
) -> tuple[Finding, ...]:
    """Whether a card is worth using, first; then what to do where it is not, and what its probabilities are worth.

    rows: of the hold-out. recount: whether the second release was a second count. histogram: of the hold-out, None
    where no bank lets it out; variance: of the noise of each of its numbers.
    """
    flattered = flattered_auc(card.sd, card.gap, card.rate)
    evidence = [expected_auc(flattered, sizes.noise, recount)]
    seen = None if histogram is None else released_auc(histogram[:2], variance, rows, card.rate)
    if seen is not None:
        evidence.append(seen)
    out = [judged(joined(evidence))]
    if out[0].code != "card_worth":
        noisy = math.isfinite(sizes.mu)
        facts = {
            "features": sizes.features,
            "fewer": max(1, sizes.features // 2),
            "positives": sizes.positives,
        }
        out.append(Finding("card_fall_back" if noisy else "card_fall_back_without_noise", facts))
    if histogram is not None and seen is not None:
        out.append(_probabilities(log_loss_gain(histogram, variance, rows, card.rate), card.rate))
    return tuple(out)


def _probabilities(gain: Estimate, rate: float) -> Finding:
    low, high = gain.value - Z * gain.error, gain.value + Z * gain.error
    code = (
        "probabilities_worse" if high < 0 else "probabilities_better" if low > 0 else "probabilities_unclear"
    )
    return Finding(code, {"gain": gain.value, "low": low, "high": high, "rate": rate})
