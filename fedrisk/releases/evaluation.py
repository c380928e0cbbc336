"""What is released of the hold-out: one histogram of score bin by label, for all banks together or for each."""

import math

from fedrisk.releases.budget import LABEL_BITS, scaled, sigmas, total_mu
from fedrisk.releases.release import Block, Release
from fedrisk.study import BANK, Study

LOGIT_STEPS = 100
"""Steps of a unit of log-odds in which research runs count exactly."""

REACH = 3.0
"""How far the score bins reach on either side of the expected log-odds."""


def evaluation_release(study: Study, bins: int) -> Release:
    """Histogram of the hold-out, (score bins, 2), all banks together or one block a bank; sensitivity 1.

    Banks alone carry the full noise each, as nobody else's covers them.
    """
    mu = total_mu(study)
    if study.evaluation.by_bank:
        bits, sigma = scaled(1.0, mu, 1, 0, LABEL_BITS)
        blocks = tuple(
            Block(name=bank, left=BANK, right=BANK, shape=(bins, 2), sigma={bank: sigma})
            for bank in study.banks
        )
    else:
        bits, sigma = scaled(1.0, mu, len(study.banks), study.privacy.colluders, LABEL_BITS)
        blocks = (Block(name=BANK, left=BANK, right=BANK, shape=(bins, 2), sigma=sigmas(study, sigma, BANK)),)
    return Release(
        name="evaluation", population="holdout", mu=mu, ring="uint32", scale_bits=bits, blocks=blocks
    )


def logit_edges(study: Study) -> list[float]:
    """Inner edges of the score bins of the evaluation, in log-odds of default: even, around the expected rate.

    Fixed from public numbers, so that the histogram is one release of sensitivity 1. Without
    ``expected.default_rate`` they are centred on 10 %.
    """
    rate = study.expected.default_rate or 0.1
    centre = math.log(rate / (1 - rate))
    count = study.evaluation.bins - 1
    return [centre + REACH * (2 * k / (count - 1) - 1) for k in range(count)]
