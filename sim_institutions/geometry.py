"""``python -m sim_institutions.geometry``: writes counties.geojson, where the counties lie: a made-up map.

An oval is cut into 11 prefectures, and each of these into its counties, by power diagrams (Aurenhammer 1987) whose
sites move to the middle of their cells (Lloyd 1982) while their weights make the areas as wanted. So counties of one
prefecture lie together. A smooth distortion of the plane then makes borders look grown. Neighbours share every point of
their common border.
"""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim_institutions.geography import COUNTIES, COUNTIES_OF_PREFECTURES, PREFECTURE_OF_COUNTY, PREFECTURES
from sim_institutions.random_streams import stream

MAP = Path(__file__).parent / "counties.geojson"
Points = npt.NDArray[np.float64]

# The map's middle in degrees, and degrees for a unit; no real place has this outline.
MIDDLE, UNIT = (115.7, 27.6), (2.2, 2.6)
CORNERS, STEPS, PIECES, DIGITS = 40, 120, 3, 4
# Points closer than this are the same.
SAME = 1e-7


def counties() -> dict[str, Any]:
    """A GeoJSON FeatureCollection (RFC 7946): one polygon for each county, with county, prefecture and name."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    oval = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cells: list[Points] = []
    for number, area in enumerate(_parts(oval, np.array(COUNTIES_OF_PREFECTURES), "prefectures")):
        rng = stream(1, "geometry", "areas", number)
        cells += _parts(area, rng.uniform(0.7, 1.3, COUNTIES_OF_PREFECTURES[number]), PREFECTURES[number])
    features = [_feature(number, ring) for number, ring in enumerate(_borders(cells))]
    return {"type": "FeatureCollection", "features": features}


def write_counties(path: Path) -> None:
    """Write the map that is kept beside this file, since drawing it takes some seconds."""
    shutil.copyfile(MAP, path)


def _feature(number: int, ring: Points) -> dict[str, Any]:
    prefecture = PREFECTURES[PREFECTURE_OF_COUNTY[number]]
    points = [[round(float(x), DIGITS), round(float(y), DIGITS)] for x, y in ring]
    name = f"County {int(COUNTIES[number][-2:])} of prefecture {int(prefecture[1:])}"
    return {
        "type": "Feature",
        "properties": {"county": COUNTIES[number], "prefecture": prefecture, "name": name},
        "geometry": {"type": "Polygon", "coordinates": [[*points, points[0]]]},
    }


def _parts(area: Points, sizes: npt.NDArray[Any], name: str) -> list[Points]:
    """A convex polygon cut into convex ones whose areas are as ``sizes``, about."""
    rng, n = stream(1, "geometry", name), len(sizes)
    wanted = sizes / sizes.sum() * _area(area)
    sites = _middle(area) + 0.3 * np.sqrt(_area(area)) * rng.uniform(-1, 1, (n, 2))
    weights = np.zeros(n)
    for _ in range(STEPS):
        cells = _power_cells(area, sites, weights)
        areas = np.array([_area(cell) if len(cell) else 0.0 for cell in cells])
        sites = np.array([_middle(c) if len(c) else s for c, s in zip(cells, sites, strict=True)])
        weights = weights + 0.3 * (wanted - areas) / np.pi
    return _power_cells(area, sites, weights)


def _power_cells(area: Points, sites: Points, weights: Points) -> list[Points]:
    """Of each site the part of the area where its squared distance less its weight is the least."""
    cells = []
    for i, site in enumerate(sites):
        cell = area
        for j, other in enumerate(sites):
            if i == j or not len(cell):
                continue
            normal = 2 * (other - site)
            most = other @ other - weights[j] - site @ site + weights[i]
            cell = _clipped(cell, normal, most)
        cells.append(cell)
    return cells


def _clipped(polygon: Points, normal: Points, most: float) -> Points:
    """The part of a convex polygon where normal . x <= most (Sutherland & Hodgman 1974)."""
    beyond = polygon @ normal - most
    out = []
    for k in range(len(polygon)):
        here, there = beyond[k - 1], beyond[k]
        if (here > 0) != (there > 0):
            out.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * here / (here - there))
        if there <= 0:
            out.append(polygon[k])
    return np.array(out)


def _area(polygon: Points) -> float:
    x, y = polygon.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _middle(polygon: Points) -> Points:
    x, y = polygon.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    both = (polygon + np.roll(polygon, -1, axis=0)) * cross[:, None]
    return np.asarray(both.sum(axis=0) / (3 * cross.sum()))


def _borders(cells: list[Points]) -> list[Points]:
    """Rings whose points are those of all neighbours too, distorted alike, in degrees."""
    corners = _distinct(np.concatenate(cells))
    out = []
    for cell in cells:
        ring = [_nearest(point, corners) for point in cell]
        ring = [point for k, point in enumerate(ring) if np.abs(point - ring[k - 1]).max() > SAME]
        points = [p for k in range(len(ring)) for p in _edge(ring[k - 1], ring[k], corners)]
        out.append(_distorted(np.array(points)))
    return out


def _distinct(points: Points) -> Points:
    kept: list[Points] = []
    for point in points:
        if not kept or np.abs(np.array(kept) - point).max(axis=1).min() > SAME:
            kept.append(point)
    return np.array(kept)


def _nearest(point: Points, corners: Points) -> Points:
    return np.asarray(corners[np.abs(corners - point).max(axis=1).argmin()])


def _edge(start: Points, end: Points, corners: Points) -> list[Points]:
    """Points from start to before end: neighbours' corners in between, and points that divide the pieces evenly."""
    along = end - start
    at = (corners - start) @ along / (along @ along)
    off = np.abs(corners - start - at[:, None] * along).max(axis=1)
    between = np.flatnonzero((off < SAME) & (at > 1e-6) & (at < 1 - 1e-6))
    stops = [start, *corners[between[np.argsort(at[between])]], end]
    out = []
    for first, last in itertools.pairwise(stops):
        # From the smaller end, so that both neighbours compute the same points.
        turned = tuple(first) > tuple(last)
        low, high = (last, first) if turned else (first, last)
        pieces = [low + (high - low) * k / PIECES for k in range(PIECES + 1)]
        out += (pieces[::-1] if turned else pieces)[:PIECES]
    return out


def _distorted(points: Points) -> Points:
    """A smooth map of the plane onto itself that keeps neighbours apart."""
    x, y = points.T
    moved_x = x + 0.10 * np.sin(2.1 * y + 0.7) + 0.03 * np.sin(7 * y + 3 * x) + 0.012 * np.sin(19 * y + 5)
    moved_y = y + 0.08 * np.sin(2.7 * x - 0.4) + 0.03 * np.cos(6 * x - 4 * y) + 0.012 * np.sin(21 * x + 2)
    return np.stack([MIDDLE[0] + UNIT[0] * moved_x, MIDDLE[1] + UNIT[1] * moved_y], axis=1)


if __name__ == "__main__":
    MAP.write_text(json.dumps(counties(), separators=(",", ":")) + "\n", encoding="utf-8")
