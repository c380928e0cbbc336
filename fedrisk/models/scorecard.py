"""The scorecard: integer points per bin, a probability, reasons, and public bands.

Points follow credit practice (Siddiqi 2017): higher is safer, 20 points double the odds of repaying, and 600
points mean odds of 30 to 1. An institution adds up its points for an enterprise; the sum over institutions
and the base are the score. Everything in a scorecard comes from released numbers. This includes the spread of
the score, which determines the calibration (the mean predicted probability is the released rate), the bins of
the evaluation histogram and the coarse bands of one holder's part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit
from scipy.stats import norm

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import calibrated_intercept, class_scores
from fedrisk.models.estimator import Curves, LabelCounts, complete_gram
from fedrisk.models.point_errors import point_errors
from fedrisk.study import BANK

Floats = NDArray[np.float64]
Codes = Sequence[NDArray[np.integer]] | NDArray[np.integer]

VERSION = 2
"""Of the stored form. Version 2 has standard errors; version 1 is read still."""

DOUBLE = 20.0
"""Points that double the odds of repaying."""

BASE_SCORE = 600.0
BASE_ODDS = 30.0
"""Odds of repaying at the base score."""

FACTOR = DOUBLE / math.log(2)
"""Points per unit of log-odds."""

EXTERNAL = "external data"
"""Name of the reason that stands for all other institutions."""

MOST_POINTS = 200
"""Most points that one feature gives or takes."""

CLOSE = 1e-6
"""How far a number may be from another machine's for the same computation, in proportion and by itself."""

SLOPES = (0.5, 2.0)
"""Bounds of the calibration slope."""


@dataclass(frozen=True)
class ScoreMoments:
    """Moments of the summed contributions (log-odds of default), from released numbers.

    Attributes:
        variance: over enterprises.
        gap: mean among defaults less mean among others.
        partial: by institution, variance of its part.
    """

    variance: float
    gap: float
    partial: dict[str, float]


def score_moments(
    contributions: Sequence[Floats],
    counts: LabelCounts,
    curves: Curves,
    owner: Sequence[str],
    bases: Sequence[Floats] | None = None,
    gram: Floats | None = None,
) -> ScoreMoments:
    """Variance of the score, in total and by institution, and the gap between the classes.

    Without bases and gram (where release B was a second count) features count as independent, which gives a
    wrong variance where they repeat each other.
    """
    variances = np.array([float(w @ f**2) for w, f in zip(curves.weight, contributions, strict=True)])
    cross = np.zeros((len(variances), len(variances)))
    if bases is not None and gram is not None:
        full = complete_gram(bases, curves, gram) / curves.total
        at = [0, *np.cumsum([b.shape[1] for b in bases]).tolist()]
        beta = np.zeros((at[-1], len(variances)))
        for j, (base, weight, f) in enumerate(zip(bases, curves.weight, contributions, strict=True)):
            root = np.sqrt(weight)
            fit = np.linalg.lstsq(root[:, None] * base, root * f, rcond=None)[0]
            beta[at[j] : at[j + 1], j] = fit
        cross = beta.T @ full @ beta
    np.fill_diagonal(cross, variances)
    holders = np.array(owner)
    partial = {}
    for name in dict.fromkeys(owner):
        block = cross[np.ix_(holders == name, holders == name)]
        partial[name] = max(float(block.sum()), 1e-12)
    gap = sum(
        float(f @ n1) / counts.positives - float(f @ n0) / counts.negatives
        for f, n1, n0 in zip(contributions, counts.n1, counts.n0, strict=True)
    )
    return ScoreMoments(max(float(cross.sum()), 1e-12), gap, partial)


