"""What a person may change on a released card, and what it does to the bins of the card's features.

Bins are merged, a sign or a monotone shape is forced, a column is dropped, scores are stated on another scale, and the
rate that is expected in the long run is set (Siddiqi 2017, chapters 9 to 11, has the practice). An edit is a list of
such acts with a reason and an author. All that follows from it is arithmetic on numbers that were released already, so
it costs no privacy (post-processing; Dwork & Roth 2014, section 2.1).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.scale import STANDARD, Scale

Codes = NDArray[np.int64]
Way = Literal["rising", "falling"]

WAYS: Mapping[str, Way] = {
    "rising": "rising",
    "falling": "falling",
    "increasing": "rising",
    "decreasing": "falling",
}
"""Words for how the risk goes as the value rises, and what they mean."""

MOST_SAID = 500
"""Longest reason or name, in characters."""

RATE = (1e-5, 0.5)
"""Bounds of a long-run rate."""

KEYS = {
    "merge",
    "monotone",
    "sign",
    "drop",
    "points_to_double",
    "base_score",
    "base_odds",
    "long_run_rate",
    "reason",
    "author",
}
"""Keys of an edit in a file."""


@dataclass(frozen=True, kw_only=True)
class CardEdit:
    """One edit: what is done, why, and by whom. Features are named as on the card, such as ``bank.age``.

    Attributes:
        merge: bins that become one, such as ``bank.age:2-4`` or ``bank.sector:1,5``, numbered from 1 as the card has
            them when the edit is made.
        monotone: by feature, whether its risk rises or falls with the value, in every step from bin to bin.
        sign: by feature, whether its risk rises or falls with the value on the whole: the slope of the straight line
            through its bins, which steps may depart from.
        drop: features that leave the card.
        points_to_double, base_score, base_odds: of the scale; None leaves it as it is.
        long_run_rate: rate of default that the probabilities shall expect; None leaves it as it is.
        reason, author: as a person says them.

    ConfigError where something is said that no card allows.
    """

    merge: tuple[str, ...] = ()
    monotone: Mapping[str, Way] = field(default_factory=dict)
    sign: Mapping[str, Way] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    points_to_double: float | None = None
    base_score: float | None = None
    base_odds: float | None = None
    long_run_rate: float | None = None
    reason: str = ""
    author: str = ""

    def __post_init__(self) -> None:
        for name in ("points_to_double", "base_score", "base_odds", "long_run_rate"):
            if (value := getattr(self, name)) is not None:
                # One form of a number, so that digests are of numbers and not of how they were typed.
                object.__setattr__(self, name, float(value))
        for text in self.merge:
            merged_places(text)
        for name, ways in (("monotone", self.monotone), ("sign", self.sign)):
            wrong = [w for w in ways.values() if w not in ("rising", "falling")]
            if wrong:
                raise ConfigError(
                    f"edit: {name} is {wrong[0]!r}; say rising or falling: how the risk goes with the value"
                )
        twice = sorted({*self.monotone} & {*self.sign})
        if twice:
            raise ConfigError(
                f"edit: {twice[0]} is both monotone and signed; a monotone shape has a sign already"
            )
        rate = self.long_run_rate
        if rate is not None and not RATE[0] <= rate <= RATE[1]:
            raise ConfigError(
                f"edit: long_run_rate is {rate:g}, must lie between {RATE[0]:g} and {RATE[1]:g}; 4.1% is 0.041"
            )
        self.scale_after(STANDARD)
        for name, text in (("reason", self.reason), ("author", self.author)):
            if len(text) > MOST_SAID or any(not c.isprintable() for c in text):
                raise ConfigError(
                    f"edit: {name} is one line of at most {MOST_SAID} characters; it is kept for good"
                )

    @property
    def moves_points(self) -> bool:
        """Whether weights are solved again."""
        return bool(self.merge or self.monotone or self.sign or self.drop)

    @property
    def empty(self) -> bool:
        """Whether it does nothing."""
        return not self.moves_points and self.restated is False

    @property
    def restated(self) -> bool:
        """Whether it changes the scale or the rate."""
        parts = (self.points_to_double, self.base_score, self.base_odds, self.long_run_rate)
        return any(p is not None for p in parts)

    def scale_after(self, scale: Scale) -> Scale:
        """The scale after this edit; ConfigError where it is none."""
        return Scale(
            scale.double if self.points_to_double is None else self.points_to_double,
            scale.score if self.base_score is None else self.base_score,
            scale.odds if self.base_odds is None else self.base_odds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON, without what the edit leaves as it is."""
        plain = {
            "merge": list(self.merge),
            "monotone": dict(sorted(self.monotone.items())),
            "sign": dict(sorted(self.sign.items())),
            "drop": list(self.drop),
            "points_to_double": self.points_to_double,
            "base_score": self.base_score,
            "base_odds": self.base_odds,
            "long_run_rate": self.long_run_rate,
        }
        said = {"reason": self.reason, "author": self.author}
        return {**{k: v for k, v in plain.items() if v not in ([], {}, None)}, **said}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> CardEdit:
        """An edit as a file has it; ConfigError where a key is unknown or of another form."""
        strange = sorted(set(plain) - KEYS)
        if strange:
            near = difflib.get_close_matches(strange[0], KEYS, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(KEYS))}"
            raise ConfigError(f"edit: unknown key {strange[0]}{meant}")
        try:
            numbers = ("points_to_double", "base_score", "base_odds", "long_run_rate")
            return cls(
                merge=_texts(plain.get("merge", ())),
                monotone=ways_of(plain.get("monotone", {})),
                sign=ways_of(plain.get("sign", {})),
                drop=_texts(plain.get("drop", ())),
                reason=str(plain.get("reason", "")).strip(),
                author=str(plain.get("author", "")).strip(),
                **{name: _number(name, plain[name]) for name in numbers if plain.get(name) is not None},
            )
        except (TypeError, AttributeError):
            raise ConfigError(
                'edit: merge and drop are lists of texts, monotone and sign tables such as { "bank.age" = "falling" }'
            ) from None


