"""Small studies on which every kind of release is audited: a few for each recipe. A new recipe joins with a line here.

They are chosen for what they release: all forms of a scorecard's releases, shares of noise among several banks, weights
and rows without a label, both modes of training, one owner's statistics and joined ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.small_province import COLUMNS, province
from fedrisk.recipes import study_from
from fedrisk.study import Study

EPSILON = 20.0
"""Budget of each: a large one makes the intervals of audits by sampling narrow against the claim."""

CLIP = 0.05
"""Bound of a gradient: so small that any record reaches it, as in the worst case that the price is for."""

MONTHS = 18
SERIES: list[dict[str, Any]] = [
    {"name": "invoices", "unit": "invoices", "low": 0, "high": 5000},
    {"name": "amount", "unit": "yuan", "low": 0, "high": 10_000_000},
]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One small study.

    name: of the setting, a code. study: its tables. before: tables of a study that is run first, whose results it
    uses. label: keys of the banks' outcome beside the usual ones; missing: whether some rows have no label. histories:
    holders have monthly histories in place of columns. moves: whether prices hold for a record that becomes another, as
    well as for one that is made zero, wherever it contributes. null: how a record contributes nothing: its enterprise
    is on no list, or has no label, or no months; the numbers that all are told beforehand stay as they are. quick:
    whether it is among those of a quick audit.
    """

    recipe: str
    name: str
    banks: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    study: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    label: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False
    histories: bool = False
    moves: bool = False
    null: Literal["gone", "no_label", "no_months"] = "gone"
    quick: bool = True
    enterprises: int = 700

    def make(self, folder: Path, seed: int) -> Consortium:
        """The institutions with their tables, and the study."""
        tables = self._tables(seed)
        made = build(
            folder,
            self.banks,
            self.holders,
            tables=tables,
            label={**_OUTCOME, **self.label} if self.label else None,
            policy={**_POLICY, "recipes": ["scorecard", self.recipe]},
            study={
                "name": self.name,
                "recipe": self.recipe,
                "privacy": {"epsilon": EPSILON},
                "expected": {"default_rate": 0.2},
                **self.study,
            },
        )
        for name in made.content:
            self._open(made, name)
        return made

    def earlier(self, made: Consortium) -> Study | None:
        """The study that is run first, of the same institutions; None where there is none."""
        if self.before is None:
            return None
        members = [m.model_dump(mode="json") for m in made.study.institutions]
        return study_from({"purpose": made.study.purpose, "institutions": members, **self.before})

    def _tables(self, seed: int) -> dict[str, pd.DataFrame]:
        tables = province(self.enterprises, seed)
        if self.missing:
            rng = np.random.default_rng(seed)
            for bank in self.banks:
                gone = rng.random(len(tables[bank])) < 0.1
                tables[bank]["bad"] = tables[bank]["bad"].astype(float).mask(gone)
        return tables

    def _open(self, made: Consortium, name: str) -> None:
        """Policies that let all of it be counted; histories where they are asked for."""
        content = made.content[name]
        kind = "bank" if name in self.banks else name
        opened = {"statistics": [c["name"] for c in COLUMNS[kind]]} if self.recipe == "statistics" else {}
        groups = {"groups": ["grade"]} if kind == "bank" else {}
        content["policy"] = {**content["policy"], **opened, **groups}
        if self.histories:
            table = _histories(made.tables[name]["id"].to_numpy(), len(name))
            table.to_parquet(made.folder / f"{name}_months.parquet", index=False)
            content["encoders"] = [
                {
                    "name": "months",
                    "outputs": 3,
                    "histories": {"source": f"{name}_months.parquet"},
                    "series": SERIES,
                }
            ]
        made.write(name)


_OUTCOME = {"column": "bad", "positive": [1], "negative": [0], "horizon": "a year"}
_POLICY = {
    "research": False,
    "scores": "points",
    "cap_epsilon": 100.0,
    "max_epsilon": 20.0,
    "least_colluders": 0,
}


