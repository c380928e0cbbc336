"""The study of a cell, as a research run between real nodes with a store of their own, and its figures.

Figures are exact and come from the banks' scores of their hold-outs, which only the institutions see in a study that
has privacy. So all of this is for data that may be looked at: public or simulated ones.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.clients.node import Node
from fedrisk.clients.own_results import MODELS, entry_of
from fedrisk.clients.own_results import scores as read_scores
from fedrisk.engine.in_process import run_local
from fedrisk.files import write_atomic
from fedrisk.lab.cell import Cell
from fedrisk.lab.figures import figures
from fedrisk.releases.budget import total_mu
from fedrisk.server.results import Results, finite
from fedrisk.study import Study

Scores = Mapping[str, pd.DataFrame]

NAMES = {"alone": "bank alone"}
"""Names in results of a bank's models, where they differ from those in its scores."""

USED = ("training", "holdout")


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """What the study of a cell left. rows: of results, but for the columns of the cell. scores: by bank."""

    rows: list[dict[str, Any]]
    scores: dict[str, pd.DataFrame]
    seconds: float


def run_study(cell: Cell, study: Study, institutions: Mapping[str, Path]) -> StudyRun:
    """Run a cell's study in this process, with stores below FEDRISK_HOME; errors as in ``run_local``."""
    begun = time.perf_counter()
    paths = {name: institutions[name] for name in study.members}
    results = run_local(study, paths, research_seed=cell.seed)
    seconds = time.perf_counter() - begun
    scores = _scores(results, study, paths) if results.evaluated else {}
    return StudyRun(rows=_rows(study, results, scores, seconds), scores=scores, seconds=seconds)


def _scores(results: Results, study: Study, paths: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """What each bank keeps of its customers, in the order of ids."""
    found = {}
    for bank in study.banks:
        node = Node.load(paths[bank])
        table = read_scores(node, entry_of(node, results.attempt))
        found[bank] = table.sort_values("id", ignore_index=True)
    return found


def _rows(study: Study, results: Results, scores: Scores, seconds: float) -> list[dict[str, Any]]:
    """A row for the study's model, and one for each model that every bank made for itself beside it."""
    noisy = finite(study.privacy.epsilon) is not None
    shared = {
        "kind": "study",
        "model": study.recipe,
        "private": noisy,
        "mu": finite(total_mu(study)),
        "delta": study.privacy.delta,
        "exchanges": results.exchanges,
        "bytes": sum(results.bytes_sent.values()) + sum(results.bytes_received.values()),
        "seconds": seconds,
    }
    if not scores:
        return [shared]
    pooled = pd.concat([t[t["split"].isin(USED)] for t in scores.values()], ignore_index=True)
    sizes = _sizes(pooled)
    held = pooled[pooled["split"] == "holdout"]
    label = held["label"].to_numpy(float)
    rows = [shared | sizes | figures(label, held["probability"].to_numpy(float))]
    for name in MODELS:
        column = f"{name}_probability"
        if name == "best" or not all(column in table for table in scores.values()):
            continue
        own = {"kind": "study", "model": NAMES.get(name, name), "private": False}
        rows.append(own | sizes | figures(label, held[column].to_numpy(float)))
    return rows


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    """Rows and defaults of both sides."""
    counted: dict[str, int] = {}
    for side in USED:
        part = rows[rows["split"] == side]
        counted |= {f"rows_{side}": len(part), f"defaults_{side}": int((part["label"] > 0).sum())}
    return counted


def split_of(scores: Scores) -> pd.DataFrame:
    """Which row of which bank was used for what: columns bank, id, split, in a fixed order."""
    parts = [table[["id", "split"]].assign(bank=bank) for bank, table in scores.items()]
    return pd.concat(parts, ignore_index=True).sort_values(["bank", "id"], ignore_index=True)


def split_digest(split: pd.DataFrame) -> str:
    """Names a split: two studies with the same have trained on the same rows, and are measured on the same."""
    lines = "\n".join(split["bank"] + "|" + split["id"] + "|" + split["split"])
    return hashlib.sha256(lines.encode()).hexdigest()


def keep_split(split: pd.DataFrame, file: Path) -> None:
    """Write a split for baselines that come later."""
    if not file.exists():
        write_atomic(file, split.to_parquet(index=False))


def kept_split(file: Path) -> dict[str, pd.DataFrame]:
    """Inverse of `split_of`: ids and sides by bank."""
    table = pd.read_parquet(file)
    return {str(bank): part[["id", "split"]] for bank, part in table.groupby("bank", sort=False)}
