"""The hub's entries of its runs: begun, finished, failed, stopped, killed; and that nothing is charged twice by mistake."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace

import pytest

from fedrisk.errors import ConfigError, PeerError, StoreError
from fedrisk.recipes import study_from
from fedrisk.server.hub import Hub
from fedrisk.server.results import METRICS, Results, prepare
from fedrisk.server.runs import Runs, entry, lies_in, refuse_again, save

STUDY = study_from(
    {
        "name": "s",
        "purpose": "credit_scoring",
        "privacy": {"epsilon": 1},
        "institutions": [{"name": "b1", "role": "bank"}],
    }
)
ATTEMPT = "0123456789abcdef"


@pytest.fixture
def runs(tmp_path):
    return Runs(Hub(tmp_path / "hub"))


def begun(attempt=ATTEMPT, study=STUDY, research=False, out=None):
    return entry(study, study, attempt, engine="in-process", research=research, out=out)


def results_of(finished, attempt=ATTEMPT):
    """Results under another attempt's name; the record stays that of its own."""
    return replace(finished["private"], attempt=attempt)


def test_a_run_that_ends_well(runs, finished, tmp_path):
    with runs.begin(begun(out=tmp_path / "out")) as log:
        (running,) = runs.all()
        assert (running.state, running.results, running.epsilon) == ("running", "none", 1.0)
        assert (runs.path / ATTEMPT / "reserve").stat().st_size >= 1 << 20
        log.so_far(results_of(finished))
        assert runs.find(ATTEMPT).results == "before_evaluation"
        log.went(12, ("b1",))
        assert log.finish(results_of(finished))
    (run,) = runs.all()
    assert (run.state, run.results, run.exchanges, run.charged) == ("finished", "whole", 12, ("b1",))
    assert run.auc == finished["private"].auc
    assert runs.results(run).to_dict() == results_of(finished).to_dict()
    assert not (runs.path / ATTEMPT / "reserve").exists()
    assert run.begun < run.ended and run.content["name"] == "s"
    assert "content" not in run.to_dict()


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (PeerError("lost"), "failed", "peer"),
        (ZeroDivisionError("4711"), "failed", "internal"),
        (KeyboardInterrupt(), "stopped", None),
    ],
)
def test_a_run_that_does_not(runs, error, state, code):
    def run():
        with runs.begin(begun()) as log:
            log.went(3, ("b1",))
            raise error

    with pytest.raises(type(error)):
        run()
    (run,) = runs.all()
    assert (run.state, run.code, run.charged, run.can_export) == (state, code, ("b1",), False)
    assert (runs.path / ATTEMPT / "errors.log").exists() == (code == "internal")
    with pytest.raises(ConfigError, match="left no results"):
        runs.results(run)


def test_a_run_whose_process_is_gone_was_killed(runs):
    code = (
        "import os, sys\nfrom fedrisk.server.runs import Run, Runs\nfrom fedrisk.server.hub import Hub\n"
        "from pathlib import Path\nimport json\n"
        "run = Run(**json.loads(sys.argv[2]))\n"
        "with Runs(Hub(Path(sys.argv[1]))).begin(run):\n    os.kill(os.getpid(), 9)\n"
    )
    told = json.dumps({**begun().to_dict(), "content": {}})
    done = subprocess.run(
        [sys.executable, "-c", code, str(runs.path.parent), told], env=os.environ, check=False
    )
    assert done.returncode == -9
    assert [run.state for run in runs.all()] == ["killed"]


def test_the_same_attempt_cannot_run_twice_at_once_but_goes_on_after_a_stop(runs):
    with runs.begin(begun()) as log:
        log.went(5, ("b1",))
        log.write()
        with pytest.raises(ConfigError, match="is running in another process"), runs.begin(begun()):
            pass
    first = runs.find(ATTEMPT)
    with runs.begin(begun()):
        assert runs.find(ATTEMPT).begun == first.begun
        assert runs.find(ATTEMPT).charged == ("b1",)


