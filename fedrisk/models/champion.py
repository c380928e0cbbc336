"""A bank's champion: gradient boosting on its raw features plus the external score, for the bank's use alone.

It runs at one bank, without noise. It never leaves the bank and never feeds a release: its values depend on
other rows, so the sensitivity of one row would not hold. Figures computed from it do not leave the bank
either (zeroing one training row can move such a figure by far more than one).

Histogram gradient boosting (Ke et al. 2017) with a small step and small trees. The number of rounds is the
one after which the log loss on a fifth of the rows stops falling; the model is then fitted on all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.errors import ConfigError, DataError

Floats = NDArray[np.float64]

EXTERNAL_COLUMN = "external_score"
LEARNING_RATE = 0.05
LEAVES = 15
LEAF_ROWS = 20
RIDGE = 1.0
LEAST_ROWS = 10
VALIDATION = 0.2
"""Share of the rows on which the number of rounds is chosen."""

PATIENCE = 15
"""Rounds without a better loss on these rows before the trial stops."""

MAX_CATEGORIES = 255
"""Most categories that the boosting can split natively."""


@dataclass(frozen=True)
class Champion:
    """A fitted champion; stays at the bank.

    Attributes:
        columns: the bank's raw columns, in order.
        categories: known categories of each categorical column.
        external: whether it takes the external score.
        rounds: chosen number of boosting rounds.
        model: the fitted boosting model.
    """

    columns: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    external: bool
    rounds: int
    model: HistGradientBoostingClassifier

    def probability(self, x: pd.DataFrame, external: ArrayLike | None = None) -> Floats:
        """Probability of default per row, shape (n,).

        Raises:
            DataError: a column or the external score is absent, or its length differs.
        """
        if (external is not None) != self.external:
            raise DataError("champion: give the external score if, and only if, it was fitted with one")
        table = _table(x, self.columns, self.categories, external)
        return np.asarray(self.model.predict_proba(table)[:, 1], dtype=np.float64)


def fit_champion(
    x: pd.DataFrame,
    y: ArrayLike,
    external: ArrayLike | None = None,
    *,
    max_rounds: int = 300,
    seed: int = 0,
) -> Champion:
    """Fit the champion on the bank's rows.

    Args:
        x: raw features, (n, columns); text, boolean-object and categorical columns are split natively.
        y: labels 0 or 1, (n,).
        external: external score, (n,), or None.
        max_rounds: largest number of boosting rounds.
        seed: of the draw of the validation rows.

    Raises:
        DataError: shapes differ, or a class has fewer than 10 rows.
    """
    label = np.asarray(y)
    if label.ndim != 1 or len(label) != len(x) or not np.isin(label, (0, 1)).all():
        raise DataError("champion: y must hold one label, 0 or 1, for each row of x")
    if max_rounds < 1:
        raise ConfigError(f"champion: max_rounds is {max_rounds}, must be at least 1")
    if EXTERNAL_COLUMN in x.columns:
        raise ConfigError(f"champion: column {EXTERNAL_COLUMN} is reserved; rename it")
    smaller = int(min(label.sum(), len(label) - label.sum()))
    if smaller < LEAST_ROWS:
        raise DataError(
            f"champion: the smaller class has {smaller} rows, at least {LEAST_ROWS} are needed; use more rows"
        )
    columns = tuple(str(c) for c in x.columns)
    categories = {c: _known(x[c]) for c in columns if _categorical(x[c])}
    table = _table(x, columns, categories, external)
    trial = _booster(max_rounds, seed, stop=True).fit(table, label)
    # A trial that stopped early has PATIENCE rounds too many; one that ran to the end has none too many.
    rounds = max(trial.n_iter_ - PATIENCE, 1) if trial.n_iter_ < max_rounds else max_rounds
    model = _booster(rounds, seed).fit(table, label)
    return Champion(columns, categories, external is not None, rounds, model)


def bank_alone(x: pd.DataFrame, y: ArrayLike, **options: Any) -> Champion:
    """The same model without the external score: what the bank could do by itself."""
    return fit_champion(x, y, None, **options)


def _booster(rounds: int, seed: int, *, stop: bool = False) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=LEARNING_RATE,
        max_iter=rounds,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAF_ROWS,
        l2_regularization=RIDGE,
        early_stopping=stop,
        validation_fraction=VALIDATION,
        n_iter_no_change=PATIENCE,
        categorical_features="from_dtype",
        random_state=seed,
    )


def _categorical(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _known(column: pd.Series) -> tuple[str, ...]:
    counts = column.dropna().astype(str).value_counts()
    return tuple(sorted(str(c) for c in counts.index[:MAX_CATEGORIES]))


def _table(
    x: pd.DataFrame,
    columns: tuple[str, ...],
    categories: dict[str, tuple[str, ...]],
    external: ArrayLike | None,
) -> pd.DataFrame:
    absent = [c for c in columns if c not in x.columns]
    if absent:
        raise DataError(
            f"champion: column {absent[0]} is absent ({len(absent)} in all); give the fitted columns"
        )
    parts: dict[str, Any] = {}
    for c in columns:
        if c in categories:
            text = x[c].astype(str)
            # A category that training did not see counts as missing.
            known = x[c].notna() & text.isin(categories[c])
            parts[c] = pd.Categorical(text.where(known, None), categories=list(categories[c]))
        else:
            parts[c] = x[c].to_numpy(dtype=np.float64, na_value=np.nan)
    if external is not None:
        score = np.asarray(external, dtype=np.float64)
        if score.shape != (len(x),):
            raise DataError(f"champion: external score has shape {score.shape}, must be ({len(x)},)")
        parts[EXTERNAL_COLUMN] = score
    return pd.DataFrame(parts)
