"""The scale of an operating health index: which share of the studied population scored lower, from released numbers.

An index of 63 says that 63 of 100 enterprises of the study's training rows had a lower score, that is a worse one. The
shares come from the calibration histogram of the study, which is released with noise, so that the scale costs no
privacy and every bank of the study works out the same one. Between the edges of the histogram the shares follow a
normal curve through both ends (linear in the probit), and beyond the outer edges the curve goes on as it came: scores
are sums of many columns, and nearly normal. Shares that fall by noise are pooled first (isotonic regression, Barlow et
al. 1972), so that a higher score never has a lower index.

The reference is fixed with the study: the same number means the same in every month, until a new study makes another
scale. A percentile says how an enterprise stands among others and nothing of how far apart they are.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtr, ndtri

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]

MOST_INDEX = 100
"""The healthiest. An index is a whole number from 0 to this, one of `INDEX_VALUES`."""

INDEX_VALUES = MOST_INDEX + 1
"""Numbers that an index can be."""

NINETY_FIVE = 1.96
"""Standard deviations to both sides of a normal mean that hold 95 %."""

FLATTEST, STEEPEST = 1e-3, 2.5
"""Least and most probits from one edge to the next: a higher score has a higher share, also across an empty bin."""


class IndexScale(BaseModel):
    """Shares of the studied population below the edges of its released histogram of scores.

    Attributes:
        edges: scores of the card that is not calibrated, rising, (k - 1,).
        shares: of enterprises below each edge, rising, between 0 and 1, (k - 1,).
        rows: enterprises behind it, as released, rounded.
        error: by how many points of the index the scale itself may be wrong at one score, where it is least sure: 95 %
            of the normal error that the noise of the histogram and the number of its enterprises leave. That the curve
            between two edges is another one is not in it (of scores with two humps in 12 bins .7 points at most).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    edges: Annotated[tuple[float, ...], Field(min_length=2, max_length=1000)]
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    rows: Annotated[int, Field(ge=1)]
    error: Annotated[float, Field(ge=0, le=MOST_INDEX)]

    @model_validator(mode="after")
    def _rises(self) -> "IndexScale":
        if len(self.edges) != len(self.shares):
            raise ValueError("one share for each edge")
        pairs = list(zip(self.edges, self.edges[1:], self.shares, self.shares[1:], strict=False))
        if any(not a < b or not s < t for a, b, s, t in pairs):
            raise ValueError("edges and shares rise")
        return self

    def share(self, score: ArrayLike) -> Floats:
        """Share of the studied population below each score; same shape, rising in the score.

        >>> IndexScale(edges=(0, 10), shares=(0.25, 0.75), rows=100, error=1).share([0, 5, 10]).round(6).tolist()
        [0.25, 0.5, 0.75]
        """
        x, edges, at = np.asarray(score, np.float64), np.array(self.edges), ndtri(np.array(self.shares))
        slopes = np.diff(at) / np.diff(edges)
        inside = np.interp(x, edges, at)
        below, above = at[0] + slopes[0] * (x - edges[0]), at[-1] + slopes[-1] * (x - edges[-1])
        return np.asarray(ndtr(np.where(x < edges[0], below, np.where(x > edges[-1], above, inside))))

    def index(self, score: ArrayLike) -> NDArray[np.int64]:
        """The index of each score, whole numbers from 0 to 100 in the same shape; 100 is the healthiest.

        >>> IndexScale(edges=(0, 10), shares=(0.25, 0.75), rows=100, error=1).index([-500, 0, 5, 500]).tolist()
        [0, 25, 50, 100]
        """
        return np.rint(MOST_INDEX * self.share(score)).astype(np.int64)


def index_scale(
    edges: Sequence[float] | Floats, counts: Sequence[float] | Floats, variance: float
) -> IndexScale:
    """The scale of a released histogram.

    Args:
        edges: inner edges of the bins, rising, (k - 1,).
        counts: enterprises in each bin as released, with noise, (k,), rising in the score.
        variance: of the noise of one count.

    Raises:
        ConfigError: the histogram says nothing, since its noise is larger than what it counts.
    """
    inner, raw = np.asarray(edges, np.float64), np.asarray(counts, np.float64)
    total, noise = float(raw.sum()), math.sqrt(len(raw) * variance)
    if len(raw) != len(inner) + 1 or total <= 0 or total < 4 * noise:
        raise ConfigError(
            "the scores' released histogram has more noise than enterprises, so that no scale of an index follows "
            "from it; run the study on more enterprises, or at a larger epsilon"
        )
    # As if half an enterprise more were at each end, so that no share is 0 or 1.
    below = (_pooled(np.cumsum(raw)[:-1]) + 0.5) / (total + 1.0)
    at = ndtri(np.clip(below, 0.5 / (total + 1.0), 1 - 0.5 / (total + 1.0)))
    # From the edge nearest the median outwards: where bins are empty, steps are neither level nor endless.
    steps = np.clip(np.diff(at), FLATTEST, STEEPEST)
    middle = int(np.argmin(np.abs(at)))
    probits = at[middle] + np.concatenate(([0.0], np.cumsum(steps))) - steps[:middle].sum()
    # Nine digits: the same on machines that add up in another order.
    shares = np.round(np.clip(ndtr(probits), 1e-9, 1 - 1e-9), 9)
    first = np.arange(1, len(raw))
    # A share is (sum below) / (sum of all): noise of both, and that the rows are a sample of their population.
    spread = (
        variance * (first * (1 - shares) ** 2 + (len(raw) - first) * shares**2) / total**2
        + shares * (1 - shares) / total
    )
    error = NINETY_FIVE * MOST_INDEX * math.sqrt(float(spread.max()))
    return IndexScale(
        edges=tuple(float(v) for v in inner),
        shares=tuple(float(v) for v in shares),
        rows=max(1, round(total)),
        error=min(round(error, 2), float(MOST_INDEX)),
    )


def _pooled(values: Floats) -> Floats:
    """The nearest rising numbers, by pooling adjacent violators (Barlow et al. 1972)."""
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((m * a + n * b) / (m + n), m + n)]
    return np.array([mean for mean, number in blocks for _ in range(number)])
