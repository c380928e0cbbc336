"""Are planted shocks found in the quarter before defaults rise, under the noise of epsilon 1 a quarter?

    python benchmarks/statistics/fragility.py [--seeds 1 2 3] [--enterprises 110000] [--epsilons 1]

Cell sums are those of the simulated province (fragility_cells), which are exact; noise is drawn from the sigma of the
studies' plan. A shock is found where its cell raises an alarm in the quarter in which it begins. False alarms are those of
cells in which no shock began in this or an earlier quarter.
"""

import argparse
import json
import math
import os
import warnings
from pathlib import Path

import fragility_cells as source
import numpy as np
from scipy.stats import beta

from fedrisk.analysis.deviations import Figures, change_matrix, deviations
from fedrisk.analysis.fragility_index import USUAL, Judged, judge
from fedrisk.analysis.fragility_panel import CellSums, Panel, assemble
from fedrisk.analysis.fragility_settings import FragilitySettings
from fedrisk.privacy.accounting import epsilon_for, mu_for
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics.plan import release_of
from fedrisk.releases.statistics import MEAN_COUNT, UNKNOWN, Axis, CellTable, Layout, Measure
from fedrisk.study import Study
from sim_institutions.geography import COUNTIES, SECTORS
from sim_institutions.profiles import PROFILES

CELLS = tuple((c, s) for c in COUNTIES for s in SECTORS)
SUM = math.sqrt(1 - MEAN_COUNT**2)


def settings(**more) -> FragilitySettings:
    return FragilitySettings.model_validate(
        {
            "cells": ("county", "sector"),
            "common": ("sector",),
            "quarters": [
                {"name": f"{2024 + q // 4}Q{q % 4 + 1}", "records": ["."]} for q in range(source.QUARTERS)
            ],
            "indicators": [
                {
                    "name": i.title,
                    "measure": i.column,
                    "fragile": i.fragile,
                    "serious": i.serious,
                }
                for i in source.INDICATORS
            ],
            **more,
        }
    )


def studies(epsilon: float, enterprises: int) -> dict[str, tuple[Study, Layout]]:
    """The quarter's studies, one of each owner; all of them together cost epsilon, measures by their weights."""
    delta, found = min(1e-6, 0.1 / enterprises), {}
    whole, mu = sum(i.weight for i in source.INDICATORS), mu_for(epsilon, delta)
    banks = tuple(b.name for b in PROFILES["demo"].banks)
    for owner in dict.fromkeys(i.owner for i in source.INDICATORS):
        mine = [i for i in source.INDICATORS if i.owner == owner]
        weight = sum(i.weight for i in mine)
        members = banks if owner == "bank" else (owner,)
        study = study_from(
            {
                "name": f"quarterly_{owner}",
                "purpose": "regulation",
                "recipe": "statistics",
                "institutions": [
                    {"name": m, "role": "bank" if owner == "bank" else "holder"} for m in members
                ],
                "privacy": {"epsilon": epsilon_for(mu * math.sqrt(weight / whole), delta), "delta": delta},
                "statistics": {
                    "by": [f"{owner}.county", f"{owner}.sector"],
                    "measures": [
                        {
                            "kind": "mean",
                            "column": f"{i.owner}.{i.column}",
                            "low": i.low,
                            "high": i.high,
                            "weight": i.weight,
                        }
                        for i in mine
                    ],
                },
            }
        )
        axes = (("county", COUNTIES), ("sector", SECTORS))
        layout = Layout(
            owner=owner,
            axes=tuple(
                Axis(name=n, column=f"{owner}.{n}", categories=(*named, UNKNOWN)) for n, named in axes
            ),
            tables=(CellTable(name="county, sector", axes=("county", "sector")),),
            measures=tuple(
                Measure(
                    name=i.column,
                    kind="mean",
                    column=f"{i.owner}.{i.column}",
                    low=i.low,
                    high=i.high,
                    share=i.weight / weight,
                )
                for i in mine
            ),
        )
        found[owner] = study, layout
    return found


def sigmas(epsilon: float, enterprises: int) -> np.ndarray:
    """Of each indicator's numbers, from the plans of the studies: all contributors' noise together."""
    if math.isinf(epsilon):
        return np.zeros(len(source.INDICATORS))
    blocks = {}
    for study, layout in studies(epsilon, enterprises).values():
        release = release_of(study, layout)
        for block, measure in zip(release.blocks, layout.measures, strict=True):
            own = sum(s * s for s in block.sigma.values())
            blocks[measure.column] = math.sqrt(own) / 2**release.scale_bits
    return np.array([blocks[f"{i.owner}.{i.column}"] for i in source.INDICATORS])


