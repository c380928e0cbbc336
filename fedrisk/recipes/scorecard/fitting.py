"""From released numbers to a scorecard: arithmetic alone, so it can be done again at no cost in privacy.

:func:`fit_card` is what the hub does; :func:`refit` does the same from a kept record, by the same code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import (
    LOGISTIC,
    CardSums,
    columns_of,
    combine_recount,
    curves_of,
    gram_matrix,
    noise_variance,
    sizes_of,
    with_memory,
)
from fedrisk.data.features import known_feature
from fedrisk.errors import ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.bounded_weights import Bound, bounded_curves, bounded_weights
from fedrisk.models.calibration import Calibration, ScoreCounts, fit_calibration
from fedrisk.models.curves import Curves, radii, shape_bases, stronger_half
from fedrisk.models.directions import follow_directions
from fedrisk.models.estimator import moment_equations, weights_from
from fedrisk.models.fitted_card import card_from_weights
from fedrisk.models.knowledge import NOTHING, GramMatrix, Knowledge
from fedrisk.models.label_counts import LabelCounts, few_positives, with_known
from fedrisk.models.logistic_step import logistic_equations
from fedrisk.models.memory import Remembered, remember_counts
from fedrisk.models.point_errors import contribution_errors
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import CLOSE, FACTOR, Scorecard
from fedrisk.protocol.statements import Statements, binary_labels, weighted
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS, counts_release, gram_release
from fedrisk.recipes.scorecard.pairing import PAIRS, asks_pairs, pair_designs, paired
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.releases.release import Release
from fedrisk.study import NO_PRIVACY, Study
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

LEAST_RADIUS = 1e-3
"""Least clipping radius of a role's part of a shape row."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Public facts of an aligned study, the same at hub and members.

    training, sampled: rows of all lists, and of the sample. labelled: about so many of the training rows have a label.
    weighted: whether a bank weighs its labels. binary: whether every row has a label, of 0 or 1 and without a weight.
    known: what is known beforehand, from earlier studies and from elsewhere.
    """

    study: Study
    plan: Plan
    training: int
    sampled: int
    labelled: int
    weighted: bool
    binary: bool
    known: Knowledge = NOTHING

    @classmethod
    def of(
        cls,
        study: Study,
        plan: Plan,
        statements: Statements,
        training: int,
        sampled: int,
        labelled: int,
        known: Knowledge = NOTHING,
    ) -> "Facts":
        """Facts from what all members state, from the counts of the order of rows, and from what is known."""
        return cls(
            study=study,
            plan=plan,
            training=training,
            sampled=sampled,
            labelled=labelled,
            weighted=weighted(study, statements),
            binary=binary_labels(study, statements),
            known=known,
        )

    @classmethod
    def of_plain_labels(cls, study: Study, plan: Plan, rows: int, known: Knowledge = NOTHING) -> "Facts":
        """Facts where each of so many training rows has a label of 0 or 1 and no weight, as for a study simulated."""
        return cls(
            study=study,
            plan=plan,
            training=rows,
            sampled=min(rows, plan.sample_rows or rows),
            labelled=rows,
            weighted=False,
            binary=True,
            known=known,
        )

    def counts(self, bins: Sequence[Bins]) -> Release:
        """The release of the label counts."""
        sizes = sizes_of(bins, self.study.roles)
        mu = self.plan.mu("counts")
        return counts_release(self.study, sizes, mu, binary_labels=self.binary, rows=self.training)

    def remembered(self, bins: Sequence[Bins], counts: LabelCounts) -> Remembered:
        """A study's own label counts together with those of earlier studies."""
        return remember_counts(self.known.memory, columns_of(bins), counts)

    def asks_pairs(self, *, gram: bool) -> bool:
        """Whether pairs are looked for, by which the second release was; see :func:`pairing.asks_pairs`."""
        return asks_pairs(self.study, gram=gram, binary=self.binary)

    def curves(self, bins: Sequence[Bins], counts: LabelCounts) -> Curves:
        """Curves of all features from a study's own label counts and all that is known beforehand."""
        return curves_of(self.remembered(bins, counts).counts, bins, self.known.prior)


