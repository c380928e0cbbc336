"""Pairs on a scorecard: features of kind "pair", whose bins are the cells of two columns of one institution.

A pair's code is that of its left column times the number of the right one's bins plus the right one's; the last is that
of enterprises which a holder does not know, and has no points. So the points of a pair are added up like those of any
feature, and belong to the part of the institution that has both columns. Pairs stand behind all other features of a
card. What they add to its moments comes from rows that were drawn for their design (`fedrisk.models.pairs`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import pair_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.pairs import Pair, PairDesign
from fedrisk.models.point_errors import point_errors
from fedrisk.models.scorecard import FACTOR, MOST_POINTS, Scorecard, whole_points
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
Codes = NDArray[Any]

TIED_ROWS = 100_000
"""Rows that are drawn for the sums of columns that pairs tie together."""


@lru_cache(maxsize=200)
def pair_bins(left: Bins, right: Bins) -> Bins:
    """The cells of two columns of one institution as bins: (bins of left) x (bins of right), row by row."""
    cells = [f"{a} | {b}" for a in left.labels() for b in right.labels()]
    institution = left.feature.institution
    unknown = institution != BANK
    feature = pair_feature(institution, left.feature.column, right.feature.column)
    return Bins(feature, categories=tuple(cells[:-1] if unknown else cells), unknown=unknown)


def with_pairs(
    card: Scorecard,
    designs: Mapping[str, PairDesign],
    kept: Mapping[str, Sequence[Pair]],
    rounded: Sequence[Sequence[int]] | None = None,
) -> Scorecard:
    """The card, not calibrated yet, with the pairs that were kept.

    Args:
        card: without pairs.
        designs: by role.
        kept: by role, of the same designs.
        rounded: points of all features as another machine rounded them, the pairs' last; ConfigError where they are not
            within rounding of those here.
    """
    pairs = [(role, pair) for role, found in kept.items() for pair in found]
    if not pairs:
        return card
    bins = [pair_bins(card.bins[p.left], card.bins[p.right]) for _, p in pairs]
    tables = [p.table.ravel() for _, p in pairs]
    points = whole_points(
        [np.clip(-FACTOR * t, -MOST_POINTS, MOST_POINTS) for t in tables],
        None if rounded is None else rounded[len(card.bins) :],
    )
    units = [np.abs(designs[role].tables[p.place]).ravel() * p.error for role, p in pairs]
    means = [float(designs[role].mean[p.place]) * p.weight for role, p in pairs]
    errors = None if card.errors is None else (*card.errors, *point_errors(units, FACTOR))
    moments = {role: pair_moments(designs[role], found) for role, found in kept.items() if found}
    spread = {role: variance for role, (variance, _) in moments.items()}
    return replace(
        card,
        bins=(*card.bins, *bins),
        points=(*card.points, *(tuple(int(v) for v in p) for p in points)),
        averages=(*card.averages, *(-FACTOR * m for m in means)),
        intercept=card.intercept + sum(means),
        sd=math.sqrt(card.sd**2 + FACTOR**2 * sum(spread.values())),
        gap=card.gap + FACTOR * sum(gap for _, gap in moments.values()),
        partial_sd={
            name: math.sqrt(sd**2 + FACTOR**2 * spread.get(name, 0.0)) for name, sd in card.partial_sd.items()
        },
        errors=errors,
        # One parameter for each pair.
        flattery=card.flattery + len(pairs),
    )


def pair_moments(design: PairDesign, kept: Sequence[Pair]) -> tuple[float, float]:
    """Of the sum of an institution's pairs: its variance, and its mean among defaults less that of others; log-odds.

    As products have no part of any curve, they go with nothing else that is in a score.
    """
    places, weight = [p.place for p in kept], np.array([p.weight for p in kept])
    among = np.ix_(places, places)
    variance = float(weight @ design.moments[among] @ weight - (weight @ design.mean[places]) ** 2)
    return max(variance, 0.0), float(weight @ design.information[among] @ weight) / max(design.defaults, 1.0)


def pairs_of(bins: Sequence[Bins], institution: str) -> list[tuple[int, int, int]]:
    """Each pair of an institution: its position among the bins, and the positions of its columns.

    ConfigError where a column is not there, or cells are not those of the columns.
    """
    found = []
    place = _columns_of(bins, institution)
    for j, b in enumerate(bins):
        if b.feature.institution != institution or b.feature.kind != "pair":
            continue
        left, right = (place.get(str(c)) for c in b.feature.bins or ())
        if left is None or right is None or b != pair_bins(bins[left], bins[right]):
            raise ConfigError(f"{b.feature.name}: its cells are not those of two columns of the scorecard")
        found.append((j, left, right))
    return found


def most_points(bins: Sequence[Bins], points: Sequence[Sequence[int]]) -> int:
    """Most points that one of an institution's features gives or takes; a column with all pairs that it is in.

    bins, points: of all of its features; ConfigError where a pair's cells are not those of two of its columns.
    """
    low = {j: np.asarray(p, np.int64) for j, p in enumerate(points) if bins[j].feature.kind != "pair"}
    high = dict(low)
    for j, left, right in pairs_of(bins, bins[0].feature.institution):
        cells = np.asarray(points[j], np.int64).reshape(bins[left].size, -1)
        for place, axis in ((left, 1), (right, 0)):
            low[place], high[place] = low[place] + cells.min(axis), high[place] + cells.max(axis)
    return max(int(np.abs(p).max()) for p in (*low.values(), *high.values()))


def with_pair_codes(card: Scorecard, institution: str, codes: Codes) -> Codes:
    """Codes of all features of an institution, (n, features), from those without pairs, in the card's order."""
    pairs = pairs_of(card.bins, institution)
    if not pairs:
        return codes
    own = card.features_of(institution)
    columns = [
        codes[:, own.index(left)].astype(np.int64) * card.bins[right].size + codes[:, own.index(right)]
        for _, left, right in pairs
    ]
    kind = np.uint16 if any(card.bins[j].size > 256 for j, _, _ in pairs) else codes.dtype
    return np.concatenate([codes.astype(kind), np.stack(columns, 1).astype(kind)], axis=1)


