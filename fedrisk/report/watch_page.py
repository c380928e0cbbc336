"""One page of HTML for each month that a bank watches its loans, and the same figures for programs.

The page has the bank's own ids and alerts. It is written for its owner alone, and stays at the bank.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE
from fedrisk.analysis.watch.back_testing import BackTest
from fedrisk.analysis.watch.challenge import Contest
from fedrisk.analysis.watch.drift_alarms import POWER, Drifted
from fedrisk.analysis.watch.month_figures import MonthFigures
from fedrisk.analysis.watch.portfolio import Migrations, MonthRisk
from fedrisk.language import _, about, of_kind
from fedrisk.report import watch_alert_words as alert_words
from fedrisk.report import watch_words as words
from fedrisk.report.page import render_page, write_page
from fedrisk.report.validation_words import chance, count, percent, stability_index
from fedrisk.report.warning_words import with_interval
from fedrisk.report.watch_pictures import pictures

MOST_ROWS = 40
"""Alerts that the page lists; the others are in the record of alerts."""


def write_watch_page(folder: Path, figures: MonthFigures) -> Path:
    """Write ``MONTH.html`` into a folder, and ``MONTH.json`` beside it; the page. StoreError names what fails."""
    content = json.dumps(figures.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    write_page(folder / f"{figures.month}.json", content + "\n")
    return write_page(folder / f"{figures.month}.html", render_watch_page(figures))


def render_watch_page(f: MonthFigures) -> str:
    """The page, in the language that is spoken, about what the model foretells."""
    with about(f.label.get("name")):
        return _rendered(f)


def _rendered(f: MonthFigures) -> str:
    return render_page(
        "watch.html.jinja",
        f=f,
        w=words,
        most=MOST_ROWS,
        outcome=words.outcome(f.label),
        verdicts=words.verdicts(f),
        tiles=_tiles(f),
        signs=[] if f.signs is None else alert_words.signs(f.signs),
        new=[_alert(a) for a in f.lately[:MOST_ROWS]],
        stock=[_alert(a) for a in f.stock[:MOST_ROWS]],
        standing=[_alert(a) for a in f.standing[:MOST_ROWS]],
        closed=[_alert(a) for a in f.closed[:MOST_ROWS]],
        matrix=None if f.migrations is None else _matrix(f.migrations),
        matrix_columns=[_("before ↓, now →"), *((g, "n") for g in f.grades), (of_kind("watch", "gone"), "n")],
        course=_course(f),
        money_columns=_money_columns(f.risk),
        drift=_drift(f.drift.get(f.month, ()), f.development),
        power=POWER,
        released=any(v == "released" for v in f.development.values()),
        grades=[] if f.back_test is None else _grades(f.back_test),
        cohorts=_cohorts(f),
        warned=_warned(f),
        agreement=_agreement(f),
        swaps=[] if f.contest is None else _swaps(f.contest),
        unscored=[(code, f.unscored.words.get(code, ""), count(n)) for code, n in f.unscored.counts.items()],
        pictures=pictures(f),
    )


def _tiles(f: MonthFigures) -> list[tuple[str, str, str, str]]:
    """Value, what it is, a note, and how it stands out."""
    now, before = f.risk, f.course[-2] if len(f.course) > 1 else None
    was = (
        ""
        if before is None
        else _("{value} in {month}", value=percent(before.probability), month=before.month)
    )
    loans = "" if before is None else _("{value} in {month}", value=count(before.scored), month=before.month)
    out = [
        (count(now.scored), of_kind("watch", "loans with a score"), loans, ""),
        (
            count(len(f.lately)),
            of_kind("watch", "new alerts"),
            _("and {n} of the stock", n=count(len(f.stock))) if f.stock else "",
            "bad" if f.lately else "",
        ),
        (count(len(f.standing)), of_kind("watch", "open from before"), "", ""),
        (percent(now.probability), of_kind("watch", "mean probability of default"), was, ""),
        (
            count(now.defaults),
            of_kind("watch", "defaults expected"),
            of_kind("watch", "within the horizon"),
            "",
        ),
    ]
    out += _money_tiles(now)
    if f.migrations is not None:
        better = _("{n} safer", n=count(f.migrations.better))
        out.append((count(f.migrations.worse), of_kind("watch", "in a riskier grade"), better, ""))
    kind = "bad" if f.drifted else ""
    out.append((count(len(f.drifted)), of_kind("watch", "drift alarms"), "", kind))
    return out


def _money_tiles(now: MonthRisk) -> list[tuple[str, str, str, str]]:
    """What is outstanding, and expected loss; with how many loans have no amount, which counts 0."""
    if now.exposure is None:
        return []
    missing = words.missing_amounts(now)
    if now.loss is None:
        return [(count(now.exposure), of_kind("watch", "outstanding"), missing, "")]
    at = _("of {exposure} outstanding", exposure=count(now.exposure))
    note = f"{at}; {missing}" if missing else at
    return [(count(now.loss), of_kind("watch", "expected loss"), note, "")]


def _alert(said: Mapping[str, Any]) -> dict[str, Any]:
    before = said["before"]
    return {
        "enterprise": said["enterprise"],
        "alert": said["id"][:8],
        "month": said["month"],
        "why": alert_words.why(said),
        "score": str(said["score"]) if before is None else f"{before} → {said['score']}",
        "probability": percent(said["probability"]),
        "reasons": [alert_words.reason(r) for r in said["reasons"]],
        "moved": alert_words.moved(said),
        "state": alert_words.state(said),
    }


def _matrix(found: Migrations) -> list[tuple[str, list[tuple[str, str]], str]]:
    """Rows of the matrix: grade before, cells with how they stand out, those that are gone."""
    rows = []
    for i, grade in enumerate(found.names):
        cells = [
            (count(n) if n else "·", "same" if i == j else "worse" if j > i and n else "better" if n else "")
            for j, n in enumerate(found.moved[i].tolist())
        ]
        if found.moved[i].any() or found.gone[i]:
            rows.append((grade, cells, count(found.gone[i]) if found.gone[i] else "·"))
    new = [(count(n) if n else "·", "") for n in found.new]
    return [*rows, (of_kind("watch", "new"), new, "")]


def _course(f: MonthFigures) -> list[tuple[str, ...]]:
    rows = []
    for m in reversed(f.course):
        money = [cell for of, cell in _money(m) if getattr(f.risk, of) is not None]
        score = "–" if m.score != m.score else f"{m.score:.0f}"
        rows.append(
            (
                m.month,
                count(m.loans),
                count(m.scored),
                percent(m.probability),
                score,
                count(m.defaults),
                *money,
            )
        )
    return rows


def _money(m: MonthRisk) -> list[tuple[str, str]]:
    """Cells about money, with the figure of the month without which there is no such column."""
    return [
        ("exposure", count(m.exposure)),
        ("no_exposure", count(m.no_exposure)),
        ("loss", count(m.loss)),
        ("no_share", count(m.no_share)),
    ]


def _money_columns(now: MonthRisk) -> list[tuple[str, str]]:
    names = {
        "exposure": of_kind("watch", "outstanding"),
        "no_exposure": _("without an amount"),
        "loss": of_kind("watch", "expected loss"),
        "no_share": _("without a share lost"),
    }
    return [(names[of], "n") for of, _cell in _money(now) if getattr(now, of) is not None]


def _drift(found: Sequence[Drifted], against: Mapping[str, str]) -> list[dict[str, Any]]:
    """Scores first, then columns: those with an alarm, and by their index against development."""

    def place(d: Drifted) -> tuple[bool, bool, float]:
        index = 0.0 if d.by_development is None else d.by_development.index
        return d.name not in ("score", "grade"), not d.alarms, -index

    return [
        {
            "name": words.name(d.name),
            "rows": count(d.rows),
            "month": stability_index(d.by_month),
            "development": stability_index(d.by_development),
            "light": words.light(d.by_development),
            "against": words.against(against.get(d.name, "none")),
            "nameable": words.index_least(d),
            "chances": chance(min(d.chances.values(), default=None)),
            "alarm": words.alarm(d),
            "alarmed": bool(d.alarms),
        }
        for d in sorted(found, key=place)
    ]


def _grades(found: BackTest) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    spans = dict(zip(DEFAULT_SCALE.names, DEFAULT_SCALE.spans(), strict=True))
    for test, (low, high) in zip(found.grades, found.shocks, strict=True):
        if test.size < 0.5:
            continue
        span = spans.get(test.grade)
        name = test.grade if span is None else f"{test.grade} ({percent(span[0])}–{percent(span[1])})"
        rows.append(
            (
                name,
                count(test.size),
                count(test.defaults),
                percent(test.pd),
                percent(test.rate),
                f"{percent(test.low)}–{percent(test.high)}",
                f"{percent(low)}–{percent(high)}",
                chance(test.holm),
            )
        )
    return rows


def _cohorts(f: MonthFigures) -> list[tuple[str, ...]]:
    return [
        (
            c.month,
            count(c.loans),
            percent(c.known / c.loans, 0) if c.loans else "–",
            count(c.defaults),
            f"{c.expected:,.1f}",
            "–" if c.auc is None else f"{c.auc.value:.3f}",
            of_kind("watch", "matured") if c.matured else of_kind("watch", "not matured"),
        )
        for c in reversed(f.cohorts)
    ]


def _warned(f: MonthFigures) -> list[tuple[str, ...]]:
    return [
        (
            one.month,
            str(one.score),
            count(one.without),
            with_interval(one.false_alarms),
            count(one.cases),
            with_interval(one.recall),
            of_kind("watch", "matured") if one.matured else of_kind("watch", "not matured"),
        )
        for one in reversed(f.warned)
    ]


def _agreement(f: MonthFigures) -> list[tuple[str, str]]:
    a = f.agreement
    if a is None:
        return []
    return [
        (_("loans that both scored"), count(a.loans)),
        (_("in the same grade"), percent(a.alike, 1)),
        (_("in the same or the next grade"), percent(a.within_one, 1)),
        (_("safer by the challenger"), percent(a.safer, 1)),
        (_("riskier by the challenger"), percent(a.riskier, 1)),
        (_("mean probability, champion"), percent(a.champion)),
        (_("mean probability, challenger"), percent(a.challenger)),
        (_("correlation of ranks"), f"{a.ranks:.3f}"),
    ]


def _swaps(found: Contest) -> list[tuple[str, ...]]:
    return [
        (
            percent(s.approved, 0),
            f"{s.defaults:.1f}",
            f"{s.new_defaults:.1f}",
            f"{s.fewer.value:+.1f} ({s.fewer.low:+.1f}; {s.fewer.high:+.1f})",
            percent(s.swapped, 1),
            percent(s.swapped_in),
            percent(s.swapped_out),
        )
        for s in found.swaps
    ]
