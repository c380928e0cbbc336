"""What nobody waits for: in order, one error stops nothing, too much is left out, and consents are not used up."""

import base64
import json
import threading
from typing import Any

import pytest

from fedrisk.serving import later
from fedrisk.serving.later import ENOUGH, Later, spare_uses


def token(content: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJFZERTQSJ9.{part}.c2ln"


def test_jobs_come_in_order_and_errors_stop_nothing() -> None:
    done, errors, work = list[int](), list[Exception](), Later()

    def job(k: int) -> None:
        if k == 1:
            raise ValueError(k)
        done.append(k)

    for k in range(4):
        work.offer(lambda k=k: job(k), errors.append)  # type: ignore[misc]
    work.close()
    assert done == [0, 2, 3]
    assert [type(e) for e in errors] == [ValueError]
    work.close()


def test_too_much_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    work, go, done = Later(), threading.Event(), list[int]()
    for _ in range(later.MOST_WAITING + 5):
        work.offer(lambda: done.append(int(go.wait(10))), lambda error: None)
    go.set()
    work.close()
    assert later.MOST_WAITING <= len(done) <= later.MOST_WAITING + 1
    assert "challengers were left out" in caplog.text


@pytest.mark.parametrize(
    ("consent", "uses"),
    [
        ("", ENOUGH),
        ("contract 17", ENOUGH),
        (token({}), 1),
        (token({"uses": 5}), 5),
        (token({"uses": "x"}), 1),
        (token([1]), 1),
        ("a.b.c", 1),
        ("a.!.c", 1),
    ],
)
def test_a_consent_says_how_often_it_may_be_used(consent: str, uses: int) -> None:
    assert spare_uses(consent) == uses
