"""What of a card is exported: one institution's columns, or all of them, in a form that every language can write.

A bank exports its own columns; what holders say reaches it through the consortium, as one number of points, so the
export takes that number as an input. A holder exports its own columns and gets points without a probability. The whole
card, with all columns, is for research and simulation, where one machine has them all.

Each column is a list of cases in the order in which they are looked at. It gives the same bins as `Bins.codes`.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedrisk.data.special import special_values
from fedrisk.errors import ConfigError
from fedrisk.exports.about import About
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import pairs_of
from fedrisk.models.edited_card import EditedCard
from fedrisk.models.scorecard import EXTERNAL, Scorecard
from fedrisk.study_members import BANK

EXTERNAL_POINTS = "external_points"
"""Name of the input with the sum of the holders' points, on the scale of the card."""

CLOSE = 1e-11
"""How far a probability by the exported formula may be from the card's own."""

UNSAFE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode categories of characters that end a line, or that files and databases do not take."""

TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that show a text in another order than it is read in (Boucher & Anderson 2023)."""

Test = Literal["unknown", "missing", "special", "category", "below", "else"]


@dataclass(frozen=True)
class Case:
    """One bin of a column as a test.

    Attributes:
        test: ``unknown``: the holder does not know the enterprise. ``missing``: no value. ``special``: a number that
            equals ``value``. ``category``: a text that equals ``value``. ``below``: a number below ``value``. ``else``:
            everything that is left.
        value: what is compared with.
        code: of the bin; None where the dictionary allows no missing values, so that there are no points.
        points: of the bin; None as above.
        label: of the bin, for people.
        reason: what a reason of this bin is called.
    """

    test: Test
    value: float | str | None
    code: int | None
    points: int | None
    label: str
    reason: str


@dataclass(frozen=True)
class ExportColumn:
    """A column that is exported.

    Attributes:
        name: of the input.
        bins: its bins.
        points: of each bin.
        average: mean points over enterprises.
        knower: name of the input that says whether the holder knows the enterprise (1) or not; None where it always
            does.
    """

    name: str
    bins: Bins
    points: tuple[int, ...]
    average: float
    knower: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether its values are texts; else they are numbers."""
        return self.bins.feature.kind == "category"

    @property
    def is_known(self) -> bool:
        """Whether it is no column but the input that says whether a holder knows the enterprise."""
        return self.bins.feature.kind == "known"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What a reason of each bin is called."""
        own = self.bins.feature.column
        return tuple(r.replace(own, self.name, 1) for r in self.bins.reasons())

    def cases(self) -> tuple[Case, ...]:
        """All cases, in the order in which they are looked at; the last takes what is left."""
        b, labels = self.bins, self.bins.labels()

        def case(test: Test, value: float | str | None, code: int) -> Case:
            return Case(test, value, code, self.points[code], labels[code], self.reasons[code])

        out = [case("unknown", None, b.size - 1)] if b.unknown and self.knower is not None else []
        if self.is_known:
            return (*out, case("else", None, 0))
        if b.feature.missing:
            out.append(case("missing", None, b.missing_place))
        else:
            out.append(Case("missing", None, None, None, "missing, which is refused", self.name))
        out += [case("special", v, b.levels + k) for k, v in enumerate(special_values(b.feature.special))]
        if self.is_text:
            out += [case("category", text, k) for k, texts in enumerate(b.category_texts()) for text in texts]
        out += [case("below", edge, k) for k, edge in enumerate(b.edges)]
        return (*out, case("else", None, b.levels - 1))


@dataclass(frozen=True)
class ExportPair:
    """Points for the cells of two columns: that of code ``left`` times ``width`` plus code ``right``.

    left, right: positions among the exported columns. points: (bins of left) x (bins of right), row by row.
    """

    name: str
    left: int
    right: int
    width: int
    points: tuple[int, ...]
    average: float


@dataclass(frozen=True)
class External:
    """The holders' points as one input. default: points where it is missing, the average enterprise's."""

    average: float
    default: int


@dataclass(frozen=True)
class Curve:
    """Log-odds of default of a score: level + slope u + bend (softplus(u) - log 2) with u = start + step score."""

    start: float
    step: float
    level: float = 0.0
    slope: float = 1.0
    bend: float = 0.0

    @classmethod
    def of(cls, card: Scorecard) -> Curve:
        """The card's own; ConfigError where the card's probability has another form than this one."""
        origin = float(card.stated_log_odds(0.0))
        step = (float(card.stated_log_odds(1000.0)) - origin) / 1000.0
        found, c = cls(origin, step), card.calibration
        if c is not None and not c.straight:
            level, slope = c.line
            found = cls((origin - level) / slope, step / slope, c.level, c.slope, c.bend)
        reach = sum(max(abs(v) for v in p) for p in card.points)
        scores = card.base_points + np.unique(np.linspace(-reach, reach, 501).round())
        if np.abs(found.probability(scores) - card.probability(scores)).max() > CLOSE:
            raise ConfigError(
                "the card's probability is of a form that exports do not know; upgrade fedrisk, or export points alone"
            )
        return found

    def probability(self, scores: np.typing.ArrayLike) -> np.typing.NDArray[np.float64]:
        """Probability of default by this formula, in the shape of ``scores``."""
        u = self.start + self.step * np.asarray(scores, dtype=np.float64)
        z = self.level + self.slope * u + self.bend * (np.logaddexp(0.0, u) - math.log(2))
        return np.asarray(1 / (1 + np.exp(-np.clip(z, -700, 700))))


