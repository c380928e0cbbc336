"""What is released of the hold-out: one histogram of score bin by label, for all banks together or for each."""

import math

from fedrisk.releases.budget import LABEL_BITS, scaled, sigmas, total_mu
from fedrisk.releases.groups import planned_groups
from fedrisk.releases.release import Block, Planned, Release
from fedrisk.study import Study
from fedrisk.study_members import BANK

EVALUATION = "evaluation"
"""Name of the release of the hold-out."""

LOGIT_STEPS = 100
"""Steps of a unit of log-odds in which research runs count exactly."""

REACH = 3.0
"""How far the score bins reach on either side of the expected log-odds."""


def evaluation_release(study: Study, bins: int) -> Release:
    """Histogram of the hold-out, (score bins, 2), all banks together or one block a bank.

    Sensitivity 1 for a bank's record, which is in one cell or in none. A holder's record, made zero or another, moves
    the enterprise from one cell to another of the same label: sqrt(2) wherever holders stand behind the scores. Banks
    alone carry the full noise each, as nobody else's covers them. Price: `evaluation_mu`; together with that of the
    groups, as Gaussian mechanisms compose, it is the budget of the hold-out.
    """
    mu, sensitivity = evaluation_mu(study), math.sqrt(2) if study.holders else 1.0
    if study.evaluation.by_bank:
        bits, sigma = scaled(sensitivity, mu, 1, 0, LABEL_BITS)
        blocks = tuple(
            Block(name=bank, left=BANK, right=BANK, shape=(bins, 2), sigma={bank: sigma})
            for bank in study.banks
        )
    else:
        bits, sigma = scaled(sensitivity, mu, len(study.banks), study.privacy.colluders, LABEL_BITS)
        blocks = (Block(name=BANK, left=BANK, right=BANK, shape=(bins, 2), sigma=sigmas(study, sigma, BANK)),)
    return Release(
        name=EVALUATION, population="holdout", mu=mu, ring="uint32", scale_bits=bits, blocks=blocks
    )


def evaluation_mu(study: Study) -> float:
    """Price of the histogram: all of the hold-out's budget but the share of the groups (releases/groups)."""
    total, rule = total_mu(study), study.evaluation
    return total * math.sqrt(1 - rule.group_share) if rule.groups else total


def planned_evaluation(study: Study) -> list[Planned]:
    """The evaluation as a plan has it, and its groups; nothing where the study goes without it."""
    if not study.evaluation.release:
        return []
    return [Planned.of(evaluation_release(study, study.evaluation.bins)), *planned_groups(study)]


def logit_edges(study: Study) -> list[float]:
    """Inner edges of the score bins of the evaluation, in log-odds of default: even, around the expected rate.

    Fixed from public numbers, so that the histogram is one release of sensitivity 1. Without
    ``expected.default_rate`` they are centred on 10 %.
    """
    rate = study.expected.default_rate or 0.1
    centre = math.log(rate / (1 - rate))
    count = study.evaluation.bins - 1
    return [centre + REACH * (2 * k / (count - 1) - 1) for k in range(count)]
