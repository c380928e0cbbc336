"""Words' numbers add up: shares to one, studies left are those that the ledger takes, an epsilon left can be spent."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import BudgetError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.caps import DELTA, Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.plain import (
    epsilon_down,
    fits,
    grant_for_epsilon,
    grant_for_study,
    grant_up,
    left_in_words,
    percent_used,
    share_used,
    studies_left,
)
from fedrisk.privacy.ledger.report import epsilon_of

MU = st.floats(0.001, 20.0)
EPSILON = st.floats(0.01, 20.0)


@given(spent=st.floats(0.0, 20.0), cap=MU)
def test_shares_add_up_to_one(spent, cap):
    left = math.sqrt(max(0.0, cap**2 - spent**2))
    assert share_used(spent, cap) + (left / cap) ** 2 == pytest.approx(1.0)
    assert 0 <= percent_used(spent, cap) <= 100
    assert (percent_used(spent, cap) == 0) == (share_used(spent, cap) == 0)
    assert (percent_used(spent, cap) == 100) == (spent >= cap)


@given(spent=st.floats(0.0, 20.0), cap=MU, each=st.floats(0.05, 20.0))
def test_so_many_studies_fit_and_no_more(spent, cap, each):
    number = studies_left(spent, cap, each)
    assert number == 0 or fits(spent**2 + number * each**2, cap)
    assert not fits(spent**2 + (number + 1) * each**2, cap)


@settings(max_examples=20, deadline=None)
@given(cap=st.floats(0.5, 5.0), first=st.floats(0.1, 0.6), each=st.floats(0.3, 3.0))
def test_the_ledger_takes_so_many_studies_and_no_more(tmp_path_factory, refit, cap, first, each):
    ledger = Ledger(tmp_path_factory.mktemp("l") / "ledger.sqlite", Caps(epsilon=cap))

    def study(number, epsilon):
        ledger.debit(f"{number}", replace(refit, attempt=f"{number}", mu=mu_for(epsilon, DELTA)), "d")

    if first <= cap:
        study("first", first)
    report = ledger.report()
    number = studies_left(report.spent.mu, report.cap.mu, mu_for(each, DELTA))
    for one in range(number):
        study(one, each)
    with pytest.raises(BudgetError):
        study("more", each)
    # What is called left can be spent.
    left = epsilon_down(ledger.left())
    if left:
        study("rest", left)


@given(mu=MU, delta=st.sampled_from([1e-5, 1e-6, 1e-9]), digits=st.integers(1, 3))
def test_an_epsilon_left_costs_no_more_than_is_left(mu, delta, digits):
    epsilon = epsilon_down(mu, delta, digits)
    assert epsilon == 0.0 or mu_for(epsilon, delta) <= mu * (1 + 1e-5)
    assert epsilon >= epsilon_of(mu, delta) - 10.0**-digits
    assert ("epsilon 0.00" in left_in_words(mu, delta)) is False


@given(before=EPSILON, asked=EPSILON)
def test_a_grant_adds_to_the_epsilon_of_the_cap(before, asked):
    cap = mu_for(before, DELTA)
    assert epsilon_of(math.hypot(cap, grant_for_epsilon(cap, asked))) == pytest.approx(
        before + asked, rel=1e-6
    )


@given(spent=st.floats(0.0, 5.0), cap=st.floats(0.01, 5.0), each=st.floats(0.05, 5.0))
def test_the_grant_for_one_more_study_is_enough_and_not_more(spent, cap, each):
    mu = grant_for_study(spent, cap, each)
    assert fits(spent**2 + each**2, math.hypot(cap, mu))
    if mu:
        assert not fits(spent**2 + each**2, math.hypot(cap, 0.99 * mu)) or mu < 1e-3 * cap
    epsilon = grant_up(spent, cap, each)
    raised = math.hypot(cap, grant_for_epsilon(cap, epsilon)) if epsilon else cap
    assert fits(spent**2 + each**2, raised * (1 + 1e-6))
