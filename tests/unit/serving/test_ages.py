"""Ages of rows by hand."""

from datetime import date

import numpy as np
import pytest

from fedrisk.serving.ages import AGES, age_classes, stale

TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("day", "fresh_days", "expected"),
    [
        ("2026-11-26", 366, "fresh"),
        ("2026-10-26", 366, "fresh"),
        ("2026-10-25", 366, "aging"),
        ("2026-08-26", 366, "aging"),
        ("2026-08-25", 366, "old"),
        ("2025-11-25", 366, "old"),
        ("2025-11-24", 366, "missing"),
        ("2026-11-27", 366, "fresh"),
        ("2026-11-28", 366, "missing"),
        ("NaT", 366, "missing"),
        ("2026-11-16", 10, "fresh"),
        ("2026-11-15", 10, "missing"),
        ("2026-10-01", 60, "aging"),
        ("0001-01-01", 10**6, "old"),
    ],
)
def test_ages_by_hand(day, fresh_days, expected):
    days = np.array([day], "datetime64[D]")
    for known in (True, False):
        (found,) = age_classes(np.array([known]), days, TODAY, fresh_days)
        assert AGES[found] == (expected if known else "missing")
    assert stale(days, TODAY, fresh_days).tolist() == [expected == "missing"]
