"""A sweep's table in figures for people: means over seeds and differences on the same rows, with intervals.

Seeds of one data set share its rows: their hold-outs overlap, so that the spread over seeds alone makes intervals too
narrow. The variance of a mean over J seeds is taken as s^2 (1/J + n_holdout / n_training) (Nadeau & Bengio 2003), and
as s^2 / J where every seed has other enterprises, as simulated data have. Intervals are those of Student's t.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

LEVEL = 0.95
REFERENCE = "pooled boosting"
"""What models are held against, on the same rows."""

FIGURES = ("auc", "ks", "brier", "log_loss", "calibration_slope", "calibration_intercept", "seconds", "bytes")
BOUNDED = ("auc", "ks", "brier")
"""Figures between 0 and 1: what an interval of few seeds has beyond them is cut off, and it covers as often."""

Nature = Literal["study", "own", "record", "label", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seeds.

    low, high: its interval; None where there is none. holdout: it is that of one hold-out's rows, as there is one seed.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int
    holdout: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model at one epsilon.

    figures: those that it has, by name. difference: of its AUC to REFERENCE's on the same rows; None where that is
    absent, or the model is it.
    """

    epsilon: float
    figures: dict[str, Mean]
    difference: Mean | None

    def value(self, name: str) -> float:
        """The mean of a figure, or nan."""
        return self.figures[name].value if name in self.figures else math.nan


@dataclass(frozen=True, kw_only=True)
class Series:
    """One model over epsilons. model: as in the results. recipe, bins, settings: of a study's own; else empty.

    nature: of a "study", or a bank's "own" beside one; or whether a baseline protects the "record", the "label" or
    "nothing". flat: the same whatever epsilon is, with one point.
    """

    model: str
    recipe: str
    bins: int | None
    settings: str
    nature: Nature
    flat: bool
    points: tuple[Point, ...]

    def at(self, epsilon: float) -> Point | None:
        """The point at an epsilon; a flat one is everywhere."""
        if self.flat:
            return self.points[0]
        return next((p for p in self.points if p.epsilon == epsilon), None)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One data set with one number of institutions.

    epsilons: rising, inf last. quoted: rows of published figures. rows, defaults: the least and the most of all seeds,
    training and hold-out together.
    """

    data_set: str
    institutions: int | None
    epsilons: tuple[float, ...]
    series: tuple[Series, ...]
    quoted: pd.DataFrame
    rows: tuple[int, int]
    defaults: tuple[int, int]

    @property
    def main(self) -> tuple[Series, ...]:
        """The studies' own models."""
        return tuple(s for s in self.series if s.nature == "study")

    def named(self, model: str) -> Series | None:
        """The first series of a model."""
        return next((s for s in self.series if s.model == model), None)

    def best_alone(self) -> Series | None:
        """Of the models that banks have by themselves the one that ranks best, whatever it is."""
        found = [s for s in self.series if s.model.startswith("bank alone") and s.points]
        return max(found, key=lambda s: s.points[-1].value("auc"), default=None)

    def headline_epsilon(self) -> float:
        """The epsilon that is spoken of: 1 where it is there, else the finite one nearest to it, else inf."""
        finite = [e for e in self.epsilons if math.isfinite(e)]
        return min(finite, key=lambda e: abs(math.log(e))) if finite else math.inf


def panels(rows: pd.DataFrame) -> list[Panel]:
    """One for each data set and number of institutions, in the order of the table."""
    measured = rows[rows["kind"] != "quoted"]
    found = []
    for (data_set, institutions), part in _groups(measured, ["data_set", "institutions"]):
        quoted = rows[(rows["kind"] == "quoted") & (rows["data_set"] == data_set) & rows["auc"].notna()]
        found.append(
            Panel(
                data_set=str(data_set),
                institutions=None if _absent(institutions) else int(str(institutions).split(".")[0]),
                epsilons=tuple(sorted(float(e) for e in part["epsilon"].unique())),
                series=tuple(_series(part)),
                quoted=quoted,
                rows=_range(part, "rows"),
                defaults=_range(part, "defaults"),
            )
        )
    return found


def _range(part: pd.DataFrame, what: str) -> tuple[int, int]:
    """Least and most of rows or defaults of both sides; zeros where nothing is known."""
    both = (part[f"{what}_training"] + part[f"{what}_holdout"]).dropna()
    return (int(both.min()), int(both.max())) if len(both) else (0, 0)


def _groups(table: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple[Hashable, ...], pd.DataFrame]]:
    """Parts of a table by the values of some columns, missing ones included, in the order in which they come."""
    for key, part in table.groupby(by, dropna=False, sort=False):
        yield (key if isinstance(key, tuple) else (key,)), part


