"""A member's side of served scores: it checks a question, looks its rows up, and answers with masked points.

Checks come in an order in which whoever is not known costs little: the form and the model's own list of banks, then the
seal, which only the bank's pinned identity vouches for, then what it says, then the institution's own rules, and last
its table. Whatever is refused is refused by one of the codes of ``codes``; the reason stays at home.

Rows that are refused get uniform random numbers. A bare mask would say nothing of this holder either, but with it the
points of the others would open as a sum of fewer.
"""

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.node import Node
from fedrisk.errors import AwayError, LaterError, StoreError
from fedrisk.files import mark_of
from fedrisk.models.model_part import REST, ModelPart
from fedrisk.privacy.policy import Policy
from fedrisk.secure.envelope import seal
from fedrisk.secure.identity import SignedKey
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.ring import from_signed
from fedrisk.serving import registry
from fedrisk.serving.book import Book, Kept
from fedrisk.serving.consent import Consents
from fedrisk.serving.current import CurrentData
from fedrisk.serving.keys import Fetch, Peers, ServingKeys
from fedrisk.serving.kinds import KINDS
from fedrisk.serving.messages import Answered
from fedrisk.serving.noting import ACTION, Entries, Noting, consents_digest, kind_of, plain
from fedrisk.serving.opening import Opening, Question, Refused, answer_context, mask_label
from fedrisk.serving.relay import Reply
from fedrisk.serving.rows import Rows
from fedrisk.serving.turns import Turns


@dataclass(frozen=True)
class _Setting:
    """What the institution's files said when they were last read."""

    mark: tuple[int, ...]
    node: Node
    entries: Entries
    consents: Consents
    data: CurrentData

    @property
    def policy(self) -> Policy:
        return self.node.institution.policy


