"""One cell, run: its figures are those of its rows, and come again exactly, whatever keys and orders are drawn."""

import json
import math

import numpy as np
import pytest

from fedrisk.alignment import oprf
from fedrisk.errors import ConfigError
from fedrisk.lab.cell import Cell
from fedrisk.lab.cell_data import prepared, study_of
from fedrisk.lab.cell_task import ONE_THREAD, Task, run_cell
from fedrisk.lab.sweep_folder import SweepFolder
from fedrisk.lab.sweep_table import frame, rows_of
from fedrisk.lab.versions import versions
from support.sweeps import write_data_set

NAMES = ("pooled logistic regression", "DP naive scorecard")


@pytest.fixture(autouse=True)
def as_in_a_worker(monkeypatch):
    """What a worker sets for its own process goes back to what it was."""
    for variable in ("FEDRISK_HOME", *ONE_THREAD):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(oprf, "_limit", [])


def task(folder, data_set, cell, **how):
    how = {"baselines": NAMES, "versions": versions(), "parent": 0, **how}
    return Task(cell=cell, data_set=str(data_set), folder=folder, **how)


def without_time(rows):
    return frame(rows).drop(columns="seconds")


@pytest.mark.long
def test_a_cell_comes_again_exactly(tmp_path):
    data_set, cell = write_data_set(tmp_path), Cell(data_set="tiny", epsilon=1.0, seed=3)
    tables = []
    for name in ("one", "two"):
        folder = SweepFolder(tmp_path / name)
        done = run_cell(task(folder.path, data_set, cell))
        assert (done.error, done.failed) == (None, 0)
        tables.append(without_time(rows_of(folder, [cell], NAMES)))
        assert not list((folder.work / "stores").glob("*"))
    one, two = tables
    assert one.equals(two)
    assert one["model"].tolist()[0] == "scorecard"
    assert one["model"].tolist()[-2:] == list(NAMES)
    study = one.iloc[0]
    assert study["rows_training"] + study["rows_holdout"] == 700
    assert 0.5 < study["auc_low"] < study["auc"] < study["auc_high"] < 1
    assert study["bytes"] > 10_000
    assert study["exchanges"] > 5
    assert one.iloc[-1]["mu"] == pytest.approx(study["mu"])
    assert one["auc"].notna().all()

    # Another seed is another hold-out; without noise the study has no price, and baselines in the clear are there.
    folder, clear = SweepFolder(tmp_path / "one"), Cell(data_set="tiny", epsilon=math.inf, seed=3)
    before = {f.name: f.stat().st_mtime_ns for f in (folder.path / "baselines").iterdir()}
    run_cell(task(folder.path, data_set, clear, baselines=NAMES[:1]))
    assert {f.name: f.stat().st_mtime_ns for f in (folder.path / "baselines").iterdir()} == before
    exact = frame(rows_of(folder, [clear], NAMES))
    assert not exact.iloc[0]["private"]
    assert np.isnan(exact.iloc[0]["mu"])
    assert exact["model"].tolist()[-1] == NAMES[0]


def test_a_cell_that_cannot_be_run_is_kept_with_its_reason(tmp_path):
    folder, cell = SweepFolder(tmp_path / "out"), Cell(data_set="tiny", recipe="encoder")
    done = run_cell(task(folder.path, write_data_set(tmp_path), cell))
    assert done.error == "config"
    assert folder.cell(cell)["error"] == "config"
    assert "recipe encoder" in folder.cell(cell)["text"]
    (row,) = rows_of(folder, [cell], NAMES)
    assert (row.error, row.auc, row.model) == ("config", None, "encoder")


def test_a_recipe_without_holders_takes_the_banks_alone(tmp_path):
    write_data_set(tmp_path)
    cell = Cell(data_set="tiny", recipe="network", settings={"privacy.delta": 1e-5})
    study = study_of(cell, prepared(cell, str(tmp_path / "tiny.toml"), tmp_path / "work"))
    assert (study.members, study.privacy.delta) == (("alfa",), 1e-5)


def test_other_data_than_before_end_the_sweep(tmp_path):
    with pytest.raises(ConfigError, match="data set tiny has changed since"):
        run_cell(task(tmp_path / "out", write_data_set(tmp_path), Cell(data_set="tiny"), data_digest="other"))


def test_a_data_set_is_prepared_once(tmp_path):
    write_data_set(tmp_path)
    cell, entry, work = Cell(data_set="tiny"), str(tmp_path / "tiny.toml"), tmp_path / "work"
    first = prepared(cell, entry, work)
    (tmp_path / "tiny.csv").unlink()
    assert prepared(cell, entry, work) == first
    assert json.loads(next((work / "data").glob("*/prepared.json")).read_text())["digest"] == first.digest
