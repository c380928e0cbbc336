"""Everything about the shares of losses of one or several statistics studies: from release records to one report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedrisk.analysis.estimates import computed
from fedrisk.analysis.loss_backtest import BackTest, back_test
from fedrisk.analysis.loss_book import check_several, make_book
from fedrisk.analysis.loss_distribution import draw
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_sharing import Change, LossShares, compare, share_losses
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import RELEASE

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Source:
    """A study that figures come from, with its price. mu: by institution that was charged."""

    study: str
    attempt: str
    banks: int
    epsilon: float
    delta: float
    mu: Mapping[str, float]
    research: bool


@dataclass(frozen=True, kw_only=True)
class LossReport:
    """Shares by the last study; changes by other rules; the back-test over all of them."""

    shares: LossShares
    other: LossShares | None
    changes: tuple[Change, ...]
    tested: BackTest | None
    sources: tuple[Source, ...]

    @property
    def research(self) -> bool:
        """Whether some figure has no privacy."""
        return any(s.research for s in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; money in fen."""
        return {
            "unit": "fen",
            "research": self.research,
            **self.shares.to_dict(),
            "other": None if self.other is None else self.other.to_dict(),
            "changes": [asdict(c) for c in self.changes],
            "back_test": None if self.tested is None else self.tested.to_dict(),
            "sources": [asdict(s) for s in self.sources],
        }


def loss_report(
    rules: LossRules,
    records: Sequence[ReleaseRecord],
    *,
    other: LossRules | None = None,
    level: float = LEVEL,
) -> LossReport:
    """Shares of the losses of the last record's book.

    records: of statistics studies, in order of time; all are looked at in the back-test, where the rules name a measure
    of matured losses. other: rules to compare with, on the same figures.

    Raises:
        ConfigError: a record is of no statistics study or over too few banks, the rules name what it does not have, or
            its sums say less than their noise.
    """
    if not records:
        raise ConfigError("no results were named; name the folder of a statistics study")
    for record in records:
        check_several(record, rules)
    found = [computed(record, level=level) for record in records]
    both = [rules] if other is None else [rules, other]
    # One book and one set of draws, so that figures of the rules are the same wherever they stand. Of two sets of
    # rules the first one's model foretells the losses, and only who bears them differs.
    book = make_book(found[-1], both)
    drawn = draw(book, rules)
    shares = share_losses(book, rules, drawn)
    changes: tuple[Change, ...] = ()
    second: LossShares | None = None
    if other is not None:
        changes = compare(book, rules, other, drawn)
        second = share_losses(book, other, drawn, number=1)
    periods = _periods(records)
    tested = None
    if rules.figures.matured_loss:
        tested = back_test([make_book(one, [rules]) for one in found], periods, rules)
    sources = tuple(_source(r, p) for r, p in zip(records, periods, strict=True))
    return LossReport(shares=shares, other=second, changes=changes, tested=tested, sources=sources)


def _periods(records: Sequence[ReleaseRecord]) -> list[str]:
    """What to call the records: their studies' names, numbered where these are the same."""
    names = [str(r.study.get("name", "?")) for r in records]
    count = Counter(names)
    return [n if count[n] == 1 else f"{n} {k}" for k, n in enumerate(names, start=1)]


def _source(record: ReleaseRecord, name: str) -> Source:
    privacy = record.study.get("privacy") or {}
    spends = record.release(RELEASE).spends
    return Source(
        study=name,
        attempt=record.attempt,
        banks=sum(m["role"] == "bank" for m in record.study["institutions"]),
        epsilon=float(privacy.get("epsilon", 0.0)),
        delta=float(privacy.get("delta", 0.0)),
        mu={str(s["institution"]): float(s["mu"]) for s in spends if "institution" in s},
        research=record.research,
    )
