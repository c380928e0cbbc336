"""Plots of a watched month: a year's course of risk, indices, and predicted against realised defaults."""

from collections.abc import Sequence

from fedrisk.analysis.stability import MOVED, STABLE
from fedrisk.analysis.watch.month_figures import MonthFigures
from fedrisk.language import _, of_kind
from fedrisk.report import charts, plots
from fedrisk.report.plots import Bar, Line, Plot
from fedrisk.report.watch_words import name

MOST_COLUMNS = 4
"""Own columns that are drawn: those with the largest index against development in the month."""

LEAST_MONTHS = 2


def pictures(f: MonthFigures) -> dict[str, Plot]:
    """Those of which there is something to draw."""
    out: dict[str, Plot] = {}
    months = [m.month for m in f.course]
    if len(months) >= LEAST_MONTHS:
        out["risk"] = _line(
            [_course(f)], months, alt=_("Mean probability of default by month"), up=_risk_axis()
        )
    out["grades"] = _grades(f)
    drift = list(f.drift)
    if len(drift) >= LEAST_MONTHS:
        lines = [_index(f, which) for which in _largest(f)]
        marks = [(STABLE, of_kind("watch", "stable below")), (MOVED, of_kind("watch", "moved above"))]
        out["drift"] = _line(
            lines, drift, alt=_("Stability index against development by month"), up="PSI / CSI", marks=marks
        )
    if sum(c.matured for c in f.cohorts) >= LEAST_MONTHS:
        names = [c.month for c in f.cohorts if c.matured]
        out["cohorts"] = _line(
            _cohorts(f),
            names,
            alt=_("Predicted and realised default rate by month of the score"),
            up=_risk_axis(),
        )
    return out


def _risk_axis() -> str:
    return of_kind("watch", "Probability of default (%)")


def _line(lines: list[Line], names: Sequence[str], *, alt: str, up: str, marks: plots.Marks = ()) -> Plot:
    return charts.lines(lines, alt=alt, up=up, marks=marks, names=names).plot()


def _course(f: MonthFigures) -> Line:
    return Line(
        label=of_kind("watch", "mean of the loans"),
        x=list(range(len(f.course))),
        y=[100 * m.probability for m in f.course],
    )


def _grades(f: MonthFigures) -> Plot:
    """Loans by grade, this month and the one before."""
    bars = []
    for month, group in (
        (f.course[-1], f.month),
        *([(f.course[-2], f.course[-2].month)] if len(f.course) > 1 else []),
    ):
        total = max(month.scored, 1)
        bars += [
            Bar(label=grade, value=100 * n / total, group=group)
            for grade, n in zip(f.grades, month.grades, strict=True)
        ]
    return _beside(bars, f)


def _beside(bars: list[Bar], f: MonthFigures) -> Plot:
    """Of each grade both months, one under the other."""
    place = {grade: k for k, grade in enumerate(f.grades)}
    ordered = sorted(bars, key=lambda b: (place[b.label], b.group != f.month))
    shown = [Bar(label=b.label if b.group == f.month else " ", value=b.value, group=b.group) for b in ordered]
    return plots.bars(shown, alt=_("Share of loans in each grade"), axis=of_kind("watch", "loans, %"))


def _largest(f: MonthFigures) -> list[str]:
    """The score, and the own columns with the largest index in this month."""
    now = {d.name: d.by_development.index for d in f.drift[f.month] if d.by_development is not None}
    columns = sorted((n for n in now if n not in ("score", "grade")), key=lambda n: -now[n])
    score = ["score"] if "score" in now else []
    return [*score, *columns[:MOST_COLUMNS]] or [d.name for d in f.drift[f.month][:1]]


def _index(f: MonthFigures, of: str) -> Line:
    x, y = [], []
    for k, each in enumerate(f.drift.values()):
        found = next((d.by_development for d in each if d.name == of), None)
        if found is not None:
            x.append(float(k))
            y.append(found.index)
    return Line(label=name(of), x=x, y=y)


def _cohorts(f: MonthFigures) -> list[Line]:
    # Of a month that is not matured, defaults are known before repayments.
    known = [c for c in f.cohorts if c.matured]
    x = [float(k) for k in range(len(known))]
    return [
        Line(label=of_kind("watch", "predicted"), x=x, y=[100 * c.expected / c.known for c in known]),
        Line(label=of_kind("watch", "realised"), x=x, y=[100 * c.defaults / c.known for c in known]),
    ]
