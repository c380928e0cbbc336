"""What `fedrisk.run` and `fedrisk.load_results` return: a run's results, with plots and tables of them."""

import html
from typing import TYPE_CHECKING

from fedrisk.language import of_kind
from fedrisk.server import results as base

if TYPE_CHECKING:
    from fedrisk.report.result_frames import ResultFrames
    from fedrisk.report.result_plots import ResultPlots


class Results(base.Results):
    """A run's figures, model and release record, and what is drawn and tabled of them.

    ``result.plot.roc()`` is a figure of matplotlib, ``result.frames.scorecard`` a table of pandas; a notebook shows the
    results themselves as a short table.
    """

    @classmethod
    def of(cls, results: base.Results) -> "Results":
        """The same results with plots and tables."""
        return results if isinstance(results, cls) else cls(**vars(results))

    @property
    def plot(self) -> "ResultPlots":
        """Plots: ``roc``, ``ks``, ``gains``, ``lift``, ``calibration``, ``cutoffs`` and others."""
        from fedrisk.report.result_plots import ResultPlots

        return ResultPlots(self)

    @property
    def frames(self) -> "ResultFrames":
        """Tables: ``scorecard``, ``bins``, ``metrics``, ``spends``, ``disclosures``, ``calibration`` and others."""
        from fedrisk.report.result_frames import ResultFrames

        return ResultFrames(self)

    def _repr_html_(self) -> str:
        """What a notebook shows of them: a few figures."""
        rows = [(of_kind("result", "Study"), self.study), (of_kind("result", "Run"), self.attempt[:8])]
        if self.notice:
            rows.append((of_kind("result", "Notice"), self.notice))
        if self.epsilon is not None:
            rows.append((of_kind("result", "Privacy"), f"epsilon {self.epsilon:g}, delta {self.delta:g}"))
        if self.auc is not None:
            rows.append(("AUC", f"{self.auc:.3f}"))
        if self.ks is not None:
            rows.append(("KS", f"{self.ks:.3f}"))
        if self.default_rate is not None:
            rows.append((of_kind("result", "Default rate"), f"{self.default_rate:.2%}"))
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{html.escape(a)}</th><td>{html.escape(str(b))}</td></tr>'
            for a, b in rows
        )
        return f"<table>{body}</table>"
