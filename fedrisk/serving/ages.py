"""How old the data behind a row are: classes that are told, and from when on a row counts as missing."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.datetime64]

AGES = ("fresh", "aging", "old", "missing")
"""Names of the classes, which are columns of an answer."""

FRESH, AGING, OLD, MISSING = range(4)

FRESH_UP_TO, AGING_UP_TO = 31, 92
"""Most days of a fresh row, and of an aging one."""

AHEAD = 1
"""Most days by which a row may lie ahead: somewhere it is tomorrow. A later day is an error, and the row is missing."""


def days_of(day: Days, today: date) -> NDArray[np.float64]:
    """Age in days, (n,), 0 for a row of tomorrow; NaN where the day is not known or lies in the future."""
    age = np.datetime64(today, "D") - np.asarray(day).astype("datetime64[D]")
    out = np.where(np.isnat(age), np.nan, age.astype(np.int64).astype(np.float64))
    out[out < -AHEAD] = np.nan
    return np.maximum(out, 0.0)


def stale(day: Days, today: date, fresh_days: int) -> NDArray[np.bool_]:
    """Which rows count as missing, (n,): older than ``fresh_days``, without a day, or of a day in the future.

    >>> stale(np.array(["2026-11-01", "2025-11-01", "2027-01-01", "NaT"], "datetime64[D]"), date(2026, 11, 26), 366)
    array([False,  True,  True,  True])
    """
    out: NDArray[np.bool_] = ~(days_of(day, today) <= fresh_days)
    return out


def age_classes(known: NDArray[np.bool_], day: Days, today: date, fresh_days: int) -> NDArray[np.int64]:
    """The class of each row, (n,), a place in `AGES`; rows that are not known or stale are `MISSING`.

    >>> day = np.array(["2026-11-20", "2026-10-01", "2026-01-01", "2020-01-01"], "datetime64[D]")
    >>> [AGES[k] for k in age_classes(np.ones(4, bool), day, date(2026, 11, 26), 366)]
    ['fresh', 'aging', 'old', 'missing']
    """
    age = days_of(day, today)
    out = np.select([age <= FRESH_UP_TO, age <= AGING_UP_TO], [FRESH, AGING], OLD)
    return np.where(known & ~stale(day, today, fresh_days), out, MISSING)
