"""Formulas of history columns by hand, and what holds for every kind: scale, gaps, months that do not count."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.history_kinds import KINDS, HistoryRule
from fedrisk.models.history_columns import CHUNK, FORMULAS, compute

NAN = math.nan
MAY_2026 = 12 * 2026 + 4
JUNE_2026 = MAY_2026 + 1


def rule(kind, over=18, low=0, high=1e9, **keys):
    return HistoryRule(series="x", kind=kind, over=over, low=low, high=high, **keys)


def one(kind, path, ends=JUNE_2026, **keys):
    """The value of one history."""
    return compute(rule(kind, over=max(6, len(path)), **keys), np.array([path], float), ends=ends)[0]


def flat(*tail, months=18, at=10.0):
    """A history that stays at one level until its last months."""
    return [at] * (months - len(tail)) + list(tail)


def test_every_kind_has_a_formula_and_a_line():
    assert FORMULAS.keys() == KINDS.keys()
    for name, kind in KINDS.items():
        ends = (-math.inf if kind.low is None else kind.low, math.inf if kind.high is None else kind.high)
        assert kind.bins is None or (ends[0] < kind.bins[0] and kind.bins[-1] < ends[1]), name


@pytest.mark.parametrize(
    ("kind", "path", "keys", "value"),
    [
        ("level", flat(1, 2, 6), {}, 3.0),
        ("level", flat(1, NAN, 6), {}, 3.5),
        ("fall", flat(5, 5, 5), {}, math.log(2)),
        ("fall", flat(20, 20, 20), {}, -math.log(2)),
        ("fall", flat(0, 0, 0), {}, 3.0),
        ("yearly_fall", [*[4.0] * 6, *[7.0] * 9, 2, 2, NAN], {}, math.log(2)),
        ("trend", [math.exp(0.05 * t) for t in range(18)], {}, 0.6),
        ("volatility", [10.0] * 6 + [9.0, 11.0] * 6, {}, 0.1),
        ("irregularity", [math.exp(0.1 * t + (0.3 if t % 3 == 2 else 0)) for t in range(18)], {}, 0.0),
        ("gaps", flat(NAN, 10, NAN, NAN, 10), {}, 3.0),
        ("gaps", [NAN] * 12 + flat(NAN, 10, months=6), {}, 1.0),
        ("gaps", flat(*[NAN] * 7), {}, 7.0),
        # Made up for in the month after; not made up for; the last month may yet come late.
        ("unmade_gaps", flat(NAN, 20, 10), {}, 0.0),
        ("unmade_gaps", flat(NAN, 10, 10), {}, 1.0),
        ("unmade_gaps", flat(NAN, NAN, 15, 10), {}, 2.0),
        ("unmade_gaps", flat(NAN), {}, 0.0),
        ("unmade_gaps", flat(NAN, NAN), {}, 1.0),
        ("bunching", flat(1, 1, 2, 1, 1, 6), {}, 8 / 12),
        ("bunching_rise", [*[1.0, 1.0, 2.0] * 5, 1, 1, 8], {"months": 3}, 0.8 - 0.5),
        ("falls_in_a_row", flat(9, 8, 7), {}, 3.0),
        ("falls_in_a_row", flat(9, NAN, 8), {}, 0.0),
        ("falls_in_a_row", flat(9, 8, 8), {}, 0.0),
        ("months_since_best", flat(12, 9, 9), {}, 2.0),
        ("worst", flat(10, 10, 3, 10, 10, 10), {}, 0.3),
        ("lasting_fall", flat(*[5.0] * 4), {}, math.log(2)),
    ],
)
def test_by_hand(kind, path, keys, value):
    assert one(kind, path, **keys) == pytest.approx(value, abs=1e-12)


def test_a_fall_that_is_over_is_no_lasting_one():
    lasting, dip = one("lasting_fall", flat(*[5.0] * 6)), one("lasting_fall", flat(5, 5, 5, 10, 10, 10))
    assert lasting > 0.6 and dip < 0.1


def test_bunching_needs_the_calendar():
    """The same amounts, one month later: the quarter's end lies elsewhere, and the newest month counts not yet."""
    path = flat(1, 1, 2, 1, 1, 6)
    assert one("bunching", [*path[1:], 9.0], ends=JUNE_2026 + 1) == pytest.approx(6 / 8)
    assert one("bunching", path, ends=MAY_2026) != pytest.approx(8 / 12)
    assert math.isnan(one("bunching", path, ends=None))
    months = np.array([JUNE_2026, -1, MAY_2026])
    got = compute(rule("bunching"), np.array([path] * 3), ends=months)
    assert got[0] == pytest.approx(8 / 12) and math.isnan(got[1]) and got[2] != got[0]


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_no_history_has_no_value(kind):
    assert math.isnan(one(kind, [NAN] * 18))


