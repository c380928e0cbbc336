"""Reports without pictures: they are half of what a report takes, and most tests are about something else."""

import pytest

from fedrisk.report import plots

PLOTS = [name for name in plots.__all__ if name[0].islower() and name != "figure_svg"]
"""Functions that draw."""


def without_plots(patch: pytest.MonkeyPatch) -> None:
    """Have all plots left out of pages; what plots show is in tests/unit/report."""
    for name in PLOTS:
        patch.setattr(plots, name, lambda *_, **__: plots.Plot("<svg></svg>", "left out by a test"))


def without_sweep_plots(patch: pytest.MonkeyPatch) -> None:
    """The same for the page of a sweep, whose pictures need the laboratory."""
    from fedrisk.report import sweep_page

    class Left:
        def plot(self) -> plots.Plot:
            return plots.Plot("<svg></svg>", "left out by a test")

    for name in ("all_models", "auc_by_epsilon", "costs", "difference_by_epsilon", "slope_by_epsilon"):
        patch.setattr(sweep_page, name, lambda *_, **__: Left())
