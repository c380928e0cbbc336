"""A scorecard after edits: fitted again to what its study released, by the arithmetic of the study itself.

Nobody scored rows by the edited card, so there is no calibration histogram of it. The calibration of the released card
is carried over, as a function from what the sums alone say (the first calibration) to what training rows said; its
level is moved so that both cards have the same mean probability by their released moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.errors import ConfigError
from fedrisk.models.bounded_weights import Bound
from fedrisk.models.calibration import Calibration
from fedrisk.models.card_edit import CardEdit, Edited, Origin, as_released, edited_bins
from fedrisk.models.card_pairs import with_pairs
from fedrisk.models.curves import Curves
from fedrisk.models.edited_sums import edited_bases, edited_counts, edited_gram
from fedrisk.models.pairs import Pair, PairDesign
from fedrisk.models.scale import STANDARD, Scale
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import calibration_of, card_of, fit_card
from fedrisk.recipes.scorecard.pairing import PAIRS, kept_pairs, pair_designs, paired
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.study import NO_PRIVACY

Floats = NDArray[np.float64]

Points = Sequence[Sequence[int]]

FARTHEST = 5.0
"""Farthest that the level of a calibration is moved, in log-odds."""

AS_STATED = Calibration(0.0, 0.0, 1.0, 0.0, (0.0, 1.0))
"""A calibration that changes nothing, for cards of studies that released no histogram."""


@dataclass(frozen=True, kw_only=True)
class CardSource:
    """What a card is fitted to, as its study released it.

    study, attempt: name and id. sums: with what the study remembered. pairs, calibration: releases, where there were
    any. research: whether it was released without privacy. released: the card as the study's machines had it, where it
    is at hand: calibrated, and before that. It is taken where it is the one that follows here within rounding.
    """

    study: str
    attempt: str
    sums: CardSums
    pairs: ReleasedSums | None = None
    calibration: ReleasedSums | None = None
    research: bool = False
    released: Scorecard | None = None
    released_first: Scorecard | None = None

    @classmethod
    def of(cls, record: ReleaseRecord, released: Scorecard | None = None) -> "CardSource":
        """From a record, and the card beside it.

        ConfigError where it is of another recipe, or its study ended before its card.
        """
        if record.find("counts") is None or (record.find("gram") is None and record.find("recount") is None):
            raise ConfigError(
                "the record is of no finished scorecard study, and has no card that could be edited; name the results "
                "of one"
            )
        return cls(
            study=str(record.study["name"]),
            attempt=record.attempt,
            sums=CardSums.of(record),
            pairs=record.find(PAIRS),
            calibration=record.find("calibration"),
            research=record.research,
            released=released,
        )

    @cached_property
    def designs(self) -> dict[str, PairDesign]:
        """What the release of pairs was about."""
        return {} if self.pairs is None else pair_designs(self.sums)

    @cached_property
    def pairs_kept(self) -> dict[str, tuple[Pair, ...]]:
        """By role, the pairs that the evidence keeps."""
        return {} if self.pairs is None else kept_pairs(self.designs, self.pairs)

    @cached_property
    def curves(self) -> Curves:
        """Curves of all features of the released card."""
        return curves_of(self.sums.counts, self.sums.bins, self.sums.prior)

    @cached_property
    def first(self) -> Scorecard:
        """The released card as it was before its calibration."""
        card = paired(card_of(self.study, self.sums), self.designs, self.pairs)
        card = replace(card, notice=NO_PRIVACY) if self.research else card
        told = self.released_first
        return told if told is not None and told.same_as(card) else card

    @cached_property
    def fitted(self) -> Calibration | None:
        """The calibration of the released card; None where the study released no histogram."""
        return None if self.calibration is None else calibration_of(self.first, self.calibration)


@dataclass(frozen=True, kw_only=True)
class CardState:
    """A card after some edits.

    first: before its calibration, by which holders give points. card: calibrated, on its scale, as it is read.
    features: its bins without pairs, and where they come from. dropped: names of pairs that were dropped.
    """

    first: Scorecard
    card: Scorecard
    features: Edited
    dropped: tuple[str, ...] = ()

    def share(self, place: int, weights: Sequence[Floats]) -> Floats:
        """Share of the enterprises in each bin of a feature; weights: of the released card's features."""
        origin = self.features[place][1]
        return np.asarray(np.bincount(origin.codes, weights=weights[origin.place]), dtype=np.float64)


def state_after(
    source: CardSource, edits: Sequence[CardEdit], told: tuple[Scorecard, Scorecard | None] | None = None
) -> CardState:
    """The card after all of the edits, each on top of those before it; none leaves the released card.

    told: both cards as another machine has them, whose rounding is taken; without the second where the source has no
    calibration.

    ConfigError where an edit names a feature or a bin that the card does not have then, or what was told does not
    follow.
    """
    features, scale, long_run = as_released(source.sums.bins), STANDARD, None
    dropped: list[str] = []
    for edit in edits:
        dropped += _dropped_pairs(source, features, edit)
        features, scale = edited_bins(features, edit), edit.scale_after(scale)
        long_run = edit.long_run_rate if edit.long_run_rate is not None else long_run
    points = None if told is None else told[0].points
    first = source.first if _same(features, source, dropped) else _fitted(source, features, dropped, points)
    stated = None if told is None or told[1] is None else told[1].points
    card = _stated(source, first, scale, long_run, stated)
    if source.released is not None and source.released.same_as(card):
        card = source.released
    return CardState(first=first, card=card, features=features, dropped=tuple(dropped))


