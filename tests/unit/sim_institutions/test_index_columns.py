"""What institutions make of their own records for an index: label, tax burden, invoices for their size; by hand."""

import numpy as np
import pytest

from sim_institutions.cells import GRADES
from sim_institutions.geography import SECTORS
from sim_institutions.index_columns import COUNTED, DENSITY, FOR_INDEX, left_out, with_index
from sim_institutions.observations import Category, Observations

NAN = np.nan


def observed(columns, histories=None):
    n = len(next(iter(columns.values())) if histories is None else next(iter(histories.values())))
    return Observations(np.arange(n), columns, histories or {})


def test_who_is_strained():
    """More than three days overdrawn, or a grade among the worst three; a grade that is missing says nothing."""
    grade = Category(np.array([0, 0, 5, 4, -1]), GRADES)
    bank = Observations(
        np.arange(5), {"overdraft_days": np.array([3, 4, 0, 0, 0], np.float32), "grade": grade}
    )
    assert with_index("city_bank", bank).columns["strained"].tolist() == [0, 1, 1, 0, 0]


def test_ratios_of_the_tax_office():
    """3 invoices of 2,000 yuan on average are 1.5 for each 1,000; months without a report have no value."""
    found = with_index(
        "tax_office",
        observed(
            {"tax_paid": np.array([3, 1], np.float32), "invoice_amount": np.array([100, 0], np.float32)},
            {
                "invoices": np.array([[3, 0, NAN], [1, 1, 2]], np.float32),
                "invoice_amount": np.array([[6000, 0, NAN], [1000, 500, 1000]], np.float32),
            },
        ),
    )
    np.testing.assert_allclose(found.numbers("tax_burden"), [0.03, NAN], rtol=1e-6)
    np.testing.assert_allclose(found.histories[DENSITY], [[1.5, 0, NAN], [1, 2, 4]])


def test_load_at_night_for_the_sector():
    power = Observations(
        np.arange(3),
        {
            "night_share": np.array([0.107, 0.354, 0.3], np.float32),
            "sector": Category(np.array([0, 1, -1]), SECTORS),
        },
    )
    found = with_index("power_utility", power).numbers("night_ratio")
    np.testing.assert_allclose(found, [0.5, 1.0, NAN], rtol=1e-6)


def test_other_offices_stay_as_they_are():
    court = observed({"cases": np.array([1.0], np.float32)})
    assert with_index("court", court) is court


@pytest.mark.parametrize("index", [True, False])
def test_a_study_leaves_out_what_is_not_for_it(index):
    names = ["sector", *COUNTED["tax_office"]]
    kept = set(names) - {
        name.removeprefix("tax_office.") for name in left_out("tax_office", names, index=index)
    }
    assert kept == (set(names) - {"sector"} if index else set(names) - set(FOR_INDEX["tax_office"]))
    assert left_out("bureau_conduct", ["complaints"], index=index) == {}