class Holder:
    """One institution that answers questions about scores. Safe to use from many threads.

    node: its institution file, or a node. fetch: ``Relay.keys``, by which the bank's and the other holders' keys come;
    they are used after verification alone.
    """

    def __init__(
        self, node: Node | str | Path, fetch: Fetch, *, clock: Callable[[], float] = time.time
    ) -> None:
        first = node if isinstance(node, Node) else Node.open(node)
        self._first, self.name, self.clock = first, first.name, clock
        self.keys = ServingKeys(first.store, first.name, clock=clock)
        self.peers = Peers(self.keys, fetch)
        self.noting = Noting(clock)
        self._opening = Opening(first, self.keys, self.peers, clock)
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._turns = Turns()
        self._now: _Setting | None = None
        self._book: Book | None = None

    def key(self, epoch: str) -> SignedKey:
        """This institution's key of an epoch, signed; ProtocolError for an epoch whose keys are not used now."""
        return self.keys.signed(epoch)

    @property
    def book(self) -> Book:
        """What was answered and counted."""
        with self._lock:
            if self._book is None:
                self._book = self.keys.begin()
            return self._book

    def ready(self) -> None:
        """Open book and table beforehand, where there is a model to answer: an index of a table may take a while."""
        if any(self.name in part.holders for part in self._first.store.models.parts()):
            self._setting()

    def tidy(self) -> None:
        """Delete keys of weeks that are over; to be called every hour, also where nobody asks."""
        self.keys.tidy()
        self.peers.tidy()

    def close(self) -> None:
        """Close what is open."""
        with self._reading:
            if self._now is not None:
                self._now.data.close()
            self._now = None
        with self._lock:
            if self._book is not None:
                self._book.close()
            self._book = None

    def answer(self, asker: str, id: str, model: str, envelope: bytes) -> Reply:
        """The answer to a bank's question, sealed for it, or a code; never raises. asker: as the relay knows it."""
        begun, seen = time.perf_counter(), _Seen()
        try:
            answer = self._answer(seen, asker, id, model, envelope)
        except Exception as error:
            return Reply(self._refuse(error, asker, seen))
        self.noting.served(time.perf_counter() - begun, len(answer), seen.refused)
        return Reply("", answer)

    def _answer(self, seen: "_Seen", asker: str, id: str, model: str, envelope: bytes) -> bytes:
        part = self._opening.part(asker, id, model, envelope)
        seen.study = plain(part.name)
        question = self._opening.opened(part, asker, id, envelope)
        setting = self._setting()
        seen.known = True
        # The same question is worked on once at a time.
        with self._turns.of(id):
            kept = self.book.kept(id)
            if kept is None:
                # One that was answered may come again after any time; what was deleted may not.
                self._opening.check_age(question)
                self._check_masks(question)
                self._check_rules(setting, question)
                kept, seen.refused = self._decide(setting, question)
            if kept.digest != question.digest:
                raise Refused("repeated", f"{asker} asked twice under one id with different content")
            self._enter(setting, id, kept)
        return kept.answer

    # --- the institution's own rules ----------------------------------------------------------------------

    def _setting(self) -> _Setting:
        """Policy, consents and table, read again when the institution's file or its key changed."""
        store, file = self._first.store, self._first.institution.file
        mark = mark_of(*([file] if file is not None else []), store.path / "identity.key")
        with self._reading:
            found = self._now
            if found is None or found.mark != mark:
                node = self._first if file is None else Node.open(file)
                found = self._now = _Setting(
                    mark=mark,
                    node=node,
                    entries=Entries(node),
                    consents=Consents(
                        node.institution.policy.serving, secret=self.book.secret, known=self.book.verified
                    ),
                    data=CurrentData.reopened(
                        node.institution, store.path / "serving", None if found is None else found.data
                    ),
                )
            return found

    def _check_masks(self, question: Question) -> None:
        """Refused where its masks may have covered other numbers before: its answer may have been deleted.

        That is so where the clock ran ahead, old answers were deleted, and the clock was put back. A new key is made.
        """
        if self.book.forgot(question.asked.made):
            self.keys.drop()
            self.book.begin_anew()
        if self.keys.own(question.asked.epoch).public != question.own.public:
            raise Refused(
                "keys", "the clock was put back or keys were deleted; questions under old keys are over"
            )

    def _check_rules(self, setting: _Setting, question: Question) -> None:
        """Refused unless the institution answers this model, to this bank, for this purpose, today."""
        asked, part = question.asked, question.part
        try:
            registry.served(setting.node, part.model, asked.asker)
        except registry.Unserved as error:
            raise Refused(error.answer, str(error)) from None
        _check_encoders(setting, part)
        _check_computed(setting, part)
        code = KINDS[part.kind].refused(asked, part, setting.policy)
        if code:
            raise Refused(code, f"a question of {asked.asker} does not fit the model, or the policy ({code})")

    # --- the answer -----------------------------------------------------------------------------------------

    def _decide(self, setting: _Setting, question: Question) -> tuple[Kept, dict[int, str]]:
        """Look up, count, mask and seal, and commit it all; what is refused by row."""
        asked, kind, now = question.asked, KINDS[question.part.kind], self.clock()
        agent = registry.is_agent(setting.node, question.part, asked.asker)
        scores = question.part.kind == "scorecard"
        rows = Rows(asked, setting.node.institution, setting.consents, now, agent=agent, scores=scores)
        values = rows.values(kind, question.part, setting.data, now)
        book = self.book
        serving = setting.policy.serving
        keys = [r.key for r in serving.registers_on(datetime.fromtimestamp(now, UTC).date())]
        with book.question(now, serving.consent_days, keys) as page:
            kept = page.kept(asked.id)
            if kept is not None:
                return kept, {}
            under = kind.under(question.part)
            enterprises = [book.enterprise(under + id) for id in rows.spelt]
            rows.count(page, kind, question.part, enterprises, now)
            answered = Answered(
                asked.id, question.digest, self._masked(question, values, rows.refused), rows.refused
            )
            answer = seal(
                question.own, question.bank, answer_context(asked, self.name), [answered.to_bytes()]
            )
            entry = json.dumps(_entry(question, rows, len(answer), setting.policy))
            page.keep(asked.id, asked.asker, question.digest, answer, entry)
        return Kept(question.digest, answer, entry, fresh=True), rows.refused

    def _masked(
        self, question: Question, values: dict[str, NDArray[np.int64]], refused: dict[int, str]
    ) -> dict[str, NDArray[np.uint32]]:
        gone, shared = sorted(refused), self.peers.secrets(question.own, question.peers)
        out: dict[str, NDArray[np.uint32]] = {}
        for matrix, names in KINDS[question.part.kind].together(list(values)).items():
            columns = from_signed(np.stack([values[name] for name in names]), "uint32")
            if shared:
                label = mask_label(question.asked, question.digest, matrix)
                columns += pair_mask(shared, self.name, label, columns.shape, "uint32")
            random = secrets.token_bytes(4 * len(names) * len(gone))
            columns[:, gone] = np.frombuffer(random, np.uint32).reshape(len(names), -1)
            out |= dict(zip(names, columns, strict=True))
        return out

    def _enter(self, setting: _Setting, id: str, kept: Kept) -> None:
        """Enter what is given, before it goes; once, also where a process was killed on the way."""
        if not kept.entry:
            return
        draft = json.loads(kept.entry)
        if kept.fresh or not setting.entries.has(kept.digest):
            setting.entries.append(draft)
        self.book.mark_entered(id)

    def _refuse(self, error: Exception, asker: str, seen: "_Seen") -> str:
        code = "internal"
        if isinstance(error, Refused):
            code = error.code
        elif isinstance(error, AwayError | StoreError | LaterError | OSError):
            code = "later"
        with contextlib.suppress(Exception):
            setting = self._now
            entries = Entries(self._first) if setting is None else setting.entries
            self.noting.refused(self._first, entries, error, code, asker, seen.study, known=seen.known)
        return code


