"""Applications, approvals and defaults at several banks."""

import numpy as np
import pytest

from sim_institutions.lending import DEFAULTS_THERE_TOO, TRIES, Lending, bank_defaults, lend, merit
from sim_institutions.random_streams import stream


def lent(block, asked):
    return lend(
        block.profile,
        block.enterprises,
        block.health.levels,
        block.geography,
        asked,
        block.seed,
        block.number,
    )


def test_loans_go_to_visible_applicants(block):
    lending = block.lending
    assert not (lending.applied & ~lending.visible).any()
    assert not (lending.borrower & ~lending.applied).any()
    assert lending.loan.sum(axis=1).max() <= TRIES
    # 6,000 enterprises: the share has standard error .005.
    assert 1 - lending.visible.mean() == pytest.approx(block.profile.invisible, abs=0.025)


def test_street_vendors_are_less_visible(block):
    visible, vendor = block.lending.visible, block.enterprises.vendor
    assert visible[vendor].mean() < visible[~vendor].mean() - 0.2


def test_banks_that_ask_for_more_lend_less(block):
    strict, lax = lent(block, 1.0), lent(block, -1.0)
    assert strict.borrower.sum() < block.lending.borrower.sum() < lax.borrower.sum()
    assert np.array_equal(strict.applied, lax.applied)


def test_merit_follows_liquidity(block):
    shown = merit(block.health.levels, stream(1, "x"))
    assert np.corrcoef(shown, block.health.levels["liquidity"])[0, 1] > 0.4


def test_a_defaulter_defaults_on_each_loan_often_and_on_one_for_certain():
    n = 4000
    loan = np.ones((n, 3), dtype=bool)
    loan[:, 2] = False
    default = np.arange(n) % 2 == 0
    everyone = np.ones(n, dtype=bool)
    late = bank_defaults(Lending(everyone, everyone, loan, loan), default, 1, 0)
    assert not late[~default].any()
    assert not late[:, 2].any()
    assert late[default].any(axis=1).all()
    both = late[default][:, :2].all(axis=1)
    assert both.mean() == pytest.approx(DEFAULTS_THERE_TOO**2, abs=0.04)
