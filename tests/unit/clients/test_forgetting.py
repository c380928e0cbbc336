"""What a node that stays forgets by itself: keys of attempts that nobody closed."""

import os
import time

from fedrisk.clients.forgetting import EVERY, Forgetting
from fedrisk.clients.node import Node
from fedrisk.clients.store import store as module
from fedrisk.clients.store.attempt_store import Begun

OLD, NEW = "a" * 16, "b" * 16


def begun(node, attempt, *, days):
    state = node.store.begin(attempt, Begun(study={}, research_seed=None))
    state.put_secret("ephemeral", b"key")
    then = time.time() - days * module.OLD_SECONDS
    for file in state.folder.glob("*.json"):
        os.utime(file, (then, then))
    return state


def test_keys_of_an_old_attempt_go_without_another_study_and_recent_ones_stay(consortium):
    node = Node.open(consortium.paths["tax"])
    recent, old = begun(node, NEW, days=0.9), begun(node, OLD, days=1.1)
    Forgetting(consortium.paths["tax"]).turn()
    assert old.over and not old.has_secret("ephemeral")
    assert not recent.over and recent.secret("ephemeral") == b"key"


def test_it_looks_once_an_hour(consortium):
    node, now = Node.open(consortium.paths["tax"]), [0.0]
    forgetting = Forgetting(consortium.paths["tax"], clock=lambda: now[0])
    forgetting.turn()
    old = begun(node, OLD, days=2)
    now[0] = EVERY - 1
    forgetting.turn()
    assert not old.over
    now[0] = EVERY
    forgetting.turn()
    assert old.over


def test_a_store_that_is_away_ends_nothing(consortium, tmp_path):
    Forgetting(tmp_path / "gone.toml").turn()
