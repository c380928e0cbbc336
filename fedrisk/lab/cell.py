"""One cell of a sweep, and one row of its results: the columns that `results.parquet` has."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One study of a sweep, and the baselines on its rows.

    data_set: name of a data set. recipe: name of a recipe. epsilon: inf for no noise. bins: about how many for each
    column; None as the dictionaries say. institutions: how many of its institutions take part; None for all. seed:
    draws the hold-out, the noise, and a simulated data set. settings: further keys of the study file, as ``key.sub``
    to value.
    """

    data_set: str
    recipe: str = "scorecard"
    epsilon: float = 1.0
    bins: int | None = None
    institutions: int | None = None
    seed: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names the cell in files: the same for the same cell in any sweep."""
        content = asdict(self) | {"epsilon": "inf" if math.isinf(self.epsilon) else float(self.epsilon)}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one cell's hold-out: a row of results.parquet; None where a figure does not apply.

    kind: a "study" of fedrisk, a "baseline" on the same rows, or a figure "quoted" from a publication, which is never
    mixed with the measured ones. model: "scorecard", "champion", "bank alone", "pooled boosting" and others. private:
    whether the model itself is differentially private at ``epsilon``; others repeat over epsilon. label_private:
    whether only its labels are, and features were used as they are; it depends on epsilon all the same. auc_low,
    auc_high: 95 % interval of AUC on this hold-out. calibration_slope, calibration_intercept: of the logistic
    recalibration (Cox 1958). mu: that has this epsilon at this delta; of a model whose accountant is no Gaussian
    one it says nothing of other deltas. bytes: all messages between the hub and the institutions, both ways. seconds:
    wall clock of the study, or of fitting and scoring. error: code of what went wrong, where the model failed; figures
    are None then. source: of a quoted figure, where it was published and under what conditions.
    """

    cell: str
    data_set: str
    recipe: str
    epsilon: float
    bins: int | None
    institutions: int | None
    seed: int
    settings: str
    kind: Literal["study", "baseline", "quoted"]
    model: str
    private: bool
    label_private: bool = False
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    ks: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    calibration_slope: float | None = None
    calibration_intercept: float | None = None
    rows_training: int | None = None
    rows_holdout: int | None = None
    defaults_training: int | None = None
    defaults_holdout: int | None = None
    mu: float | None = None
    delta: float | None = None
    exchanges: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    error: str | None = None
    versions: str = ""
    data_digest: str = ""
    research: bool = True
    source: str = ""
