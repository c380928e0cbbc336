"""Caps and accounting periods."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import epsilon_for, mu_for
from fedrisk.privacy.ledger.caps import Calendar, Caps, limits_of


def test_the_default_holds_twelve_monthly_refits_and_no_thirteenth():
    whole, one = Caps().limits().whole, mu_for(1.0, 1e-6)
    assert math.sqrt(12) * one <= whole < math.sqrt(13) * one
    assert epsilon_for(math.sqrt(12) * one, 1e-6) == pytest.approx(3.904, abs=1e-3)


def test_epsilon_becomes_mu():
    limits = Caps(epsilon=3, per_study=1, per_purpose={"a": 0.5}, period_days=30).limits()
    assert limits.whole == pytest.approx(mu_for(3, 1e-6))
    assert limits.per_study == pytest.approx(mu_for(1, 1e-6))
    assert limits.per_purpose == {"a": pytest.approx(mu_for(0.5, 1e-6))}
    assert limits.calendar == Calendar(days=30)


def test_infinity_is_an_explicit_choice():
    assert Caps(epsilon=math.inf).limits().whole == math.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": 0},
        {"epsilon": -1.0},
        {"epsilon": math.nan},
        {"epsilon": True},
        {"epsilon": "4"},
        {"per_study": 0},
        {"per_purpose": {"a": -1}},
        {"period_days": 0},
        {"period_days": 1.5},
        {"period_days": True},
        {"epoch": datetime(2026, 1, 1)},
        {"epoch": "2026-01-01"},
    ],
)
def test_wrong_caps_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Caps(**wrong)


def test_caps_do_not_change_with_the_dict_they_came_from():
    given_caps = {"a": 1.0}
    caps = Caps(per_purpose=given_caps)
    given_caps["a"] = 9.0
    assert caps.per_purpose == {"a": 1.0}


def test_a_number_is_a_lifetime_cap_in_mu():
    assert limits_of(2.5).whole == 2.5
    assert limits_of(2.5).calendar is None
    for wrong in (-1.0, math.nan, 1e101):
        with pytest.raises(ConfigError, match="caps"):
            limits_of(wrong)


def test_periods_by_hand():
    month = Calendar(days=30, epoch=date(2026, 1, 1))
    assert month.bounds(0) == (date(2026, 1, 1), date(2026, 1, 31))
    assert month.period(datetime(2026, 1, 30, 23, 59, 59, tzinfo=UTC)) == 0
    assert month.period(datetime(2026, 1, 31, tzinfo=UTC)) == 1
    assert month.period(datetime(2025, 12, 31, tzinfo=UTC)) == -1


@given(
    st.integers(1, 4000),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)),
)
def test_every_moment_is_in_exactly_its_period(days, epoch, moment):
    calendar = Calendar(days=days, epoch=epoch)
    start, end = calendar.bounds(calendar.period(moment.replace(tzinfo=UTC)))
    assert start <= moment.date() < end
    assert end - start == timedelta(days=days)
