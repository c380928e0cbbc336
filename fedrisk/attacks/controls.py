"""Negative controls: a protection switched off, in this process alone and only while the block lasts.

An attack that does not succeed then would say nothing of the product. Nothing outside this package may import this
module.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fedrisk.clients import outlet
from fedrisk.models.given_points import GivenPoints
from fedrisk.recipes.scorecard import score_grid, scoring


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[Any]:
    """``owner.name`` is ``new`` while the block lasts; what it was before."""
    before = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield before
    finally:
        setattr(owner, name, before)


@contextmanager
def without_noise() -> Iterator[None]:
    """Institutions add no noise to what they release, and charge for it as if they did."""

    def nothing(sigma: float, shape: tuple[int, ...], **_: Any) -> Any:
        return np.zeros(math.prod(shape), np.int64).reshape(shape)

    with replaced(outlet, "discrete_gaussian", nothing):
        yield


@contextmanager
def unbounded_points() -> Iterator[None]:
    """Holders give every sum of their points as it is: no bands, and no limit of values (``policy.score_values``)."""

    def as_it_is(attempt: Any, card: Any, one: Any, weights: Any = None) -> GivenPoints:
        return GivenPoints.grid(*score_grid.spans_of(card, one)[attempt.role], step=1)

    with replaced(score_grid, "given_points", as_it_is), replaced(scoring, "given_points", as_it_is):
        yield
