"""When a node fits a bank's own models: once the attempt is over, by a process that answers do not wait for."""

import pandas as pd
import pytest

from fedrisk.clients.node import Node
from fedrisk.clients.own_work import AGAIN, EVERY, ONE_THREAD, OwnWork, complete, due
from fedrisk.clients.store.attempt_store import Begun, Owed

OPEN, OVER, WITHOUT, DONE = (letter * 16 for letter in "abcd")
NOTE = 'echo "$1 $(nice) $OMP_NUM_THREADS" >> "$0"'


def left(node, attempt, *, over=True, scores=True, owed=True):
    """An attempt as a study leaves it at a bank."""
    state = node.store.begin(attempt, Begun(study={}, research_seed=None))
    if owed:
        state.save(Owed(after="Begun.json"))
    if scores:
        pd.DataFrame({"id": ["1"]}).to_parquet(node.store.results(attempt) / "scores.parquet")
    if over:
        state.forget_secrets()
    return state


@pytest.fixture
def node(consortium):
    return Node.open(consortium.paths["bank"])


def test_what_is_due_is_over_with_scores_and_without_own_models(node):
    assert due(node) == []
    left(node, OPEN, over=False)
    left(node, OVER)
    left(node, WITHOUT, scores=False)
    left(node, DONE, owed=False)
    assert due(node) == [OVER]


def test_a_process_of_least_priority_and_one_thread_does_it_once(node, tmp_path):
    left(node, OVER)
    said, now = tmp_path / "said", [0.0]
    work = OwnWork(
        node.institution.file,
        lambda attempt: ["/bin/sh", "-c", NOTE, str(said), attempt],
        clock=lambda: now[0],
    )
    work.finish()
    attempt, nice, threads = said.read_text().split()
    # The priority comes right after the start of the process, perhaps after its first words.
    assert attempt == OVER and int(nice) in (0, 19) and threads == ONE_THREAD["OMP_NUM_THREADS"]
    # It is still owed, since that process did nothing: tried again after a day.
    now[0] += 2 * EVERY
    work.finish()
    assert len(said.read_text().splitlines()) == 1
    left(node, DONE)
    work.finish()
    assert len(said.read_text().splitlines()) == 1  # not looked for again yet
    work.served("release")
    work.finish()
    assert len(said.read_text().splitlines()) == 1
    work.served("close")
    work.finish()
    assert [line.split()[0] for line in said.read_text().splitlines()] == [OVER, DONE]


def test_it_ends_with_the_node_and_is_begun_again_by_the_next(node):
    left(node, OVER)
    command = ["/bin/sleep", "60"]
    for _ in range(2):
        work = OwnWork(node.institution.file, lambda attempt: command)
        with work.while_serving():
            work.turn()
            child = work._child
            assert child is not None and child.poll() is None
        assert child.poll() is not None


def test_a_store_that_is_away_or_a_command_that_is_gone_ends_nothing(node, tmp_path):
    OwnWork(tmp_path / "gone.toml", lambda attempt: []).turn()
    left(node, OVER)
    OwnWork(node.institution.file, lambda attempt: [str(tmp_path / "gone")]).finish()


def test_what_fails_stays_in_the_log(node):
    left(node, OVER)

    def broken(name):
        raise MemoryError("value 4711")

    complete(node, OVER, broken)
    (entry,) = node.store.errors.of(OVER)
    assert entry["action"] == "own_models" and "4711" not in entry["text"] and due(node) == [OVER]


def test_what_failed_is_tried_again_after_a_day_and_a_killed_process_is_in_the_log(node, tmp_path):
    left(node, OVER)
    said, now = tmp_path / "said", [0.0]
    work = OwnWork(
        node.institution.file,
        lambda attempt: ["/bin/sh", "-c", 'echo >> "$0"; kill -9 $$', str(said)],
        clock=lambda: now[0],
    )
    for tries, later in ((1, 0.0), (1, AGAIN - 1), (2, 1 + EVERY)):
        now[0] += later
        work.finish()
        assert len(said.read_text().splitlines()) == tries
    entries = [e for e in node.store.errors.of(OVER) if e["action"] == "own_models"]
    assert len(entries) == 2 and "signal 9" in entries[0]["text"] and entries[0]["code"] == "later"


def test_what_a_process_could_not_make_is_in_the_log(node, tmp_path, fedrisk):
    """It has no screen; nobody else would say why."""
    left(node, OVER)
    code, *_ = fedrisk("results", node.institution.file, "fetch", OVER)
    (entry,) = [e for e in node.store.errors.of(OVER) if e["action"] == "own_models"]
    assert code and entry["text"] and due(node) == [OVER]


def test_own_says_that_own_models_are_not_there_yet(node, fedrisk):
    left(node, OVER)
    code, out, err = fedrisk("own", node.institution.file)
    assert code == 0 and "are not there yet. A node that serves makes them by itself" in " ".join(
        (out + err).split()
    )
    assert '"owed": true' in fedrisk("own", node.institution.file, "--json")[1]
