"""Shares of losses: what each party has to expect, whether the pool is enough, and what other rules would change.

Two kinds of intervals, never to be mixed up:

- of an *expected loss*: where the figure from the exact sums lies; its width is the privacy noise of the sums alone.
- of the *loss to come*: where next period's loss lies; noise, and the variation of the losses themselves
  (:mod:`fedrisk.analysis.loss_distribution`).

Tables are in whole fen and add up exactly, over parties and over segments. Everything follows from released sums.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.intervals import reach
from fedrisk.analysis.loss_book import SAYS, Book, Sums, not_negative
from fedrisk.analysis.loss_distribution import PANELS, Draws
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_split import apportion, split_smoothly

ADEQUATE = (0.90, 0.99)
_AT_ONCE = 2_000_000
"""Numbers of a block of draws that are split at once."""


@dataclass(frozen=True, kw_only=True)
class Bearing:
    """What one party, or all together, has to expect; in fen.

    expected: adds up over parties. low, high: its interval, from the noise of the sums. least, most: interval of
    the loss to come. quantiles: of the loss to come, at ADEQUATE.
    """

    name: str
    title: str
    expected: int
    low: int
    high: int
    least: int
    most: int
    quantiles: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SegmentShare:
    """One segment's expected loss, in fen, and what each party bears of it.

    says: False where the sums say less than their noise; then exposure, expected, low, high and parts are not to be
    printed as figures.
    """

    title: str
    exposure: int
    expected: int
    low: int
    high: int
    parts: tuple[int, ...]
    says: bool


@dataclass(frozen=True, kw_only=True)
class PoolFigures:
    """Whether the compensation fund is enough; in fen.

    expected: claims on it. quantiles: of the claims, at ADEQUATE. enough: chance that it is.
    curve: claims at hundredths 1 to 99, for a plot.
    """

    size: int
    expected: int
    quantiles: tuple[int, ...]
    enough: float
    curve: tuple[int, ...]

    @property
    def adequate(self) -> tuple[bool, ...]:
        """Whether the pool holds at each of ADEQUATE."""
        return tuple(q <= self.size for q in self.quantiles)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What other rules would change for a party: other less these, in fen, with the interval from the noise."""

    name: str
    title: str
    these: int
    other: int
    change: int
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class LossShares:
    """All figures of one set of rules on one book."""

    rules: LossRules
    level: float
    total: Bearing
    parties: tuple[Bearing, ...]
    segments: tuple[SegmentShare, ...]
    exposure: int
    pool: PoolFigures | None
    stop_chance: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; figures of segments that say less than their noise are None."""
        plain = {k: v for k, v in asdict(self).items() if k not in ("rules", "segments")}
        hidden = {"exposure": None, "expected": None, "low": None, "high": None, "parts": None}
        segments = [{**asdict(s), **({} if s.says else hidden)} for s in self.segments]
        pool = None if self.pool is None else {**plain["pool"], "adequate": self.pool.adequate}
        return {
            "rules": self.rules.name,
            **plain,
            "pool": pool,
            "segments": segments,
            "quantiles_at": ADEQUATE,
        }


@dataclass(frozen=True, kw_only=True)
class Borne:
    """What parties bear in the draws. to_come: (draws, parties). by_segment: (segments, parties), means.

    moved: (noise draws, parties), how far the noise moves their expected losses. noise: (noise draws, groups), what
    moves them. claims, stopped: (draws,).
    """

    to_come: NDArray[np.float64]
    moved: NDArray[np.float64]
    noise: NDArray[np.float64]
    by_segment: NDArray[np.float64]
    claims: NDArray[np.float64]
    stopped: NDArray[np.bool_]


def bear(book: Book, number: int, rules: LossRules, draws: Draws) -> Borne:
    """Apply one set of rules to all draws, a block of noise draws at a time."""
    which = [part.place for part in book.parts[number]]
    outer, inner, _ = draws.losses.shape
    block = max(1, _AT_ONCE // (inner * len(which) * len(rules.parties)))
    to_come, claims, stopped, means = [], [], [], []
    for start in range(0, outer, block):
        losses = book.by_segment(number, draws.losses[start : start + block])
        exposures = book.by_segment(number, draws.exposures[start : start + block])[:, None, :]
        wide = np.broadcast_to(exposures, losses.shape).reshape(-1, len(which))
        shared = split_smoothly(rules, which, losses.reshape(-1, len(which)), wide)
        to_come.append(shared.parts.sum(axis=1))
        claims.append(shared.claims)
        stopped.append(shared.stopped)
        means.append(shared.parts.reshape(*losses.shape, -1).mean(axis=1))
    mean = np.concatenate(means)
    return Borne(
        to_come=np.concatenate(to_come),
        moved=_moved(_matched(mean, book.by_segment(number, draws.expected)).sum(axis=1)),
        noise=draws.noise,
        by_segment=mean.mean(axis=0),
        claims=np.concatenate(claims),
        stopped=np.concatenate(stopped),
    )


def _moved(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected losses (noise draws, parties) less the mean of their panel, whose draws share the factor's values."""
    panels = expected.reshape(PANELS, -1, expected.shape[-1])
    moved: NDArray[np.float64] = (panels - panels.mean(axis=1, keepdims=True)).reshape(expected.shape)
    return moved


