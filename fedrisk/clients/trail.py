"""What every message writes into the institution's audit trail.

One append when a request comes, before anything is done with it, and one before the answer leaves: a message that
cannot be recorded is refused. Entries say in codes what kind of thing went to whom, how it was protected, its digest,
its size and its price, never what was in it. The codes stand with the actions (protocol/actions).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.books import NOT_SENT
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges
from fedrisk.clients.row_order import RowOrder
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.errors import ConfigError, FedriskError, code_of
from fedrisk.protocol.actions import Action, Disclosure
from fedrisk.protocol.payload import Payload, spends_in
from fedrisk.releases.gradient_sums import STEP
from fedrisk.study import Study, study_from

HUB = "hub"


@dataclass(frozen=True)
class Message:
    """One message to a node, with the action that it asks for, None where there is no such action."""

    node: Node
    name: str
    request: Payload
    action: Action | None

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that it belongs to, as it is now; None where it has not begun here."""
        try:
            return self.node.attempt(self.request)
        except FedriskError:
            return None

    @cached_property
    def study(self) -> Study | None:
        """The study that it is about, as it is described in it or kept from before; None where neither is so."""
        try:
            if self.name == "describe":
                return study_from(self.request.get("study"))
            return study_from(self.node.attempt(self.request).state.load(Begun).study)
        except FedriskError:
            return None

    def common(self, study: Study | None) -> dict[str, Any]:
        """Fields that all entries of this message share."""
        return {
            "study": "" if study is None else study.name,
            "attempt": str(self.request.body.get("attempt", ""))[:64],
            "purpose": "" if study is None else study.purpose,
            "consent": None if study is None else study.consent,
            "action": self.name,
        }


def record_request(message: Message) -> None:
    """Before a request is served: that it came, and what other institutions sent with it through the hub."""
    study, request = message.study, message.request
    common = message.common(study)
    whole = {"digest": request.digest(), "bytes": request.size()}
    drafts = [{**common, "event": "request", "counterparty": HUB, **whole}]
    if message.action is not None:
        drafts += _relayed(message, study, common, "received", message.action.receives, request)
    message.node.trail.append(drafts)


def record_answer(message: Message, answer: Payload) -> None:
    """Before an answer leaves: that it goes, what other institutions get with it, and what a release costs."""
    study, action = message.study, message.action
    if action is None:
        raise ConfigError(f"{message.name} is no action; nothing is answered")
    common = message.common(study)
    whole = {"digest": answer.digest(), "bytes": answer.size()}
    drafts = _relayed(message, study, common, "sent", action.sends, answer)
    drafts += _scores(message, study, common)
    spends = spends_in(answer)
    drafts += [_release(message, common, spend, whole) for spend in spends]
    itself = {}
    if action.answers is not None and study is not None and message.node.name in study.members:
        protection = action.answers.protection_in(study, message.node.institution.policy)
        itself = {"kind": action.answers.kind_in(study, message.node.name), "protection": protection}
    drafts.append({**common, "event": "answer", "counterparty": HUB, **whole, **itself})
    message.node.trail.append(drafts)
    if spends:
        _mark_entered(message, [str(spend["release"]) for spend in spends])


def record_resent(message: Message, payload: Payload, kind: str) -> None:
    """That a request came once more, or its answer goes once more, with the same bytes."""
    common = message.common(message.study)
    whole = {"digest": payload.digest(), "bytes": payload.size()}
    message.node.trail.append([{**common, "event": "resent", "counterparty": HUB, "kind": kind, **whole}])


def record_later(message: Message, code: str) -> None:
    """That a request could not be answered for now; what was charged stands, and is entered with its answer."""
    refusal = {"event": "refusal", "counterparty": HUB, "kind": "refusal", "code": code}
    message.node.trail.append([{**message.common(message.study), **refusal}])


