"""What a validation at a bank needs beside its rows: bins of its columns, recorded grades, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CalibrationHistogram:
    """The histogram that a card's calibration was fitted to, as the study told all members.

    edges: inner ones of its score bins, rising, (k - 1,). total: noisy defaults and others, (k, 2). variance: of the
    noise of each count.
    """

    edges: Floats
    total: Floats
    variance: float


@dataclass(frozen=True, kw_only=True)
class ValidationRows:
    """Beside OwnRows, and in the same order of rows, (n,).

    codes: bin of each own column of the card, by name; -1 where the customer is not in the table any more. sizes:
    bins of each. from_table: whether codes are the card's own bins; else customers with equal points in a column are
    one bin. recorded: grade after a person looked at it, None where there is none; None without a file of them.
    sample: how the hold-out was drawn, ``holdout`` or ``out_of_time``. calibration: None where it is not kept.
    """

    codes: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    from_table: bool = False
    recorded: NDArray[np.object_] | None = None
    sample: str = "holdout"
    calibration: CalibrationHistogram | None = None
