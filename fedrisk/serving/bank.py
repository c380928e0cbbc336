"""A bank's node as its loan system knows it: enterprises in, scores with reasons out.

Own columns come from the bank's table or with the request, the holders' sum of points through the relay, and the
arithmetic is that of a study (serving/card_model). There is no score from fewer holders than the model has: the
difference between two sets of them would be one holder's part. A model without holders is scored at once.

A score is advice. Challengers are asked about the same enterprises once the champion has answered, a few rows a
request, and what they say is kept for comparison and never shown as the answer (champion and challenger: Siddiqi 2017).
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, DataError, LaterError, ProtocolError, StoreError
from fedrisk.files import mark_of
from fedrisk.models.model_part import ModelPart
from fedrisk.serving.answer_store import AnswerStore
from fedrisk.serving.answer_table import answer_table, table_of, with_bins
from fedrisk.serving.answering import Answering, shown
from fedrisk.serving.asking import Asking
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.consulting import Table, advised
from fedrisk.serving.current import CurrentData
from fedrisk.serving.deployed import CHALLENGER, all_models, card_of, challengers, meant
from fedrisk.serving.gather import Gatherer, Rows, part_of
from fedrisk.serving.grades import grade
from fedrisk.serving.index import index_answers
from fedrisk.serving.index_forms import IndexBody, IndexRequest
from fedrisk.serving.later import Later, spare_uses
from fedrisk.serving.messages import Asked
from fedrisk.serving.own_columns import Looked, OwnRows, own_rows
from fedrisk.serving.relay import Relay
from fedrisk.serving.score_forms import ModelShown, ScoreAnswer, ScoreRequest, ServiceError
from fedrisk.serving.sums import Sums

FOLDER: Final = "serving"
"""Folder of the institution's store for what serves."""

SECONDS: Final = 10.0
"""Seconds for which the members' answers are waited for."""

MOST_CHALLENGED: Final = 100
"""Most rows of a request that challengers are asked about."""

MOST_CHALLENGERS: Final = 2
"""Most challengers that are asked beside the champion."""

log = logging.getLogger("fedrisk")


class Asks(Protocol):
    """Asks the members of a model; see serving/asking."""

    def ask(self, part: ModelPart, ids: Sequence[str], **how: Any) -> Sums:
        """Sums of the members' columns, by row, or codes."""
        ...


