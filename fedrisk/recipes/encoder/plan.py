"""What the training of an encoder releases: noisy sums of gradients, with the whole budget."""

from collections.abc import Mapping, Sequence

from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.releases.budget import total_mu
from fedrisk.releases.gradient_sums import planned_training, training_findings, training_plan
from fedrisk.releases.plan import Plan
from fedrisk.study import Study


def make_plan(study: Study, features: Sequence[Feature], rows: int | None = None) -> Plan:
    """All releases. Histories are no columns, so there are no features."""
    total = total_mu(study)
    training = training_plan(study, total)
    price = dict.fromkeys(study.members, total)
    return Plan(planned=(planned_training(training),), price=price, training=training)


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """What can be said before the study: of the noise beside gradients, and of trainers that may be lost."""
    return training_findings(study, plan.trained, rows)