@pytest.mark.parametrize("kind", ["level", "fall", "trend", "volatility", "worst"])
def test_a_window_needs_half_of_its_months(kind):
    months = KINDS[kind].keys["months"]
    few, enough = (
        [1.0] * (18 - months) + [NAN] * gone + [1.0] * (months - gone)
        for gone in (months // 2 + 1, months // 2)
    )
    assert math.isnan(one(kind, few)) and not math.isnan(one(kind, enough))


paths = st.lists(
    st.lists(st.one_of(st.just(NAN), st.floats(0.1, 1e6)), min_size=20, max_size=20), min_size=1, max_size=6
)


@settings(max_examples=40)
@given(paths, st.sampled_from(sorted(KINDS)), st.integers(0, 5))
def test_months_that_do_not_count_change_nothing(x, kind, ago):
    """The last 18 months count, as of any month: what lies before or after is as good as not there."""
    x = np.array(x)
    got = compute(rule(kind), x, ago, JUNE_2026)
    cut = x[:, : x.shape[1] - ago]
    assert got.tobytes() == compute(rule(kind), cut[:, -18:], 0, JUNE_2026 - ago).tobytes()
    longer = np.c_[np.full((len(x), 4), 7.0), cut]
    if cut.shape[1] >= 18:
        assert got.tobytes() == compute(rule(kind), longer, 0, JUNE_2026 - ago).tobytes()


@settings(max_examples=40)
@given(paths, st.sampled_from(sorted(k for k in KINDS if k != "level")), st.sampled_from([0.25, 2.0, 1024.0]))
def test_only_a_level_depends_on_the_unit(x, kind, factor):
    x = np.array(x)
    got, scaled = (compute(rule(kind), v, ends=JUNE_2026) for v in (x, x * factor))
    # Sums of logarithms round differently; ties of a threshold do not occur at powers of two.
    assert np.allclose(got, scaled, rtol=1e-9, atol=1e-9, equal_nan=True)


@settings(max_examples=40)
@given(paths, st.sampled_from(sorted(KINDS)))
def test_values_stay_within_the_public_bounds(x, kind):
    got = compute(rule(kind), np.array(x), ends=JUNE_2026)
    low, high = KINDS[kind].low, KINDS[kind].high
    known = got[~np.isnan(got)]
    assert np.isfinite(known).all()
    assert low is None or ((known >= low) & (known <= high)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_does_not_depend_on_who_else_is_computed(kind):
    g = np.random.default_rng(3)
    x = np.exp(g.normal(3, 1, (CHUNK + 500, 18)))
    x[g.random(x.shape) < 0.2] = np.nan
    whole = compute(rule(kind), x, ends=JUNE_2026)
    for size in (1, 2, 7, 250):
        part = slice(CHUNK - 3, CHUNK - 3 + size)
        assert (
            compute(rule(kind), np.asfortranarray(x[part]), ends=JUNE_2026).tobytes() == whole[part].tobytes()
        )


def test_ago_beyond_the_history_is_unknown():
    assert np.isnan(compute(rule("level"), np.ones((2, 18)), 18)).all()
    with pytest.raises(ValueError, match="negative"):
        compute(rule("level"), np.ones((2, 18)), -1)