def _check_encoders(setting: _Setting, part: ModelPart) -> None:
    """Refused where an encoder behind the model's columns is another one than it was made with."""
    now = setting.data.encoders() if part.encoders else {}
    if other := [name for name, digest in part.encoders.items() if now.get(name) != digest]:
        raise Refused(
            "approval",
            f"encoder {', '.join(other)} is not the one that model {part.model} was made with; put its file back into "
            "the store, or run a study and approve the model that it leaves",
        )


def _check_computed(setting: _Setting, part: ModelPart) -> None:
    """Refused where a column of the model is computed from histories by another rule than it was made with."""
    dictionary = setting.node.institution.dictionary
    rules = {} if dictionary is None else dictionary.computed
    now = {name: rule.digest for name, rule in rules.items()}
    if other := [name for name, digest in part.computed.items() if now.get(name) != digest]:
        raise Refused(
            "approval",
            f"column {', '.join(other)} is computed from histories in another way than when model {part.model} was "
            "made; put kind, months, before, since, and the series' bounds, months and season back in the "
            "institution's file, or run a study and approve the model that it leaves",
        )


class _Seen:
    """What is known of a question so far, for the note of a refusal."""

    def __init__(self) -> None:
        self.known, self.study = False, ""
        self.refused: dict[int, str] = {}


def _entry(question: Question, rows: Rows, size: int, policy: Policy) -> dict[str, Any]:
    """The entry of what is given: to whom, of how many enterprises, under which consent."""
    asked, part = question.asked, question.part
    entry = {
        "study": plain(part.name),
        "purpose": plain(asked.purpose),
        "action": ACTION,
        "counterparty": asked.asker,
        "digest": question.digest,
        "bytes": size,
        "consent": consents_digest(rows.consents),
    }
    if not rows.given:
        return {**entry, "event": "refusal", "kind": "refusal", "code": "rows"}
    protection: str = "masked_among_holders" if question.peers else policy.scores
    if any(one.features and (one.alone or one.name != REST) for one in part.sums):
        protection = f"{policy.scores}_by_theme"
    return {
        **entry,
        "event": "score",
        "kind": kind_of(
            part.kind, screening=asked.screening, index=part.index is not None, months=rows.months
        ),
        "protection": protection,
        "rows": rows.given,
    }
