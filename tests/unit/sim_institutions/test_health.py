"""How the enterprises fare: the four courses, how distress spreads, and who defaults."""

import numpy as np
import pytest

from sim_institutions.enterprises import NO_LINK
from sim_institutions.geography import draw_geography
from sim_institutions.health import (
    DECLINE,
    DIP,
    DISTRESS,
    GROWTH,
    MOVING,
    NONE,
    SHARES,
    crossed,
    defaults,
    develop_health,
    staggered,
)
from sim_institutions.random_streams import MONTHS


def test_courses_have_their_shares(block):
    course = block.health.course
    for kind in (DIP, DECLINE, GROWTH):
        # 6,000 enterprises: a share of .1 has standard error .004.
        assert (course == kind).mean() == pytest.approx(SHARES[kind], abs=0.02)
    assert 0.02 < (course == DISTRESS).mean() < 0.08


def test_each_course_has_its_shape(block):
    effect, course, since = block.health.effect, block.health.course, block.health.since
    months = np.arange(MONTHS)
    assert not effect[course == NONE].any()
    fallen = effect[course == DISTRESS]
    began = months >= since[course == DISTRESS][:, None]
    assert (fallen[began] < 0).all()
    assert not fallen[~began].any()
    assert (np.diff(effect[course == DECLINE], axis=1) < 0).all()
    assert (np.diff(effect[course == GROWTH], axis=1) > 0).all()
    dip = effect[course == DIP]
    assert (dip.max(axis=1)[since[course == DIP] < 13] > 0).all()
    assert (dip.min(axis=1) < 0).all()


def test_distress_spreads_along_links(block):
    course = block.health.course
    for link in (block.enterprises.supplier, block.enterprises.owner):
        linked = link != NO_LINK
        beside = linked & (course[link] == DISTRESS)
        assert (course[beside] == DISTRESS).mean() > 2 * (course[linked & ~beside] == DISTRESS).mean()


def test_facets_react_one_after_the_other(block):
    effects = staggered(block.health)
    assert set(effects) == set(MOVING)
    assert np.array_equal(effects["activity"][:, 1:], effects["sales"][:, :-1])
    assert np.array_equal(effects["staffing"][:, 2:], effects["sales"][:, :-2])


def test_distress_raises_the_risk_of_default(block):
    risk, course = block.health.risk, block.health.course
    assert risk[course == DISTRESS].mean() > risk[course == DIP].mean() + 1.5
    assert abs(risk[course == DECLINE].mean() - risk[course == DIP].mean()) < 0.8


def test_a_higher_intercept_only_adds_defaulters(block):
    few, many = (defaults(block.health, intercept, 2, 0) for intercept in (-5.0, -2.0))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


def test_strong_interactions_change_the_risk_and_nothing_that_is_observed(block):
    strong = develop_health(block.enterprises, draw_geography(2), 2, 0, interactions=True)
    health = block.health
    assert all(np.array_equal(strong.paths[name], path) for name, path in health.paths.items())
    added = crossed(block.enterprises, health.levels, health.course, health.depth)
    np.testing.assert_allclose(strong.risk - health.risk, added, atol=1e-4)


def test_a_product_says_little_of_either_fact_alone(block):
    """Large and small, old and young, tight and ample liquidity: products are centred, so their means are alike."""
    health, size = block.health, block.enterprises.size
    added = crossed(block.enterprises, health.levels, health.course, health.depth)
    tight = health.levels["liquidity"] < np.median(health.levels["liquidity"])
    large = size > np.median(size)
    for group in (tight, large):
        # About 3,000 in each half, spread 2: standard error of the difference .05.
        assert abs(added[group].mean() - added[~group].mean()) < 0.8
    crossing = added[tight & large].mean() - added[tight & ~large].mean() - added[~tight & large].mean()
    assert crossing + added[~tight & ~large].mean() > 3
