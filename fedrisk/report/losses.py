"""Shares of losses for people: a page (losses.html), a table of segments (losses.csv) and everything as JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrisk.analysis.loss_report import LossReport
from fedrisk.analysis.loss_rules import Layer, LossRules
from fedrisk.analysis.loss_sharing import ADEQUATE, Bearing, Change, LossShares, PoolFigures
from fedrisk.files import write_atomic
from fedrisk.report.page import render_page
from fedrisk.study import NO_PRIVACY

PAGE, TABLE, PLAIN = "losses.html", "losses.csv", "losses.json"
COLOURS = ("#2b5d8a", "#3f7d58", "#b3541e", "#7a5c99", "#8a7a2b", "#566677", "#a23b5a", "#2b8a86")
_WIDTH, _PLOT = 620, 150


def yuan(fen: int) -> str:
    """An amount to the fen.

    >>> yuan(123456789), yuan(-5)
    ('1,234,567.89', '−0.05')
    """
    sign = "−" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def about(fen: int) -> str:
    """An amount in words, to three digits or four.

    >>> about(2182507193600), about(45_600), about(-123456700)
    ('21.83 billion yuan', '456 yuan', '−1.23 million yuan')
    """
    number, unit = _scaled(fen, _unit(fen))
    return f"{number} {unit}"


def between(low: int, high: int) -> str:
    """An interval of amounts, in one unit.

    >>> between(91_000_000, 2182507193600)
    '0.00 to 21.83 billion yuan'
    """
    size = _unit(max(low, high, key=abs))
    (first, unit), (second, _) = _scaled(low, size), _scaled(high, size)
    return f"{first} to {second} {unit}"


_UNITS = ((1e9, "billion yuan"), (1e6, "million yuan"))


def _unit(fen: int) -> tuple[float, str]:
    return next(((size, word) for size, word in _UNITS if abs(fen) / 100 >= 0.9995 * size), (1.0, "yuan"))


def _scaled(fen: int, unit: tuple[float, str]) -> tuple[str, str]:
    size, word = unit
    text = f"{abs(fen) / 100 / size:,.2f}" if size > 1 else f"{abs(fen) / 100:,.0f}"
    return f"{'−' if fen < 0 else ''}{text}", word


def rate(part: int, whole: int) -> str:
    """A share in per cent, or a dash."""
    return f"{part / whole:.2%}" if whole > 0 else "–"


def chance(value: float) -> str:
    """A chance in per cent; none is said to be 0 or 1.

    >>> chance(0.9999), chance(0.42), chance(0.0)
    ('over 99.9%', '42.0%', 'under 0.1%')
    """
    return "under 0.1%" if value < 0.001 else "over 99.9%" if value > 0.999 else f"{value:.1%}"


def verdict(report: LossReport) -> list[str]:
    """What the figures come to, the expected loss first."""
    shares, total = report.shares, report.shares.total
    said = [
        f"An expected loss of {about(total.expected)} ({between(total.low, total.high)} by the noise), "
        f"{rate(total.expected, shares.exposure)} of an exposure of {about(shares.exposure)}."
    ]
    if shares.pool is not None:
        said.append(pool_words(shares.pool))
    if shares.stop_chance is not None and shares.rules.stop is not None:
        stop = shares.rules.stop
        what = "compensation stops" if stop.ends == "compensation" else "new business stops"
        said.append(f"In {chance(shares.stop_chance)} of the years drawn {what} (above {stop.rate:.1%}).")
    return said


def pool_words(pool: PoolFigures) -> str:
    """Whether the compensation fund is enough, in a sentence."""
    held = [f"{level:.0%}" for level, holds in zip(ADEQUATE, pool.adequate, strict=True) if holds]
    missed = [
        f"{level:.0%} (short by {about(quantile - pool.size)})"
        for level, quantile in zip(ADEQUATE, pool.quantiles, strict=True)
        if quantile > pool.size
    ]
    words = f"The pool of {about(pool.size)} pays all claims in {chance(pool.enough)} of the years drawn"
    enough = f"enough at {' and '.join(held)}" if held else ""
    short = f"not enough at {' and '.join(missed)}" if missed else ""
    return f"{words}: {', '.join(filter(None, (enough, short)))}."


def write_losses(report: LossReport, folder: Path) -> list[Path]:
    """Write page, table and JSON into a folder; StoreError where the disk does not take them."""
    files = {
        PAGE: render(report),
        TABLE: table(report.shares),
        PLAIN: json.dumps(report.to_dict(), indent=1, ensure_ascii=False),
    }
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in files]


def table(shares: LossShares) -> str:
    """Segments by parties in yuan, as CSV; cells that say less than their noise are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["segment", "exposure", "expected_loss", "low", "high", *shares.rules.names])
    for segment in shares.segments:
        figures = (segment.exposure, segment.expected, segment.low, segment.high, *segment.parts)
        writer.writerow([segment.title, *(f"{f / 100:.2f}" if segment.says else "" for f in figures)])
    return out.getvalue()


