"""Plots of reports: matplotlib's figures as SVG in the page, with text as text, intervals, and a text for readers.

Each function returns a `Plot`, whose ``svg`` stands in a page as it is. Its text takes the page's fonts. Drawn for 640
units of width; a page shows it as wide as there is room. Colours are those of Okabe and Ito (2008), which colour-blind
people tell apart, with line styles and marks that tell them apart in grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedrisk.analysis.curves import Calibration, Cutoff, Gains, Ks, Roc, ScoreDistribution
from fedrisk.analysis.feature_figures import FeaturePoints, InformationValue
from fedrisk.language import _

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A picture. svg: its element, to stand in HTML as it is. alt: what it shows, in words; the svg says it too."""

    svg: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar or mark with its interval. label: what people read; group: a colour of its own, or none."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line with its band. x, y: (n,); low, high: (n,) or none."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def roc(found: Roc, *, others: Sequence[tuple[str, Roc]] = (), label: str | None = None) -> Plot:
    """ROC curve with its band. others: further curves with their names, for example the bank's own model."""
    raise NotImplementedError


def ks(found: Ks) -> Plot:
    """The two cumulative distributions, and where they are furthest apart."""
    raise NotImplementedError


def gains(found: Gains, *, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Plot:
    """Share of defaults among the riskiest."""
    raise NotImplementedError


def lift(found: Gains, *, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Plot:
    """How many times the average default rate the riskiest have."""
    raise NotImplementedError


def calibration(found: Calibration) -> Plot:
    """Observed against predicted default rates."""
    raise NotImplementedError


def score_distribution(found: ScoreDistribution) -> Plot:
    """Scores of defaults and of others."""
    raise NotImplementedError


def points_of_feature(found: FeaturePoints, *, title: str | None = None) -> Plot:
    """Points by bin of one feature, the noise as error bars."""
    raise NotImplementedError


def information_values(found: Sequence[InformationValue], *, most: int = 20) -> Plot:
    """Information value of each feature, highest first."""
    raise NotImplementedError


def cutoffs(found: Sequence[Cutoff]) -> Plot:
    """Bad rate of the approved and share of defaults kept out, by approval rate."""
    raise NotImplementedError


def bars(
    found: Sequence[Bar], *, alt: str, axis: str = "", marks: Sequence[tuple[float, str]] = (), percent: bool = False
) -> Plot:
    """Horizontal bars with intervals. axis: text under the scale. marks: vertical lines with their labels."""
    raise NotImplementedError


def lines(
    found: Sequence[Line],
    *,
    alt: str,
    across: str = "",
    up: str = "",
    marks: Sequence[tuple[float, str]] = (),
    percent: bool = False,
) -> Plot:
    """Lines with bands. across, up: texts of the axes. marks: horizontal lines with their labels."""
    raise NotImplementedError


def figure_svg(figure: "Figure", alt: str) -> Plot:
    """A figure of matplotlib as a plot."""
    raise NotImplementedError
