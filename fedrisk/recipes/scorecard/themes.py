"""Which numbers a bank is given of each enterprise: one sum of all holders' points, or several, by theme.

A theme is what a study calls so: holders of one kind, or some columns of a holder. A holder's points are in a sum of
their own theme only where its policy says so; those of all others stay in one sum together, the rest. What can be
subtracted is nothing: a bank gets the sums, each under masks of its own, and no total beside them that they do not add
up to. So that the rest is not one holder's points, it has to hide: two holders with columns enough, or none. Where it
does not, the last theme goes into it, until it does or there is one number, as without themes.

All of it follows from the study, the public columns and what members state: the same at all of them, whatever the hub
says, and before anything is released.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fedrisk.data.features import KNOWN, Feature
from fedrisk.findings import Finding
from fedrisk.models.model_part import REST
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.study import Study


class Allows(Protocol):
    """What a holder states of its policy, or the policy itself."""

    @property
    def score_themes(self) -> bool:
        """Whether its points may be given in sums of their own."""

    @property
    def score_values(self) -> int:
        """Most values that all numbers with its points take together."""

    @property
    def band_columns(self) -> int:
        """Columns that a holder must have to hide another."""


@dataclass(frozen=True)
class ScoreSum:
    """One number that a bank is given of each enterprise.

    name: the theme's, or REST. columns: by holder, in the study's order, the names of its features that are in it.
    elsewhere: by holder, those in other sums. rest: by holder, those in the rest. Features that a card has besides a
    holder's columns are in the sum that says whether it knows an enterprise, so that none is in no sum. A pair tells of
    two columns: it is in the rest where either is, which hides it, else in the sum of its first one.
    """

    name: str
    columns: Mapping[str, frozenset[str]]
    elsewhere: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rest: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def holders(self) -> tuple[str, ...]:
        """Holders whose points are in it."""
        return tuple(self.columns)

    def inside(self) -> dict[str, list[str]]:
        """Its features by holder, as plain values."""
        return {holder: sorted(columns) for holder, columns in self.columns.items()}

    def places(self, card: Scorecard, holder: str | None = None) -> list[int]:
        """Positions in the card of the features that are in it, of one holder or of all."""
        return [
            j
            for h in (self.holders if holder is None else (holder,))
            for j in (card.features_of(h) if h in self.columns else ())
            if self._has(h, card.bins[j].feature)
        ]

    def _has(self, holder: str, feature: Feature) -> bool:
        inside, column = self.columns[holder], feature.column
        if feature.kind == "pair":
            parts = [str(c) for c in feature.bins or ()]
            column = next((c for c in parts if c in self.rest.get(holder, ())), parts[0])
        return column in inside or (KNOWN in inside and column not in self.elsewhere.get(holder, ()))


def score_sums(study: Study, features: Sequence[Feature], said: Mapping[str, Allows]) -> tuple[ScoreSum, ...]:
    """The sums of a study, themes by name and the rest last; none in a study without holders.

    features: of all roles, those that are counted. said: of each holder.

    A holder's columns are in a theme only where they are as many as it asks for of a holder that is to hide another
    (``policy.band_columns``): a sum of fewer is nearly those columns. It is in so many sums at most that two values for
    each are within its ``policy.score_values``.
    """
    own = {h: [f.column for f in features if f.institution == h] for h in study.holders}
    placed = {h: _placed(h, own[h], _themes(study), said[h]) for h in study.holders}
    themes = sorted({t for found in placed.values() for t in found.values() if t})
    while themes and not _hides(placed, said):
        last = themes.pop()
        placed = {h: {c: "" if t == last else t for c, t in found.items()} for h, found in placed.items()}
    return tuple(s for s in (_sum(name, placed) for name in (*themes, "")) if s.columns)


def numbers_of(sums: Sequence[ScoreSum], holder: str) -> int:
    """In how many of the sums a holder's points are."""
    return sum(holder in s.columns for s in sums)


def values_of_each(values: int, numbers: int) -> int:
    """Most values of each of several numbers that take at most so many together; two where that is too many.

    >>> values_of_each(512, 1), values_of_each(512, 2), values_of_each(512, 3)
    (512, 22, 8)
    """
    each = max(2, int(math.pow(values, 1 / numbers)) + 1)
    while each > 2 and each**numbers > values:
        each -= 1
    return each


def said_of(study: Study, sums: Sequence[ScoreSum]) -> tuple[Finding, ...]:
    """What the report says of a study that asks for themes: which sums banks are given, and which are not alone.

    Empty where it asks for none.
    """
    given = ", ".join(f"{s.name} ({' + '.join(s.holders)})" for s in sums)
    found = (Finding("themes_given", {"number": len(sums), "sums": given}),) if len(sums) > 1 else ()
    asked = sorted({t for parts in _themes(study).values() for t in parts.values()})
    missing = [t for t in asked if t not in {s.name for s in sums}]
    return (*found, Finding("themes_together", {"themes": ", ".join(missing)})) if missing else found


def _themes(study: Study) -> dict[str, dict[str, str]]:
    """By holder the theme of each column that the study names, under "" of all others of its columns."""
    themes = ScorecardSettings.of(study).themes
    if themes == "holders":
        return {h: {"": h} for h in study.holders}
    out: dict[str, dict[str, str]] = {}
    for theme, parts in dict(themes or {}).items():
        for part in parts:
            holder, _, column = part.partition(".")
            out.setdefault(holder, {})[column] = theme
    return out


def _placed(
    holder: str, columns: Sequence[str], themes: Mapping[str, Mapping[str, str]], said: Allows
) -> dict[str, str]:
    """The theme of each of a holder's columns, "" for the rest; that it knows an enterprise goes with most columns."""
    asked = themes.get(holder, {}) if said.score_themes else {}
    found = {c: asked.get(c, asked.get("", "")) for c in columns}
    sizes = {t: sum(f == t for f in found.values()) for t in found.values()}
    large = sorted(t for t, n in sizes.items() if t and n >= said.band_columns)
    # One number is for what is left over.
    kept = large[: int(math.log2(said.score_values)) - 1]
    found = {c: t if t in kept else "" for c, t in found.items()}
    most = max(sorted(set(found.values())), key=lambda t: sum(f == t for f in found.values()), default="")
    return {**found, KNOWN: most}


def _hides(placed: Mapping[str, Mapping[str, str]], said: Mapping[str, Allows]) -> bool:
    """Whether nobody is alone in the rest against its policy."""
    rest = {h: sum(not t for c, t in found.items() if c != KNOWN) for h, found in placed.items()}
    there = {h: n for h, n in rest.items() if n}
    if not there:
        return True
    least = max(said[h].band_columns for h in there)
    if len(there) == 1:
        return all(said[h].score_themes and n >= least for h, n in there.items())
    return sum(n >= least for n in there.values()) >= 2


def _sum(theme: str, placed: Mapping[str, Mapping[str, str]]) -> ScoreSum:
    inside = {h: frozenset(c for c, t in found.items() if t == theme) for h, found in placed.items()}
    apart = {h: frozenset(c for c, t in found.items() if t != theme) for h, found in placed.items()}
    there = {h: columns for h, columns in inside.items() if columns}
    rest = {h: frozenset(c for c in placed[h] if not placed[h][c]) for h in there}
    return ScoreSum(theme or REST, there, {h: apart[h] for h in there}, rest)
