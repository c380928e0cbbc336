"""A round on a small tree: what moved is found, a failure stops nothing, a stopped round goes on, history has lines."""

import json

import pytest

from benchmarks.redo import __main__ as command
from benchmarks.redo import history, rounds
from benchmarks.redo.manifest import load_all, values
from benchmarks.redo.moved import as_table, moves

CLAIM = """
[[runs]]
name = "run"
command = ["benchmarks/{name}/run.py"]
minutes = 1
fresh = ["lines.txt"]
[[claims]]
name = "c"
part = "speed"
place = 1
says = "at most {{x.bound}}"
measured = "{{x}}"
[claims.figures.x]
path = ["x"]
bound = 2.0
same = 0.1
show = ".1f"
why = "none"
"""
WRITES = 'from pathlib import Path\nimport json\nhere = Path(__file__).parent\nhere.joinpath("results.json").write_text(json.dumps({{"x": {x}}}))\n'


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Benchmarks: good holds, worse breaks, fails ends with an error, still was never met."""
    root = tmp_path / "root"
    for name, kept, new in (
        ("good", 1.0, 1.05),
        ("worse", 1.0, 3.0),
        ("still", 4.0, 5.0),
        ("fails", 1.0, None),
    ):
        folder = root / "benchmarks" / name
        folder.mkdir(parents=True)
        (folder / "claim.toml").write_text(CLAIM.format(name=name))
        (folder / "run.py").write_text(
            "raise SystemExit(2)" if new is None else WRITES.format(x=new) + "raise SystemExit(1)"
        )
        (folder / "results.json").write_text(json.dumps({"x": kept}))
        (folder / "lines.txt").write_text("old")
    monkeypatch.setattr(rounds, "ROOT", root)
    monkeypatch.setattr(command, "BENCHMARKS", root / "benchmarks")
    monkeypatch.setattr(history, "FILE", root / "history.jsonl")
    monkeypatch.setattr(rounds.begun, "__kwdefaults__", {"anew": False, "root": root})
    monkeypatch.setattr(rounds.source_digest, "__defaults__", (root,))
    monkeypatch.setattr(history.add, "__defaults__", (root / "history.jsonl",))
    return root


def test_a_round_finds_what_moved(tree, tmp_path, capsys):
    asked = load_all(tree / "benchmarks")
    assert command.redo(asked, tmp_path / "work", anew=False) == 1
    said = capsys.readouterr().out
    table = {line.split(" | ")[0].strip("| "): line for line in said.splitlines() if line.startswith("| ")}
    assert table["worse"].endswith("| 1.0 | 3.0 | 0.1 | at most 2 | broken |")
    assert table["still"].endswith("| not met |")
    assert "good" not in table
    assert "failed: fails.run: ended with status 2" in said
    # Kept results are as they were, and what the round began without was not there.
    assert json.loads((tree / "benchmarks" / "worse" / "results.json").read_text()) == {"x": 1.0}
    assert not (tmp_path / "work" / "tree" / "benchmarks" / "worse" / "lines.txt").exists()
    lines = history.read(tree / "history.jsonl")
    assert {(e["folder"], e["holds"]) for e in lines} == {("good", True), ("worse", False), ("still", False)}
    assert all(e["machine"]["cores"] and e["seconds"] >= 0 and e["figures"] for e in lines)


def test_figures_of_runs_that_were_not_asked_for_are_not_shown_as_new(tree, tmp_path, capsys):
    folder = tree / "benchmarks" / "still"
    other = '[claims.figures.y]\nfile = "other.json"\npath = ["y"]\nbound = 2.0\nsame = 0.1\nshow = ".1f"\nwhy = "none"\n'
    (folder / "claim.toml").write_text(CLAIM.format(name="still") + other)
    (folder / "other.json").write_text(json.dumps({"y": 9.0}))
    assert command.redo({"still": load_all(tree / "benchmarks")["still"]}, tmp_path / "work", anew=False) == 0
    said = capsys.readouterr().out
    assert "c: x" in said and "c: y" not in said


def test_a_stopped_round_goes_on_and_a_new_source_begins_anew(tree, tmp_path, capsys):
    asked = load_all(tree / "benchmarks")
    good = {"good": asked["good"]}
    assert command.redo(good, tmp_path / "work", anew=False) == 0
    capsys.readouterr()
    assert command.redo(good, tmp_path / "work", anew=False) == 0
    assert "about 1 min" not in capsys.readouterr().out
    (tree / "benchmarks" / "good" / "run.py").write_text(WRITES.format(x=1.5))
    assert command.redo(good, tmp_path / "work", anew=False) == 0
    said = capsys.readouterr().out
    assert "about 1 min" in said and "| moved |" in said


def test_a_round_says_what_it_lacks(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("FEDRISK_DATA", raising=False)
    asked = load_all(tree / "benchmarks")
    run = asked["good"].runs[0].model_copy(update={"needs": ("data",)})
    made = asked["good"].model_copy(update={"runs": (run,)})
    assert command.redo({"good": made}, tmp_path / "work", anew=False) == 0
    assert "left out: good.run: FEDRISK_DATA is not set; set it to" in capsys.readouterr().out


def test_a_script_that_cannot_run_here_has_not_failed(tree, tmp_path, capsys):
    script = 'print("left out: no namespaces; allow CAP_SYS_ADMIN")\nraise SystemExit(77)'
    (tree / "benchmarks" / "good" / "run.py").write_text(script)
    good = {"good": load_all(tree / "benchmarks")["good"]}
    assert command.redo(good, tmp_path / "work", anew=False) == 0
    said = capsys.readouterr().out
    assert "left out: good.run: no namespaces; allow CAP_SYS_ADMIN" in said and "failed" not in said
    # Nothing is noted as done or measured, so that a later round tries it again.
    assert not rounds.kept(tmp_path / "work").done and history.read(tree / "history.jsonl") == []


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        (1.0, 1.05, "holds"),
        (1.0, 1.5, "moved"),
        (1.0, 2.5, "broken"),
        (2.5, 2.6, "not met"),
        (2.5, 1.0, "mended"),
        (None, 1.0, "new"),
        (None, 3.0, "not met"),
        (1.0, None, "gone"),
    ],
)
def test_states_of_a_figure(tree, old, new, state):
    made = load_all(tree / "benchmarks")["good"]
    (found,) = moves(made, {"c: x": old}, {"c: x": new})
    assert found.state == state
    assert as_table([found]).splitlines()[-1].endswith(f"| at most 2 | {state} |")


@pytest.mark.parametrize(("new", "state"), [(1.05, "holds"), (1.5, "busy"), (3.0, "busy")])
def test_seconds_beside_other_work_are_not_judged(tree, new, state):
    file = tree / "benchmarks" / "good" / "claim.toml"
    file.write_text(file.read_text() + "timing = true\n")
    made = load_all(tree / "benchmarks")["good"]
    (found,) = moves(made, {"c: x": 1.0}, {"c: x": new}, {"results.json"})
    assert found.state == state


def test_only_names_folders_or_runs(tree):
    asked = load_all(tree / "benchmarks")
    assert list(command.chosen(asked, ["good.run"], quick=True)) == ["good"]
    with pytest.raises(ValueError, match="nothing is called bad; there are fails"):
        command.chosen(asked, ["bad"], quick=False)


def test_the_history_is_a_table_of_versions(tree):
    made = load_all(tree / "benchmarks")["good"]
    line = {"folder": "good", "at": "2026-01-02T00:00:00+00:00", "commit": "abc", "machine": {"cores": 2}}
    lines = [
        {**line, "load": None, "seconds": None, "figures": {"c: x": 1.0}},
        {**line, "commit": "def", "load": 0.5, "seconds": 61.2, "figures": {"c: x": 2.5}},
    ]
    shown = history.as_table(made, lines)
    assert "| c: x | at most 2 | 1.0 | **2.5** |" in shown
    assert "| seconds of the round | |  | 61 (load 0.5, 2 cores) |" in shown


def test_the_kept_history_names_figures_of_manifests():
    manifests = load_all()
    for line in history.read(command.BENCHMARKS / "history.jsonl"):
        assert line["folder"] in manifests and set(line["figures"]) <= set(manifests[line["folder"]].figures)


def test_values_of_files_that_no_run_wrote_do_not_count(tree):
    made = load_all(tree / "benchmarks")["good"]
    folder = tree / "benchmarks" / "good"
    assert values(made, folder) == {"c: x": 1.0} and values(made, folder, set()) == {"c: x": None}
