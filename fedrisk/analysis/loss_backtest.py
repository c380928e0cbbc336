"""Back-test: losses that were foretold against those that came, by segment and by party.

The interval of a foretold loss has the noise of the sums that foretold it, the variation of losses, and the noise
of the sum that came; where the model holds it has the loss that came at its rate. All segments of one period share
that period's factor, so several periods say more than many segments.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.loss_book import Book, not_negative
from fedrisk.analysis.loss_distribution import draw
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_split import apportion, split_exactly, split_smoothly
from fedrisk.errors import ConfigError

_SEED, _NOISE_SEED = 19520301, 19520302


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """One loss that was foretold, and came; in fen. low, high: interval. says: False where what came is not printed."""

    period: str
    what: str
    title: str
    foretold: int
    low: int
    high: int
    came: int
    inside: bool
    says: bool


@dataclass(frozen=True, kw_only=True)
class BackTest:
    """All rows, and how many are inside their intervals."""

    rows: tuple[Foretold, ...]
    level: float

    def count(self, what: str) -> tuple[int, int]:
        """(inside, all) of the rows of "segment", "party" or "total"."""
        rows = [r for r in self.rows if r.what == what]
        return sum(r.inside for r in rows), len(rows)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what says less than its noise is None."""
        rows = [
            {**asdict(r), **({} if r.says else {"foretold": None, "low": None, "high": None, "came": None})}
            for r in self.rows
        ]
        counts = {what: self.count(what) for what in ("total", "party", "segment")}
        return {"level": self.level, "inside": counts, "rows": rows}


def back_test(books: Sequence[Book], periods: Sequence[str], rules: LossRules) -> BackTest | None:
    """Losses foretold by each book against those that came ``matured_later`` books later; None where none came.

    books: of one set of rules, in order of time; periods: what to call them. ConfigError where segments differ.
    """
    later = rules.figures.matured_later
    rows: list[Foretold] = []
    for book, after, period in zip(books, books[later:], periods[later:], strict=False):
        if "matured_loss" in after.sums:
            rows += _period(book, _like(after, book), rules, period)
    return BackTest(rows=tuple(rows), level=books[0].level) if rows else None


def _like(after: Book, book: Book) -> Book:
    if after.parts != book.parts:
        raise ConfigError(
            "records of different months count other segments; give records of one study, month by month"
        )
    return after


def _period(book: Book, after: Book, rules: LossRules, period: str) -> list[Foretold]:
    figure = "predicted" if "predicted" in book.sums else "expected_loss"
    came = after.sums["matured_loss"]
    drawn = draw(_part(book, figure, rules), rules, figure=figure, noise_draws=400, seed=_SEED)
    flat = drawn.losses.reshape(-1, book.groups)
    noisy = flat + np.random.default_rng(_NOISE_SEED).normal(size=flat.shape) * came.error
    exposures = np.repeat(drawn.exposures, drawn.losses.shape[1], axis=0)
    tail = (1 - book.level) / 2

    def row(what: str, title: str, draws: NDArray[np.float64], value: float, says: bool) -> Foretold:
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Foretold(
            period=period,
            what=what,
            title=title,
            foretold=round(float(draws.mean())),
            low=round(max(float(low), 0.0)),
            high=round(max(float(high), 0.0)),
            came=round(value),
            inside=bool(low <= value <= high),
            says=says,
        )

    total = float(came.figure.sum())
    rows = [row("total", "all together", noisy.sum(axis=1), total, total > 0)]
    which = [part.place for part in book.parts[0]]
    shared = split_smoothly(rules, which, not_negative(noisy, came.error), exposures).parts.sum(axis=1)
    borne = _borne(book, came.figure, came.error, rules, which)
    for k, name in enumerate(rules.names):
        rows.append(row("party", rules.title_of(name), shared[:, k], borne[k], total > 0))
    # What is not printed as a segment's expected loss is not printed here either.
    says = came.says & book.sums[figure].says & book.sums["exposure"].says
    for k, part in enumerate(book.parts[0]):
        rows.append(row("segment", part.title, noisy[:, k], float(came.figure[k]), bool(says[k])))
    return rows


def _part(book: Book, figure: str, rules: LossRules) -> Book:
    """The book with the part of the foretold loss that falls into one record's period."""
    sums, part = book.sums[figure], rules.figures.matured_part
    scaled = replace(sums, figure=sums.figure * part, error=sums.error * part)
    return replace(book, sums={**book.sums, figure: scaled})


def _borne(
    book: Book, came: NDArray[np.float64], error: NDArray[np.float64], rules: LossRules, which: Sequence[int]
) -> list[int]:
    """What each party bears of the losses that came, in fen that add up exactly."""
    kept = not_negative(came, error)
    losses = np.array([apportion(round(float(kept.sum())), kept.tolist())], object)
    exposures = np.array([[max(round(float(e)), 0) for e in book.sums["exposure"].figure]], object)
    parts = split_exactly(rules, which, losses, exposures).parts
    return [int(p) for p in parts.sum(axis=1)[0]]
