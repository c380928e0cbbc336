"""A series of monthly studies in floating point, each remembering those before it; no privacy, for research.

The first study finds bins by its noisy edge histograms, the others take them over and spend the budget on counts. Every
study releases counts and a Gram matrix with normal noise of the stated variance; only the last one's card is calibrated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))

from emulation import Portfolio, _counts, _edges, _points, _second

from fedrisk.analysis.card_sums import gram_matrix, label_counts, sizes_of
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import NOTHING, Knowledge, PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.scorecard.fitting import Facts, Second, card_bins, card_from, second_release
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.record import ReleasedSums

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Codes = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Month:
    """A month's study: rows of the portfolio and their labels, (rows,).

    codes: of all rows, where they are not those of the portfolio itself.
    """

    rows: Rows
    label: Floats
    codes: Codes | None = None


@dataclass(frozen=True)
class Card:
    """What a study has for its card; fitted on demand."""

    facts: Facts
    bins: list[Bins]
    counts: LabelCounts
    second: Second
    released: ReleasedSums

    def scores(self, data: Portfolio, codes: Codes, known: Knowledge | None = None) -> Floats:
        """Points of all rows, (n,). known: instead of the study's own memory."""
        facts = self.facts if known is None else replace(self.facts, known=known)
        card = card_from(facts, self.bins, self.counts, self.second, self.released)
        return _points(data, card, codes).sum(1)


class Series:
    """Studies of one portfolio, one after another, with the noise of one seed."""

    def __init__(self, data: Portfolio, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.data = data
        self.past: list[PastStudy] = []
        self.bins: list[Bins] = []
        self.codes: Codes = []

    def facts(self, rows: int, known: Knowledge) -> Facts:
        """Public facts of a study with so many training rows."""
        study = self.data.study
        plan = make_plan(study, self.data.features)
        return Facts.of_plain_labels(study, plan, rows, known)

    def begin(self, rows: Rows) -> None:
        """Bins by the first study's rows; later studies have them as public ones."""
        facts = self.facts(len(rows), NOTHING)
        edges = _edges(facts, self.data.rows(rows), self.rng)
        self.bins = card_bins(find_bins(facts.study, facts.plan, edges, len(rows), facts.plan.mu("counts")))
        self.codes = self.data.codes(self.bins)

    def settle(self) -> None:
        """From now on bins are public, and no budget goes to edges."""
        columns = [b for b in self.bins if b.feature.is_column]
        features = tuple(
            b.feature.with_bins(b.edges) if b.feature.private_edges else b.feature for b in columns
        )
        self.data = replace(self.data, features=features)

    def counts(self, month: Month, facts: Facts) -> LabelCounts:
        """This month's own label counts."""
        sizes = sizes_of(self.bins, facts.study.roles)
        codes = self.codes if month.codes is None else month.codes
        counted = [c[month.rows] for c, b in zip(codes, self.bins, strict=True) if b.feature.is_column]
        return label_counts(_counts(facts.counts(self.bins), sizes, counted, month.label, self.rng), sizes)

    def study(self, month: Month, memory: Sequence[PastStudy]) -> Card:
        """One study that remembers others; what it released is kept for later ones."""
        known = Knowledge(memory=tuple(memory))
        facts = self.facts(len(month.rows), known)
        counts = self.counts(month, facts)
        curves = facts.curves(self.bins, counts)
        second = second_release(facts, self.bins, counts, curves)
        all_codes = self.codes if month.codes is None else month.codes
        codes = [c[month.rows] for c in all_codes]
        released = _second(facts, second, self.bins, codes, month.label, self.rng)
        owner = [b.feature.institution for b in self.bins]
        matrix = (
            None if second.chosen is not None else gram_matrix(released, second.bases, owner, second.share)
        )
        self.past.append(
            PastStudy(
                study=f"month {len(self.past) + 1}",
                digest="",
                ended="",
                bins=tuple(self.bins),
                counts=counts,
                bases=second.bases,
                second=matrix,
            )
        )
        if len(self.past) == 1:
            self.settle()
        return Card(facts, self.bins, counts, second, released)
