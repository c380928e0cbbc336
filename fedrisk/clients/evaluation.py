"""What a bank lets out of its hold-out, whatever the model: one histogram of score bin by label, noisy and masked.

The order is the same for every recipe. The release is debited first; its answer is on the disk before the bank fits
models of its own, so that nothing that goes wrong with those may lose it. Research runs, which have no privacy, let
exact counts and the figures of the bank's own models out instead.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.node import Attempt
from fedrisk.clients.release import commit, protect, spend_once
from fedrisk.errors import PolicyError
from fedrisk.models.plan import Release
from fedrisk.protocol import Payload

Figures = dict[str, float | None]


def begin(attempt: Attempt, release: Release, request: Payload) -> Payload | None:
    """Debit the evaluation where the request asks for one; the stored answer where it was made before, else None.

    PolicyError where the bank's policy lets no evaluation out.
    """
    if not request.get("evaluate"):
        return None
    if not attempt.node.institution.policy.evaluation:
        raise PolicyError(f"{attempt.name} lets no evaluation figures out (policy.evaluation = false)")
    return spend_once(attempt, release, request)


def conclude(
    attempt: Attempt,
    release: Release,
    request: Payload,
    *,
    action: str,
    label: NDArray[np.float64],
    bins: NDArray[np.integer],
    exact: NDArray[np.int64],
    keep: Callable[[], Figures],
) -> Payload:
    """The answer, committed, with the bank's own models fitted and kept.

    label, bins, exact: of the hold-out, (n,): labels, score bins of the noisy histogram, and the whole numbers by
    which a research run counts. keep: writes the bank's own results, and gives figures of its own models.
    """
    evaluate = bool(request.get("evaluate"))
    if attempt.research_seed is not None:
        figures = keep()
        return commit(attempt, release, _exact(label, exact, figures)) if evaluate else Payload()
    answer = Payload()
    if evaluate:
        answer = commit(attempt, release, _noisy(attempt, release, label, bins))
    try:
        keep()
    except Exception as error:
        attempt.node.store.log_error(attempt.state.id, action, error)
    return answer


def _noisy(
    attempt: Attempt, release: Release, label: NDArray[np.float64], bins: NDArray[np.integer]
) -> Payload:
    unit, size = 2**release.scale_bits, release.blocks[0].shape[0]
    positive = np.rint(label * unit).astype(np.int64)
    sums = [np.bincount(bins, part, size) for part in (positive, unit - positive)]
    counts = np.rint(np.stack(sums, 1)).astype(np.int64)
    mine = [block for block in release.blocks if attempt.name in block.contributors]
    return Payload({}, {block.name: protect(attempt, release, block, counts) for block in mine})


def _exact(label: NDArray[np.float64], exact: NDArray[np.int64], figures: Figures) -> Payload:
    """Exact label counts by whole number, from the least on, and the bank's own figures."""
    first = int(exact.min()) if len(exact) else 0
    counts = {
        "positives": np.bincount(exact - first, label),
        "negatives": np.bincount(exact - first, 1 - label),
    }
    return Payload(
        {"figures": figures, "first": first}, {name: c.astype(float) for name, c in counts.items()}
    )