def _matched(means: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parts (noise draws, segments, parties) that add up to the expected loss of their draw (a ratio estimate).

    Else the few draws of the factor would pass for noise of the sums, and intervals be too wide.
    """
    whole = means.sum(axis=2, keepdims=True)
    usual = means.mean(axis=0) / np.maximum(means.mean(axis=0).sum(axis=1, keepdims=True), 1e-300)
    shares = np.where(whole > 0, means / np.where(whole > 0, whole, 1.0), usual)
    matched: NDArray[np.float64] = shares * expected[:, :, None]
    return matched


def share_losses(book: Book, rules: LossRules, draws: Draws, *, number: int = 0) -> LossShares:
    """Expected losses of parties and segments, losses to come, the pool and the stop, under one set of rules.

    draws: of the same book (:mod:`fedrisk.analysis.loss_distribution`). number: which of the book's sets of rules
    it is.
    """
    borne = bear(book, number, rules, draws)
    segments = _segments(book, number, rules, borne)
    sums, everybody = _sums(segments), list(range(len(rules.parties)))
    parties = tuple(
        _bearing(name, rules.title_of(name), sums[k], borne, [k], book.level)
        for k, name in enumerate(rules.names)
    )
    whole = sum(s.expected for s in segments)
    return LossShares(
        rules=rules,
        level=book.level,
        total=_bearing("total", "all together", whole, borne, everybody, book.level),
        parties=parties,
        segments=segments,
        exposure=round(float(book.sums["exposure"].figure.sum())),
        pool=_pool(rules, borne),
        stop_chance=None if rules.stop is None else float(borne.stopped.mean()),
    )


def compare(book: Book, these: LossRules, other: LossRules, draws: Draws) -> tuple[Change, ...]:
    """What each party gains or loses under other rules; the book is made for both. Changes add up to exactly 0."""
    borne = [bear(book, number, rules, draws) for number, rules in enumerate((these, other))]
    both = zip((these, other), borne, strict=True)
    shares = [_sums(_segments(book, n, rules, one)) for n, (rules, one) in enumerate(both)]
    names = dict.fromkeys((*these.names, *other.names))
    changes = []
    for name in names:
        mine, theirs = (_of(rules, name) for rules in (these, other))
        expected = [0 if k is None else part[k] for k, part in zip((mine, theirs), shares, strict=True)]
        moved = _column(borne[1].moved, theirs) - _column(borne[0].moved, mine)
        low, high = _around(expected[1] - expected[0], moved, draws.noise, book.level)
        title = these.title_of(name) if mine is not None else other.title_of(name)
        changes.append(
            Change(
                name=name,
                title=title,
                these=expected[0],
                other=expected[1],
                change=expected[1] - expected[0],
                low=low,
                high=high,
            )
        )
    return tuple(changes)


def _sums(segments: Sequence[SegmentShare]) -> list[int]:
    """What each party bears over all segments."""
    return [sum(parts) for parts in zip(*(s.parts for s in segments), strict=True)]


def _of(rules: LossRules, name: str) -> int | None:
    return rules.names.index(name) if name in rules.names else None


def _column(values: NDArray[np.float64], place: int | None) -> NDArray[np.float64]:
    return np.zeros(len(values)) if place is None else values[:, place]


def _segments(book: Book, number: int, rules: LossRules, borne: Borne) -> tuple[SegmentShare, ...]:
    """Tables in whole fen: groups are rounded so that they add up to the rounded total, segments add up groups."""
    sums = book.sums["expected_loss"]
    kept = not_negative(sums.figure, sums.error)
    total = round(float(kept.sum()))
    whole = book.by_segment(number, np.array(apportion(total, kept.tolist()), object))
    variance = book.by_segment(number, sums.error**2)
    exposure = book.by_segment(number, book.sums["exposure"].figure)
    width = reach(book.level)
    out = []
    for k, part in enumerate(book.parts[number]):
        expected, error = int(whole[k]), float(np.sqrt(variance[k]))
        own = book.inside[number] == k
        says = all(_says(book.sums[figure], own) for figure in ("expected_loss", "exposure"))
        out.append(
            SegmentShare(
                title=part.title,
                exposure=round(float(exposure[k])),
                expected=expected,
                low=max(0, round(expected - width * error)),
                high=max(0, round(expected + width * error)),
                parts=tuple(apportion(expected, borne.by_segment[k].tolist())),
                says=says,
            )
        )
    return tuple(out)


def _says(sums: Sums, own: NDArray[np.bool_]) -> bool:
    """Whether the sum over some groups says more than its noise; of one group, what the book says."""
    if own.sum() == 1:
        return bool(sums.says[own][0])
    return bool(sums.figure[own].sum() >= SAYS * np.sqrt((sums.error[own] ** 2).sum()))


def _bearing(
    name: str, title: str, expected: int, borne: Borne, columns: Sequence[int], level: float
) -> Bearing:
    """A party's figures; its loss to come is drawn, and its expected loss's interval is about the table's figure."""
    low, high = _around(expected, borne.moved[:, list(columns)].sum(axis=1), borne.noise, level)
    come = borne.to_come[:, list(columns)].sum(axis=1)
    tail = (1 - level) / 2
    least, most, *quantiles = (round(float(q)) for q in np.quantile(come, [tail, 1 - tail, *ADEQUATE]))
    return Bearing(
        name=name,
        title=title,
        expected=expected,
        low=max(low, 0),
        high=max(high, 0),
        least=least,
        most=most,
        quantiles=tuple(quantiles),
    )


def _around(
    figure: int, moved: NDArray[np.float64], noise: NDArray[np.float64], level: float
) -> tuple[int, int]:
    """Interval of a figure, by how far the noise moves it.

    Nearly all of that is linear in the noise of each group, whose variance is known; so its part is not left to chance
    of the draws (regression), and only the rest is.
    """
    slopes: NDArray[Any] = np.zeros(noise.shape[1])
    if 4 * noise.shape[1] <= len(noise):
        slopes = np.linalg.lstsq(noise, moved, rcond=None)[0]
    rest = moved - noise @ slopes
    half = reach(level) * float(np.sqrt((slopes**2).sum() + (rest**2).mean()))
    return round(figure - half), round(figure + half)


def _pool(rules: LossRules, borne: Borne) -> PoolFigures | None:
    if rules.pool is None:
        return None
    size = LossRules.fen(rules.pool.size)
    curve = np.quantile(borne.claims, np.arange(1, 100) / 100)
    return PoolFigures(
        size=size,
        expected=round(float(borne.claims.mean())),
        quantiles=tuple(round(float(q)) for q in np.quantile(borne.claims, ADEQUATE)),
        enough=float((borne.claims <= size).mean()),
        curve=tuple(round(float(q)) for q in curve),
    )
