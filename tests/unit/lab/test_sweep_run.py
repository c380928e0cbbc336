"""A sweep is finished whatever happens to its cells and processes: killed, hung, failed, run again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from fedrisk.errors import ConfigError, Stopped, StoreError
from fedrisk.lab import cell_workers, sweep_run
from fedrisk.lab.sweep import load_sweep
from fedrisk.lab.sweep_run import run_sweep
from fedrisk.lab.sweep_table import read_about
from support.pretended_cells import pretend
from support.sweeps import other_versions, write_data_set, write_sweep


@pytest.fixture
def there(tmp_path):
    write_data_set(tmp_path)
    return tmp_path


@pytest.fixture
def pretending(monkeypatch):
    monkeypatch.setattr(cell_workers, "run_cell", pretend)


def run(folder, grid="epsilon = [1.0]\nseed = [1, 2, 3]", text="", **how):
    file = write_sweep(folder, text, grid, how.pop("name", "try"))
    return run_sweep(load_sweep(file), file, folder / "out", processes=how.pop("processes", 2), **how)


def times_run(folder):
    return Counter((folder / "out" / "ran.txt").read_text().split())


@pytest.mark.usefixtures("pretending")
def test_what_is_there_is_not_run_again(there):
    states = []
    first = run(there, report=states.append)
    assert (first.there, dict(first.failed), len(first.rows)) == (0, {}, 3)
    assert (states[-1].done, states[-1].left) == (3, 0.0)
    second = run(there)
    assert second.there == 3
    assert set(times_run(there).values()) == {1}
    pd.testing.assert_frame_equal(first.rows, second.rows)
    more = run(there, "epsilon = [1.0]\nseed = [1, 2, 3, 4]")
    assert (more.there, more.rows["seed"].tolist()) == (3, [1, 2, 3, 4])
    assert set(run(there, again=True, grid="epsilon = [1.0]\nseed = [1]").rows["seed"]) == {1}
    about = read_about(there / "out" / "results.parquet")
    assert about["sweep"] == "try"
    assert {"sweep digest", "versions", "cores", "platform", "processes"} <= about.keys()
    assert "numpy" in about["versions"]


@pytest.mark.usefixtures("pretending")
def test_cells_that_fail_or_die_stop_nothing(there):
    found = run(there, "epsilon = [1.0]\nseed = [66, 1, 88, 2]")
    failed = {cell.seed: found.failed[cell.digest] for cell in found.cells if cell.digest in found.failed}
    assert failed == {66: "data", 88: "lost"}
    errors = found.rows.set_index("seed")["error"]
    assert errors.isna().to_dict() == {66: False, 1: True, 88: False, 2: True}
    assert "most often for want of memory" in (there / "out" / "errors.log").read_text()
    # Those that failed are tried once more, the others are not.
    run(there, "epsilon = [1.0]\nseed = [66, 1, 2]")
    assert sorted(times_run(there).values()) == [1, 1, 1, 2]


@pytest.mark.usefixtures("pretending")
def test_a_cell_that_hangs_is_given_up(there):
    found = run(there, "epsilon = [1.0]\nseed = [77]", "time_limit = 1.0")
    assert list(found.failed.values()) == ["time_limit"]
    assert "longer than time_limit = 1 seconds" in (there / "out" / "errors.log").read_text()


def test_a_killed_sweep_goes_on(there, pretending):
    grid = "epsilon = [1.0]\nseed = [1, 2, 3, 4, 5, 6]\n[study]\nholdout.percent = 40"
    file = write_sweep(there, grid=grid)
    script = "import sys; from support.sweeps import main; main(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen([sys.executable, "-c", script, str(file), str(there / "out")], env=environment)
    cells = there / "out" / "cells"
    until = time.monotonic() + 60
    while len(list(cells.glob("*.json"))) < 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.6)  # its workers end by themselves
    kept = {f.stem for f in cells.glob("*.json")}
    assert 2 <= len(kept) < 6
    ran = times_run(there)
    found = run(there, grid)
    assert found.there == len(kept)
    assert found.rows["seed"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.rows["error"].isna().all()
    again = times_run(there) - ran
    assert not kept & again.keys()


@pytest.mark.usefixtures("pretending")
def test_one_that_is_stopped_by_hand_says_how_to_go_on(there):
    def stop(state):
        if state.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"1 of its 3 cells are finished and kept\. Go on with fedrisk bench"):
        run(there, processes=1, report=stop)
    assert run(there).there == 1


@pytest.mark.usefixtures("pretending")
def test_another_sweeps_folder_is_refused(there):
    run(there)
    with pytest.raises(
        ConfigError, match="holds the sweep try, and this is other; name another --out folder"
    ):
        run(there, name="other")
    assert run(there, name="other", again=True).there == 0


def test_a_folder_with_other_files_is_refused(there):
    (there / "out").mkdir()
    (there / "out" / "thesis.tex").write_text("x")
    for again in (False, True):
        with pytest.raises(ConfigError, match="holds files that are no sweep's"):
            run(there, again=again)
    assert (there / "out" / "thesis.tex").exists()


@pytest.mark.usefixtures("pretending")
def test_cells_of_other_versions_are_never_mixed(there, monkeypatch):
    run(there)
    monkeypatch.setattr(sweep_run, "versions", other_versions)
    with pytest.raises(
        ConfigError, match=r"3 of the sweep's 3 cells .* by other versions \(numpy .*, now 0\.1\)"
    ):
        run(there)
    assert run(there, again=True).there == 0


@pytest.mark.usefixtures("pretending")
def test_a_disk_that_is_full_ends_the_sweep_in_words(there, monkeypatch):
    def full(*_, **__):
        raise StoreError("x cannot be written: No space left on device; check space and permissions")

    monkeypatch.setattr(sweep_run, "write_results", full)
    with pytest.raises(StoreError, match="No space left"):
        run(there)


def test_a_file_in_the_way_is_told(there):
    (there / "out").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        run(there)


@pytest.mark.usefixtures("pretending")
def test_two_at_once_in_one_folder_are_refused(there):
    def once_more(state):
        if state.done == 1:
            with pytest.raises(ConfigError, match="another fedrisk bench works in"):
                run(there)

    run(there, report=once_more)


def test_settings_that_fit_no_study_are_told_before_anything_is_run(there):
    with pytest.raises(ConfigError, match='did you mean "percent"'):
        run(there, "epsilon = [1.0]\n[study]\nholdout.percnt = 20")
    assert not list((there / "out" / "cells").glob("*"))


def test_an_unknown_data_set_is_told_with_those_that_there_are(there):
    file = there / "sweep.toml"
    file.write_text('name = "try"\n[grid]\ndata_set = ["taiwn"]\nepsilon = [1.0]\n')
    with pytest.raises(ConfigError, match="did you mean taiwan"):
        run_sweep(load_sweep(file), file, Path(there / "out"))


@pytest.mark.long
def test_the_table_is_the_same_whatever_the_number_of_processes(there):
    """Real studies and baselines, but for seconds; the third sweep goes on where the second lost a cell."""
    tables = []
    for processes in (1, 2, 1):
        grid, text = (
            "epsilon = [1.0, inf]\nseed = [1, 2]",
            'baselines = ["pooled boosting", "DP naive scorecard"]',
        )
        found = run(there, grid, text, processes=processes, again=processes == 2)
        assert not found.failed
        tables.append(found.rows.drop(columns="seconds"))
        next((there / "out" / "cells").glob("*.json")).unlink()
    assert len(tables[0]) > 12
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, check_exact=True)


@pytest.mark.usefixtures("pretending")
def test_a_baseline_without_its_package_has_rows_that_say_so(there, monkeypatch):
    monkeypatch.setattr(
        sweep_run, "missing_packages", lambda b: ["interpret"] if b.name == "DP-EBM" else list[str]()
    )
    asked = 'baselines = ["DP-EBM", "pooled boosting"]'
    found = run(there, "epsilon = [1.0, inf]\nseed = [1]", asked)
    assert (dict(found.without), found.failed_baselines) == ({"DP-EBM": ["interpret"]}, 0)
    left_out = found.rows[found.rows["error"].notna()]
    assert left_out[["model", "epsilon", "error", "private"]].values.tolist() == [
        ["DP-EBM", 1.0, "package: interpret", True]
    ]
    assert left_out["auc"].isna().all()
    pd.testing.assert_frame_equal(found.rows, pd.read_parquet(there / "out" / "results.parquet"))
    assert run(there, "epsilon = [1.0, inf]\nseed = [1]", asked).there == 2
