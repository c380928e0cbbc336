"""What a bank's node answered its loan system, in the bank's own store, for as long as the bank wants.

A loan system that lost an answer asks once more with the same request id, and gets the answer that was given: nobody is
asked twice, and no holder's quota is used twice. The same id with another request is refused
(draft-ietf-httpapi-idempotency-key-header). The file is the bank's alone, since it holds ids.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from fedrisk.errors import StoreError
from fedrisk.files import PUT_BACK, make_folders, private_file
from fedrisk.serving.codes import PASSING, WHOLE
from fedrisk.serving.score_forms import ScoreAnswer, ScoreRequest, ServiceError
from fedrisk.serving.turns import Turns

FILE: Final = "answers.sqlite"

QUESTION_SECONDS: Final = 86400.0
"""Seconds after which a question is deleted; members forget it then too (serving/book)."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, digest BLOB NOT NULL, made REAL NOT NULL, final INTEGER NOT NULL, answers BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_made ON requests (made);
CREATE TABLE IF NOT EXISTS questions (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, made REAL NOT NULL, raw BLOB NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    key TEXT NOT NULL, row INTEGER NOT NULL, model TEXT NOT NULL, deployed_as TEXT NOT NULL, made REAL NOT NULL,
    enterprise TEXT NOT NULL, product TEXT NOT NULL, code TEXT NOT NULL, score INTEGER, probability REAL,
    PRIMARY KEY (key, row, model)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scores_made ON scores (model, made);
"""

_ANSWERS: Final = TypeAdapter(tuple[ScoreAnswer, ...])


class AnswerStore:
    """The file of answers. Safe to use from several threads; several processes wait for each other."""

    def __init__(self, folder: Path, days: int) -> None:
        """Open, or make, ``folder/answers.sqlite``; answers older than ``days`` are deleted, now and once a day."""
        self.path, self._days = folder / FILE, days
        self._lock, self._turns = threading.Lock(), Turns()
        self._cleared = 0.0
        try:
            make_folders(folder)
            private_file(self.path)
            self._db = sqlite3.connect(self.path, timeout=10, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last answers, which are asked for again then; a killed process loses none.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def turn(self, key: str) -> AbstractContextManager[None]:
        """One request of that id at a time; the second waits for the first, and finds its answer."""
        return self._turns.of(key)

    def kept(self, request: ScoreRequest) -> tuple[ScoreAnswer, ...] | None:
        """The final answers of a request that came before, None where it has none yet.

        ServiceError ``repeated_key`` where its id was used for another request.
        """
        answers = self.kept_body(request.key or "", digest_of(request))
        if answers is None:
            return None
        try:
            return _ANSWERS.validate_json(answers)
        except ValidationError:
            raise StoreError(f"{self.path} is damaged; {PUT_BACK}, or delete it") from None

    def kept_body(self, key: str, digest: bytes) -> bytes | None:
        """The final answers under a key as they were kept, None where there are none yet.

        ServiceError ``repeated_key`` where it was used for a request of another digest.
        """
        rows = self._run("SELECT digest, final, answers FROM requests WHERE key = ?", (key,))
        if not rows:
            return None
        if rows[0][0] != digest:
            raise ServiceError("repeated_key")
        return bytes(rows[0][2]) if rows[0][1] else None

    def keep_body(self, key: str, digest: bytes, body: bytes, *, final: bool) -> None:
        """Keep the answers of a request under its key; final: nothing of it is asked again."""
        with self._lock, self._transaction():
            self._put_body(key, digest, body, time.time(), final)

    def keep(self, request: ScoreRequest, key: str, answers: Sequence[ScoreAnswer]) -> None:
        """Keep the answers of a request; one without the answers of all members is asked again when it comes again.

        key: the request's own, or one under which its scores alone are kept. Nothing is kept of a list that the bank
        looks through.
        """
        codes = {code for a in answers for code in (a.code, *a.members.values())}
        now = time.time()
        with self._lock, self._transaction():
            if request.key is not None:
                body = _ANSWERS.dump_json(tuple(answers))
                self._put_body(key, digest_of(request), body, now, settled(codes))
            if not request.screening:
                self._put_scores(request, key, answers, now)
        if now - self._cleared > 86400:
            self._cleared = now
            self.forget(now - 86400 * self._days)

    def question(self, key: str, model: str) -> tuple[bytes, int] | None:
        """The question that a request went out with and has no answer to, and the place of its first row in it."""
        rows = self._run("SELECT raw, place FROM questions WHERE key = ? AND model = ?", (key, model))
        return (bytes(rows[0][0]), int(rows[0][1])) if rows else None

    def keep_question(self, key: str, model: str, raw: bytes, place: int) -> None:
        """Keep a question before it goes out: sent once more after a stop, members count nothing twice."""
        with self._lock, self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?, ?)",
                (key, model, time.time(), raw, place),
            )

    def beside(self, request: ScoreRequest, key: str, answers: Sequence[ScoreAnswer]) -> None:
        """Keep what a challenger says of the same request; it is nobody's answer."""
        with self._lock, self._transaction():
            self._put_scores(request, key, answers, time.time())

    def forget(self, before: float) -> None:
        """Delete what was answered before a time (seconds since 1970)."""
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM requests WHERE made < ?", (before,))
            self._db.execute("DELETE FROM questions WHERE made < ?", (time.time() - QUESTION_SECONDS,))
            self._db.execute("DELETE FROM scores WHERE made < ?", (before,))

    def scores(self, model: str, since: float = 0.0) -> list[tuple[str, float, int, float]]:
        """Enterprise, time, score and probability of what a model said since a time, in order of time."""
        return self._run(
            "SELECT enterprise, made, score, probability FROM scores WHERE model = ? AND made >= ? "
            "AND score IS NOT NULL ORDER BY made",
            (model, since),
        )

    def _put_body(self, key: str, digest: bytes, body: bytes, now: float, final: bool) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?)", (key, digest, now, final, body)
        )
        if final:
            self._db.execute("DELETE FROM questions WHERE key = ?", (key,))

    def _put_scores(
        self, request: ScoreRequest, key: str, answers: Sequence[ScoreAnswer], now: float
    ) -> None:
        rows = [
            (
                *(key, row, a.model.id, a.model.deployed_as, now),
                *(a.id, request.product, a.code, a.score, a.probability),
            )
            for row, a in enumerate(answers)
        ]
        self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _run(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._failed(error) from None

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(f"{self.path} cannot be used: {error}; check space and permissions, or {PUT_BACK}")


def settled(codes: Collection[str]) -> bool:
    """Whether answers with these codes are final.

    A member that failed the whole question may be asked again by the same bytes: others have answered them.

    >>> settled({"", "consent_used"}), settled({"", "away"})
    (True, False)
    """
    return not set(codes) & {*PASSING, *WHOLE}


def digest_of(request: ScoreRequest) -> bytes:
    """SHA-256 of a request without its id."""
    content = request.model_dump(mode="json", exclude={"key"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
