"""Operating health index of enterprises: months of one question, from masked sums to percentiles.

An index is a scorecard of holders' columns alone (recipes/scorecard, ``index``). One question asks for all its months:
each is a column of the members' answers under masks of its own, so the one who asks opens the holders' sum of each
month and no part of it. A month counts as a score of the enterprise at every member. A month is told where every member
tells it: one whose policy allows fewer, or whose histories do not reach back so far, gives the later ones alone, and no
month is made up. The sum becomes a percentile of the studied population by the scale that the study left
(models/index_scale).
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from pydantic import TypeAdapter, ValidationError

from fedrisk.clients.node import Node
from fedrisk.errors import LaterError, ProtocolError, StoreError
from fedrisk.models.model_part import ModelPart
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.serving_policy import MONITORING, OWN_INFORMATION
from fedrisk.serving.answer_store import AnswerStore, settled
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.deployed import meant
from fedrisk.serving.index_forms import IndexAnswer, IndexMonth, IndexRequest, ScaleShown
from fedrisk.serving.score_forms import ModelUsed, ServiceError
from fedrisk.serving.sums import Sums, by_theme, months_of, points_of
from fedrisk.serving.words import AGENT_WORDS, INDEX_WORDS, of_code, of_members

SECONDS: Final = 10.0
"""Seconds for which the members' answers are waited for."""

NO_HUB: Final = (
    "this institution has no hub to ask through: name the folder of its node, give node.toml the hub's scoring "
    "address, or name the members' files on this machine (--members)"
)

_ANSWERS: Final = TypeAdapter(tuple[IndexAnswer, ...])


class Asks(Protocol):
    """Asks the members of a model; see serving/asking."""

    def ask(self, part: ModelPart, ids: Sequence[str], **how: Any) -> Sums:
        """Sums of the members' columns, by row, or codes."""
        ...


def index_answers(
    node: Node,
    asking: Asks | None,
    request: IndexRequest,
    *,
    part: ModelPart | None = None,
    store: AnswerStore | None = None,
    seconds: float = SECONDS,
    note: Callable[[BaseException], None] = lambda _: None,
) -> tuple[tuple[IndexAnswer, ...], ScaleShown]:
    """The answer for each id, in order, and the scale they are on.

    part: at an agent of enterprises, the model as a bank gave it out; None takes what is deployed. store: where
    questions and answers are kept by the request's key; what was answered under it before is answered again. note: is
    told why nobody could be asked.

    Raises:
        ServiceError: the request as a whole has no answers; StoreError where the store fails.
    """
    model, deployed_as = (CardModel.of(part), "file") if part else meant(node, request, index=True)
    scale, key = scale_of(model.part), request.key
    if key is None or store is None:
        return _asked(asking, request, model, deployed_as, None, seconds, note), scale
    with store.turn(key):
        digest = digest_of(request)
        kept = store.kept_body(key, digest)
        if kept is not None:
            try:
                return _ANSWERS.validate_json(kept), scale
            except ValidationError:
                raise StoreError(f"{store.path} is damaged; delete it, and ask again") from None
        answers = _asked(asking, request, model, deployed_as, store, seconds, note)
        codes = {code for a in answers for code in (a.code, *a.members.values())}
        store.keep_body(key, digest, _ANSWERS.dump_json(answers), final=settled(codes))
        return answers, scale


def scale_of(part: ModelPart) -> ScaleShown:
    """What an index of this model is a percentile of; ServiceError where it is no index that serves."""
    if part.index is None or part.index.scale is None:
        raise ServiceError("model_unknown", "The model is no operating health index.")
    index = part.index
    return ScaleShown(
        study=part.name,
        made=part.made.isoformat(),
        enterprises=part.index.scale.rows,
        error=part.index.scale.error,
        moving=index.moving,
        still=index.still,
    )


