"""What a bank observes."""

import numpy as np
import pytest

from sim_institutions import views
from sim_institutions.random_streams import stream
from sim_institutions.views.banks import LABEL, TERMS


@pytest.fixture(scope="module")
def city_bank(block):
    return views.bank(block, 0, block.profile.banks[0], stream(2, "city_bank", 0))


def test_its_rows_are_its_borrowers_in_random_order(block, city_bank):
    assert np.array_equal(np.sort(city_bank.rows), np.flatnonzero(block.lending.loan[:, 0]))
    assert not np.array_equal(np.sort(city_bank.rows), city_bank.rows)


def test_its_label_is_default_at_this_bank(block, city_bank):
    assert np.array_equal(city_bank.columns[LABEL] == 1, block.bank_default[city_bank.rows, 0])


def test_loans_have_the_limits_and_terms_of_the_report(city_bank):
    limit, term = city_bank.columns["credit_limit"], city_bank.columns["loan_term"]
    assert limit.min() >= 5e4
    assert limit.max() <= 5e5
    assert set(term) <= set(TERMS)


def test_a_careless_bank_has_more_gaps(block, city_bank):
    number = [bank.name for bank in block.profile.banks].index("quick_bank")
    quick = views.bank(block, number, block.profile.banks[number], stream(2, "quick_bank", 0))
    gaps = [np.isnan(seen.columns["debt_to_assets"]).mean() for seen in (city_bank, quick)]
    assert gaps[1] > 2 * gaps[0]
    lost = [np.isnan(seen.histories["turnover"]).mean() for seen in (city_bank, quick)]
    assert lost[1] > 2 * lost[0]
