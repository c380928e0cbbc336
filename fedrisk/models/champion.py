"""Gradient boosting at one bank: on its raw columns alone, or also on what the consortium says of each row.

It runs at one bank, without noise. It never leaves the bank and never feeds a release: its values depend on
other rows, so the sensitivity of one row would not hold. Figures computed from it do not leave the bank
either (zeroing one training row can move such a figure by far more than one).

Histogram gradient boosting (Ke et al. 2017) with small trees. It is fitted five times, each time without one fold of
the rows, on which the log loss says after how many rounds to stop. The log-odds are averaged (a cross-validation
committee: Krogh & Vedelsby 1995; Parmanto, Munro & Doyle 1996), which costs about as much as a trial for the number
of rounds and a fit to all rows, ranks better at banks with few rows, and gives each row a prediction by a model that
did not see it: with these `models/stacking` weighs models.

The consortium's scores enter as columns. They were trained on the bank's rows too, so for the rows that are
fitted the caller gives them as if the row's fold had not been trained on (`models/personal.without_fold`), lest
boosting trust them too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.personal import MANY_ROWS, folds_of
from fedrisk.models.row_sums import added_up
from fedrisk.progress import counted

Floats = NDArray[np.float64]

LEARNING_RATE, RATE_OF_MANY = 0.1, 0.2
"""Of a bank's boosting, and of that of a bank with many rows (models/personal.MANY_ROWS), in half as many rounds."""

LEAVES = 15
LEAF_ROWS = 20
RIDGE = 1.0
LEAST_ROWS = 10
"""Fewest rows of each class: every fold then has two, and training without a fold eight."""

MAX_ROUNDS = 150
PATIENCE = 10
"""Rounds without a better loss on the fold left out before boosting stops."""

MAX_CATEGORIES = 255
"""Most categories that the boosting can split natively."""

SURE = 1e-6
"""Probabilities count as at least this far from 0 and 1."""


@dataclass(frozen=True)
class Champion:
    """A fitted committee; stays at the bank.

    Attributes:
        columns: the bank's raw columns, in order.
        categories: known categories of each categorical column.
        consortium: number of the consortium's columns that it takes.
        members: one boosting model for each fold, fitted to the other folds.
        held_out: log-odds of the fitted rows, (n,), each by the member that did not see the row.
    """

    columns: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    consortium: int
    members: tuple[HistGradientBoostingClassifier, ...]
    held_out: Floats

    def log_odds(self, x: pd.DataFrame, consortium: ArrayLike | None = None) -> Floats:
        """Log-odds of default per row, shape (n,): the members' mean.

        Args:
            x: raw features with the fitted columns.
            consortium: what the consortium says of each row, (n,) or (n, m), if it was fitted with that.

        Raises:
            DataError: a column or the consortium's columns are absent, or their shape differs.
        """
        given = _consortium(consortium, len(x))
        if given.shape[1] != self.consortium:
            raise DataError(
                f"champion: fitted with {self.consortium} columns of the consortium, given {given.shape[1]}"
            )
        table = _table(x, self.columns, self.categories, given)
        return added_up(_log_odds(m, table) for m in self.members) / len(self.members)

    def probability(self, x: pd.DataFrame, consortium: ArrayLike | None = None) -> Floats:
        """Probability of default per row, shape (n,); arguments and errors as of `log_odds`."""
        return np.asarray(expit(self.log_odds(x, consortium)), dtype=np.float64)


