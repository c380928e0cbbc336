"""Records of quarterly statistics studies over cells of county and sector, with moves that are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.fragility_settings import FragilitySettings
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import (
    MEAN_COUNT,
    RELEASE,
    UNKNOWN,
    Axis,
    CellTable,
    Layout,
    Measure,
)
from fedrisk.secure.identity import IdentityKey

COUNTIES = tuple(f"c{k:02d}" for k in range(40))
SECTORS = ("crafts", "trade")
CELLS = tuple((c, s) for c in COUNTIES for s in SECTORS)
NAMES = ("growth", "load", "late")
KEY = IdentityKey.generate()
SHAPE = (len(COUNTIES) + 1, len(SECTORS) + 1)


def moves(quarters: int, seed: int, *, usual: float = 0.01) -> NDArray[Any]:
    """(measures, quarters, cells): levels of cells, moves of all cells of a sector, usual moves of each; within [-1, 1]."""
    rng = np.random.default_rng(seed)
    level = 0.1 * rng.normal(size=(len(NAMES), 1, len(CELLS)))
    common = np.repeat(0.03 * rng.normal(size=(len(NAMES), quarters, 1, len(SECTORS))), len(COUNTIES), axis=2)
    own = usual * rng.normal(size=(len(NAMES), quarters, len(CELLS)))
    return level + common.reshape(len(NAMES), quarters, -1) + own


def record(means: NDArray[Any], rows: NDArray[Any], sigma: float, seed: int, **more: Any) -> ReleaseRecord:
    """A signed record: means (measures, cells) of so many rows (cells,), with noise of that sigma."""
    rng = np.random.default_rng(seed)
    layout = Layout(
        owner="tax",
        axes=(
            Axis(name="county", column="tax.county", categories=(*COUNTIES, UNKNOWN)),
            Axis(name="sector", column="tax.sector", categories=(*SECTORS, UNKNOWN)),
        ),
        tables=(CellTable(name="cells", axes=("county", "sector")),),
        measures=tuple(
            Measure(name=n, kind="mean", column=f"tax.{n}", low=-2.0, high=2.0, share=1 / 3) for n in NAMES
        ),
    )
    blocks = []
    for name, mean in zip(NAMES, means, strict=True):
        total = np.full((*SHAPE, 2), 7.0)
        total[:-1, :-1, 0] = (MEAN_COUNT * rows).reshape(len(COUNTIES), -1)
        total[:-1, :-1, 1] = (np.sqrt(1 - MEAN_COUNT**2) * rows * mean).reshape(len(COUNTIES), -1)
        total += sigma * rng.normal(size=total.shape)
        blocks.append(
            ReleasedBlock(
                name=f"cells|{name}", left="tax", right="tax", total=total.reshape(-1, 2), variance=sigma**2
            )
        )
    released = ReleasedSums(
        name=RELEASE, population="all", mu=0.25, blocks=tuple(blocks), about={"layout": layout.to_dict()}
    )
    study = {"name": "quarterly", "recipe": "statistics", "privacy": {"epsilon": 1.0, "delta": 1e-6}}
    plain = ReleaseRecord(
        study={**study, **more}, study_digest="", attempt="a" * 32, research=False, releases=(released,)
    )
    return plain.signed(KEY)


def settings(quarters: int, **more: Any) -> FragilitySettings:
    """An index of the three measures; fragile is low, and high of ``late``."""
    return FragilitySettings.model_validate(
        {
            "cells": ("county", "sector"),
            "common": ("sector",),
            "quarters": [
                {"name": f"{2024 + q // 4}Q{q % 4 + 1}", "records": [f"q{q}"]} for q in range(quarters)
            ],
            "indicators": [
                {"name": n.title(), "measure": n, "fragile": "high" if n == "late" else "low", "serious": 0.1}
                for n in NAMES
            ],
            **more,
        }
    )


def write(folder: Path, means: NDArray[Any], rows: NDArray[Any], sigma: float) -> Path:
    """Results of each quarter, a map of the counties, and the index's file; the file's path."""
    for q in range(means.shape[1]):
        (folder / f"q{q}").mkdir(parents=True)
        record(means[:, q], rows, sigma, q).save(folder / f"q{q}")
    squares = [
        {
            "type": "Feature",
            "properties": {"county": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]],
            },
        }
        for k, name in enumerate(COUNTIES)
        for x, y in [(110 + k % 8, 25 + k // 8)]
    ]
    (folder / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": squares}))
    lines = ['cells = ["county", "sector"]', 'common = ["sector"]']
    lines += ['map = { file = "map.geojson", axis = "county", property = "county" }']
    for q in range(means.shape[1]):
        lines += ["[[quarters]]", f'name = "{2024 + q // 4}Q{q % 4 + 1}"', f'records = ["q{q}"]']
    for n in NAMES:
        way = "high" if n == "late" else "low"
        lines += ["[[indicators]]", f'name = "{n.title()} <{n}>"', f'measure = "{n}"', f'fragile = "{way}"']
        lines += ["serious = 0.1"]
    file = folder / "fragility.toml"
    file.write_text("\n".join(lines) + "\n")
    return file
