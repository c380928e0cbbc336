"""What a bank's loans of a month are held against: its own training rows of the study that made the model.

These are the honest reference of a change: the study's released shares are of all banks together, and how this bank
differs from them is no drift. Only where the bank no longer keeps its rows do the released shares stand in, and the
page says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.score_counts import counts_of_rows
from fedrisk.analysis.validation.discrimination import area
from fedrisk.clients import own_results
from fedrisk.clients.node import Node
from fedrisk.errors import FedriskError
from fedrisk.metrics import Measured
from fedrisk.models.model_part import ModelPart

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Development:
    """A bank's own rows of a model's study.

    score, probability: of its training rows, (n,). points: of those by own column, (n,) each. auc: of its hold-out;
    None where that has too few defaults.
    """

    score: Floats
    probability: Floats
    points: Mapping[str, Floats] = field(default_factory=dict)
    auc: Measured | None = None


def development(node: Node, part: ModelPart) -> Development | None:
    """Of a model's study; None where the bank keeps no scores of it, or the model is of an edited card.

    Nobody scored the training rows by an edited card, so that nothing would be compared with them.
    """
    if part.edited or not part.attempt:
        return None
    try:
        entry = own_results.find(node, part.attempt)
        table = own_results.scores(node, entry)
        points = own_results.points_of(node, entry, table)
    except FedriskError:
        return None
    if "score" not in table:
        return None
    training = table["split"].to_numpy(object) == "training"
    if not training.any():
        return None
    label, probability = table["label"].to_numpy(float), table["probability"].to_numpy(float)
    held = (table["split"].to_numpy(object) == "holdout") & np.isin(label, (0.0, 1.0))
    by_column = {} if points is None else {str(c): points[c] for c in points if c != "id"}
    return Development(
        score=table["score"].to_numpy(float)[training],
        probability=probability[training],
        points={c.removeprefix("points:"): v.to_numpy(float)[training] for c, v in by_column.items()},
        auc=area(counts_of_rows(label[held], probability[held], axis="probability")) if held.any() else None,
    )