def fit_champion(
    x: pd.DataFrame,
    y: ArrayLike,
    consortium: ArrayLike | None = None,
    *,
    max_rounds: int = MAX_ROUNDS,
    seed: int = 0,
) -> Champion:
    """Fit the committee on the bank's rows.

    Args:
        x: raw features, (n, columns); text, boolean-object and categorical columns are split natively. Their
            names may be any. Columns without a value help nothing and harm nothing.
        y: labels 0 or 1, (n,).
        consortium: what the consortium says of each row, (n,) or (n, m), as if the row's fold
            (`models/personal.folds_of`) had not been trained on; None for the bank alone.
        max_rounds: largest number of boosting rounds.
        seed: of the draw of the folds.

    Raises:
        DataError: shapes differ, or a class has fewer than 10 rows.
    """
    label = np.asarray(y)
    if label.ndim != 1 or len(label) != len(x) or not np.isin(label, (0, 1)).all():
        raise DataError("champion: y must hold one label, 0 or 1, for each row of x")
    if max_rounds < 1:
        raise ConfigError(f"champion: max_rounds is {max_rounds}, must be at least 1")
    smaller = int(min(label.sum(), len(label) - label.sum()))
    if smaller < LEAST_ROWS:
        raise DataError(
            f"champion: the smaller class has {smaller} rows, at least {LEAST_ROWS} are needed; use more rows"
        )
    given = _consortium(consortium, len(x))
    columns = tuple(str(c) for c in x.columns)
    categories = {c: _known(x[c]) for c in columns if _categorical(x[c])}
    table = _table(x, columns, categories, given)
    if not len(table.columns):
        raise DataError("champion: there is no column to fit on; give x or the consortium's columns")
    folds = folds_of(label.astype(np.float64), seed)
    members, held_out = [], np.zeros(len(label))
    what = "own model alone, folds" if consortium is None else "champion, folds"
    for k in counted(what, range(int(folds.max()) + 1)):
        held = folds == k
        member = _member(table[~held], label[~held], table[held], label[held], max_rounds)
        members.append(member)
        held_out[held] = _log_odds(member, table[held])
    return Champion(columns, categories, given.shape[1], tuple(members), held_out)


def bank_alone(x: pd.DataFrame, y: ArrayLike, **options: Any) -> Champion:
    """The same model without the consortium's columns: what the bank could do by itself."""
    return fit_champion(x, y, None, **options)


def _member(
    x: pd.DataFrame, y: NDArray[Any], held: pd.DataFrame, held_y: NDArray[Any], rounds: int
) -> HistGradientBoostingClassifier:
    rate = LEARNING_RATE if len(x) + len(held) < MANY_ROWS else RATE_OF_MANY
    model = HistGradientBoostingClassifier(
        learning_rate=rate,
        max_iter=rounds,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAF_ROWS,
        l2_regularization=RIDGE,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        categorical_features="from_dtype",
        random_state=0,
    )
    return model.fit(_with_values(x), y, X_val=held, y_val=held_y)


def _with_values(x: pd.DataFrame) -> pd.DataFrame:
    """The rows with constants in columns that have no value in any of them, which scikit-learn does not take."""
    empty = [c for c in x.columns if pd.api.types.is_numeric_dtype(x[c]) and bool(x[c].isna().all())]
    return x.assign(**dict.fromkeys(empty, 0.0)) if empty else x


def _log_odds(member: HistGradientBoostingClassifier, table: pd.DataFrame) -> Floats:
    p = np.clip(member.predict_proba(table)[:, 1], SURE, 1 - SURE)
    return np.asarray(logit(p), dtype=np.float64)


def _consortium(given: ArrayLike | None, rows: int) -> Floats:
    """The consortium's columns, (rows, m); m is 0 where there are none."""
    if given is None:
        return np.zeros((rows, 0))
    out = np.asarray(given, dtype=np.float64)
    out = out[:, None] if out.ndim == 1 else out
    if out.ndim != 2 or len(out) != rows:
        raise DataError(f"champion: the consortium's columns have {len(out)} rows, must have {rows}")
    return out


def _categorical(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _known(column: pd.Series) -> tuple[str, ...]:
    counts = column.dropna().astype(str).value_counts()
    return tuple(sorted(str(c) for c in counts.index[:MAX_CATEGORIES]))


def _table(
    x: pd.DataFrame, columns: tuple[str, ...], categories: dict[str, tuple[str, ...]], consortium: Floats
) -> pd.DataFrame:
    """The columns by number, so that no name of a bank's column can be in the way of the consortium's."""
    absent = [c for c in columns if c not in x.columns]
    if absent:
        raise DataError(
            f"champion: column {absent[0]} is absent ({len(absent)} in all); give the fitted columns"
        )
    parts: list[Any] = []
    for c in columns:
        if categories.get(c):
            text = x[c].astype(str)
            # A category that training did not see counts as missing.
            known = x[c].notna() & text.isin(categories[c])
            parts.append(pd.Categorical(text.where(known, None), categories=list(categories[c])))
        elif c in categories:
            parts.append(np.full(len(x), np.nan))
        else:
            parts.append(x[c].to_numpy(dtype=np.float64, na_value=np.nan))
    return pd.DataFrame({str(i): p for i, p in enumerate([*parts, *consortium.T])})
