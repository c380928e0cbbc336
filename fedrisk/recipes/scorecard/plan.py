"""What a scorecard study releases, with how much noise, at which price.

Edges (histograms, where bins are not public), label counts per bin, then the Gram matrix of the smoothed log-odds, or,
where positives are few, a second count of the stronger features; last one histogram of the hold-out.
"""

import math
from collections.abc import Mapping, Sequence

from fedrisk.alignment.matching import left_out_likelihood_ratio
from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.recipes.scorecard.forms import counts_release
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.budget import (
    EDGES_SHARE,
    split,
    total_mu,
)
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Planned
from fedrisk.study import Study

SHARES = {"edges": EDGES_SHARE, "counts": 0.65, "gram": 0.30}
"""Shares of mu^2 that did well on several data sets; without private edges theirs goes to the others."""

MOST_NAMES = 20
"""Columns that a finding names."""

GAIN_LIKELY, GAIN_UNCERTAIN = 60.0, 20.0
"""Room from which a gain over a bank alone is likely, or possible; see :func:`room_for_gain`."""


def make_plan(study: Study, features: Sequence[Feature]) -> Plan:
    """All releases of a scorecard study. The forms of counts and Gram matrix follow from what is released before."""
    private = any(f.private_edges for f in features)
    total = total_mu(study)
    mus = split(total, SHARES, without=() if private else ("edges",))
    edges = edges_release(study, features, mus["edges"]) if private else None
    each = {role: [2] * sum(f.institution == role for f in features) for role in study.roles}
    counts = counts_release(study, each, mus["counts"]) if features else None
    planned = [
        *([Planned.of(edges)] if edges is not None else []),
        Planned(
            name="counts",
            population="training",
            mu=mus["counts"],
            deviation=None if counts is None else counts.deviation(),
        ),
        Planned(name="recount", population="training", mu=mus["gram"]),
        Planned(name="gram", population="training", mu=mus["gram"]),
        Planned.of(evaluation_release(study, study.evaluation.bins)),
    ]
    return Plan(
        planned=tuple(planned),
        price=dict.fromkeys(study.members, total),
        features=tuple(features),
        sample_rows=ScorecardSettings.of(study).gram_rows,
    )


def room_for_gain(positives: float, mu_counts: float, features: int) -> float:
    """Signal of all positives in units of the noise of one number: positives times mu of the counts by sqrt(features).

    Measured with this recipe: 150 to 190 gained .03 to .04 AUC (130,000 and 30,000 enterprises at epsilon 1), 19
    gained nothing (640 positives, 40 features), 3 lost (150 positives, 95 features).
    """
    return positives * mu_counts / math.sqrt(max(features, 1))


def expected_gain(positives: float, mu_counts: float, features: int) -> Finding:
    """Whether a study of this size can gain over a bank alone.

    >>> expected_gain(4600, 0.19, 23).code
    'gain_likely'
    """
    room = room_for_gain(positives, mu_counts, features)
    code = (
        "gain_likely" if room >= GAIN_LIKELY else "gain_uncertain" if room >= GAIN_UNCERTAIN else "gain_none"
    )
    return Finding(code, {"room": room, "positives": positives, "features": features})


def unstated_directions(features: Sequence[Feature]) -> list[Finding]:
    """Proposes to state directions for columns of numbers that state none, from public columns alone.

    Nothing of the rows goes into it: a direction that is chosen by labelled rows would be a release of its own.
    """
    names = [f.name for f in features if f.kind == "number" and not f.leaning]
    if not names:
        return []
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [
        Finding("direction_unstated", {"count": len(names), "columns": ", ".join(names[:MOST_NAMES]) + rest})
    ]


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """What can be said before the study: of being left out, whether positives suffice for a gain, and of directions."""
    return (*_outlook(study, plan, rows), *unstated_directions(plan.features))


def _outlook(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    out = []
    if len(study.banks) > 1:
        share = study.inclusion_probability
        ratio = left_out_likelihood_ratio(share, 2) if share < 1 else None
        out.append(
            Finding("left_out_certain") if ratio is None else Finding("left_out_odds", {"ratio": ratio})
        )
    enterprises = study.expected.enterprises or sum(rows.get(bank, 0) for bank in study.banks)
    rate = study.expected.default_rate
    if not enterprises:
        return (*out, Finding("declare_enterprises"))
    if rate is None:
        return (*out, Finding("declare_default_rate"))
    training = enterprises * study.inclusion_probability * (1 - study.holdout.percent / 100)
    return (*out, expected_gain(training * rate, plan.mu("counts"), len(plan.features)))
