"""What a bank's report shows of its own hold-out: every model's curves, one in place of its own, and cut-offs.

Exact figures of the bank's rows (models/own_rows), with the intervals of curves.py and swap_sets.py. They stand on rows
without noise: they are for the bank alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis import curves
from fedrisk.analysis.curves import (
    Calibration,
    Cutoff,
    Estimate,
    Gains,
    Ks,
    Roc,
    ScoreDistribution,
    share_of,
)
from fedrisk.analysis.own_columns import ColumnValue, Shift, column_shifts, column_values, score_shifts
from fedrisk.analysis.own_parts import Parts, Period, parts_of, periods_of
from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.swap_sets import APPROVED, Swap, swaps
from fedrisk.errors import ConfigError
from fedrisk.metrics import brier
from fedrisk.models.own_rows import OwnRows

Floats = NDArray[np.float64]

ORDER = ("scorecard", "shared", "recalibrated", "champion", "personal", "alone", "local")
"""Models in the order in which a report shows them."""

OWN = ("alone", "local")
"""What the bank's own model is called: beside a scorecard, and beside a network."""

LEAST = 2
"""Fewest defaults, and others, of a hold-out that figures are worked out from."""

FEW, SOME = 30, 100
"""Defaults of a hold-out below which nothing, and below which little, should be concluded."""

LOANS = (5, 10, 20, 40)
"""How many good loans earn what one default costs, for which a cut-off is worked out."""


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """One model on the hold-out. less_own: its AUC less that of the bank's own model, from the verdict."""

    name: str
    roc: Roc
    ks: Ks
    gains: Gains
    brier: float


@dataclass(frozen=True, kw_only=True)
class Breakeven:
    """A cut-off by what a default costs.

    loans: as many good loans earn what one default costs. most: default probability up to which a loan pays, 1 / (1 +
    loans). approved: share of customers below it. bad_approved: their default rate. score: the least score among them.
    """

    loans: int
    most: float
    approved: Estimate
    bad_approved: Estimate | None
    score: int | None


@dataclass(frozen=True, kw_only=True)
class OwnFigures:
    """All figures of a report. chosen: the model in the foreground; own: the bank's, None where there is none.

    rows: customers by what they were used for. defaults, others: of the hold-out. rate: its default rate.
    models: by name in the order of ORDER; empty where the hold-out has too few labels, as all that needs them.
    swaps: the chosen model in place of the bank's own. before, after: calibration of it as it is, and recalibrated.
    """

    chosen: str
    own: str | None
    rows: Mapping[str, int]
    defaults: int
    others: int
    rate: Estimate | None
    models: tuple[ModelFigures, ...] = ()
    swaps: tuple[Swap, ...] = ()
    before: Calibration | None = None
    after: Calibration | None = None
    distribution: ScoreDistribution | None = None
    cutoffs: tuple[Cutoff, ...] = ()
    breakeven: tuple[Breakeven, ...] = ()
    parts: Parts | None = None
    values: tuple[ColumnValue, ...] = ()
    score_shifts: tuple[Shift, ...] = ()
    column_shifts: tuple[Shift, ...] = ()
    periods: tuple[Period, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, arrays as lists; what is infinite or no number is None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def model(self, name: str) -> ModelFigures | None:
        """A model's figures; None where there are none."""
        return next((m for m in self.models if m.name == name), None)


def own_figures(rows: OwnRows, model: str | None = None, approved: Sequence[float] = APPROVED) -> OwnFigures:
    """The figures of a bank's report.

    model: what is in the foreground; the one that the verdict says to use by default, or the consortium's where it says
    the bank's own. approved: shares at which models are compared. ConfigError for a model that is not there.
    """
    chosen, own = _chosen(rows, model), next((m for m in OWN if m in rows.probability), None)
    y = rows.outcome
    defaults, others = int((y == 1).sum()), int((y == 0).sum())
    found = OwnFigures(
        chosen=chosen,
        own=own,
        rows={name: int(rows.rows_of(name).sum()) for name in np.unique(rows.split.astype(str))},
        defaults=defaults,
        others=others,
        rate=share_of(defaults, others, 0.0, 1, 1) if len(y) else None,
        values=column_values(rows),
        score_shifts=score_shifts(rows, chosen),
        column_shifts=column_shifts(rows),
        periods=periods_of(rows, chosen),
    )
    if min(defaults, others) < LEAST:
        return found
    return _with_curves(found, rows, approved)


def _chosen(rows: OwnRows, model: str | None) -> str:
    if model is not None:
        if model not in rows.probability:
            raise ConfigError(
                f"{rows.institution} has no model {model} in attempt {rows.attempt}; it has "
                f"{', '.join(m for m in ORDER if m in rows.probability)}"
            )
        return model
    use = (rows.verdict or {}).get("use", rows.main)
    return use if use in rows.probability and use not in OWN else rows.main


def _with_curves(found: OwnFigures, rows: OwnRows, approved: Sequence[float]) -> OwnFigures:
    y, chosen = rows.outcome, found.chosen
    counts = model_counts(rows, chosen)
    models = [_figures(rows, name) for name in ORDER if name in rows.probability]
    after = "recalibrated" if chosen == rows.main and "recalibrated" in rows.probability else None
    return replace(
        found,
        models=tuple(m for m in models if m is not None),
        swaps=()
        if found.own is None or chosen == found.own
        else swaps(y, rows.risk(found.own), rows.risk(chosen), approved),
        before=curves.calibration(counts),
        after=None if after is None else curves.calibration(model_counts(rows, after)),
        distribution=curves.score_distribution(counts),
        cutoffs=curves.cutoffs(counts),
        breakeven=_breakeven(rows, after or chosen, with_score=chosen == rows.main),
        parts=parts_of(rows),
    )


def model_counts(rows: OwnRows, model: str) -> ScoreCounts:
    """Counts of the hold-out by a model: by score where it is the card, by probability otherwise."""
    if model == rows.main and rows.score is not None:
        score = rows.score[rows.held_out]
        return counts_of_rows(rows.outcome, score, probability=rows.risk(model), axis="score")
    return counts_of_rows(rows.outcome, rows.risk(model), axis="probability")


def _figures(rows: OwnRows, name: str) -> ModelFigures | None:
    counts = model_counts(rows, name)
    roc, ks, gains = curves.roc(counts), curves.ks(counts), curves.gains(counts)
    if roc is None or ks is None or gains is None:
        return None
    return ModelFigures(name=name, roc=roc, ks=ks, gains=gains, brier=brier(rows.outcome, rows.risk(name)))


def _breakeven(rows: OwnRows, model: str, *, with_score: bool) -> tuple[Breakeven, ...]:
    y, risk = rows.outcome, rows.risk(model)
    score = rows.score[rows.held_out] if with_score and rows.score is not None else None
    out = []
    for loans in LOANS:
        most = 1 / (1 + loans)
        within = risk <= most
        bad = float(y[within].sum())
        out.append(
            Breakeven(
                loans=loans,
                most=most,
                approved=share_of(float(within.sum()), float((~within).sum()), 0.0, 1, 1),
                bad_approved=share_of(bad, float(within.sum()) - bad, 0.0, 1, 1) if within.any() else None,
                score=int(score[within].min()) if score is not None and within.any() else None,
            )
        )
    return tuple(out)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
