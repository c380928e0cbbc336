"""What a model predicted in each band of its probability, from the released histogram of finer bins.

A band begins and ends within bins. Inside a bin, enterprises are spread evenly in log-odds between its ends, and moved
so that their mean is the bin's own (models/score_spread.bin_probabilities); the two outer bins have no end, and their
enterprises stand at the mean.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

POINTS = 40
"""Places in a bin."""


def spread_over(counts: Floats, probability: Floats, inner: Floats) -> tuple[Floats, Floats]:
    """Enterprises of each bin at places within it: their weights and probabilities, (places,) each.

    counts: of the bins, noisy, (bins,); below zero counts as zero. probability: mean of each bin, rising. inner: what
    parts the bins, rising, (bins - 1,).

    >>> weight, p = spread_over(np.array([2.0, 4.0, 2.0]), np.array([0.1, 0.2, 0.4]), np.array([0.15, 0.3]))
    >>> round(float(weight.sum()), 6), round(float(weight @ p / weight.sum()), 6)
    (8.0, 0.225)
    """
    whole = np.maximum(counts, 0.0)
    places, weights = [probability[:1], probability[-1:]], [whole[:1], whole[-1:]]
    ends = logit(np.clip(inner, 1e-9, 1 - 1e-9))
    at = (np.arange(POINTS) + 0.5) / POINTS
    for k in range(1, len(counts) - 1):
        p = expit(ends[k - 1] + (ends[k] - ends[k - 1]) * at)
        places.append(np.clip(p * probability[k] / p.mean(), 0.0, 1.0))
        weights.append(np.full(POINTS, whole[k] / POINTS))
    return np.concatenate(weights), np.concatenate(places)


def band_means(edges: Floats, weight: Floats, probability: Floats) -> Floats:
    """Mean probability of each band, (bands,); where no enterprise is, the middle of the band.

    edges: inner edges of the bands, rising. weight, probability: (places,).

    >>> band_means(np.array([0.2]), np.array([1.0, 3.0]), np.array([0.1, 0.3])).tolist()
    [0.1, 0.3]
    """
    band = np.searchsorted(edges, probability, side="right")
    bands = len(edges) + 1
    total = np.bincount(band, weight, bands)
    mean = np.bincount(band, weight * probability, bands) / np.maximum(total, 1e-12)
    ends = np.concatenate([edges[:1] / 2, edges, [(1 + edges[-1]) / 2]])
    middle = np.concatenate([ends[:1], (edges[:-1] + edges[1:]) / 2, ends[-1:]])
    return np.where(total > 0, mean, middle)