@dataclass(frozen=True)
class Scorecard:
    """A complete scorecard; public to the institutions of its study.

    Attributes:
        study: name of the study.
        bins: the features with their bins.
        points: integer points per feature and bin.
        base_points: added once to every score.
        averages: mean points of each feature over enterprises, from released weights.
        intercept: calibrated log-odds of default at average points in every feature.
        rate: released default rate.
        sd: standard deviation of the score, in points.
        gap: mean of others less mean of defaults, in points.
        partial_sd: standard deviation of each institution's points.
        notice: what a reader must know, for instance that the scorecard is from a run without privacy.
        errors: standard error of every number of points (models/point_errors), in the shape of ``points``; None on
            cards of earlier versions.
        version: of the stored form.
    """

    study: str
    bins: tuple[Bins, ...]
    points: tuple[tuple[int, ...], ...]
    base_points: int
    averages: tuple[float, ...]
    intercept: float
    rate: float
    sd: float
    gap: float
    partial_sd: dict[str, float]
    notice: str | None = None
    errors: tuple[tuple[float, ...], ...] | None = None
    version: int = VERSION

    def __post_init__(self) -> None:
        if not self.bins or not len(self.bins) == len(self.points) == len(self.averages):
            raise ConfigError(
                "scorecard: bins, points and averages must have one entry per feature, at least one"
            )
        if any(b.size != len(p) for b, p in zip(self.bins, self.points, strict=True)):
            raise ConfigError("scorecard: every feature needs one number of points per bin")
        if self.errors is not None and [len(e) for e in self.errors] != [len(p) for p in self.points]:
            raise ConfigError("scorecard: every number of points needs one standard error")
        if self.version > VERSION:
            raise ConfigError(
                f"scorecard: format version is {self.version}, this program reads up to {VERSION}; upgrade it"
            )

    @classmethod
    def from_weights(
        cls,
        study: str,
        bins: Sequence[Bins],
        contributions: Sequence[Floats],
        counts: LabelCounts,
        curves: Curves,
        *,
        errors: Sequence[Floats] | None = None,
        bases: Sequence[Floats] | None = None,
        gram: Floats | None = None,
        rounded: Sequence[Sequence[int]] | None = None,
    ) -> Scorecard:
        """Scorecard from log-odds contributions per bin; features with a direction are made monotone first.

        Where a Gram matrix is given, the contributions are multiplied by the slope that turns a discriminant
        score into log-odds: gap over variance within the classes, limited to 1/2 to 2. No feature gives or takes
        more than MOST_POINTS.

        errors: standard errors of the contributions, in their shape; the card states those of its points.
        rounded: points as another machine rounded them, taken where they are within rounding of those here, so that
        all machines have the same card. ConfigError where they are not.
        """
        shaped = [make_monotone(b, f, w) for b, f, w in zip(bins, contributions, curves.weight, strict=True)]
        owner = [b.feature.institution for b in bins]
        moments = score_moments(shaped, counts, curves, owner, bases, gram)
        slope = 1.0
        if gram is not None:
            within = moments.variance - curves.rate * (1 - curves.rate) * moments.gap**2
            slope = float(np.clip(moments.gap / max(within, 1e-9), *SLOPES))
        points = _rounded([-FACTOR * slope * f for f in shaped], rounded)
        averages = [float(w @ p) for w, p in zip(curves.weight, points, strict=True)]
        spread = slope * math.sqrt(moments.variance)
        intercept = _intercept([slope * f for f in shaped], curves, spread)
        base = BASE_SCORE - FACTOR * (intercept + math.log(BASE_ODDS)) - sum(averages)
        return cls(
            study=study,
            bins=tuple(bins),
            points=tuple(tuple(int(v) for v in p) for p in points),
            base_points=round(base),
            averages=tuple(averages),
            intercept=intercept,
            rate=curves.rate,
            sd=FACTOR * spread,
            gap=FACTOR * slope * moments.gap,
            partial_sd={k: FACTOR * slope * math.sqrt(v) for k, v in moments.partial.items()},
            errors=None if errors is None else point_errors(errors, FACTOR * slope),
        )

    def same_as(self, other: Scorecard) -> bool:
        """Whether two cards say the same within rounding: same bins and points, every other number nearly so."""
        if (self.study, self.bins, self.points, self.notice) != (
            other.study,
            other.bins,
            other.points,
            other.notice,
        ):
            return False
        names = [*self.partial_sd]
        if names != [*other.partial_sd] or abs(self.base_points - other.base_points) > 1:
            return False
        if (self.errors is None) != (other.errors is None):
            return False
        mine, theirs = (
            [
                *c.averages,
                *(c.intercept, c.rate, c.sd, c.gap),
                *c.partial_sd.values(),
                *(v for e in c.errors or () for v in e),
            ]
            for c in (self, other)
        )
        return bool(np.allclose(mine, theirs, rtol=CLOSE, atol=CLOSE))

    def errors_of(self, feature: int) -> tuple[float, ...] | None:
        """Standard errors of a feature's points; None on cards of earlier versions."""
        return None if self.errors is None else self.errors[feature]

    def external_log_odds(self, points: NDArray[np.integer] | Floats) -> Floats:
        """Log-odds of default that the holders' points add to the average, in the shape of ``points``."""
        average = sum(
            a for a, b in zip(self.averages, self.bins, strict=True) if b.feature.institution != BANK
        )
        return (average - np.asarray(points, dtype=np.float64)) / FACTOR

    def features_of(self, institution: str) -> list[int]:
        """Positions of the institution's features.

        Raises:
            ConfigError: the institution has no feature.
        """
        places = self._places(institution)
        if not places:
            raise ConfigError(f"scorecard: institution {institution!r} has no feature in it")
        return places

    def _places(self, institution: str) -> list[int]:
        return [j for j, b in enumerate(self.bins) if b.feature.institution == institution]

    def institution_points(self, institution: str, codes: Codes) -> NDArray[np.int64]:
        """Sum of one institution's points per enterprise, shape (n,), without the base.

        Args:
            institution: role name of the institution.
            codes: bin codes of its features, in the scorecard's order, one array (n,) each.

        Raises:
            DataError: a code lies outside its feature's bins, or a feature is absent.
        """
        places = self.features_of(institution)
        _check_codes(institution, codes, places)
        return sum(
            (self._points_at(j, c) for j, c in zip(places, codes, strict=True)),
            start=np.zeros(len(codes[0]), dtype=np.int64),
        )

    def _points_at(self, feature: int, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        table = np.array(self.points[feature], dtype=np.int64)
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(table):
            raise DataError(
                f"{self.bins[feature].feature.name}: a code lies outside its bins; bin the table again"
            )
        out: NDArray[np.int64] = table[codes]
        return out

    def probability(self, score: ArrayLike) -> Floats:
        """Probability of default for scores that include the base; same shape as ``score``."""
        s = np.asarray(score, dtype=np.float64)
        return np.asarray(expit(-(s - BASE_SCORE) / FACTOR - math.log(BASE_ODDS)), dtype=np.float64)

    def score_distribution(self) -> tuple[float, float]:
        """Mean and standard deviation of the score over enterprises, from released numbers."""
        return self.base_points + sum(self.averages), self.sd

    def score_bins(self, k: int) -> Floats:
        """Inner edges of k score bins for an evaluation histogram, shape (k - 1,), rising in the score.

        They are quantiles of an even mixture of the two classes, each normal with the released means and the
        spread within classes, so that both classes cover all bins.

        Raises:
            ConfigError: k is below 2.
        """
        if k < 2:
            raise ConfigError(f"score bins: k is {k}, must be at least 2")
        mean, sd = self.score_distribution()
        gap = float(np.clip(self.gap, 0.0, 3 * sd))
        low, high = mean - (1 - self.rate) * gap, mean + self.rate * gap
        within = math.sqrt(max(sd**2 - self.rate * (1 - self.rate) * gap**2, (sd / 4) ** 2))

        def excess(x: float, share: float) -> float:
            return float((norm.cdf(x, low, within) + norm.cdf(x, high, within)) / 2 - share)

        span = (low - 8 * within, high + 8 * within)
        return np.array([brentq(excess, *span, args=(i / k,)) for i in range(1, k)])

    def risk_bins(self, score: ArrayLike, edges: ArrayLike) -> NDArray[np.int64]:
        """Bin of each score in order of *rising risk* (0 is safest), as `metrics.from_histogram` needs it."""
        inner = np.asarray(edges, dtype=np.float64)
        return len(inner) - np.searchsorted(inner, np.asarray(score), side="right").astype(np.int64)

    def bin_probabilities(self, edges: ArrayLike) -> Floats:
        """Probability of default at the middle of each score bin, in order of rising risk, shape (k,)."""
        inner = np.asarray(edges, dtype=np.float64)
        step = np.diff(inner) if len(inner) > 1 else np.array([self.sd])
        middle = np.r_[inner[0] - step[0] / 2, (inner[:-1] + inner[1:]) / 2, inner[-1] + step[-1] / 2]
        return self.probability(middle)[::-1].copy()

    def band_edges(self, institution: str, k: int) -> tuple[int, ...]:
        """Public inner edges, in points, of at most k coarse bands of one institution's sum.

        They are quantiles of the normal with released mean and spread; edges that are equal after rounding
        become one.
        """
        if k < 2:
            raise ConfigError(f"bands: k is {k}, must be at least 2")
        mean = sum(self.averages[j] for j in self.features_of(institution))
        cut = norm.ppf(np.arange(1, k) / k, mean, max(self.partial_sd[institution], 1e-9))
        return tuple(int(v) for v in np.unique(np.ceil(cut)))

    def band_points(self, institution: str, k: int) -> tuple[int, ...]:
        """Points that represent each band, one more than `band_edges`: the normal's mean inside the band."""
        mean = sum(self.averages[j] for j in self.features_of(institution))
        sd = max(self.partial_sd[institution], 1e-9)
        z = (np.r_[-np.inf, np.array(self.band_edges(institution, k), dtype=float), np.inf] - mean) / sd
        mass = np.maximum(np.diff(norm.cdf(z)), 1e-12)
        inside = mean - sd * np.diff(norm.pdf(z)) / mass
        return tuple(int(v) for v in np.rint(inside))

    def reasons(
        self, codes: Codes, external: ArrayLike | None = None, k: int = 4, institution: str = "bank"
    ) -> list[tuple[str, ...]]:
        """Up to k reasons per enterprise: features in which it falls furthest short of the average points.

        Args:
            codes: bin codes of the institution's features, in order, one array (n,) each; none for a bank
                that has labels only.
            external: sum of all other institutions' points, shape (n,), which is one reason, "external data".
                None leaves it out.
            k: largest number of reasons.
            institution: whose features are the reasons.

        Returns:
            Columns of the institution and "external data", largest shortfall first; only positive shortfalls.
        """
        places = self._places(institution)
        _check_codes(institution, codes, places)
        names = [self.bins[j].feature.column for j in places]
        short = [self.averages[j] - self._points_at(j, c) for j, c in zip(places, codes, strict=True)]
        if external is not None:
            others = sum(a for j, a in enumerate(self.averages) if j not in places)
            names.append(EXTERNAL)
            short.append(others - np.asarray(external, dtype=np.float64))
        table = np.stack(short, 1)
        order = np.argsort(-table, axis=1, kind="stable")[:, :k]
        return [tuple(names[j] for j in row if table[i, j] > 1e-9) for i, row in enumerate(order.tolist())]

    def to_json(self) -> str:
        """The scorecard as JSON text."""
        data = {**asdict(self), "bins": [b.to_dict() for b in self.bins]}
        return json.dumps(data, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Scorecard:
        """Inverse of `to_json`.

        Raises:
            ConfigError: the text is malformed, or of a newer format version.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            version = int(data["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"scorecard: not a stored scorecard ({type(error).__name__})") from error
        if version > VERSION:
            raise ConfigError(
                f"scorecard: format version is {version}, this program reads up to {VERSION}; upgrade it"
            )
        try:
            data["bins"] = tuple(Bins.from_dict(b) for b in data["bins"])
            data["points"] = tuple(tuple(int(v) for v in p) for p in data["points"])
            data["averages"] = tuple(float(a) for a in data["averages"])
            if (errors := data.get("errors")) is not None:
                data["errors"] = tuple(tuple(float(v) for v in e) for e in errors)
            return cls(**data)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"scorecard: the stored form is malformed ({type(error).__name__})") from error


def _rounded(raw: Sequence[Floats], rounded: Sequence[Sequence[int]] | None) -> list[NDArray[np.int64]]:
    """Whole points: rounded here, or as another machine rounded them where that is rounding and no more."""
    clipped = [np.clip(r, -MOST_POINTS, MOST_POINTS) for r in raw]
    if rounded is None:
        return [np.rint(r).astype(np.int64) for r in clipped]
    out = [np.asarray(r, np.int64) for r in rounded]
    fits = len(out) == len(clipped) and all(
        o.shape == r.shape and (np.abs(o - r) <= 0.5 + CLOSE).all() for o, r in zip(out, clipped, strict=True)
    )
    if not fits:
        raise ConfigError("the points are not those that follow from the released numbers")
    return out


def _check_codes(institution: str, codes: Codes, places: list[int]) -> None:
    if len(codes) != len(places):
        raise DataError(
            f"{institution}: {len(codes)} columns of codes, the scorecard has {len(places)} of its features"
        )


def _intercept(contributions: Sequence[Floats], curves: Curves, spread: float) -> float:
    """Calibrated intercept of a score with these contributions and this standard deviation."""
    positive = [w * np.exp(f) for w, f in zip(curves.weight, curves.curve, strict=True)]
    positive = [p / p.sum() for p in positive]
    negative = [w / w.sum() - curves.rate * p for w, p in zip(curves.weight, positive, strict=True)]
    ones, zeros = class_scores(contributions, positive, negative, curves.rate, spread)
    return calibrated_intercept(curves.rate, ones, zeros)


def make_monotone(bins: Bins, contribution: Floats, weight: Floats) -> Floats:
    """Weighted isotonic regression over the ordered bins, in the feature's direction (Barlow et al. 1972).

    Unordered and missing bins are not changed; a feature without a direction is returned unchanged.
    """
    if bins.feature.monotone is None:
        return contribution
    out = np.array(contribution, dtype=np.float64)
    k = bins.ordered
    rising = bins.feature.monotone == "increasing"
    out[:k] = isotonic_regression(out[:k], weights=np.maximum(weight[:k], 1e-12), increasing=rising).x
    return out
