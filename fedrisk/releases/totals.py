"""The totals of a release as hub and members read them: the same shapes, the same meaning, checked alike.

The hub adds up what the contributors sent, and tells the totals to all members: whatever follows from released numbers
each member works out itself, by the same code, from the same totals.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ProtocolError
from fedrisk.releases.budget import NOISE_REACH
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.releases.release import Release

Floats = NDArray[np.float64]


def combined(release: Release, sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """Totals by block; the block of all rows beside one of positives becomes negatives in a second column."""
    out = dict(sums)
    for block in release.blocks:
        if block.with_noise_of is not None:
            # All rows less those with a default leave those without.
            positives = out[block.with_noise_of]
            out[block.with_noise_of] = np.concatenate([positives, out.pop(block.name) - positives], 1)
    return out


def total_shapes(release: Release) -> dict[str, tuple[int, ...]]:
    """Shapes of the totals by block."""
    shapes = {b.name: b.shape for b in release.blocks}
    for block in release.blocks:
        if block.with_noise_of is not None:
            del shapes[block.name]
            shapes[block.with_noise_of] = (block.shape[0], 2)
    return shapes


def released_sums(
    release: Release,
    totals: Mapping[str, Floats],
    spends: Sequence[Mapping[str, Any]] = (),
    about: Mapping[str, Any] | None = None,
) -> ReleasedSums:
    """Totals with the variance of their noise."""
    blocks = tuple(
        ReleasedBlock(
            name=b.name, left=b.left, right=b.right, total=totals[b.name], variance=release.variance(b.name)
        )
        for b in release.blocks
        if b.name in totals
    )
    return ReleasedSums(
        name=release.name,
        population=release.population,
        mu=release.mu,
        blocks=blocks,
        spends=tuple(spends),
        about=about or {},
    )


def checked_totals(
    release: Release, told: Mapping[str, Any], largest: float, *, signed: bool
) -> ReleasedSums:
    """Totals that the hub told, once shapes and ranges are those that the release can have.

    largest: most that all rows together add to a number. signed: whether they may add less than zero.
    ProtocolError where a total is missing, of another shape, not finite, or beyond what rows and noise can make.
    """
    shapes = total_shapes(release)
    if set(told) != set(shapes):
        raise _impossible(release)
    for name, shape in shapes.items():
        total = told[name]
        # Negatives are a difference of two noisy numbers.
        reach = 2 * NOISE_REACH * math.sqrt(release.variance(name)) + 1
        if not isinstance(total, np.ndarray) or total.dtype != np.float64 or total.shape != shape:
            raise _impossible(release)
        low = -largest if signed else 0.0
        if not np.isfinite(total).all() or (
            total.size and not low - reach <= total.min() <= total.max() <= largest + reach
        ):
            raise _impossible(release)
    return released_sums(release, dict(told))


def _impossible(release: Release) -> ProtocolError:
    return ProtocolError(
        f"the hub tells totals of release {release.name} that its rows and noise cannot have; nothing is computed "
        "from them. Ask the consortium's operator"
    )
