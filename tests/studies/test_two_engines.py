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
    write(3000, 5, tmp_path / "province", research=True)
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


STATISTICS = """
name = "cells"
purpose = "credit_scoring"
recipe = "statistics"
institutions = [{ name = "north", role = "holder" }, { name = "south", role = "holder" }]

[privacy]
epsilon = 1.0

[statistics]
by = ["tax.county"]
measures = [{ kind = "count" }, { kind = "mean", column = "tax.sales" }]
offices = { tax = ["north", "south"] }
"""

OFFICE = """
name = "{name}"
kind = "holder"

[table]
source = "../{name}.csv"

[policy]
recipes = ["statistics"]
statistics = ["county", "sales"]
research = true

[dictionary]
id = "id"
id_scheme = "opaque"
columns = [
    {{ name = "county", kind = "category", meaning = "county", categories = ["a", "b"], feature = false }},
    {{ name = "sales", kind = "number", meaning = "sales", low = 0, high = 500 }},
]
"""


@pytest.mark.study
@pytest.mark.long
def test_a_study_without_alignment_gives_the_same_numbers_on_both_engines(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for name in ("north", "south"):
        rows = "\n".join(f"{name}{i},{'ab'[i % 2]},{i}" for i in range(400))
        (tmp_path / f"{name}.csv").write_text(f"id,county,sales\n{rows}\n")
        (tmp_path / "institutions").mkdir(exist_ok=True)
        (tmp_path / "institutions" / f"{name}.toml").write_text(OFFICE.format(name=name))
    file = tmp_path / "study.toml"
    file.write_text(STATISTICS)
    study = load_study(file)
    here = run_local(study, find_institutions(file, study.members), research_seed=7)
    there = run_simulation(file, tmp_path / "out", research_seed=7)
    assert there.to_dict()["engine"] == "flower"
    totals = [
        {b.name: b.total.tolist() for b in r.record.release("statistics").blocks} for r in (here, there)
    ]
    assert totals[0] == totals[1]
    assert len(totals[0]) == 2
