"""Who the enterprises are: links within the block, clusters, ids."""

import numpy as np
import pytest

from sim_institutions.enterprises import LOCAL_SUPPLIER, NO_LINK, OWNED_TOGETHER, SUPPLIED, draw_enterprises
from sim_institutions.geography import CLUSTER_PREFECTURE, CLUSTER_SECTORS, TRADE, draw_geography
from sim_institutions.profiles import PROFILES


def enterprises_of(number, n=500):
    return draw_enterprises(PROFILES["province"], draw_geography(1), 1, number, n)


def test_two_enterprises_of_one_owner_name_each_other(block):
    owner = block.enterprises.owner
    owned = np.flatnonzero(owner != NO_LINK)
    assert np.array_equal(owner[owner[owned]], owned)
    assert not (owner[owned] == owned).any()
    assert len(owned) == pytest.approx(OWNED_TOGETHER * len(owner), abs=2)


def test_suppliers_are_other_enterprises_mostly_of_the_same_county(block):
    supplier, county = block.enterprises.supplier, block.enterprises.county
    supplied = np.flatnonzero(supplier != NO_LINK)
    assert not (supplier[supplied] == supplied).any()
    # 3,000 with a supplier: both shares have a standard error below .01.
    assert len(supplied) / len(supplier) == pytest.approx(SUPPLIED, abs=0.04)
    assert (county[supplier[supplied]] == county[supplied]).mean() > LOCAL_SUPPLIER - 0.04


def test_clusters_have_their_prefecture_and_sectors(block):
    for i, (prefecture, sectors) in enumerate(zip(CLUSTER_PREFECTURE, CLUSTER_SECTORS, strict=True)):
        members = block.enterprises.cluster == i
        assert members.any()
        assert set(block.enterprises.prefecture[members]) == {prefecture}
        assert set(block.enterprises.sector[members]) <= set(sectors)


def test_street_vendors_are_individually_owned_and_in_trade(block):
    vendor = block.enterprises.vendor
    assert block.enterprises.individual[vendor].all()
    assert (block.enterprises.sector[vendor] == TRADE).all()
    assert block.enterprises.thin[vendor].mean() > block.enterprises.thin[~vendor].mean()


def test_blocks_have_different_enterprises():
    one, two = enterprises_of(0), enterprises_of(1)
    assert np.array_equal(one.ids, enterprises_of(0).ids)
    assert not {bytes(i) for i in one.ids} & {bytes(i) for i in two.ids}
    assert not np.array_equal(one.size, two.size)


def test_a_pilot_block_has_a_name():
    pilot = enterprises_of("pilot")
    assert len(pilot) == 500
    assert not np.array_equal(pilot.size, enterprises_of(0).size)
