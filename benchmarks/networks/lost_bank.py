"""What it costs that survivors confirm who they are: five banks, ten steps, one bank lost from the third step on.

Every party, message, mask, ledger and trail is real, over Flower's message format, in one process. Data are
random. Prints exchanges and seconds (wall clock, and of the processor) by kind of exchange, writes lost_bank.json next to this file, and exits with
status 1 if the claim does not hold.

    OMP_NUM_THREADS=1 python benchmarks/networks/lost_bank.py
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
BANKS, ROWS, STEPS, LOST_FROM = 5, 1500, 10, 2
REPEATS = 3
# Claim: processor seconds of one exchange of confirmations, with the hub's side and those of the four banks left.
MOST_SECONDS = 0.1

INSTITUTION = """
name = "{name}"
kind = "bank"
store = "{folder}/home/{name}"
table = {{ source = "{name}.parquet" }}
policy = {{ research = true, recipes = ["network"], cap_epsilon = 100.0, max_epsilon = 20.0 }}

[dictionary]
id = "id"
id_scheme = "opaque"
label = {{ column = "bad", positive = [1], negative = [0], horizon = "a year" }}
columns = [
  {{ name = "debt", kind = "number", low = 0, high = 1, meaning = "m", bins = [0.2, 0.4, 0.6, 0.8] }},
  {{ name = "late", kind = "number", low = 0, high = 1, meaning = "m", bins = [0.2, 0.4, 0.6, 0.8] }},
  {{ name = "use", kind = "number", low = 0, high = 1, meaning = "m", bins = [0.2, 0.4, 0.6, 0.8] }},
]
"""


def write(folder: Path) -> dict[str, Path]:
    """Institution files and tables of the banks; no enterprise has two banks."""
    rng, paths = np.random.default_rng(0), {}
    for k in range(BANKS):
        name = f"bank{k}"
        columns = {c: rng.random(ROWS) for c in ("debt", "late", "use")}
        bad = (rng.random(ROWS) < 0.1 + 0.3 * columns["late"]).astype(int)
        ids = [f"E{k}{i:06d}" for i in range(ROWS)]
        pd.DataFrame({"id": ids, **columns, "bad": bad}).to_parquet(folder / f"{name}.parquet", index=False)
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text(INSTITUTION.format(name=name, folder=folder), encoding="utf-8")
    return paths


def one_run(lose: bool) -> dict[str, dict[str, float]]:
    """Exchanges and seconds by kind of exchange; those about steps from LOST_FROM on."""
    from fedrisk.engine.in_process import run_local
    from fedrisk.recipes import study_from
    from fedrisk.server.exchange import Exchange
    from fedrisk.server.hub import Hub

    spent: dict[str, dict[str, float]] = defaultdict(lambda: {"exchanges": 0, "seconds": 0.0, "cpu": 0.0})

    class Timed(Exchange):
        def _ask(self, action: str, what: str, content: Any, **how: Any) -> Any:
            number = next(iter(content.values())).body.get("step", -1)
            if lose and number >= LOST_FROM:
                content = {name: c for name, c in content.items() if name != "bank0"}
            start, cpu = time.perf_counter(), time.process_time()
            answers = super()._ask(action, what, content, **how)
            if number >= LOST_FROM:
                spent[action]["exchanges"] += 1
                spent[action]["seconds"] += time.perf_counter() - start
                spent[action]["cpu"] += time.process_time() - cpu
            return answers

    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    os.environ["FEDRISK_HOME"] = str(folder / "home")
    study = study_from(
        {
            "name": "lost_bank",
            "purpose": "credit_scoring",
            "recipe": "network",
            "network": {"kind": "logistic"},
            "institutions": [{"name": f"bank{k}", "role": "bank"} for k in range(BANKS)],
            "privacy": {"epsilon": 8.0},
            "training": {"steps": STEPS},
        }
    )
    cpu = time.process_time()
    with mock.patch("fedrisk.server.run.Exchange", Timed):
        results = run_local(study, write(folder), hub=Hub(folder / "home" / "hub"), research_seed=1).to_dict()
    if results["training"]["lost"] != ({"bank0": LOST_FROM} if lose else {}):
        raise SystemExit("another bank was lost than meant")
    whole = {"exchanges": results["exchanges"], "seconds": results["seconds"]}
    spent["whole study"] = {**whole, "cpu": time.process_time() - cpu}
    return dict(spent)


def main() -> int:
    """Measure both, write the figures, check the claim."""
    one_run(False)  # fills caches
    found = {}
    for name, lose in (("nobody lost", False), ("one bank lost", True)):
        runs = [one_run(lose) for _ in range(REPEATS)]
        found[name] = {
            action: {
                "exchanges": runs[0][action]["exchanges"],
                **{
                    clock: round(float(np.median([run[action][clock] for run in runs])), 3)
                    for clock in ("seconds", "cpu")
                },
            }
            for action in runs[0]
        }
    found["load"] = list(os.getloadavg())  # type: ignore[assignment]
    print(json.dumps(found, indent=2))
    (HERE / "lost_bank.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    confirm = found["one bank lost"]["confirm"]
    return int(confirm["cpu"] > MOST_SECONDS * confirm["exchanges"])


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    sys.exit(main())
