"""Estimates with intervals from the released sums of a statistics study.

The shape that everything else of this package reads.
"""

from dataclasses import dataclass

import pandas as pd

from fedrisk.releases.record import ReleaseRecord

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Figures of a statistics study.

    frame: one row for each table, cell and measure (and quantile), with the columns
        table, measure, kind, quantile (NaN but for quantiles), one column for each axis (its category; None where the
        table has not that axis), estimate, standard_error, low, high (interval at ``level``), says (False where a cell
        says less than its noise: then estimate, low and high are not to be printed as figures), unit.
        All errors include the privacy noise, and of joined studies the draw of who is included.
    """

    frame: pd.DataFrame
    level: float = LEVEL
    research: bool = False


def estimates(record: ReleaseRecord, *, level: float = LEVEL) -> Estimates:
    """Estimates of a statistics study from its release record; ConfigError where it is of another recipe."""
    raise NotImplementedError