class BankService:
    """The service of one bank. Safe to use from several threads; close it when no more is asked.

    node: of a bank; its file is read again when it changes. relay: through which its models' members are asked; None
    where no model has any. asking, table: in place of those that follow from node and relay. remember: whether answers
    are kept in the bank's store, and challengers asked; a batch has a file for its answers.
    """

    def __init__(
        self,
        node: Node,
        relay: Relay | None,
        *,
        asking: Asks | None = None,
        table: Looked | None = None,
        seconds: float = SECONDS,
        remember: bool = True,
    ) -> None:
        if node.institution.kind != "bank":
            raise ConfigError(
                f"{node.name} is a {node.institution.kind} and scores nobody; a bank's node does. Name a bank's file"
            )
        self._seconds, self._given_table, self._remember = seconds, table, remember
        self._asking: Any = asking or (None if relay is None else Asking(node, relay))
        self._answers = AnswerStore(node.store.path / FOLDER, node.institution.policy.serving.answers_days)
        self._gather, self._later, self._advice = Gatherer(), Later(), Table()
        self._lock = threading.Lock()
        self._setting = self._set(node)

    @property
    def name(self) -> str:
        """The bank's name."""
        return self._setting.node.name

    def close(self) -> None:
        """Wait for challengers that are being asked, and close the store of answers."""
        self._later.close()
        self._answers.close()

    def models(self) -> list[ModelShown]:
        """The bank's scorecards, as a loan system may choose them."""
        node = self._now().node
        dictionary = node.institution.dictionary
        return [shown(card_of(node, part), state, dictionary) for part, state in all_models(node)]

    def products(self) -> tuple[str, ...]:
        """Products of the bank's table of decisions, by name; none without a table, or while it breaks a rule."""
        try:
            table = self._advice.of(self._now().node.institution)
        except ConfigError as error:
            self.note(error)
            return ()
        return () if table is None else tuple(p.name for p in table.products)

    def score(self, request: ScoreRequest) -> tuple[ScoreAnswer, ...]:
        """The answer for each id, in order; what was answered under the request's key before is answered again.

        ServiceError where the request as a whole has no answers, StoreError where the store fails.
        """
        if request.key is None:
            return self._answered(request, uuid.uuid4().hex)
        with self._answers.turn(request.key):
            kept = self._answers.kept(request)
            return self._answered(request, request.key) if kept is None else kept

    def table(self, request: ScoreRequest, bins: Sequence[str] = ()) -> pa.Table:
        """The answers as a table (serving/answer_table), for lists: nothing of it is kept, and no challenger asked.

        bins: own columns of the model whose bins are wanted beside the answers. Errors as of :meth:`score`.
        """
        setting = self._now()
        model, deployed_as = meant(setting.node, request)
        answering = self._ask(setting, request, model, deployed_as, key=None)
        graded = self._graded(setting, request)
        if graded is not None:
            return answer_table(answering, bins, graded)
        return with_bins(table_of(self._advised(setting, request, answering.answers())), answering, bins)

    def index(self, request: IndexRequest) -> IndexBody:
        """The operating health index of each id, in order, with its scale; errors as of :meth:`score`."""
        answers, scale = index_answers(
            self._now().node,
            self._asking,
            request,
            store=self._answers if self._remember else None,
            seconds=self._seconds,
            note=self.note,
        )
        return IndexBody(answers=answers, scale=scale)

    def note(self, error: BaseException) -> None:
        """The whole text goes to the institution's own log of errors."""
        with contextlib.suppress(OSError):
            self._setting.node.store.errors.add("", "score", error)

    def _now(self) -> "_Setting":
        """Node and table as the institution's file says today."""
        file = self._setting.node.institution.file
        with self._lock:
            if file is not None and mark_of(file) != self._setting.mark:
                self._setting = self._set(Node.open(file), self._setting.table)
            return self._setting

    def _set(self, node: Node, before: Looked | None = None) -> "_Setting":
        file = node.institution.file
        opened = before if isinstance(before, CurrentData) else None
        table = self._given_table or CurrentData.reopened(node.institution, node.store.path / FOLDER, opened)
        return _Setting(None if file is None else mark_of(file), node, table)

    def _answered(self, request: ScoreRequest, key: str) -> tuple[ScoreAnswer, ...]:
        began, setting = time.monotonic(), self._now()
        model, deployed_as = meant(setting.node, request)
        answers = self._advised(
            setting, request, self._ask(setting, request, model, deployed_as, key=request.key).answers()
        )
        if self._remember:
            self._answers.keep(request, key, answers)
            self._challenge(setting, request, key, model, answers)
        log.info(
            "scores were asked for",
            extra={
                "event": "scored",
                "rows": len(answers),
                "answered": sum(not a.code for a in answers),
                "seconds": round(time.monotonic() - began, 4),
            },
        )
        return answers

    def _graded(self, setting: "_Setting", request: ScoreRequest) -> Callable[[float], str] | None:
        """How all rows of a request are graded; None where each has advice of its own, or the table is broken."""
        try:
            table = self._advice.of(setting.node.institution)
        except (ConfigError, DataError):
            return None
        if table is None:
            return grade
        if request.product in {product.name for product in table.products}:
            return None
        return lambda probability: table.grade(probability).name

    def _advised(
        self, setting: "_Setting", request: ScoreRequest, answers: Sequence[ScoreAnswer]
    ) -> tuple[ScoreAnswer, ...]:
        """Answers with the advice of the bank's own table; a table that breaks a rule takes no score away."""
        try:
            table = self._advice.of(setting.node.institution)
            if table is None:
                return tuple(answers)
            return tuple(advised(table, request, row, a) for row, a in enumerate(answers))
        except (ConfigError, DataError) as error:
            self.note(error)
            told = "The bank's table of decisions cannot be used; its node's log of errors says why."
            return tuple(a.model_copy(update={"notice": f"{a.notice or ''} {told}".strip()}) for a in answers)

    def _ask(
        self,
        setting: "_Setting",
        request: ScoreRequest,
        model: CardModel,
        deployed_as: str,
        *,
        key: str | None,
    ) -> Answering:
        """Answers of one model; asks its members about rows whose own columns are there.

        key: under which the question is kept until there is an answer; None keeps none.
        """
        own, failure = self._own(setting, request, model), ""
        rows = [k for k in range(len(request.ids)) if k not in own.refused]
        sums: Sums | None = None
        if rows and model.part.holders:
            try:
                sums = self._sums(request, model.part, rows, key)
            except (LaterError, ProtocolError) as error:
                self.note(error)
                failure = "hub"
        asked = rows if model.part.holders else ()
        return Answering(request, model, deployed_as, own, asked, sums, failure)

    def _sums(self, request: ScoreRequest, part: ModelPart, rows: Sequence[int], key: str | None) -> Sums:
        """What the members give for these rows of the request, with other requests' rows or by a question kept."""
        asking = self._asking
        if asking is None:
            raise LaterError("this node has no hub to ask through; give node.toml the hub's scoring address")
        purpose, product, screening = request.purpose or part.purpose, request.product, request.screening
        how: dict[str, Any] = {
            "purpose": purpose,
            "product": product,
            "screening": screening,
            "seconds": self._seconds,
        }

        def ask(together: Rows) -> Sums:
            keep, more = together.keep, dict[str, Any]()
            if keep is not None:
                more["keep"] = lambda raw: keep(raw, 0)
            if together.repeats:
                more["repeats"] = together.repeats
            sums: Sums = asking.ask(part, together.ids, consents=together.consents, **how, **more)
            return sums

        given = request.consents or ("",) * len(request.ids)
        ids, consents = tuple(request.ids[k] for k in rows), tuple(given[k] for k in rows)
        if key is None:
            return self._gather.ask((part.model, purpose, product, screening), Rows(ids, consents), ask)

        def keep(raw: bytes, place: int) -> None:
            self._answers.keep_question(key, part.model, raw, place)

        kept = self._answers.question(key, part.model)
        if kept is not None:
            sums, repeats = _asked_again(asking, part, kept, ids, how)
            return ask(Rows(ids, consents, keep, repeats)) if sums is None else sums
        return self._gather.ask((part.model, purpose, product, screening), Rows(ids, consents, keep), ask)

    def _own(self, setting: "_Setting", request: ScoreRequest, model: CardModel) -> OwnRows:
        institution = setting.node.institution
        if institution.dictionary is None or institution.table is None:
            raise ServiceError("store")
        try:
            return own_rows(
                model,
                institution.dictionary,
                setting.table,
                request.ids,
                request.values,
                institution.table.notation,
            )
        except (DataError, ConfigError, StoreError, LaterError) as error:
            self.note(error)
            nothing = np.full(len(request.ids), np.nan)
            columns = dict.fromkeys(model.columns, nothing)
            return OwnRows(columns, dict.fromkeys(range(len(request.ids)), ("own_table", ())))

    def _challenge(
        self,
        setting: "_Setting",
        request: ScoreRequest,
        key: str,
        champion: CardModel,
        answers: Sequence[ScoreAnswer],
    ) -> None:
        """Have challengers asked about the rows that have a score, once nobody waits for it.

        A token of consent holds for as many questions as it says; rows whose token would be used up are left out.
        """
        beside = challengers(setting.node, request, champion)[:MOST_CHALLENGERS]
        scored = [k for k, a in enumerate(answers) if not a.code]
        given = request.consents or ("",) * len(request.ids)
        rows = [k for k in scored if spare_uses(given[k]) > len(beside)][:MOST_CHALLENGED]
        if not beside or not rows or request.screening:
            return
        part = _only(request, rows)

        def ask() -> None:
            for model in beside:
                answering = self._ask(setting, part, model, CHALLENGER, key=None)
                self._answers.beside(part, key, answering.answers())

        self._later.offer(ask, self.note)


