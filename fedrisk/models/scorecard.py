"""The scorecard: integer points per bin, a probability, reasons, and public bands.

A card is made twice: first from the sums (models/fitted_card), by which rows are scored, then on the scale of its
calibration (`Scorecard.calibrated`). Points follow credit practice (Siddiqi 2017): higher is safer, 20 points double
the odds of repaying, and 600 points mean odds of 30 to 1. An institution adds up its points for an enterprise; the
sum over institutions and the base are the score. Everything in a scorecard comes from released numbers. This
includes the spread of the score, which determines the calibration (the mean predicted probability is the released
rate), the bins of the evaluation histogram and the coarse bands of one holder's part.

An edited card (models/card_edit) may state its scores on another scale, and expect another rate in the long run. Points
of holders stay on the standard scale, on which they are given; a bank brings their sum to the scale of its card.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.point_errors import ROUNDING
from fedrisk.models.scale import STANDARD, Scale
from fedrisk.models.score_spread import ScoreSpread
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
Codes = Sequence[NDArray[np.integer]] | NDArray[np.integer]

VERSION = 4
"""Of the stored form. Version 2 has standard errors and a calibration, version 3 also pairs, version 4 also what only
edits make: another scale, a long-run rate, categories that count as one. Older ones are read still.

A card is stored as the oldest version that holds it, so that older programs read it; they refuse what they would score
wrongly."""

FACTOR = STANDARD.factor
"""Points per unit of log-odds on the standard scale, on which every card is fitted."""

EXTERNAL = "external data"
"""Name of the reason that stands for all other institutions."""

FARTHEST = 1_000_000
"""Points of a stored card lie between this and its negative, on whichever scale."""

MOST_POINTS = 200
"""Most points that one feature gives or takes."""

CLOSE = 1e-6
"""How far a number may be from another machine's for the same computation, in proportion and by itself."""


