"""A bank's scorecard as it serves: from own columns and the holders' sum of points to score, probability and reasons.

The arithmetic is that of a study's delivery (recipes/scorecard/delivery): own points by the calibrated card, the
holders' sum brought to its scale as a whole. The same rows get the same scores, integer for integer.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import Feature
from fedrisk.errors import DataError, StoreError
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import with_pair_codes
from fedrisk.models.model_part import ModelPart
from fedrisk.models.own_model import OwnModel
from fedrisk.models.scorecard import EXTERNAL, Scorecard
from fedrisk.study_members import BANK

REACH = 3.0
"""Standard deviations of the score to both sides of its mean, between which the scale is shown."""


@dataclass(frozen=True)
class CardModel:
    """A bank's part of a model with its card read; ``card`` is the calibrated one where there is one.

    own: the bank's own models that were fitted beside it, where they are kept.
    """

    part: ModelPart
    card: Scorecard
    bins: tuple[Bins, ...]
    own: OwnModel | None = None

    @classmethod
    def of(cls, part: ModelPart, own: bytes | None = None) -> "CardModel":
        """Read the card of a bank's part, and the file of its own models.

        StoreError where it has no card, ConfigError where either is damaged.
        """
        text = part.calibrated or part.card
        if text is None:
            raise StoreError(
                f"model {part.model} has no scorecard in this store; put its folder back from its copy"
            )
        card = Scorecard.from_json(text)
        bins = tuple(card.bins[j] for j in card.columns_of(BANK))
        return cls(part, card, bins, None if own is None else OwnModel.from_bytes(own))

    @property
    def features(self) -> tuple[Feature, ...]:
        """The bank's own columns in it, in the order of the card."""
        return tuple(b.feature for b in self.bins)

    @property
    def columns(self) -> tuple[str, ...]:
        """The bank's own columns that are looked up: those of the card, then what only its own models take."""
        mine = (f.column for f in self.features)
        return tuple(dict.fromkeys((*mine, *(() if self.own is None else self.own.columns))))

    def own_probability(
        self,
        columns: Mapping[str, Any],
        codes: Sequence[NDArray[Any]],
        external: NDArray[np.int64] | None,
        themes: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> NDArray[np.float64] | None:
        """By the best of the bank's own models, (n,); None where none is kept, or a column of theirs is not there."""
        if self.own is None:
            return None
        with contextlib.suppress(DataError):
            return self.own.probability(self.card, columns, codes, external, themes).get("best")
        return None

    @property
    def scale(self) -> tuple[int, int, int]:
        """Score of the riskiest and of the safest that are shown, and the mean, by released numbers."""
        mean, sd = self.card.score_distribution()
        return round(mean - REACH * sd), round(mean + REACH * sd), round(mean)

    def codes(self, columns: Mapping[str, Any]) -> list[NDArray[Any]]:
        """Bin codes of the bank's features, one array (n,) each: of its columns, then of their pairs.

        DataError where a value is missing that has no bin.
        """
        codes = [b.codes(columns[b.feature.column]) for b in self.bins]
        if not codes:
            return codes
        return list(with_pair_codes(self.card, BANK, np.stack(codes, axis=1)).T)

    def own_points(self, codes: Sequence[NDArray[Any]], rows: int) -> NDArray[np.int64]:
        """Points of the bank's own columns, (rows,)."""
        if not codes:
            return np.zeros(rows, np.int64)
        return self.card.institution_points(BANK, list(codes))

    def external(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """The holders' sums of points, as they come, on the scale of the card."""
        return self.card.given_points(points)

    def totals(self, own: NDArray[np.int64], external: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Scores, (n,)."""
        return own + self.card.base_points + (0 if external is None else external)

    def reasons(
        self, codes: Sequence[NDArray[Any]], external: NDArray[np.int64] | None, rows: int
    ) -> list[tuple[str, ...]]:
        """What speaks most against each enterprise: own columns, and one item for all that is external."""
        if codes:
            return self.card.reasons(list(codes), external)
        short = np.zeros(rows) if external is None else sum(self.card.averages) - external
        return [(EXTERNAL,) if s > 0 else () for s in short]
