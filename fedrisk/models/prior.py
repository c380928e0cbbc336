"""Curves of risk that are known before a study: from another study's card, another region, or a generic library.

A known curve is the mean of a prior, not a constraint: the fitted curve is a share of the known one plus a random walk,
and the share is chosen by the evidence of the study's own counts, so that a wrong one loses its weight
(models/smoothing).

Two kinds of curve are known of a feature. The *marginal* one says how the rate of default runs over the feature by
itself; label counts give it. The *joint* one is the feature's part of a card, next to all others; a card has nothing
else, so that there it stands for the marginal one too, whose size the share finds.

A feature of this study finds its known curve by what it means: institution and column of the same name first, then a
column of the same name, and kind, at an institution of the same role, if only one is called so. Stated directions may
not contradict one another. A curve is brought to other bins by value, over the feature's grid; special codes go by
their meaning, categories by their name, missing to missing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import LOG_DECADES, Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves
from fedrisk.models.label_counts import LabelCounts, with_known
from fedrisk.models.scorecard import Scorecard
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

VERSION = 1
"""Of the stored form."""

MOST_SHIFT = 10.0
"""Largest log-odds shift of a known curve, either way."""

MOST_CURVES = 10_000
"""Most features of a prior."""

GENERIC = "generic_prior.json"
"""The library of generic priors, beside this module; its ``source`` says where it comes from."""


@dataclass(frozen=True, kw_only=True)
class PriorCurve:
    """One feature's known curve: log-odds shifts of default about the feature's mean.

    bins: of the feature where the curve comes from, by which it is matched. shift: of the feature by itself, by bin of
    these, (bins.size,). joint: its part of a card, likewise; empty where no card is known.
    """

    bins: Bins
    shift: tuple[float, ...]
    joint: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        name = self.bins.feature.name
        if len(self.shift) != self.bins.size or len(self.joint) not in (0, self.bins.size):
            raise ConfigError(
                f"prior: the curve of {name} does not have one number per bin; make the file again"
            )
        if not all(math.isfinite(v) and abs(v) <= MOST_SHIFT for v in (*self.shift, *self.joint)):
            raise ConfigError(
                f"prior: the curve of {name} has a number that is not between -{MOST_SHIFT:g} and {MOST_SHIFT:g}; "
                "make the file again"
            )


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Known curves. source: where they come from, as people read it. digest: SHA-256 of source and curves, hexadecimal.

    ConfigError where a digest is given that is another one.
    """

    source: str
    curves: tuple[PriorCurve, ...] = field(default=())
    digest: str = ""

    def __post_init__(self) -> None:
        own = self._digest()
        if self.digest not in ("", own):
            raise ConfigError("prior: the digest is not that of its curves; get the file again")
        object.__setattr__(self, "digest", own)

    @classmethod
    def from_card(cls, card: Scorecard, source: str | None = None) -> Prior:
        """The curves of another study's scorecard, from its points: parts of a card. Pairs are not taken over."""
        curves = []
        for b, points, average in zip(card.bins, card.points, card.averages, strict=True):
            if b.feature.kind == "pair":
                continue
            shift = _within((average - np.asarray(points, dtype=np.float64)) / card.scale.factor)
            curves.append(PriorCurve(bins=b, shift=shift, joint=shift))
        return cls(source=source or f"scorecard of study {card.study}", curves=tuple(curves))

    @classmethod
    def from_sums(
        cls,
        bins: Sequence[Bins],
        counts: LabelCounts,
        source: str = "label counts of another study",
        card: Scorecard | None = None,
    ) -> Prior:
        """The curves of another study's label counts, which are marginal ones; with its card also the joint ones.

        bins: of all features, or of columns alone. counts: of the columns. card: fitted to the same sums.
        """
        columns = [b for b in bins if b.feature.is_column]
        full = with_known(counts, bins) if len(columns) < len(bins) else counts
        shifts = [_within(c) for c in fit_curves(full, bins).curve]
        parts = {} if card is None else {c.bins: c.joint for c in cls.from_card(card).curves}
        curves = [
            PriorCurve(bins=b, shift=s, joint=parts.get(b, ())) for b, s in zip(bins, shifts, strict=True)
        ]
        return cls(source=source, curves=tuple(curves))

    @classmethod
    def generic(cls) -> Prior:
        """The library that ships. It comes from simulated provinces, not from real data; ``source`` says so."""
        text = resources.files("fedrisk.models").joinpath(GENERIC).read_text(encoding="utf-8")
        return cls.from_dict(json.loads(text))

    def on(self, bins: Sequence[Bins]) -> tuple[Floats | None, ...]:
        """The known marginal curve of every feature on its bins, (bins.size,) each; None where none is known."""
        return tuple(None if c is None else moved(c.bins, c.shift, b) for b, c in self._matched(bins))

    def joint_on(self, bins: Sequence[Bins]) -> tuple[Floats | None, ...]:
        """The known part of a card of every feature on its bins, (bins.size,) each; None where none is known."""
        return tuple(
            None if c is None or not c.joint else moved(c.bins, c.joint, b) for b, c in self._matched(bins)
        )

    def matched(self, bins: Sequence[Bins]) -> tuple[str | None, ...]:
        """By which feature of the prior every feature is known: its name there; None where by none."""
        return tuple(None if c is None else c.bins.feature.name for _, c in self._matched(bins))

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        curves = [
            {"bins": c.bins.to_dict(), "shift": list(c.shift), "joint": list(c.joint)} for c in self.curves
        ]
        return {"version": VERSION, "source": self.source, "digest": self.digest, "curves": curves}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Prior:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: it is not of this form, or its digest is another one.
        """
        try:
            if set(data) != {"version", "source", "digest", "curves"} or len(data["curves"]) > MOST_CURVES:
                raise ConfigError(
                    "prior: the file is not a file of known curves; name one that fedrisk wrote"
                )
            if data["version"] != VERSION:
                raise ConfigError(
                    f"prior: format version is {data['version']!r}, this program reads {VERSION}; upgrade it"
                )
            curves = [
                PriorCurve(
                    bins=Bins.from_dict(c["bins"]),
                    shift=_numbers(c["shift"]),
                    joint=_numbers(c["joint"]),
                )
                for c in data["curves"]
            ]
            if not isinstance(data["source"], str) or not isinstance(data["digest"], str):
                raise TypeError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ConfigError("prior: the file of known curves is malformed; get it again") from None
        return cls(source=data["source"], curves=tuple(curves), digest=data["digest"])

    def _digest(self) -> str:
        content = [self.source, [[c.bins.to_dict(), c.shift, c.joint] for c in self.curves]]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def _matched(self, bins: Sequence[Bins]) -> list[tuple[Bins, PriorCurve | None]]:
        return [(b, self._find(b.feature)) for b in bins]

    def _find(self, feature: Feature) -> PriorCurve | None:
        """The curve of the same institution and column; else of the only column of this name at the same role."""
        rules: tuple[Callable[[Feature], bool], ...] = (
            lambda f: f.name == feature.name,
            lambda f: f.column == feature.column and (f.institution == BANK) == (feature.institution == BANK),
        )
        for rule in rules:
            found = [c for c in self.curves if rule(c.bins.feature) and alike(c.bins.feature, feature)]
            if len(found) == 1:
                return found[0]
        return None


def alike(one: Feature, other: Feature) -> bool:
    """Whether a curve of one feature can be one of the other's: same kind, and no contradicting direction.

    Numbers whose bounds do not meet are in other units. Units that both state are the same.
    """
    if one.kind != other.kind or one.leaning * other.leaning < 0:
        return False
    if None not in (one.unit, other.unit) and one.unit != other.unit:
        return False
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return max(one.low, other.low) < min(one.high, other.high)


def moved(there: Bins, shift: Sequence[float], here: Bins) -> Floats:
    """A curve on other bins of a feature that means the same, (here.size,).

    Between the middles of bins it is interpolated on the grid of the feature; beyond them it is flat. 0 for categories
    and special codes that are not known there, and for enterprises that the holder does not know.
    """
    f = np.asarray(shift, dtype=np.float64)
    out = np.zeros(here.size)
    if here.feature.kind == "category":
        names = {name: k for k, name in enumerate((*there.categories, None))}
        known = [(k, names[n]) for k, n in enumerate((*here.categories, None)) if n in names]
        for k, place in known:
            out[k] = f[place]
    elif here.ordered:
        scale = _scale(there.feature if there.feature.grid == "log" else here.feature)
        out[: here.ordered] = np.interp(_middles(here, scale), _middles(there, scale), f[: there.ordered])
    else:
        out[: here.levels] = f[: there.levels]
    meanings = {meaning: k for k, (_, meaning) in enumerate(there.feature.special)}
    for k, (_, meaning) in enumerate(here.feature.special):
        if meaning in meanings:
            out[here.levels + k] = f[there.levels + meanings[meaning]]
    if here.feature.missing and there.feature.missing:
        out[here.missing_place] = f[there.missing_place]
    if here.unknown and there.unknown and not here.feature.is_column:
        out[-1] = f[-1]
    return out


def _scale(feature: Feature) -> Callable[[Floats], Floats]:
    """From values to the feature's grid, on which bins are even."""
    if feature.grid != "log" or feature.low is None or feature.high is None:
        return lambda x: x
    unit = max(abs(feature.low), abs(feature.high)) / LOG_DECADES
    # Edges beyond all measure of the bounds are far, not infinite: nothing between two of those is a number.
    far = np.finfo(np.float64).max
    return lambda x: np.sign(x) * np.log1p(np.minimum(np.abs(x) / unit, far))


def _middles(bins: Bins, scale: Callable[[Floats], Floats]) -> Floats:
    """Middle of every ordered bin on a grid; the outer ones are as wide as their neighbours."""
    edges = scale(np.asarray(bins.edges, dtype=np.float64))
    if len(edges) == 0:
        return np.zeros(1)
    width = np.diff(edges) if len(edges) > 1 else np.ones(1)
    ends = np.r_[edges[0] - width[0], edges, edges[-1] + width[-1]]
    out: Floats = (ends[:-1] + ends[1:]) / 2
    return out


def _within(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in np.clip(values, -MOST_SHIFT, MOST_SHIFT))


def _numbers(values: object) -> tuple[float, ...]:
    """Plain numbers of a list; TypeError where it is none, or has others in it."""
    if not isinstance(values, list) or any(type(v) not in (int, float) for v in values):
        raise TypeError
    return tuple(float(v) for v in values)
