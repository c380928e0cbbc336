"""The data dictionary of one institution: what its columns mean, in public terms.

A dictionary gives for every column its kind, unit, public bounds, public bins or their number, and how
missing values are treated. It holds everything that a release needs to know about a column before it has seen
a single value: bounds and categories taken from the data would themselves be a release without a price (Dwork
& Roth 2014, section 3; Wilson et al. 2020 on bounds). So a number needs public bounds or public edges, a
category its public list, and integer codes with few values are best given public edges, which cost no
privacy.

A dictionary may be drafted from a table (`fedrisk.data.draft`), rounded to numbers that look public. What such a draft
proposes is marked ``drafted``, and no dictionary with such a mark is taken: a person looks at the bounds first and
takes responsibility for them (``fedrisk dictionary confirm``).

A dictionary describes a table; it never holds a value of one. `fedrisk.data.table` reads and checks the
table.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from fedrisk.data.history_kinds import HistoryRule, folded, unfolded
from fedrisk.data.special import Special, special_problems
from fedrisk.data.text import Codes, Value, canonical
from fedrisk.errors import ConfigError
from fedrisk.file_rules import Stated, broken_rules
from fedrisk.study import DEFAULT_LABEL
from fedrisk.toml_file import load_toml, near_name, toml_text

MAX_BINS = 64
"""Most bins of a column: one-hot columns travel masked, and more bins cost traffic and noise for no gain."""

MOST_CELLS = 4096
"""Most categories of a column that no model uses, such as the counties of a province: statistics count by them."""

MOST_NAMED = 6
"""Most columns that one problem names."""

FILL_IN = "FILL IN"
"""With this begins a text that a person has still to write; a dictionary that holds one is refused."""

ROW_NUMBER = "@row"
"""Stands for the row number of the file in ``Dictionary.id``."""

NUMBER_ONLY = ("low", "high", "bins", "bin_count", "monotone", "direction")
CATEGORY_ONLY = ("categories", "prefix")
# What two banks must agree on before their sums over a feature may be added up.
_SHARED = (
    "kind",
    "unit",
    "low",
    "high",
    "bins",
    "bin_count",
    "categories",
    "prefix",
    "grid",
    "missing",
    "monotone",
    "special",
    "strength",
    "direction",
    "history",
)


class _Frozen(BaseModel, metaclass=Stated):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(_Frozen):
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
        _refuse(_column_problems(self))
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


class Label(_Frozen):
    """An outcome, which only a bank knows.

    A bank may have several, by ``name``: default within twelve months, distress, thirty days late. A study is about
    one of them. ``horizon`` says what counts and over which time, ``meaning`` (``meaning_zh`` in Chinese) what it is
    called among people: both are told to all members.

    ``positive`` lists the values that mean default and ``negative`` those that mean no default. A row with
    any other value, or with none, has no label: it is counted, scored like all others, and trained on by nobody.
    With both lists empty the column is itself a number in [0, 1], or missing where there is no label. ``selection``
    states for whom labels exist. ``weight`` names a column of selection weights in [0, 1] (larger weights would raise
    the sensitivity of every sum). ``drafted``: as in a column.
    """

    name: str = Field(default=DEFAULT_LABEL, pattern=r"^[a-z][a-z0-9_]{0,47}$")
    column: str = Field(min_length=1)
    positive: tuple[Value, ...] = ()
    negative: tuple[Value, ...] = ()
    horizon: str = Field(min_length=1)
    meaning: str = ""
    meaning_zh: str = ""
    weight: str | None = None
    selection: str = "labels exist for approved borrowers only"
    drafted: bool = Field(default=False, exclude=True)

    @model_validator(mode="after")
    def _rules(self) -> Label:
        problems = []
        if any(isinstance(v, str) and not v.strip() for v in (*self.positive, *self.negative)):
            problems.append(
                "positive or negative lists an empty text, and an empty cell is no label; write the outcome into the "
                "table (a query can: COALESCE(column, 'no'))"
            )
        if bool(self.positive) != bool(self.negative):
            problems.append(
                "positive and negative are given together or not at all; list the values of both, or leave "
                "both out if the column is a number in [0, 1]"
            )
        if both := _shared(self.positive, self.negative) | _shared(self.negative, self.positive):
            problems.append(
                f"positive and negative share {', '.join(map(repr, sorted(both)))}; a value means one or "
                "the other, so remove it from one list"
            )
        _refuse(problems)
        return self

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where it is as usual, so that a dictionary from before there were names keeps its bytes."""
        content: dict[str, Any] = handler(self)
        usual = {"name": DEFAULT_LABEL, "meaning": "", "meaning_zh": ""}
        return {k: v for k, v in content.items() if k not in usual or v != usual[k]}

    def meaning_in(self, language: str) -> str:
        """What it means in a language (ISO 639-1); empty where the dictionary says nothing.

        >>> Label(column="bad", horizon="12 months", meaning="overdue", meaning_zh="逾期").meaning_in("zh")
        '逾期'
        """
        return self.meaning_zh if language == "zh" and self.meaning_zh else self.meaning

    def public(self) -> dict[str, Any]:
        """What others may see of it: nothing of its column or codes."""
        said = {"name": self.name, "meaning": self.meaning, "meaning_zh": self.meaning_zh}
        usual = {"name": DEFAULT_LABEL, "meaning": "", "meaning_zh": ""}
        return {
            "horizon": self.horizon,
            "selection": self.selection,
            "weighted": self.weight is not None,
            **{k: v for k, v in said.items() if v != usual[k]},
        }


