"""What the hub makes of the hold-out, whatever the model: the banks' histograms into the outcome and the record.

The other half of clients/evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.protocol.payload import Payload
from fedrisk.releases.record import ReleasedBlock
from fedrisk.releases.release import Release
from fedrisk.server.noisy_sums import NoisySums
from fedrisk.server.outcome import Counts, Floats, Outcome

Exact = Callable[[Floats, Floats, NDArray[np.int64]], Counts]
"""Positives, negatives and the whole numbers by which they are counted -> counts in order of rising risk."""


def take_evaluation(
    sums: NoisySums,
    release: Release,
    answers: Mapping[str, Payload],
    outcome: Outcome,
    *,
    probability: Floats,
    about: Mapping[str, Any],
    exact: Exact,
) -> None:
    """Enter the evaluation of all banks that answered.

    probability: of default by bin of the noisy histogram. about: what its bins are. exact: how a research run's exact
    counts, which have no noise and no privacy, are read.
    """
    if sums.roster.research_seed is not None:
        _take_exact(sums, release, answers, outcome, exact)
        return
    totals = sums.total(release, answers, about=about)
    outcome.evaluation = {name: (t[:, 0], t[:, 1], probability) for name, t in totals.items()}
    outcome.variance = release.variance(release.blocks[0].name)


def _take_exact(
    sums: NoisySums, release: Release, answers: Mapping[str, Payload], outcome: Outcome, exact: Exact
) -> None:
    blocks, first = [], {}
    for bank, answer in answers.items():
        n1, n0 = answer.array("positives"), answer.array("negatives")
        first[bank] = int(answer.get("first"))
        outcome.evaluation[bank] = exact(n1, n0, first[bank] + np.arange(len(n1)))
        outcome.figures[bank] = dict(answer.get("figures"))
        total = np.stack([n1, n0], 1)
        blocks.append(ReleasedBlock(name=bank, left=bank, right=bank, total=total, variance=0.0))
    sums.keep(release, tuple(blocks), answers, about={"first": first})
