"""Requests that wait are put together, and each gets its own rows, codes and errors."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from fedrisk.errors import LaterError
from fedrisk.serving.gather import AT_ONCE, Gatherer, Rows
from fedrisk.serving.sums import Sums


class Members:
    """Answer with the number in each id; hold questions until they are let go."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), list[Rows]()
        self.began = threading.Semaphore(0)
        self.failed: dict[str, str] = {}
        self.error: Exception | None = None

    def ask(self, rows: Rows) -> Sums:
        self.asked.append(rows)
        self.began.release()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        if rows.keep is not None:
            rows.keep(b"question %d" % len(rows), 0)
        if self.failed and len(rows) > 1:
            return Sums("", failed=self.failed, root="together")
        refused = {k: {"tax": "consent_used"} for k, c in enumerate(rows.consents) if c == "used"}
        return Sums("", {"points": np.array([int(i) for i in rows.ids])}, refused)


@pytest.fixture
def members() -> Members:
    return Members()


def start(members: Members, requests: list[Rows]) -> tuple[ThreadPoolExecutor, list["Future[Sums]"]]:
    """Send requests one after the other while the first questions are held."""
    gatherer, pool = Gatherer(), ThreadPoolExecutor(len(requests))
    found = []
    for k, rows in enumerate(requests):
        found.append(pool.submit(gatherer.ask, "kind", rows, members.ask))
        if k < AT_ONCE:
            assert members.began.acquire(timeout=10)
    while len(next(iter(gatherer._kinds.values()))._waiting) < len(requests) - AT_ONCE:
        if len(members.asked) > AT_ONCE:
            break
    return pool, found


def one(id: int, consent: str = "") -> Rows:
    return Rows((str(id),), (consent,))


def test_who_comes_alone_is_sent_at_once(members: Members) -> None:
    members.go.set()
    assert Gatherer().ask("kind", one(7), members.ask).columns["points"].tolist() == [7]


def test_what_waits_goes_into_the_next_question(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedrisk.serving.gather.PATIENCE", 60.0)
    pool, found = start(members, [*(one(k) for k in range(6)), Rows(("8", "9"), ("", "used"))])
    members.go.set()
    sums = [f.result(10) for f in found]
    pool.shutdown()
    assert [s.columns["points"].tolist() for s in sums] == [[0], [1], [2], [3], [4], [5], [8, 9]]
    assert [dict(s.refused) for s in sums][-2:] == [{}, {1: {"tax": "consent_used"}}]
    assert [len(r) for r in members.asked] == [1, 1, 6]


def test_a_request_learns_its_place_in_the_question(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedrisk.serving.gather.PATIENCE", 60.0)
    kept: list[tuple[bytes, int]] = []
    keeper = Rows(("5",), ("",), lambda raw, place: kept.append((raw, place)))
    pool, found = start(members, [one(1), one(2), one(3), keeper])
    members.go.set()
    assert [f.result(10).columns["points"].tolist() for f in found] == [[1], [2], [3], [5]]
    pool.shutdown()
    ((raw, place),) = kept
    assert raw in (b"question 2", b"question 1")
    assert members.asked[-1].ids[place] == "5"


def test_one_question_too_slow_stops_nobody_for_long(members: Members) -> None:
    """The first two are held; the third goes out by itself after a moment."""
    gatherer = Gatherer()
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(gatherer.ask, "kind", one(k), members.ask) for k in range(AT_ONCE)]
        for _ in held:
            assert members.began.acquire(timeout=10)
        third = pool.submit(gatherer.ask, "kind", one(9), members.ask)
        assert members.began.acquire(timeout=10)
        members.go.set()
        assert third.result(10).columns["points"].tolist() == [9]


def test_a_quota_that_the_whole_breaks_is_asked_for_one_by_one(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedrisk.serving.gather.PATIENCE", 60.0)
    members.failed = {"tax": "quota"}
    pool, found = start(members, [one(k) for k in range(5)])
    members.go.set()
    assert [f.result(10).columns["points"].tolist() for f in found] == [[k] for k in range(5)]
    pool.shutdown()
    # Each by itself is in place of the whole, at whose members consents were used.
    assert [r.repeats for r in members.asked[3:]] == ["together"] * 3


def test_an_error_is_everybodys(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedrisk.serving.gather.PATIENCE", 60.0)
    members.error = LaterError("the hub is away")
    pool, found = start(members, [one(k) for k in range(4)])
    members.go.set()
    for f in found:
        with pytest.raises(LaterError):
            f.result(10)
    pool.shutdown()