def test_runs_are_found_by_the_beginning_of_their_id(runs):
    for attempt in ("aaaa0000bbbb", "aaaa1111bbbb", "cccc0000bbbb"):
        with runs.begin(begun(attempt)):
            pass
    assert [run.attempt for run in runs.all()] == ["aaaa0000bbbb", "aaaa1111bbbb", "cccc0000bbbb"]
    assert runs.find("cccc").attempt == "cccc0000bbbb"
    assert runs.find("aaaa0").attempt == "aaaa0000bbbb"
    for name, says in (("aaaa", "2 runs begin with aaaa"), ("ccc", "no run is called ccc"), ("x", "no run")):
        with pytest.raises(ConfigError, match=says):
            runs.find(name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"attempt": 3}'])
def test_an_entry_that_cannot_be_read_hides_no_other(runs, finished, content):
    with runs.begin(begun()) as log:
        log.finish(results_of(finished))
    with runs.begin(begun("cccc0000bbbb")):
        pass
    (runs.path / ATTEMPT / "run.json").write_bytes(content)
    assert {run.attempt: run.state for run in runs.all()} == {
        ATTEMPT: "damaged",
        "cccc0000bbbb": "running",
    } or {run.attempt: run.state for run in runs.all()} == {ATTEMPT: "damaged", "cccc0000bbbb": "killed"}
    # Its results are there all the same.
    assert runs.results(runs.find(ATTEMPT)).attempt == ATTEMPT


def test_listing_makes_no_folder(runs):
    assert runs.all() == []
    assert not runs.path.parent.exists()


def test_a_study_that_was_run_is_not_charged_again_without_a_word(runs, finished, tmp_path):
    refuse_again(runs, STUDY, research=False, again=False)
    with runs.begin(begun(out=tmp_path / "out")) as log:
        log.finish(results_of(finished))
    with pytest.raises(ConfigError) as refused:
        refuse_again(runs, STUDY, research=False, again=False)
    for word in (
        ATTEMPT,
        str(tmp_path / "out"),
        "fedrisk runs show 01234567",
        "fedrisk runs export",
        "--again",
    ):
        assert word in str(refused.value)
    refuse_again(runs, STUDY, research=False, again=True)
    refuse_again(runs, STUDY, research=True, again=False)
    other = STUDY.model_copy(update={"name": "t"})
    refuse_again(runs, other, research=False, again=False)


def test_research_runs_and_failed_ones_do_not_count_as_run(runs, finished):
    with runs.begin(begun(research=True)) as log:
        log.finish(results_of(finished))
    with pytest.raises(PeerError), runs.begin(begun("cccc0000bbbb")):
        raise PeerError("lost")
    assert runs.finished(STUDY) is None
    assert len(runs.of(STUDY)) == 2


def test_results_that_the_hub_cannot_keep_do_not_end_the_run(runs, finished, monkeypatch):
    from fedrisk.server.results import Results

    def full(self, folder):
        raise StoreError("full")

    with runs.begin(begun()) as log:
        monkeypatch.setattr(Results, "save", full)
        log.so_far(results_of(finished))
        assert not log.finish(results_of(finished))
    (run,) = runs.all()
    assert (run.state, run.code, run.can_export) == ("finished", "store", False)


def test_a_folder_with_results_is_not_overwritten(runs, finished, tmp_path):
    prepare(tmp_path / "out", again=False)
    save(finished["private"], tmp_path / "out", runs)
    attempt = finished["private"].attempt
    with pytest.raises(ConfigError, match=f"the results of run {attempt} of study tiny; name another"):
        prepare(tmp_path / "out", again=False)
    prepare(tmp_path / "out", again=True)
    (tmp_path / "out" / METRICS).write_text("{")
    with pytest.raises(ConfigError, match="holds results of a run; name another"):
        prepare(tmp_path / "out", again=False)


