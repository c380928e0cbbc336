"""Polygons of a GeoJSON file (RFC 7946) as paths of an SVG drawing."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError

WIDTH = 400.0
"""Width of a drawing, in its own units."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Outlines by category, as the ``d`` of an SVG path, in a box of ``width`` by ``height``."""

    paths: Mapping[str, str]
    width: float
    height: float


def load_shapes(file: Path, name: str) -> Shapes:
    """The polygons of a file, by their property ``name``.

    Longitudes are shortened by the cosine of the middle latitude, so that shapes look as they are. ConfigError where
    the file cannot be read, is no GeoJSON of polygons, or its shapes lack the property.
    """
    rings = _rings(_features(file), file, name)
    points = [p for outlines in rings.values() for ring in outlines for p in ring]
    if not points:
        raise ConfigError(f"map {file} has no polygons; name a GeoJSON file of areas")
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    narrow = math.cos(math.radians((south + north) / 2)) if max(abs(south), abs(north)) <= 90 else 1.0
    scale = WIDTH / max((east - west) * narrow, 1e-12)

    def path(outlines: list[list[tuple[float, float]]]) -> str:
        return "".join(
            "M"
            + "L".join(f"{(x - west) * narrow * scale:.1f} {(north - y) * scale:.1f}" for x, y in ring)
            + "Z"
            for ring in outlines
        )

    return Shapes(
        paths={category: path(outlines) for category, outlines in rings.items()},
        width=WIDTH,
        height=round((north - south) * scale, 1),
    )


def _features(file: Path) -> list[Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"map {file} cannot be read: {error.strerror}; check the path") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"map {file} is no JSON; name a GeoJSON file of areas") from None
    features = content.get("features") if isinstance(content, Mapping) else None
    if not isinstance(features, list):
        raise ConfigError(f"map {file} has no features; name a GeoJSON file (FeatureCollection) of areas")
    return features


def _rings(features: list[Any], file: Path, name: str) -> dict[str, list[list[tuple[float, float]]]]:
    found: dict[str, list[list[tuple[float, float]]]] = {}
    try:
        for feature in features:
            category = feature["properties"][name]
            found.setdefault(str(category), []).extend(_outlines(feature["geometry"]))
    except KeyError:
        known = sorted({k for f in features for k in (f.get("properties") or {})})
        raise ConfigError(
            f"map {file}: a shape has no property {name} or no geometry; property is one of: {', '.join(known)}"
        ) from None
    except (TypeError, ValueError, AttributeError):
        raise ConfigError(
            f"map {file} holds something else than polygons of numbers; mend the file"
        ) from None
    return found


def _outlines(geometry: Any) -> Iterator[list[tuple[float, float]]]:
    polygons = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        polygons = [polygons]
    elif geometry["type"] != "MultiPolygon":
        raise ValueError(geometry["type"])
    for polygon in polygons:
        for ring in polygon:
            points = [(float(point[0]), float(point[1])) for point in ring]
            if not all(math.isfinite(v) for p in points for v in p):
                raise ValueError("not finite")
            yield points
