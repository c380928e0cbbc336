"""The fragility index as tables and plain data: what files, screens and pages print, and nothing that is withheld."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from fedrisk.analysis.fragility_index import USUAL, Judged, judge_all
from fedrisk.analysis.fragility_panel import Panel
from fedrisk.analysis.fragility_settings import FragilitySettings

BEYOND = float(norm.ppf(0.975))
"""A contribution is named as a driver where it is more than so many of its standard errors."""


@dataclass(frozen=True, kw_only=True)
class Fragility:
    """A fragility index over quarters: its settings, its figures, and each judged quarter, the oldest first."""

    settings: FragilitySettings
    panel: Panel
    judged: tuple[Judged, ...]

    @property
    def last(self) -> Judged:
        """The latest quarter."""
        return self.judged[-1]

    @classmethod
    def of(cls, settings: FragilitySettings, panel: Panel) -> "Fragility":
        """The index of all quarters that have enough earlier ones; ConfigError where none has."""
        return cls(settings=settings, panel=panel, judged=tuple(judge_all(panel, settings)))


@dataclass(frozen=True, kw_only=True)
class Driver:
    """An indicator's part of a cell's index, in points, with its standard error."""

    name: str
    points: float
    error: float


def drivers(panel: Panel, judged: Judged, cell: int) -> list[Driver]:
    """Indicators that raise a cell's index by more than their errors, the strongest first."""
    parts, errors = judged.contributions[:, cell], judged.contribution_errors[:, cell]
    found = [
        Driver(name=i.name, points=float(p), error=float(e))
        for i, p, e in zip(panel.indicators, parts, errors, strict=True)
        if np.isfinite(p) and p > BEYOND * e
    ]
    return sorted(found, key=lambda d: -d.points)


def by_rank(judged: Judged) -> list[int]:
    """Cells that say something, the most fragile first."""
    said = np.flatnonzero(~judged.withheld)
    return [int(c) for c in said[np.argsort(judged.rank[said], kind="stable")]]


def frame(fragility: Fragility) -> pd.DataFrame:
    """A row for each quarter and cell; see docs/fragility.md for the columns. Figures of withheld cells are missing."""
    return pd.concat([_frame(fragility, j) for j in fragility.judged], ignore_index=True)


def _frame(fragility: Fragility, judged: Judged) -> pd.DataFrame:
    panel = fragility.panel
    columns: dict[str, Any] = {"quarter": judged.quarter}
    columns |= {a: [cell[k] for cell in panel.cells] for k, a in enumerate(panel.axes)}
    said = ~judged.withheld
    columns |= {
        "withheld": judged.withheld,
        "index": _points(judged.index),
        "low": _points(judged.low),
        "high": _points(judged.high),
        "alarm": judged.alarm,
        "strength": np.round(judged.strength, 2),
        "rank": pd.array(np.where(said, judged.rank, 0), dtype="Int64"),
        "rank_low": pd.array(np.where(said, judged.rank_low, 0), dtype="Int64"),
        "rank_high": pd.array(np.where(said, judged.rank_high, 0), dtype="Int64"),
        f"among_worst_{fragility.settings.worst}": np.round(judged.worst, 3),
    }
    for k, indicator in enumerate(panel.indicators):
        columns[f"points: {indicator.name}"] = _points(judged.contributions[k])
        columns[f"error: {indicator.name}"] = _points(judged.contribution_errors[k])
    table = pd.DataFrame(columns, index=range(len(panel.cells)))
    for name in ("rank", "rank_low", "rank_high"):
        table.loc[~said, name] = pd.NA
    return table


def _points(values: Any) -> Any:
    return np.round(values, 3)


def common_moves(fragility: Fragility, judged: Judged) -> list[dict[str, Any]]:
    """What moved everywhere alike: for each group its points above or below its earlier quarters, with an interval.

    Points are None where the group's cells are all withheld.
    """
    panel = fragility.panel
    rows: list[dict[str, Any]] = []
    for g, group in enumerate(panel.groups):
        name = dict(zip(fragility.settings.common, group, strict=True))
        points, half = float(judged.common[g]), BEYOND * float(judged.common_error[g])
        if not np.isfinite(points):
            rows.append({"group": name, "points": None, "low": None, "high": None, "most": []})
            continue
        parts = sorted(
            zip(judged.common_parts[:, g], panel.indicators, strict=True), key=lambda p: -abs(p[0])
        )
        rows.append(
            {
                "group": name,
                "points": points,
                "low": points - half,
                "high": points + half,
                "most": [i.name for p, i in parts[:2] if p * points > 0],
            }
        )
    return rows


def summary(fragility: Fragility) -> dict[str, Any]:
    """The latest quarter for programs: figures as in `frame`, drivers, common moves, and the price of every quarter."""
    panel, judged = fragility.panel, fragility.last
    return {
        "title": fragility.settings.title,
        "quarter": judged.quarter,
        "research": panel.research,
        "reference": list(judged.reference),
        "usual": USUAL,
        "false_alarms": fragility.settings.false_alarms,
        **counts(judged, fragility.settings),
        "common": common_moves(fragility, judged),
        "cells": [_plain(fragility, judged, c) for c in by_rank(judged)],
        "withheld_cells": [list(panel.cells[c]) for c in np.flatnonzero(judged.withheld)],
        "prices": [
            {"quarter": q, "studies": list(p.studies), "mu": p.mu, "epsilon": p.epsilon, "delta": p.delta}
            for q, p in zip(panel.quarters, panel.prices, strict=True)
        ],
        "absent": [{"quarter": q, "indicator": i} for q, i in panel.absent],
    }


def counts(judged: Judged, settings: FragilitySettings) -> dict[str, Any]:
    """How many cells say something, alarm, would alarm by chance if nothing had happened, and are withheld."""
    said = int((~judged.withheld).sum())
    return {
        "said": said,
        "alarms": int(judged.alarm.sum()),
        "by_chance": round(said * settings.false_alarms, 1),
        "withheld": int(judged.withheld.sum()),
    }


def _plain(fragility: Fragility, judged: Judged, cell: int) -> dict[str, Any]:
    panel = fragility.panel
    return {
        **dict(zip(panel.axes, panel.cells[cell], strict=True)),
        "index": round(float(judged.index[cell]), 3),
        "low": round(float(judged.low[cell]), 3),
        "high": round(float(judged.high[cell]), 3),
        "alarm": bool(judged.alarm[cell]),
        "rank": int(judged.rank[cell]),
        "rank_low": int(judged.rank_low[cell]),
        "rank_high": int(judged.rank_high[cell]),
        f"among_worst_{fragility.settings.worst}": round(float(judged.worst[cell]), 3),
        "drivers": [
            {"indicator": d.name, "points": round(d.points, 3), "error": round(d.error, 3)}
            for d in drivers(panel, judged, cell)
        ],
    }


def courses(fragility: Fragility, cells: Sequence[int]) -> list[list[tuple[float, float, float, bool]]]:
    """For each cell its (index, low, high, alarm) over the judged quarters; NaN where withheld."""
    return [
        [(float(j.index[c]), float(j.low[c]), float(j.high[c]), bool(j.alarm[c])) for j in fragility.judged]
        for c in cells
    ]
