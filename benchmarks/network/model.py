"""The model of a study over lines: bytes and seconds by rows, features, bandwidth and delay, and what it gives elsewhere.

Of each exchange: bytes = a + b rows + c rows features, each way; seconds without limits = d + e rows + f rows features; and
over a line, besides, u x round trips of that exchange, and v x bytes both ways by the bandwidth. u and v are common to all
exchanges, and no number is below zero (least squares with that bound, Lawson & Hanson 1974). Rows of the second count
grow as those of the first; a Gram matrix would have a sample of at most 200,000 rows, and is not part of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

SHAPE = (800_000, 1_500)
"""Rows, and features a party, of the public test."""
MEGABITS, MILLISECONDS = 100.0, 50.0

Row = dict[str, Any]


def exchange_names(rows: Sequence[Row]) -> list[str]:
    """The exchanges of a study in order; the second of a name is numbered."""
    return [name for name, _ in _numbered(rows[0])]


def _numbered(row: Row) -> list[tuple[str, Row]]:
    seen: dict[str, int] = {}
    out = []
    for e in row["exchanges"]:
        seen[e["action"]] = seen.get(e["action"], 0) + 1
        count = seen[e["action"]]
        out.append((e["action"] if count == 1 else f"{e['action']} {count}", e))
    return out


def _size(rows: float, features: float) -> list[float]:
    """What bytes and seconds grow with, of about one size each."""
    return [1.0, rows / 1e4, rows * features / 1e6]


def _bytes(e: Row) -> float:
    return float(e["up"] + e["down"])


def fit(rows: Sequence[Row]) -> dict[str, Any]:
    """The model of measured studies."""
    free = [r for r in rows if not r["megabits"]]
    slow = [r for r in rows if r["megabits"]]
    names = exchange_names(rows)
    by_free = [dict(_numbered(r)) for r in free]
    design = np.array([_size(r["rows"], r["features"]) for r in free])
    model: dict[str, Any] = {"exchanges": {}}
    for name in names:
        moved = nnls(design, np.array([_bytes(b[name]) / 1e6 for b in by_free]))[0]
        work = nnls(design, np.array([b[name]["seconds"] for b in by_free]))[0]
        model["exchanges"][name] = {"megabytes": moved.tolist(), "seconds": work.tolist()}
    # Between exchanges: what the whole took beyond them.
    rest = [r["seconds"] - sum(e["seconds"] for e in r["exchanges"]) for r in free]
    model["between"] = nnls(design, np.maximum(rest, 0.0))[0].tolist()
    without = {(r["rows"], r["features"]): r["seconds"] for r in free}
    extra, about = [], []
    for r in slow:
        extra.append(r["seconds"] - without[r["rows"], r["features"]])
        moved = sum(map(_bytes, r["exchanges"])) * 8e-6 / r["megabits"]
        about.append([len(r["exchanges"]) * r["milliseconds"] / 1000, moved])
    trips, share = nnls(np.array(about), np.maximum(extra, 0.0))[0]
    return {**model, "round_trips_an_exchange": float(trips), "seconds_a_second_of_bytes": float(share)}


def predicted(
    model: dict[str, Any], rows: float, features: float, megabits: float, milliseconds: float
) -> Row:
    """Seconds and megabytes of a study, and those of each exchange."""
    size = np.array(_size(rows, features))
    parts = {}
    for name, e in model["exchanges"].items():
        megabytes = float(size @ e["megabytes"])
        line = model["seconds_a_second_of_bytes"] * megabytes * 8 / megabits if megabits else 0.0
        line += model["round_trips_an_exchange"] * milliseconds / 1000
        parts[name] = {"megabytes": megabytes, "work_s": float(size @ e["seconds"]), "line_s": line}
    between = float(size @ model["between"])
    seconds = between + sum(p["work_s"] + p["line_s"] for p in parts.values())
    return {"seconds": seconds, "megabytes": sum(p["megabytes"] for p in parts.values()), "exchanges": parts}


def fitted(rows: Sequence[Row], held_back: tuple[int, int]) -> Row:
    """Measurements, the model without the size that is held back, its error there, and what it gives for the shape."""
    known = [r for r in rows if (r["rows"], r["features"]) != held_back]
    model = fit(known)
    checks = []
    for r in rows:
        if (r["rows"], r["features"]) == held_back:
            said = predicted(model, r["rows"], r["features"], r["megabits"], r["milliseconds"])
            moved = sum(map(_bytes, r["exchanges"])) / 1e6
            checks.append(
                {
                    "megabits": r["megabits"],
                    "seconds": r["seconds"],
                    "said": said["seconds"],
                    "megabytes": moved,
                    "said_megabytes": said["megabytes"],
                    "seconds_error": said["seconds"] / r["seconds"] - 1,
                    "megabytes_error": said["megabytes"] / moved - 1,
                }
            )
    whole = fit(rows)
    worst = max(max(abs(c["seconds_error"]), abs(c["megabytes_error"])) for c in checks)
    return {
        "rows": list(rows),
        "model": whole,
        "held_back": {"rows": held_back[0], "features": held_back[1], "error": worst, "checks": checks},
        "shape": {
            "rows": SHAPE[0],
            "features": SHAPE[1],
            "over_lines": predicted(whole, *SHAPE, MEGABITS, MILLISECONDS),
            "without_limit": predicted(whole, *SHAPE, 0.0, 0.0),
        },
    }


def as_table(found: Row) -> str:
    """Measurements, the check and the shape as Markdown."""
    lines = ["| rows | features a party | line | seconds | MB |", "| ---: | ---: | --- | ---: | ---: |"]
    for r in found["rows"]:
        line = f"{r['megabits']:g} Mb/s, {r['milliseconds']:g} ms" if r["megabits"] else "no limit"
        moved = sum(map(_bytes, r["exchanges"])) / 1e6
        lines.append(f"| {r['rows']:,} | {r['features']} | {line} | {r['seconds']:.0f} | {moved:.0f} |")
    held = found["held_back"]
    lines += ["", f"Held back: {held['rows']:,} x {held['features']}.", ""]
    for c in held["checks"]:
        lines.append(
            f"- {c['megabits']:g} Mb/s: said {c['said']:.0f} s, measured {c['seconds']:.0f} ({c['seconds_error']:+.0%}); "
            f"said {c['said_megabytes']:.0f} MB, measured {c['megabytes']:.0f} ({c['megabytes_error']:+.0%})"
        )
    shape, over = found["shape"], found["shape"]["over_lines"]
    lines += [
        "",
        f"| {shape['rows']:,} x {shape['features']:,}: exchange | GB | line, s | work, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, p in sorted(over["exchanges"].items(), key=lambda item: -item[1]["line_s"] - item[1]["work_s"]):
        lines.append(f"| {name} | {p['megabytes'] / 1000:.2f} | {p['line_s']:.0f} | {p['work_s']:.0f} |")
    lines.append(f"| all | {over['megabytes'] / 1000:.1f} | {over['seconds']:.0f} together | |")
    return "\n".join(lines)
