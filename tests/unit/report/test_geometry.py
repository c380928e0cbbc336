"""Shapes of a GeoJSON file: their form on the page, and how files that are none are named."""

import json

import pytest

from fedrisk.errors import ConfigError
from fedrisk.report.geometry import load_shapes


def feature(name, kind, coordinates):
    return {
        "type": "Feature",
        "properties": {"name": name},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


SQUARE = [[0, 60], [2, 60], [2, 61], [0, 61], [0, 60]]


def file(tmp_path, *features):
    path = tmp_path / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_shapes_look_as_they_are(tmp_path):
    """Two degrees of longitude by one of latitude, far north: about a square."""
    shapes = load_shapes(file(tmp_path, feature("a", "Polygon", [SQUARE])), "name")
    assert shapes.width == 400
    assert shapes.height == pytest.approx(406, abs=2)
    assert shapes.paths["a"].startswith("M0.0 ")
    assert shapes.paths["a"].endswith("Z")


def test_parts_and_holes(tmp_path):
    hole = [[0.5, 60.2], [1, 60.2], [1, 60.6], [0.5, 60.2]]
    parts = [[SQUARE, hole], [[[3, 60], [4, 60], [4, 61], [3, 60]]]]
    shapes = load_shapes(file(tmp_path, feature("a", "MultiPolygon", parts)), "name")
    assert shapes.paths["a"].count("M") == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "is no JSON"),
        ('{"features": 3}', "has no features"),
        ('{"features": []}', "has no polygons"),
        (json.dumps({"features": [feature("a", "Point", [1, 2])]}), "something else than polygons"),
        (json.dumps({"features": [feature("a", "Polygon", [[["x", 2]]])]}), "something else than polygons"),
        ('{"features": [{"properties": {"county": "a"}}]}', "no property name"),
    ],
)
def test_what_is_no_map(tmp_path, content, said):
    path = tmp_path / "map.geojson"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        load_shapes(path, "name")


def test_a_map_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_shapes(tmp_path / "none", "name")
