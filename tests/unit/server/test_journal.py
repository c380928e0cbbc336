"""The hub's journal of an attempt: answers come back as they came, and what is damaged is asked for again."""

import os
import time

import numpy as np
import pytest

from fedrisk.errors import ConfigError, StoreError
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import load_study
from fedrisk.server import journal as module
from fedrisk.server.envelope_file import LEAST
from fedrisk.server.hub import Hub
from fedrisk.server.journal import ALIGNED, Journal, Kept

ATTEMPT = "a" * 32
SMALL = Payload({"a": [1, 2.5, "x"]}, {"sums": np.arange(6, dtype=np.uint32).reshape(2, 3)})
LARGE = Payload(
    {"b": True}, {"envelope": b"e" * (LEAST + 3), "other": b"raw", "flags": np.zeros(0, np.uint8)}
)


@pytest.fixture
def hub(tmp_path):
    return Hub(tmp_path / "hub")


@pytest.fixture
def study(consortium):
    return load_study(consortium.study_file)


@pytest.fixture
def journal(hub, study):
    journal = Journal.of(hub, ATTEMPT)
    journal.begin(study, study, None)
    return journal


@pytest.mark.parametrize("answer", [SMALL, LARGE])
def test_an_answer_comes_back_as_it_came(journal, answer):
    given = journal.keep(7, "release", "tax", Kept(answer, 1234))
    (kept,) = journal.kept(7, "release", ["tax", "bank"]).values()
    for found in (given, kept.answer):
        assert found.digest() == answer.digest() and found.body == answer.body
        assert found.size() == answer.size() and list(found.blobs) == list(answer.blobs)
    assert kept.received == 1234
    assert not journal.kept(8, "release", ["tax"]) and not journal.kept(7, "mask", ["tax"])


def test_large_envelopes_are_not_in_memory(journal):
    given = journal.keep(7, "mask", "tax", Kept(LARGE, 1))
    assert not isinstance(given.blobs, dict)
    assert "envelope" in given.blobs and "none" not in given.blobs and len(given.blobs) == 3


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw[:-9] + b"x" * 9, None]
)
def test_a_damaged_answer_was_not_kept(journal, damage):
    journal.keep(7, "mask", "tax", Kept(LARGE, 1))
    file = journal.path / "007-mask-tax"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    assert journal.kept(7, "mask", ["tax"]) == {}


def test_an_exchange_that_is_over_says_who_was_there(journal):
    assert journal.done(7, "step", "v") is None
    journal.keep_done(7, "step", ["tax", "bank"], "v")
    assert journal.done(7, "step", "v") == ["bank", "tax"]


def test_a_run_of_another_version_is_noticed(journal):
    journal.keep_done(7, "step", ["tax"], "v")
    for action, view in (("step", "w"), ("unmask", "v")):
        with pytest.raises(ConfigError, match="begun by another version"):
            journal.done(7, action, view)


def test_results_take_the_place_of_answers(journal):
    for number in (6, 7, 8):
        journal.keep(number, "step", "tax", Kept(SMALL, 1))
        journal.keep_done(number, "step", ["tax"], "v")
    journal.keep_result("step_0", SMALL)
    journal.forget(range(6, 8))
    assert sorted(f.name for f in journal.path.glob("0*")) == ["008-step-tax", "008-step.done"]
    assert journal.result("step_0").array("sums").tolist() == SMALL.array("sums").tolist()
    assert journal.result("step_1") is None


def test_the_seed_stays_and_is_for_the_hub_alone(journal, study):
    seed = journal.seed
    journal.begin(study, study, None)
    assert journal.seed == seed and len(seed) == 32
    assert Journal.of(Hub(journal.path.parents[2]), "b" * 32).path != journal.path
    for file in (journal.path, *journal.path.iterdir()):
        assert file.stat().st_mode & 0o077 == 0
    (journal.path / "seed").write_bytes(b"short")
    with pytest.raises(StoreError, match="seed is damaged"):
        _ = journal.seed


def test_the_newest_of_the_same_study_goes_on(hub, journal, study):
    other = Journal.of(hub, "b" * 32)
    other.begin(study, study, None)
    os.utime(other.path / "seed", (time.time() + 5, time.time() + 5))
    assert Journal.latest(hub, study, None) == other
    assert Journal.latest(hub, study, None, ATTEMPT) == journal
    for changed, seed in ((study, 1), (study.model_copy(update={"purpose": "other"}), None)):
        with pytest.raises(ConfigError, match="without --resume"):
            Journal.latest(hub, changed, seed)


def test_it_can_go_on_once_the_rows_are_in_order_and_for_a_day(hub, journal, study, monkeypatch):
    assert not journal.can_go_on
    journal.keep_result(ALIGNED, SMALL)
    assert journal.can_go_on
    monkeypatch.setattr(module, "KEPT_SECONDS", -1.0)
    assert not journal.can_go_on
    with pytest.raises(ConfigError):
        Journal.latest(hub, study, None)
    Journal.of(hub, "b" * 32).begin(study, study, None)
    assert not journal.path.exists()


def test_journals_of_days_ago_go_without_another_study(journal, hub, study):
    """A seed of masks that nobody goes on from any more must not wait for the next study."""
    recent = Journal.of(hub, "b" * 32)
    recent.begin(study, study, None)
    day_ago = time.time() - module.KEPT_SECONDS - 60
    for file in journal.path.glob("*"):
        os.utime(file, (day_ago, day_ago))
    module.drop_old(hub.path / "runs")
    assert not journal.path.exists() and (recent.path / "seed").exists()


def test_a_run_goes_on_though_more_would_be_remembered_by_now(hub, study):
    settings = {**study.settings, "memory": "auto"}
    asked = study.model_copy(update={"settings": settings})
    run = study.model_copy(update={"settings": {**settings, "known": {"digest": None, "memory": []}}})
    there = Journal.of(hub, "b" * 32)
    there.begin(asked, run, None)
    assert Journal.latest(hub, asked, None) == Journal.latest(hub, run, None) == there
    assert there.begun["content"]["settings"]["known"] == {"digest": None, "memory": []}
