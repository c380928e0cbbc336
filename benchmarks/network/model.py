"""The model of a study over lines: bytes, processors and waiting, each by rules of their own, and what they give elsewhere.

R rows of the bank, T of them trained on, C columns of the holder: all F in the first count, the chosen ones in the second.

- **Bytes** of each exchange, each way: a + b C + c R + d T C. They are exact and do not depend on the machine.
- **Processor seconds** of hub, bank and holder: work, which has the same four terms with C = F, and p x seconds of the
  study, in which they look for messages again and again. A loaded machine changes work little.
- **Waiting for the line**: v x 8 bytes / bandwidth + u x exchanges x round trip. v and u are measured where the line has a
  bandwidth alone and a delay alone, so slow that they are far above what other work on the machine adds.
- **Other waiting** (a node asks, a process starts): the same for every size.

- **Far beyond what is measured** (`shape`) the rate h of T F in processor seconds is the least sure, so that there are two answers: by
  that rate, and by parts, where in its place stand the masked columns, from one block of the very width (wide.py), and the
  carrying of a large message, by the megabyte. The second leaves out what else grows with T F.

Coefficients are not negative (least squares with that bound, Lawson & Hanson 1974). Nothing is extrapolated from a clock but
u and v. The Gram matrix, which a study of more defaults has in place of the second count, is worked out in :func:`gram`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

SHAPE = (800_000, 1_500)
"""Rows, and features a party, of the public test."""
MEGABITS, MILLISECONDS = 100.0, 50.0
TRAINED = 0.7
"""Share of the rows that are trained on: 30 % are the hold-out."""
WAYS = ("up", "down")
PARTIES = ("hub", "bank", "holder")
SECOND = ("mask 2", "release 2")
"""Exchanges of the second count."""
MODES = 4
"""Shape columns of a feature in the Gram matrix: its curve, and three modes."""

Row = dict[str, Any]


def numbered(exchanges: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The exchanges of a study in order; the second of a name is numbered.

    >>> list(numbered([{"action": "mask"}, {"action": "release"}, {"action": "mask"}]))
    ['mask', 'release', 'mask 2']
    """
    out: dict[str, Mapping[str, Any]] = {}
    for e in exchanges:
        count = 1 + sum(other["action"] == e["action"] for other in out.values())
        out[e["action"] if count == 1 else f"{e['action']} {count}"] = e
    return out


def terms(row: Mapping[str, Any], name: str = "") -> list[float]:
    """What bytes and processor seconds grow with, of about one size each: 1, C, R, T C."""
    columns = row["recounted"] if name in SECOND else row["features"]
    return [1.0, columns / 1e2, row["rows"] / 1e4, row["training"] * columns / 1e6]


def megabytes(row: Mapping[str, Any]) -> float:
    """All that a measured study sent, as the hub counts it."""
    return float(sum(e["up"] + e["down"] for e in row["exchanges"])) / 1e6


def fit(rows: Sequence[Row]) -> Row:
    """The model of measured studies; ValueError without those that say what a delay and a bandwidth cost."""
    model: Row = {"exchanges": {}, "processors": {}}
    for name in numbered(rows[0]["exchanges"]):
        design = np.array([terms(r, name) for r in rows])
        found = [numbered(r["exchanges"])[name] for r in rows]
        model["exchanges"][name] = {
            way: nnls(design, np.array([e[way] / 1e6 for e in found]))[0].tolist() for way in WAYS
        }
    design = np.array([[*terms(r), r["seconds"] / 100] for r in rows])
    for party in PARTIES:
        spent = np.array([r["processors"][party] for r in rows])
        model["processors"][party] = nnls(design, spent)[0].tolist()
    free = [r for r in rows if not r["megabits"] and not r["milliseconds"]]
    model["other_waiting_s"] = median(max(0.0, r["seconds"] - sum(_work(model, r).values())) for r in free)
    return {**model, **_of_line(rows, free)}


def _work(model: Row, size: Mapping[str, Any]) -> dict[str, float]:
    return {p: float(np.dot(terms(size), c[:-1])) for p, c in model["processors"].items()}


def _of_line(rows: Sequence[Row], free: Sequence[Row]) -> Row:
    """Round trips an exchange, and seconds a second of bytes over bandwidth, against the same size without a limit."""
    without = {(r["rows"], r["features"]): r["seconds"] for r in free}
    extra = {
        bool(r["megabits"]): (r, r["seconds"] - without[r["rows"], r["features"]])
        for r in rows
        if bool(r["megabits"]) != bool(r["milliseconds"]) and (r["rows"], r["features"]) in without
    }
    if set(extra) != {True, False}:
        raise ValueError(
            "one study over a bandwidth alone, and one over a delay alone, of a size without limits"
        )
    (delayed, trips), (narrow, share) = extra[False], extra[True]
    return {
        "round_trips_an_exchange": max(0.0, trips)
        / (len(delayed["exchanges"]) * delayed["milliseconds"] / 1000),
        # Small messages of two members overlap; one large one cannot take less than its time.
        "seconds_a_second_of_bytes": max(1.0, share / (megabytes(narrow) * 8 / narrow["megabits"])),
    }


