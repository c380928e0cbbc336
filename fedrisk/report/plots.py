"""Plots of reports: SVG that stands in a page as it is, with intervals and a text of what it shows.

Curves are those of analysis/curves, features those of analysis/feature_figures. `bars` and `lines` draw any numbers.
Texts are in the language that is spoken. How plots look: figure_style.py.
"""

from collections.abc import Sequence

from fedrisk.analysis.curves import Calibration, Cutoff, Gains, Ks, Roc, ScoreDistribution
from fedrisk.analysis.feature_figures import FeaturePoints, InformationValue
from fedrisk.models.warning_point import WarningPoint
from fedrisk.report import charts, curve_figures
from fedrisk.report.charts import Bar, Line, Marks
from fedrisk.report.figure_style import Plot, figure_svg

__all__ = [
    "Bar",
    "Line",
    "Marks",
    "Plot",
    "bars",
    "calibration",
    "cutoffs",
    "figure_svg",
    "gains",
    "information_values",
    "ks",
    "lift",
    "lines",
    "points_of_feature",
    "roc",
    "score_distribution",
    "warnings",
]


def roc(found: Roc, *, others: Sequence[tuple[str, Roc]] = (), label: str | None = None) -> Plot:
    """ROC curve with its band. label: what it is of. others: names and further curves, at most four, without bands."""
    return curve_figures.roc(found, others, label).plot()


def ks(found: Ks) -> Plot:
    """The two cumulative distributions, and where they are furthest apart."""
    return curve_figures.ks(found).plot()


def gains(found: Gains, *, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Plot:
    """Share of all defaults among the riskiest enterprises; parameters as of `roc`."""
    return curve_figures.gains(found, others, label).plot()


def lift(found: Gains, *, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Plot:
    """How many times the average default rate the riskiest have; parameters as of `roc`."""
    return curve_figures.lift(found, others, label).plot()


def calibration(found: Calibration) -> Plot:
    """Observed against predicted default rates by group."""
    return curve_figures.calibration(found).plot()


def score_distribution(found: ScoreDistribution) -> Plot:
    """Scores of defaults and of others."""
    return curve_figures.score_distribution(found).plot()


def cutoffs(found: Sequence[Cutoff]) -> Plot:
    """Default rate of the approved and share of defaults kept out, by the share that is approved."""
    return curve_figures.cutoffs(found).plot()


def warnings(found: Roc, point: WarningPoint) -> Plot:
    """Recall against the rate of false alarms near a threshold of warnings."""
    return curve_figures.warnings(found, point).plot()


def points_of_feature(found: FeaturePoints, *, title: str | None = None) -> Plot:
    """Points by bin of one feature with error bars. title: what to call it; its column by default."""
    return charts.points_of_feature(found, title).plot()


def information_values(found: Sequence[InformationValue], *, most: int = 20) -> Plot:
    """Information value of at most so many features, the highest first."""
    return charts.information_values(found, most).plot()


def bars(found: Sequence[Bar], *, alt: str, axis: str = "", marks: Marks = (), dots: bool = False) -> Plot:
    """Horizontal bars with intervals, the first on top.

    alt: what they show, in words. axis: what the values are, with their unit. marks: values with names, drawn across
    all bars. dots: marks in place of bars, where zero is no natural start.
    """
    return charts.bars(found, alt=alt, axis=axis, marks=marks, dots=dots).plot()


def lines(
    found: Sequence[Line], *, alt: str, across: str = "", up: str = "", marks: Marks = (), zero: bool = True
) -> Plot:
    """Lines with bands. across, up: what the axes are. marks: values with names, drawn across. zero: starts there."""
    return charts.lines(found, alt=alt, across=across, up=up, marks=marks, zero=zero).plot()
