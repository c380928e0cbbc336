"""Which of a bank's models is meant: the champion of a product, its challengers, or one by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fedrisk.models.model_part import ModelPart
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.score_forms import CHAMPION, ScoreRequest, ServiceError

CHALLENGER = "challenger"

MOST_CARDS = 64
"""Cards that are kept read."""


class State(Protocol):
    """What a model is today; see clients/store/model_store."""

    @property
    def name(self) -> str:
        """candidate, approved, deployed, retired or refused."""
        ...

    @property
    def roles(self) -> Mapping[str, Any]:
        """Champion or challenger, by product; "" stands for all that have none of their own."""
        ...


class Models(Protocol):
    """A store of models; see clients/store/model_store."""

    def parts(self) -> Sequence[ModelPart]:
        """This institution's parts of all its models."""
        ...

    def state(self, id: str) -> State:
        """What the model of that id is today."""
        ...


class Deployed:
    """A bank's scorecards and what they are today, read from its store for every request."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def all(self) -> list[tuple[ModelPart, State]]:
        """All scorecards of this bank with their states, newest version of a name last."""
        return [(p, self._models.state(p.model)) for p in self._models.parts() if p.kind == "scorecard"]

    def meant(self, request: ScoreRequest) -> tuple[CardModel, str]:
        """The model that a request asks for, and what it is deployed as.

        ServiceError where none fits or several do: ``model_none``, ``model_unknown``, ``model_state``,
        ``model_several``.
        """
        serving = self._serving(request)
        if request.model == CHAMPION:
            found = [(p, as_) for p, as_ in serving if as_ == CHAMPION]
            if not found:
                raise ServiceError("model_none")
        else:
            found = [(p, as_) for p, as_ in serving if _called(p, request.model)]
            if not found:
                known = any(_called(p, request.model) for p, _ in self.all())
                raise ServiceError("model_state" if known else "model_unknown")
            # By a study's name its champion is meant, and the newest version.
            found = [f for f in found if f[1] == CHAMPION] or found
            found = [f for f in found if f[0].version == found[-1][0].version] if _one_name(found) else found
        if len(found) > 1:
            names = ", ".join(f"{p.model} ({p.name}, version {p.version})" for p, _ in found)
            raise ServiceError("model_several", f"They are {names}.")
        return _read(found[0][0]), found[0][1]

    def challengers(self, request: ScoreRequest, champion: CardModel) -> list[CardModel]:
        """Models that are deployed as challengers for the product, other than the one that answers."""
        return [
            _read(p)
            for p, as_ in self._serving(request)
            if as_ == CHALLENGER and p.model != champion.part.model
        ]

    def _serving(self, request: ScoreRequest) -> list[tuple[ModelPart, str]]:
        """Deployed models of the purpose with their roles for the product, those of the product itself first.

        A product with a champion of its own has no other one.
        """
        own, general = [], []
        for part, state in self.all():
            if state.name != "deployed" or (request.purpose and part.purpose != request.purpose):
                continue
            if request.product and request.product in state.roles:
                own.append((part, str(state.roles[request.product])))
            elif "" in state.roles:
                general.append((part, str(state.roles[""])))
        if any(as_ == CHAMPION for _, as_ in own):
            general = [(p, as_) for p, as_ in general if as_ != CHAMPION or request.model != CHAMPION]
        return general + own


def _called(part: ModelPart, said: str) -> bool:
    return part.name == said or (len(said) >= 4 and part.model.startswith(said))


def _one_name(found: Sequence[tuple[ModelPart, str]]) -> bool:
    return len({p.name for p, _ in found}) == 1


def _read(part: ModelPart) -> CardModel:
    """The model with its card read; a part that was read before is not read again."""
    kept = _cards.get(part.model)
    if kept is None or (kept.part is not part and kept.part != part):
        if len(_cards) >= MOST_CARDS:
            _cards.clear()
        kept = _cards[part.model] = CardModel.of(part)
    return kept


_cards: dict[str, CardModel] = {}
