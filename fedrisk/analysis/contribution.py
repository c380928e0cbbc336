"""What each institution, and each of its columns, was worth to a scorecard study (数据贡献度), at no further privacy.

Shapley values over institutions of what the card would tell without some of them (`card_value`), from the released sums
alone. All banks together are one player, ``bank``: only totals over banks are released, so that what one bank's rows or
labels were worth cannot be told. Labels belong to nobody's share: without them there is no card at all.

Every figure is the mean over draws of what the releases leave possible, with the quantiles of these draws as its
interval, and with the parts of its error: privacy noise, and the draw of enterprises.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.card_value import MEASURES, CardValue
from fedrisk.analysis.data_quality import Quality, data_quality
from fedrisk.analysis.shapley import adding_up, orders_of, sampled_values, shapley_values
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]

LEVEL = 0.95
WIDER = 2.25
"""By how much intervals are wider than the draws: what these leave out (noise of the Gram matrix in the value, curves
chosen on the counts that they weigh, the form of the card) was measured against retraining; benchmarks/contribution."""

MOST_EXACT = 12
"""Institutions up to which all subsets are valued."""

DRAWS = 300
PAIRS = 40
"""Pairs of orders in which columns come."""

MORE_PAIRS = 1000
"""Pairs of orders where there are too many institutions for all subsets."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """A value with its interval at LEVEL.

    error: standard error; noise, sampling, orders: its parts by privacy noise, by the draw of enterprises, and by the
    sampling of orders (0 where all subsets were valued); the rest is what the draws leave out (WIDER). share: of the
    whole, with its interval. known: the value of what the releases let expect, without what their uncertainty adds to
    it. says: False where that is the smaller part, so that the value is not to be printed as a figure.
    """

    value: float
    low: float
    high: float
    error: float
    noise: float
    sampling: float
    orders: float = 0.0
    share: float
    share_low: float
    share_high: float
    known: float

    @property
    def says(self) -> bool:
        """Whether more of the value is known than is made by noise and sampling."""
        return self.known > self.value / 2


@dataclass(frozen=True, kw_only=True)
class Player:
    """One institution (role), or one of its columns (place of the feature in ``bins``; None for the institution).

    worth: by measure. alone: by measure, what its columns tell without any others; last: what is lost without them
    (institutions only).
    """

    institution: str
    column: str | None
    worth: dict[str, Worth]
    alone: dict[str, Worth] | None = None
    last: dict[str, Worth] | None = None


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What a study was worth by institution and column.

    whole: by measure, of all institutions together. exact: whether all subsets were valued. gram: whether the study
    released how columns go together (else it is assumed). quality: by institution.
    """

    study: str
    research: bool
    notice: str | None
    banks: tuple[str, ...]
    institutions: tuple[Player, ...]
    columns: tuple[Player, ...]
    whole: dict[str, Worth]
    exact: bool
    gram: bool
    quality: dict[str, Quality]
    mu: float


def contributions(record: ReleaseRecord, *, draws: int = DRAWS, seed: int = 0) -> Contributions:
    """Contributions to the scorecard of a record; the same record gives the same figures.

    ConfigError where the record is of another recipe, or the study ended before its card.
    """
    if record.find("counts") is None or (record.find("gram") is None and record.find("recount") is None):
        raise ConfigError(
            "the record has no label counts and second release of a scorecard; contributions are to a scorecard study "
            "that was finished, name its results"
        )
    sums = CardSums.of(record)
    found = valued(sums, draws=draws, seed=seed)
    spends = [r.mu for r in record.releases if r.name in ("edges", "counts", "recount", "gram")]
    return Contributions(
        study=str(record.study["name"]),
        research=record.research,
        notice=record.notice,
        banks=tuple(m["name"] for m in record.study["institutions"] if m["role"] == "bank"),
        institutions=found.institutions,
        columns=found.columns,
        whole=found.whole,
        exact=found.exact,
        gram=sums.second is not None,
        quality=data_quality(sums),
        mu=float(np.sqrt(np.square(spends).sum())),
    )


@dataclass(frozen=True, kw_only=True)
class Valued:
    """Values by institution and column, and of all together; exact: whether all subsets were valued."""

    institutions: tuple[Player, ...]
    columns: tuple[Player, ...]
    whole: dict[str, Worth]
    exact: bool