def predicted(
    model: Row, size: Mapping[str, Any], megabits: float, milliseconds: float, took: float | None = None
) -> Row:
    """Megabytes of each exchange, processor seconds of each party, waiting, and all of it one after the other.

    size: rows, training, features and recounted. took: seconds of the whole, where they were measured. work: processor
    seconds without those of looking for messages, which go by beside it.
    """
    parts = {}
    for name, e in model["exchanges"].items():
        up, down = (float(np.dot(terms(size, name), e[way])) for way in WAYS)
        line = model["seconds_a_second_of_bytes"] * (up + down) * 8 / megabits if megabits else 0.0
        line += model["round_trips_an_exchange"] * milliseconds / 1000
        parts[name] = {"up_mb": up, "down_mb": down, "line_s": line}
    line = sum(p["line_s"] for p in parts.values())
    work = _work(model, size)
    seconds = line + sum(work.values()) + model["other_waiting_s"]
    whole = seconds if took is None else took
    looking = {p: c[-1] * whole / 100 for p, c in model["processors"].items()}
    return {
        "megabytes": sum(p["up_mb"] + p["down_mb"] for p in parts.values()),
        "line_s": line,
        "work": work,
        "processors": {p: work[p] + looking[p] for p in PARTIES},
        "other_waiting_s": model["other_waiting_s"],
        "seconds": seconds,
        "exchanges": parts,
    }


def shape_size(rows: int = SHAPE[0], features: int = SHAPE[1]) -> Row:
    """The public test's size: of all columns of both parties the stronger half is counted again, half of it the holder's."""
    return {
        "rows": rows,
        "features": features,
        "training": round(TRAINED * rows),
        "recounted": features // 2,
    }


def gram(features: int, rows: int) -> Row:
    """What a Gram matrix of all columns of both parties would be; rows: of its sample."""
    columns = MODES * features
    return {
        "columns": 2 * columns,
        "entries_between": columns * columns,
        "gigabytes": (2 * columns) ** 2 * 8 / 1e9,
        "masked_gigabytes": 2 * rows * columns * 8 / 1e9,
    }


def fitted(rows: Sequence[Row], held_back: tuple[int, int], products: Row, carrying: float) -> Row:
    """Measurements, the model without the size that is held back, its errors there, and what it gives for the shape.

    products: processor seconds of each party for the shape's masked columns. carrying: seconds to carry a megabyte.
    """
    known = [r for r in rows if (r["rows"], r["features"]) != held_back]
    held = [r for r in rows if (r["rows"], r["features"]) == held_back]
    model = fit(known)
    checks = [_check(model, r) for r in held]
    size = shape_size()
    over = predicted(model, size, MEGABITS, MILLISECONDS)
    small = _work(model, {**size, "training": 0})
    rest = over["line_s"] + over["other_waiting_s"] + sum(small.values())
    return {
        "rows": list(rows),
        "model": model,
        "held_back": {
            "rows": held_back[0],
            "features": held_back[1],
            "bytes_error": max(abs(c["bytes_error"]) for c in checks),
            "largest_exchange_error": max(abs(c["largest_exchange_error"]) for c in checks),
            "processors_error": max(abs(c["processors_error"]) for c in checks),
            "checks": checks,
            **_line_check(model, held),
        },
        "shape": {
            **size,
            "over_lines": over,
            "products": products,
            "carrying_s_a_mb": carrying,
            "small": small,
            "seconds_by_parts": rest + sum(products.values()) + carrying * over["megabytes"],
            "seconds_by_rate": over["seconds"],
            "gram": gram(size["features"], 200_000),
        },
    }


def _check(model: Row, r: Row) -> Row:
    said = predicted(model, r, r["megabits"], r["milliseconds"], r["seconds"])
    found = numbered(r["exchanges"])
    largest = max(found, key=lambda n: found[n]["up"] + found[n]["down"])
    moved = (found[largest]["up"] + found[largest]["down"]) / 1e6
    of_it = said["exchanges"][largest]["up_mb"] + said["exchanges"][largest]["down_mb"]
    work, said_work = sum(r["processors"].values()), sum(said["processors"].values())
    return {
        "megabits": r["megabits"],
        "milliseconds": r["milliseconds"],
        "megabytes": megabytes(r),
        "said_megabytes": said["megabytes"],
        "bytes_error": said["megabytes"] / megabytes(r) - 1,
        "largest_exchange": largest,
        "largest_exchange_error": of_it / moved - 1,
        "processor_s": work,
        "said_processor_s": said_work,
        "processors_error": said_work / work - 1,
        "seconds": r["seconds"],
        "said_line_s": said["line_s"],
    }