def render(report: LossReport) -> str:
    """The page."""
    shares = report.shares
    both = [one for one in (shares, report.other) if one is not None]
    names = dict.fromkeys(name for one in both for name in one.rules.names)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    return render_page(
        "losses.html.jinja",
        filters={"yuan": yuan, "about": about, "chance": chance},
        rate=rate,
        between=between,
        notice=NO_PRIVACY if report.research else None,
        r=report,
        shares=shares,
        rules=shares.rules,
        verdict=verdict(report),
        adequate=[f"{level:.0%}" for level in ADEQUATE],
        bars=[_stack(one, colours) for one in both],
        colours=colours,
        whiskers=_whiskers(shares.parties),
        curve=None if shares.pool is None else _curve(shares.pool),
        moves=_moves(report.changes),
        layers=[
            (s.title or s.name, s, [layer_words(shares.rules, x) for x in s.layers])
            for s in shares.rules.segments
        ],
        tested=report.tested,
    )


def layer_words(rules: LossRules, layer: Layer) -> str:
    """One layer as a sentence."""
    parts = ", ".join(f"{rules.title_of(p)} {s:.4g}" for p, s in _per_cent(layer).items())
    if layer.up_to_yuan is not None:
        return f"up to {layer.up_to_yuan:,.2f} yuan: {parts}"
    return f"up to {layer.up_to:.4g} of the exposure: {parts}" if layer.up_to is not None else parts


def _per_cent(layer: Layer) -> dict[str, Any]:
    return {p: _Percent(100 * s) for p, s in layer.shares.items() if s > 0}


class _Percent(float):
    """A float that is written with its sign of per cent."""

    def __format__(self, spec: str) -> str:
        return f"{float(self).__format__(spec)} %"


def _stack(shares: LossShares, colours: Mapping[str, str]) -> dict[str, Any]:
    """One stacked bar of who bears what: left end and width of each party in per cent."""
    parts, left = [], 0.0
    whole = max(shares.total.expected, 1)
    for party in shares.parties:
        width = 100 * party.expected / whole
        parts.append({"title": party.title, "left": left, "width": width, "colour": colours[party.name]})
        left += width
    return {"title": shares.rules.title or shares.rules.name, "parts": parts}


def _whiskers(parties: Sequence[Bearing]) -> list[dict[str, Any]]:
    """For each party: expected loss, its interval by the noise, and the loss to come, on one scale (0 to 100)."""
    top = max([1, *(p.most for p in parties), *(p.high for p in parties)])
    return [
        {
            "expected": 100 * p.expected / top,
            "low": 100 * p.low / top,
            "wide": 100 * (p.high - p.low) / top,
            "least": 100 * p.least / top,
            "come": 100 * (p.most - p.least) / top,
        }
        for p in parties
    ]


def _curve(pool: PoolFigures) -> dict[str, Any]:
    """Chance that claims stay below an amount, as a line in a box; where the pool and the two quantiles are."""
    top = max(pool.size, *pool.quantiles, 1) * 1.08

    def across(amount: float) -> float:
        return round(_WIDTH * min(amount / top, 1.0), 1)

    points = " ".join(f"{across(c)},{round(_PLOT * (1 - k / 100), 1)}" for k, c in enumerate(pool.curve, 1))
    marks = [
        {"x": across(q), "y": round(_PLOT * (1 - level), 1), "text": f"{level:.0%}"}
        for level, q in zip(ADEQUATE, pool.quantiles, strict=True)
    ]
    return {"points": points, "pool": across(pool.size), "marks": marks, "width": _WIDTH, "height": _PLOT}


def _moves(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Bars of changes about the middle, per cent of half a box."""
    top = max([1, *(abs(c.change) for c in changes)])
    return [{"change": c, "width": round(50 * abs(c.change) / top, 1), "more": c.change > 0} for c in changes]