def _same(features: Edited, source: CardSource, dropped: Sequence[str]) -> bool:
    bins = source.sums.bins
    same = len(features) == len(bins) and all(b == bins[o.place] and not o.way for b, o in features)
    return same and not dropped


def _fitted(
    source: CardSource, features: Edited, dropped: Sequence[str], rounded: Points | None
) -> Scorecard:
    """The card on the bins of the features, not calibrated."""
    sums, bins = source.sums, [b for b, _ in features]
    place = {j: k for k, j in enumerate(j for j, b in enumerate(sums.bins) if b.feature.is_column)}
    columns = [(b, replace(o, place=place[o.place])) for b, o in features if b.feature.is_column]
    counts = edited_counts(sums.counts, columns)
    curves = curves_of(counts, bins, sums.prior)
    bases: tuple[Floats, ...] = ()
    second = None
    if sums.second is not None:
        bases = edited_bases(sums.bases, features, curves)
        second = edited_gram(sums.second, sums.bases, features, bases, source.curves)
    bounds = [Bound(k, o.way, o.steps) for k, (_, o) in enumerate(features) if o.way]
    own = None if rounded is None else rounded[: len(bins)]
    card = fit_card(
        source.study, bins, counts, second, bases, own, sums.prior, bounds, logistic=sums.logistic
    )
    card = _with_pairs(source, card, features, dropped, rounded)
    return replace(card, notice=NO_PRIVACY) if source.research else card


def _stated(
    source: CardSource, first: Scorecard, scale: Scale, long_run: float | None, rounded: Points | None
) -> Scorecard:
    """The card calibrated as the released one was, on its scale."""
    fitted = source.fitted
    if fitted is None:
        if scale == STANDARD and long_run is None:
            return first
        return first.calibrated(AS_STATED, rounded, scale=scale, long_run=long_run)
    if first is not source.first:
        fitted = fitted.shifted(_level(source, first, fitted))
    return first.calibrated(fitted, rounded, scale=scale, long_run=long_run)


def _level(source: CardSource, first: Scorecard, fitted: Calibration) -> float:
    """By how much the level of the calibration is moved, so that the mean probability stays."""
    wanted = source.first.calibrated(fitted).mean_probability()

    def excess(by: float) -> float:
        return first.calibrated(fitted.shifted(by)).mean_probability() - wanted

    return float(brentq(excess, -FARTHEST, FARTHEST, xtol=1e-6))


def _dropped_pairs(source: CardSource, features: Edited, edit: CardEdit) -> list[str]:
    """Pairs that an edit drops by name; ConfigError where the card has no such pair."""
    columns = {b.feature.name for b, _ in features}
    there = {pair_name(source, pair) for found in source.pairs_kept.values() for pair in found}
    said = [name for name in edit.drop if name not in columns and " x " in name]
    wrong = [name for name in said if name not in there]
    if wrong:
        known = f"; it has {', '.join(sorted(there))}" if there else ""
        raise ConfigError(f"edit: the card has no pair {wrong[0]}{known}")
    return said


def pair_name(source: CardSource, pair: Pair) -> str:
    """The name of a pair as the card has it."""
    left, right = (source.sums.bins[j].feature for j in (pair.left, pair.right))
    return f"{left.institution}.{left.column} x {right.column}"


def _with_pairs(
    source: CardSource, card: Scorecard, features: Edited, dropped: Sequence[str], rounded: Points | None
) -> Scorecard:
    """The pairs that are left, on the cells of the edited bins: each the mean of those that became one."""
    at = {o.place: k for k, (_, o) in enumerate(features)}
    designs, kept = dict(source.designs), {}
    for role, found in pairs_left(source, features, dropped).items():
        tables, pairs = list(designs[role].tables), []
        for pair in found:
            left, right = (_averaging(source, features[at[j]][1]) for j in (pair.left, pair.right))
            tables[pair.place] = left @ tables[pair.place] @ right.T
            pairs.append(
                replace(pair, left=at[pair.left], right=at[pair.right], table=left @ pair.table @ right.T)
            )
        designs[role] = replace(designs[role], tables=tuple(tables))
        kept[role] = pairs
    return with_pairs(card, designs, kept, rounded)


def pairs_left(source: CardSource, features: Edited, dropped: Sequence[str]) -> dict[str, list[Pair]]:
    """By role, the pairs of the released card that are on the edited one."""
    there = {o.place for _, o in features}
    return {
        role: [p for p in found if {p.left, p.right} <= there and pair_name(source, p) not in dropped]
        for role, found in source.pairs_kept.items()
    }


def _averaging(source: CardSource, origin: Origin) -> Floats:
    """Takes the mean over bins that became one, by their enterprises: (bins, bins before)."""
    codes, place = origin.codes, origin.place
    weight = np.maximum(source.curves.weight[place], 1e-12)
    out = np.zeros((int(codes.max()) + 1, len(codes)))
    out[codes, np.arange(len(codes))] = weight
    shares: Floats = out / out.sum(1, keepdims=True)
    return shares
