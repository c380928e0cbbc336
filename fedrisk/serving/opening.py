"""From an envelope to a question that may be answered: whose it is, for which model, under which keys.

In an order in which whoever is not known costs little: the form of what came, the model's own list of banks, then the
seal, which only a key opens that the bank's pinned identity signed, then what the question itself says.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fedrisk.clients.node import Node
from fedrisk.errors import EnvelopeError, FedriskError, ProtocolError
from fedrisk.models.model_part import ModelPart
from fedrisk.protocol import scoring as rules
from fedrisk.secure.envelope import Context, open_sealed
from fedrisk.secure.identity import EphemeralKey, SignedKey
from fedrisk.secure.keystream import Label
from fedrisk.serving.keys import Peers, ServingKeys, accepted
from fedrisk.serving.kinds import KINDS
from fedrisk.serving.messages import Asked, digest_of

RELEASE: Final = "scores"
"""Name of the release in seals."""

MOST_BYTES: Final = 1 << 23
"""Largest envelope that is opened: a thousand ids with consents of the longest form."""

OLDEST: Final = 300
"""Seconds after which a question is not answered any more."""


class Refused(FedriskError):
    """A question that is not answered. code: of `codes.WHOLE`; the text stays at home."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Question:
    """A question that was opened and belongs to its model.

    Attributes:
        asked: what it says. digest: of its bytes. part: this holder's part of the model.
        own: this holder's key. bank: the bank's, peers: those of the other holders, all verified.
    """

    asked: Asked
    digest: str
    part: ModelPart
    own: EphemeralKey
    bank: SignedKey
    peers: dict[str, SignedKey]


def question_context(model: str, epoch: str, id: str, asker: str, holder: str) -> Context:
    """Where an envelope with a question belongs."""
    return Context(model, RELEASE, epoch, f"question {id}", asker, holder)


def answer_context(asked: Asked, holder: str) -> Context:
    """Where an envelope with an answer belongs."""
    return Context(asked.model, RELEASE, asked.epoch, f"answer {asked.id}", holder, asked.asker)


def mask_label(asked: Asked, digest: str, matrix: str) -> Label:
    """What masks of one question are for: its very bytes, or nothing cancels. matrix: columns that go together."""
    return Label(
        study=asked.model,
        attempt=asked.epoch,
        release=f"{asked.id}|{digest}",
        sender="",
        counterparty="",
        bank_list=asked.asker,
        matrix=matrix,
    )


class Opening:
    """Opens what comes to one institution; Refused with a code for whatever is not as it has to be."""

    def __init__(self, node: Node, keys: ServingKeys, peers: Peers, clock: Callable[[], float]) -> None:
        self._models, self.name = node.store.models, node.name
        self.keys, self.peers, self.clock = keys, peers, clock

    def part(self, asker: str, id: str, model: str, envelope: bytes) -> ModelPart:
        """This institution's part of the model; nothing is opened or computed yet."""
        if not (rules.is_id(id) and rules.is_model(model) and 0 < len(envelope) <= MOST_BYTES):
            raise Refused("form", "a question has no proper id or model, or an envelope of another size")
        models = self._models
        if not models.has(model):
            raise Refused("unknown", f"model {model} is not here; fedrisk model list shows all")
        part = models.part(model)
        if part.institution != self.name or self.name not in part.answering(asker) or part.kind not in KINDS:
            raise Refused(
                "unknown", f"model {model} is not answered here: this institution is no holder of it"
            )
        # Whether an agent of enterprises may ask for an index, the policy says, once its seal has opened.
        if asker not in part.banks and part.index is None:
            raise Refused("asker", f"model {model} does not serve the bank that asked")
        return part

    def opened(self, part: ModelPart, asker: str, id: str, envelope: bytes) -> Question:
        """The question, if it is what the bank sealed for this place, under the keys of all holders."""
        own, bank, raw = self._unsealed(part, asker, id, envelope)
        try:
            asked = Asked.from_bytes(raw)
        except ProtocolError as error:
            raise Refused("form", f"{asker}: {error}") from None
        if (asked.id, asked.model, asked.asker) != (id, part.model, asker) or set(asked.keys) != set(
            part.answering(asker)
        ):
            raise Refused("form", f"{asker} asked something else than it said, or of other holders")
        if asked.epoch != own.attempt:
            raise Refused("keys", f"{asker} named another epoch than that of the keys it used")
        return Question(asked, digest_of(raw), part, own, bank, self._holders(part, asked, own))

    def check_age(self, question: Question) -> None:
        """Refused for a question of too long ago, which the book may have forgotten by now, or of tomorrow."""
        asked = question.asked
        if abs(self.clock() - asked.made) > OLDEST:
            raise Refused(
                "old", f"{asked.asker} asked more than {OLDEST} s ago, or its clock is not this one's"
            )

    def _unsealed(
        self, part: ModelPart, asker: str, id: str, envelope: bytes
    ) -> tuple[EphemeralKey, SignedKey, bytes]:
        """Own key, the bank's key, and the content. A bank may have made a new key since its last question."""
        tried = False
        for epoch in accepted(self.clock()):
            own = self.keys.own(epoch)
            context = question_context(part.model, epoch, id, asker, self.name)
            stale: dict[str, bytes] = {}
            for _ in range(2):
                bank = self.peers.of([asker], epoch, other_than=stale).get(asker)
                if bank is None or stale.get(asker) == bank.public:
                    break
                tried, stale = True, {asker: bank.public}
                with contextlib.suppress(EnvelopeError):
                    (raw,) = open_sealed(own, bank, context, envelope)
                    return own, bank, raw
        if not tried:
            raise Refused("keys", f"no key of {asker} for this week is there that its pinned identity signed")
        raise Refused(
            "envelope", f"a question of {asker} does not open: it was changed, or made for another place"
        )

    def _holders(self, part: ModelPart, asked: Asked, own: EphemeralKey) -> dict[str, SignedKey]:
        """Verified keys of the other holders, the very ones that the question names."""
        others = [name for name in part.answering(asked.asker) if name != self.name]
        said = {name: bytes.fromhex(key) for name, key in asked.keys.items()}
        found = self.peers.of(others, asked.epoch)
        wrong = {name: key.public for name, key in found.items() if key.public != said[name]}
        if wrong:
            found |= self.peers.of(list(wrong), asked.epoch, other_than=wrong)
        fits = set(found) == set(others) and all(found[name].public == said[name] for name in others)
        if not fits or said[self.name] != own.public:
            raise Refused("keys", "a question names other keys of the holders than those that they signed")
        return found
