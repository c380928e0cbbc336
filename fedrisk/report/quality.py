"""How good a study's scores are, for a page: figures with intervals, and plots, all of the released histogram."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fedrisk.analysis import curves
from fedrisk.analysis.curves import Estimate
from fedrisk.analysis.intervals import reach
from fedrisk.analysis.score_counts import ScoreCounts, counts_of
from fedrisk.language import _
from fedrisk.report import plots
from fedrisk.report.plots import Plot
from fedrisk.report.words import word
from fedrisk.server.results import CalibrationGroup, Results


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a page says of scores: tiles (value, label, note), plots with captions, and groups by risk as a table."""

    tiles: list[tuple[str, str, str]]
    plots: list[tuple[Plot, str, str]]
    groups: list[CalibrationGroup]

    @property
    def shown(self) -> bool:
        """Whether there is any figure."""
        return bool(self.tiles)


def quality_of(results: Results) -> Quality:
    """Of the results as they are, names and all; empty where the study let no evaluation out."""
    if results.auc is None:
        return Quality(tiles=[], plots=[], groups=[])
    counts = None if results.record is None else counts_of(results.record, results.card)
    return Quality(
        tiles=list(_tiles(results, counts)),
        plots=[] if counts is None else list(_plots(counts, warns=results.warning is not None)),
        # A group whose noisy count is not positive has no observed rate.
        groups=[r for r in results.calibration or () if r.count > 0],
    )


def _tiles(results: Results, counts: ScoreCounts | None) -> Iterator[tuple[str, str, str]]:
    found = None if counts is None else curves.roc(counts)
    error = results.auc_standard_error
    auc = (
        found.auc
        if found is not None
        else None
        if error is None or results.auc is None
        else Estimate(
            value=results.auc,
            low=results.auc - reach(curves.LEVEL) * error,
            high=results.auc + reach(curves.LEVEL) * error,
            error=error,
        )
    )
    # Stored figures of earlier versions clipped noisy counts: what stands beside an interval is of the same counts.
    yield _figure(results.auc if auc is None else auc.value), "AUC", "" if auc is None else span(auc)
    apart = None if counts is None else curves.ks(counts)
    ks = results.ks if apart is None else apart.value.value
    yield _figure(ks), "KS", "" if apart is None else span(apart.value)
    twice = "" if auc is None else _range(2 * auc.low - 1, 2 * auc.high - 1)
    yield _figure(results.gini if auc is None else 2 * auc.value - 1), word("figure", "gini"), twice
    fit = results.calibration_fit
    half = 0.0 if fit is None else reach(curves.LEVEL) * fit.observed_error
    if fit is not None:
        share = _(
            "{predicted} predicted; observed {low} to {high}",
            predicted=f"{fit.predicted:.2%}",
            low=f"{max(fit.observed - half, 0):.2%}",
            high=f"{fit.observed + half:.2%}",
        )
        yield f"{fit.observed:.2%}", _("default rate of the hold-out"), share
    yield _figure(results.brier), _("Brier score"), ""


def span(found: Estimate, digits: int = 3) -> str:
    """An interval in words."""
    return _range(found.low, found.high, digits)


def _range(low: float, high: float, digits: int = 3) -> str:
    return _("{low} to {high}", low=f"{low:.{digits}f}", high=f"{high:.{digits}f}")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _plots(counts: ScoreCounts, *, warns: bool) -> Iterator[tuple[Plot, str, str]]:
    """Those plots that the counts have something to say for; a model that warns approves nobody (warns)."""
    makers: list[tuple[Callable[[ScoreCounts], Any], Callable[[Any], Plot], str]] = [
        (curves.roc, plots.roc, _("Ranking: ROC curve")),
        (curves.ks, plots.ks, _("Defaults and others apart: KS")),
        (curves.gains, plots.gains, _("Defaults caught: gains")),
        (curves.calibration, plots.calibration, _("Predicted and observed: calibration")),
        (curves.score_distribution, plots.score_distribution, _("Scores of defaults and of others")),
    ]
    if not warns:
        makers.append((curves.cutoffs, plots.cutoffs, _("What a cut-off lets in")))
    for figures, draw, caption in makers:
        found = figures(counts)
        if found is not None and found != ():
            yield draw(found), caption, ""