def months_from(
    model: CardModel, columns: Mapping[str, Any], row: int, months: int
) -> tuple[IndexMonth, ...]:
    """The index of each month that is told of a row, this one first, at most ``months``."""
    part = model.part
    scale = None if part.index is None else part.index.scale
    if scale is None:
        raise StoreError(f"model {part.model} has no scale of an index; run its study again")
    base, out = _base_of(part.card or ""), []
    for ago in range(min(months, months_of(part, columns))):
        score = base + int(points_of(part, columns, ago)[row])
        themes = {n: int(model.external(p[row])) for n, p in by_theme(part, columns, ago).items()}
        out.append(IndexMonth(ago=ago, index=int(scale.index(score)), themes=themes))
    return tuple(out)


def digest_of(request: IndexRequest) -> bytes:
    """SHA-256 of a request without its id; another one than that of any request for scores."""
    content = {"index": request.model_dump(mode="json", exclude={"key"})}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


def _asked(
    asking: Asks | None,
    request: IndexRequest,
    model: CardModel,
    deployed_as: str,
    store: AnswerStore | None,
    seconds: float,
    note: Callable[[BaseException], None],
) -> tuple[IndexAnswer, ...]:
    used = _used(model.part, deployed_as)
    try:
        sums = _sums(asking, request, model.part, store, seconds)
    except (LaterError, ProtocolError) as error:
        note(error)
        said: dict[str, Any] = {"code": "hub", "words": of_code("hub"), "asked": request.months}
        return tuple(IndexAnswer(id=i, model=used, made=time.time(), **said) for i in request.ids)
    return tuple(_answer(request, model, used, sums, row) for row in range(len(request.ids)))


def _sums(
    asking: Asks | None, request: IndexRequest, part: ModelPart, store: AnswerStore | None, seconds: float
) -> Sums:
    if asking is None:
        raise LaterError(NO_HUB)
    how: dict[str, Any] = {}
    key = request.key
    if store is not None and key is not None:
        kept = store.question(key, part.model)
        if kept is not None:
            how["kept"] = kept[0]
        how["keep"] = lambda raw: store.keep_question(key, part.model, raw, 0)
    return asking.ask(
        part,
        request.ids,
        purpose=request.purpose or part.purpose,
        consents=request.consents or None,
        months=request.months,
        seconds=seconds,
        **how,
    )


def _answer(request: IndexRequest, model: CardModel, used: ModelUsed, sums: Sums, row: int) -> IndexAnswer:
    said: dict[str, Any] = {
        "id": request.ids[row],
        "model": used,
        "asked": request.months,
        "made": time.time(),
    }
    codes = dict(sums.failed) or dict(sums.refused.get(row, {}))
    if codes:
        code = codes[sorted(codes)[0]]
        other = AGENT_WORDS if request.purpose == OWN_INFORMATION else INDEX_WORDS
        return IndexAnswer(**said, code=code, words=of_members(codes, other), members=codes)
    months = months_from(model, sums.columns, row, request.months)
    words = _fewer(len(months), request.months, request.purpose)
    return IndexAnswer(**said, months=months, words=words, notice=model.card.notice)


def _fewer(told: int, asked: int, purpose: str) -> str:
    """That members tell fewer months than were asked for, and why.

    >>> _fewer(18, 18, ""), _fewer(1, 18, "")[:37]
    ('', 'Months told: 1, of 18 asked for. Earl')
    """
    if told == asked:
        return ""
    if purpose == MONITORING:
        return (
            f"Months told: {told}, of {asked} asked for. Of loans that run (portfolio_monitoring) the newest alone is "
            "told; earlier ones need the consent for the model's own purpose."
        )
    return (
        f"Months told: {told}, of {asked} asked for. Earlier ones are not known: a member's histories do not reach "
        "back so far, or its policy allows fewer (policy.serving.index_months)."
    )


def _used(part: ModelPart, deployed_as: str) -> ModelUsed:
    return ModelUsed(id=part.model, name=part.name, version=part.version, deployed_as=deployed_as)


@lru_cache(maxsize=64)
def _base_of(card: str) -> int:
    """Base points of the card by which holders give points; the scale is of its scores."""
    return Scorecard.from_json(card).base_points