@dataclass(frozen=True)
class CardPart:
    """What is exported.

    Attributes:
        about: of which card and study, and what a reader must know.
        columns: with their points.
        pairs: of these columns.
        base: points that are added once.
        external: the holders' points as an input; None where there are no holders, or all columns are here.
        curve: from score to probability; None for a holder's part, whose sum is no score.
    """

    about: About
    columns: tuple[ExportColumn, ...]
    pairs: tuple[ExportPair, ...]
    base: int
    external: External | None
    curve: Curve | None

    @classmethod
    def of(cls, source: Scorecard | EditedCard, institution: str | None = BANK) -> CardPart:
        """The part of an institution, ``bank`` for that of the banks; None for the whole card.

        source: a card, or one that was edited, whose edits the export lists.

        Raises:
            ConfigError: the institution has no column in the card, two columns would be called the same, or the card's
                probability has another form than exports know.
        """
        card = source.card if isinstance(source, EditedCard) else source
        whole = institution is None
        if institution not in (None, BANK):
            card.features_of(str(institution))
        chosen = [
            j
            for j, b in enumerate(card.bins)
            if (whole or b.feature.institution == institution) and b.feature.kind != "pair"
        ]
        holder = not whole and institution != BANK
        constant = 0
        if holder:
            # A holder's own table has nobody whom it does not know.
            known = [j for j in chosen if card.bins[j].feature.kind == "known"]
            constant, chosen = sum(card.points[j][0] for j in known), [j for j in chosen if j not in known]
        names = {j: _input_name(card.bins[j], whole=whole) for j in chosen}
        _refuse_twice([*names.values()])
        _refuse_unsafe([*names.values(), *(text for j in chosen for text in _texts(card.bins[j]))])
        knowers = {
            card.bins[j].feature.institution: names[j] for j in chosen if card.bins[j].feature.kind == "known"
        }
        return cls(
            about=About.of(source, "whole card" if whole else str(institution)),
            columns=tuple(_column(card, j, names[j], knowers) for j in chosen),
            pairs=_pairs(card, chosen),
            base=constant if holder else card.base_points,
            external=_external(card) if institution == BANK else None,
            curve=None if holder else Curve.of(card),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all inputs, in order."""
        return (*(c.name for c in self.columns), *((EXTERNAL_POINTS,) if self.external else ()))

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Name and average of everything that gives points: columns, pairs, and the holders' points as one."""
        found = [(c.name, c.average) for c in self.columns] + [(p.name, p.average) for p in self.pairs]
        return tuple(found + ([(EXTERNAL, self.external.average)] if self.external else []))


def _external(card: Scorecard) -> External | None:
    held = [a for a, b in zip(card.averages, card.bins, strict=True) if b.feature.institution != BANK]
    return External(sum(held), round(sum(held))) if held else None


def _input_name(bins: Bins, *, whole: bool) -> str:
    feature = bins.feature
    if feature.kind == "known":
        return f"{feature.institution}_known"
    return (
        f"{feature.institution}_{feature.column}" if whole and feature.institution != BANK else feature.column
    )


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A name that none of the others has, whatever their capitals, with underscores behind where it has to be another.

    >>> free_name("score", ["Score", "id"])
    'score_'
    """
    others = {name.casefold() for name in taken}
    while wanted.casefold() in others:
        wanted += "_"
    return wanted


def _texts(bins: Bins) -> list[str]:
    """Categories, and meanings of special codes."""
    return [text for texts in bins.category_texts() for text in texts] + [m for _, m in bins.feature.special]


def _refuse_unsafe(texts: Iterable[str]) -> None:
    for text in texts:
        if not text or any(unicodedata.category(c) in UNSAFE or c in TURNING for c in text):
            raise ConfigError(
                f"the export would have a column or category called {text!r}, which is empty or has characters that "
                "files and databases do not take; check where the card comes from, or rename it in the dictionary and "
                "run the study again"
            )


def _refuse_twice(names: list[str]) -> None:
    folded = [n.casefold() for n in [*names, EXTERNAL_POINTS]]
    if twice := sorted({n for n in names if folded.count(n.casefold()) > 1}):
        raise ConfigError(
            f"two inputs of the export would be called {', '.join(twice)} (capitals do not count); export each "
            "institution's part by itself, or rename the column in its dictionary"
        )


def _column(card: Scorecard, j: int, name: str, knowers: dict[str, str]) -> ExportColumn:
    bins = card.bins[j]
    return ExportColumn(
        name=name,
        bins=bins,
        points=card.points[j],
        average=card.averages[j],
        knower=knowers.get(bins.feature.institution),
    )


def _pairs(card: Scorecard, chosen: list[int]) -> tuple[ExportPair, ...]:
    place = {j: k for k, j in enumerate(chosen)}
    found = {}
    for institution in dict.fromkeys(card.bins[j].feature.institution for j in chosen):
        for j, left, right in pairs_of(card.bins, institution):
            found[j] = ExportPair(
                name=card.bins[j].feature.column,
                left=place[left],
                right=place[right],
                width=card.bins[right].size,
                points=card.points[j],
                average=card.averages[j],
            )
    return tuple(found[j] for j in sorted(found))
