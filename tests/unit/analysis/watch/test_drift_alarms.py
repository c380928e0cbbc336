"""Drift alarms: a quiet year raises hardly any, and a planted change is named in the month it happens."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.watch.drift_alarms import POWER, Counted, DriftRules, drifted

COLUMNS, EDGES = 6, np.array([-1.2, -0.4, 0.3, 1.0])
BINS = len(EDGES) + 1
LEVEL = DriftRules()


def counts(codes):
    return np.bincount(codes, minlength=BINS).astype(float)


def year(seed, loans, *, shift=None, rules=LEVEL, moves=True, length=12):
    """Names with an alarm in each month of a year, of loans whose columns wander. shift: (month, size) of column 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(loans, COLUMNS))
    development = [counts(c) for c in np.searchsorted(EDGES, rng.normal(size=(loans, COLUMNS))).T]
    before, out = np.searchsorted(EDGES, x), []
    for month in range(length):
        x = 0.97 * x + np.sqrt(1 - 0.97**2) * rng.normal(size=x.shape)
        new = rng.random(loans) < 0.03
        x[new] = rng.normal(size=(new.sum(), COLUMNS))
        seen = x.copy()
        if shift is not None and month >= shift[0]:
            seen[:, 0] += shift[1]
        now, made = np.searchsorted(EDGES, seen), []
        for j in range(COLUMNS):
            both = np.bincount(before[~new, j] * BINS + now[~new, j], minlength=BINS**2).reshape(BINS, BINS)
            made.append(
                Counted(
                    name=str(j),
                    now=counts(now[:, j]),
                    before=counts(before[:, j]),
                    development=Histogram.of(development[j], 0.0),
                    moves=both.astype(float) if moves else None,
                )
            )
        out.append({(d.name, which) for d in drifted(made, rules) for which in d.alarms})
        before = now
    return out


@pytest.mark.parametrize("years", [8, pytest.param(400, marks=pytest.mark.long)])
def test_a_quiet_year_raises_an_alarm_at_most_at_the_stated_rate(years):
    """Also where every change would matter, so that the bounds cannot be what keeps alarms away."""
    strict = DriftRules(month=0.0, development=0.0)
    alarms = sum(any(year(seed, 500, rules=strict)) for seed in range(years))
    # Three deviations above the rate; the seeds are fixed.
    assert alarms / years <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / years)


@pytest.mark.parametrize("loans", [500, pytest.param(3000, marks=pytest.mark.long)])
def test_a_planted_change_is_named_in_its_month_and_nothing_else_is(loans):
    for seed in range(2):
        found = year(seed, loans, shift=(6, 0.8))
        assert not any(found[:6])
        assert ("0", "month") in found[6] and {n for n, _ in found[6]} == {"0"}
        assert all({n for n, _ in each} <= {"0"} and ("0", "month") not in each for each in found[7:])


def index(size):
    """The true index of a column that is normal where all values move by ``size`` standard deviations."""
    p, q = (np.diff([0, *norm.cdf(EDGES - s), 1]) for s in (0, size))
    return ((q - p) * np.log(q / p)).sum()


@pytest.mark.parametrize(
    ("loans", "months"),
    [(300, 12), *(pytest.param(n, 200, marks=pytest.mark.long) for n in (100, 300, 1000, 5000))],
)
def test_a_change_as_large_as_is_said_to_be_named_is_named(loans, months):
    """At least as often as stated, less three deviations; of the month before it is found more often."""
    rng = np.random.default_rng(0)
    calm = [counts(rng.integers(0, 100, loans) // 20) for _ in range(3)]
    asked = [
        Counted(name=str(j), now=calm[0], before=calm[1], development=Histogram.of(calm[2], 0.0))
        for j in range(COLUMNS)
    ]
    named = drifted(asked, nameable=True)[0].nameable
    assert drifted(asked)[0].nameable == {} and named["development"] > 0.1 and named["month"] > 0.02
    for which, least in named.items():
        size = brentq(lambda s, least=least: index(s) - least, 0, 5)
        found = [("0", which) in year(seed, loans, shift=(0, size), length=1)[0] for seed in range(months)]
        assert np.mean(found) >= POWER - 3 * np.sqrt(POWER * (1 - POWER) / months)


def test_the_rate_is_shared_among_months_columns_and_both_questions():
    now, before = np.array([520.0, 480.0]), np.array([480.0, 520.0])
    rules = DriftRules(rate=0.5, months=1, month=0.0, development=0.0)
    alone = drifted([Counted(name="a", now=now, before=before)], rules)[0]
    calm = [Counted(name=str(k), now=now, before=now, development=Histogram.of(now, 0.0)) for k in range(9)]
    among = drifted([Counted(name="a", now=now, before=before), *calm], rules)[0]
    assert alone.chances["month"] == pytest.approx(0.0736, abs=0.001)
    # Of 19 chances the smallest counts 19 times (Holm).
    assert among.chances["month"] == pytest.approx(min(19 * alone.chances["month"], 1.0))


def test_development_that_is_known_by_groups_of_bins():
    now = np.array([300.0, 200.0, 300.0, 200.0])
    groups = np.array([0, 0, 1, 1])
    found = drifted(
        [Counted(name="a", now=now, development=Histogram.of(np.array([500.0, 500.0]), 0.0), groups=groups)]
    )[0]
    assert found.by_development.index == 0 and found.by_development.bins == 2 and not found.alarms
    assert found.by_month is None and list(found.chances) == ["development"]


def test_nothing_to_compare_raises_nothing():
    found = drifted([Counted(name="a", now=np.array([3.0, 4.0]))])[0]
    assert (found.rows, found.chances, found.alarms) == (7, {}, ())
    assert found.to_dict()["by_month"] is None
