"""One column of a data dictionary, in public terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fedrisk.data.column_rules import MAX_BINS, column_problems
from fedrisk.data.history_kinds import HistoryRule, folded, unfolded
from fedrisk.data.special import Special, special_code
from fedrisk.data.text import Value
from fedrisk.file_rules import Stated, refuse


class Column(BaseModel, metaclass=Stated):
    """One column in public terms.

    Numbers have public bounds ``low`` and ``high``. Values outside are clipped; more than the share
    ``outside`` of them is an error. A number also has either public edges ``bins`` (an edge belongs to the
    bin on its right) or a number of bins ``bin_count``, whose edges are then found privately on a ``grid``
    that is linear or signed-logarithmic between the bounds. In a file ``bins`` may be a list or a number; if
    neither is given, the recipe chooses the number. Categories have a public list; values that are not in it
    count as missing. Flags are yes or no. Dates are never features. ``special`` are codes among the numbers, or
    among a flag's 0 and 1, with the meaning of each (in a file a table): every one is a bin of its own, apart
    from the numbers and from missing values. ``missing_values`` are codes that count as missing. ``strength`` is
    how much an expert expects the column to tell about default, never what a table shows: a study with too few
    defaults for all of its columns leaves weak ones out first. ``drafted``: nobody has confirmed yet what was proposed
    from the table; it is no part of what a column means, and of no message.

    Where it is known beforehand how risk moves as the number grows, a column says so, in one of two ways:
    ``monotone`` is a constraint, which the points keep whatever the counts say; ``direction`` is an expectation,
    from which they depart where the counts clearly say so.

    ``meaning_zh`` is the meaning in Chinese, shown to those who read Chinese in place of ``meaning``.

    A column may be computed from a monthly history of the institution (``[histories]`` of its file) in place of being
    read from the table: ``history`` names the series, and ``kind``, ``months``, ``before`` and ``since`` say how
    (`fedrisk.data.history_kinds`). It is a number from then on, with the bounds, bins and meaning that follow from the
    rule unless it states others.

    >>> Column(name="age", kind="number", meaning="years", low=18, high=100, bins=8).bin_count
    8
    >>> trades = {"-9.0": "no record", "-8": "no usable trade"}
    >>> Column(name="trades", kind="number", meaning="open trades", low=0, high=100, special=trades).special
    (('-9', 'no record'), ('-8', 'no usable trade'))
    >>> column = Column(name="invoice_fall", history="invoices", kind="fall", months=3, before=12)
    >>> column.kind, column.low, column.high, str(column.history)
    ('number', -3.0, 3.0, 'history = "invoices", kind = "fall", months = 3, before = 12')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    kind: Literal["number", "category", "flag", "date"]
    unit: str = ""
    meaning: str = Field(min_length=1)
    meaning_zh: str | None = Field(default=None, min_length=1)
    low: float | None = None
    high: float | None = None
    bins: tuple[float, ...] | None = None
    bin_count: int | None = Field(default=None, ge=2, le=MAX_BINS)
    categories: tuple[str, ...] | None = None
    grid: Literal["linear", "log"] = "linear"
    missing: Literal["refuse", "bin"] = "bin"
    outside: float = Field(default=0.01, ge=0, le=1)
    monotone: Literal["increasing", "decreasing"] | None = None
    strength: Literal["strong", "medium", "weak"] | None = None
    direction: Literal["increasing", "decreasing"] | None = None
    source: str | None = Field(default=None, min_length=1)
    prefix: int | None = Field(default=None, ge=1)
    missing_values: tuple[Value, ...] = ()
    special: Special = ()
    history: HistoryRule | None = Field(default=None, exclude_if=lambda rule: rule is None)
    feature: bool = True
    drafted: bool = Field(default=False, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _bins_list_or_number(cls, raw: Any) -> Any:
        raw = unfolded(raw) if isinstance(raw, Mapping) else raw
        if isinstance(raw, Mapping) and isinstance(raw.get("bins"), int) and "bin_count" not in raw:
            return {**{k: v for k, v in raw.items() if k != "bins"}, "bin_count": raw["bins"]}
        return raw

    @field_validator("special", mode="before")
    @classmethod
    def _codes_and_meanings(cls, raw: Any) -> Any:
        pairs = list(raw.items()) if isinstance(raw, Mapping) else raw
        if not isinstance(pairs, (list, tuple)) or not all(_is_code(p) for p in pairs):
            raise ValueError(
                'special is a table of codes and their meanings as texts; write special = { "-9" = "no record" }, '
                "with every code in quotes"
            )
        return tuple((special_code(code), meaning) for code, meaning in pairs)

    @model_validator(mode="after")
    def _rules(self) -> Column:
        refuse(column_problems(self))
        return self

    @property
    def table_name(self) -> str:
        """The name of the column in the institution's table."""
        return self.source or self.name

    def meaning_in(self, language: str) -> str:
        """What it means in a language (ISO 639-1), in that of ``meaning`` where the dictionary has no other.

        >>> age = Column(name="age", kind="flag", meaning="of age", meaning_zh="成年")
        >>> age.meaning_in("zh"), age.meaning_in("en")
        ('成年', 'of age')
        """
        return self.meaning_zh if language == "zh" and self.meaning_zh else self.meaning


def stated_column(c: Column) -> dict[str, Any]:
    """What a file says of a column, without what is as by default."""
    content = c.model_dump(exclude_defaults=True)
    if c.special:
        content["special"] = dict(c.special)
    return content if c.history is None else folded(content, c.history)


def _is_code(pair: Any) -> bool:
    """Whether this is a special code, as a text or number, with its meaning."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    return isinstance(pair[0], (str, int, float)) and isinstance(pair[1], str)
