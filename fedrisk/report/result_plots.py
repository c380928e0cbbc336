"""The plots of one run's results, for notebooks and programs: ``result.plot.roc()``.

Each is a figure of matplotlib that a notebook shows, with ``save(path)`` besides matplotlib's own methods. Texts are in
the language that is spoken (`fedrisk.language`).
"""

import warnings
from typing import TypeVar

from fedrisk.analysis import curves, feature_figures
from fedrisk.analysis.score_counts import ScoreCounts, counts_of
from fedrisk.errors import ConfigError
from fedrisk.language import language
from fedrisk.models.scorecard import Scorecard
from fedrisk.report import charts, curve_figures
from fedrisk.report.figure_style import Drawn, fonts
from fedrisk.report.picture import Picture
from fedrisk.server.results import Results

Found = TypeVar("Found")


class ResultPlots:
    """Plots of a run; ConfigError where the run has not what a plot shows."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def roc(self, bank: str | None = None) -> Picture:
        """ROC curve on the hold-out. bank: one bank's, where the study evaluates by bank; all together by default."""
        return _shown(curve_figures.roc(_there(curves.roc(self._counts(bank)))))

    def ks(self, bank: str | None = None) -> Picture:
        """Cumulative distributions of defaults and others, and their largest distance. bank: as of `roc`."""
        return _shown(curve_figures.ks(_there(curves.ks(self._counts(bank)))))

    def gains(self, bank: str | None = None) -> Picture:
        """Share of all defaults among the riskiest enterprises. bank: as of `roc`."""
        return _shown(curve_figures.gains(_there(curves.gains(self._counts(bank)))))

    def lift(self, bank: str | None = None) -> Picture:
        """How many times the average default rate the riskiest have. bank: as of `roc`."""
        return _shown(curve_figures.lift(_there(curves.gains(self._counts(bank)))))

    def calibration(self, bank: str | None = None) -> Picture:
        """Observed against predicted default rates. bank: as of `roc`."""
        return _shown(curve_figures.calibration(_there(curves.calibration(self._counts(bank)))))

    def score_distribution(self, bank: str | None = None) -> Picture:
        """Scores of defaults and of others. bank: as of `roc`."""
        return _shown(curve_figures.score_distribution(_there(curves.score_distribution(self._counts(bank)))))

    def cutoffs(self, bank: str | None = None) -> Picture:
        """Default rate of the approved and share of defaults kept out, by approval rate. bank: as of `roc`."""
        return _shown(curve_figures.cutoffs(_there(curves.cutoffs(self._counts(bank)))))

    def points(self, column: str, institution: str | None = None) -> Picture:
        """Points of one column by bin, with error bars. institution: its role, where two have such a column."""
        fits = [
            p
            for p in feature_figures.feature_points(self._card())
            if p.column == column and institution in (None, p.institution)
        ]
        if len(fits) != 1:
            known = ", ".join(f"{b.feature.institution}.{b.feature.column}" for b in self._card().bins)
            raise ConfigError(
                f"the card has {'no' if not fits else 'more than one'} column {column}; name one, with its institution "
                f"where two have it: {known}"
            )
        return _shown(charts.points_of_feature(fits[0]))

    def information_values(self, most: int = 20) -> Picture:
        """Information value of the columns that tell most, from the released counts."""
        record = self._results.record
        found = () if record is None else feature_figures.information_values(record)
        if not found:
            raise ConfigError(
                "the run has no counts by column: information values are of scorecard studies whose release record is "
                "there"
            )
        return _shown(charts.information_values(found, most))

    def _counts(self, bank: str | None) -> ScoreCounts:
        record = self._results.record
        found = None if record is None else counts_of(record, self._results.card, bank)
        if found is None:
            raise ConfigError(
                "the run has no evaluation: its study went without one, or its release record is not in the folder"
            )
        return found

    def _card(self) -> Scorecard:
        if self._results.card is None:
            raise ConfigError("the run has no scorecard; its model is a network")
        return self._results.card


def _there(found: Found | None) -> Found:
    if not found:
        raise ConfigError(
            "noise hides this figure: there are too few defaults in the hold-out, or no probabilities with them"
        )
    return found


def _shown(drawn: Drawn) -> Picture:
    if language() == "zh" and len(fonts()) < 2:
        warnings.warn(
            "matplotlib finds no font with Chinese characters, which saved pictures need; install one, for example "
            "Noto Sans CJK (notebooks show pictures in the browser's own fonts)",
            stacklevel=4,
        )
    drawn.figure.alt = drawn.alt
    return drawn.figure
