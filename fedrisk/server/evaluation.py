"""What the hub makes of the hold-out, whatever the model: the banks' histograms into the outcome and the record.

The other half of clients/evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.protocol.payload import Payload
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.server.noisy_sums import NoisySums, spends_of
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
    charged: Mapping[str, Payload] | None = None,
    about: Mapping[str, Any],
    exact: Exact,
) -> None:
    """Enter the evaluation of all banks that answered.

    charged: answers of holders whose records stand behind the scores, and who were charged for the release.
    probability: of default by bin of the noisy histogram. about: what its bins are. exact: how a research run's exact
    counts, which have no noise and no privacy, are read.
    """
    everybody = {**(charged or {}), **answers}
    if sums.roster.research_seed is not None:
        _take_exact(sums, release, answers, outcome, exact, everybody)
        return
    released = sums.total(release, everybody, about=about)
    outcome.evaluation = {b.name: (b.total[:, 0], b.total[:, 1], probability) for b in released.blocks}
    outcome.variance = release.variance(release.blocks[0].name)


def _take_exact(
    sums: NoisySums,
    release: Release,
    answers: Mapping[str, Payload],
    outcome: Outcome,
    exact: Exact,
    charged: Mapping[str, Payload],
) -> None:
    blocks, first = [], {}
    for bank, answer in answers.items():
        n1, n0 = answer.array("positives"), answer.array("negatives")
        first[bank] = int(answer.get("first"))
        outcome.evaluation[bank] = exact(n1, n0, first[bank] + np.arange(len(n1)))
        outcome.figures[bank] = dict(answer.get("figures"))
        total = np.stack([n1, n0], 1)
        blocks.append(ReleasedBlock(name=bank, left=bank, right=bank, total=total, variance=0.0))
    sums.keep(
        ReleasedSums(
            name=release.name,
            population=release.population,
            mu=release.mu,
            blocks=tuple(blocks),
            spends=tuple(spends_of(release.name, charged)),
            about={"first": first},
        )
    )
