"""The map of the counties: valid polygons that cover the province once, prefectures in one piece."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from sim_institutions.geography import COUNTIES, PREFECTURES
from sim_institutions.geometry import MAP, counties


@pytest.fixture(scope="module")
def features():
    return json.loads(MAP.read_text(encoding="utf-8"))["features"]


def edges(feature):
    (ring,) = feature["geometry"]["coordinates"]
    points = [tuple(p) for p in ring]
    return list(itertools.pairwise(points))


def test_there_is_one_polygon_for_each_county_in_a_small_file(features):
    assert [f["properties"]["county"] for f in features] == list(COUNTIES)
    assert {f["properties"]["prefecture"] for f in features} == set(PREFECTURES)
    assert all(f["properties"]["county"].startswith(f["properties"]["prefecture"]) for f in features)
    assert len({f["properties"]["name"] for f in features}) == 100
    assert MAP.stat().st_size < 100_000


def test_rings_are_closed_counter_clockwise_and_do_not_cross_themselves(features):
    for feature in features:
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert len({tuple(p) for p in ring}) == len(ring) - 1
        x, y = np.array(ring[:-1]).T
        assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0.001
        segments = np.array(edges(feature))
        for i in range(len(segments)):
            for j in range(i + 2, len(segments) - (i == 0)):
                assert not crosses(segments[i], segments[j]), feature["properties"]["county"]


def crosses(a, b):
    def side(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(*a, b[0]) != side(*a, b[1]) and side(*b, a[0]) != side(*b, a[1])


def test_every_border_is_shared_by_two_neighbours_or_is_the_provinces(features):
    seen = Counter(edge for feature in features for edge in edges(feature))
    assert set(seen.values()) == {1}
    outer = [edge for edge in seen if edge[::-1] not in seen]
    # The outer edges are one closed ring: everything within is covered, and nothing twice.
    after = dict(outer)
    assert len(after) == len(outer)
    start = point = outer[0][0]
    for _ in range(len(outer)):
        point = after[point]
    assert point == start
    assert len({start, *walk(after, start)}) == len(outer)


def walk(after, start):
    point = after[start]
    while point != start:
        yield point
        point = after[point]


def test_counties_of_a_prefecture_lie_together(features):
    of = {edge: f["properties"]["county"] for f in features for edge in edges(f)}
    near = {(c, of[edge[::-1]]) for edge, c in of.items() if edge[::-1] in of}
    for prefecture in PREFECTURES:
        inside = [c for c in COUNTIES if c.startswith(prefecture)]
        found, queue = {inside[0]}, [inside[0]]
        while queue:
            county = queue.pop()
            new = {b for a, b in near if a == county and b in inside} - found
            found |= new
            queue += new
        assert found == set(inside), prefecture


@pytest.mark.long
def test_the_map_is_what_the_program_draws(features):
    drawn = counties()["features"]
    assert [f["properties"] for f in drawn] == [f["properties"] for f in features]
    for a, b in zip(drawn, features, strict=True):
        np.testing.assert_allclose(a["geometry"]["coordinates"], b["geometry"]["coordinates"], atol=2e-4)
