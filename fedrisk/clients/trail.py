"""What every message writes into the institution's audit trail.

One append when a request comes, before anything is done with it, and one before the answer leaves: a message that
cannot be recorded is refused. Entries say what kind of thing went to whom, how it was protected, its digest, its
size and its price, never what stood in it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedrisk.clients.node import Node, blob_digest, digest_of
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.models.plan import parties
from fedrisk.protocol import Payload
from fedrisk.study import Study, study_from

HUB = "hub"
_RECEIVED = {
    "evaluate": ("blinded ids", "blinded by a random scalar each; sealed"),
    "pseudonyms": ("evaluated ids", "blinded by a random scalar each; sealed"),
    "release": ("masked matrix", "masked by a secret that the receiver lacks; sealed"),
    "deliver": ("partial scores", "masked among the holders; sealed"),
    "step": ("shares of masking keys", "useless below the threshold; sealed"),
}
_ANSWERED = {
    "describe": ("agreement, public columns, row count, budget left, keys", "public to the study"),
    "pseudonyms": ("pseudonyms", "keyed by the authority; sealed for the hub"),
    "prepare": ("public keys of masks", "public to the study"),
    "unmask": ("shares of keys", "open the masks of one total, and of no single vector"),
}
_SENT = {
    "blind": ("blinded ids", "blinded by a random scalar each; sealed"),
    "evaluate": ("evaluated ids", "blinded by a random scalar each; sealed"),
    "mask": ("masked matrix", "masked by a secret that the receiver lacks; sealed"),
    "score": ("partial scores", "masked among the holders; sealed"),
    "shares": ("shares of masking keys", "useless below the threshold; sealed"),
}


def record_request(node: Node, action: str, request: Payload) -> None:
    """Before a request is served: that it came, and what other institutions sent with it through the hub."""
    study = _study(node, request)
    common = _common(node, action, request, study)
    drafts = [
        {
            **common,
            "event": "request",
            "counterparty": HUB,
            "digest": digest_of(request),
            "bytes": request.size(),
        }
    ]
    if action in _RECEIVED and study is not None:
        kind, protection = _RECEIVED[action]
        if action == "deliver" and len(study.holders) == 1:
            protection = "bands or points of one holder; sealed"
        for name in request.blobs:
            if action == "step" and name not in study.members:
                continue  # the shared model, which is public to the study
            sender = _partner(node, action, name, study)
            drafts.append(
                {
                    **common,
                    "event": "received",
                    "counterparty": sender,
                    "kind": kind,
                    "protection": protection,
                }
                | _size(request, name)
            )
    node.trail.append(drafts)


def record_answer(node: Node, action: str, request: Payload, answer: Payload) -> None:
    """Before an answer leaves: that it goes, what other institutions get with it, and what a release costs."""
    study = _study(node, request)
    common = _common(node, action, request, study)
    whole = {"digest": digest_of(answer), "bytes": answer.size()}
    drafts: list[dict[str, Any]] = []
    spend = answer.body.get("spend")
    if action in _SENT and study is not None:
        kind, protection = _SENT[action]
        if action == "score" and len(study.holders) == 1:
            shape = node.institution.policy.scores
            protection = (
                "coarse bands; sealed" if shape == "bands" else "points, as the policy allows; sealed"
            )
        for name in answer.blobs:
            receiver = _partner(node, action, name, study)
            drafts.append(
                {**common, "event": "sent", "counterparty": receiver, "kind": kind, "protection": protection}
                | _size(answer, name)
            )
    if action == "score" and study is not None:
        for bank in study.banks:
            drafts.append(
                {**common, "event": "score", "counterparty": bank, "rows": _listed(node, request, bank)}
            )
    if action == "deliver":
        drafts.append({**common, "event": "delivery", "counterparty": HUB, "rows": _scored(node, request)})
    if spend is not None:
        drafts.append(_release(node, common, request, answer, dict(spend), whole))
    itself = dict(zip(("kind", "protection"), _ANSWERED.get(action, ("", "")), strict=True))
    if action == "describe" and not answer.body.get("member"):
        itself = {}
    drafts.append({**common, "event": "answer", "counterparty": HUB, **whole, **itself})
    node.trail.append(drafts)
    if spend is not None:
        node.store.attempt(str(request.get("attempt"))).update(**{f"entered_{spend['release']}": True})


def record_refusal(node: Node, action: str, request: Payload | None, error: BaseException) -> None:
    """That a request was refused, with the code that the hub gets, and what was charged for an answer never given."""
    payload = request or Payload()
    code = error.code if isinstance(error, FedriskError) else "internal"
    refusal = {"event": "refusal", "counterparty": HUB, "kind": "refusal", "code": code}
    try:
        common = _common(node, action, payload, _study(node, payload))
        charged = _charged(node, payload)
        entries = [
            {
                **common,
                "event": "release",
                "counterparty": HUB,
                "kind": f"charged, not sent ({release})",
                "spend": spend,
            }
            for release, spend in charged.items()
        ]
        node.trail.append([*entries, {**common, **refusal}])
        if charged:
            state = node.store.attempt(str(payload.get("attempt")))
            state.update(**{f"entered_{release}": True for release in charged})
    except ConfigError:  # the message itself held what no entry may hold
        node.trail.append([{"action": action, **refusal}])


def _charged(node: Node, request: Payload) -> dict[str, Any]:
    """Releases of the attempt that the ledger has and the trail has not."""
    try:
        facts = node.store.attempt(str(request.get("attempt"))).facts
    except FedriskError:
        return {}
    made = {key.removeprefix("spend_"): value for key, value in facts.items() if key.startswith("spend_")}
    return {release: spend for release, spend in made.items() if f"entered_{release}" not in facts}


def _release(
    node: Node,
    common: Mapping[str, Any],
    request: Payload,
    answer: Payload,
    spend: dict[str, Any],
    whole: Mapping[str, Any],
) -> dict[str, Any]:
    state = node.store.attempt(str(request.get("attempt")))
    repeated = f"entered_{spend['release']}" in state
    protection = "noise from a seed, or none: no privacy" if spend["research"] else "discrete Gaussian noise"
    return {
        **common,
        "event": "release",
        "counterparty": HUB,
        # One name for all steps of a training, so that tables of what was seen stay short.
        "kind": f"noisy sums ({'training' if common['action'] == 'step' else spend['release']})",
        "protection": f"{protection}; pair masks where others contribute",
        "spend": None if repeated else spend,
        "rows": 0 if repeated else int(state.facts.get("own_rows", {}).get(spend["population"], 0)),
        **whole,
    }


def _common(node: Node, action: str, request: Payload, study: Study | None) -> dict[str, Any]:
    return {
        "study": "" if study is None else study.name,
        "attempt": str(request.body.get("attempt", ""))[:64],
        "purpose": "" if study is None else study.purpose,
        "consent": None if study is None else study.consent,
        "action": action,
    }


def _study(node: Node, request: Payload) -> Study | None:
    """The study that a request is about, as it is described in it or kept from before; None where neither is so."""
    try:
        if "study" in request.body:
            return study_from(request.get("study"))
        return study_from(node.store.attempt(str(request.get("attempt")))["study"])
    except FedriskError:
        return None


def _partner(node: Node, action: str, name: str, study: Study) -> str:
    """Whose blob this is: named by the institution, by the product, or going to a place that the action tells."""
    if action == "blind":
        return study.authority
    if action == "pseudonyms":
        return study.authority
    if action in ("mask", "release"):
        left, right = parties(name)
        return right if left == node.name else left
    return name


def _size(payload: Payload, name: str) -> dict[str, Any]:
    blob = payload.blobs[name]
    size = blob.nbytes if isinstance(blob, np.ndarray) else len(blob)
    return {"digest": blob_digest(payload, name).hex(), "bytes": size}


def _listed(node: Node, request: Payload, bank: str) -> int:
    facts = node.store.attempt(str(request.get("attempt"))).facts
    return int(facts.get("listed", {}).get(bank, 0))


def _scored(node: Node, request: Payload) -> int:
    return _listed(node, request, node.name)
