"""The operating health index against the latent health of simulated provinces, month by month. See README.md.

    OMP_NUM_THREADS=1 python benchmarks/health_index/run.py PROVINCES d7 d8 c7 [--epsilon 1 3] [--index histories all]

PROVINCES: a folder with provinces by name, made by ``python -m sim_institutions --months 18 --history-months 36
--enterprises 60000 --seed 7 --out PROVINCES/d7`` and, for the names that begin with c, with ``--profile consortium``.
Each study is a real one, with nodes, keys and noise; each index is asked of the members by the way that serves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from province import HISTORY, MONTHS, prepare, study
from scipy.stats import spearmanr

HERE = Path(__file__).parent
HOLDERS = {
    "d": ["tax_office", "power_utility", "social_insurance"],
    "c": ["tax_office", "power_utility", "social_insurance", "registry", "court"],
}
SERVING = (
    'consent = "none"\nper_day = 100000000\nper_enterprise = 100000\nindex_months = 18\napprove = "own_parts"\n'
    'ages = "always"'
)
ASKED = 12_000
"""Enterprises of a province whose index is asked for, drawn from all; 18 months of each."""

DRAWS = 200
"""Bootstrap draws of an interval."""


def main() -> None:
    """Run everything that is asked for and is not there yet, and write results.json after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 3.0])
    parser.add_argument("--index", nargs="+", default=["histories", "all"])
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    found = json.loads(given.out.read_text("utf-8")) if given.out.exists() else []
    for name in given.names:
        prepare(given.folder / name, serving=SERVING)
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
    (home / "health.toml").write_text(study(folder, index=index, epsilon=epsilon, holders=holders), "utf-8")
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


def against_truth(folder: Path, told: pd.DataFrame) -> dict[str, Any]:
    """Rank correlation with the latent health, month by month and pooled, and of changes within an enterprise."""
    months = told.shape[1]
    health = {}
    for ago in range(months):
        truth = pd.read_parquet(folder / "truth" / f"m{MONTHS - ago:02d}.parquet", columns=["id", "health"])
        health[ago] = truth.set_index("id")["health"].reindex(told.index)
    latent = pd.DataFrame(health)
    there = latent.notna().all(axis=1)
    told, latent = told[there], latent[there]
    out: dict[str, Any] = {"enterprises": len(told), "months": months, "histories": HISTORY}
    values, truth = told.to_numpy(float), latent.to_numpy(float)
    out["by_month"] = [rank(values[:, k], truth[:, k]) for k in range(months)]
    out["pooled"] = rank(values.ravel(), truth.ravel())
    low, high = interval(values, truth, lambda v, t: rank(v.ravel(), t.ravel()))
    out |= {"low": low, "high": high}
    for span in (3, 6, 12):
        if months > span:
            d = [
                rank(values[:, k] - values[:, k + span], truth[:, k] - truth[:, k + span])
                for k in range(months - span)
            ]
            out[f"change_{span}"] = float(np.mean(d))
    mine = [rank(v, t) for v, t in zip(values, truth, strict=True) if np.ptp(v) > 0]
    out["within_median"] = float(np.median(mine))
    out["entropy"], out["further"] = bits(values)
    return out


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return round(float(spearmanr(one, other)[0]), 4)


def interval(values: np.ndarray, truth: np.ndarray, of: Any) -> tuple[float, float]:
    """95 % by bootstrap over enterprises."""
    rng = np.random.default_rng(1)
    drawn = [
        of(values[k], truth[k]) for k in (rng.integers(0, len(values), len(values)) for _ in range(DRAWS))
    ]
    return tuple(round(float(v), 4) for v in np.quantile(drawn, [0.025, 0.975]))


def bits(values: np.ndarray) -> tuple[float, float]:
    """Entropy of one month's index in bits, and of one more month by the month after it (Miller-Madow corrected)."""
    now, then = values[:, 0].astype(int), values[:, 1].astype(int)
    alone, both = entropy(now), entropy(1000 * now + then)
    return round(alone, 2), round(both - alone, 2)


def entropy(codes: np.ndarray) -> float:
    """Of a sample of whole numbers, with the correction of Miller (1955)."""
    _, counts = np.unique(codes, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum() + (len(counts) - 1) / (2 * counts.sum() * np.log(2)))


if __name__ == "__main__":
    main()