def valued(sums: CardSums, *, draws: int = DRAWS, seed: int = 0) -> Valued:
    """The same from the sums that a study released, as every member of it has them too."""
    rng = np.random.default_rng(seed)
    value = CardValue.of(sums, draws, rng)
    owner = [b.feature.institution for b in sums.bins]
    roles = list(dict.fromkeys(owner))
    groups = [[j for j, o in enumerate(owner) if o == role] for role in roles]
    found = _Found.of(value, groups, rng)
    names = [b.feature.column if b.feature.is_column else None for b in sums.bins]
    return Valued(
        institutions=tuple(
            Player(
                institution=role,
                column=None,
                worth=found.worths(found.by_group, g),
                alone=found.worths(found.alone, g),
                last=found.worths(found.last, g),
            )
            for g, role in enumerate(roles)
        ),
        columns=tuple(
            Player(institution=owner[j], column=name or KNOWN, worth=found.worths(found.by_column, j))
            for j, name in enumerate(names)
        ),
        whole=found.worths(found.whole[None], 0),
        exact=found.exact,
    )


KNOWN = "known"
"""Stands for whether a holder knows an enterprise, in place of a column's name."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Values for mean and draws, last axes (1 + 2 K, measures)."""

    whole: Floats
    by_group: Floats
    by_column: Floats
    alone: Floats
    last: Floats
    exact: bool
    orders: Floats

    @classmethod
    def of(cls, value: CardValue, groups: Sequence[Sequence[int]], rng: np.random.Generator) -> "_Found":
        exact = len(groups) <= MOST_EXACT
        every = [j for group in groups for j in group]
        whole = value.measures(value.variance(every))

        def path(order: Sequence[int]) -> Floats:
            return value.measures(value.path([[j] for j in order]))

        pairs = PAIRS if exact else MORE_PAIRS
        columns, errors = sampled_values(path, orders_of(groups, pairs, rng))
        if exact:
            by_group = shapley_values(_subsets(value, groups))
            columns = adding_up(columns, groups, by_group)
            errors = np.zeros_like(by_group)
        else:
            by_group = np.stack([columns[list(g)].sum(0) for g in groups])
            errors = np.stack([np.sqrt(np.square(errors[list(g)]).sum(0)) for g in groups])
        alone = [value.measures(value.variance(g)) for g in groups]
        rest = [value.measures(value.variance([j for j in every if j not in g])) for g in groups]
        return cls(
            whole=whole,
            by_group=by_group,
            by_column=columns,
            alone=np.stack(alone),
            last=whole - np.stack(rest),
            exact=exact,
            orders=errors,
        )

    def worths(self, values: Floats, place: int) -> dict[str, Worth]:
        """Figures of one player by measure."""
        of_orders = values is self.by_group
        return {
            measure: _worth(
                values[place, :, m], self.whole[:, m], float(self.orders[place, 0, m]) if of_orders else 0.0
            )
            for m, measure in enumerate(MEASURES)
        }


def _subsets(value: CardValue, groups: Sequence[Sequence[int]]) -> Floats:
    """Measures of all subsets of groups, (2^groups, 1 + 2 K, measures)."""
    out = []
    for subset in range(1 << len(groups)):
        features = [j for g, group in enumerate(groups) if subset >> g & 1 for j in group]
        out.append(value.measures(value.variance(features)))
    return np.stack(out)


def _worth(values: Floats, whole: Floats, orders: float) -> Worth:
    """Figures from mean and draws, (1 + 2 K,)."""
    draws = (len(values) - 1) // 2
    noise, every = float(values[1 : 1 + draws].std()), values[1 + draws :]
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = _widened(every, tails)
    share = every / np.maximum(whole[1 + draws :], 1e-12)
    share_low, share_high = _widened(share, tails)
    spread = float(every.std())
    return Worth(
        value=float(every.mean()),
        low=max(low - 2 * orders, 0.0),
        high=high + 2 * orders,
        error=float(np.hypot(WIDER * spread, orders)),
        noise=noise,
        sampling=float(np.sqrt(max(spread**2 - noise**2, 0.0))),
        orders=orders,
        share=float(share.mean()),
        share_low=share_low,
        share_high=min(share_high, 1.0),
        known=float(values[0]),
    )


def _widened(draws: Floats, tails: Sequence[float]) -> tuple[float, float]:
    """Quantiles of draws, WIDER times as far from their mean; a card on more columns is never worse: none below 0."""
    mean = float(draws.mean())
    low, high = (mean + WIDER * (float(q) - mean) for q in np.quantile(draws, tails))
    return max(low, 0.0), high
