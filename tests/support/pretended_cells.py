"""Cells of sweeps that only pretend to be run, by workers that start quickly since they import nothing heavy."""

import json
import os
import time

from fedrisk.lab.cell_task import Done, Task


def pretend(task: Task) -> Done:
    """A cell that has its seed as its AUC; by its seed it fails (66), hangs (77) or dies (88).

    It says in a file that it ran. With holdout.percent set it takes so many hundredths of a second.
    """
    cell = task.cell
    with (task.folder / "ran.txt").open("a") as file:
        file.write(f"{cell.digest}\n")
    if cell.seed == 77:
        time.sleep(600)
    if cell.seed == 88:
        os._exit(1)
    time.sleep(float(cell.settings.get("holdout.percent", 0)) / 100)
    error = "data" if cell.seed == 66 else None
    kept = {"versions": dict(task.versions), "error": error, "text": "", "seconds": 0.0}
    if error is None:
        row = {"kind": "study", "model": "scorecard", "private": True, "auc": cell.seed / 100, "seconds": 0.5}
        del kept["error"]
        kept |= {"data_digest": "d", "delta": 1e-6, "rows": [row], "split": None}
    (task.folder / "cells").mkdir(exist_ok=True)
    draft = task.folder / "cells" / f".{cell.digest}"
    draft.write_text(json.dumps(kept))
    os.replace(draft, task.folder / "cells" / f"{cell.digest}.json")
    return Done(digest=cell.digest, seconds=0.0, error=error)
