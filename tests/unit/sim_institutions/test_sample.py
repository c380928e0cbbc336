"""A sample keeps what is true beside what institutions observe."""

import numpy as np
import pytest

from sim_institutions.random_streams import MONTHS
from sim_institutions.sample import sample


@pytest.fixture(scope="module")
def demo():
    return sample("demo", 2000, 1)


def test_labels_exist_for_borrowers_only(demo):
    loan = demo.bank >= 0
    assert np.array_equal(loan, demo.truth["borrower"] == 1)
    assert np.isnan(demo.label[~loan]).all()
    assert set(demo.label[loan]) == {0.0, 1.0}
    assert (demo.truth["default"][loan] >= demo.label[loan]).all()


def test_columns_are_missing_where_the_institution_does_not_know_the_enterprise(demo):
    known = demo.known("tax_office")
    assert 0.8 < known.mean() < 1
    assert np.isnan(demo.columns["tax_office", "invoice_amount"][~known]).all()
    assert demo.histories["tax_office", "invoices"].shape == (2000, MONTHS)


def test_features_are_those_of_the_dictionaries(demo):
    x, names = demo.features(["bank", "power_utility"])
    assert x.shape == (2000, len(names))
    assert names[0] == "bank.credit_limit"
    assert "power_utility.monthly_load" in names
    assert not any("late_90_days" in name for name in names)


def test_histories_can_be_left_out(demo):
    small = sample("demo", 2000, 1, histories=False)
    assert not small.histories
    assert np.array_equal(small.label, demo.label, equal_nan=True)