def _line_check(model: Row, held: Sequence[Row]) -> Row:
    """What the line added by the clock at the size held back, and what was said; empty where it was not run both ways."""
    slow = [r for r in held if r["megabits"] and r["milliseconds"]]
    free = [r for r in held if not r["megabits"] and not r["milliseconds"]]
    if not slow or not free:
        return {}
    said = predicted(model, slow[0], slow[0]["megabits"], slow[0]["milliseconds"])["line_s"]
    return {"line_s": slow[0]["seconds"] - free[0]["seconds"], "said_line_s": said}


def as_table(found: Row) -> str:
    """Measurements, the checks and the shape as Markdown."""
    lines = [
        "| rows | features a party | line | MB | processor seconds: hub, bank, holder | seconds by the clock | load |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for r in found["rows"]:
        work = ", ".join(f"{r['processors'][p]:.1f}" for p in PARTIES)
        lines.append(
            f"| {r['rows']:,} | {r['features']} | {_line(r)} | {megabytes(r):.2f} | {work} | {r['seconds']:.0f} | {r['load']:.0f} |"
        )
    model = found["model"]
    lines += [
        "",
        f"A delay costs {model['round_trips_an_exchange']:.1f} round trips an exchange, bytes "
        f"{model['seconds_a_second_of_bytes']:.2f} of their time on the bare line.",
        *_held_lines(found["held_back"]),
        *_shape_lines(found["shape"]),
    ]
    return "\n".join(lines)


def _line(r: Row) -> str:
    said = [f"{r['megabits']:g} Mb/s"] if r["megabits"] else []
    said += [f"{r['milliseconds']:g} ms"] if r["milliseconds"] else []
    return ", ".join(said) or "no limit"


def _held_lines(held: Row) -> list[str]:
    lines = ["", f"Held back: {held['rows']:,} x {held['features']}.", ""]
    for c in held["checks"]:
        lines.append(
            f"- {_line(c)}: said {c['said_megabytes']:.2f} MB, measured {c['megabytes']:.2f} ({c['bytes_error']:+.2%}; "
            f"{c['largest_exchange']}, the largest exchange, {c['largest_exchange_error']:+.2%}); said "
            f"{c['said_processor_s']:.0f} processor seconds, measured {c['processor_s']:.0f} ({c['processors_error']:+.0%})"
        )
    if "line_s" in held:
        lines.append(
            f"- the line adds: said {held['said_line_s']:.0f} s, by the clock {held['line_s']:.0f} s"
        )
    return lines


def _shape_lines(shape: Row) -> list[str]:
    over = shape["over_lines"]
    head = f"| {shape['rows']:,} x {shape['features']:,}: exchange | GB to the hub | GB from the hub | waiting for the line, s |"
    lines = ["", head, "| --- | ---: | ---: | ---: |"]
    for name, p in over["exchanges"].items():
        lines.append(f"| {name} | {p['up_mb'] / 1e3:.3f} | {p['down_mb'] / 1e3:.3f} | {p['line_s']:.0f} |")
    carried = shape["carrying_s_a_mb"] * over["megabytes"]
    rate = {p: over["work"][p] - shape["small"][p] for p in PARTIES}
    return [
        *lines,
        f"| all | {over['megabytes'] / 1000:.1f} together | | {over['line_s']:,.0f} |",
        "",
        "| seconds at the shape | by parts | by the rate of T F |",
        "| --- | ---: | ---: |",
        f"| waiting for the line | {over['line_s']:,.0f} | {over['line_s']:,.0f} |",
        f"| masks, envelopes and products ({_each(shape['products'])}) | {sum(shape['products'].values()):,.0f} | |",
        f"| carrying messages, at {shape['carrying_s_a_mb']:.3f} s a MB | {carried:,.0f} | |",
        f"| all that grows with T F ({_each(rate)}) | | {sum(rate.values()):,.0f} |",
        f"| what grows with R or F alone ({_each(shape['small'])}) | {sum(shape['small'].values()):,.0f} | "
        f"{sum(shape['small'].values()):,.0f} |",
        f"| other waiting | {over['other_waiting_s']:.0f} | {over['other_waiting_s']:.0f} |",
        f"| all of it one after the other | **{shape['seconds_by_parts']:,.0f}** ({shape['seconds_by_parts'] / 3600:.1f} h) | "
        f"**{shape['seconds_by_rate']:,.0f}** ({shape['seconds_by_rate'] / 3600:.1f} h) |",
    ]


def _each(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{party} {spent:,.0f}" for party, spent in seconds.items())
