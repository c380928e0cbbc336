"""What a bank keeps of one study for itself, as arrays: its customers with outcome, scores and points, and the card.

It is gathered at the bank (clients/own_rows) and stays there: rows are the bank's own, the card and the released counts
are public to the study's members. Figures of it are exact, and are for the bank alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.knowledge import PastStudy
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.warning_point import WarningPoint

Floats = NDArray[np.float64]

SPLITS = ("training", "holdout", "unused", "no label")
"""What a customer was used for (clients/evaluation.split_of)."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """How often one column is a customer's first reason.

    column: its name, or EXTERNAL for all that others know. meaning: in the language asked for. first: customers of whom
    it is the first reason. below: customers who have fewer points in it than the average enterprise. points: how many
    fewer these have on the mean, below 0.
    """

    column: str
    meaning: str
    first: int
    below: int
    points: float


@dataclass(frozen=True, kw_only=True)
class OwnRows:
    """One study at one bank, (n,) arrays of its customers.

    Attributes:
        institution: the bank, as studies name it.
        study, recipe, attempt, when: which study this was.
        held_from: first day of customers that were held out by date; empty where the hold-out was drawn by lot.
        research: whether it was a run without privacy.
        split: what a customer was used for, one of SPLITS.
        label: 1 for a default, 0 for others, between for weighted outcomes, NaN where there is none.
        main: the consortium's model among ``probability``.
        probability: of default by model.
        score: of the card; None where the model has none.
        own_points, external_points: its two parts; external is None in a study without holders.
        points: of each own column, by its name.
        day: of each customer, as the bank's dictionary names it; None where there is none or the table is not at hand.
        card: the consortium's card; None of another model.
        released: what the study released to all its members; None where nothing is kept.
        verdict: the comparison of the hold-out (own_figures.json); None where there were too few labels.
        absent: what could not be made, with code and reason.
        reasons: how often each column is the first reason.
        meanings: of own columns, in the language asked for.
        warning: at which scores the model warns, where its study states a rate of false alarms.
    """

    institution: str
    study: str
    recipe: str
    attempt: str
    when: str
    held_from: str = ""
    research: bool
    split: NDArray[np.object_]
    label: Floats
    main: str
    probability: Mapping[str, Floats]
    score: NDArray[np.int64] | None = None
    own_points: NDArray[np.int64] | None = None
    external_points: NDArray[np.int64] | None = None
    points: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    day: NDArray[np.datetime64] | None = None
    card: Scorecard | None = None
    released: PastStudy | None = None
    verdict: Mapping[str, Any] | None = None
    absent: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    warning: WarningPoint | None = None

    def rows_of(self, split: str) -> NDArray[np.bool_]:
        """Which customers were used so, (n,)."""
        return np.asarray(self.split == split, dtype=bool)

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Customers of the hold-out with a plain label, 0 or 1, on whom models are compared, (n,)."""
        return self.rows_of("holdout") & np.isin(self.label, (0.0, 1.0))

    @property
    def outcome(self) -> Floats:
        """Labels of the hold-out, (m,)."""
        return self.label[self.held_out]

    def risk(self, model: str) -> Floats:
        """Probabilities of the hold-out by a model, (m,)."""
        return self.probability[model][self.held_out]
