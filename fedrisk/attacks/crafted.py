"""Totals by which a lying hub makes a scorecard that tells bins: what a bank and a hub that collude can do at most.

Members take no card that does not follow from the totals, so the liars invent totals: default counts whose curves come
out as the points they want, and a Gram matrix that says that no two columns have anything in common. Noise and
the members' smoothing are in the way; a few rounds of correction make up for most of it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import listed
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.knowledge import GramMatrix
from fedrisk.models.label_counts import LabelCounts, with_known
from fedrisk.models.scorecard import FACTOR
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard import delivery
from fedrisk.recipes.scorecard.fitting import fit_card
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.server.noisy_sums import NoisySums
from fedrisk.study_members import BANK

RATE, ROUNDS = 0.12, 8

Floats = NDArray[np.float64]
Targets = Callable[[Sequence[Bins]], list[Floats]]
"""Of columns' bins, the points wished for in each bin of known enterprises."""


@dataclass
class Loot:
    """What the bank has afterwards: bins and ids of its list, and what it opened for each, before any scaling."""

    bins: list[Bins] = field(default_factory=list)
    ids: NDArray[Any] = field(default_factory=lambda: np.empty(0, object))
    external: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@contextmanager
def opening() -> Iterator[Loot]:
    """A bank that keeps what it opens; yields it."""
    loot, opened = Loot(), delivery._external

    def kept(attempt: Attempt, request: Payload, rows: int) -> NDArray[np.int64] | None:
        out = opened(attempt, request, rows)
        if out is not None:
            loot.ids, loot.external = attempt.read().ids[listed(attempt, attempt.name)], out
        return out

    with patch.object(delivery, "_external", kept):
        yield loot


@contextmanager
def lying(targets: Targets) -> Iterator[Loot]:
    """A hub that tells invented totals, and a bank that keeps what it opens; yields their loot."""
    total = NoisySums.total

    def told(
        self: NoisySums,
        release: Release,
        answers: Mapping[str, Payload],
        about: Mapping[str, Any] | None = None,
    ) -> ReleasedSums:
        out = total(self, release, answers, about)
        if release.name == "counts" and about is not None:
            loot.bins = [Bins.from_dict(b) for b in about["bins"]]
            return replace(out, blocks=invented(out, loot.bins, targets))
        if release.name == "gram":
            return replace(out, blocks=tuple(replace(b, total=np.zeros_like(b.total)) for b in out.blocks))
        return out

    with patch.object(NoisySums, "total", told), opening() as loot:
        yield loot


def one_column(name: str) -> Targets:
    """Points that leave wide gaps between the bins of one column; the others' points differ by as little as counts."""

    def targets(columns: Sequence[Bins]) -> list[Floats]:
        out = []
        for c in columns:
            steps = np.arange(c.known, dtype=float)
            out.append(22 * steps if c.feature.column == name else 3 * (steps % 2))
        return out

    return targets


def digits(columns: Sequence[Bins]) -> list[Floats]:
    """Points that are the digits of one number which names all bins of the holders together."""
    out, place = [], 1
    for c in columns:
        steps = np.zeros(c.known)
        if c.feature.institution != BANK:
            # No further than a column's points may go; digits overlap from there on.
            steps = np.minimum(place * np.arange(c.known, dtype=float), 170)
            place *= c.known
        out.append(steps)
    return out


def invented(out: ReleasedSums, bins: Sequence[Bins], targets: Targets) -> tuple[ReleasedBlock, ...]:
    """Blocks of label counts from which points near the targets follow."""
    columns = [b for b in bins if b.feature.is_column]
    wanted = [np.asarray(t, float) for t in targets(columns)]
    variance = {b.name: b.variance for b in out.blocks}
    noise = np.array([variance[c.feature.institution] for c in columns])
    rows = float(out.blocks[0].total[: columns[0].size].sum())
    shifts = [-(t - t.mean()) / FACTOR for t in wanted]
    least = math.inf
    best: tuple[list[Floats], list[Floats]] = ([], [])
    for _ in range(ROUNDS):
        made = [_counts(c, s, rows) for c, s in zip(columns, shifts, strict=True)]
        n1, n0 = [m[0] for m in made], [m[1] for m in made]
        points = _points(bins, LabelCounts(tuple(n1), tuple(n0), noise), noise)
        missed = [(t - t.mean()) - (p - p.mean()) for t, p in zip(wanted, points, strict=True)]
        worst = max(float(np.abs(m).max()) for m in missed)
        if worst < least:
            least, best = worst, (n1, n0)
        shifts = [s - 0.7 * m / FACTOR for s, m in zip(shifts, missed, strict=True)]
    own = {b.name: [j for j, c in enumerate(columns) if c.feature.institution == b.name] for b in out.blocks}
    told = {
        n: np.concatenate([np.stack([best[0][j], best[1][j]], 1) for j in places])
        for n, places in own.items()
    }
    return tuple(replace(b, total=told[b.name]) for b in out.blocks)


def _counts(column: Bins, shift: Floats, rows: float) -> tuple[Floats, Floats]:
    size, inside = column.size, column.known
    weight = np.full(size, rows * (0.8 if column.unknown else 1.0) / inside)
    if column.unknown:
        weight[-1] = rows * 0.2
    odds = np.ones(size)
    odds[:inside] = np.exp(shift)
    positive = np.minimum(weight * RATE * odds, weight)
    return positive, weight - positive


def _points(bins: Sequence[Bins], counts: LabelCounts, noise: Floats) -> list[Floats]:
    """Points of known enterprises, by column, of the card that members would work out."""
    curves = fit_curves(with_known(counts, bins), bins)
    bases = shape_bases(curves)
    size = sum(b.shape[1] for b in bases)
    gram = GramMatrix(np.zeros((size, size)), np.full((size, size), noise.max()))
    card = fit_card("crafted", bins, counts, gram, bases)
    return [
        np.array(p[: b.known], float) for b, p in zip(bins, card.points, strict=True) if b.feature.is_column
    ]


def bits(*parts: NDArray[Any]) -> float:
    """Entropy of what several columns say together, in bits."""
    _, counts = np.unique(np.stack(parts, 1), axis=0, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def codes_of(
    loot: Loot, tables: Mapping[str, pd.DataFrame], id_column: str = "id"
) -> dict[tuple[str, str], NDArray[np.int64]]:
    """The truth: bins of each holder's column for each of the bank's list, by institution and column."""
    return codes_in(loot.bins, loot.ids, tables, id_column)


def codes_in(
    bins: Sequence[Bins], ids: NDArray[Any], tables: Mapping[str, pd.DataFrame], id_column: str = "id"
) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Bins of each holder's column for enterprises by their ids, by institution and column."""
    found = {}
    for b in bins:
        name = b.feature.institution
        if name == BANK or not b.feature.is_column:
            continue
        table = tables[name].drop_duplicates(id_column)
        places = pd.Index(table[id_column].astype(str)).get_indexer(pd.Index(ids.astype(str)))
        codes = np.full(len(ids), b.size - 1)
        codes[places >= 0] = b.codes(table[b.feature.column].iloc[places[places >= 0]])
        found[name, b.feature.column] = codes
    return found


def guessed(seen: NDArray[Any], truth: NDArray[Any]) -> float:
    """Share of enterprises whose code is guessed right from what was seen, by whoever knows the joint distribution."""
    right = sum(np.unique(truth[seen == v], return_counts=True)[1].max() for v in np.unique(seen))
    return float(right) / len(truth)
