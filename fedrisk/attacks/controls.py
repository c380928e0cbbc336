"""Protections that are switched off, each for as long as its context lasts and in this process alone.

With one of them an attack has to succeed: otherwise it would have found nothing either where there was something to
find. Nothing outside of this package may use them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy.typing as npt
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.recipes.scorecard import node as scorecard_node
from fedrisk.secure.envelope import Context, open_sealed
from fedrisk.secure.identity import EphemeralKey, SignedKey
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask


@contextmanager
def without_pair_masks() -> Iterator[None]:
    """Parts of releases leave without the masks that cancel in their sum."""
    with patch.object(outlet, "_pair_mask", lambda attempt, release: lambda block, part: part):
        yield


@contextmanager
def reused_key_stream() -> Iterator[None]:
    """Two institutions have one secret for ever, and their masks are the same in every attempt: a pad used twice."""

    def reused(
        pair_secrets: dict[str, bytes], me: str, label: Label, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> NDArray[Any]:
        fixed = {name: bytes(32) for name in pair_secrets}
        return pair_mask(fixed, me, replace(label, study="", attempt=""), shape, dtype)

    with patch.object(outlet, "pair_mask", reused):
        yield


@contextmanager
def one_colluder_too_many(name: str) -> Iterator[dict[str, list[bytes]]]:
    """One institution hands the hub all masked matrices that it opens: yields them, by release and product."""
    handed: dict[str, list[bytes]] = {}

    def opened(own: EphemeralKey, peer: SignedKey, context: Context, envelope: bytes) -> Iterator[bytes]:
        if own.institution != name:
            return open_sealed(own, peer, context, envelope)
        blocks = list(open_sealed(own, peer, context, envelope))
        handed[context.release] = blocks
        return iter(blocks)

    with patch.object(scorecard_node, "open_sealed", opened):
        yield handed
