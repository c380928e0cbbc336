"""A bank's rows of one study, made up: scores that tell of the outcome, a small card, points by column."""

from dataclasses import replace

import numpy as np
from scipy.special import expit

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.own_rows import OwnRows, Reason
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.own_verdict import own_verdict

EDGES = (-0.8, 0.0, 0.8)
POINTS = (9, 3, -3, -9, 0)


def card():
    """A card of three columns of a bank, one of them without points, and one of a holder."""
    owners = (("bank", "use"), ("bank", "late"), ("bank", "idle"), ("tax", "sales"))
    bins = tuple(Bins(Feature(institution=o, column=c, low=-3, high=3), edges=EDGES) for o, c in owners)
    points = (POINTS, POINTS, (0,) * 5, tuple(2 * p for p in POINTS))
    return Scorecard(
        study="small",
        bins=bins,
        points=points,
        base_points=560,
        averages=(0.0,) * 4,
        intercept=-1.5,
        rate=0.15,
        sd=25.0,
        gap=20.0,
        partial_sd={},
        errors=tuple((1.0,) * 5 for _ in points),
    )


def own_rows(n=1500, seed=0, **changes):
    """Rows of a scorecard study with a verdict; the bank's own model knows half of what the card knows."""
    rng, made = np.random.default_rng(seed), card()
    values = rng.normal(size=(n, 4))
    codes = [np.digitize(v, EDGES) for v in values.T]
    points = [np.asarray(p)[c] for p, c in zip(made.points, codes, strict=True)]
    own, external = points[0] + points[1], points[3]
    score = 560 + own + external
    label = (rng.random(n) < expit(-1.7 + values[:, [0, 1]].sum(1) * 0.4 + 0.9 * values[:, 3])).astype(float)
    split = rng.choice(["training", "holdout", "unused"], n, p=[0.5, 0.35, 0.15]).astype(object)
    shown = made.probability(score)
    probability = {
        "scorecard": shown,
        "recalibrated": shown * 0.9,
        "alone": expit(-1.7 + values[:, [0, 1]].sum(1) * 0.45),
        "champion": expit(-1.7 + values[:, [0, 1]].sum(1) * 0.4 + 0.7 * values[:, 3]),
    }
    rows = OwnRows(
        institution="city",
        study="small",
        recipe="scorecard",
        attempt="a" * 32,
        when="2026-05-01T08:00:00Z",
        research=False,
        split=split,
        label=label,
        main="scorecard",
        probability=probability,
        score=score,
        own_points=own,
        external_points=external,
        points={"use": points[0], "late": points[1], "idle": points[2]},
        card=made,
        reasons=(
            Reason(column="external data", meaning="what others know", first=40, below=300, points=-8.2),
            Reason(column="use", meaning="share of the limit in use", first=25, below=200, points=-3.1),
            Reason(column="idle", meaning="", first=0, below=0, points=0.0),
        ),
        meanings={"use": "share of the limit in use", "late": "late"},
    )
    return judged(replace(rows, **changes)) if "verdict" not in changes else replace(rows, **changes)


def judged(rows):
    """The rows with the verdict that a bank keeps of them."""
    held = rows.held_out
    return replace(
        rows, verdict=own_verdict(rows.label[held], {m: p[held] for m, p in rows.probability.items()})
    )


def network_rows(n=600, **changes):
    """Rows of a network: probabilities alone, and no verdict."""
    made = own_rows(n, verdict=None)
    mine = {"shared": made.probability["champion"], "local": made.probability["alone"]}
    nothing = {"score": None, "own_points": None, "external_points": None, "points": {}, "card": None}
    return replace(made, recipe="network", main="shared", probability=mine, reasons=(), **nothing, **changes)
