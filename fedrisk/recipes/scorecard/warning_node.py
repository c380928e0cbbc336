"""At a bank: the threshold of warnings, from the totals of the evaluation that the hub tells once the study is over.

The threshold is worked out here, by the code that the hub's results go by (analysis/warning_threshold). The totals come
after the last exchange, so no other member confirms that it was told the same; the bank holds them against its own
hold-out instead. No count may be below its own by more than the noise can take away, and where it is the only bank none
may be above it either. A hub that lies within that could move the threshold by as much as the other banks' hold-outs
allow; the trail and the hub's signed release record say what it told.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.warning_threshold import threshold_of
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import SCORES
from fedrisk.clients.node import Node
from fedrisk.errors import ProtocolError, StoreError
from fedrisk.models.warning_point import WarningPoint
from fedrisk.protocol.actions import Action
from fedrisk.protocol.form import Form, OfAttempt
from fedrisk.protocol.payload import Payload, pack, unpack
from fedrisk.recipes.bins import TOTALS
from fedrisk.recipes.scorecard.evaluation_bins import evaluation_edges
from fedrisk.recipes.scorecard.prepared import told_calibration
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.totals import checked_totals
from fedrisk.study import BANK

Floats = NDArray[np.float64]

NAME = "warn"
"""Name of the action, and of what is kept of it."""

REACH = 10.0
"""Standard deviations of noise by which a total may miss a bank's own count: never by chance."""


def warn(node: Node, request: Payload) -> Payload:
    """Totals of the evaluation -> nothing; the bank's part of the model has the threshold from then on.

    ProtocolError where the study asks for none, or the totals cannot be of this bank's hold-out and others'.
    """
    attempt = node.attempt(request)
    if attempt.study.warning is None or attempt.role != BANK or attempt.research:
        raise ProtocolError(f"{attempt.name} was told totals for a threshold that its study does not ask for")
    content = pack(Payload({}, dict(request.blobs)))
    counts = _counts(attempt, Payload({}, dict(request.blobs)))
    _check_own(attempt, counts)
    attempt.state.put_message(NAME, content)
    found = threshold(attempt)
    if found is not None:
        attempt.node.store.models.with_warning(attempt.state.id, found)
    return Payload()


def threshold(attempt: Attempt) -> WarningPoint | None:
    """The threshold by the totals that this bank was told; None where there is none, or none was told."""
    rule, content = attempt.study.warning, attempt.state.message(NAME)
    if rule is None or content is None or attempt.role != BANK:
        return None
    return threshold_of(_counts(attempt, unpack(content)), rule.false_alarms)


def _counts(attempt: Attempt, told: Payload) -> ScoreCounts:
    """Counts of all banks' hold-outs by score, in order of rising risk; ProtocolError where they cannot be any."""
    release = attempt.plan.release(EVALUATION)
    rows = float(sum(said.rows for said in attempt.statements.values()))
    released: ReleasedSums = checked_totals(release, told.blobs, rows, signed=False)
    total = np.sum([block.total for block in released.blocks], axis=0)
    edges = evaluation_edges(attempt.study, told_calibration(attempt))
    return ScoreCounts(
        positives=total[:, 0],
        negatives=total[:, 1],
        variance=sum(float(block.variance or 0.0) for block in released.blocks),
        low=np.r_[-np.inf, edges][::-1].copy(),
        high=np.r_[edges, np.inf][::-1].copy(),
        axis="score",
    )


def _check_own(attempt: Attempt, counts: ScoreCounts) -> None:
    """ProtocolError where totals are not this bank's own counts with noise, and with others' where there are any."""
    own = _own_counts(attempt)
    more = np.stack([counts.positives, counts.negatives], 1) - own
    reach = REACH * np.sqrt(counts.variance) + 1
    alone = len(attempt.study.banks) == 1
    if (more < -reach).any() or (alone and (more > reach).any()):
        raise ProtocolError(
            f"the hub tells totals of the evaluation that {attempt.name}'s own hold-out contradicts; no threshold is "
            "taken from them. Ask the consortium's operator for the signed release record"
        )


def _own_counts(attempt: Attempt) -> Floats:
    """This bank's own hold-out by score bin in order of rising risk, with the outcome and without, (k, 2)."""
    file = attempt.node.store.path / "results" / attempt.state.id / SCORES
    try:
        table = pd.read_parquet(file, columns=["score", "label", "split"])
    except (OSError, ValueError):
        raise StoreError(f"{file} cannot be read, and the totals are held against it") from None
    held = table[table["split"] == "holdout"]
    card = told_calibration(attempt)
    edges = evaluation_edges(attempt.study, card)
    place = card.risk_bins(held["score"].to_numpy(), edges)
    label = held["label"].to_numpy(np.float64)
    return np.stack([np.bincount(place, w, len(edges) + 1) for w in (label, 1 - label)], 1)


WARN = Action(
    name=NAME, serve=warn, form=Form(body=OfAttempt, blobs={"*": TOTALS}), in_attempt=False, answers=None
)
