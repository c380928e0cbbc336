"""The validation pack: one page for people, and ``validation.json`` for programs."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fedrisk.analysis import curves
from fedrisk.analysis.curves import Band, Calibration
from fedrisk.analysis.validation.pack import Pack
from fedrisk.analysis.validation.stability_tests import Shift
from fedrisk.language import _
from fedrisk.report import plots
from fedrisk.report import validation_words as words
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plots import Bar, Plot
from fedrisk.report.validation_checklist import checklist
from fedrisk.report.validation_words import chance, count, percent

PAGE, FILE = "validation.html", "validation.json"
"""Files of a pack."""

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
        notice=pack.evidence.facts.get("research"),
        pack=pack,
        facts=pack.evidence.facts,
        exact=pack.evidence.exact,
        w=words,
        verdict=words.verdict(pack),
        level=words.level_words(pack),
        counts={light: sum(c.light == light for c in pack.checks) for light in ("green", "yellow", "red", "none")},
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
        margins=_margins(pack),
        overrides=_overrides(pack),
        pictures=_pictures(pack),
        by_hand=checklist(),
        digest=_digest(pack),
    )


def _tiles(pack: Pack) -> list[tuple[str, str, str]]:
    found, now = [], pack.evidence.now
    n1, n0 = float(now.positives.sum()), float(now.negatives.sum())
    found.append((count(n1 + n0), _("customers"), _("{count} defaults", count=count(n1))))
    if pack.line is not None:
        wanted = _("{predicted} expected", predicted=percent(pack.line.predicted))
        found.append((percent(pack.line.observed), _("default rate"), wanted))
    if (auc := pack.figures.get("auc_now")) is not None:
        low, high = auc.interval(1 - pack.rules.level)
        found.append((f"{auc.value:.3f}", "AUC", _("{low} to {high}", low=f"{low:.3f}", high=f"{high:.3f}")))
    if (ks := pack.figures.get("ks_now")) is not None:
        low, high = ks.interval(1 - pack.rules.level)
        found.append((f"{ks.value:.3f}", "KS", _("{low} to {high}", low=f"{low:.3f}", high=f"{high:.3f}")))
    return found


def _check(check: Any) -> dict[str, str]:
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
        "customers": count(check.customers),
        "defaults": count(check.defaults),
        "basis": words.basis_words(check),
        "noise": words.noise_words(check) if check.basis != "nothing" else "–",
    }


def _grades(pack: Pack) -> list[tuple[str, ...]]:
    rows = []
    for test, (low, high) in zip(pack.grades, pack.scale.spans(), strict=True):
        there = test.binomial is not None
        first = (test.jeffreys,) if pack.evidence.exact else ()
        rows.append(
            (
                test.grade,
                f"{percent(low)}–{percent(high)}",
                count(test.size),
                count(test.defaults),
                percent(test.pd),
                percent(min(max(test.rate, 0.0), 1.0) if there else None),
                f"{percent(test.low)}–{percent(test.high)}" if there else "–",
                *(chance(p) for p in (*first, test.binomial, test.normal, test.holm, test.over)),
            )
        )
    return rows


def _figures(pack: Pack) -> list[tuple[str, ...]]:
    """AUC, Gini and KS, in development and now."""
    rows, level = [], 1 - pack.rules.level
    for title, key, factor in (("AUC", "auc", 1.0), ("Gini", "auc", 2.0), ("KS", "ks", 1.0)):
        cells = []
        for when in ("before", "now"):
            m = pack.figures.get(f"{key}_{when}")
            if m is None:
                cells += ["–", "–", "–"]
                continue
            value, low, high = (2 * v - 1 if title == "Gini" else v for v in (m.value, *m.interval(level)))
            cells += [words.interval(value, low, high), f"{factor * m.sampling:.4f}", f"{factor * m.noise:.4f}"]
        rows.append((title, *cells))
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
    now, before = (pack.concentration.get(k) for k in ("now", "before"))
    if now is None:
        return []
    return [
        (grade, percent(None if before is None else before.shares[k], 1), percent(now.shares[k], 1))
        for k, grade in enumerate(pack.scale.names)
    ]


def _bounds(pack: Pack) -> list[tuple[str, ...]]:
    rows = []
    for k, test in enumerate(pack.grades):
        cells = [test.grade, count(test.defaults), percent(pack.margins[k].pd), percent(pack.margins[k].final)]
        for bound in pack.bounds:
            cells += [percent(bound.near[k]), percent(bound.prudent[k]), percent(bound.scaled[k])]
        rows.append(tuple(cells))
    return rows


def _bound_columns(pack: Pack) -> list[tuple[str, str]]:
    titles = _("near, {level}"), _("prudent, {level}"), _("scaled, {level}")
    return [(t.format(level=percent(b.confidence, 0)), "n") for b in pack.bounds for t in titles]


def _margins(pack: Pack) -> list[tuple[str, ...]]:
    parts = ("pd", "sampling", "calibration", "noise", "evaluation", "points", "error")
    after = ("data", "changes", "estimation", "by_noise", "final")
    return [(m.grade, *(percent(getattr(m, name)) for name in (*parts, *after))) for m in pack.margins]


def _overrides(pack: Pack) -> list[tuple[str, ...]]:
    found = pack.overrides
    if found is None:
        return []
    rows = [
        (title, count(way.customers), count(way.labelled), count(way.defaults), f"{way.expected:.1f}")
        for title, way in ((_("to safer grades"), found.better), (_("to riskier grades"), found.worse))
    ]
    return rows


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
    found = curves.roc(pack.evidence.now)
    if found is not None:
        before = None if pack.evidence.before is None else curves.roc(pack.evidence.before)
        others = [] if before is None else [(_("development"), before)]
        out["roc"] = plots.roc(found, others=others, label=_("validation"))
    if (spread := pack.concentration.get("now")) is not None:
        out["shares"] = plots.bars(
            [Bar(label=n, value=100 * s) for n, s in zip(pack.scale.names, spread.shares, strict=True)],
            alt=_("Share of customers in each grade"),
            axis=_("customers, %"),
            marks=[(100 * pack.rules.limits.largest_grade, _("limit"))],
        )
    return out


def _digest(pack: Pack) -> str | None:
    """SHA-256 of the card that was validated, for comparison with the one in use."""
    import hashlib

    card = pack.evidence.card
    return None if card is None else hashlib.sha256(card.to_json().encode()).hexdigest()
