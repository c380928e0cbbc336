"""Whatever fails after a study was charged: its results are there, or can be fetched without another charge."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fedrisk
from fedrisk.api import kept_by_banks
from fedrisk.clients import own_results
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import Since
from fedrisk.engine.check import check_study
from fedrisk.engine.in_process import load_nodes
from fedrisk.errors import ConfigError, DataError, LeftUndone, PeerError, Stopped, StoreError
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.spend import total
from fedrisk.recipes import recipe_named
from fedrisk.server.hub import Hub
from fedrisk.server.runs import Runs
from support.long import sampled

pytestmark = [pytest.mark.study, pytest.mark.usefixtures("unplotted")]

SCORECARD = recipe_named("scorecard")


def spent(nodes):
    return {name: node.ledger.spent() for name, node in nodes.items()}


def in_the_way(path):
    """A file where a folder should be: no permission stops root."""
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")


# --- at a bank -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_scores(kit, scratch):
    """A study in which the bank could not write its scores, and one of the same tables in which it could."""
    built = kit.build(scratch(), ("alfa",), ("tax", "power"), enterprises=1500)

    def full(record, step):
        if step.action == "deliver":
            in_the_way(built.nodes["alfa"].store.path / "results" / record.attempt)

    return built, built.run(change=full)


def test_scores_that_cannot_be_written_are_fetched_later_without_a_charge(without_scores):
    built, run = without_scores
    node, before = built.nodes["alfa"], spent(built.nodes)
    assert run.results.auc is not None  # the hub has its results all the same
    entry = own_results.entry_of(node, run.attempt)
    assert (entry.rows, entry.owed) == (None, True)
    assert "deliver: scores" in {e["action"] for e in node.store.errors.of(run.attempt)}
    folder = node.store.path / "attempts" / run.attempt
    # What opens recorded traffic is gone; what the scores are made from is there.
    assert [f.name for f in (folder / "secrets").iterdir()] == ["rows"]
    assert {f.stem for f in folder.glob("*.npy")} == {"codes", "external", "rows_alfa", "use_alfa"}
    with pytest.raises(StoreError):
        own_results.fetch(node, run.attempt, SCORECARD)
    (node.store.path / "results" / run.attempt).unlink()
    trail = len(list(node.trail.entries(attempt=run.attempt)))
    found = own_results.fetch(node, run.attempt, SCORECARD)
    assert found.rows == len(built.tables["alfa"]) and not found.owed and not found.failed
    assert spent(built.nodes) == before
    assert len(list(node.trail.entries(attempt=run.attempt))) == trail
    scores = run.scores("alfa")
    card = fedrisk.Scorecard.from_json((node.store.results(run.attempt) / "scorecard.json").read_text())
    assert card == run.results.card and card.calibration is not None
    held = scores[scores["split"] == "holdout"].merge(built.tables["alfa"][["id", "bad"]], on="id")
    assert len(held) == sum(run.roster.holdout.values())
    assert np.allclose(card.probability(held["score"].to_numpy()), held["probability"])
    # Nothing is kept any more, and nothing is fetched twice.
    assert not (folder / "secrets").exists() and not list(folder.glob("*.npy"))
    with pytest.raises(ConfigError, match="keeps nothing from which results could be made"):
        own_results.fetch(node, run.attempt, SCORECARD)


@pytest.mark.long
def test_scores_are_the_same_as_without_a_failure(kit, tmp_path):
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=1200)
    seen = {}

    def full(record, step):
        if step.action == "deliver":
            folder = built.nodes["alfa"].store.path / "attempts" / record.attempt
            shutil.copytree(folder, tmp_path / "copy")

    run = built.run(change=full)
    node = built.nodes["alfa"]
    seen = run.scores("alfa")
    figures = (node.store.results(run.attempt) / "own_figures.json").read_bytes()
    folder = node.store.path / "attempts" / run.attempt
    told = (folder / "told_calibration.message").read_bytes()
    shutil.rmtree(node.store.results(run.attempt))
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    # As a hub that was killed leaves it: before the calibrated card was told, and after.
    early = own_results.fetch(node, run.attempt, SCORECARD)
    assert early.rows == len(seen)
    assert run.scores("alfa")["id"].tolist() == seen["id"].tolist()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    (folder / "told_calibration.message").write_bytes(told)
    view = folder / "View.json"
    content = json.loads(view.read_text())
    content["names"].append("calibration")
    content["digests"].append("0" * 64)
    view.write_text(json.dumps(content))
    own_results.fetch(node, run.attempt, SCORECARD)
    pd.testing.assert_frame_equal(run.scores("alfa"), seen)
    assert (node.store.results(run.attempt) / "own_figures.json").read_bytes() == figures


@pytest.mark.long
def test_a_table_that_changed_since_is_named(kit, tmp_path):
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)

    def full(record, step):
        if step.action == "deliver":
            in_the_way(built.nodes["alfa"].store.path / "results" / record.attempt)

    run = built.run(change=full)
    node = built.nodes["alfa"]
    (node.store.path / "results" / run.attempt).unlink()
    table = built.tables["alfa"]
    built.tables["alfa"] = table.iloc[1:]
    built.write("alfa")
    with pytest.raises(DataError, match="put that back, and fetch again"):
        own_results.fetch(Node.load(built.paths["alfa"]), run.attempt, SCORECARD)
    built.tables["alfa"] = table
    built.write("alfa")
    assert own_results.fetch(Node.load(built.paths["alfa"]), run.attempt, SCORECARD).rows == len(table)


def test_results_that_cannot_be_kept_are_refused_before_anything_is_charged(kit, tmp_path):
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    in_the_way(built.nodes["alfa"].store.path / "results")
    with pytest.raises(PeerError, match="no agreement from alfa"):
        built.run()
    assert set(spent(built.nodes).values()) == {0.0}


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_without_room_is_seen_by_check_and_before_anything_is_charged(kit, tmp_path, monkeypatch, how):
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600)
    assert not check_study(built.study, built.paths).broken
    free, access = shutil.disk_usage("/")._replace(free=1 << 20), os.access
    if how == "full":
        monkeypatch.setattr("fedrisk.clients.store.store.shutil.disk_usage", lambda place: free)
    else:
        monkeypatch.setattr(
            os, "access", lambda place, mode, **k: mode != os.W_OK and access(place, mode, **k)
        )
    said = {"full": "has 1,024 kB left on its disk", "read-only": "is read-only or belongs"}[how]
    found = check_study(built.study, built.paths)
    reasons = [reason for line in found.institutions for reason in (*line.refused, *line.errors)]
    assert found.broken and any(said in reason and "alfa" in reason for reason in reasons), reasons
    with pytest.raises(PeerError, match="no agreement from alfa"):
        built.run()
    assert set(spent(built.nodes).values()) == {0.0}


OPTIONAL = {
    "own_models": ("fedrisk.recipes.scorecard.own_models.own_models", "own_models"),
    "points": ("fedrisk.recipes.scorecard.delivery._points_by_column", "points"),
    "areas": ("fedrisk.recipes.scorecard.delivery._areas", "figures"),
    "verdict": ("fedrisk.recipes.scorecard.own_verdict.own_verdict", "verdict"),
    "tables": ("fedrisk.recipes.scorecard.own_verdict.table_of", "table_scorecard"),
    "recalibrated": ("fedrisk.recipes.scorecard.own_models._recalibrated", "recalibrated"),
}


@pytest.mark.parametrize("step", sampled(OPTIONAL, 4))
def test_what_is_optional_at_a_bank_costs_nothing_else(kit, tmp_path, monkeypatch, step):
    def fails(*a, **k):
        raise MemoryError("value 4711")

    place, name = OPTIONAL[step]
    monkeypatch.setattr(place, fails)
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    run = built.run()
    entry = own_results.entry_of(run.nodes["alfa"], run.attempt)
    assert entry.rows == len(built.tables["alfa"]) and not entry.owed
    assert entry.failed[name] == "internal"
    kept = own_results.figures(run.nodes["alfa"], entry)
    assert kept["absent"][name]["reason"] == "MemoryError; errors.log in the store has all of it"
    assert "value 4711" not in json.dumps(kept)
    assert (step == "verdict") == (kept["verdict"] is None)


def test_figures_that_cannot_be_written_cost_no_scores(kit, tmp_path, monkeypatch):
    from fedrisk.clients.store.store import NodeStore

    real = NodeStore.put_result

    def put(self, attempt, name, content):
        if name == "own_figures.json":
            raise StoreError("full")
        real(self, attempt, name, content)

    monkeypatch.setattr(NodeStore, "put_result", put)
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    run = built.run(research_seed=1)
    assert len(run.scores("alfa")) == len(built.tables["alfa"])
    assert run.results.auc is not None


@pytest.mark.parametrize("when", sampled(["deliver", "release", "calibrate"], 3))
def test_a_disk_that_fills_up_has_room_for_what_was_paid_for(kit, tmp_path, monkeypatch, when):
    """The room that each attempt keeps is given back once the disk is full."""
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    store, real, full = built.nodes["alfa"].store.path, os.fsync, []

    def fsync(handle):
        inside = Path(os.readlink(f"/proc/self/fd/{handle}")).is_relative_to(store)
        if full and inside and list(store.glob("attempts/*/reserve")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    run = built.run(change=lambda record, step: full.append(1) if step.action == when else None)
    assert len(run.scores("alfa")) == len(built.tables["alfa"])
    assert not list(store.glob("attempts/*/reserve"))


def test_scores_of_a_network_are_fetched_as_well(kit, tmp_path):
    policy = {"recipes": ["scorecard", "network"]}
    study = {"recipe": "network", "network": {"kind": "logistic"}, "training": {"steps": 2}}
    built = kit.build(tmp_path, ("alfa", "beta"), (), enterprises=900, policy=policy, study=study)
    node = built.nodes["alfa"]

    def full(record, step):
        if step.action == "conclude":
            in_the_way(node.store.path / "results" / record.attempt)

    run = built.run(change=full)
    for other in run.nodes.values():
        other.store.attempt(run.attempt).forget_secrets()
    before = spent(built.nodes)
    assert own_results.entry_of(node, run.attempt).owed
    assert own_results.entry_of(built.nodes["beta"], run.attempt).rows == len(built.tables["beta"])
    (node.store.path / "results" / run.attempt).unlink()
    entry = own_results.fetch(node, run.attempt, recipe_named("network"))
    assert entry.rows == len(built.tables["alfa"]) and not entry.owed
    assert (node.store.results(run.attempt) / "best.onnx").exists()
    assert spent(built.nodes) == before
    assert run.results.auc is not None


# --- at the hub ------------------------------------------------------------------------------------------------


def kept(attempt):
    runs = Runs(Hub.default())
    return runs, runs.find(attempt)


HUB = {
    "trails": "fedrisk.server.run.with_tables",
    "verdict": "fedrisk.recipes.scorecard.hub.verdict",
    "expectation": "fedrisk.recipes.scorecard.hub.expected_gain",
    "sections": "fedrisk.recipes.scorecard.summary.summarise",
}


@pytest.mark.parametrize("part", sampled(HUB, 4))
def test_what_is_optional_at_the_hub_costs_no_results(consortium, tmp_path, monkeypatch, part):
    def fails(*a, **k):
        raise ZeroDivisionError("value 4711")

    monkeypatch.setattr(HUB[part], fails)
    results = fedrisk.run(consortium.study_file, out=tmp_path / "out")
    back = fedrisk.load_results(tmp_path / "out")
    assert back.auc == results.auc is not None
    undone = [f.values for f in back.findings if f.code == "left_undone"]
    assert undone == [{"part": part, "code": "internal"}]
    assert f"Not done: {part}" in (tmp_path / "out" / "report.html").read_text()
    runs, run = kept(results.attempt)
    assert (run.state, run.results) == ("finished", "whole")
    assert "ZeroDivisionError" in (runs.path / run.attempt / "errors.log").read_text()
    assert "value 4711" not in (tmp_path / "out" / "metrics.json").read_text()
    assert kept_by_banks(results, consortium.study_file)[0].rows == 400


@pytest.mark.long
def test_a_report_that_cannot_be_written_is_a_warning(consortium, tmp_path, monkeypatch):
    def fails(*a):
        raise StoreError("report")

    monkeypatch.setattr("fedrisk.api.write_report", fails)
    with pytest.warns(LeftUndone, match="`fedrisk show .*out` writes the report again"):
        results = fedrisk.run(consortium.study_file, out=tmp_path / "out")
    assert fedrisk.load_results(tmp_path / "out").to_dict() == results.to_dict()


@pytest.mark.parametrize(
    "raised", sampled([BrokenPipeError(), SystemExit(1), UnicodeEncodeError("ascii", "é", 0, 1, "")], 3)
)
def test_a_screen_that_is_closed_stops_nothing(consortium, tmp_path, raised):
    def report(*what):
        raise raised

    assert fedrisk.run(consortium.study_file, out=tmp_path / "out", report=report).auc is not None


def test_results_that_cannot_be_written_are_exported_later(consortium, tmp_path):
    out = tmp_path / "out"

    def report(number, action, what):
        if action == "deliver":
            in_the_way(out)

    with pytest.raises(StoreError, match=r"fedrisk runs export [0-9a-f]{8} --out FOLDER writes them"):
        fedrisk.run(consortium.study_file, out=out, report=report)
    (run,) = Runs(Hub.default()).all()
    assert (run.state, run.results, run.out) == ("finished", "whole", str(out))
    assert set(run.charged) == {"bank", "tax", "power"}
    before = spent(load_nodes(consortium.paths))
    results = Runs(Hub.default()).results(run)
    assert results.auc is not None and results.disclosures
    assert results.record.attempt == run.attempt
    # And it is not run again by mistake.
    with pytest.raises(ConfigError, match=f"run {run.attempt}, results in"):
        fedrisk.run(consortium.study_file, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert spent(load_nodes(consortium.paths)) == before


def in_another_process(consortium, tmp_path, patch):
    """A run in a process of its own, in which something is changed beforehand; its exit code."""
    code = (
        "import os, signal, fedrisk\n"
        f"{patch}\n"
        f"fedrisk.run({str(consortium.study_file)!r}, out={str(tmp_path / 'out')!r})\n"
    )
    return subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=300, check=False).returncode


DIE = "die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.mark.long
def test_a_hub_that_is_killed_after_the_last_exchange_has_all_but_the_evaluation(consortium, tmp_path):
    patch = f"import fedrisk.recipes.scorecard.hub as hub\n{DIE}hub.take_evaluation = die"
    assert in_another_process(consortium, tmp_path, patch) == -signal.SIGKILL
    (run,) = Runs(Hub.default()).all()
    assert (run.state, run.results, run.auc) == ("killed", "before_evaluation", None)
    results = Runs(Hub.default()).results(run)
    assert results.card.calibration is not None and results.record.find("calibration") is not None
    bank = load_nodes(consortium.paths)["bank"]
    assert own_results.entry_of(bank, run.attempt).rows == 400
    with pytest.warns(LeftUndone, match=f"run {run.attempt[:8]} of this study"):
        fedrisk.run(consortium.study_file, out=tmp_path / "out")


def test_a_bank_that_is_killed_before_it_wrote_its_scores_fetches_them(consortium, tmp_path):
    patch = f"import fedrisk.recipes.scorecard.delivery as bank\n{DIE}bank.keep_scores = die"
    assert in_another_process(consortium, tmp_path, patch) == -signal.SIGKILL
    (run,) = Runs(Hub.default()).all()
    bank = load_nodes(consortium.paths)["bank"]
    assert own_results.entry_of(bank, run.attempt).owed
    # A day later the attempt is forgotten, but not what the scores are made from.
    state = bank.store.attempt(run.attempt)
    state.forget_secrets()
    assert not state.has_secret("ephemeral")
    before = bank.ledger.spent()
    assert own_results.fetch(bank, run.attempt, SCORECARD).rows == 400
    assert bank.ledger.spent() == before


@pytest.mark.long
def test_a_bank_that_is_killed_while_it_fits_its_own_models_fetches_them(consortium, tmp_path):
    """Scores are there by then; what own models are made from stays until their figures are."""
    patch = f"import fedrisk.recipes.scorecard.delivery as bank\n{DIE}bank._own = die"
    assert in_another_process(consortium, tmp_path, patch) == -signal.SIGKILL
    (run,) = Runs(Hub.default()).all()
    bank = load_nodes(consortium.paths)["bank"]
    entry = own_results.entry_of(bank, run.attempt)
    assert (entry.rows, entry.models, entry.owed) == (400, (), True)
    before, scores = bank.ledger.spent(), own_results.scores(bank, entry)
    bank.store.attempt(run.attempt).forget_secrets()
    fetched = own_results.fetch(bank, run.attempt, SCORECARD)
    assert {"alone", "champion"} <= set(fetched.models) and not fetched.owed
    assert own_results.figures(bank, fetched)["verdict"] is not None
    pd.testing.assert_frame_equal(own_results.scores(bank, fetched)[scores.columns.tolist()], scores)
    assert bank.ledger.spent() == before


def test_what_a_run_left_is_told_when_it_is_stopped(consortium, tmp_path):
    """Ctrl-C in the last exchange: who was charged, and the commands that get what is there, which work."""

    def stop(*a, **k):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedrisk.recipes.scorecard.delivery.keep_scores", stop)
        with pytest.raises(Stopped) as told:
            fedrisk.run(consortium.study_file, out=tmp_path / "out")
    (run,) = Runs(Hub.default()).all()
    short, said = run.attempt[:8], str(told.value)
    assert f"fedrisk runs export {short} --out FOLDER" in said and "All but the evaluation" in said
    assert (
        f"bank can make its scores, at no charge: fedrisk results {consortium.paths['bank']} fetch {short}"
        in said
    )
    assert "Charged by this run: bank epsilon " in said.splitlines()[-1]
    with pytest.warns(LeftUndone, match=f"bank can make its scores.* fetch {short}"):
        fedrisk.run(consortium.study_file, out=tmp_path / "out")


@pytest.mark.long
def test_what_others_are_charged_meanwhile_is_no_charge_of_a_stopped_run(consortium, tmp_path):
    """Two studies share a bank: who stops one is told what that one cost, and no run of somebody else."""
    hub, seen = Hub.default(), []

    def other(number, action, what):
        if action == "release" and not seen:
            bank = load_nodes(consortium.paths)["bank"]
            seen.append(bank.ledger.entries()[-1].spend)
            theirs = replace(seen[0], study="other", attempt="e" * 32, mu=seen[0].mu / 3)
            bank.ledger.debit("theirs", theirs, "d" * 64, purpose="credit_scoring")
            content = json.loads((hub.path / "runs" / seen[0].attempt / "run.json").read_text())
            (hub.path / "runs" / ("e" * 32)).mkdir()
            theirs = {
                **content,
                "attempt": "e" * 32,
                "digest": "d",
                "asked": "d",
                "begun": "2999-01-01T00:00:00Z",
            }
            (hub.path / "runs" / ("e" * 32) / "run.json").write_text(json.dumps(theirs))
        elif action == "mask" and seen:
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as told:
        fedrisk.run(consortium.study_file, out=tmp_path / "out", report=other)
    mine = [
        e.spend
        for e in load_nodes(consortium.paths)["bank"].ledger.entries()
        if e.spend.attempt == seen[0].attempt
    ]
    assert f"bank epsilon {epsilon_for(total(mine), 1e-6):.3g} (mu {total(mine):.3g})" in str(told.value)
    (run,) = [r for r in Runs(hub).all() if r.attempt == seen[0].attempt]
    assert set(run.charged) == {"bank", "power", "tax"}


@pytest.mark.parametrize("where", sampled(["fedrisk.server.run.with_tables", "fedrisk.api.write_report"], 2))
def test_a_run_that_is_stopped_after_its_last_exchange_is_finished(consortium, tmp_path, monkeypatch, where):
    def stop(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, stop)
    with pytest.raises(Stopped, match="after it was finished and charged. .*fedrisk runs export") as told:
        fedrisk.run(consortium.study_file, out=tmp_path / "out")
    (run,) = Runs(Hub.default()).all()
    assert (run.state, run.results) == ("finished", "whole") and run.attempt in str(told.value)
    assert Runs(Hub.default()).results(run).auc is not None


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGHUP], 2))
def test_a_signal_that_ends_a_command_is_as_ctrl_c(consortium, tmp_path, number):
    """A service that is stopped, a terminal that is closed: the run is entered as stopped and says what was charged."""
    code = (
        "import os, signal, sys\n"
        # Whoever runs the tests may have told its children to ignore it, as nohup does.
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"
        "from fedrisk.cli import main\nimport fedrisk.recipes.scorecard.delivery as bank\n"
        f"bank.calibration = bank.keep_scores = lambda *a, **k: os.kill(os.getpid(), {int(number)})\n"
        f"sys.argv = ['fedrisk', 'run', {str(consortium.study_file)!r}, '--out', {str(tmp_path / 'out')!r}]\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, timeout=300, check=False, capture_output=True, text=True
    )
    assert done.returncode == 130, done.stderr
    assert "error (stopped): " in done.stderr and "Charged by this run: bank epsilon " in done.stderr
    assert [run.state for run in Runs(Hub.default()).all()] == ["stopped"]


def test_who_was_charged_is_told_although_no_answer_came(consortium, tmp_path, monkeypatch):
    """Stopped or killed between a debit and the hub's hearing of it: ledgers know, and they are asked."""
    from fedrisk.clients import outlet

    patch = f"from fedrisk.clients import outlet\n{DIE}outlet._commit = die"
    assert in_another_process(consortium, tmp_path, patch) == -signal.SIGKILL
    (run,) = Runs(Hub.default()).all()
    assert (run.state, run.charged) == ("killed", ())

    def stop(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(outlet, "_commit", stop)
    with (
        pytest.warns(LeftUndone, match=f"run {run.attempt[:8]} .*killed after [a-z]+ were charged"),
        pytest.raises(Stopped, match="[a-z]+ epsilon "),
    ):
        fedrisk.run(consortium.study_file, out=tmp_path / "out")
    paid = [name for name, mu in spent(load_nodes(consortium.paths)).items() if mu]
    stopped = Runs(Hub.default()).all()[-1]
    assert (stopped.state, list(stopped.charged)) == ("stopped", paid)


@pytest.mark.long
def test_a_study_that_another_process_runs_is_refused_before_anything_is_charged(consortium, tmp_path):
    first, second = [], []

    def report(number, action, what):
        if action == "edges" and not second:
            second.append(1)
            before = spent(load_nodes(consortium.paths))
            with pytest.raises(ConfigError, match="is running in another process"):
                fedrisk.run(consortium.study_file, out=tmp_path / "other", again=True)
            first.append(spent(load_nodes(consortium.paths)) == before)

    assert fedrisk.run(consortium.study_file, out=tmp_path / "out", report=report).auc is not None
    assert first == [True]


@pytest.mark.long
def test_the_last_attempt_is_the_last_in_a_copied_store_too(kit, tmp_path):
    """Times of files are those of the copy."""
    built = kit.build(tmp_path, ("alfa",), (), enterprises=600, policy={"cap_epsilon": 20})
    node, ids = built.nodes["alfa"], [built.run().attempt, built.run().attempt]
    for order in (ids, ids[::-1]):
        for k, attempt in enumerate(order):
            for folder in (node.store.path / "attempts" / attempt, node.store.path / "results" / attempt):
                for file in folder.iterdir():
                    os.utime(file, (1_900_000_000 + k, 1_900_000_000 + k))
        for attempt, second in zip(ids, ("01", "02"), strict=True):
            state = node.store.attempt(attempt)
            state.save(Since(time=f"2026-01-01T00:00:{second}Z"))
        assert [e.attempt for e in own_results.entries(node)] == ids
        assert own_results.find(node, None).attempt == ids[-1]


def test_scores_that_never_were_are_not_looked_for_in_a_copy(kit, tmp_path):
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600)

    def full(record, step):
        if step.action == "release":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built.run(change=full)
    node = built.nodes["alfa"]
    (entry,) = own_results.entries(node)
    with pytest.raises(ConfigError, match="the study ended here before there were any"):
        own_results.scores(node, entry)


@pytest.mark.parametrize("how", sampled(["closed", "ascii"], 2))
def test_a_command_whose_output_cannot_be_written_ends_well(consortium, tmp_path, how):
    command = [
        sys.executable,
        "-m",
        "fedrisk.cli",
        "run",
        str(consortium.study_file),
        "--out",
        str(tmp_path / "out"),
    ]
    env = {**os.environ, **({"PYTHONIOENCODING": "ascii"} if how == "ascii" else {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
    if how == "closed":
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        with contextlib.suppress(Exception):
            process.stderr.close()
    else:
        _, err = process.communicate(timeout=300)
    assert process.wait(300) == 0, err
    assert "Traceback" not in err
    assert fedrisk.load_results(tmp_path / "out").auc is not None
