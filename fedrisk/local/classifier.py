"""A scorecard as a scikit-learn classifier: a released one, or one that is fitted to a table in the clear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fedrisk.exports.card_part import EXTERNAL_POINTS, External
from fedrisk.local.columns import Way, bins_of_frame, codes_of
from fedrisk.local.fit import fit_local_card
from fedrisk.models.card_pairs import pairs_of
from fedrisk.models.edited_card import EditedCard
from fedrisk.models.scorecard import Scorecard
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-300
"""Probabilities are held this far from 0 and 1 before their log-odds are taken."""


class ScorecardClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scorecard for use with scikit-learn.

    With ``card`` (see :meth:`from_card`) it applies a released card, ready at once: `fit` checks the columns and learns
    nothing, so that it can stand in pipelines and in cross-validation as it is. It scores the banks' columns of the
    card; the column ``external_points`` is the holders' part, and where it is absent or missing stands the average.

    Without a card, `fit` makes one of the given table, by the studies' own estimator, from exact sums on this machine.
    **Such a card has no differential privacy.** It is for trying out columns and bins, and for comparing.

    The second of two classes is default. Rows may have missing values; columns of a DataFrame may be texts.

    Args:
        card: a released card, or an edited one; None to fit one.
        bins: wanted number of bins of a number, where one is fitted.
        monotone: by column, "increasing" or "decreasing": how the risk goes with the value.
        special: by column, codes among its numbers with their meanings, each a bin of its own.

    Attributes:
        card_: the `Scorecard`.
        classes_: the two classes, (2,).
        n_features_in_, feature_names_in_: of the table that it was fitted to.

    >>> from sklearn.datasets import make_classification
    >>> x, y = make_classification(500, random_state=1)
    >>> ScorecardClassifier(bins=6).fit(x, y).predict_proba(x[:2]).shape
    (2, 2)
    """

    def __init__(
        self,
        card: Scorecard | EditedCard | None = None,
        *,
        bins: int = 16,
        monotone: Mapping[str, Way] | None = None,
        special: Mapping[str, Mapping[float, str]] | None = None,
    ) -> None:
        self.card = card
        self.bins = bins
        self.monotone = monotone
        self.special = special

    @classmethod
    def from_card(cls, card: Scorecard | EditedCard) -> Self:
        """A classifier of a released card, that needs no fit."""
        return cls(card)._take()

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a card to a table in the clear; with ``card``, check that its columns are there.

        Args:
            X: n rows, a DataFrame or an array (n, columns).
            y: one of two classes for each row, (n,); the second, in their order, is default.
            sample_weight: of each row, (n,); one for each without.

        Errors: ValueError as scikit-learn has it, for instance where there are not two classes.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        frame, y = self._frame(X, reset=True, y=y)
        self.classes_, label = _two_classes(y)
        if self.card is not None:
            self._take()._own(frame)
            return self
        weight = np.asarray(_check_sample_weight(sample_weight, frame, dtype=np.float64), dtype=np.float64)
        used = weight > 0
        if not used.any() or (weight < 0).any() or len(np.unique(label[used])) < 2:
            raise ValueError(
                "sample_weight must be positive for rows of more than one class, and never negative"
            )
        if self.bins < 2:
            raise ValueError(f"bins is {self.bins}; it must be at least 2")
        kept, weight, label = frame[used].reset_index(drop=True), weight[used], label[used]
        bins = bins_of_frame(kept, weight, count=self.bins, monotone=self.monotone, special=self.special)
        self.card_ = fit_local_card("local", bins, codes_of(bins, kept), label.astype(np.float64), weight)
        return self

    def score_points(self, X: Any) -> NDArray[np.int64]:
        """The score of each row, (n,): whole points, higher is safer."""
        return np.asarray(self._points(X).sum(1) + self.card_.base_points, dtype=np.int64)

    def points(self, X: Any) -> pd.DataFrame:
        """Points of each column and pair, and of the holders together, a row for each row; without the base."""
        names = [self.card_.bins[j].feature.column for j in self._places()]
        names += [EXTERNAL_POINTS] if self._external() is not None else []
        return pd.DataFrame(self._points(X), columns=names, index=getattr(X, "index", None))

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each class, (n, 2); that of default, by the card's calibration, is the second."""
        p = self.card_of().probability(self.score_points(X))
        return np.stack([1 - p, p], axis=1)

    def decision_function(self, X: Any) -> Floats:
        """Log-odds of default, (n,)."""
        p = self.card_of().probability(self.score_points(X))
        return np.asarray(logit(np.clip(p, LEAST_PROBABILITY, 1 - 1e-16)), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likelier class, (n,)."""
        riskier = (self.decision_function(X) > 0).astype(np.int64)
        return np.asarray(self.classes_[riskier])

    def reasons(self, X: Any, k: int = 4) -> list[tuple[str, ...]]:
        """Up to k reasons of each row: where it falls furthest short of the average points, furthest first."""
        codes, external = self._codes(X)
        return self.card_.reasons(codes, external, k)

    def card_of(self) -> Scorecard:
        """The card; NotFittedError where there is none yet."""
        check_is_fitted(self)
        return self.card_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "card_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    # --- inside -----------------------------------------------------------------------------------------

    def _take(self) -> Self:
        card = self.card
        if not isinstance(card, Scorecard | EditedCard):
            raise TypeError(
                "card must be a Scorecard or an EditedCard; fedrisk.load_results(folder).card is one"
            )
        self.card_ = card.card if isinstance(card, EditedCard) else card
        if not hasattr(self, "classes_"):
            self.classes_ = np.array([0, 1])
        return self

    def _places(self) -> list[int]:
        return [j for j, b in enumerate(self.card_of().bins) if b.feature.institution == BANK]

    def _external(self) -> External | None:
        held = [
            a
            for a, b in zip(self.card_.averages, self.card_.bins, strict=True)
            if b.feature.institution != BANK
        ]
        return External(sum(held), round(sum(held))) if held else None

    def _frame(self, X: Any, *, reset: bool, y: Any = None) -> tuple[pd.DataFrame, NDArray[Any]]:
        """The table with the columns' names, and the classes, (n,); ValueError as scikit-learn has it."""
        # A released card was fitted to no table here: the first one says how many columns there are.
        reset = reset or not hasattr(self, "n_features_in_")
        if not isinstance(X, pd.DataFrame):
            how: dict[str, Any] = {"dtype": "numeric", "ensure_all_finite": "allow-nan", "reset": reset}
            if y is None:
                array, given = validate_data(self, X, **how), np.zeros(0)
            else:
                array, given = validate_data(self, X, y, **how)
            return pd.DataFrame(array, columns=self._names(array.shape[1])), given
        if y is not None or self.card is None:
            # A released card finds its columns by their names, whichever there are besides.
            validate_data(self, X, reset=reset, skip_check_array=True)
        if not len(X):
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
        given = np.zeros(0) if y is None else column_or_1d(y, warn=True)
        if y is not None:
            check_consistent_length(X, given)
        # A card names its columns by texts.
        return X.set_axis([str(c) for c in X.columns], axis=1), given

    def _names(self, width: int) -> list[str]:
        if self.card is None:
            fitted = not hasattr(self, "card_")
            return [f"x{k}" for k in range(width)] if fitted else [b.feature.column for b in self.card_.bins]
        card = self.card.card if isinstance(self.card, EditedCard) else self.card
        names = [b.feature.column for b in card.bins if b.feature.institution == BANK and b.feature.is_column]
        if width == len(names) + 1:
            names.append(EXTERNAL_POINTS)
        if len(names) != width:
            raise ValueError(
                f"X has {width} columns, and the card takes {len(names)}: {', '.join(names)}; give a DataFrame, or an "
                "array with these columns in this order"
            )
        return names

    def _own(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The card's columns of a table; ValueError names those that are absent."""
        wanted = [
            self.card_.bins[j].feature.column for j in self._places() if self.card_.bins[j].feature.is_column
        ]
        if absent := [name for name in wanted if name not in frame.columns]:
            raise ValueError(
                f"X lacks columns of the card: {', '.join(absent)}; add them, missing where unknown"
            )
        return frame

    def _codes(self, X: Any) -> tuple[list[NDArray[Any]], NDArray[Any] | None]:
        """Codes of all the bank's features, pairs last, and the holders' points."""
        card = self.card_of()
        frame = self._own(self._frame(X, reset=False)[0])
        places = self._places()
        columns = [j for j in places if card.bins[j].feature.is_column]
        found = dict(zip(columns, codes_of([card.bins[j] for j in columns], frame), strict=True))
        for j, left, right in pairs_of(card.bins, BANK):
            found[j] = found[left].astype(np.int64) * card.bins[right].size + found[right]
        external = self._external()
        if external is None:
            return [found[j] for j in places], None
        given = np.full(len(frame), float(external.default))
        if EXTERNAL_POINTS in frame.columns:
            said = frame[EXTERNAL_POINTS].to_numpy(dtype=np.float64, na_value=np.nan)
            given = np.where(np.isnan(said), given, said)
        return [found[j] for j in places], given.astype(np.int64)

    def _points(self, X: Any) -> NDArray[np.int64]:
        codes, external = self._codes(X)
        columns = [
            np.asarray(self.card_.points[j], dtype=np.int64)[c]
            for j, c in zip(self._places(), codes, strict=True)
        ]
        columns += [external] if external is not None else []
        return np.stack(columns, axis=1)


def _two_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The classes, (2,), and the place of each row's among them, (n,); ValueError where there are not two."""
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind != "binary":
        raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
    classes, place = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"Classifier can't train when only one class is present. All labels are {classes[0]!r}."
        )
    return classes, place.astype(np.int64)
