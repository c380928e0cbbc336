"""Memory: what earlier studies released, combined with a study's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.estimator import Curves, LabelCounts
from fedrisk.models.knowledge import GramMatrix, PastStudy

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Break:
    """A change: study, place in the memory; feature, place among the columns, None for the default rate."""

    study: int
    feature: int | None


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Counts as they are known after this study, at the scale of its own.

    counts: of the columns, with the variance that noise and change since leave. weights: by feature, the share of each
    earlier study in them, (studies,) each, oldest first; what is left is the study's own share.
    """

    counts: LabelCounts
    weights: tuple[Floats, ...] = ()
    gain: float = 1.0
    breaks: tuple[Break, ...] = ()


def remember_counts(memory: Sequence[PastStudy], bins: Sequence[Bins], counts: LabelCounts) -> Remembered:
    """A study's own label counts with those of earlier studies.

    memory: oldest first. bins: of this study's features. counts: of its columns, without features "known".
    """
    return Remembered(counts=counts, weights=tuple(np.zeros(len(memory)) for _ in counts.n1))


def smoothed(memory: Sequence[PastStudy], place: int) -> Remembered:
    """An earlier study's counts with those of all others, before it and after it. place: of the study in memory."""
    return remember_counts((), memory[place].bins, memory[place].counts)


def remember_gram(
    memory: Sequence[PastStudy],
    bins: Sequence[Bins],
    bases: Sequence[Floats],
    curves: Curves,
    second: GramMatrix | None,
) -> GramMatrix | None:
    """A study's Gram matrix with those of earlier studies, in its own shape columns; None where there is none at all.

    second: this study's own, None where it counted again instead.
    """
    return second