def _absent(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _series(part: pd.DataFrame) -> Iterator[Series]:
    reference = _reference(part)
    studies = part[part["kind"] == "study"]
    for key, own in _groups(studies, ["recipe", "bins", "settings", "model"]):
        recipe, bins, settings, model = key
        if (own["error"].fillna("") == "").any():
            yield Series(
                model=str(model),
                recipe=str(recipe),
                bins=None if _absent(bins) else int(str(bins).split(".")[0]),
                settings=str(settings),
                nature="study" if model == recipe else "own",
                flat=False,
                points=tuple(_points(own, reference)),
            )
    others = part[(part["kind"] == "baseline") & part["auc"].notna()]
    for (model,), own in _groups(others, ["model"]):
        nature = _nature(own.iloc[0])
        flat = nature == "nothing"
        # The same fit stands in every cell of its split.
        by = ["seed"] if flat else ["seed", "epsilon"]
        once = own.drop_duplicates(by)
        once = once.assign(epsilon=math.inf) if flat else once
        points = tuple(_points(once, reference))
        yield Series(
            model=str(model), recipe="", bins=None, settings="", nature=nature, flat=flat, points=points
        )


def _nature(row: "pd.Series[Any]") -> Nature:
    return "record" if bool(row["private"]) else "label" if bool(row["label_private"]) else "nothing"


def _reference(part: pd.DataFrame) -> "pd.Series[float]":
    """AUC of the reference by cell."""
    own = part[(part["kind"] == "baseline") & (part["model"] == REFERENCE) & part["auc"].notna()]
    return own.drop_duplicates("cell").set_index("cell")["auc"]


def _points(own: pd.DataFrame, reference: "pd.Series[float]") -> Iterator[Point]:
    done = own[own["error"].fillna("") == ""].sort_values("epsilon", kind="stable")
    for (epsilon,), rows in _groups(done, ["epsilon"]):
        overlap = overlap_of(rows)
        figures = {
            name: _mean(rows, name, overlap) for name in FIGURES if name in rows and rows[name].notna().any()
        }
        less = (rows["auc"] - rows["cell"].map(reference)).dropna()
        apart = str(rows["model"].iloc[0]) != REFERENCE and len(less) > 0
        yield Point(
            epsilon=float(str(epsilon)),
            figures=figures,
            difference=mean_over_seeds(less.to_list(), overlap) if apart else None,
        )


def _mean(rows: pd.DataFrame, name: str, overlap: float) -> Mean:
    values = rows[name].dropna()
    found = mean_over_seeds(values.to_list(), overlap)
    if found.seeds > 1 and name in BOUNDED:
        return _within_bounds(found)
    if name != "auc" or found.seeds > 1:
        return found
    one = rows.loc[values.index[0]]
    return Mean(value=found.value, low=one["auc_low"], high=one["auc_high"], seeds=1, holdout=True)


def _within_bounds(found: Mean) -> Mean:
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def overlap_of(rows: pd.DataFrame) -> float:
    """Rows of the hold-out over those trained on, where seeds share enterprises; 0 where they have none in common.

    Simulated data differ from seed to seed in their tables, and in how many default; a public table that is drawn from
    or split anew has other tables, but the same enterprises.
    """
    if len(rows) < 2:
        return 0.0
    defaults = rows["defaults_training"] + rows["defaults_holdout"]
    if rows["data_digest"].nunique() == len(rows) and defaults.nunique() > 1:
        return 0.0
    share = (rows["rows_holdout"] / rows["rows_training"]).mean()
    return 0.0 if math.isnan(share) else float(share)


def mean_over_seeds(values: Sequence[float], overlap: float) -> Mean:
    """Mean with its interval; of one value there is none. overlap: see `overlap_of`.

    >>> found = mean_over_seeds([0.70, 0.72], 0.0)
    >>> round(found.value, 3), round(found.high - found.value, 3)
    (0.71, 0.127)
    """
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return Mean(value=float(x[0]), low=None, high=None, seeds=1)
    half = float(student.ppf((1 + LEVEL) / 2, len(x) - 1)) * float(x.std(ddof=1))
    half *= math.sqrt(1 / len(x) + overlap)
    middle = float(x.mean())
    return Mean(value=middle, low=middle - half, high=middle + half, seeds=len(x))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What failed or was left out alike: which model of which data set, at which epsilons, why, and how often."""

    data_set: str
    model: str
    error: str
    epsilons: tuple[float, ...]
    cells: int


def failures(rows: pd.DataFrame) -> list[Failure]:
    """Models that left no figures, by data set and reason."""
    failed = rows[rows["error"].fillna("") != ""]
    return [
        Failure(
            data_set=str(data_set),
            model=str(model),
            error=str(error),
            epsilons=tuple(sorted(float(e) for e in part["epsilon"].unique())),
            cells=len(part),
        )
        for (data_set, model, error), part in _groups(failed, ["data_set", "model", "error"])
    ]