def test_results_that_came_to_a_folder_while_a_study_ran_are_not_overwritten(runs, finished, tmp_path):
    mine = results_of(finished)
    with runs.begin(begun()) as log:
        assert log.finish(mine)
    save(finished["private"], tmp_path / "out", runs, again=False)
    other = finished["private"].attempt
    with pytest.raises(StoreError, match=f"results of run {other} since.*fedrisk runs export {ATTEMPT[:8]}"):
        save(mine, tmp_path / "out", runs, again=False)
    assert json.loads((tmp_path / "out" / METRICS).read_text())["attempt"] == other
    save(finished["private"], tmp_path / "out", runs, again=False)  # a run may write its own once more
    save(mine, tmp_path / "out", runs)
    assert json.loads((tmp_path / "out" / METRICS).read_text())["attempt"] == ATTEMPT


def test_what_cannot_be_saved_names_the_command_that_can(runs, finished, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with runs.begin(begun()) as log:
        assert log.finish(results_of(finished))
    with pytest.raises(StoreError, match=f"kept at the hub: fedrisk runs export {ATTEMPT[:8]}"):
        save(results_of(finished), tmp_path / "out", runs)


@pytest.mark.parametrize("hub_has", ["nothing", "before_evaluation", "damaged"])
def test_what_neither_folder_nor_hub_takes_goes_to_temporary_files(
    runs, finished, tmp_path, monkeypatch, hub_has
):
    """No place is claimed that was not looked at."""
    (tmp_path / "out").write_text("in the way")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    mine = finished["private"]
    with runs.begin(begun(mine.attempt)) as log:
        if hub_has != "nothing":
            log.so_far(mine)
        if hub_has == "damaged":
            log.finish(mine)
    if hub_has == "damaged":
        (runs.path / mine.attempt / METRICS).write_text("{")
    with pytest.raises(StoreError, match="no room for its results either. They are in ") as told:
        save(mine, tmp_path / "out", runs)
    (spare,) = (tmp_path / "tmp").iterdir()
    assert str(spare) in str(told.value) and spare.stat().st_mode & 0o77 == 0
    assert Results.load(spare).to_dict() == mine.to_dict()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **how: str(tmp_path / "out"))
    with pytest.raises(StoreError, match="could be written neither at the hub nor elsewhere"):
        save(mine, tmp_path / "out", runs)


def test_a_run_for_which_the_hub_has_no_room_failed_and_was_not_killed(runs, monkeypatch):
    def full(file, size):
        raise StoreError("full")

    monkeypatch.setattr("fedrisk.server.runs.reserve", full)
    with pytest.raises(StoreError, match="full"), runs.begin(begun()):
        pytest.fail("it went on")
    assert [(run.state, run.code) for run in runs.all()] == [("failed", "store")]


def test_a_study_that_is_running_is_not_run_and_charged_a_second_time(runs):
    other = study_from({**STUDY.model_dump(mode="json"), "name": "other"})
    with runs.begin(begun()):
        with (
            pytest.raises(ConfigError, match=f"s is running in another process .run {ATTEMPT[:8]}.*both"),
            runs.begin(begun("ba" * 8)),
        ):
            pass
        assert [run.attempt for run in runs.all()] == [ATTEMPT]
        # Others, and runs that are not charged, go side by side.
        with runs.begin(begun("be" * 8, other)), runs.begin(begun("ca" * 8, research=True)):
            pass
    with runs.begin(begun("da" * 8)):
        pass


def test_the_newest_of_the_new_runs_of_a_study(runs):
    def newest(but=frozenset()):
        return next((r for r in reversed(runs.of(STUDY)) if r.attempt not in but), None)

    assert newest() is None
    with runs.begin(begun()):
        pass
    known = runs.attempts()
    assert known == {ATTEMPT} and newest(but=known) is None
    with runs.begin(begun("da" * 8)):
        pass
    other = STUDY.model_copy(update={"name": "other"})
    with runs.begin(begun("db" * 8, study=other)):
        pass
    assert newest(but=known).attempt == "da" * 8 == newest().attempt


def test_whose_results_lie_in_a_folder(runs, finished, tmp_path):
    save(finished["private"], tmp_path, runs)
    run = begun(finished["private"].attempt)
    assert lies_in(run, tmp_path) and not lies_in(begun(), tmp_path) and not lies_in(run, tmp_path / "none")
