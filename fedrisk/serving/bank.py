"""A bank's node as its loan system knows it: enterprises in, scores with reasons out.

Own columns come from the bank's table or with the request, the holders' sum of points through the relay, and the
arithmetic is that of a study (serving/card_model). There is no score from fewer holders than the model has: the
difference between two sets of them would be one holder's part. A model without holders is scored at once.

A score is advice. Challengers are asked about the same enterprises once the champion has answered, a few rows a
request, and what they say is kept for comparison and never shown as the answer (champion and challenger: Siddiqi 2017).
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, DataError, LaterError, StoreError
from fedrisk.models.model_part import ModelPart
from fedrisk.serving.answer_store import AnswerStore
from fedrisk.serving.answering import Answering, shown
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.deployed import Deployed, Models
from fedrisk.serving.gather import Gatherer, Rows, Sums
from fedrisk.serving.own_columns import Looked, OwnRows, own_rows
from fedrisk.serving.relay import Relay
from fedrisk.serving.score_forms import ModelShown, ScoreAnswer, ScoreRequest, ServiceError

SECONDS: Final = 10.0
"""Seconds for which the members' answers are waited for."""

MOST_CHALLENGED: Final = 100
"""Most rows of a request that challengers are asked about."""

MOST_CHALLENGERS: Final = 2
"""Most challengers that are asked beside the champion."""

MOST_WAITING: Final = 64
"""Most requests that wait for their challengers; more are left out, since answers come first."""

log = logging.getLogger("fedrisk")


class Asks(Protocol):
    """Asks the members of a model; see serving/asking."""

    def ask(self, part: ModelPart, ids: Sequence[str], **how: Any) -> Any:
        """Sums of the members' columns, by row, or codes."""
        ...


class BankService:
    """The service of one bank. Safe to use from several threads; close it when no more is asked.

    node: of a bank. relay: through which its models' members are asked; None where no model has any.
    asking, table, models: in place of those that follow from node and relay.
    """

    def __init__(
        self,
        node: Node,
        relay: Relay | None,
        *,
        asking: Asks | None = None,
        table: Looked | None = None,
        models: Models | None = None,
        seconds: float = SECONDS,
    ) -> None:
        if node.institution.kind != "bank":
            raise ConfigError(
                f"{node.name} is a {node.institution.kind} and scores nobody; a bank's node does. Name a bank's file"
            )
        self.node, self._seconds = node, seconds
        self._asking = asking
        self._table = table
        self._deployed = Deployed(models or node.store.models)
        self._answers = AnswerStore(node.store.path / "serving", node.institution.policy.serving.answers_days)
        self._gather = Gatherer()
        self._later = _Later()

    def close(self) -> None:
        """Wait for challengers that are being asked, and close the store of answers."""
        self._later.close()
        self._answers.close()

    def models(self) -> list[ModelShown]:
        """The bank's scorecards, as a loan system may choose them."""
        dictionary = self.node.institution.dictionary
        return [shown(CardModel.of(part), state, dictionary) for part, state in self._deployed.all()]

    def score(self, request: ScoreRequest) -> tuple[ScoreAnswer, ...]:
        """The answer for each id, in order; what was answered under the request's key before is answered again.

        ServiceError where the request as a whole has no answers, StoreError where the store fails.
        """
        if request.key is None:
            return self._answered(request, uuid.uuid4().hex)
        with self._answers.turn(request.key):
            kept = self._answers.kept(request)
            return self._answered(request, request.key) if kept is None else kept

    def _answered(self, request: ScoreRequest, key: str) -> tuple[ScoreAnswer, ...]:
        began = time.monotonic()
        model, deployed_as = self._deployed.meant(request)
        answers = self._ask(request, model, deployed_as)
        self._answers.keep(request, key, answers)
        self._challenge(request, key, model, answers)
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

    def _ask(self, request: ScoreRequest, model: CardModel, deployed_as: str) -> tuple[ScoreAnswer, ...]:
        """Answers of one model; asks its members about rows whose own columns are there."""
        own, failure = self._own(request, model), ""
        rows = [k for k in range(len(request.ids)) if k not in own.refused]
        sums: Sums | None = None
        if rows and model.part.holders:
            try:
                sums = self._gathered(request, model.part, rows)
            except LaterError as error:
                self.note(error)
                failure = "hub"
        asked = rows if model.part.holders else ()
        return tuple(Answering(request, model, deployed_as, own, asked, sums, failure).answers())

    def _gathered(self, request: ScoreRequest, part: ModelPart, rows: Sequence[int]) -> Sums:
        purpose, product, screening = request.purpose or part.purpose, request.product, request.screening
        asking = self._asking
        if asking is None:
            raise LaterError("this node has no hub to ask through; give node.toml the hub's scoring address")

        def ask(together: Rows) -> Any:
            return asking.ask(
                part,
                together.ids,
                purpose=purpose,
                product=product,
                consents=together.consents,
                screening=screening,
                seconds=self._seconds,
            )

        given = request.consents or ("",) * len(request.ids)
        mine = Rows(tuple(request.ids[k] for k in rows), tuple(given[k] for k in rows))
        return self._gather.ask((part.model, purpose, product, screening), mine, ask)

    def _own(self, request: ScoreRequest, model: CardModel) -> OwnRows:
        institution = self.node.institution
        if institution.dictionary is None or institution.table is None or self._table is None:
            raise ServiceError("store")
        try:
            return own_rows(
                model,
                institution.dictionary,
                self._table,
                request.ids,
                request.values,
                institution.table.notation,
            )
        except (DataError, ConfigError, StoreError, LaterError) as error:
            self.note(error)
            nothing = np.full(len(request.ids), np.nan)
            columns = dict.fromkeys((f.column for f in model.features), nothing)
            return OwnRows(columns, dict.fromkeys(range(len(request.ids)), ("own_table", ())))

    def _challenge(
        self, request: ScoreRequest, key: str, champion: CardModel, answers: Sequence[ScoreAnswer]
    ) -> None:
        """Have challengers asked about the rows that have a score, once nobody waits for it."""
        challengers = self._deployed.challengers(request, champion)[:MOST_CHALLENGERS]
        rows = [k for k, a in enumerate(answers) if not a.code][:MOST_CHALLENGED]
        if not challengers or not rows or request.screening:
            return
        part = _only(request, rows)

        def ask() -> None:
            for model in challengers:
                self._answers.beside(request, key, self._ask(part, model, "challenger"))

        self._later.offer(ask, self.note)

    def note(self, error: BaseException) -> None:
        """The whole text goes to the institution's own log of errors."""
        self.node.store.log_error("", "score", error)


def _only(request: ScoreRequest, rows: Sequence[int]) -> ScoreRequest:
    return request.model_copy(
        update={
            "ids": tuple(request.ids[k] for k in rows),
            "consents": tuple(request.consents[k] for k in rows) if request.consents else (),
            "values": {place: request.values[k] for place, k in enumerate(rows) if k in request.values},
        }
    )


class _Later:
    """One thread for what nobody waits for; what is too much is left out."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def offer(self, do: Any, failed: Any) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="challengers", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait((do, failed))
        except queue.Full:
            log.warning("challengers were left out: too many requests wait", extra={"event": "left_out"})

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            do, failed = job
            try:
                do()
            except Exception as error:
                failed(error)

    def close(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=SECONDS)
