"""What a sum of points tells of the bins behind it, for a whole population, by the cards of real studies.

Cards and what each holder gives for a sum (points on a grid, or bands) are made by the nodes of a study that ran
(`recipes/scorecard/score_grid`). They are then applied to enterprises of a province of any size, so that bits are
those of a population and not of a few customers. Who reads knows card, grid and the joint distribution of all
columns: a sum is a function of the bins, so that what it tells of them in bits is the entropy of the sum itself, and
no attack (equations, paths or a learnt inverse: Luo et al. 2021) gets more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.attacks.consortium import Run
from fedrisk.attacks.crafted import codes_in
from fedrisk.clients.attempt import Attempt
from fedrisk.models.binning import Bins
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard import score_grid
from fedrisk.recipes.scorecard.themes import ScoreSum

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Version:
    """One version of a score: the card of a study, its sums, and what each holder gives for each of them."""

    card: Scorecard
    sums: tuple[ScoreSum, ...]
    given: Mapping[tuple[str, str], GivenPoints]

    @classmethod
    def of(cls, run: Run) -> "Version":
        """What the nodes of a study gave."""
        card = Scorecard.from_json(run.told("card").get("scorecard"))
        given: dict[tuple[str, str], GivenPoints] = {}
        sums: tuple[ScoreSum, ...] = ()
        for holder in run.study.holders:
            node = run.nodes[holder]
            attempt = Attempt(node, node.store.attempt(run.attempt))
            sums = score_grid.sums_of(attempt)
            for one in sums:
                if holder in one.holders:
                    given[one.name, holder] = score_grid.given_points(attempt, card, one)
        return cls(card, sums, given)

    def seen(self, population: "Population") -> list[Ints]:
        """What a bank gets of each enterprise, (n,) by sum."""
        return [
            sum(
                (self._part(one, h, population) for h in one.holders),
                start=np.zeros(len(population), np.int64),
            )
            for one in self.sums
        ]

    def of_holder(self, holder: str, population: "Population") -> list[Ints]:
        """What one holder gives of each enterprise, (n,) by sum that it is in."""
        return [self._part(one, holder, population) for one in self.sums if holder in one.holders]

    def bands(self, holder: str) -> int:
        """How many values a holder gives, its sums together."""
        return int(np.prod([len(g.values) for (_, h), g in self.given.items() if h == holder]))

    def _part(self, one: ScoreSum, holder: str, population: "Population") -> Ints:
        points = np.zeros(len(population), np.int64)
        for j in one.places(self.card, holder):
            points += np.asarray(self.card.points[j], np.int64)[population.code(self.card.bins[j])]
        return self.given[one.name, holder].of(points)


@dataclass(frozen=True)
class Population:
    """Enterprises with the tables of all holders; ids: of those about whom a bank asks."""

    ids: NDArray[np.object_]
    tables: Mapping[str, pd.DataFrame]

    def __len__(self) -> int:
        return len(self.ids)

    def code(self, b: Bins) -> NDArray[np.intp]:
        """Bin of each enterprise in a holder's feature."""
        feature = b.feature
        if not feature.is_column:
            there = pd.Index(self.ids).isin(self.tables[feature.institution]["id"])
            return np.where(there, 0, 1)
        return codes_in([b], self.ids, self.tables)[feature.institution, feature.column]

    def codes(self, bins: Sequence[Bins]) -> dict[tuple[str, str], NDArray[np.intp]]:
        """The truth: bins of all holders' columns."""
        return codes_in(bins, self.ids, self.tables)
