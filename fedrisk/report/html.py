"""The report of a study as one HTML file without anything from outside."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from fedrisk.errors import StoreError
from fedrisk.models.scorecard import Scorecard
from fedrisk.report.text import beside_rows, grouped, number, own_models, privacy_words, training_rows
from fedrisk.server.results import Results


def write_report(results: Results, folder: Path) -> Path:
    """Write ``report.html`` into the folder of a run; StoreError names the folder."""
    path = folder / "report.html"
    try:
        path.write_text(render(results), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the report cannot be written to {folder}: {error.strerror}") from None
    return path


def render(results: Results) -> str:
    """The report as a page."""
    environment = Environment(loader=PackageLoader("fedrisk.report"), autoescape=True)
    environment.filters["number"] = number
    m = results.metrics
    return environment.get_template("report.html.jinja").render(
        m=m,
        card=results.card,
        privacy=privacy_words(m),
        features=[] if results.card is None else _features(results, results.card),
        spends=grouped(m["spends"]),
        own_models=own_models(m),
        training=training_rows(m["training"]) if m.get("training") else [],
        beside=beside_rows(m) if m.get("beside") else [],
        norms=_norms(m.get("training")),
        calibration=_calibration(m["calibration"]),
        selection=[(n, i["label"]) for n, i in m["institutions"].items() if i["label"]],
    )


def _norms(training: dict[str, Any] | None) -> str | None:
    """Points of the line of step lengths in a box of 560 by 90 units."""
    norms = [] if training is None else training["norms"]
    if len(norms) < 2:
        return None
    top = max(norms) or 1.0
    return " ".join(f"{560 * k / (len(norms) - 1):.1f},{90 - 86 * v / top:.1f}" for k, v in enumerate(norms))


def _features(results: Results, card: Scorecard) -> list[dict[str, Any]]:
    """Features by the spread of their points, each bin with a bar relative to the widest one."""
    widest = (
        max(max(abs(p - a) for p in points) for points, a in zip(card.points, card.averages, strict=True))
        or 1
    )
    table = []
    for b, points, average in zip(card.bins, card.points, card.averages, strict=True):
        meaning = (
            results.metrics["institutions"].get(_owner(results, b.feature.institution), {}).get("meanings")
            or {}
        )
        bars = [
            (label, p, round(50 * (p - average) / widest, 1))
            for label, p in zip(b.labels(), points, strict=True)
        ]
        table.append(
            {
                "name": b.feature.name,
                "meaning": meaning.get(b.feature.column, {}).get("meaning", ""),
                "spread": max(points) - min(points),
                "bars": bars,
            }
        )
    return sorted(table, key=lambda row: -row["spread"])


def _owner(results: Results, role: str) -> str:
    institutions = results.metrics["institutions"]
    return role if role in institutions else next(n for n, i in institutions.items() if i["role"] == "bank")


def _calibration(rows: list[dict[str, float]] | None) -> dict[str, Any] | None:
    """Points of the calibration plot in a square of 240 units, from the published histogram."""
    # A bin whose noisy count is not positive has no observed rate.
    rows = [r for r in rows or () if r["count"] > 0 and r["observed"] is not None]
    if not rows:
        return None
    top = max(max(r["predicted"], r["observed"]) for r in rows) * 1.05 or 1.0
    most = max(r["count"] for r in rows)
    points = [
        (
            round(240 * r["predicted"] / top, 1),
            round(240 - 240 * r["observed"] / top, 1),
            round(2 + 6 * (r["count"] / most) ** 0.5, 1),
        )
        for r in rows
    ]
    return {"points": points, "top": f"{top:.0%}"}