def _histories(ids: Any, seed: int) -> pd.DataFrame:
    """Months of two series, a few gaps; wide, one row an enterprise."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    level = rng.normal(size=(n, 1)) + np.cumsum(0.2 * rng.normal(size=(n, MONTHS)), axis=1)
    columns: dict[str, Any] = {"id": ids}
    for series, scale in zip(SERIES, (20.0, 20_000.0), strict=True):
        values = scale * np.exp(level + 0.2 * rng.normal(size=(n, MONTHS)))
        values[rng.random((n, MONTHS)) < 0.05] = np.nan
        columns |= {f"{series['name']}_m{t + 1:02d}": values[:, t].astype(np.float32) for t in range(MONTHS)}
    return pd.DataFrame(columns)


_MEASURES = [
    {"kind": "count"},
    {"kind": "mean", "column": "tax.sales"},
    {"kind": "share", "column": "tax.audited"},
]
_OWN = [
    {"kind": "count"},
    {"kind": "mean", "column": "bank.late"},
    {"kind": "variance", "column": "bank.debt"},
    {"kind": "quantiles", "column": "bank.debt", "bins": [1000.0, 10000.0]},
]
_WHOLE = {
    "name": "whole",
    "recipe": "scorecard",
    "privacy": {"epsilon": 3.0},
    "alignment": {"inclusion_probability": 1.0},
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        recipe="scorecard",
        name="three_banks",
        banks=("alfa", "beta", "gama"),
        holders=("tax",),
        study={
            "privacy": {"epsilon": EPSILON, "colluders": 0},
            "scorecard": {"second": "recount"},
            "evaluation": {"groups": ["grade"], "cut_offs": [0.25], "group_bands": 4},
            "alignment": {"inclusion_probability": 1.0},
        },
    ),
    Setting(
        recipe="scorecard",
        name="two_holders",
        banks=("alfa",),
        holders=("tax", "power"),
        study={"scorecard": {"second": "gram", "pairs": "auto"}},
        enterprises=1200,
    ),
    Setting(
        recipe="scorecard",
        name="weighted",
        banks=("alfa",),
        holders=("tax",),
        label={"weight": "weight"},
        missing=True,
        study={"scorecard": {"second": "recount"}, "evaluation": {"by_bank": True}},
        quick=False,
    ),
    Setting(
        recipe="network",
        name="distributed",
        banks=("alfa", "beta", "gama"),
        missing=True,
        null="no_label",
        study={
            "network": {"kind": "logistic"},
            "training": {"steps": 3, "clip": CLIP},
            "privacy": {"epsilon": EPSILON, "colluders": 0},
            "alignment": {"inclusion_probability": 1.0},
        },
    ),
    Setting(
        recipe="network",
        name="silo",
        banks=("alfa", "beta", "gama"),
        missing=True,
        null="no_label",
        study={
            "network": {"kind": "mlp", "hidden": 4},
            "training": {"mode": "silo", "steps": 2, "local_steps": 2, "learning_rate": 2.0, "clip": CLIP},
            "alignment": {"inclusion_probability": 1.0},
        },
        quick=False,
    ),
    Setting(
        recipe="network",
        name="external_score",
        banks=("alfa", "beta", "gama"),
        missing=True,
        null="no_label",
        holders=("tax",),
        before=_WHOLE,
        study={
            "network": {"kind": "logistic", "external": "whole"},
            "training": {"steps": 2, "clip": CLIP},
            "alignment": {"inclusion_probability": 1.0},
        },
        quick=False,
    ),
    Setting(
        recipe="encoder",
        name="two_offices",
        holders=("tax", "power"),
        histories=True,
        null="no_months",
        study={
            "encoder": {"name": "months"},
            "training": {"steps": 2, "clip": CLIP},
            "alignment": {"inclusion_probability": 1.0},
        },
        enterprises=300,
    ),
    Setting(
        recipe="statistics",
        name="own",
        banks=("alfa", "beta", "gama"),
        study={
            "privacy": {"epsilon": EPSILON, "colluders": 0},
            "statistics": {"by": ["bank.grade"], "measures": _OWN, "tables": [{"by": ["grade"]}, {"by": []}]},
        },
    ),
    Setting(
        recipe="statistics",
        name="joined",
        banks=("alfa",),
        holders=("tax",),
        study={"statistics": {"by": ["bank.grade"], "measures": _MEASURES}},
        moves=True,
    ),
)
"""All of them, by recipe."""


def settings(quick: bool) -> tuple[Setting, ...]:
    """Those that an audit goes through."""
    return tuple(s for s in SETTINGS if s.quick or not quick)
