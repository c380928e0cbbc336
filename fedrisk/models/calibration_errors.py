"""Standard errors of a card's calibration: by sampling of training rows, and by the privacy noise of what was released.

The calibration's weights are where generalised least squares of the residuals and a prior have their best
(models/calibration). To first order they move with the residuals by H^-1 X' S^-1, so that their covariance is that
matrix about the residuals' covariance (a sandwich, as of Huber 1967), whose parts by sampling and by noise are known
apart: noise of the histogram's counts, and that of the default rate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from fedrisk.models.calibration import PRIOR, Calibration, ScoreCounts, curve, residuals

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CalibrationErrors:
    """Covariances of level and slope, and of the bend where there is one. sampling, noise: (m, m). centre: log-odds."""

    centre: float
    sampling: Floats
    noise: Floats

    def of(self, stated: ArrayLike) -> tuple[Floats, Floats]:
        """Standard errors of the true log-odds by sampling and by noise, at those that the first card stated, (n,)."""
        x = np.atleast_1d(np.asarray(stated, dtype=np.float64))
        basis = np.column_stack([np.ones(len(x)), curve(x, self.centre)])[:, : len(self.sampling)]
        sampling, noise = (
            np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", basis, c, basis), 0.0))
            for c in (self.sampling, self.noise)
        )
        return sampling, noise


def calibration_errors(rows: ScoreCounts, fitted: Calibration) -> CalibrationErrors:
    """Errors of a calibration from the histogram that it was fitted to. rows: as `fit_calibration` had it."""
    weights = np.array([fitted.level, fitted.slope] + [fitted.bend] * (not fitted.straight))
    size = len(weights)
    basis = np.column_stack([np.ones(len(rows.middles)), curve(rows.stated(), fitted.centre)])[:, :size]
    p = expit(basis @ weights)
    _, slope, cover = residuals(p, rows)
    _, _, sampled = residuals(p, replace(rows, variance=0.0, rate_error=0.0))
    factor = cho_factor(cover, lower=True)
    design = np.vstack([slope[:, None] * basis, slope @ basis])
    solved = cho_solve(factor, design)
    hessian = design.T @ solved + np.diag(1 / np.square(PRIOR[:size]))
    moved = np.linalg.solve(hessian, solved.T)
    sampling = moved @ sampled @ moved.T
    return CalibrationErrors(
        centre=fitted.centre, sampling=sampling, noise=moved @ (cover - sampled) @ moved.T
    )
