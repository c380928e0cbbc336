"""The validation pack: one page for people, and ``validation.json`` for programs."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from fedrisk.analysis import curves
from fedrisk.analysis.curves import Band, Calibration
from fedrisk.analysis.validation.check import Check
from fedrisk.analysis.validation.conservatism import Margin
from fedrisk.analysis.validation.pack import Pack
from fedrisk.analysis.validation.stability_tests import Shift
from fedrisk.language import _, of_kind
from fedrisk.report import plots
from fedrisk.report import validation_words as words
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plots import Bar, Plot
from fedrisk.report.validation_checklist import checklist
from fedrisk.report.validation_words import chance, count, percent
from fedrisk.report.words import word

PAGE, FILE = "validation.html", "validation.json"
"""Files of a pack."""

ERRORS = ("pd", "sampling", "calibration", "noise", "evaluation", "points", "error")
MARGINS = ("pd", "data", "changes", "estimation", "by_noise", "final")
"""Columns of the two tables of margins."""

LEAST_EXPECTED = 2.0
"""Expected defaults of a grade from which its ratio is drawn: below it the interval is wider than the plot."""

LEAST_POINT = 0.5
"""Customers of a grade from which it stands on a plot."""


def write_validation(pack: Pack, folder: Path) -> tuple[Path, Path]:
    """Write page and file into a folder; StoreError names what cannot be written."""
    page = write_page(folder / PAGE, render_validation(pack))
    content = json.dumps(pack.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    return page, write_page(folder / FILE, content + "\n")


def render_validation(pack: Pack) -> str:
    """The page, in the language that is spoken."""
    return render_page(
        "validation.html.jinja",
        filters={"codes": _codes},
        notice=pack.evidence.facts.get("research"),
        pack=pack,
        facts=pack.evidence.facts,
        exact=pack.evidence.exact,
        own=pack.evidence.own,
        w=words,
        verdict=words.verdict(pack),
        level=words.level_words(pack),
        power=words.power_words(pack),
        counts={
            light: sum(c.light == light for c in pack.checks) for light in ("green", "yellow", "red", "none")
        },
        tiles=_tiles(pack),
        checks=[_check(c) for c in pack.checks],
        grades=_grades(pack),
        figures=_figures(pack),
        shifts=[_shift(s) for s in (*pack.shifts, *pack.columns)],
        whole=[_shift(s) for s in pack.whole],
        periods=_periods(pack),
        shares=_shares(pack),
        bounds=_bounds(pack),
        bound_columns=_bound_columns(pack),
        errors=_margins(
            pack, ERRORS if not pack.evidence.exact else [e for e in ERRORS if e != "evaluation"]
        ),
        margins=_margins(pack, MARGINS),
        overrides=_overrides(pack),
        pictures=_pictures(pack),
        by_hand=checklist(),
        digest=_digest(pack),
    )


def _tiles(pack: Pack) -> list[tuple[str, str, str]]:
    found, now = [], pack.evidence.now
    n1, n0 = float(now.positives.sum()), float(now.negatives.sum())
    found.append(
        (
            count(n1 + n0),
            of_kind("validation", "customers"),
            of_kind("validation", "{count} defaults", count=count(n1)),
        )
    )
    if pack.line is not None:
        wanted = of_kind("validation", "{predicted} expected", predicted=percent(pack.line.predicted))
        found.append((percent(pack.line.observed), of_kind("validation", "default rate"), wanted))
    if (auc := pack.figures.get("auc_now")) is not None:
        low, high = auc.interval(1 - pack.rules.level)
        found.append(
            (
                f"{auc.value:.3f}",
                "AUC",
                of_kind("validation", "{low} to {high}", low=f"{low:.3f}", high=f"{high:.3f}"),
            )
        )
    if (ks := pack.figures.get("ks_now")) is not None:
        low, high = ks.interval(1 - pack.rules.level)
        found.append(
            (
                f"{ks.value:.3f}",
                "KS",
                of_kind("validation", "{low} to {high}", low=f"{low:.3f}", high=f"{high:.3f}"),
            )
        )
    return found


def _check(check: Check) -> dict[str, str]:
    return {
        "code": check.code,
        "group": words.group_words(check.group),
        "light": check.light,
        "said": words.light_words(check.light),
        "name": words.name(check.code),
        "result": words.result(check),
        "statistic": words.statistic(check),
        "p": chance(check.p),
        "rule": words.rule_words(check),
        "sizes": _sizes(check),
        "basis": words.basis_words(check),
        "noise": "" if check.correction == "none" else words.noise_words(check),
    }


def _sizes(check: Check) -> str:
    if check.customers is None:
        return ""
    if check.defaults is None:
        return of_kind("validation", "{customers} customers", customers=count(check.customers))
    return of_kind(
        "validation",
        "{customers} customers, {defaults} defaults",
        customers=count(check.customers),
        defaults=count(check.defaults),
    )


def _grades(pack: Pack) -> list[dict[str, Any]]:
    rows = []
    for test, (low, high) in zip(pack.grades, pack.scale.spans(), strict=True):
        there = test.binomial is not None
        first = (test.jeffreys,) if pack.evidence.exact else ()
        rows.append(
            {
                "grade": test.grade,
                "span": f"{percent(low)}–{percent(high)}",
                "size": count(test.size),
                "defaults": count(test.defaults),
                "pd": percent(test.pd),
                "rate": percent(min(max(test.rate, 0.0), 1.0) if there else None),
                "interval": f"{percent(test.low)}–{percent(test.high)}" if there else "",
                "chances": [chance(p) for p in (*first, test.binomial, test.normal, test.holm, test.over)],
            }
        )
    return rows


def _figures(pack: Pack) -> list[tuple[str, ...]]:
    """AUC, Gini and KS, in development and now; errors by sampling and noise apart where there is noise."""
    rows, level, exact = [], 1 - pack.rules.level, pack.evidence.exact
    for title, key, factor in (("AUC", "auc", 1.0), ("Gini", "auc", 2.0), ("KS", "ks", 1.0)):
        cells: list[str] = []
        for when in ("before", "now"):
            m = pack.figures.get(f"{key}_{when}")
            if m is None:
                cells += ["–"] * (1 if exact else 3)
                continue
            value, low, high = (2 * v - 1 if title == "Gini" else v for v in (m.value, *m.interval(level)))
            cells.append(words.interval(value, low, high))
            if not exact:
                cells += [f"{factor * m.sampling:.3f}", f"{factor * m.noise:.3f}"]
        rows.append((word("figure", "gini") if title == "Gini" else title, *cells))
    return rows


def _shift(found: Shift) -> tuple[str, ...]:
    index = (
        "–"
        if found.index is None or found.low is None or found.high is None
        else words.interval(found.index, found.low, found.high)
    )
    return (
        words.shift_name(found.name),
        count(found.before),
        count(found.now),
        str(found.bins),
        f"{found.plain:.4f}",
        index,
        chance(found.p),
        chance(found.holm),
    )


def _periods(pack: Pack) -> list[tuple[str, ...]]:
    return [
        (
            p.name,
            count(p.customers),
            count(p.defaults),
            count(p.expected),
            f"{p.z:.2f}",
            "–" if p.auc is None else words.interval(p.auc.value, *p.auc.interval(1 - pack.rules.level)),
        )
        for p in pack.periods
    ]


def _shares(pack: Pack) -> list[tuple[str, ...]]:
    """Customers by grade; those of development on rows alone, since its released histogram has other bins."""
    now, before = (pack.concentration.get(k) for k in ("now", "before"))
    if now is None:
        return []
    columns = [c for c in (before if pack.evidence.own else None, now) if c is not None or pack.evidence.own]
    return [
        (grade, *(percent(None if c is None else c.shares[k], 1) for c in columns))
        for k, grade in enumerate(pack.scale.names)
    ]


def _bounds(pack: Pack) -> list[tuple[str, ...]]:
    most = max(pack.bounds, key=lambda b: b.confidence)
    return [
        (
            test.grade,
            count(test.defaults),
            percent(pack.margins[k].pd),
            percent(pack.margins[k].final),
            *(percent(b.near[k]) for b in pack.bounds),
            percent(most.prudent[k]),
            percent(most.scaled[k]),
        )
        for k, test in enumerate(pack.grades)
    ]


def _bound_columns(pack: Pack) -> list[tuple[str, str]]:
    most = max(b.confidence for b in pack.bounds)
    titles = [_("near, {level}", level=percent(b.confidence, 0)) for b in pack.bounds]
    titles += [_("prudent, {level}", level=percent(most, 0)), _("scaled, {level}", level=percent(most, 0))]
    return [(title, "n") for title in titles]


def _margins(pack: Pack, parts: Sequence[str]) -> list[tuple[str, ...]]:
    return [(m.grade, *(_margin(m, name) for name in parts)) for m in pack.margins]


def _margin(found: Margin, name: str) -> str:
    """One figure of a margin; what is by noise from its least to its most."""
    told = percent(getattr(found, name))
    return told if name != "by_noise" else f"{told}–{percent(found.by_noise_most)}"


def _overrides(pack: Pack) -> list[tuple[str, ...]]:
    found = pack.overrides
    if found is None:
        return []
    return [
        (title, count(way.customers), count(way.labelled), count(way.defaults), f"{way.expected:.1f}")
        for title, way in ((_("to safer grades"), found.better), (_("to riskier grades"), found.worse))
    ]


def _pictures(pack: Pack) -> dict[str, Plot]:
    """Plots of calibration by grade, ROC, shares of grades and margins; those of which there is something to draw."""
    out: dict[str, Plot] = {}
    there = [g for g in pack.grades if g.binomial is not None and g.size > LEAST_POINT]
    if there:
        band = Band(
            value=np.array([min(max(g.rate, 0.0), 1.0) for g in there]),
            low=np.array([g.low for g in there]),
            high=np.array([g.high for g in there]),
        )
        predicted, size = (np.array(v) for v in zip(*((g.pd, g.size) for g in there), strict=True))
        out["calibration"] = plots.calibration(Calibration(predicted=predicted, observed=band, count=size))
    if ratios := _ratios(pack):
        out["ratios"] = plots.bars(
            ratios,
            alt=_("Observed default rate of each grade over its probability, with intervals"),
            axis=_("observed over predicted"),
            marks=[(1.0, _("as predicted"))],
            dots=True,
        )
    found = curves.roc(pack.evidence.now)
    if found is not None:
        before = None if pack.evidence.before is None else curves.roc(pack.evidence.before)
        others = [] if before is None else [(of_kind("validation", "development"), before)]
        out["roc"] = plots.roc(found, others=others, label=of_kind("validation", "validation"))
    if (spread := pack.concentration.get("now")) is not None:
        out["shares"] = plots.bars(
            [Bar(label=n, value=100 * s) for n, s in zip(pack.scale.names, spread.shares, strict=True)],
            alt=_("Share of customers in each grade"),
            axis=of_kind("validation", "customers, %"),
            marks=[(100 * pack.rules.limits.largest_grade, of_kind("validation", "limit"))],
        )
    return out


def _ratios(pack: Pack) -> list[Bar]:
    """Observed over predicted rate of grades in which enough defaults are expected to say something."""
    return [
        Bar(label=g.grade, value=min(max(g.rate, 0.0), 1.0) / g.pd, low=g.low / g.pd, high=g.high / g.pd)
        for g in pack.grades
        if g.binomial is not None and g.pd * g.size >= LEAST_EXPECTED
    ]


def _codes(text: str) -> Markup:
    """Options of the command in a text, as code that is not broken at its hyphens."""
    return Markup(
        re.sub(r"--[a-z]+(?: FILE| recalibrated)?", r'<code class="whole">\g<0></code>', str(escape(text)))
    )


def _digest(pack: Pack) -> str | None:
    """SHA-256 of the card that was validated, for comparison with the one in use."""
    card = pack.evidence.card
    return None if card is None else hashlib.sha256(card.to_json().encode()).hexdigest()
