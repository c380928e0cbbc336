"""Sweeps for tests: a small generated data set, and a sweep of pretended cells that can be killed."""

from pathlib import Path

import numpy as np
import pandas as pd

from fedrisk.lab.versions import versions
from support.pretended_cells import pretend

DATA_SET = """
name = "{name}"
title = "generated rows"
licence = "generated"
citation = "tests"

[table]
source = "{name}.csv"

[[parties]]
name = "alfa"
role = "bank"

[[parties]]
name = "tax"
role = "holder"
columns = ["sales"]

[expected]
default_rate = 0.2
enterprises = 700

[dictionary]
id = "id"
id_scheme = "opaque"

[dictionary.label]
column = "bad"
positive = [1]
negative = [0]
horizon = "within a year"

[[dictionary.columns]]
name = "debt"
kind = "number"
meaning = "debt"
low = 0
high = 10
bins = 3

[[dictionary.columns]]
name = "sales"
kind = "number"
meaning = "sales"
low = 0
high = 10
bins = 3
"""


def write_data_set(folder: Path, name: str = "tiny", rows: int = 700) -> Path:
    """The file of a data set of one bank and one holder, with its table beside it."""
    rng = np.random.default_rng(5)
    debt, sales = rng.uniform(0, 10, rows), rng.uniform(0, 10, rows)
    bad = rng.random(rows) < 1 / (1 + np.exp(2.2 - 0.5 * (debt - sales)))
    table = pd.DataFrame(
        {"id": [f"E{k:05d}" for k in range(rows)], "debt": debt, "sales": sales, "bad": 1 * bad}
    )
    table.to_csv(folder / f"{name}.csv", index=False)
    file = folder / f"{name}.toml"
    file.write_text(DATA_SET.format(name=name), encoding="utf-8")
    return file


def write_sweep(folder: Path, text: str = "", grid: str = "", name: str = "try") -> Path:
    """The file of a sweep over that data set: two epsilons and one seed, unless ``grid`` says more."""
    file = folder / "sweep.toml"
    keys = grid or "epsilon = [1.0, inf]"
    file.write_text(f'name = "{name}"\n{text}\n[grid]\ndata_set = ["tiny.toml"]\n{keys}\n', encoding="utf-8")
    return file


def other_versions() -> dict[str, str]:
    """Versions of a machine with another numpy."""
    return {**versions(), "numpy": "0.1"}


def main(file: str, out: str) -> None:
    """Run a sweep of cells that pretend, as a process that can be killed."""
    from fedrisk.lab import cell_workers
    from fedrisk.lab.sweep import load_sweep
    from fedrisk.lab.sweep_run import run_sweep

    cell_workers.run_cell = pretend
    run_sweep(load_sweep(Path(file)), Path(file), Path(out), processes=2)
