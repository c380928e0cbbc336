"""Exchange 10, score: holders add up their own points; the masked sum reaches the bank alone.

Masks come from the holders' pair keys, so the bank opens the sum and no single part, and the hub nothing.
Where one holder stands alone behind the sum, the bank gets coarse bands instead of points, unless that
holder's policy allows points. A score is an authorised output, not a differentially private one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.node import Attempt, Node, digest_of
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.protocol import Payload, pack, unpack
from fedrisk.secure.envelope import Context, seal
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.ring import from_signed
from fedrisk.study import BANK

MOST_BANDS = 16
LEAST_BAND_SHARE = 0.05
"""Least share of the listed rows in a band; thinner bands are merged with their neighbour."""


def score(node: Node, request: Payload) -> Payload:
    """Own points per bin -> for each bank, the masked partial scores of its whole list, sealed."""
    attempt = node.attempt(request)
    attempt.begin_once("scored", request)
    policy, study = node.institution.policy, attempt.study
    policy.check(study, institution=attempt.name, research=attempt.research_seed is not None)
    if "spend_counts" not in attempt.state:
        raise ProtocolError("scores were asked for before anything was released; run the study anew")
    stored = attempt.state.answer("score")
    if stored is not None:
        return unpack(stored)
    points = [np.asarray(p, np.int64) for p in request.get("points")]
    codes = attempt.state.get("codes")
    sizes = attempt.state["sizes"][attempt.role]
    if [len(p) for p in points] != list(sizes):
        raise ProtocolError("the points are not those of this institution's bins; run the study anew")
    _count_version(attempt, request)
    partial = np.zeros(len(codes), np.int64)
    for j, p in enumerate(points):
        partial += p[codes[:, j]]
    if len(study.holders) == 1 and node.institution.policy.scores == "bands":
        listed = np.concatenate([attempt.state.get(f"rows_{bank}") for bank in study.banks])
        partial = banded(partial, listed, request.get("bands"))
    answers = {}
    for bank in study.banks:
        listed = from_signed(partial[attempt.state.get(f"rows_{bank}")], "uint32")
        if len(study.holders) > 1:
            label = Label(
                study=study.digest(),
                attempt=attempt.state.id,
                release="score",
                sender="",
                counterparty="",
                bank_list=bank,
                matrix="partial",
            )
            secrets = attempt.pair_secrets(*study.holders)
            listed = listed + pair_mask(secrets, attempt.name, label, listed.shape, "uint32")
        answers[bank] = seal(
            attempt.key, attempt.peers[bank], partial_context(attempt, attempt.name, bank), [listed]
        )
    answer = Payload({}, answers)
    attempt.state.put_answer("score", pack(answer))
    attempt.state.forget_secrets()
    return answer


def check_versions(attempt: Attempt, version: str | None = None) -> None:
    """PolicyError where a bank would get more versions of an enterprise's scores than the policy allows.

    Without a version: whether one more would be too many, which is asked before anything is released.
    """
    if attempt.research_seed is not None or attempt.role == BANK:
        return
    policy, store = attempt.node.institution.policy, attempt.node.store
    since = datetime.now(UTC).date() - timedelta(days=policy.scored_days)
    ids = attempt.read().ids
    for bank in attempt.study.banks:
        rows = attempt.state.get(f"rows_{bank}")
        versions = store.scored_versions(bank, since, ids[rows[rows >= 0]], version or "next")
        over = int((versions > policy.scored_versions).sum())
        if over:
            raise PolicyError(
                f"{bank} would get more than {policy.scored_versions} versions of scores of {over} enterprises within "
                f"{policy.scored_days} days (policy.scored_versions); keep the deployed model, or raise the limit"
            )


def _count_version(attempt: Attempt, request: Payload) -> None:
    """Check and remember the version: what decides a score is points, bands and bins together."""
    if attempt.research_seed is not None:
        return
    content = {k: request.get(k) for k in ("points", "bands")} | {"bins": attempt.state["own_bins"]}
    version = digest_of(Payload(content))[:16]
    check_versions(attempt, version)
    ids = attempt.read().ids
    for bank in attempt.study.banks:
        rows = attempt.state.get(f"rows_{bank}")
        attempt.node.store.keep_scored(bank, datetime.now(UTC).date(), version, ids[rows[rows >= 0]])


def banded(partial: NDArray[np.int64], rows: NDArray[np.int64], bands: Any) -> NDArray[np.int64]:
    """Points replaced by those that stand for their band.

    partial: (table rows + 1,) own points. rows: places of the lists, indices into partial. bands: edges and points
    as the hub tells them, from released numbers. A band that would hold less than two different sums, or less than
    LEAST_BAND_SHARE of the listed rows, is merged with the next: otherwise the bands of a holder with one yes-or-no
    column would be that column.

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