def panel(content, chosen: FragilitySettings, sigma: np.ndarray, seed: int) -> Panel:
    """The panel of noisy sums, as it is made of release records."""
    rng = np.random.default_rng([seed, 7])
    exact = np.stack([MEAN_COUNT * content["counts"], SUM * content["sums"]], axis=-1)
    noisy = exact + sigma[:, None, None, None] * rng.normal(size=exact.shape)
    return assemble(
        chosen,
        {
            (i, q): CellSums(
                measure=Measure(
                    name=x.column, kind="mean", column=f"{x.owner}.{x.column}", low=x.low, high=x.high
                ),
                whose=(x.owner,),
                cells=CELLS,
                total=noisy[i, q],
                variance=np.full(len(CELLS), sigma[i] ** 2),
            )
            for i, x in enumerate(source.INDICATORS)
            for q in range(source.QUARTERS)
        },
    )


def measured(content, chosen: FragilitySettings, sigma: np.ndarray, seed: int) -> list[dict]:
    """For each judged quarter: found and planted, false alarms and quiet cells, all and among those that say something."""
    drawn, begins = panel(content, chosen, sigma, seed), dict(zip(CELLS, content["begins"], strict=True))
    begins = np.array([begins[cell] for cell in drawn.cells])
    exact = panel(content, chosen, 0 * sigma, seed)
    rows = []
    for quarter in source.JUDGED:
        judged = judge(drawn, chosen, quarter - 1)
        new, quiet = begins == quarter, (begins == 0) | (begins > quarter)
        said = ~judged.withheld
        rows.append(
            {
                "found": int((judged.alarm & new).sum()),
                "planted": int(new.sum()),
                "planted_said": int((new & said).sum()),
                "false": int((judged.alarm & quiet).sum()),
                "quiet_said": int((quiet & said).sum()),
                "quiet": int(quiet.sum()),
                "found_wide": int((judged.alarm & new & (judged.finds >= 0.8)).sum()),
                "planted_wide": int((new & (judged.finds >= 0.8)).sum()),
                **covered(exact, judged, quarter, sigma),
            }
        )
    return rows


def covered(exact: Panel, judged: Judged, quarter: int, sigma: np.ndarray) -> dict:
    """Cells whose interval holds the index of the figures without noise: the same weights on exact deviations."""
    if not sigma.any():
        return {"covered": 0, "intervals": 0}
    true, held = np.zeros(len(exact.cells)), list(range(quarter))
    for i, x in enumerate(exact.indicators):
        figures = Figures(
            values=exact.values[i],
            errors=exact.errors[i],
            change=change_matrix(source.QUARTERS, 0),
            rows=exact.rows[i],
            group=exact.group,
        )
        part = judged.weights[i] * deviations(figures, held).value[-1]
        true += np.nan_to_num(part if x.fragile == "high" else -part)
    for g in range(len(exact.groups)):
        true[exact.group == g] -= np.median(true[(exact.group == g) & ~judged.withheld])
    said = ~judged.withheld
    holds = (judged.low <= USUAL + true) & (USUAL + true <= judged.high)
    return {"covered": int(holds[said].sum()), "intervals": int(said.sum())}


def pooled(rows: list[dict]) -> dict:
    """Rates with 95 % intervals (Clopper & Pearson 1934)."""
    total = {k: sum(r[k] for r in rows) for k in rows[0]}
    return {
        "power": rate(total["found"], total["planted"]),
        "power_said": rate(total["found"], total["planted_said"]),
        "power_wide": rate(total["found_wide"], total["planted_wide"]),
        "coverage": rate(total["covered"], total["intervals"]),
        "false_alarms": rate(total["false"], total["quiet_said"]),
        "said": round(total["quiet_said"] / max(total["quiet"], 1), 3),
        "sums": total,
    }


def rate(hits: int, of: int) -> list[float]:
    if not of:
        return [float("nan")] * 3
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(0.975, hits + 1, of - hits))
    return [round(hits / of, 3), round(low, 3), round(high, 3)]


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--enterprises", type=int, nargs="+", default=[110_000])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, math.inf])
    parser.add_argument("--quiet", action="store_true", help="series without any shock")
    parser.add_argument("--least", type=float, default=0.5, help="least_found of the settings")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    chosen, results = settings(least_found=asked.least), []
    for enterprises in asked.enterprises:
        contents = {seed: source.load(seed, enterprises, asked.quiet) for seed in asked.seeds}
        for epsilon in asked.epsilons:
            sigma = sigmas(epsilon, enterprises)
            rows = [r for seed, c in contents.items() for r in measured(c, chosen, sigma, seed)]
            found = {
                "enterprises": enterprises,
                "epsilon": epsilon,
                "quiet_series": asked.quiet,
                **pooled(rows),
            }
            print(json.dumps(found), flush=True)
            results.append(found)
    if asked.out:
        old = json.loads(asked.out.read_text()) if asked.out.is_file() else []
        asked.out.write_text(json.dumps(old + results, indent=1) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