def ways_of(said: Mapping[str, str]) -> dict[str, Way]:
    """Directions by feature, in the words of this module; others stay, and are refused by the edit.

    >>> ways_of({"bank.age": "decreasing"})
    {'bank.age': 'falling'}
    """
    return {str(name): WAYS.get(str(way), cast(Way, way)) for name, way in said.items()}


def merged_places(text: str) -> tuple[str, tuple[int, ...]]:
    """The feature and the bins, counted from 0, of a text such as ``bank.age:2-4,6``; ConfigError where it is none.

    >>> merged_places("bank.age:2-4,6")
    ('bank.age', (1, 2, 3, 5))
    """
    name, colon, said = text.rpartition(":")
    parts = [re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", p) for p in said.split(",")]
    if not colon or not name or not all(parts):
        raise ConfigError(
            f"edit: merge {text!r} is no feature with bins; write bank.age:2-4, or bank.sector:1,5 for categories"
        )
    places: set[int] = set()
    for part in parts:
        first = int(part[1])  # type: ignore[index]
        places |= set(range(first, int(part[2] or first) + 1))  # type: ignore[index]
    if len(places) < 2 or 0 in places:
        raise ConfigError(
            f"edit: merge {text!r} names no two bins; they are numbered from 1, see fedrisk card show"
        )
    return name.strip(), tuple(sorted(p - 1 for p in places))


@dataclass(frozen=True)
class Origin:
    """Where a feature of an edited card comes from.

    Attributes:
        place: of the feature among those of the released card.
        codes: code on the edited card of each code on the released one, (bins there,).
        changed: whether its curve is another one: bins were merged, or a shape was forced.
        way: 1 where its risk has to rise on the whole, -1 where to fall; 0 where no sign was forced.
        steps: whether that holds for every step.
    """

    place: int
    codes: Codes
    changed: bool = False
    way: int = 0
    steps: bool = False


Edited = list[tuple[Bins, Origin]]


def as_released(bins: Sequence[Bins]) -> Edited:
    """All features as they are."""
    return [(b, Origin(j, np.arange(b.size, dtype=np.int64))) for j, b in enumerate(bins)]


def edited_bins(features: Edited, edit: CardEdit) -> Edited:
    """The features after an edit; ConfigError where it names one that is not there, or asks what cannot be.

    features: as they are before it. Pairs are no features here; dropping them is looked after where they are made.
    """
    out = list(features)
    for text in edit.merge:
        name, places = merged_places(text)
        at = place_of(out, name)
        out[at] = _merged(*out[at], places)
    for steps, ways in ((True, edit.monotone), (False, edit.sign)):
        for name, way in ways.items():
            at = place_of(out, name)
            out[at] = _shaped(*out[at], way, steps=steps)
    names = {b.feature.name for b, _ in out}
    return _dropped(out, [name for name in edit.drop if name in names or " x " not in name])


def place_of(features: Edited, name: str) -> int:
    """Where the feature of that name is; ConfigError where it is not, with the name that was perhaps meant."""
    names = [b.feature.name for b, _ in features]
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    meant = f"; did you mean {near[0]}?" if near else "."
    raise ConfigError(f"edit: the card has no feature {name}{meant} See fedrisk card show for all of them")


def _merged(bins: Bins, origin: Origin, places: Sequence[int]) -> tuple[Bins, Origin]:
    name, kind = bins.feature.name, bins.feature.kind
    if kind not in ("number", "category"):
        raise ConfigError(f"edit: {name} is of kind {kind}, whose bins are not merged; drop it instead")
    if places[-1] >= bins.levels:
        raise ConfigError(
            f"edit: {name} has {bins.levels} bins of values; special codes, missing and unknown enterprises keep "
            "levels of their own"
        )
    if len(places) == bins.levels:
        raise ConfigError(f"edit: {name} would have one bin left, which says nothing; drop it instead")
    merge = _merged_categories if kind == "category" else _merged_edges
    made, codes = merge(bins, places)
    return made, replace(origin, codes=codes[origin.codes], changed=True)


def _merged_edges(bins: Bins, places: Sequence[int]) -> tuple[Bins, Codes]:
    first, last = places[0], places[-1]
    if last - first + 1 != len(places):
        raise ConfigError(f"edit: {bins.feature.name} is a number; only bins beside each other become one")
    edges = (*bins.edges[:first], *bins.edges[last:])
    feature = bins.feature if bins.feature.bins is None else bins.feature.with_bins(edges)
    codes = np.arange(bins.size, dtype=np.int64)
    codes = np.where(codes > first, np.maximum(codes - (last - first), first), codes)
    return replace(bins, feature=feature, edges=edges), codes


def _merged_categories(bins: Bins, places: Sequence[int]) -> tuple[Bins, Codes]:
    texts, other = bins.category_texts(), len(bins.categories)
    if places[-1] == other:
        # What is no category of the card any more falls into "other" by itself.
        left = [k for k in range(other) if k not in places]
        same = tuple(pair for pair in bins.same if pair[1] in {bins.categories[k] for k in left})
        order, target = [*left, other], other
    else:
        gone, target = places[1:], places[0]
        kept = bins.categories[target]
        left = [k for k in range(other) if k not in gone]
        moved = {text for k in gone for text in texts[k]}
        same = (*(p for p in bins.same if p[0] not in moved), *((t, kept) for k in gone for t in texts[k]))
        order = [*left, other]
    at = {k: n for n, k in enumerate(order)}
    codes = np.array([at[target if k in places else k] for k in range(bins.levels)], dtype=np.int64)
    behind = np.arange(bins.size - bins.levels, dtype=np.int64) + len(order)
    made = replace(bins, categories=tuple(bins.categories[k] for k in left), same=same)
    return made, np.concatenate([codes, behind])


def _shaped(bins: Bins, origin: Origin, way: Way, *, steps: bool) -> tuple[Bins, Origin]:
    if bins.ordered < 2:
        raise ConfigError(
            f"edit: {bins.feature.name} has no bins in an order, and so neither a sign nor a shape; merge bins instead"
        )
    up = way == "rising"
    if steps:
        feature = replace(bins.feature, monotone="increasing" if up else "decreasing", direction=None)
        bins = replace(bins, feature=feature)
    elif bins.feature.monotone is not None:
        raise ConfigError(f"edit: {bins.feature.name} is monotone already, by its dictionary or an edit")
    return bins, replace(origin, changed=origin.changed or steps, way=1 if up else -1, steps=steps)


def _dropped(features: Edited, names: Sequence[str]) -> Edited:
    gone = set()
    for name in names:
        at = place_of(features, name)
        if not features[at][0].feature.is_column:
            raise ConfigError(
                f"edit: {name} says whether the holder knows an enterprise; drop the holder's columns instead"
            )
        gone.add(at)
    left = [f for k, f in enumerate(features) if k not in gone]
    holding = {b.feature.institution for b, _ in left if b.feature.is_column}
    left = [(b, o) for b, o in left if b.feature.institution in holding]
    if not left:
        raise ConfigError("edit: no column would be left on the card; keep one")
    return left


def _texts(said: object) -> tuple[str, ...]:
    if isinstance(said, str) or not isinstance(said, Sequence) or any(not isinstance(t, str) for t in said):
        raise TypeError
    return tuple(said)


def _number(name: str, said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise ConfigError(f"edit: {name} is {said!r}, must be a number")
    return float(said)