class Dictionary(_Frozen):
    """All columns of one institution, its id column and, at a bank, its labels.

    ``label`` is the one that is read: ``[dictionary.label]``, or the first of ``[[dictionary.labels]]``. The others
    stand in ``further_labels``, which a file calls ``labels``; `with_label` puts one of them in its place.

    ``id`` names the column with enterprise ids (``id_scheme`` "uscc": unified social credit codes with a
    check character; "opaque": any text). ``id = "@row"`` uses the row number of the file as id. This is for
    test data only, since it matches institutions by the order of their files. ``as_of`` names a date column.
    """

    id: str = Field(min_length=1)
    id_scheme: Literal["uscc", "opaque"] = "uscc"
    columns: tuple[Column, ...] = ()
    label: Label | None = None
    further_labels: tuple[Label, ...] = Field(default=(), alias="labels")
    as_of: str | None = None

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _first_label(cls, raw: Any) -> Any:
        """Without ``[dictionary.label]`` the first of ``[[dictionary.labels]]`` is in its place."""
        if not isinstance(raw, Mapping) or raw.get("label") is not None:
            return raw
        labels = raw.get("labels")
        if not isinstance(labels, (list, tuple)) or not labels:
            return raw
        return {**raw, "label": labels[0], "labels": labels[1:]}

    @model_validator(mode="after")
    def _rules(self) -> Dictionary:
        _refuse(_dictionary_problems(self))
        return self

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without further labels where there are none, so that a dictionary from before keeps its bytes."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k not in ("further_labels", "labels") or v}

    @property
    def labels(self) -> tuple[Label, ...]:
        """All labels, the one that is read first."""
        return () if self.label is None else (self.label, *self.further_labels)

    def with_label(self, name: str) -> Dictionary:
        """The dictionary with this label alone, for a study that is about it; ConfigError where there is none.

        >>> labels = [dict(column="bad", horizon="1 year"), dict(name="late", column="l", horizon="30 days")]
        >>> load_dictionary(dict(id="id", labels=labels)).with_label("late").label.column
        'l'
        """
        for label in self.labels:
            if label.name == name:
                return self.model_copy(update={"label": label, "further_labels": ()})
        there = ", ".join(label.name for label in self.labels) or "none"
        raise ConfigError(
            f'the dictionary has no label "{name}" (it has: {there}); add it under [[dictionary.labels]], or name '
            f'another in the study (label = "...")'
        )

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that models may use, in the dictionary's order."""
        return tuple(c for c in self.columns if c.feature)

    def column(self, name: str) -> Column:
        """The column called ``name``; ConfigError if there is none."""
        for c in self.columns:
            if c.name == name:
                return c
        raise ConfigError(
            f'column "{name}" is not in the dictionary; {_did_you_mean(name, [c.name for c in self.columns])}'
        )

    @property
    def computed(self) -> dict[str, HistoryRule]:
        """Rules of the columns that are computed from histories, by the columns' names."""
        return {c.name: c.history for c in self.columns if c.history is not None}

    @property
    def of_table(self) -> Dictionary:
        """The dictionary without columns that are computed from histories: what is read from the table."""
        if not self.computed:
            return self
        return self.model_copy(update={"columns": tuple(c for c in self.columns if c.history is None)})

    def public(self) -> dict[str, Any]:
        """What other institutions and the hub may see: no names or codes of the table itself.

        It leaves out ``id``, ``source``, ``missing_values`` and the label's column and codes. Special codes are in it:
        bins are public.
        """
        own = {"source", "missing_values"}
        columns = []
        for c in self.columns:
            # Left out where there are none, so that dictionaries from before there were any keep their digest.
            none = {key for key in ("special", "meaning_zh", "history") if not getattr(c, key)}
            columns.append(c.model_dump(mode="json", exclude=own | none))
        label = None if self.label is None else self.label.public()
        more = {"labels": [one.public() for one in self.further_labels]} if self.further_labels else {}
        return {"id_scheme": self.id_scheme, "columns": columns, "label": label, "as_of": self.as_of, **more}

    def stated(self) -> dict[str, Any]:
        """What a file says of it under ``[dictionary]``, without what is as by default."""
        content = self.model_dump(exclude_defaults=True)
        content["columns"] = [stated_column(c) for c in self.columns]
        content.pop("label", None)
        content.pop("further_labels", None)
        listed = self.labels
        if self.label is not None and self.label.name == DEFAULT_LABEL:
            content["label"], listed = self.label.model_dump(exclude_defaults=True), self.further_labels
        if listed:
            content["labels"] = [one.model_dump(exclude_defaults=True) for one in listed]
        return content

    def to_toml(self) -> str:
        """The dictionary as a file of its own has it; read again, it is the same."""
        return toml_text({"dictionary": self.stated()})

    def public_digest(self) -> str:
        """SHA-256 (hex) of `public` in canonical JSON; equal dictionaries have equal digests anywhere."""
        text = json.dumps(
            self.public(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()


def stated_column(c: Column) -> dict[str, Any]:
    """What a file says of a column, without what is as by default."""
    content = c.model_dump(exclude_defaults=True)
    if c.special:
        content["special"] = dict(c.special)
    return content if c.history is None else folded(content, c.history)


def load_dictionary(source: str | Path | Mapping[str, Any]) -> Dictionary:
    """A dictionary from a TOML file (its ``[dictionary]`` table, if it has one) or from a mapping.

    Raises:
        ConfigError: lists all problems, each with the column, the rule and the remedy.
    """
    if isinstance(source, Mapping):
        where, raw = "dictionary", source
    else:
        where = f"dictionary in {source}"
        raw = load_toml(Path(source), what="dictionary in")
    if isinstance(raw.get("dictionary"), Mapping):
        raw = raw["dictionary"]
    try:
        return Dictionary.model_validate(raw)
    except ValidationError as error:
        problems = broken_rules(error, Dictionary, raw, said=_place)
    lines = "\n".join(f"  - {p}" for p in problems)
    raise ConfigError(f"{where}: {len(problems)} problem{'s' * (len(problems) > 1)}\n{lines}")


def same_features(a: Dictionary, b: Dictionary) -> list[str]:
    """Differences in words that forbid adding up sums of two banks over their features; [] if there are none.

    Everything that shapes the features' bins, their order, and the label's horizon are compared. Names in the
    table, codes for missing values, wording and tolerances may differ between institutions.

    >>> one = dict(id="id", columns=[dict(name="x", kind="number", meaning="m", low=0, high=1)])
    >>> two = dict(id="id", columns=[dict(name="x", kind="number", meaning="m", low=0, high=2)])
    >>> same_features(load_dictionary(one), load_dictionary(two))
    ['column "x": high is 1.0 in the first, 2.0 in the second']
    """
    first, second = ({c.name: c for c in d.features} for d in (a, b))
    found = [f'column "{n}": only in the first' for n in first if n not in second]
    found += [f'column "{n}": only in the second' for n in second if n not in first]
    for name in first:
        if name in second:
            pairs = ((key, getattr(first[name], key), getattr(second[name], key)) for key in _SHARED)
            found += [
                f'column "{name}": {k} is {_say(x)} in the first, {_say(y)} in the second'
                for k, x, y in pairs
                if x != y
            ]
    if not found and list(first) != list(second):
        found.append("the features are the same but in another order; list them in the same order")
    if a.label and b.label and a.label.horizon != b.label.horizon:
        found.append(f'label: horizon is "{a.label.horizon}" in the first, "{b.label.horizon}" in the second')
    return found


def special_code(code: object) -> str:
    """One spelling for a special code, which is a number: -9, -9.0 and " -9 " are all "-9"; a text stays as it is.

    >>> [special_code(v) for v in (-9.0, " -9e0", "99.990", "x")]
    ['-9', '-9', '99.99', 'x']
    """
    text = code.strip() if isinstance(code, str) else code
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(text)
    return str(int(number)) if math.isfinite(number) and number == int(number) else str(number)


# --- rules ------------------------------------------------------------------------------------------------


def _refuse(problems: list[str]) -> None:
    # Pydantic carries one text per validator; the loader splits it into one line per problem.
    if problems:
        raise ValueError("\n".join(problems))


def _column_problems(c: Column) -> list[str]:
    found = []
    given = {k for k in c.model_fields_set if getattr(c, k) is not None}
    for keys, kind in ((NUMBER_ONLY, "number"), (CATEGORY_ONLY, "category")):
        if c.kind != kind:
            found += [f'{k} is for kind "{kind}", not "{c.kind}"; remove it' for k in keys if k in given]
    if c.grid == "log" and c.kind != "number":
        found.append(f'grid = "log" is for kind "number", not "{c.kind}"; remove it')
    if c.history is not None:
        found += _history_problems(c)
    if c.kind == "number":
        found += _number_problems(c)
    if c.kind == "category":
        found += _category_problems(c)
    if c.strength is not None and not c.feature:
        found.append("strength is for columns that models may use; remove it, or write feature = true")
    if c.kind == "date" and c.feature:
        found.append("a date is never a feature; write feature = false")
    found += special_problems(c.kind, c.special, c.low, c.high, c.bins)
    if both := {code for code, _ in c.special} & {special_code(v) for v in c.missing_values}:
        found.append(
            f"special and missing_values share {', '.join(map(repr, sorted(both)))}; a code has a bin of its own or "
            "counts as missing, so remove it from one of them"
        )
    return found


def _history_problems(c: Column) -> list[str]:
    found = []
    if c.kind != "number":
        found.append(f"is computed from a history and so is a number, not a {c.kind}; correct kind")
    given = [key for key in ("source", "missing_values", "special", "prefix") if getattr(c, key)]
    if given:
        found.append(
            f"{', '.join(given)} is for columns of the table, and this one is computed from a history; remove it "
            "(codes of gaps are missing_values of the series, in [[histories.series]])"
        )
    return found


def _number_problems(c: Column) -> list[str]:
    found = []
    if c.monotone is not None and c.direction is not None:
        found.append(
            "monotone (a constraint) and direction (an expectation) exclude each other; keep direction unless the "
            "points must never turn"
        )
    if c.bins is not None and c.bin_count is not None:
        found.append("bins (public edges) and bin_count (private edges) exclude each other; remove one")
    if (c.low is None) != (c.high is None):
        found.append("low and high are given together; add the other bound")
    elif c.low is None and c.bins is None and c.feature and (c.history is None or c.history.over):
        found.append(
            "a number needs public bounds low and high, or public edges in bins; bounds "
            "taken from the data would leak"
        )
    elif c.low is not None and c.high is not None and c.low >= c.high:
        found.append(f"low = {c.low} must be below high = {c.high}; swap or widen them")
    if c.bins is not None:
        if not 1 <= len(c.bins) < MAX_BINS:
            found.append(f"bins has {len(c.bins)} edges, allowed are 1 to {MAX_BINS - 1}; merge bins")
        if any(x >= y for x, y in zip(c.bins, c.bins[1:], strict=False)):
            found.append("bins must be strictly increasing; sort the edges and remove repeated ones")
        if c.low is not None and c.high is not None and any(not c.low < e < c.high for e in c.bins):
            found.append(
                f"bins must lie strictly between low = {c.low} and high = {c.high}; remove the edges outside"
            )
    return found


def _category_problems(c: Column) -> list[str]:
    found: list[str] = []
    if c.categories is None:
        if c.feature:
            found.append(
                "a category needs its public list in categories; a list taken from the data would leak"
            )
        return found
    most = MAX_BINS if c.feature else MOST_CELLS
    if not 1 <= len(c.categories) <= most:
        remedy = ", or write feature = false" if c.feature and len(c.categories) <= MOST_CELLS else ""
        found.append(
            f"categories has {len(c.categories)} entries, allowed are 1 to {most}; shorten with prefix, "
            f"or group them{remedy}"
        )
    if twice := sorted({x for x in c.categories if c.categories.count(x) > 1}):
        found.append(f"categories repeats {', '.join(map(repr, twice))}; remove the repetition")
    if any(x != x.strip() or not x for x in c.categories):
        found.append(
            "categories must be non-empty and without space around them; such space is removed when tables "
            "are read"
        )
    if both := sorted(
        {str(v) for v in c.missing_values if Codes(c.categories).place(canonical(v)) is not None}
    ):
        found.append(
            f"categories and missing_values share {', '.join(map(repr, both))}; a value is a category or counts as "
            "missing, so remove it from one of them"
        )
    if c.prefix is not None and (long := [x for x in c.categories if len(x) > c.prefix]):
        found.append(
            f"categories {', '.join(map(repr, long))} are longer than prefix = {c.prefix}, so no value can "
            "match; shorten them"
        )
    return found


def _dictionary_problems(d: Dictionary) -> list[str]:
    found = []
    names = [c.name for c in d.columns]
    if not names and d.label is None:
        found.append("columns is empty and there is no label; describe at least one column")
    found += [
        f'column "{n}": the name is used {names.count(n)} times; rename the others'
        for n in sorted({n for n in names if names.count(n) > 1})
    ]
    if d.id == ROW_NUMBER and d.id_scheme != "opaque":
        found.append(f'id = "{ROW_NUMBER}" needs id_scheme = "opaque"; row numbers are not credit codes')
    if d.as_of is not None:
        dates = [c.name for c in d.columns if c.kind == "date"]
        if d.as_of not in dates:
            found.append(
                f'as_of = "{d.as_of}" is not a date column; add it with kind = "date" '
                f"({len(dates)} date columns given)"
            )
    found += _unfinished(d)
    called = [label.name for label in d.labels]
    found += [
        f'labels: the name "{n}" is used {called.count(n)} times; each label has a name of its own (without one it is '
        f'"{DEFAULT_LABEL}")'
        for n in sorted({n for n in called if called.count(n) > 1})
    ]
    reserved = {d.id: "the id"}
    for label in d.labels:
        reserved[label.column] = _titled(label)
        if label.weight:
            reserved[label.weight] = "the selection weight"
    found += [
        f'column "{c.name}": reads {reserved[c.table_name]} as a feature, which leaks it; remove the column'
        for c in d.features
        if c.table_name in reserved
    ]
    return found


def _titled(label: Label) -> str:
    """How problems call a label."""
    return "the label" if label.name == DEFAULT_LABEL else f'the label "{label.name}"'


def _unfinished(d: Dictionary) -> list[str]:
    """What a person has still to write or to confirm in a draft."""
    texts = {"id": d.id}
    for label in d.labels:
        where = "label" if label.name == DEFAULT_LABEL else f'label "{label.name}"'
        texts |= {f"{where}: {key}": v for key in ("positive", "negative") for v in getattr(label, key)}
        texts |= {
            f"{where}: {key}": getattr(label, key) for key in ("column", "horizon", "meaning", "meaning_zh")
        }
    for c in d.columns:
        texts |= {f'column "{c.name}": {k}': getattr(c, k) or "" for k in ("meaning", "meaning_zh")}
        texts |= {
            f'column "{c.name}": meaning of special code {code}': meaning for code, meaning in c.special
        }
    found = [
        f'{where} says "{FILL_IN}"; write it' for where, t in texts.items() if str(t).startswith(FILL_IN)
    ]
    drafted = [c.name for c in d.columns if c.drafted] + [_titled(one) for one in d.labels if one.drafted]
    if drafted:
        shown = ", ".join(drafted[:MOST_NAMED]) + (", ..." if len(drafted) > MOST_NAMED else "")
        found.append(
            f"{len(drafted)} of {len(d.columns) + len(d.labels)} were drafted from the table and confirmed by "
            f"nobody ({shown}): bounds, edges and lists are public, and taken over from the data they would leak. "
            "Look at them with fedrisk dictionary confirm FILE; then confirm them there, or correct them and remove "
            "drafted = true"
        )
    return found


# --- places of errors ---------------------------------------------------------------------------------------


def _place(loc: Sequence[int | str], raw: Any) -> str:
    """Where an error is, in words: the column by its name, the label, the setting."""
    if loc[:1] == ("columns",) and len(loc) > 1 and isinstance(loc[1], int):
        columns = raw["columns"]
        entry = columns[loc[1]] if isinstance(columns, (list, tuple)) else None
        name = entry.get("name") if isinstance(entry, Mapping) else None
        where, rest = f'column "{name}"' if name else f"column number {loc[1] + 1}", loc[2:]
    elif loc[:1] == ("labels",) and len(loc) > 1 and isinstance(loc[1], int):
        where, rest = _label_place(raw, loc[1]), loc[2:]
    elif loc[:1] == ("label",):
        where, rest = "label", loc[1:]
    else:
        where, rest = "", loc
    key = (
        f"{rest[0]}, entry {int(rest[1]) + 1}"
        if len(rest) > 1 and isinstance(rest[1], int)
        else "".join(map(str, rest[:1]))
    )
    return ": ".join(part for part in (where, key) if part)


def _label_place(raw: Any, place: int) -> str:
    """A label by its name; places are those after the first label went to ``label`` (`Dictionary._first_label`)."""
    labels = [one for one in raw.get("labels", ()) if isinstance(one, Mapping)]
    place += raw.get("label") is None
    name = labels[place].get("name") if place < len(labels) else None
    return f'label "{name}"' if name else f"label number {place + 1} of labels"


def _did_you_mean(word: str, known: list[str]) -> str:
    near = near_name(word, known)
    return f'did you mean "{near}"?' if near else f"known are: {', '.join(known)}"


def _shared(one: tuple[Value, ...], other: tuple[Value, ...]) -> set[str]:
    """Values of one list that the other has too, as texts."""
    codes = Codes(other)
    return {canonical(v) for v in one if codes.place(canonical(v)) is not None}


def _is_code(pair: Any) -> bool:
    """Whether this is a special code, as a text or number, with its meaning."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    return isinstance(pair[0], (str, int, float)) and isinstance(pair[1], str)


def _say(value: object) -> str:
    if isinstance(value, tuple) and value and all(isinstance(v, tuple) for v in value):
        return "{" + ", ".join(f'"{code}" = "{meaning}"' for code, meaning in value) + "}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return "not given" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
