"""How much a member may send: by the second, at a time, and in bytes."""

import pytest

from fedrisk.server.score_limits import Limits, Open, Paces, Refused


def test_a_pace_allows_twice_a_second_at_once_and_then_its_rate():
    now = [0.0]
    paces = Paces(Limits(questions=10.0), clock=lambda: now[0])
    for _ in range(20):
        paces.check("bank", "questions")
    with pytest.raises(Refused, match="many"):
        paces.check("bank", "questions")
    paces.check("tax", "questions")
    paces.check("bank", "streams")
    now[0] += 0.25
    for _ in range(2):
        paces.check("bank", "questions")
    with pytest.raises(Refused):
        paces.check("bank", "questions")
    now[0] += 3600
    for _ in range(20):
        paces.check("bank", "questions")
    with pytest.raises(Refused):
        paces.check("bank", "questions")


def test_questions_that_wait_are_limited_by_number_and_bytes_of_one_and_of_all():
    waiting = Open(Limits(open_questions=2, open_bytes=100, all_bytes=150))
    with waiting.question("bank", 40), waiting.question("bank", 40):
        with pytest.raises(Refused), waiting.question("bank", 1):
            pass
        with waiting.question("other", 60), pytest.raises(Refused), waiting.question("third", 11):
            pass
    with waiting.question("bank", 100), pytest.raises(Refused), waiting.question("bank", 1):
        pass
    with waiting.question("bank", 100):
        pass


def test_what_fails_is_counted_no_longer():
    waiting = Open(Limits(open_questions=1))
    with pytest.raises(ValueError, match="x"), waiting.question("bank", 1):
        raise ValueError("x")
    with waiting.question("bank", 1):
        pass
