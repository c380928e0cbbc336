"""What a scorecard study releases, with how much noise, at which price.

Edges (histograms, where bins are not public), label counts per bin, then the Gram matrix of the smoothed log-odds, or,
where positives are few, a second count of the stronger features; after a Gram matrix, where the study asks for it, one
number for every pair of columns; a histogram of the scores of training rows by which
the card is calibrated; last one of the hold-out.
"""

import math
from collections.abc import Mapping, Sequence

from fedrisk.alignment.matching import left_out_likelihood_ratio
from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.recipes.bins import choose_edges, training_rows
from fedrisk.recipes.scorecard.columns import PAIRS_SHARE, SHARES, check_gram, choose_columns
from fedrisk.recipes.scorecard.expectation import GainSizes, expected_gain
from fedrisk.recipes.scorecard.forms import calibration_release, counts_release
from fedrisk.recipes.scorecard.pairing import PAIRS
from fedrisk.recipes.scorecard.remembering import taken_over
from fedrisk.recipes.scorecard.settings import ScorecardSettings, indexed
from fedrisk.releases.budget import split, total_mu
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import planned_evaluation
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Planned
from fedrisk.study import Study
from fedrisk.study_members import BANK

MOST_NAMES = 20
"""Columns that a finding names."""


def make_plan(
    study: Study, features: Sequence[Feature], rows: int | None = None, *, known: Knowledge = NOTHING
) -> Plan:
    """All releases of a scorecard study. The forms of counts and Gram matrix follow from what is released before.

    rows: on all banks' lists, as they state them. Columns and edges are those that such a study can bear
    (``choose_columns``, ``choose_edges``); the price does not depend on them. known: beforehand; bins that an earlier
    study has are taken over, and no edges are released for them.
    """
    total, training, settings = total_mu(study), training_rows(study, rows), ScorecardSettings.of(study)
    prices = {private: _prices(total, settings, private) for private in (True, False)}
    features = indexed(study, [f for f in features if f.name not in settings.left_out])
    features = taken_over(features, known.memory)
    counted = choose_columns(study, features, training, prices[True]["counts"])
    bearable = choose_edges(study, counted.features, training, prices[True]["edges"], prices[False]["counts"])
    features, mus = bearable.features, prices[bearable.private]
    if settings.second != "recount":
        check_gram(study, features)
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
        *_second(settings, mus),
        Planned.of(calibration_release(study, mus["calibration"])),
        *planned_evaluation(study),
    ]
    return Plan(
        planned=tuple(planned),
        price=dict.fromkeys(study.members, total),
        features=features,
        sample_rows=settings.gram_rows,
        findings=(*counted.findings, *bearable.findings),
    )


def _prices(total: float, settings: ScorecardSettings, private: bool) -> dict[str, float]:
    """Price mu of each release; without private edges the share of edges goes to the others."""
    shares = SHARES if settings.shares is None else settings.shares.model_dump()
    if settings.pairs != "none":
        shares = {**{name: (1 - PAIRS_SHARE) * share for name, share in shares.items()}, PAIRS: PAIRS_SHARE}
    return split(total, shares, without=() if private else ("edges",))


def _second(settings: ScorecardSettings, mus: Mapping[str, float]) -> list[Planned]:
    """The second release: one of the two, where the settings leave open which; after a Gram matrix that of pairs.

    Beside a second count there are no pairs, and it has their share.
    """
    pairs = mus.get(PAIRS, 0.0)
    both = {"recount": math.hypot(mus["gram"], pairs), "gram": mus["gram"]}
    names = both if settings.second == "auto" else (settings.second,)
    out = [Planned(name=name, population="training", mu=both[name]) for name in names]
    return out if not pairs else [*out, Planned(name=PAIRS, population="training", mu=pairs)]


def gain_sizes(study: Study, plan: Plan, positives: float, held: float) -> GainSizes:
    """Public sizes of a study from which its gain is expected. positives, held: defaults in training and hold-out."""
    own = sum(f.institution == BANK for f in plan.features)
    return GainSizes(
        positives=positives,
        mu=plan.mu("counts"),
        own=own,
        external=len(plan.features) - own,
        banks=len(study.banks),
        known=1.0 if study.expected.known is None else study.expected.known,
        held=held,
    )


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
    """What can be said before the study: being left out, between which bounds the gain will lie, and directions."""
    return (*_outlook(study, plan, rows), *unstated_directions(plan.features))


def _outlook(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    out = []
    if len(study.banks) > 1:
        share = study.inclusion_probability
        ratio = left_out_likelihood_ratio(share, 2) if share < 1 else None
        out.append(
            Finding("left_out_certain") if ratio is None else Finding("left_out_odds", {"ratio": ratio})
        )
    training = training_rows(study, sum(rows.get(bank, 0) for bank in study.banks))
    rate = study.expected.default_rate
    if training is None:
        return (*out, Finding("declare_enterprises"))
    if rate is None:
        return (*out, Finding("declare_default_rate"))
    positives, held = training * rate, study.holdout.percent / 100
    return (*out, *expected_gain(gain_sizes(study, plan, positives, positives * held / (1 - held))))
