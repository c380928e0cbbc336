"""The operating health index of real studies, asked of the members by the way that serves. See README.md.

    OMP_NUM_THREADS=1 python benchmarks/health_index/whole.py PROVINCES c22 d8 [--epsilon 1 3] [--index histories all]

PROVINCES: a folder with provinces by name, made by ``python -m sim_institutions --months 18 --history-months 36
--enterprises 60000 --seed 8 --out PROVINCES/d8`` and, for the names that begin with c, with ``--profile consortium``.
Each study is a real one, with nodes, keys and noise. What `run.py` emulates is held against it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
from against_truth import against_truth
from province import HOLDERS, MONTHS, prepare, study

HERE = Path(__file__).parent
ASKED = 12_000
"""Enterprises of a province whose index is asked for, drawn from all; 18 months of each."""


def main() -> None:
    """Run everything that is asked for and is not there yet, and write whole.json after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 3.0])
    parser.add_argument("--index", nargs="+", default=["histories", "all"])
    parser.add_argument("--out", type=Path, default=HERE / "whole.json")
    given = parser.parse_args()
    found = json.loads(given.out.read_text("utf-8")) if given.out.exists() else []
    for name in given.names:
        prepare(given.folder / name)
        for index in given.index:
            for epsilon in given.epsilon:
                cell = {"province": name, "index": index, "epsilon": epsilon}
                if any(all(f[k] == v for k, v in cell.items()) for f in found):
                    continue
                began = time.monotonic()
                row = cell | figures(given.folder / name, name[0], index, epsilon)
                found.append(row | {"seconds": round(time.monotonic() - began)})
                given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print({k: v for k, v in found[-1].items() if not isinstance(v, list)}, flush=True)


def figures(folder: Path, profile: str, index: str, epsilon: float) -> dict[str, Any]:
    """One study of a province and the index of its newest month and those before it."""
    home = folder / "homes" / f"{index}_{epsilon:g}"
    shutil.rmtree(home, ignore_errors=True)
    os.environ |= {"FEDRISK_HOME": str(home), "MONTH": "development"}
    holders = HOLDERS[profile]
    files = institutions(folder, holders, home)
    (home / "health.toml").write_text(study(folder, index=index, epsilon=epsilon), "utf-8")
    from fedrisk import api

    api.run(home / "health.toml", out=home / "results", institutions=files)
    os.environ["MONTH"] = f"m{MONTHS:02d}"
    told, scale, seconds = asked(files, sample(folder))
    return {**against_truth(folder, told), "scale_error": scale.error, "asked_seconds": round(seconds, 1)}


def institutions(folder: Path, holders: list[str], home: Path) -> dict[str, Path]:
    """Banks' and holders' files; their stores are in ``home``."""
    files = sorted((folder / "institutions").glob("*.toml"))
    banks = [f for f in files if 'kind = "bank"' in f.read_text("utf-8")]
    home.mkdir(parents=True)
    return {f.stem: f for f in files if f in banks or f.stem in holders}


def sample(folder: Path) -> list[str]:
    """Ids of enterprises of the newest month, drawn once for a province."""
    ids = pd.read_parquet(folder / "truth" / f"m{MONTHS:02d}.parquet")["id"]
    return ids.sample(min(ASKED, len(ids)), random_state=1).tolist()


def asked(files: dict[str, Path], ids: list[str]) -> tuple[pd.DataFrame, Any, float]:
    """The index of these enterprises by months ago, as the first bank is answered; and the seconds it took."""
    from fedrisk.clients.node import Node
    from fedrisk.serving import registry
    from fedrisk.serving.asking import Asking
    from fedrisk.serving.index import index_answers
    from fedrisk.serving.index_forms import IndexRequest
    from fedrisk.serving.local_relay import LocalRelay

    approve(files)
    bank = next(name for name, file in files.items() if 'kind = "bank"' in file.read_text("utf-8"))
    node = Node.open(files[bank])
    (part,) = node.store.models.parts()
    registry.deploy(node, part.model, as_="champion", who="benchmark")
    relay = LocalRelay(files, bank)
    asking, rows, began = Asking(node, relay), [], time.monotonic()
    for start in range(0, len(ids), 500):
        request = IndexRequest(ids=tuple(ids[start : start + 500]), months=MONTHS)
        answers, scale = index_answers(node, asking, request, seconds=300.0)
        assert not any(a.code for a in answers), answers[0]
        rows += [[a.id, *[m.index for m in a.months]] for a in answers]
    seconds = time.monotonic() - began
    relay.close()
    frame = pd.DataFrame(rows).set_index(0)
    frame.columns = range(frame.shape[1])
    return frame, scale, seconds


def approve(files: dict[str, Path]) -> None:
    """Approve the model wherever it waits for a person."""
    from fedrisk.clients.node import Node
    from fedrisk.engine.kept_parts import follows
    from fedrisk.serving import registry

    for file in files.values():
        node = Node.open(file)
        for part in node.store.models.parts():
            if node.store.models.state(part.model).name == "candidate":
                registry.approve(node, part.model, who="benchmark", follows=follows(node))


if __name__ == "__main__":
    main()
