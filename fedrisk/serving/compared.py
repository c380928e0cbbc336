"""A bank's champion held against its challengers, on the bank's own hold-out that both scored in their studies.

Only the bank's own labels and scores are read, and nothing leaves. An enterprise is compared where it was held out,
with a label, in the studies of both models: held out once it is held out always (clients/row_order), so the rows are
new to both. Labels are those of the later study.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.clients.evaluation import SCORES
from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc, brier
from fedrisk.models.comparison import (
    Difference,
    auc_difference,
    challenger_verdict,
    log_loss_difference,
)
from fedrisk.models.model_part import ModelPart
from fedrisk.models.scale import STANDARD
from fedrisk.study import DEFAULT_LABEL

BAND = STANDARD.double
"""Points of a band: scores of a study's hold-out are on the standard scale."""

LEAST_CLASS = 2
"""Fewest defaults, and fewest others, that are compared."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One model on the rows: mean probability beside the observed rate, AUC and Brier score."""

    model: str
    auc: float
    brier: float
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"model": self.model, "auc": self.auc, "brier": self.brier, "probability": self.probability}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A challenger beside the champion, on the same rows.

    rows, rate: how many, and the share of defaults. auc: challenger less champion; log_loss: the same, below 0 where
    the challenger is better. moved: rows whose score lies in another band of 20 points, which double the odds; most: by
    how many bands at most.
    """

    rows: int
    rate: float
    champion: Figures
    challenger: Figures
    auc: Difference
    log_loss: Difference
    moved: int
    most: int

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``alike``: `challenger_verdict`."""
        return challenger_verdict(self.auc, self.log_loss)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "rows": self.rows,
            "rate": self.rate,
            "champion": self.champion.to_dict(),
            "challenger": self.challenger.to_dict(),
            "auc": self.auc.to_dict(),
            "log_loss": self.log_loss.to_dict(),
            "moved": self.moved,
            "most": self.most,
            "verdict": self.verdict,
        }


def compare(node: Node, champion: ModelPart, challenger: ModelPart) -> Compared:
    """Both models on the bank's own hold-out.

    ConfigError where they foretell different outcomes, DataError where there are too few rows that both scored.
    """
    if champion.label != challenger.label:
        raise ConfigError(
            f'model {champion.model} foretells "{champion.label or DEFAULT_LABEL}" and {challenger.model} '
            f'"{challenger.label or DEFAULT_LABEL}"; which is better can be asked of models of one label only'
        )
    one, other = (_held_out(node, part) for part in (champion, challenger))
    both = one.merge(other, on="id", suffixes=("", "_other"))
    later = "label" if champion.made > challenger.made else "label_other"
    label = both[later].to_numpy(float)
    if min((label == 0).sum(), (label == 1).sum()) < LEAST_CLASS:
        raise DataError(
            f"{node.name} holds {len(both):,} enterprises out that models {champion.model} and {challenger.model} both "
            f"scored, and needs {LEAST_CLASS} defaults and {LEAST_CLASS} others; let both be of studies with a hold-out"
        )
    p, q = (both[name].to_numpy(float) for name in ("probability", "probability_other"))
    bands = np.floor(both["score_other"] / BAND) - np.floor(both["score"] / BAND)
    return Compared(
        rows=len(both),
        rate=float(label.mean()),
        champion=_figures(champion.model, label, p),
        challenger=_figures(challenger.model, label, q),
        auc=auc_difference(label, q, p),
        log_loss=log_loss_difference(label, q, p),
        moved=int((bands != 0).sum()),
        most=int(bands.abs().max()),
    )


def _figures(model: str, label: Any, probability: Any) -> Figures:
    return Figures(
        model=model,
        auc=auc(label, probability),
        brier=brier(label, probability),
        probability=float(probability.mean()),
    )


def _held_out(node: Node, part: ModelPart) -> pd.DataFrame:
    """Id, score, probability and label of the rows that a model's study held out."""
    if part.edited:
        raise ConfigError(
            f"model {part.model} is of an edited card, by which nobody scored the hold-out; what its edits cost is in "
            "its history, see fedrisk card show"
        )
    file = node.store.path / "results" / part.attempt / SCORES
    try:
        table = pd.read_parquet(file, columns=["id", "score", "probability", "label", "split"])
    except (OSError, ValueError):
        raise ConfigError(
            f"{node.name} has no scores of model {part.model} ({file}); put the file back from a copy of the store"
        ) from None
    kept = table[(table["split"] == "holdout") & table["label"].isin((0.0, 1.0))]
    return kept[["id", "score", "probability", "label"]]
