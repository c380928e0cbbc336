"""What departments observe."""

import numpy as np

from sim_institutions import views
from sim_institutions.geography import CRAFTS, MANUFACTURING
from sim_institutions.health import DISTRESS
from sim_institutions.random_streams import MONTHS, stream


def seen_by(view, block):
    return view(block, stream(2, view.__name__, 0))


def test_departments_know_street_vendors_less(block):
    vendor = block.enterprises.vendor
    for view in (views.tax_office, views.power_utility, views.social_insurance):
        known = np.isin(np.arange(len(vendor)), seen_by(view, block).rows)
        assert known[vendor].mean() < known[~vendor].mean(), view.__name__


def test_contributions_stop_more_often_in_distress(block):
    observed = seen_by(views.social_insurance, block)
    gaps = observed.columns["contribution_gaps"]
    distressed = block.health.course[observed.rows] == DISTRESS
    assert gaps[distressed].mean() > gaps[~distressed].mean()


def test_two_prefectures_deliver_headcounts_a_month_late(block):
    observed = seen_by(views.social_insurance, block)
    late = np.isin(block.enterprises.prefecture[observed.rows], (4, 9))
    last = observed.histories["headcount"][:, MONTHS - 1]
    assert np.isnan(last[late]).all()
    assert np.isnan(last[~late]).mean() < 0.2


def test_a_reading_after_an_unread_meter_covers_both_months(block):
    load = seen_by(views.power_utility, block).histories["load"]
    gap = np.isnan(load[:, 5]) & ~np.isnan(load[:, 4:8:2]).any(axis=1) & ~np.isnan(load[:, 7])
    assert gap.any()
    assert np.median(load[gap, 6] / load[gap, 7]) > 1.5


def test_courts_have_cases_of_weak_conduct(block):
    observed = seen_by(views.court, block)
    assert 0 < len(observed.rows) < 0.3 * len(block.enterprises)
    assert block.health.conduct[observed.rows].mean() < block.health.conduct.mean()


def test_the_registry_knows_almost_everyone(block):
    observed = seen_by(views.registry, block)
    assert len(observed.rows) > 0.97 * len(block.enterprises)
    form = observed.columns["legal_form"].code
    assert np.array_equal(form == 1, block.enterprises.individual[observed.rows])


def test_the_environment_agency_watches_manufacturing(block):
    observed = seen_by(views.environment_agency, block)
    sector = block.enterprises.sector[observed.rows]
    assert np.isin(sector, (MANUFACTURING, CRAFTS)).mean() > 0.7
    assert not block.enterprises.vendor[observed.rows].any()
