"""What credit bureaus, fintech companies and guarantors observe."""

import numpy as np

from sim_institutions import views
from sim_institutions.enterprises import NO_LINK
from sim_institutions.health import DISTRESS
from sim_institutions.observations import year_total
from sim_institutions.random_streams import significant, stream


def rng(name):
    return stream(2, name, 0)


def test_the_supply_bureau_knows_suppliers_in_trouble(block):
    observed = views.bureau_supply(block, rng("bureau_supply"))
    supplier = block.enterprises.supplier[observed.rows]
    troubled = (supplier != NO_LINK) & (block.health.course[supplier] == DISTRESS)
    flag = observed.columns["supplier_in_trouble"] == 1
    assert flag.any()
    assert not (flag & ~troubled).any()


def test_street_vendors_are_known_to_payments_by_code_more_than_elsewhere(block):
    vendors = np.flatnonzero(block.enterprises.vendor)
    payments, utilities, conduct = (
        np.isin(vendors, view(block, rng(view.__name__)).rows).mean()
        for view in (views.fintech_payments, views.bureau_utilities, views.bureau_conduct)
    )
    assert payments > 0.5
    assert payments > 1.5 * max(utilities, conduct)


def test_columns_of_online_trade_follow_from_its_history(block):
    observed = views.fintech_online(block, rng("fintech_online"))
    total = significant(year_total(observed.histories["orders"]), 4)
    assert np.allclose(observed.columns["orders"], total, rtol=1e-3)
    assert block.enterprises.online[observed.rows].mean() > block.enterprises.online.mean() + 0.5


def test_a_guaranteed_loan_has_one_guarantor(block):
    rows = [views.guarantor(block, number, rng(f"guarantor_{number}")).rows for number in range(8)]
    every = np.concatenate(rows)
    assert len(set(every)) == len(every)
    assert block.lending.borrower[every].all()


def test_a_share_is_recovered_only_where_the_guarantor_paid(block):
    observed = views.guarantor(block, 0, rng("guarantor_01"))
    paid = observed.columns["compensations"] > 0
    assert paid.any()
    recovered = observed.columns["recovered_share"]
    assert (recovered[~paid] == -1).all()  # the special code of the dictionary
    assert ((recovered[paid] >= 0) & (recovered[paid] <= 1)).all()
