"""What a bank lets out of its hold-out, whatever the model: one histogram of score bin by label, noisy and masked.

The order is the same for every recipe. The release is paid first; its answer is on the disk before the bank fits models
for itself, so that nothing that goes wrong with those may lose it. Research runs, which have no privacy, let exact
counts and the figures of the bank's models out instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.errors import PolicyError
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import evaluated
from fedrisk.releases.release import Block, Release

Figures = dict[str, float | None]
SCORES = "scores.parquet"
"""File of the bank's scores among its results of an attempt."""


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """A bank's hold-out, scored, (n,) each.

    label: labels, of rows that have one. bins: score bins of the noisy histogram. exact: whole numbers by which a
    research run counts.
    """

    label: NDArray[np.float64]
    bins: NDArray[np.integer]
    exact: NDArray[np.int64]


def split_of(use: NDArray[np.uint8], label: NDArray[np.float64]) -> NDArray[Any]:
    """What each row of a bank was used for, in words for its own files: rows without a label for nothing, (n,).

    >>> split_of(np.array([0, 1, 2, 0], np.uint8), np.array([1.0, 0.0, 0.0, np.nan])).tolist()
    ['training', 'holdout', 'unused', 'no label']
    """
    words = np.array(["training", "holdout", "unused"], dtype=object)[use]
    words[np.isnan(label)] = "no label"
    return words


def evaluate(
    attempt: Attempt,
    request: Payload,
    action: str,
    score: Callable[[], HoldOut],
    keep: Callable[[], Figures],
    *,
    allowed: bool = True,
) -> Payload:
    """The answer to the last exchange at a bank.

    score: the bank's scored hold-out, computed once. keep: writes the bank's results to its store and gives figures of
    the models that it fits for itself. allowed: whether the state of the study lets the hold-out be evaluated; besides,
    all members whose records stand behind the scores have to let it.
    """
    wanted = allowed and evaluated(attempt.study, attempt.statements)
    if wanted and not attempt.node.institution.policy.evaluation:
        raise PolicyError(f"{attempt.name} lets no evaluation figures out (policy.evaluation = false)")
    release = attempt.plan.release("evaluation")
    results = attempt.node.store.results(attempt.state.id) / SCORES
    if not results.exists():
        # Before anything is paid: what cannot be scored refuses the exchange.
        score()
    if attempt.research and wanted:
        return outlet.release_exact(attempt, release, request, lambda: _exact(score(), keep()))
    computed: list[bool] = []

    def part(block: Block, noise: outlet.Noise) -> NDArray[Any]:
        computed.append(True)
        return noise.add(block, _counts(release, block, score()))

    answer = outlet.release(attempt, release, request, part) if wanted else Payload()
    if wanted and not computed and results.exists():
        # Asked a second time: the stored answer, and the bank has its results already.
        return answer
    if attempt.research:
        keep()
        return answer
    try:
        keep()
    except Exception as error:
        attempt.node.store.log_error(attempt.state.id, action, error)
    return answer


def _counts(release: Release, block: Block, held: HoldOut) -> NDArray[np.int64]:
    """(score bins, 2) label counts in ring units."""
    unit, size = 2**release.scale_bits, block.shape[0]
    positive = np.rint(held.label * unit).astype(np.int64)
    sums = [np.bincount(held.bins, part, size) for part in (positive, unit - positive)]
    counts: NDArray[np.int64] = np.rint(np.stack(sums, 1)).astype(np.int64)
    return counts


def _exact(held: HoldOut, figures: Figures) -> Payload:
    """Exact label counts by whole number, from the least number on, and figures of the bank's models."""
    first = int(held.exact.min()) if len(held.exact) else 0
    counts = {
        "positives": np.bincount(held.exact - first, held.label),
        "negatives": np.bincount(held.exact - first, 1 - held.label),
    }
    return Payload(
        {"figures": figures, "first": first}, {name: c.astype(float) for name, c in counts.items()}
    )