@dataclass(frozen=True)
class _Setting:
    """mark: of the institution's file when node and table were made from it."""

    mark: tuple[int, ...] | None
    node: Node
    table: Looked


class _Anew(Exception):
    """A question that was kept cannot be sent once more."""


def _asked_again(
    asking: Asks, part: ModelPart, kept: tuple[bytes, int], ids: Sequence[str], how: Mapping[str, Any]
) -> tuple[Sums | None, str]:
    """The rows' part of a question that went out before, and the first question in whose place that one was.

    None where it is about others, is too old for a member that has not answered it, or its keys are gone.
    """
    (raw, place), root = kept, ""

    def anew(_: bytes) -> None:
        # Other requests' rows were in it; those are not to be asked about once more.
        raise _Anew

    with contextlib.suppress(_Anew, ProtocolError):
        asked = Asked.from_bytes(raw)
        if asked.ids[place : place + len(ids)] == tuple(ids):
            root = asked.root
            sums = asking.ask(part, asked.ids, consents=asked.consents, **how, kept=raw, keep=anew)
            return part_of(sums, place, place + len(ids)), root
    return None, root


def _only(request: ScoreRequest, rows: Sequence[int]) -> ScoreRequest:
    return request.model_copy(
        update={
            "ids": tuple(request.ids[k] for k in rows),
            "consents": tuple(request.consents[k] for k in rows) if request.consents else (),
            "values": {place: request.values[k] for place, k in enumerate(rows) if k in request.values},
        }
    )
