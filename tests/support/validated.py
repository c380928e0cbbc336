"""A small study with its evaluation, for validations: a release record, its card, and rows of a bank of it."""

import numpy as np

from fedrisk.models.calibration import Calibration
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from support.own_rows import card

VARIANCE = 40.0


def calibrated_card():
    """The small card on a scale of its own."""
    return card().calibrated(Calibration(centre=-1.5, level=-1.6, slope=0.9, bend=0.0, line=(-1.6, 0.9)))


def record(seed=0, size=8000):
    """(record, card): histograms of calibration and evaluation by scores of normal classes, with noise."""
    made, rng = calibrated_card(), np.random.default_rng(seed)
    low, high, within = made.classes()
    score = rng.normal(np.where(rng.random(size) < made.rate, low, high), within)
    label = rng.random(size) < made.probability(score)

    def released(name, edges, rows):
        place = np.searchsorted(edges, score[rows], "right")
        if name == "evaluation":
            place = made.risk_bins(score[rows], edges)
        counts = [np.bincount(place, w, len(edges) + 1) for w in (label[rows], ~label[rows])]
        total = np.stack(counts, 1) + rng.normal(0, VARIANCE**0.5, (len(edges) + 1, 2))
        block = ReleasedBlock(name="bank", left="bank", right="bank", total=total, variance=VARIANCE)
        return ReleasedSums(
            name=name, population="training", mu=0.1, blocks=(block,), about={"score_edges": list(edges)}
        )

    half = np.arange(size) < size // 2
    study = {
        "name": "small",
        "recipe": "scorecard",
        "institutions": [{"name": "city", "role": "bank"}, {"name": "tax", "role": "holder"}],
        "privacy": {"epsilon": 1.0},
        "holdout": {"kind": "random"},
    }
    # The calibration histogram is on the scale of the card before its calibration.
    first = card()
    edges = first.calibration_bins(8)
    line = made.calibration.line
    shifted = line[0] + line[1] * (first.stated_log_odds(edges) - made.calibration.centre)
    now = (float(made.stated_log_odds(0.0)) - shifted) * 20 / np.log(2)
    calibration = released("calibration", now, half)
    calibration = ReleasedSums(**{**vars(calibration), "about": {"score_edges": edges.tolist()}})
    return (
        ReleaseRecord(
            study=study,
            study_digest="0" * 64,
            attempt="a" * 32,
            research=False,
            releases=(calibration, released("evaluation", made.score_bins(12), ~half)),
        ),
        made,
    )
