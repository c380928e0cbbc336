"""A scorecard study in the space of sums: releases drawn as the plan makes them, and the product's own estimator.

Nobody's rows are in it. The sums come from a world (models/worlds), noise has the variance that each release states,
and the card is fitted by the code that hub and members run (recipes/scorecard/fitting). What is left out is what leaves
the order of scores as it is, or nearly so: the rounding of noise to integers, the calibration histogram, and the noise
of bin edges. Pairs of columns are left out too: a world has none, so of a study that asks for them (scorecard.pairs)
what is expected is the card beside them, at nine tenths of the budget.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import label_counts, own_pairs, sizes_of
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.shape_rows import shape_rows
from fedrisk.models.worlds import World
from fedrisk.recipes.scorecard.fitting import Facts, Second, card_from, second_release
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.releases.totals import released_sums, total_shapes

Floats = NDArray[np.float64]


def simulated_card(facts: Facts, world: World, rng: np.random.Generator) -> Scorecard:
    """The card of one simulated study, not calibrated. facts: rows as expected."""
    bins = world.bins
    rows = world.rows(facts.labelled, rng)
    sums = [(b, c) for b, c in zip(bins, world.counts(rows), strict=True) if b.feature.is_column]
    sizes = sizes_of(bins, facts.study.roles)
    counts = label_counts(_counted(facts.counts(bins), sums, rng), sizes)
    second = second_release(facts, bins, counts, facts.curves(bins, counts))
    if second.chosen is None:
        released = _gram(facts, second, world, rows, rng)
    else:
        own = {role: [s for s in sums if s[0].feature.institution == role] for role in second.chosen}
        released = _counted(
            second.release, [own[r][j] for r, picked in second.chosen.items() for j in picked], rng
        )
    return card_from(facts, bins, counts, second, released)


def noisy(release: Release, exact: Mapping[str, Floats], rng: np.random.Generator) -> ReleasedSums:
    """Totals of a release: exact sums and noise of the stated variance."""
    totals = {}
    for name in total_shapes(release):
        value = np.asarray(exact[name], dtype=np.float64)
        totals[name] = value + rng.normal(0, 1, value.shape) * np.sqrt(release.variance(name))
    return released_sums(release, totals)


def _counted(release: Release, sums: Sequence[tuple[Bins, Floats]], rng: np.random.Generator) -> ReleasedSums:
    """Noisy label counts; sums: of the counted columns, roles in order."""
    exact: dict[str, list[Floats]] = {}
    for b, count in sums:
        exact.setdefault(b.feature.institution, []).append(count)
    return noisy(release, {role: np.concatenate(parts) for role, parts in exact.items()}, rng)


def _gram(facts: Facts, second: Second, world: World, rows: Floats, rng: np.random.Generator) -> ReleasedSums:
    owner = [b.feature.institution for b in world.bins]
    weight = rows.sum(0) * (facts.sampled / max(rows.sum(), 1.0))
    shapes, owners = {}, {}
    for role in facts.study.roles:
        places = [j for j, o in enumerate(owner) if o == role]
        if not places:
            continue
        bits = second.release.scale_bits // 2
        codes = [world.codes[j] for j in places]
        units = shape_rows(codes, [second.bases[j] for j in places], second.radii[role], bits)
        shapes[role] = units / 2.0**bits
        owners[role] = [j for j in places for _ in range(second.bases[j].shape[1])]
    exact = {}
    for block in second.release.blocks:
        full = (shapes[block.left].T * weight) @ shapes[block.right]
        if block.left == block.right:
            i, j = own_pairs(owners[block.left])
            full = full[list(i), list(j)]
        exact[block.name] = full
    return noisy(second.release, exact, rng)