@dataclass(frozen=True, kw_only=True)
class Second:
    """The second release, as it follows from the label counts.

    chosen: features that are counted again, by role, where positives are few. Otherwise bases: of all features,
    (bins, k) each; radii: greatest norm of each role's part of a shape row; share: brings the matrix of a sample to the
    scale of the counts; bank_share: the same for entries of banks, in which rows without a label are zeros. logistic:
    whether weights are those of a logistic regression (models/logistic_step).
    """

    release: Release
    chosen: dict[str, list[int]] | None = None
    bases: tuple[Floats, ...] = ()
    radii: dict[str, float] = field(default_factory=dict)
    share: float = 1.0
    bank_share: float = 1.0
    logistic: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What gives the released numbers meaning, for the record."""
        if self.chosen is not None:
            return {"chosen": self.chosen}
        banks = {} if self.bank_share == self.share else {"bank_share": self.bank_share}
        weights = {"weights": LOGISTIC} if self.logistic else {}
        bases = [b.tolist() for b in self.bases]
        return {"share": self.share, **banks, **weights, "radii": self.radii, "bases": bases}


def second_release(
    facts: Facts,
    bins: Sequence[Bins],
    counts: LabelCounts,
    curves: Curves,
    told: Mapping[str, Any] | None = None,
) -> Second:
    """Where positives are few, a second count of the stronger features; else the Gram matrix of all shape columns.

    Which of the two, the study's settings may say.

    told: chosen features, or bases and radii, as the hub has them: they are taken, so that all members have the same
    numbers to the last digit, once they are those that follow here within rounding. ProtocolError where they are not.
    """
    owner = [b.feature.institution for b in bins]
    columns = [j for j, b in enumerate(bins) if b.feature.is_column]
    which = ScorecardSettings.of(facts.study).second
    if which == "recount" or (which == "auto" and few_positives(counts.positives, len(columns))):
        chosen = _chosen(facts.study, [owner[j] for j in columns], stronger_half(curves, columns))
        if told is not None and told != {"chosen": chosen}:
            raise _other_numbers()
        sizes = sizes_of(bins, facts.study.roles)
        picked = {role: [sizes[role][j] for j in own] for role, own in chosen.items()}
        mu = facts.plan.mu("recount")
        release = counts_release(
            facts.study, picked, mu, "recount", binary_labels=facts.binary, rows=facts.training
        )
        return Second(release=release, chosen=chosen)
    bases = shape_bases(curves)
    radius = {r: max(float(v), LEAST_RADIUS) for r, v in radii(bases, curves, owner).items()}
    if told is not None:
        bases, radius = _adopted(bases, radius, told)
    # Counts carry the selection weights and the matrix does not: bring it to their scale, which is exact for constant
    # weights, else an approximation. So it is where customers have no label: a bank leaves them out of its part, and
    # holders, who do not know them, do not, so that their own entries are of all customers on the lists.
    mass = curves.total if facts.weighted else float(facts.labelled)
    share = bank_share = mass / facts.sampled
    if facts.labelled < facts.training:
        bank_share *= facts.training / facts.labelled
    owners = owners_of(facts.study, bases, owner)
    release = gram_release(
        facts.study, owners, {r: radius[r] for r in owners}, facts.sampled, facts.plan.mu("gram")
    )
    return Second(
        release=release,
        bases=bases,
        radii=radius,
        share=share,
        bank_share=bank_share,
        logistic=is_logistic(facts.study),
    )


def is_logistic(study: Study) -> bool:
    """Whether weights are those of a logistic regression: in studies of warnings, whose labels are strong."""
    return study.warning is not None


def owners_of(study: Study, bases: Sequence[Floats], owner: Sequence[str]) -> dict[str, list[int]]:
    """By role, the feature number of each of its shape columns."""
    column_feature = [j for j, b in enumerate(bases) for _ in range(b.shape[1])]
    return {r: [j for j in column_feature if owner[j] == r] for r in study.roles if r in owner}


def _chosen(study: Study, owner: Sequence[str], strong: Sequence[int]) -> dict[str, list[int]]:
    first = {role: owner.index(role) if role in owner else 0 for role in study.roles}
    return {role: sorted(j - first[role] for j in strong if owner[j] == role) for role in study.roles}


def _adopted(
    own: tuple[Floats, ...], radius: dict[str, float], told: Mapping[str, Any]
) -> tuple[tuple[Floats, ...], dict[str, float]]:
    """Bases and radii as the hub has them, once they are those here within rounding.

    Curves have to agree. Modes may be turned among themselves, as eigenvectors may be on another machine: norms of rows
    stay, and with them the sensitivity.
    """
    if set(told) != {"bases", "radii"} or set(told["radii"]) != set(radius):
        raise _other_numbers()
    theirs = tuple(np.asarray(b, float) for b in told["bases"])
    radii_there = {role: float(told["radii"][role]) for role in radius}
    same = len(own) == len(theirs) and all(
        a.shape == b.shape
        and _close(a[:, 0], b[:, 0])
        and _close(a[:, 1:] @ a[:, 1:].T, b[:, 1:] @ b[:, 1:].T)
        for a, b in zip(own, theirs, strict=True)
    )
    if not same or not all(_close(radius[r], radii_there[r]) for r in radius):
        raise _other_numbers()
    return theirs, radii_there


def _close(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other, rtol=CLOSE, atol=CLOSE))


def _other_numbers() -> ProtocolError:
    return ProtocolError(
        "what the hub tells of the second release does not follow from the label counts; run the study again, and ask "
        "the consortium's operator"
    )


def card_bins(columns: Sequence[Bins]) -> list[Bins]:
    """Bins of all features of a card from those of its columns.

    A holder's columns get a last bin for enterprises that it does not know, and after them comes whether it knows them.
    """
    out: list[Bins] = []
    for j, b in enumerate(columns):
        institution = b.feature.institution
        out.append(b if institution == BANK else replace(b, unknown=True))
        last = j + 1 == len(columns) or columns[j + 1].feature.institution != institution
        if institution != BANK and last:
            out.append(Bins.public(known_feature(institution)))
    return out


def fit_card(
    study: str,
    bins: Sequence[Bins],
    counts: LabelCounts,
    second: GramMatrix | None,
    bases: Sequence[Floats] = (),
    rounded: Sequence[Sequence[int]] | None = None,
    prior: Prior | None = None,
    bounds: Sequence[Bound] = (),
    *,
    logistic: bool = False,
) -> Scorecard:
    """The scorecard; without a Gram matrix the curves are added up as they are (few positives).

    counts: of the columns; both counts as one, where they were counted a second time. rounded: points as another
    machine rounded them. prior: curves that are known from elsewhere. bounds: signs and shapes that an edit forces.
    logistic: whether weights are those of a logistic regression (models/logistic_step).
    """
    curves = curves_of(counts, bins, prior)
    counts = with_known(counts, bins)
    if second is None:
        errors = contribution_errors(curves)
        shaped = bounded_curves(follow_directions(bins, curves.curve, errors), curves, bins, bounds)
        freedom = float(curves.freedom.sum())
        return card_from_weights(
            study, bins, shaped, counts, curves, errors=errors, freedom=freedom, rounded=rounded
        )
    released = bases, counts, curves, second.gram, second.variance
    if logistic:
        equations = logistic_equations(*released, [b.feature.institution for b in bins])
    else:
        equations = moment_equations(*released)
    weights = weights_from(equations, bases, curves)
    if bounds:
        weights = bounded_weights(weights, equations, bases, curves, bins, bounds)
    errors = contribution_errors(curves, bases, weights)
    shaped = follow_directions(bins, weights.contributions, errors)
    return card_from_weights(
        study,
        bins,
        shaped,
        counts,
        curves,
        errors=errors,
        freedom=weights.freedom,
        bases=bases,
        gram=second.gram,
        rounded=rounded,
    )


def card_from(
    facts: Facts,
    bins: Sequence[Bins],
    counts: LabelCounts,
    second: Second,
    released: ReleasedSums,
    rounded: Sequence[Sequence[int]] | None = None,
) -> Scorecard:
    """The scorecard from label counts and second release, without pairs and not calibrated yet."""
    sums = sums_from(facts, bins, counts, second, released)
    return card_of(facts.study.name, sums, rounded)


def card_of(study: str, sums: CardSums, rounded: Sequence[Sequence[int]] | None = None) -> Scorecard:
    """The scorecard of all sums, without pairs. rounded: points as another machine rounded them."""
    first = None if rounded is None else rounded[: len(sums.bins)]
    return fit_card(
        study, sums.bins, sums.counts, sums.second, sums.bases, first, sums.prior, logistic=sums.logistic
    )


def sums_from(
    facts: Facts, bins: Sequence[Bins], counts: LabelCounts, second: Second, released: ReleasedSums
) -> CardSums:
    """All that a card is fitted to: label counts, second release, and what is known beforehand."""
    owner = [b.feature.institution for b in bins]
    matrix = None
    if second.chosen is not None:
        counts = combine_recount(counts, released, bins, second.chosen)
    else:
        matrix = gram_matrix(released, second.bases, owner, second.share, second.bank_share)
    counts, bases, matrix = with_memory(facts.known, bins, counts, second.bases, matrix)
    return CardSums(
        bins=tuple(bins),
        counts=counts,
        bases=bases,
        second=matrix,
        prior=facts.known.prior,
        logistic=second.logistic,
    )


def refit(record: ReleaseRecord) -> Scorecard:
    """The scorecard again, from a study's record; ConfigError where the record is of another recipe."""
    sums = CardSums.of(record)
    name = str(record.study["name"])
    card, pairs = card_of(name, sums), record.find(PAIRS)
    if pairs is not None:
        card = paired(card, pair_designs(sums), pairs)
    card = replace(card, notice=NO_PRIVACY) if record.research else card
    rows = record.find("calibration")
    return card if rows is None else calibrate(card, rows)


def calibrate(
    card: Scorecard, released: ReleasedSums, rounded: Sequence[Sequence[int]] | None = None
) -> Scorecard:
    """The card on the scale of its calibration histogram; see `fedrisk.models.calibration`.

    rounded: points as another machine rounded them.
    """
    return card.calibrated(calibration_of(card, released), rounded)


def calibration_of(card: Scorecard, released: ReleasedSums) -> Calibration:
    """The calibration that fits the histogram of the scores of a card that is not calibrated yet."""
    block = released.block(BANK)
    rows = ScoreCounts(
        positives=block.total[:, 0],
        negatives=block.total[:, 1],
        variance=noise_variance(block),
        middles=card.stated_log_odds(card.bin_middles(card.calibration_bins(CALIBRATION_BINS))),
        rate=card.rate,
        rate_error=card.rate_error,
        flattery=card.flattery,
    )
    return fit_calibration(rows, card.intercept + card.sd / FACTOR)
