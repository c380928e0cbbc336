"""What institutions hand to the outlet, kept: exact parts and the noise that is added, and a run that repeats another.

A run may repeat the transcript of an earlier one: whatever its tables, each institution lets out the very numbers that
it let out then. So everything that follows from released numbers, bins, radii, cards and weights, is the same in both,
and what differs between their exact parts is what the changed record does to a release, given all earlier ones. For
that is what a price is for: it has to hold whatever was released before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.outlet import Noise
from fedrisk.errors import ProtocolError
from fedrisk.releases.release import Block, Release
from fedrisk.secure.ring import from_signed

Ring = NDArray[Any]
Place = tuple[str, str, str, int]
"""Institution, release, block, and which of the institution's draws for the block it is."""

Draw = Callable[[int, int], NDArray[Any]]
"""Numbers n and m -> n further draws of an institution's noise for m numbers of a block, (n, m), in ring units."""

Listener = Callable[[Place, Block, Draw], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One exact part, as elements of the ring, with what was let out in its place. noise: drawn for it, signed."""

    exact: Ring
    out: Ring
    noise: NDArray[Any] | None


@dataclass(kw_only=True)
class Heard:
    """All parts of a run, and the releases that they belong to."""

    parts: dict[Place, Part] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)


@contextmanager
def hearing(again: Heard | None = None, listener: Listener | None = None) -> Iterator[Heard]:
    """Keep what is handed to the outlet while the block lasts.

    again: a run whose transcript is repeated; ProtocolError where a release takes another form than it had there.
    listener: is given the sampler of each draw, as the outlet would use it, before it is used.
    """
    heard = Heard()

    def add(noise: Any, block: Block, exact: Ring, what: str | None = None) -> Ring:
        name, release = noise._attempt.name, noise._release
        place = (name, release.name, block.name, len(noise._drawn.get(block.name, ())))
        if listener is not None:
            listener(place, block, lambda n, m: _draws(noise, block, n, m))
        out = before(noise, block, exact, what)
        ring = release.ring_of(block)
        plain = np.asarray(exact).reshape(block.shape)
        inside = from_signed(plain, ring) if plain.dtype.kind == "i" else plain.astype(ring)
        drawn = noise._drawn[block.name][-1]
        if again is not None:
            _same_form(again, release)
            out = again.parts[place].out
        heard.releases[release.name] = release
        heard.parts[place] = Part(exact=inside, out=out, noise=drawn)
        return out

    before = Noise.add
    with patch.object(Noise, "add", add):
        yield heard


def _draws(noise: Any, block: Block, count: int, numbers: int) -> NDArray[Any]:
    """Further draws, by the outlet's own sampler; all numbers of a block have independent noise of one sigma."""
    drawn = noise._draw(replace(block, shape=(count, numbers)), block.name)
    return np.zeros((count, numbers)) if drawn is None else drawn


def _same_form(again: Heard, release: Release) -> None:
    if again.releases.get(release.name) != release:
        raise ProtocolError(
            f"release {release.name} takes another form once a record is changed, so that the two cannot be compared"
        )
