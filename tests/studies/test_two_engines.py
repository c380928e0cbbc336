"""One study, one research seed, both engines: the same scorecard, number for number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedrisk.engine.in_process import run_local
from fedrisk.engine.simulation import run_simulation
from fedrisk.institution import find_institutions
from fedrisk.recipes import load_study
from sim_institutions.files import write

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.study
def test_in_process_and_flower_simulation_agree(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    write(6000, 5, tmp_path / "province", research=True)
    file = tmp_path / "province" / "study.toml"
    study = load_study(file)
    here = run_local(study, find_institutions(file, study.members), research_seed=7)
    there = run_simulation(file, tmp_path / "out", research_seed=7)
    assert there.to_dict()["engine"] == "flower"
    assert here.card == there.card
    for figure in ("auc", "ks", "gini", "brier", "rows", "second_release", "default_rate", "bank_alone_auc"):
        assert here.to_dict()[figure] == there.to_dict()[figure], figure


@pytest.mark.long
@pytest.mark.study
def test_command_line_of_an_engine_that_fails_says_why(tmp_path):
    write(2000, 5, tmp_path)
    (tmp_path / "institutions" / "tax_office.toml").unlink()
    command = [
        sys.executable,
        "-m",
        "fedrisk.cli",
        "run",
        str(tmp_path / "study.toml"),
        "--out",
        str(tmp_path / "o"),
    ]
    environment = {**os.environ, "FEDRISK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--engine", "flower"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 3
    assert "tax_office" in done.stderr
    assert "Traceback" not in done.stderr
