"""Members and the hub that die, hang or are cut off in the middle of questions: right scores or clear codes, once."""

import os
import signal
import threading
import time

import pytest

from fedrisk.serving.codes import PASSING
from sim_institutions.loan_system import crowd
from support.served import BANK, CUT

pytestmark = pytest.mark.study

BACK = 60.0
"""Seconds within which answers have to come again, on however busy a machine; how soon is measured in benchmarks."""


def killed(serving, name):
    """SIGKILL, as if its machine lost its power, and started again at once as a supervisor does."""
    serving.serving[name].kill()
    serving.serve(name)


def hung(serving, name):
    """Stopped in the middle of whatever it does, and after a while on again."""
    pid = serving.serving[name].process.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)


def cut(serving, name):
    serving.wire.cut()
    time.sleep(1.0)
    serving.wire.mend()


def frozen(serving, name):
    serving.wire.freeze()
    time.sleep(1.5)
    serving.wire.mend()


FAULTS = {
    "holder_killed": (killed, "tax"),
    "hub_killed": (killed, "hub"),
    "wire_cut": (cut, CUT),
    "holder_hung": (hung, "tax"),
    "hub_hung": (hung, "hub"),
    "wire_frozen": (frozen, CUT),
}


def in_the_middle(serving, scores, fault, name, *, questions, clients):
    """Ask, let the fault happen after a third of it; what came of each question, in order."""
    ids = scores.index.tolist()
    asked = [[ids[k % len(ids)]] for k in range(questions)]
    tokens = serving.tokens(ids)
    begin, heard = threading.Event(), []

    def each(number, _):
        if number >= questions // 3:
            begin.set()

    def ask():
        heard.extend(crowd(serving.loan_system, asked, clients=clients, consents=lambda _: tokens, each=each))

    clerks = threading.Thread(target=ask, daemon=True)
    clerks.start()
    assert begin.wait(10 * BACK)
    # In this thread: a process that another one started would end with it.
    fault(serving, name)
    clerks.join(10 * BACK)
    return heard


def check(serving, scores, fault, name, *, questions, clients=4):
    """Each question has its right score or a code that passes, and holders counted each at most once."""
    before = {holder: serving.book(holder) for holder in ("tax", CUT)}
    heard = in_the_middle(serving, scores, fault, name, questions=questions, clients=clients)
    assert len(heard) == questions
    codes = [h.codes[0] for h in heard]
    assert set(codes) <= {"", *PASSING}, set(codes)
    right = [h for h, code in zip(heard, codes, strict=True) if not code]
    assert [h.answers[0]["score"] for h in right] == [scores.loc[h.ids[0], "score"] for h in right]
    assert len(right) >= questions // 3
    for holder, book in before.items():
        counted = serving.book(holder)["scores"] - book["scores"]
        # A score that was given is counted once; one that was lost on its way may have been counted, once.
        assert len(right) <= counted <= questions, (holder, len(right), counted)
    comes_back(serving, scores)


def comes_back(serving, scores):
    """Answers come again, without anybody doing anything about it."""
    end, enterprise = time.monotonic() + BACK, scores.index[0]
    system, tokens = serving.loan_system(), serving.tokens([enterprise])
    while (heard := system.ask([enterprise], tokens)).codes != [""]:
        assert time.monotonic() < end, heard.codes
        time.sleep(0.2)
    system.close()
    assert heard.answers[0]["score"] == scores.loc[enterprise, "score"]


@pytest.mark.parametrize("fault", ["holder_killed", "hub_killed", "wire_cut"])
def test_each_question_has_its_score_or_a_code_and_is_counted_once(serving, scores, fault):
    check(serving, scores, *FAULTS[fault], questions=60)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_each_of_a_thousand_questions_has_its_score_or_a_code(serving, scores, fault):
    check(serving, scores, *FAULTS[fault], questions=1000, clients=8)


@pytest.mark.long
def test_a_bank_whose_node_is_killed_asks_again_under_the_same_key_and_nothing_is_counted_twice(
    serving, scores
):
    """The loan system sees a lost connection, and asks once more with the request's key."""
    ids = scores.index.tolist()[:60]
    tokens, before = serving.tokens(ids), serving.book("tax")["scores"]
    heard = crowd(serving.loan_system, [[i] for i in ids[:30]], consents=lambda _: tokens)
    killed(serving, BANK)
    heard += crowd(serving.loan_system, [[i] for i in ids[30:]], consents=lambda _: tokens)
    assert [h.codes for h in heard] == [[""]] * 60
    assert serving.book("tax")["scores"] - before == 60
