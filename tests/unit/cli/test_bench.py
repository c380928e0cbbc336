"""``fedrisk bench``: what it prints, its page and its exit codes, on cells that only pretend to be run."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from fedrisk.cli import app
from fedrisk.lab import cell_workers
from support.pretended_cells import pretend
from support.sweeps import write_data_set, write_sweep
from support.unplotted import without_sweep_plots


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_workers, "run_cell", pretend)
    without_sweep_plots(monkeypatch)
    write_data_set(tmp_path)

    def run(grid, *options):
        file = write_sweep(tmp_path, grid=grid)
        return CliRunner().invoke(app, ["bench", str(file), "--out", str(tmp_path / "out"), *options])

    return run


def test_a_sweep_leaves_table_and_page(bench, tmp_path):
    done = bench("epsilon = [1.0]\nseed = [50, 60]", "--processes", "1")
    assert done.exit_code == 0, done.output
    for words in ("research run: no privacy", "mean AUC on the hold-outs", "0.5500", "2 of 2 cells done"):
        assert words in done.output
    assert pd.read_parquet(tmp_path / "out" / "results.parquet")["auc"].tolist() == [0.5, 0.6]
    assert "<script" not in (tmp_path / "out" / "index.html").read_text()

    # For programs, and nothing beside it; what is there is not run again, and what fails is told by the exit code.
    done = bench("epsilon = [1.0]\nseed = [50, 60, 66]", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["cells"], said["there_before"], [f["error"] for f in said["failed"]]) == (3, 2, ["data"])
    assert "1 of 3 cells and 0 baselines failed" in done.stderr

    done = bench("epsilon = [1.0]\nseed = [50]", "--language", "zh")
    assert "各留出样本上的平均AUC" in done.output


def test_what_is_wrong_is_told_in_words(bench, tmp_path):
    done = bench("epsilon = [1.0]\nseeds = [50]")
    assert done.exit_code == 3
    assert 'did you mean "seed"' in done.output
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    assert "holds files that are no sweep's" in bench("epsilon = [1.0]").output
