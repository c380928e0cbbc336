"""What the hub makes of the hold-out, whatever the model: the banks' histograms into the outcome and the record.

The other half of clients/evaluation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.band_means import band_means, spread_over
from fedrisk.protocol.groups import evaluation_releases, group_axes
from fedrisk.protocol.payload import Payload
from fedrisk.releases.groups import band_edges, cut_offs
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.server.noisy_sums import NoisySums, spends_of
from fedrisk.server.outcome import Counts, Floats, Outcome

Exact = Callable[[Floats, Floats, NDArray[np.int64]], Counts]
"""Positives, negatives and the whole numbers by which they are counted -> counts in order of rising risk."""


def take_evaluation(
    sums: NoisySums,
    plan: Plan,
    answers: Mapping[str, Payload],
    outcome: Outcome,
    *,
    probability: Floats,
    inner: Floats,
    charged: Mapping[str, Payload] | None = None,
    about: Mapping[str, Any],
    exact: Exact,
) -> None:
    """Enter the evaluation of all banks that answered.

    charged: answers of holders whose records stand behind the scores, and who were charged for the release.
    probability: of default by bin of the noisy histogram, in order of rising risk. inner: the probabilities that part
    these bins, rising. about: what its bins are. exact: how a research run's exact counts, which have no noise and no
    privacy, are read.
    """
    everybody, roster = {**(charged or {}), **answers}, sums.roster
    release, *groups = evaluation_releases(roster.study, plan, roster.statements)
    if sums.roster.research_seed is not None:
        _take_exact(sums, release, answers, outcome, exact, everybody)
        spread = _spread_exactly(outcome)
        for group in groups:
            _take_exact_groups(sums, group, answers, everybody, spread)
        return
    released = sums.total(release, everybody, about=about)
    outcome.evaluation = {b.name: (b.total[:, 0], b.total[:, 1], probability) for b in released.blocks}
    outcome.variance = release.variance(release.blocks[0].name)
    counts = np.sum([b.total.sum(1) for b in released.blocks], axis=0)
    for group in groups:
        sums.total(group, everybody, about=_about_groups(sums, *spread_over(counts, probability, inner)))


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
    _keep_exact(sums, release, blocks, charged, {"first": first})


def _take_exact_groups(
    sums: NoisySums,
    release: Release,
    answers: Mapping[str, Payload],
    charged: Mapping[str, Payload],
    spread: tuple[Floats, Floats],
) -> None:
    blocks = [
        ReleasedBlock(
            name=b.name,
            left=b.left,
            right=b.right,
            total=np.sum([answer.array(b.name) for answer in answers.values()], axis=0),
            variance=0.0,
        )
        for b in release.blocks
    ]
    _keep_exact(sums, release, blocks, charged, _about_groups(sums, *spread))


def _keep_exact(
    sums: NoisySums,
    release: Release,
    blocks: Sequence[ReleasedBlock],
    charged: Mapping[str, Payload],
    about: Mapping[str, Any],
) -> None:
    sums.keep(
        ReleasedSums(
            name=release.name,
            population=release.population,
            mu=release.mu,
            blocks=tuple(blocks),
            spends=tuple(spends_of(release.name, charged)),
            about=about,
        )
    )


def _about_groups(sums: NoisySums, weight: Floats, probability: Floats) -> dict[str, Any]:
    """What gives counts by group their meaning: levels, edges of bands, cut-offs, and what was predicted in each band.

    weight, probability: of enterprises of the hold-out, from its released histogram.
    """
    study = sums.roster.study
    edges = band_edges(study)
    return {
        "columns": [asdict(axis) for axis in group_axes(study, sums.roster.statements)],
        "band_edges": edges.tolist(),
        "cut_offs": list(cut_offs(study)),
        "predicted": band_means(edges, weight, probability).tolist(),
    }


def _spread_exactly(outcome: Outcome) -> tuple[Floats, Floats]:
    parts = [(n1 + n0, p) for n1, n0, p in outcome.evaluation.values()]
    weight, probability = (np.concatenate(values) for values in zip(*parts, strict=True))
    return weight, probability
