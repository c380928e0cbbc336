"""Which of a bank's models is meant: the champion of a product, its challengers, or one by name."""

from collections.abc import Sequence

from fedrisk.clients.node import Node
from fedrisk.clients.store.model_store import State
from fedrisk.models.model_part import ModelPart
from fedrisk.models.own_model import FILE
from fedrisk.privacy.serving_policy import MONITORING
from fedrisk.serving import registry
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.index_forms import IndexRequest
from fedrisk.serving.score_forms import CHAMPION, ScoreRequest, ServiceError

SCORECARD = "scorecard"
CHALLENGER = "challenger"

LEAST_DIGITS = 4
"""Fewest digits of an id by which a model is named."""

MOST_CARDS = 64
"""Cards that are kept read."""


def all_models(node: Node) -> list[tuple[ModelPart, State]]:
    """All scorecards of a bank with their states, the newest version of a name last."""
    store = node.store.models
    return [(p, store.state(p.model)) for p in store.parts() if p.kind == SCORECARD]


def meant(node: Node, request: ScoreRequest | IndexRequest, *, index: bool = False) -> tuple[CardModel, str]:
    """The model that a request asks for, and what it is deployed as.

    index: an operating health index, else a score; neither is ever answered by the other. By the name of a study
    its champion is meant, else its newest challenger. ServiceError where none fits or several do:
    ``model_none``, ``model_unknown``, ``model_state``, ``model_several``, ``model_rule``.
    """
    champions, challengers = (
        [p for p in _in_use(node, request, role) if (p.index is not None) == index]
        for role in (CHAMPION, CHALLENGER)
    )
    if request.model == CHAMPION:
        found = [(p, CHAMPION) for p in champions]
        if not found:
            raise ServiceError("model_none")
    else:
        found = [(p, CHAMPION) for p in champions if _called(p, request.model)]
        found = found or [(p, CHALLENGER) for p in challengers if _called(p, request.model)]
        if not found:
            known = any(
                _called(p, request.model) and (p.index is not None) == index for p, _ in all_models(node)
            )
            raise ServiceError("model_state" if known else "model_unknown")
        if len({p.name for p, _ in found}) == 1:
            found = [max(found, key=lambda f: f[0].version)]
    if len(found) > 1:
        names = ", ".join(f"{p.model} ({p.name}, version {p.version})" for p, _ in found)
        raise ServiceError("model_several", f"They are {names}.")
    model = card_of(node, found[0][0])
    if other := other_rules(node, model):
        raise ServiceError("model_rule", f"It is {', '.join(other)}.")
    return model, found[0][1]


def other_rules(node: Node, model: CardModel) -> list[str]:
    """The bank's columns in a model that are computed from histories by another rule than when it was made.

    A column that only the bank's own models take may be gone: then they say nothing.
    """
    dictionary = node.institution.dictionary
    now = {} if dictionary is None else {name: r.digest for name, r in dictionary.computed.items()}
    needed = {f.column for f in model.features} | {name for name in model.columns if name in now}
    made = model.part.computed
    return sorted(name for name in needed & made.keys() if now.get(name) != made[name])


def challengers(node: Node, request: ScoreRequest, champion: CardModel) -> list[CardModel]:
    """Models that are deployed as challengers for the request's product and purpose, beside the one that answers."""
    purpose = champion.part.purpose
    cards = [
        card_of(node, p)
        for p in _in_use(node, request, CHALLENGER)
        if p.model != champion.part.model and p.purpose == purpose and p.index is None
    ]
    return [card for card in cards if not other_rules(node, card)]


def card_of(node: Node, part: ModelPart) -> CardModel:
    """A model with its card read; a part that was read before is not read again."""
    kept = _cards.get(part.model)
    if kept is None or (kept.part is not part and kept.part != part):
        if len(_cards) >= MOST_CARDS:
            _cards.clear()
        kept = _cards[part.model] = CardModel.of(part, node.store.models.file(part.model, FILE))
    return kept


_cards: dict[str, CardModel] = {}


def _in_use(node: Node, request: ScoreRequest | IndexRequest, role: str) -> Sequence[ModelPart]:
    product = request.product if isinstance(request, ScoreRequest) else ""
    return [
        p
        for p in registry.in_use(node, product)[role]
        if p.kind == SCORECARD and request.purpose in ("", p.purpose, MONITORING)
    ]


def _called(part: ModelPart, said: str) -> bool:
    return part.name == said or (len(said) >= LEAST_DIGITS and part.model.startswith(said))
