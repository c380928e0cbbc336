"""What the training of a network releases: histograms for bins, noisy sums of gradients, one evaluation."""

import math
from collections.abc import Mapping, Sequence

from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.recipes.bins import choose_edges, training_rows
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.recipes.network.start import taken_over
from fedrisk.releases.budget import EDGES_SHARE, total_mu
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import planned_evaluation
from fedrisk.releases.gradient_sums import planned_training, training_findings, training_plan
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Planned, Release
from fedrisk.study import Study

MUCH_NOISE = 3e-3
"""Noise in a number of a step's mean gradient from which a scorecard ranked as well as a network by itself, or better,
on most sets tried (benchmarks/networks)."""

BINS_SHARE = 0.65
"""Share of mu^2 by whose counts the number of private bins is chosen, as in a scorecard."""


def make_plan(
    study: Study, features: Sequence[Feature], rows: int | None = None, *, known: Knowledge = NOTHING
) -> Plan:
    """All releases; edges that the scorecard has at which a network begins are taken over.

    A holder behind an external score is charged twice the study's mu. A record of its own made zero, or another, leaves
    the bank's part of the enterprise in place, so its clipped gradient goes from one vector to another instead of to
    zero.
    """
    features, total = taken_over(features, known), total_mu(study)
    mu_edges, mu_counts = total * math.sqrt(EDGES_SHARE), total * math.sqrt(BINS_SHARE / (1 - EDGES_SHARE))
    chosen = choose_edges(study, features, training_rows(study, rows), mu_edges, mu_counts)
    edges = edges_release(study, chosen.features, mu_edges, chosen.cells)
    training = training_plan(study, total * math.sqrt(1.0 if edges is None else 1 - EDGES_SHARE))
    planned = [
        *([Planned.of(edges)] if edges is not None else []),
        planned_training(training),
        *planned_evaluation(study),
    ]
    if study.holders:
        planned.append(Planned(name="external", population="training", mu=2 * total))
    price = {name: total * (1 if name in study.trainers else 2) for name in study.members}
    return Plan(
        planned=tuple(planned),
        price=price,
        features=chosen.features,
        training=training,
        findings=chosen.findings,
    )


def external_release(plan: Plan) -> Release:
    """What a holder behind an external score is charged for: nothing leaves there, so it has no blocks."""
    return Release(
        name="external",
        population="training",
        mu=plan.mu("external"),
        ring="uint64",
        scale_bits=0,
        blocks=(),
    )


def mu_of_counts(study: Study, plan: Plan) -> float:
    """Price of label counts in a scorecard of this budget, by which the number of private bins is chosen."""
    share = BINS_SHARE if plan.prepared("edges") else BINS_SHARE / (1 - EDGES_SHARE)
    return total_mu(study) * math.sqrt(share)


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """What can be said before the study: of noise, of kinds and cards, and of trainers that may be lost."""
    return (*training_findings(study, plan.trained, rows), *_which(study, plan, rows))


def _which(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """Whether another kind of network, or a scorecard, did better on the sets tried, by public sizes alone."""
    training, settings = plan.trained, NetworkSettings.of(study)
    known = sum(rows.get(name, 0) for name in study.trainers)
    if not training.sigma or not known:
        return ()
    out = [Finding("network_mlp", {"steps": training.steps})] if settings.kind == "mlp" else []
    trained = known * study.inclusion_probability * (1 - study.holdout.percent / 100)
    noise = training.gradient_noise(trained)
    if settings.start is None and noise >= MUCH_NOISE:
        out.append(Finding("network_noisy", {"noise": noise, "most": MUCH_NOISE}))
    return tuple(out)
