"""Exchanges 10 and 11: scores. Holders add up their own points; the masked sum reaches the bank alone.

Masks come from the holders' pair keys, so the bank opens the sum and no single part, and the hub nothing.
Where one holder stands alone behind the sum, the bank gets coarse bands instead of points, unless that
holder's policy allows points. A score is an authorised output, not a differentially private one.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.matrices import HOLDOUT, TRAINING
from fedrisk.clients.node import Attempt, Node
from fedrisk.clients.release import commit, protect, spend_once
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.metrics import auc
from fedrisk.models.plan import evaluation_release
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol import Payload
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.ring import from_signed, to_signed
from fedrisk.study import BANK


def score(node: Node, request: Payload) -> Payload:
    """Own points per bin -> for each bank, the masked partial scores of its whole list, sealed."""
    attempt = node.attempt(request)
    attempt.begin_once("scored", request)
    study = attempt.study
    points = [np.asarray(p, np.int64) for p in request.get("points")]
    codes = attempt.state.get("codes")
    sizes = attempt.state["sizes"][attempt.role]
    if [len(p) for p in points] != list(sizes):
        raise ProtocolError("the points are not those of this institution's bins; run the study anew")
    partial = np.zeros(len(codes), np.int64)
    for j, p in enumerate(points):
        partial += p[codes[:, j]]
    if len(study.holders) == 1 and node.institution.policy.scores == "bands":
        partial = _banded(partial, request.get("bands"))
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
            attempt.key, attempt.peers[bank], _context(attempt, attempt.name, bank), [listed]
        )
    attempt.state.forget_secrets()
    return Payload({}, answers)


def _banded(partial: NDArray[np.int64], bands: Any) -> NDArray[np.int64]:
    """Points replaced by those that stand for their band."""
    if not bands or not bands["edges"] or len(bands["edges"]) > 15:
        raise PolicyError(
            "this institution's policy lets scores out in bands only, 2 to 16; the hub sent none"
        )
    edges, values = np.asarray(bands["edges"]), np.asarray(bands["points"], np.int64)
    if len(values) != len(edges) + 1:
        raise ProtocolError("the bands are malformed: one value more than edges is needed")
    return values[np.searchsorted(edges, partial, side="right")]


def deliver(node: Node, request: Payload) -> Payload:
    """Scorecard and sealed partial scores -> own scores (kept), champion (kept), evaluation histogram (out).

    Figures of models that were fitted without noise stay in the bank's own store; only a research run lets
    them out.
    """
    attempt = node.attempt(request)
    study = attempt.study
    card = Scorecard.from_json(request.get("scorecard"))
    edges = np.asarray(request.get("score_edges"), float)
    release = evaluation_release(study, len(edges) + 1)
    research = attempt.research_seed is not None
    evaluate = bool(request.get("evaluate"))
    if evaluate and not node.institution.policy.evaluation:
        raise PolicyError(f"{node.name} lets no evaluation figures out (policy.evaluation = false)")
    if evaluate and not research:
        stored = spend_once(attempt, release, request)
        if stored is not None:
            return stored
    rows, use = attempt.state.get(f"rows_{node.name}"), attempt.state.get(f"use_{node.name}")
    codes = attempt.state.get("codes")[rows]
    own = card.institution_points(BANK, list(codes.T)) if codes.shape[1] else np.zeros(len(rows), np.int64)
    external = _external(attempt, request, len(rows))
    total = own + card.base_points + (0 if external is None else external)
    table = attempt.read()
    if table.label is None:
        raise ProtocolError(f"{node.name} is a bank and has no label; name it in [dictionary.label]")
    label = table.label[rows]
    figures = _keep(attempt, card, request, rows, use, codes, own, external, total, label)
    held = use == HOLDOUT
    if not evaluate:
        attempt.state.forget_secrets()
        return Payload()
    if research:
        answer = _exact(total[held], label[held])
        body = {"figures": figures, "first": answer[0]}
        attempt.state.forget_secrets()
        return Payload(body, {"positives": answer[1], "negatives": answer[2]})
    unit = 2**release.scale_bits
    bins = card.risk_bins(total[held], edges)
    positive = np.floor(label[held] * unit).astype(np.int64)
    size = len(edges) + 1
    sums = [np.bincount(bins, part, size) for part in (positive, unit - positive)]
    counts = np.rint(np.stack(sums, 1)).astype(np.int64)
    blobs = {
        block.name: protect(attempt, release, block, counts)
        for block in release.blocks
        if node.name in block.contributors
    }
    answer_out = commit(attempt, release, Payload({}, blobs))
    attempt.state.forget_secrets()
    return answer_out


def _external(attempt: Attempt, request: Payload, rows: int) -> NDArray[np.int64] | None:
    """Sum of the holders' points for each place of the list; None in a study without holders."""
    holders = attempt.study.holders
    if not holders:
        return None
    total = np.zeros(rows, np.uint32)
    for name in holders:
        context = _context(attempt, name, attempt.name)
        (block,) = open_sealed(attempt.key, attempt.peers[name], context, request.raw(name))
        if len(block) != 4 * rows:
            raise ProtocolError(
                "a holder scored another number of rows than the list has; run the study anew"
            )
        total += np.frombuffer(block, np.uint32)
    return to_signed(total).astype(np.int64)


