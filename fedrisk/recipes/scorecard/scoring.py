"""Scores: holders add up the points of their columns; the masked sum reaches the bank alone.

Masks come from the holders' pair keys, so the bank opens the sum and no single part, and the hub nothing.
Where a single holder is behind the sum, the bank gets coarse bands instead of points, unless that
holder's policy allows points. A score is an authorised output, not a differentially private one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import listed
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.privacy.policy import Policy
from fedrisk.protocol.payload import Payload, pack, unpack
from fedrisk.recipes.scorecard.state import ScorecardState
from fedrisk.secure.envelope import Context, seal
from fedrisk.secure.ring import from_signed
from fedrisk.study import BANK, Study

MOST_BANDS = 16
LEAST_BAND_SHARE = 0.05
"""Least share of the listed rows in a band; thinner bands are merged with their neighbour."""


def score(node: Node, request: Payload) -> Payload:
    """This holder's points per bin -> for each bank, the masked partial scores of its whole list, sealed."""
    attempt = node.attempt(request)
    attempt.begin_once("scored", request)
    study = attempt.study
    node.institution.policy.check(study, institution=attempt.name, research=attempt.research)
    if not outlet.charged(attempt, "counts"):
        raise ProtocolError("scores were asked for before anything was released; run the study again")
    stored = attempt.state.answer("score")
    if stored is not None:
        return unpack(stored)
    partial = _partial(attempt, request)
    answers = {}
    for bank in study.banks:
        sums = from_signed(partial[listed(attempt, bank)], "uint32")
        if len(study.holders) > 1:
            sums = outlet.pair_masked(
                attempt, sums, study.holders, release="score", bank_list=bank, matrix="partial"
            )
        context = partial_context(attempt, attempt.name, bank)
        answers[bank] = seal(attempt.key, attempt.peers[bank], context, [sums])
    answer = Payload({}, answers)
    attempt.state.put_answer("score", pack(answer))
    attempt.state.forget_secrets()
    return answer


def score_protection(study: Study, policy: Policy) -> str:
    """Code of how partial scores are protected on their way to a bank."""
    if len(study.holders) > 1:
        return "masked_among_holders"
    return "bands" if policy.scores == "bands" else "points"


def received_protection(study: Study, policy: Policy) -> str:
    """The same at the bank, which does not know a lone holder's policy."""
    return "masked_among_holders" if len(study.holders) > 1 else "bands_or_points"


def _partial(attempt: Attempt, request: Payload) -> NDArray[np.int64]:
    """(table rows + 1,) this holder's points, or the points of bands where it is alone behind a score."""
    points = [np.asarray(p, np.int64) for p in request.get("points")]
    codes, sizes = attempt.state.get("codes"), attempt.state.load(ScorecardState).sizes[attempt.role]
    if [len(p) for p in points] != list(sizes):
        raise ProtocolError("the points are not those of this institution's bins; run the study again")
    _count_version(attempt, request)
    partial = np.zeros(len(codes), np.int64)
    for j, p in enumerate(points):
        partial += p[codes[:, j]]
    study = attempt.study
    if len(study.holders) > 1 or attempt.node.institution.policy.scores != "bands":
        return partial
    places = np.concatenate([listed(attempt, bank) for bank in study.banks])
    return banded(partial, places, request.get("bands"))


def check_versions(attempt: Attempt, version: str | None = None) -> None:
    """PolicyError where a bank would get more versions of an enterprise's scores than the policy allows.

    Without a version: whether one more would be too many, which is asked before anything is released.
    """
    if attempt.research or attempt.role == BANK:
        return
    policy, store = attempt.node.institution.policy, attempt.node.store.pseudonyms
    since = datetime.now(UTC).date() - timedelta(days=policy.scored_days)
    ids = attempt.read().ids
    for bank in attempt.study.banks:
        rows = listed(attempt, bank)
        versions = store.scored_versions(bank, since, ids[rows[rows >= 0]], version or "next")
        over = int((versions > policy.scored_versions).sum())
        if over:
            raise PolicyError(
                f"{bank} would get more than {policy.scored_versions} versions of scores of {over} enterprises within "
                f"{policy.scored_days} days (policy.scored_versions); keep the deployed model, or raise the limit"
            )


def _count_version(attempt: Attempt, request: Payload) -> None:
    """Check and remember the version: what decides a score is points, bands and bins together."""
    if attempt.research:
        return
    content = {k: request.get(k) for k in ("points", "bands")} | {
        "bins": attempt.state.load(ScorecardState).bins
    }
    version = Payload(content).digest()[:16]
    check_versions(attempt, version)
    ids = attempt.read().ids
    for bank in attempt.study.banks:
        rows = listed(attempt, bank)
        attempt.node.store.pseudonyms.keep_scored(
            bank, datetime.now(UTC).date(), version, ids[rows[rows >= 0]]
        )


def banded(partial: NDArray[np.int64], rows: NDArray[np.int64], bands: Any) -> NDArray[np.int64]:
    """Points replaced by those that stand for their band.

    partial: (table rows + 1,) this holder's points. rows: places of the lists, indices into partial. bands: edges
    and points as the hub sends them, from released numbers. A band that would hold less than two different sums, or
    less than LEAST_BAND_SHARE of the listed rows, is merged with the next: otherwise the bands of a holder with one
    yes-or-no column would be that column.

    Raises PolicyError where the hub sent none or too many, ProtocolError where they are malformed.
    """
    if not bands or not bands["edges"] or len(bands["edges"]) >= MOST_BANDS:
        raise PolicyError(
            f"this institution's policy lets scores out in bands only, 2 to {MOST_BANDS}; the hub sent none"
        )
    edges, values = [int(e) for e in bands["edges"]], [int(v) for v in bands["points"]]
    if len(values) != len(edges) + 1 or edges != sorted(set(edges)):
        raise ProtocolError("the bands are malformed: rising edges and one value more are needed")
    seen = partial[rows]
    kept: list[int] = []
    groups: list[list[int]] = [[values[0]]]
    low = -np.inf
    for edge, value in zip(edges, values[1:], strict=True):
        below, above = seen[(seen >= low) & (seen < edge)], seen[seen >= edge]
        if all(len(np.unique(s)) > 1 and len(s) >= LEAST_BAND_SHARE * len(seen) for s in (below, above)):
            kept.append(edge)
            groups.append([value])
            low = edge
        else:
            groups[-1].append(value)
    points = np.array([round(sum(g) / len(g)) for g in groups], np.int64)
    return points[np.searchsorted(np.array(kept, np.int64), partial, side="right")]


def partial_context(attempt: Attempt, sender: str, receiver: str) -> Context:
    """Where an envelope with partial scores belongs."""
    return Context(
        study=attempt.study.digest(),
        release="score",
        attempt=attempt.state.id,
        direction="partial",
        sender=sender,
        receiver=receiver,
    )