def record_refusal(message: Message, error: BaseException) -> None:
    """That a request was refused, with the code that the hub gets, and what was charged for an answer never given."""
    refusal = {"event": "refusal", "counterparty": HUB, "kind": "refusal", "code": code_of(error)}
    try:
        common = message.common(message.study)
        charged = _charged(message)
        if charged:
            # A power cut must not take a charge back that the trail has.
            message.node.ledger.settle()
        entries = [
            {
                **common,
                "event": "release",
                "counterparty": HUB,
                "kind": f"{NOT_SENT}.{name}",
                "spend": spend,
            }
            for name, spend in charged.items()
        ]
        message.node.trail.append([*entries, {**common, **refusal}])
        _mark_entered(message, list(charged))
    except ConfigError:
        # The message itself held what no entry may hold.
        message.node.trail.append([{"action": message.name, **refusal}])


def _relayed(
    message: Message,
    study: Study | None,
    common: Mapping[str, Any],
    event: str,
    disclosure: Disclosure | None,
    payload: Payload,
) -> list[dict[str, Any]]:
    """An entry for each blob of another institution, or for another institution."""
    if disclosure is None or study is None:
        return []
    protection = disclosure.protection_in(study, message.node.institution.policy)
    drafts = []
    for name in payload.blobs:
        other = disclosure.counterparty(study, message.node.name, name)
        if other is None:
            continue
        kind = disclosure.kind_in(study, message.node.name)
        what = {"kind": kind, "protection": protection, **_size(payload, name)}
        drafts.append({**common, "event": event, "counterparty": other, **what})
    return drafts


def _scores(message: Message, study: Study | None, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of scores that were given to banks, or that this bank took."""
    if message.action is None or message.action.scores is None or study is None:
        return []
    if message.action.scores == "taken":
        rows = _listed(message, message.node.name)
        return [{**common, "event": "delivery", "counterparty": HUB, "rows": rows}]
    return [
        {**common, "event": "score", "counterparty": bank, "rows": _listed(message, bank)}
        for bank in study.banks
    ]


def _release(
    message: Message, common: Mapping[str, Any], spend: dict[str, Any], whole: Mapping[str, Any]
) -> dict[str, Any]:
    attempt, name = message.attempt, str(spend["release"])
    # Who gives scores is charged for what banks release of them; the answer itself holds no sum.
    behind = message.action is not None and message.action.scores == "given"
    charges = Charges() if attempt is None else attempt.state.find(Charges) or Charges()
    order = None if attempt is None else attempt.state.find(RowOrder)
    repeated = name in charges.entered
    return {
        **common,
        "event": "release",
        "counterparty": HUB,
        "kind": f"charged_behind.{name}" if behind else f"noisy_sums.{_named(name)}",
        "protection": "no_privacy" if spend["research"] else "discrete_gaussian_masked",
        "spend": None if repeated else spend,
        # Of the lists, which are public: the institution's own rows on them would be the exact overlap.
        "rows": 0 if repeated or order is None else order.places[spend["population"]],
        **whole,
        **({"bytes": 0} if behind else {}),
    }


def _named(release: str) -> str:
    """One name for all steps of a training, so that tables of what was seen stay short."""
    return "training" if release.startswith(STEP) else release


def _charged(message: Message) -> dict[str, Any]:
    """Releases of the attempt that the ledger has and the trail has not."""
    attempt = message.attempt
    charges = None if attempt is None else attempt.state.find(Charges)
    if charges is None:
        return {}
    return {name: spend for name, spend in charges.spends.items() if name not in charges.entered}


def _mark_entered(message: Message, names: list[str]) -> None:
    attempt = message.attempt
    charges = None if attempt is None else attempt.state.find(Charges)
    if attempt is not None and charges is not None and set(names) - set(charges.entered):
        attempt.state.save(Charges(spends=charges.spends, entered=tuple(sorted({*charges.entered, *names}))))


def _size(payload: Payload, name: str) -> dict[str, Any]:
    blob = payload.blobs[name]
    size = blob.nbytes if isinstance(blob, np.ndarray) else len(blob)
    return {"digest": payload.blob_digest(name).hex(), "bytes": size}


def _listed(message: Message, bank: str) -> int:
    attempt = message.attempt
    order = None if attempt is None else attempt.state.find(RowOrder)
    return 0 if order is None else order.listed.get(bank, 0)