@dataclass(frozen=True)
class Scorecard(ScoreSpread):
    """A complete scorecard; public to the institutions of its study.

    Attributes:
        study: name of the study.
        bins: the features with their bins.
        points: integer points per feature and bin.
        base_points: added once to every score.
        averages: mean points of each feature over enterprises, from released weights.
        intercept: calibrated log-odds of default at average points in every feature.
        rate: released default rate.
        rate_error: standard error of the rate by the noise of the label counts; 0 on cards of version 1.
        flattery: sum over training rows of the covariance of a row's label with its log-odds (Efron 2004): the card
            follows these rows, so that it looks bolder on others than it should; 0 on cards of version 1.
        sd: standard deviation of the score, in points.
        gap: mean of others less mean of defaults, in points.
        partial_sd: standard deviation of each institution's points.
        notice: what a reader must know, for instance that the scorecard is from a run without privacy.
        errors: standard error of every number of points (models/point_errors), in the shape of ``points``; None on
            cards of version 1.
        calibration: fitted to training rows; None on a card that was not calibrated yet, and on those of version 1.
        scale: on which scores and points are stated.
        long_run: rate that the probabilities expect in the long run, where an edit set one (King & Zeng 2001);
            ``rate`` stays what was released.
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
    calibration: Calibration | None = None
    rate_error: float = 0.0
    flattery: float = 0.0
    scale: Scale = STANDARD
    long_run: float | None = None
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

    def same_as(self, other: Scorecard) -> bool:
        """Whether two cards say the same within rounding: same bins and points, every other number nearly so."""
        same = ("study", "bins", "points", "notice", "scale", "long_run")
        if any(getattr(self, name) != getattr(other, name) for name in same):
            return False
        names = [*self.partial_sd]
        if names != [*other.partial_sd] or abs(self.base_points - other.base_points) > 1:
            return False
        if (self.calibration is None, self.errors is None) != (
            other.calibration is None,
            other.errors is None,
        ):
            return False
        mine, theirs = (c._numbers() for c in (self, other))
        return bool(np.allclose(mine, theirs, rtol=CLOSE, atol=CLOSE))

    def _numbers(self) -> list[float]:
        c = self.calibration
        fitted = [] if c is None else [c.centre, c.level, c.slope, c.bend, *c.line]
        return [
            *self.averages,
            self.intercept,
            self.rate,
            self.rate_error,
            self.flattery,
            self.sd,
            self.gap,
            *self.partial_sd.values(),
            *(v for e in self.errors or () for v in e),
            *fitted,
        ]

    def calibrated(
        self,
        calibration: Calibration,
        rounded: Sequence[Sequence[int]] | None = None,
        *,
        scale: Scale = STANDARD,
        long_run: float | None = None,
    ) -> Scorecard:
        """The card on the scale of its calibration: by the straight line that fits best, points double the odds.

        Points are multiplied by the line's slope and rounded again. A curvature stays out of the points, which would
        not add up any more; it is in `probability`. ``rounded``: as for `card_from_weights`.

        scale: on which the calibrated card states its scores. long_run: rate that it expects, by which the intercept
        is moved as Bayes' rule says where the classes stay what they are (Elkan 2001; King & Zeng 2001).
        """
        if long_run is not None:
            calibration = calibration.shifted(float(logit(long_run) - logit(self.rate)))
        level, slope = calibration.line
        stated = float(self.stated_log_odds(self.base_points))
        base = scale.score_of(level + slope * (stated - calibration.centre))
        steps = slope * scale.ratio
        points = whole_points([steps * np.asarray(p, dtype=np.float64) for p in self.points], rounded)
        return replace(
            self,
            points=tuple(tuple(int(v) for v in p) for p in points),
            base_points=round(base),
            averages=tuple(steps * a for a in self.averages),
            intercept=level + slope * (self.intercept - calibration.centre),
            sd=steps * self.sd,
            flattery=slope * self.flattery,
            gap=steps * self.gap,
            partial_sd={name: steps * sd for name, sd in self.partial_sd.items()},
            errors=None if self.errors is None else tuple(_scaled_errors(e, steps) for e in self.errors),
            calibration=calibration,
            scale=scale,
            long_run=long_run,
        )

    @staticmethod
    def scaled_points(
        calibration: Calibration, points: ArrayLike, scale: Scale = STANDARD
    ) -> NDArray[np.int64]:
        """Points, or sums of points, of a card without calibration on the scale of the calibrated one."""
        steps = calibration.line[1] * scale.ratio
        return np.rint(steps * np.asarray(points, dtype=np.float64)).astype(np.int64)

    def given_points(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """Holders' points, or sums of them, as they are given, on the scale of this card; in the shape of ``points``.

        They are given by the card without calibration, on the standard scale.
        """
        if self.calibration is None:
            return points
        return self.scaled_points(self.calibration, points, self.scale)

    def errors_of(self, feature: int) -> tuple[float, ...] | None:
        """Standard errors of a feature's points; None on cards of earlier versions."""
        return None if self.errors is None else self.errors[feature]

    def external_log_odds(self, points: NDArray[np.integer] | Floats) -> Floats:
        """Log-odds of default that the holders' points add to the average, in the shape of ``points``."""
        average = sum(
            a for a, b in zip(self.averages, self.bins, strict=True) if b.feature.institution != BANK
        )
        return (average - np.asarray(points, dtype=np.float64)) / self.scale.factor

    def features_of(self, institution: str) -> list[int]:
        """Positions of the institution's features.

        Raises:
            ConfigError: the institution has no feature.
        """
        places = self._places(institution)
        if not places:
            raise ConfigError(f"scorecard: institution {institution!r} has no feature in it")
        return places

    def by_spread(self) -> list[int]:
        """Positions of all features, those whose points differ most first."""
        return sorted(range(len(self.points)), key=lambda j: min(self.points[j]) - max(self.points[j]))

    def columns_of(self, institution: str) -> list[int]:
        """Positions of the institution's columns: its features without pairs and whether it knows the enterprise."""
        return [j for j in self._places(institution) if self.bins[j].feature.is_column]

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
        log_odds = self.stated_log_odds(score)
        if self.calibration is not None and not self.calibration.straight:
            level, slope = self.calibration.line
            log_odds = self.calibration.log_odds(self.calibration.centre + (log_odds - level) / slope)
        return np.asarray(expit(log_odds), dtype=np.float64)

    def stated_log_odds(self, score: ArrayLike) -> Floats:
        """Log-odds of default that scores stand for by the card's scale, in the shape of ``score``."""
        return self.scale.log_odds(score)

    def bands(self, places: Sequence[int], sd: float, k: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Public inner edges, in points, of at most k coarse bands of a sum over features, and points of each band.

        Edges are quantiles of the normal with the released mean and the spread ``sd``; those that are equal after
        rounding become one. A band's points are the normal's mean inside it.

        Raises:
            ConfigError: k is below 2.
        """
        if k < 2:
            raise ConfigError(f"bands: k is {k}, must be at least 2")
        mean, sd = sum(self.averages[j] for j in places), max(sd, 1e-9)
        edges = tuple(int(v) for v in np.unique(np.ceil(mean + sd * ndtri(np.arange(1, k) / k))))
        z = (np.r_[-np.inf, np.array(edges, dtype=float), np.inf] - mean) / sd
        mass = np.maximum(np.diff(ndtr(z)), 1e-12)
        inside = mean - sd * np.diff(np.exp(-(z**2) / 2)) / math.sqrt(2 * math.pi) / mass
        return edges, tuple(int(v) for v in np.rint(inside))

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
            Columns of the institution, a special code with its meaning, and "external data", largest shortfall
            first; only positive shortfalls.
        """
        places = self._places(institution)
        _check_codes(institution, codes, places)
        short = [self.averages[j] - self._points_at(j, c) for j, c in zip(places, codes, strict=True)]
        if external is not None:
            others = sum(a for j, a in enumerate(self.averages) if j not in places)
            short.append(others - np.asarray(external, dtype=np.float64))
        table = np.stack(short, 1)
        order = np.argsort(-table, axis=1, kind="stable")[:, :k]
        # Many rows have the same reasons: each combination of them is put into words once.
        words = ["", *(word for j in places for word in self.bins[j].reasons()), EXTERNAL]
        begin = np.cumsum([1, *(self.bins[j].size for j in places)])
        numbers = [start + np.asarray(c, np.int64) for start, c in zip(begin, codes, strict=False)]
        if external is not None:
            numbers.append(np.full(len(table), begin[-1]))
        number = np.stack(numbers, 1)
        chosen = np.take_along_axis(np.where(table > 1e-9, number, 0), order, axis=1)
        first, which = _combinations(chosen, len(words))
        said = [tuple(words[n] for n in row if n) for row in chosen[first].tolist()]
        return [said[i] for i in which.tolist()]

    def to_json(self) -> str:
        """The scorecard as JSON text."""
        data = {**asdict(self), "bins": [b.to_dict() for b in self.bins], "version": self._least_version()}
        # Cards of studies are stored as before there were edits, to the letter: their digests name models.
        for name, value in (("scale", STANDARD), ("long_run", None)):
            if getattr(self, name) == value:
                del data[name]
        return json.dumps(data, indent=1, allow_nan=False)

    def _least_version(self) -> int:
        """The oldest version of the stored form that holds this card."""
        if self.scale != STANDARD or self.long_run is not None or any(b.same for b in self.bins):
            return 4
        return 3 if any(b.feature.kind == "pair" for b in self.bins) else 2

    @classmethod
    def from_json(cls, text: str) -> Scorecard:
        """Inverse of `to_json`.

        Raises:
            ConfigError: the text is malformed, or of a newer format version.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            version = int(data["version"])
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise ConfigError(
                "scorecard: not a stored scorecard, or damaged; put it back from its copy"
            ) from error
        if version > VERSION:
            raise ConfigError(
                f"scorecard: format version is {version}, this program reads up to {VERSION}; upgrade it"
            )
        try:
            data["bins"] = tuple(Bins.from_dict(b) for b in data["bins"])
            data["points"] = tuple(tuple(int(v) for v in p) for p in data["points"])
            data["averages"] = tuple(float(a) for a in data["averages"])
            fitted = data.get("calibration")
            if fitted is not None:
                fitted = {**fitted, "line": tuple(float(v) for v in fitted["line"])}
                data["calibration"] = Calibration(**fitted)
            if (errors := data.get("errors")) is not None:
                data["errors"] = tuple(tuple(float(v) for v in e) for e in errors)
            if (scale := data.get("scale")) is not None:
                data["scale"] = Scale(**{name: float(v) for name, v in scale.items()})
            data["version"] = VERSION
            card = cls(**data)
            card._check_stored()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError("scorecard: the stored form is malformed; put it back from its copy") from error
        return card

    def _check_stored(self) -> None:
        """ValueError where something is not of the type that it must be: what is written into exports is what it is."""
        texts = [self.study, *self.partial_sd, *(() if self.notice is None else (self.notice,))]
        texts += [text for b in self.bins for text in (b.feature.institution, b.feature.column)]
        numbers = [self.intercept, self.rate, self.rate_error, self.sd, self.gap, self.flattery]
        numbers += [*self.averages, *self.partial_sd.values(), *(v for e in self.errors or () for v in e)]
        numbers += [v for v in (self.long_run,) if v is not None]
        if (c := self.calibration) is not None:
            numbers += [c.centre, c.level, c.slope, c.bend, *c.line]
        whole = [self.base_points, *(v for p in self.points for v in p)]
        fits = all(isinstance(t, str) for t in texts)
        fits = fits and all(type(v) in (int, float) and math.isfinite(v) for v in numbers)
        if not fits or any(type(v) is not int or abs(v) > FARTHEST for v in whole):
            raise ValueError


def whole_points(raw: Sequence[Floats], rounded: Sequence[Sequence[int]] | None) -> list[NDArray[np.int64]]:
    """Whole points: rounded here, or as another machine rounded them where that is rounding and no more."""
    if rounded is None:
        return [np.rint(r).astype(np.int64) for r in raw]
    out = [np.asarray(r, np.int64) for r in rounded]
    fits = len(out) == len(raw) and all(
        o.shape == r.shape and (np.abs(o - r) <= 0.5 + CLOSE).all() for o, r in zip(out, raw, strict=True)
    )
    if not fits:
        raise ConfigError("the points are not those that follow from the released numbers")
    return out


def _scaled_errors(errors: Sequence[float], slope: float) -> tuple[float, ...]:
    """Errors of whole points after these were multiplied and rounded again."""
    return tuple(math.sqrt(slope**2 * max(e * e - ROUNDING, 0.0) + ROUNDING) for e in errors)


def _combinations(rows: NDArray[np.int64], below: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each distinct row of (n, k) numbers comes first, and which one each row is, (n,).

    below: what all numbers are below. One number for each row, where they fit, is sorted twenty times as fast.
    """
    if below ** rows.shape[1] < 2**63:
        rows = rows @ (below ** np.arange(rows.shape[1], dtype=np.int64))[:, None]
    one = rows.ravel() if rows.shape[1] == 1 else rows
    _, first, which = np.unique(one, axis=0, return_index=True, return_inverse=True)
    return first, which.ravel()


def _check_codes(institution: str, codes: Codes, places: list[int]) -> None:
    if len(codes) != len(places):
        raise DataError(
            f"{institution}: {len(codes)} columns of codes, the scorecard has {len(places)} of its features"
        )
