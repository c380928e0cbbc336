"""Kinds of history columns: what a dictionary says of a column that is computed from a monthly history.

A line of ``KINDS`` holds what is public about a kind: its keys, its meaning, and the bounds and edges of its bins. They
follow from what the kind is and from nothing in a table. The formula of each is a function of the same name in
`fedrisk.models.history_columns`.

Trouble is rare, so the edges are fine in the tails: bins of equal size would put a rare twentieth of the enterprises
together with ordinary ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.data.season import Season
from fedrisk.file_rules import Stated
from fedrisk.toml_file import near_name

MOST_MONTHS = 60
"""Longest history."""


class HistoryKeys(BaseModel):
    """The keys by which a column of a file says its rule, beside its other keys."""

    history: str
    kind: str
    months: int | None = Field(default=None, ge=1, le=MOST_MONTHS)
    before: int | None = Field(default=None, ge=1, le=MOST_MONTHS)
    since: int | None = Field(default=None, ge=0, le=MOST_MONTHS)


KEYS = tuple(name for name in HistoryKeys.model_fields if name not in ("history", "kind"))
"""Keys by which a kind is set."""

Direction = Literal["increasing", "decreasing"]


@dataclass(frozen=True, kw_only=True)
class HistoryKind:
    """What is public about one kind of history column.

    Attributes:
        meaning: in English, ``{series}``, ``{months}``, ``{before}`` and ``{since}`` filled in; meaning_zh: in Chinese.
        keys: keys that the kind takes, with what they are where a column does not state them.
        low, high: bounds; None for those of the series, where the column is an amount in the series' unit.
        bins: inner edges; none where the study finds them.
        grid: scale of the values, of importance where the study finds the edges.
        risk: how risk moves as the value rises: ``up`` and ``down`` whatever the series is, ``falling`` up where
            less of the series is worse (its ``better = "high"``), ``rising`` the reverse; None where nobody can say.
        positive: whether the series can never be negative: shares and ratios need that.
        calendar: whether the formula needs to know which month of the year the last one is.
        least: fewest ``months`` that make sense.
        year: whether it needs the same months a year before as well.
        amounts: whether it looks at amounts, from which a season is taken out; others count months.
    """

    meaning: str
    meaning_zh: str
    keys: Mapping[str, int] = field(default_factory=dict)
    low: float | None
    high: float | None
    bins: tuple[float, ...] | None
    grid: Literal["linear", "log"] = "linear"
    risk: Literal["up", "down", "falling", "rising"] | None = None
    positive: bool = True
    calendar: bool = False
    least: int = 1
    year: bool = False
    amounts: bool = True


RATIO_EDGES = (-0.9, -0.6, -0.35, -0.2, -0.1, -0.04, 0.04, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6)
"""Edges of a fall as the logarithm of a ratio: .1 is a tenth less, .7 half, 1.6 a fifth of what was before."""

EVIDENCE_EDGES = (
    *(-6.5, -5.0, -4.0, -3.3, -2.8, -2.4, -2.0, -1.6, -1.2, -0.8, -0.5),
    *(-0.2, 0.1, 0.4, 0.8, 1.3, 2.0, 3.0, 4.5, 6.5, 9.0),
)
"""Edges of a weight of evidence, a natural logarithm of odds: 0 is even, 3 is twenty to one."""

KINDS: dict[str, HistoryKind] = {
    "level": HistoryKind(
        meaning="mean of {series} over the last {months} months",
        meaning_zh="最近{months}个月{series}的均值",
        keys={"months": 3},
        low=None,
        high=None,
        bins=None,
        risk="rising",
        positive=False,
    ),
    "trend": HistoryKind(
        meaning="yearly growth of {series} along the line through the last {months} months, as a logarithm",
        meaning_zh="最近{months}个月{series}趋势线的年增长率（对数）",
        keys={"months": 12},
        least=3,
        low=-4.0,
        high=4.0,
        bins=(-2.4, -1.7, -1.2, -0.8, -0.5, -0.3, -0.15, -0.05, 0.05, 0.15, 0.3, 0.5, 0.8, 1.2),
        risk="rising",
    ),
    "fall": HistoryKind(
        meaning="fall of {series}: the last {months} months against the {before} before, logarithm of the ratio",
        meaning_zh="{series}的下降：此前{before}个月与最近{months}个月均值之比的对数",
        keys={"months": 3, "before": 12},
        low=-3.0,
        high=3.0,
        bins=RATIO_EDGES,
        risk="falling",
    ),
    "yearly_fall": HistoryKind(
        meaning="fall of {series}: the last {months} months against the same a year before, logarithm of the ratio",
        meaning_zh="{series}的同比下降：上年同期与最近{months}个月均值之比的对数",
        keys={"months": 3},
        low=-3.0,
        high=3.0,
        bins=RATIO_EDGES,
        risk="falling",
        year=True,
    ),
    "volatility": HistoryKind(
        meaning="standard deviation of {series} over the last {months} months, divided by their mean",
        meaning_zh="最近{months}个月{series}的变异系数（标准差除以均值）",
        keys={"months": 12},
        least=3,
        low=0.0,
        high=4.0,
        bins=(0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.36, 0.43, 0.52, 0.65, 0.85, 1.2),
        risk="up",
    ),
    "irregularity": HistoryKind(
        meaning="spread of {series} about its trend and quarterly rhythm over the last {months} months, as a logarithm",
        meaning_zh="最近{months}个月{series}剔除趋势和季度节奏后的离散程度（对数）",
        keys={"months": 12},
        least=6,
        low=0.0,
        high=3.0,
        bins=(0.02, 0.04, 0.07, 0.1, 0.14, 0.18, 0.23, 0.29, 0.36, 0.45, 0.56, 0.7, 0.9, 1.2),
        risk="up",
    ),
    "gaps": HistoryKind(
        meaning="months of the last {months} without {series}",
        meaning_zh="最近{months}个月中未报送{series}的月数",
        keys={"months": 12},
        low=0.0,
        high=60.0,
        bins=(0.5, 1.5, 2.5, 3.5, 5.5, 8.5),
        risk="up",
        positive=False,
        amounts=False,
    ),
    "unmade_gaps": HistoryKind(
        meaning="months of the last {months} without {series} that the month after them did not make up for",
        meaning_zh="最近{months}个月中未报送{series}且次月未补报的月数",
        keys={"months": 12},
        low=0.0,
        high=60.0,
        bins=(0.5, 1.5, 2.5, 3.5, 5.5, 8.5),
        risk="up",
    ),
    "bunching": HistoryKind(
        meaning="share of a quarter's {series} in its last month, over the quarters of the last {months} months",
        meaning_zh="最近{months}个月内各季度{series}集中在季末月份的比例",
        keys={"months": 6},
        least=3,
        low=0.0,
        high=1.0,
        bins=(0.2, 0.26, 0.3, 0.32, 0.33, 0.337, 0.345, 0.36, 0.39, 0.42, 0.46, 0.5, 0.55, 0.62, 0.7, 0.85),
        risk="up",
        calendar=True,
    ),
    "bunching_rise": HistoryKind(
        meaning="rise of the share of a quarter's {series} in its last month: the quarters of the last {months} months "
        "against those of the {before} before",
        meaning_zh="{series}季末集中度的上升：最近{months}个月与此前{before}个月相比",
        keys={"months": 6, "before": 9},
        least=3,
        low=-1.0,
        high=1.0,
        bins=(-0.2, -0.12, -0.07, -0.03, -0.01, 0.01, 0.03, 0.07, 0.11, 0.15, 0.2, 0.26, 0.34, 0.45),
        risk="up",
        calendar=True,
    ),
    "falls_in_a_row": HistoryKind(
        meaning="months in a row, up to the last one, in each of which {series} was below the month before",
        meaning_zh="截至最近一个月{series}连续环比下降的月数",
        keys={"months": 6},
        low=0.0,
        high=60.0,
        bins=(0.5, 1.5, 2.5, 3.5, 4.5, 5.5),
        risk="falling",
        positive=False,
    ),
    "months_since_best": HistoryKind(
        meaning="months since the highest {series} of the last {months} months",
        meaning_zh="距最近{months}个月{series}最高值的月数",
        keys={"months": 12},
        low=0.0,
        high=60.0,
        bins=(0.5, 1.5, 2.5, 3.5, 5.5, 7.5, 9.5, 11.5),
        risk="falling",
        positive=False,
    ),
    "worst": HistoryKind(
        meaning="lowest {series} of the last {months} months, as a share of the mean of the {before} before",
        meaning_zh="最近{months}个月{series}最低值占此前{before}个月均值的比例",
        keys={"months": 6, "before": 12},
        low=0.0,
        high=3.0,
        bins=(0.05, 0.1, 0.16, 0.23, 0.3, 0.37, 0.44, 0.52, 0.6, 0.7, 0.8, 0.88, 0.94, 1.0, 1.1),
        risk="rising",
    ),
    "lasting_fall": HistoryKind(
        meaning="largest fall of {series} within the last {months} months from the level before that lasts to the last "
        "month, less its rebound, as a logarithm",
        meaning_zh="最近{months}个月内{series}出现且持续至今的最大下降幅度，扣除回升（对数）",
        keys={"months": 9, "before": 6},
        low=-2.0,
        high=4.0,
        bins=(-0.2, -0.05, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.3, 1.8),
        risk="falling",
    ),
    "fall_evidence": HistoryKind(
        meaning="log odds that {series} fell in one of the last {months} months{since} and stays down, against no "
        "fall, a passing dip, a fall made good and an even line, from {before} months more",
        meaning_zh="{series}在最近{months}个月内{since}下降且未恢复的对数几率（与未下降、短暂下滑、已恢复及平稳升降相比，另参考此前{before}个月）",
        keys={"months": 9, "before": 9, "since": 0},
        low=-20.0,
        high=40.0,
        bins=EVIDENCE_EDGES,
        risk="falling",
    ),
    "bunched_fall_evidence": HistoryKind(
        meaning="log odds that {series} fell in one of the last {months} months{since}, stays down and bunches at the "
        "ends of quarters since, against no fall, a passing dip, a fall made good and an even line, from {before} "
        "months more",
        meaning_zh="{series}在最近{months}个月内{since}下降、未恢复且此后集中于季末的对数几率（与未下降、短暂下滑、已恢复及平稳升降相比，"
        "另参考此前{before}个月）",
        keys={"months": 9, "before": 9, "since": 0},
        low=-20.0,
        high=40.0,
        bins=EVIDENCE_EDGES,
        risk="falling",
        calendar=True,
    ),
}
"""All kinds by name. A new one is a line here and a formula in `fedrisk.models.history_columns`."""


class HistoryRule(BaseModel, metaclass=Stated):
    """How one column is computed from a monthly history: all of it is public, and part of the dictionary.

    ``series``, ``kind``, ``months``, ``before`` and ``since`` are a column's keys. The rest is what ``[histories]`` of
    the institution's file says of the series, filled in when that is read: its bounds and unit, whether more of it is
    better, its seasonal indices, and the number of months of a history (``over``). None and empty until then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    series: str = Field(min_length=1)
    kind: str = ""
    months: int = 1
    before: int | None = None
    since: int | None = Field(default=None, exclude_if=lambda since: since is None)
    unit: str = ""
    low: float | None = None
    high: float | None = None
    grid: Literal["linear", "log"] = "log"
    better: Literal["high", "low"] | None = None
    over: int | None = Field(default=None, ge=6, le=60)
    season: Season | None = Field(default=None, exclude_if=lambda season: season is None)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, raw: Any) -> Any:
        known = KINDS.get(raw["kind"]) if isinstance(raw, Mapping) and _is_kind(raw.get("kind")) else None
        if known is None:
            return raw
        stated = {k: v for k, v in raw.items() if v is not None and (k != "season" or known.amounts)}
        return {**known.keys, **stated}

    @model_validator(mode="after")
    def _rules(self) -> HistoryRule:
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def of(self) -> HistoryKind:
        """What is public about its kind."""
        return KINDS[self.kind]

    @property
    def span(self) -> int:
        """Months that the formula looks at, counted from the last one."""
        return self.months + (self.before or 0) + 12 * self.of.year

    @property
    def direction(self) -> Direction | None:
        """How risk is expected to move as the value rises; None where nobody can say."""
        up = {"up": True, "down": False}.get(self.of.risk or "")
        if up is None and self.of.risk and self.better:
            up = (self.of.risk == "falling") == (self.better == "high")
        return None if up is None else "increasing" if up else "decreasing"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what decides the column's values."""
        decides = {"series", "kind", "months", "before", "since", "low", "high", "over", "season"}
        text = self.model_dump_json(include=decides)
        return hashlib.sha256(text.encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """What follows from the rule for a column that does not state it: bounds, edges, unit, meanings, direction."""
        kind, words = self.of, {"series": self.series, "months": self.months, "before": self.before}
        months = "month" if self.since == 1 else "months"
        ago = (
            (f" (at least {self.since} {months} ago)", f"（至少{self.since}个月前）")
            if self.since
            else ("", "")
        )
        season = (", without the season", "（经季节调整）") if self.season else ("", "")
        found: dict[str, Any] = {
            "meaning": kind.meaning.format(**words, since=ago[0]) + season[0],
            "meaning_zh": kind.meaning_zh.format(**words, since=ago[1]) + season[1],
            "low": self.low if kind.low is None else kind.low,
            "high": self.high if kind.high is None else kind.high,
            "bins": kind.bins,
            "grid": self.grid if kind.low is None else kind.grid,
            "unit": self.unit if kind.low is None else "",
            "direction": self.direction,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}

    def __str__(self) -> str:
        before = "" if self.before is None else f", before = {self.before}"
        since = f", since = {self.since}" if self.since else ""
        return f'history = "{self.series}", kind = "{self.kind}", months = {self.months}{before}{since}'


def _is_kind(name: object) -> bool:
    return isinstance(name, str) and name in KINDS


def _problems(rule: HistoryRule) -> list[str]:
    kind = KINDS.get(rule.kind)
    if kind is None:
        near = near_name(rule.kind, list(KINDS))
        hint = f'did you mean "{near}"?' if near else f"known are {', '.join(KINDS)}"
        if not rule.kind:
            return [
                f"needs kind, which says what is computed from series {rule.series}; known are {', '.join(KINDS)}"
            ]
        return [f'kind = "{rule.kind}" is no kind of a column with a history; {hint}']
    found = [
        f"{key} = {value} must be from 1 to {MOST_MONTHS}; correct it"
        for key, value in (("months", rule.months), ("before", rule.before))
        if value is not None and not 1 <= value <= MOST_MONTHS
    ]
    for key, value in (("before", rule.before), ("since", rule.since)):
        if value is not None and key not in kind.keys:
            found.append(
                f'{key} is no key of kind "{rule.kind}", which takes {", ".join(kind.keys)}; remove it'
            )
    if rule.since is not None and not 0 <= rule.since < rule.months:
        found.append(
            f"since = {rule.since} must be from 0 to {rule.months - 1}: a fall in one of the last {rule.months} months "
            "cannot have begun earlier; correct it, or raise months"
        )
    if 1 <= rule.months < kind.least:
        found.append(f'kind "{rule.kind}" needs months = {kind.least} or more; raise it')
    if rule.over is not None and rule.span > rule.over:
        needed = f"{rule.span} months ({_words(rule)})"
        found.append(
            f"needs a history of {needed}, and [histories] states months = {rule.over}; shorten it, or raise months "
            "there to what the file has"
        )
    if kind.positive and rule.low is not None and rule.low < 0:
        found.append(
            f'kind "{rule.kind}" is a share or a ratio, and series {rule.series} may be negative (low = {rule.low:g}); '
            "write low = 0 in [[histories.series]] if it never is, or take kind level, falls_in_a_row or "
            "months_since_best"
        )
    return found


def _words(rule: HistoryRule) -> str:
    parts = [f"months = {rule.months}"]
    parts += [f"before = {rule.before}"] if rule.before is not None else []
    parts += ["a year before"] if rule.of.year else []
    return ", ".join(parts)


def gathered(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A column as a file writes it, with the keys of its rule in one piece under ``history``."""
    content = dict(raw)
    given = content.get("history")
    if isinstance(given, str):
        rule = {"series": given, "kind": content.pop("kind", "")}
        content["history"] = rule | {key: content.pop(key) for key in KEYS if key in content}
    return content


def unfolded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A column as a file writes it, with its rule in one piece under ``history`` and what follows from that.

    ``history = "invoices"``, ``kind``, ``months``, ``before`` and ``since`` become the rule; kind is "number" from then
    on. What the column states itself stays. A column without a history, or with a rule that cannot be read, stays as it
    is.
    """
    content = gathered(raw)
    given = content.get("history")
    if given is None:
        if _is_kind(content.get("kind")):
            raise ValueError(
                f'kind = "{content["kind"]}" is computed from a monthly history; add history = "SERIES", one of the '
                "series in [histories]"
            )
        return content
    content.setdefault("kind", "number")
    made = given if isinstance(given, HistoryRule) else _made(given)
    if made is None:
        # The rule's own problems are told with their place; nothing else of the column is judged by them.
        content.setdefault("meaning", "history")
        return content
    follows = made.settings()
    if content.get("bin_count") is not None or isinstance(content.get("bins"), int):
        follows.pop("bins", None)
    if content.get("monotone") is not None:
        follows.pop("direction", None)
    return {**follows, **{k: v for k, v in content.items() if v is not None}}


def _made(given: Any) -> HistoryRule | None:
    try:
        return HistoryRule.model_validate(given)
    except ValueError:
        return None


def folded(content: Mapping[str, Any], rule: HistoryRule) -> dict[str, Any]:
    """A column as a file writes it: `unfolded` the other way round, without what follows from the rule."""
    follows = rule.settings()
    own = {k: v for k, v in content.items() if k not in follows or follows[k] != v}
    out = {"name": own.pop("name"), "history": rule.series, "kind": rule.kind, "months": rule.months}
    if rule.before is not None:
        out["before"] = rule.before
    if rule.since:
        out["since"] = rule.since
    return out | {k: v for k, v in own.items() if k not in ("history", "kind")}
