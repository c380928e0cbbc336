"""Noisy histograms of an institution's columns without public bins, from which the hub derives bin edges."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.outlet import Noise, RingArray
from fedrisk.clients.row_order import all_training_rows, own_features, teaching
from fedrisk.data.features import Feature
from fedrisk.models.binning import grid_histogram
from fedrisk.protocol.payload import Payload
from fedrisk.releases.release import Block

Rows = NDArray[np.int64]


def release_edges(attempt: Attempt, request: Payload) -> Payload:
    """Noisy histograms of the columns without public bins; nothing where all bins are public."""
    if not attempt.plan.prepared("edges"):
        return Payload()
    release = attempt.plan.release("edges")

    def part(block: Block, noise: Noise) -> RingArray:
        private = [f for f in own_features(attempt.plan.features, attempt.role) if f.private_edges]
        rows = all_training_rows(attempt)
        rows = rows[teaching(attempt, rows)]
        counts = edge_counts(attempt.read().frame, rows, private, block.shape[1])
        return noise.add(block, counts << release.scale_bits)

    return outlet.release(attempt, release, request, part)


def edge_counts(
    frame: pd.DataFrame, rows: Rows, features: Sequence[Feature], cells: int
) -> NDArray[np.int64]:
    """(features, cells) enterprises in each cell of the columns without public bins; rows of -1 are left out."""
    known = rows[rows >= 0]
    return np.stack([grid_histogram(frame[f.column].to_numpy()[known], f, cells) for f in features])