def tied_features(
    card: Scorecard, places: Sequence[int], weights: Sequence[Floats]
) -> tuple[list[Sequence[int]], list[Floats]]:
    """Points and shares of a holder's features as if columns were independent, in order, those tied by pairs first.

    A pair's cell is that of its columns: as if it were independent of them, a band of hardly anybody would seem one of
    many. So columns that pairs tie together, and these, become one feature: its bins are the sums of their points, in
    rows that are drawn, and last that of unknown enterprises.

    Args:
        places: features of the card whose points count; a pair's columns need not be among them.
        weights: enterprises by bin of all features without pairs, in the card's order.
    """
    pairs: dict[int, tuple[int, int]] = {}
    if any(card.bins[j].feature.kind == "pair" for j in places):
        found = pairs_of(card.bins, card.bins[places[0]].feature.institution)
        pairs = {j: (left, right) for j, left, right in found if j in places}
    groups: list[set[int]] = []
    for j, ends in pairs.items():
        near = [g for g in groups if g & set(ends)]
        groups = [*(g for g in groups if g not in near), {j, *ends}.union(*near)]
    tied = [_tied(card, sorted(g), pairs, places, weights) for g in groups]
    alone = [j for j in places if not any(j in g for g in groups)]
    return (
        [*(points for points, _ in tied), *(card.points[j] for j in alone)],
        [*(shares for _, shares in tied), *(weights[j] for j in alone)],
    )


def _tied(
    card: Scorecard,
    group: Sequence[int],
    pairs: Mapping[int, tuple[int, int]],
    places: Sequence[int],
    weights: Sequence[Floats],
) -> tuple[tuple[int, ...], Floats]:
    rng, codes, gone = np.random.default_rng(0), dict[int, NDArray[np.int64]](), 0.0
    for j in group:
        if j in pairs:
            left, right = pairs[j]
            codes[j] = codes[left] * card.bins[right].size + codes[right]
        else:
            share = np.maximum(np.asarray(weights[j], float), 0.0)
            gone, inside = float(share[-1] / share.sum()), np.cumsum(share[:-1]) / share[:-1].sum()
            codes[j] = np.searchsorted(inside[:-1], rng.random(TIED_ROWS), side="right")
    counted = [np.asarray(card.points[j], np.int64) for j in group if j in places]
    drawn = sum(p[codes[j]] for p, j in zip(counted, (j for j in group if j in places), strict=True))
    sums, rows = np.unique(drawn, return_counts=True)
    shares = np.append(rows / TIED_ROWS * (1 - gone), gone)
    return (*(int(v) for v in sums), int(sum(p[-1] for p in counted))), shares


def bin_shares(card: Scorecard, weights: Sequence[Floats]) -> list[Floats]:
    """Share of the enterprises in each bin of all features: of pairs as if their columns were independent.

    weights: of all features without pairs, in the card's order.
    """
    out: list[Floats] = list(weights)
    for b in card.bins[len(out) :]:
        place = _columns_of(card.bins, b.feature.institution)
        left, right = (place[str(c)] for c in b.feature.bins or ())
        a, c = (np.asarray(weights[k], float) / np.sum(weights[k]) for k in (left, right))
        if not b.unknown:
            out.append(np.outer(a, c).ravel())
            continue
        # What a holder does not know it does not know in both columns.
        inside = np.outer(a[:-1], c[:-1]) * (1 - a[-1]) / max(float(np.outer(a[:-1], c[:-1]).sum()), 1e-12)
        cells = np.zeros((len(a), len(c)))
        cells[:-1, :-1], cells[-1, -1] = inside, a[-1]
        out.append(cells.ravel())
    return out


def _columns_of(bins: Sequence[Bins], institution: str) -> dict[str, int]:
    """Position of each of an institution's columns."""
    features = [(j, b.feature) for j, b in enumerate(bins)]
    return {f.column: j for j, f in features if f.is_column and f.institution == institution}
