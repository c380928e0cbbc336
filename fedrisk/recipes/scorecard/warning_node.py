"""At a bank: the threshold of warnings, from the totals of the evaluation that the hub tells once the study is over.

The threshold is worked out here, by the code that the hub's results go by (analysis/warning_threshold). The totals come
after the last exchange, when the attempt's keys are gone, so banks confirm them to each other by their identities:

* a bank takes totals once, and others after them never. No count may be below its own hold-out's by more than the noise
  can take away, and where it is the only bank none may be above it either;
* it signs what it took, with all that the hub told the members alike before (the common view, the calibrated card in
  it). It uses the totals once every other bank of the study has signed the same under the key that is pinned here.

So a hub that tells banks different totals gets no threshold anywhere, and neither does one that leaves a bank out. What
all banks were told alike may still be no true sum: each holds it against its own rows alone.
"""

import json
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.warning_threshold import threshold_of
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import SCORES
from fedrisk.clients.node import Node
from fedrisk.clients.warning_state import ALIKE
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import ProtocolError, StoreError
from fedrisk.models.warning_point import WarningPoint
from fedrisk.protocol.actions import WARN as NAME
from fedrisk.protocol.actions import Action
from fedrisk.protocol.form import Form, OfAttempt
from fedrisk.protocol.payload import Payload, pack, unpack
from fedrisk.recipes.bins import TOTALS
from fedrisk.recipes.scorecard.evaluation_bins import evaluation_edges
from fedrisk.recipes.scorecard.prepared import told_calibration
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.totals import checked_totals
from fedrisk.secure.keystream import encode_fields
from fedrisk.study_members import BANK
from fedrisk.study_sections import Name

Floats = NDArray[np.float64]

REACH = 10.0
"""Standard deviations of noise by which a total may miss a bank's own count: never by chance."""

Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]


class Told(OfAttempt):
    """Of the totals: what the banks signed of them so far, by name; nothing in the first message."""

    signed: Annotated[dict[Name, Signature], Field(max_length=100)]


def warn(node: Node, request: Payload) -> Payload:
    """Totals of the evaluation, and the banks' signatures -> ``signature``, and whether a threshold follows: ``kept``.

    With all other banks' signatures the bank's part of the model has the threshold from then on.

    ProtocolError where the study asks for none, or the totals cannot be of this bank's hold-out and others', or are
    other ones than were told before, or than another bank signed.
    """
    attempt = node.attempt(request)
    if attempt.study.warning is None or attempt.role != BANK or attempt.research:
        raise ProtocolError(f"{attempt.name} was told totals for a threshold that its study does not ask for")
    told = _taken(attempt, Payload({}, dict(request.blobs)))
    signed = request.body.get("signed", {})
    kept = bool(signed) or not _others(attempt)
    if kept:
        _check_alike(attempt, told, signed)
        attempt.state.put_message(ALIKE, json.dumps(signed, sort_keys=True).encode())
        keep_threshold(attempt)
    signature = node.store.identity.sign(_statement(attempt, attempt.name, told)).hex()
    return Payload({"signature": signature, "kept": kept})


def keep_threshold(attempt: Attempt) -> None:
    """Give the bank's part of the model the threshold, where there are both; once more it changes nothing."""
    found = threshold(attempt)
    if found is not None:
        attempt.node.store.models.with_warning(attempt.state.id, found)


def threshold(attempt: Attempt) -> WarningPoint | None:
    """The threshold by the totals that this bank was told; None where none follows, or not all banks confirmed."""
    rule, content = attempt.study.warning, attempt.state.message(NAME)
    if rule is None or content is None or attempt.role != BANK:
        return None
    if _others(attempt) and attempt.state.message(ALIKE) is None:
        return None
    return threshold_of(_counts(attempt, unpack(content)), rule.false_alarms)


def _others(attempt: Attempt) -> set[str]:
    return set(attempt.study.banks) - {attempt.name}


def _taken(attempt: Attempt, told: Payload) -> Payload:
    """The totals, kept when they came first; ProtocolError for wrong ones, and for others than were kept."""
    before = attempt.state.message(NAME)
    if before is None:
        _check_own(attempt, _counts(attempt, told))
        attempt.state.put_message(NAME, pack(told))
    elif unpack(before).digest() != told.digest():
        raise ProtocolError(
            f"the hub told {attempt.name} other totals of the evaluation before; the first are kept, and no threshold "
            "is taken from these. Ask the consortium's operator for the signed release record"
        )
    return told


def _statement(attempt: Attempt, bank: str, told: Payload) -> bytes:
    """What a bank signs: the totals, and all that the hub told alike before them."""
    fields = (attempt.view, attempt.state.id, bank, told.digest())
    return encode_fields(b"fedrisk totals of a warning v1", *(text.encode() for text in fields))


def _check_alike(attempt: Attempt, told: Payload, signed: dict[str, str]) -> None:
    """ProtocolError unless every bank signed the same totals, each under the key that is pinned here."""
    if _others(attempt) and set(signed) != set(attempt.study.banks):
        raise ProtocolError(
            "the hub did not relay one signature of the totals for each bank; no threshold is taken from them"
        )
    store = attempt.node.store
    for bank in sorted(signed):
        pinned = store.identity.public if bank == attempt.name else store.pins.of(bank)
        if not signed_in_hex(pinned, signed[bank], _statement(attempt, bank, told)):
            raise ProtocolError(
                f"{bank} did not sign the totals of the evaluation that {attempt.name} was told: the hub tells banks "
                f"different ones, or {bank} has another key than the one pinned here. No threshold is taken; ask the "
                "consortium's operator for the signed release record, and compare keys and figures with that bank"
            )


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
    name=NAME, serve=warn, form=Form(body=Told, blobs={"*": TOTALS}), in_attempt=False, answers=None
)
