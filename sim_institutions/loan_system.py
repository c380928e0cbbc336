"""A bank's loan system, as far as it asks its own node for scores: over HTTP on loopback, one connection a clerk.

For demonstrations, tests and benchmarks. It knows what a loan system knows: the address of the node's service, the file
with its token, ids, and consents that enterprises gave.
"""

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Heard:
    """What came of one request. seconds: from the first byte out to the last byte in; status: 0 where nothing came."""

    ids: tuple[str, ...]
    seconds: float
    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Answers by enterprise; none where the whole request has a code."""
        return list(self.body.get("answers", ()))

    @property
    def codes(self) -> list[str]:
        """The code of each answer, "" for a score; where the request has no answers, what it has in their place."""
        if self.answers:
            return [str(answer["code"]) for answer in self.answers]
        return [str(self.body.get("code") or f"http {self.status}")]


class LoanSystem:
    """One clerk's connection to the node's service; opened again where it was lost. Not for several threads at once."""

    def __init__(self, port: int, token: Path, *, timeout: float = 60.0) -> None:
        self._port, self._timeout = port, timeout
        self._token = token.read_text(encoding="utf-8").strip()
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, ids: Sequence[str], consents: Mapping[str, str] | None = None, *, key: str = "", **more: Any
    ) -> Heard:
        """Ask about enterprises. key: of the request, by which the same once more asks nobody; more: of the request."""
        rows = [{"id": i, "consent": (consents or {}).get(i, "")} for i in ids]
        content = json.dumps({"enterprises": rows, **more})
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        began = time.monotonic()
        status, body = self._send("POST", "/v1/scores", content, headers)
        return Heard(tuple(ids), time.monotonic() - began, status, body, began)

    def get(self, path: str) -> dict[str, Any]:
        """What the service says at a path."""
        return self._send("GET", path, None, {"Authorization": f"Bearer {self._token}"})[1]

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(
        self, method: str, path: str, content: str | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        # A connection that the other side gave up meanwhile shows at the first use: asked once more on a new one.
        for last in (False, True):
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(
                        "127.0.0.1", self._port, timeout=self._timeout
                    )
                self._connection.request(method, path, content, dict(headers))
                answer = self._connection.getresponse()
                raw = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if last or isinstance(error, TimeoutError):
                    return 0, {"code": type(error).__name__}
                continue
            with contextlib.suppress(ValueError):
                return answer.status, dict(json.loads(raw))
            return answer.status, {}
        raise AssertionError("unreachable")


def crowd(
    make: Callable[[], LoanSystem],
    questions: Iterable[Sequence[str]],
    *,
    clients: int = 1,
    consents: Callable[[Sequence[str]], Mapping[str, str]] = lambda ids: {},
    each: Callable[[int, Heard], None] = lambda number, heard: None,
    **more: Any,
) -> list[Heard]:
    """Ask all questions, as many clerks at once as ``clients``, each the next one that nobody has; in their order.

    consents: of the ids of a question. each: is told what came of every question, with its number, as it comes.
    """
    waiting = enumerate(questions)
    lock, heard = threading.Lock(), dict[int, Heard]()

    def clerk() -> None:
        system = make()
        try:
            while True:
                with lock:
                    number, ids = next(waiting, (-1, ()))
                if number < 0:
                    return
                found = system.ask(ids, consents(ids), **more)
                heard[number] = found
                each(number, found)
        finally:
            system.close()

    threads = [threading.Thread(target=clerk, name=f"clerk-{k}", daemon=True) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [heard[k] for k in itertools.takewhile(heard.__contains__, itertools.count())]


def quantiles(seconds: Sequence[float], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> list[float]:
    """Values below which such shares of all lie (the nearest that was there).

    >>> quantiles([0.3, 0.1, 0.2], [0.5, 0.99])
    [0.2, 0.3]
    """
    found = sorted(seconds)
    return [found[min(int(share * len(found)), len(found) - 1)] for share in shares]
