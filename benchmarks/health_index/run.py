"""The operating health index against the latent health of simulated provinces, month by month. See README.md.

    OMP_NUM_THREADS=1 python benchmarks/health_index/run.py PROVINCES c22 d8

PROVINCES: a folder with provinces by name, made by ``python -m sim_institutions --months 18 --history-months 36
--enterprises 60000 --seed 8 --out PROVINCES/d8`` and, for the names that begin with c, with ``--profile consortium``.
Studies are emulated (benchmarks/calibration/emulation.py): the recipe's own plan, noise and arithmetic on pooled rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "calibration"))

from against_truth import against_truth  # noqa: E402
from emulation import Emulated, Portfolio, emulate, noisy  # noqa: E402
from portfolios import at_epsilon, from_config  # noqa: E402
from province import HOLDERS, MONTHS, study  # noqa: E402

from fedrisk.institution import load_institution  # noqa: E402
from fedrisk.models.given_points import GivenPoints, common_step, most_values  # noqa: E402
from fedrisk.models.history_file import read_columns  # noqa: E402
from fedrisk.models.index_scale import INDEX_VALUES, IndexScale, index_scale  # noqa: E402
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS  # noqa: E402
from fedrisk.recipes.scorecard.plan import make_plan  # noqa: E402
from fedrisk.recipes.scorecard.score_grid import spans_of  # noqa: E402
from fedrisk.recipes.scorecard.themes import ScoreSum  # noqa: E402
from fedrisk.study_members import BANK  # noqa: E402

NOISE = (1, 2)
COURT = "court"
"""Who is not in its table has no case; it knows all enterprises."""


def main() -> None:
    """Run everything that is asked for and is not there yet, and write results.json after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--epsilon", nargs="+", type=float, default=[3.0, 1.0])
    parser.add_argument("--index", nargs="+", default=["all"])
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    found = json.loads(given.out.read_text("utf-8")) if given.out.exists() else []
    for name in given.names:
        for index in given.index:
            cell = {"province": name, "index": index}
            there = _keys(found)
            todo = [
                (n, e)
                for n in NOISE
                for e in given.epsilon
                if {**cell, "epsilon": e, "noise": n} not in there
            ]
            for row in figures(given.folder / name, name[0], index, todo) if todo else ():
                found.append(cell | row)
                given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print({k: v for k, v in found[-1].items() if not isinstance(v, list)}, flush=True)


def _keys(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("province", "index", "epsilon", "noise")
    return [{n: row[n] for n in names} for row in found]


def figures(folder: Path, profile: str, index: str, todo: list[tuple[int, float]]) -> Any:
    """Studies of a province by draw of noise and epsilon, and the index of its newest month and those before it."""
    os.environ["MONTH"] = "development"
    holders = HOLDERS[profile]
    file = folder / f"health_{index}.toml"
    file.write_text(study(folder, index=index, epsilon=1.0), "utf-8")
    data = from_config(file)
    os.environ["MONTH"] = f"m{MONTHS:02d}"
    truth = pd.read_parquet(folder / "truth" / f"m{MONTHS:02d}.parquet")["id"].to_numpy()
    months = {h: Months(folder, h, truth) for h in holders}
    for noise, epsilon in todo:
        made = emulate(at_epsilon(data, epsilon), holdout=noise, noise=noise)
        told, scale, values = index_of(made, at_epsilon(data, epsilon), months, truth)
        known = np.all([m.known for h, m in months.items() if h != COURT], axis=0)
        row = {"epsilon": epsilon, "noise": noise, "rows": len(made.train), "values": values}
        yield row | {"scale_error": scale.error, **against_truth(folder, told, known)}


class Months:
    """One holder's rows of some enterprises in the newest month, with what its histories say of earlier ones."""

    def __init__(self, folder: Path, name: str, ids: np.ndarray) -> None:
        one = load_institution(folder / "institutions" / f"{name}.toml")
        table = one.read()
        place = pd.Series(np.arange(len(table.ids)), index=np.asarray(table.ids)).reindex(ids)
        self.known = place.notna().to_numpy()
        self.frame = table.frame.iloc[place.fillna(0).astype(int)].reset_index(drop=True)
        self.one, self.ids = one, _once(np.where(self.known, ids, "").astype(object))
        self.earlier: tuple[int, dict[str, np.ndarray]] = 0, {}

    def column(self, name: str, ago: int) -> np.ndarray:
        """A column as it was so many months before, in rows that the holder knows."""
        if not ago or name not in self.one.dictionary.computed:
            return self.frame[name].to_numpy()
        if self.earlier[0] != ago:
            one = self.one
            found, _ = read_columns(one.histories, one.dictionary, one.folder, self.ids, ago)
            self.earlier = ago, found
        return self.earlier[1][name]


def _once(ids: np.ndarray) -> np.ndarray:
    """Ids with those that are not known made different, so that none stands twice."""
    return np.array([i or f"none {k}" for k, i in enumerate(ids)], object)


def index_of(
    made: Emulated, data: Portfolio, months: dict[str, Months], ids: np.ndarray
) -> tuple[pd.DataFrame, IndexScale, int]:
    """The index of each enterprise, a column for each month ago; its scale, and how many numbers it can be."""
    card, plan = made.first, make_plan(data.study, data.features)
    holders = {h: frozenset(["*"]) for h in months}
    one = AllOf("rest", holders)
    spans = spans_of(card, one, near=True)
    step = common_step(spans.values(), INDEX_VALUES)
    tables = {h: GivenPoints.grid(*span, step=step) for h, span in spans.items()}
    places = {h: one.places(card, h) for h in months}

    def given(h: str, codes: list[np.ndarray]) -> np.ndarray:
        points = [np.asarray(card.points[j], np.int64)[c] for j, c in zip(places[h], codes, strict=True)]
        return tables[h].of(np.sum(points, axis=0))

    own = data.codes(card.bins)
    training = card.base_points + sum(given(h, [own[j] for j in places[h]]) for h in months)
    edges = card.calibration_bins(CALIBRATION_BINS)
    place = np.searchsorted(edges, training[made.train], side="right")
    label = data.label[made.train]
    exact = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (label, 1 - label)], 1)
    block = noisy(plan.release("calibration"), {BANK: exact}, np.random.default_rng(99)).block(BANK)
    scale = index_scale(edges, block.total.sum(1), 2 * float(block.variance))
    told = {}
    for ago in range(MONTHS):
        score = np.full(len(ids), card.base_points, np.int64)
        for h, month in months.items():
            codes = [_codes(card.bins[j], month, ago) for j in places[h]]
            score += given(h, codes)
        told[ago] = scale.index(score)
    return pd.DataFrame(told, index=ids), scale, most_values(spans.values(), step)


class AllOf(ScoreSum):
    """The sum of all columns of its holders."""

    def places(self, card: Any, holder: str | None = None) -> list[int]:
        names = self.holders if holder is None else (holder,)
        return [j for h in names for j in card.features_of(h)]


def _codes(bins: Any, month: Months, ago: int) -> np.ndarray:
    """Bin codes of one feature; the last one where the holder does not know the enterprise."""
    if bins.feature.kind == "known":
        return np.where(month.known, 0, 1)
    codes = bins.codes(month.column(bins.feature.column, ago))
    return np.where(month.known, codes, bins.size - 1)


if __name__ == "__main__":
    main()
