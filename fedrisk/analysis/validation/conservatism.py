"""The margin of conservatism on each grade's probability of default, with the privacy noise in it, part by part.

Category C, general estimation error (EBA/GL/2017/16): a one-sided quantile of the error of the grade's probability.
Its variance is the sum of parts that are stated apart: sampling of the grade's customers; noise of the evaluation,
where the customers are known by released counts; the calibration, by sampling and by privacy noise
(models/calibration_errors); and the points, in which both are together. A calibration made after the points takes a
part of their error off again; leaving it in errs on the safe side, and a rule leaves it out. Categories A and B are a
person's judgement, as shares of the probability (rules.Conservatism). A grade is at most as risky as any riskier one,
so that the least bound of those from it on is its bound too; probabilities with margins therefore never fall towards
risk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.validation.grade_counts import GradeCounts
from fedrisk.analysis.validation.noisy_binomial import normal_quantile
from fedrisk.analysis.validation.rules import Conservatism

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LogOddsErrors:
    """Standard errors of the log-odds of each grade, (g,). noise: of the calibration, by privacy noise alone.

    calibration: by sampling of training rows. points: of the points, mean over the grade's customers. known: whether
    the calibration's errors are; else only that of the rate is in ``noise``.
    """

    calibration: Floats
    noise: Floats
    points: Floats
    known: bool = True


@dataclass(frozen=True, kw_only=True)
class Margin:
    """One grade, all as probabilities.

    sampling, evaluation, calibration, noise, points: standard errors of ``pd`` by source; evaluation and noise are by
    privacy noise. error: by all of them. data, changes, estimation: margins A, B and C. by_noise, by_noise_most: the
    part of ``estimation`` that would go if there were no privacy noise, at least and at most: the error of the points,
    in which noise and sampling are together, is taken to have none of it, or to be all noise. final: pd with all
    margins, or that of a riskier grade where it is less.
    """

    grade: str
    pd: float
    sampling: float
    evaluation: float
    calibration: float
    noise: float
    points: float
    error: float
    data: float
    changes: float
    estimation: float
    by_noise: float
    by_noise_most: float
    final: float


def margins(grades: GradeCounts, errors: LogOddsErrors, rules: Conservatism) -> tuple[Margin, ...]:
    """Margins of all grades. A grade without customers has no error of sampling."""
    pd, z = grades.pd, normal_quantile(rules.confidence)
    steep = pd * (1 - pd)
    size = np.where(grades.tested, np.maximum(grades.size, 1.0), np.inf)
    parts = {
        "sampling": np.sqrt(np.maximum(grades.sampling, steep)) / size,
        "evaluation": np.sqrt(grades.noise) / size,
        "calibration": steep * errors.calibration,
        "noise": steep * errors.noise,
        "points": steep * errors.points * rules.points,
    }
    squares = {name: np.square(part) for name, part in parts.items()}
    error = np.sqrt(np.sum(list(squares.values()), axis=0))
    without, sampled = (
        z * np.sqrt(np.sum([squares[n] for n in names], axis=0))
        for names in (("sampling", "calibration", "points"), ("sampling", "calibration"))
    )
    estimation = np.minimum(z * error, 1 - pd)
    whole = np.minimum(pd * (1 + rules.data + rules.changes) + estimation, 1.0)
    final = np.minimum.accumulate(whole[::-1])[::-1]
    return tuple(
        Margin(
            grade=name,
            pd=float(pd[k]),
            **{part: float(value[k]) for part, value in parts.items()},
            error=float(error[k]),
            data=float(rules.data * pd[k]),
            changes=float(rules.changes * pd[k]),
            estimation=float(estimation[k]),
            by_noise=float(max(estimation[k] - without[k], 0.0)),
            by_noise_most=float(max(estimation[k] - sampled[k], 0.0)),
            final=float(final[k]),
        )
        for k, name in enumerate(grades.names)
    )