def _keep(
    attempt: Attempt,
    card: Scorecard,
    request: Payload,
    rows: NDArray[np.int64],
    use: NDArray[np.uint8],
    codes: NDArray[Any],
    own: NDArray[np.int64],
    external: NDArray[np.int64] | None,
    total: NDArray[np.int64],
    label: NDArray[np.float64],
) -> dict[str, float | None]:
    """Write scores, reasons and the champion's scores to the bank's own store; the bank's own figures.

    The probability of the scorecard comes from released numbers; the bank recalibrates it on its own labels
    (logistic regression on the score, Platt 1999), for itself.
    """
    from sklearn.linear_model import LogisticRegression

    from fedrisk.models.champion import (  # only banks, and only here: scikit-learn is slow to load
        LEAST_ROWS,
        bank_alone,
        fit_champion,
    )

    table = attempt.read()
    folder = attempt.node.store.results(attempt.state.id)
    frame = table.frame.iloc[rows].reset_index(drop=True)
    dictionary = attempt.node.institution.dictionary
    inputs = (
        frame[[c.name for c in dictionary.columns if c.feature and c.kind != "date"]] if dictionary else frame
    )
    train, held = use == TRAINING, use == HOLDOUT
    known = (label == 0) | (label == 1)
    out = pd.DataFrame(
        {
            "id": table.ids[rows],
            "score": total,
            "probability": card.probability(total),
            "own_points": own,
            "split": np.array(["training", "holdout", "unused"])[use],
        }
    )
    if external is not None:
        out["external_points"] = external
    names = card.reasons(list(codes.T), external)
    out["reasons"] = [", ".join(r) for r in names]
    figures: dict[str, float | None] = {
        "bank_alone_auc": None,
        "bank_champion_auc": None,
        "scorecard_auc": None,
    }
    fit, test = train & known, held & known
    # Too few rows for boosting must not cost the bank the scores that are paid for by now.
    enough = min(label[fit].sum(), (1 - label[fit]).sum()) >= LEAST_ROWS and len(np.unique(label[test])) == 2
    if enough and inputs.shape[1]:
        own_rate = LogisticRegression(C=np.inf).fit(total[fit, None] / card.sd, label[fit])
        out["recalibrated_probability"] = own_rate.predict_proba(total[:, None] / card.sd)[:, 1]
        alone = bank_alone(inputs[fit], label[fit])
        out["alone_probability"] = alone.probability(inputs)
        figures["bank_alone_auc"] = auc(label[test], out["alone_probability"][test])
    if enough:
        champion = alone if external is None else fit_champion(inputs[fit], label[fit], external[fit])
        out["champion_probability"] = champion.probability(inputs, external)
        figures["bank_champion_auc"] = auc(label[test], out["champion_probability"][test])
        figures["scorecard_auc"] = auc(label[test], -total[test])
    out.to_parquet(folder / "scores.parquet", index=False)
    (folder / "scorecard.json").write_text(request.get("scorecard"), encoding="utf-8")
    pd.Series(figures, dtype=float).to_json(folder / "own_figures.json")
    return figures


def _exact(score: NDArray[np.int64], label: NDArray[np.float64]) -> tuple[int, NDArray[Any], NDArray[Any]]:
    """Research runs: exact label counts by score, (least score, positives, negatives)."""
    first = int(score.min()) if len(score) else 0
    place = score - first
    return first, np.bincount(place, label), np.bincount(place, 1 - label)


def _context(attempt: Attempt, sender: str, receiver: str) -> Context:
    return Context(
        study=attempt.study.digest(),
        release="score",
        attempt=attempt.state.id,
        direction="partial",
        sender=sender,
        receiver=receiver,
    )
