"""The threshold of a warning model: at which scores it warns, and how often that is a false alarm or in time."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]


class Interval(BaseModel):
    """A share with its interval of 95 %, in which sampling and noise are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Rate
    low: Rate
    high: Rate


class WarningPoint(BaseModel):
    """Where a model warns.

    Attributes:
        stated: rate of false alarms that the study asked for.
        score: the model warns at this score of its card, and below.
        false_alarms: share of enterprises without the outcome that are warned of; estimated at most ``stated``.
        recall: share of enterprises with the outcome that are.
        warned: share of all enterprises that are, of the hold-out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stated: Annotated[float, Field(gt=0, lt=1)]
    score: int
    false_alarms: Interval
    recall: Interval
    warned: Rate

    def warns(self, score: ArrayLike) -> NDArray[np.bool_]:
        """Of which scores it warns, in their shape; a missing score (NaN) is no warning."""
        return np.asarray(np.asarray(score, np.float64) <= self.score)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return self.model_dump(mode="json")
