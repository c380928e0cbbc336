"""What a scorecard study releases, with how much noise, at which price.

Edges (histograms, where bins are not public), label counts per bin, then the Gram matrix of the smoothed log-odds, or,
where positives are few, a second count of the stronger features; a histogram of the scores of training rows by which
the card is calibrated; last one of the hold-out.
"""

from collections.abc import Mapping, Sequence

from fedrisk.alignment.matching import left_out_likelihood_ratio
from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.recipes.bins import choose_edges, training_rows
from fedrisk.recipes.scorecard.columns import SHARES, choose_columns, room_for_gain
from fedrisk.recipes.scorecard.forms import calibration_release, counts_release
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.budget import split, total_mu
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Planned
from fedrisk.study import Study

GAIN_LIKELY, GAIN_UNCERTAIN = 60.0, 20.0
"""Room from which a gain over a bank alone is likely, or possible; see :func:`room_for_gain`."""


def make_plan(study: Study, features: Sequence[Feature], rows: int | None = None) -> Plan:
    """All releases of a scorecard study. The forms of counts and Gram matrix follow from what is released before.

    rows: on all banks' lists, as they state them. Columns and edges are those that such a study can bear
    (``choose_columns``, ``choose_edges``); the price does not depend on them.
    """
    total, training = total_mu(study), training_rows(study, rows)
    prices = {
        private: split(total, SHARES, without=() if private else ("edges",)) for private in (True, False)
    }
    counted = choose_columns(study, features, training, prices[True]["counts"])
    bearable = choose_edges(study, counted.features, training, prices[True]["edges"], prices[False]["counts"])
    features, mus = bearable.features, prices[bearable.private]
    edges = edges_release(study, features, mus["edges"], bearable.cells) if bearable.private else None
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
        Planned.of(calibration_release(study, mus["calibration"])),
        Planned.of(evaluation_release(study, study.evaluation.bins)),
    ]
    return Plan(
        planned=tuple(planned),
        price=dict.fromkeys(study.members, total),
        features=features,
        sample_rows=ScorecardSettings.of(study).gram_rows,
        findings=(*counted.findings, *bearable.findings),
    )


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


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """What can be said before the study: of being left out, and whether the positives suffice for a gain."""
    out = []
    if len(study.banks) > 1:
        share = study.inclusion_probability
        ratio = left_out_likelihood_ratio(share, 2) if share < 1 else None
        out.append(
            Finding("left_out_certain") if ratio is None else Finding("left_out_odds", {"ratio": ratio})
        )
    training, rate = (
        training_rows(study, sum(rows.get(bank, 0) for bank in study.banks)),
        study.expected.default_rate,
    )
    if training is None:
        return (*out, Finding("declare_enterprises"))
    if rate is None:
        return (*out, Finding("declare_default_rate"))
    return (*out, expected_gain(training * rate, plan.mu("counts"), len(plan.features)))
