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
from fedrisk.language import N_, _, language, listed, of_kind
from fedrisk.releases.statistics import UNKNOWN
from fedrisk.report import plots
from fedrisk.report.page import render_page
from fedrisk.report.plots import Plot
from fedrisk.report.words import together
from fedrisk.study import NO_PRIVACY

PAGE, TABLE, PLAIN = "losses.html", "losses.csv", "losses.json"
COLOURS = ("#2b5d8a", "#3f7d58", "#b3541e", "#7a5c99", "#8a7a2b", "#566677", "#a23b5a", "#2b8a86")
_STEPS = {"stop": N_("stop"), "caps": N_("caps"), "pool": N_("pool")}


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
    return number + unit


def between(low: int, high: int) -> str:
    """An interval of amounts, in one unit.

    >>> between(91_000_000, 2182507193600)
    '0.00 to 21.83 billion yuan'
    """
    size = _unit(max(low, high, key=abs))
    first, second = (_scaled(v, size)[0] for v in (low, high))
    return _("{low} to {high}", low=first, high=second) + size[1]


_UNITS = {
    "en": ((1e9, " billion yuan"), (1e6, " million yuan"), (1.0, " yuan")),
    "zh": ((1e8, "亿元"), (1e4, "万元"), (1.0, "元")),
}
"""Units of money by language, the largest first: they go by other powers of ten, so no text is the other's."""


def _unit(fen: int) -> tuple[float, str]:
    units = _UNITS.get(language(), _UNITS["en"])
    return next(((size, word) for size, word in units[:-1] if abs(fen) / 100 >= 0.9995 * size), units[-1])


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
    return _("under 0.1%") if value < 0.001 else _("over 99.9%") if value > 0.999 else f"{value:.1%}"


def whole_title(title: str) -> str:
    """What a party, a segment or a row of a period is called, with words for all and for the unknown."""
    if title == "all together":
        return of_kind("losses", "all together")
    return title.replace(UNKNOWN, _("(unknown)"))


def verdict(report: LossReport) -> list[str]:
    """What the figures come to, the expected loss first."""
    shares, total = report.shares, report.shares.total
    said = [
        _(
            "An expected loss of {amount} ({between} by the noise), {rate} of an exposure of {exposure}.",
            amount=about(total.expected),
            between=between(total.low, total.high),
            rate=rate(total.expected, shares.exposure),
            exposure=about(shares.exposure),
        )
    ]
    if shares.pool is not None:
        said.append(pool_words(shares.pool))
    if shares.stop_chance is not None and shares.rules.stop is not None:
        stop = shares.rules.stop
        words = (
            N_("In {chance} of the years drawn compensation stops (above {rate}).")
            if stop.ends == "compensation"
            else N_("In {chance} of the years drawn new business stops (above {rate}).")
        )
        said.append(_(words, chance=chance(shares.stop_chance), rate=f"{stop.rate:.1%}"))
    return said


def pool_words(pool: PoolFigures) -> str:
    """Whether the compensation fund is enough, in a sentence."""
    held = [f"{level:.0%}" for level, holds in zip(ADEQUATE, pool.adequate, strict=True) if holds]
    missed = [
        _("{level} (short by {amount})", level=f"{level:.0%}", amount=about(quantile - pool.size))
        for level, quantile in zip(ADEQUATE, pool.quantiles, strict=True)
        if quantile > pool.size
    ]
    enough = _("enough at {levels}", levels=together(held)) if held else ""
    short = _("not enough at {levels}", levels=together(missed)) if missed else ""
    return _(
        "The pool of {size} pays all claims in {chance} of the years drawn: {which}.",
        size=about(pool.size),
        chance=chance(pool.enough),
        which=_("{enough}, {short}", enough=enough, short=short) if enough and short else enough or short,
    )


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
        whole=whole_title,
        order=[_("layers"), *(_(_STEPS[step]) for step in shares.rules.order)],
        pays=[] if shares.rules.pool is None else map(shares.rules.title_of, shares.rules.pool.pays),
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
    parts = listed(f"{rules.title_of(p)} {100 * s:.4g}%" for p, s in layer.shares.items() if s > 0)
    if layer.up_to_yuan is not None:
        return _("up to {amount} yuan: {parts}", amount=f"{layer.up_to_yuan:,.2f}", parts=parts)
    if layer.up_to is not None:
        return _("up to {share} of the exposure: {parts}", share=f"{layer.up_to:.4g}", parts=parts)
    return parts


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


def _curve(pool: PoolFigures) -> Plot:
    """How high claims are in so many years, against what the pool holds."""
    size, unit = _unit(max(pool.size, *pool.quantiles))
    share = [float(k) for k in range(1, len(pool.curve) + 1)]
    return plots.lines(
        [plots.Line(label=_("claims"), x=share, y=[claims / 100 / size for claims in pool.curve])],
        alt=_(
            "Claims below which so many years stay: {figures}; the pool holds {pool}.",
            figures=listed(f"{a:.0%} {about(q)}" for a, q in zip(ADEQUATE, pool.quantiles, strict=True)),
            pool=about(pool.size),
        ),
        across=_("years with claims below, in %"),
        up=_("claims, {unit}", unit=unit.strip()),
        marks=[(pool.size / 100 / size, _("the pool"))],
    )


def _moves(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Bars of changes about the middle, per cent of half a box."""
    top = max([1, *(abs(c.change) for c in changes)])
    return [{"change": c, "width": round(50 * abs(c.change) / top, 1), "more": c.change > 0} for c in changes]
