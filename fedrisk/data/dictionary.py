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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from fedrisk.data.column import Column, stated_column
from fedrisk.data.dictionary_rules import dictionary_problems, place_of
from fedrisk.data.history_kinds import HistoryRule
from fedrisk.data.label import Label
from fedrisk.errors import ConfigError
from fedrisk.file_rules import Stated, broken_rules, refuse
from fedrisk.study import DEFAULT_LABEL
from fedrisk.toml_file import load_toml, near_name, toml_text


class Dictionary(BaseModel, metaclass=Stated):
    """All columns of one institution, its id column and, at a bank, its labels.

    ``label`` is the one that is read: ``[dictionary.label]``, or the first of ``[[dictionary.labels]]``. The others
    stand in ``further_labels``, which a file calls ``labels``; `with_label` puts one of them in its place.

    ``id`` names the column with enterprise ids (``id_scheme`` "uscc": unified social credit codes with a
    check character; "opaque": any text). ``id = "@row"`` uses the row number of the file as id. This is for
    test data only, since it matches institutions by the order of their files. ``as_of`` names a date column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    id: str = Field(min_length=1)
    id_scheme: Literal["uscc", "opaque"] = "uscc"
    columns: tuple[Column, ...] = ()
    label: Label | None = None
    further_labels: tuple[Label, ...] = Field(default=(), alias="labels")
    as_of: str | None = None

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
        refuse(dictionary_problems(self))
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
        problems = broken_rules(error, Dictionary, raw, said=place_of)
    lines = "\n".join(f"  - {p}" for p in problems)
    raise ConfigError(f"{where}: {len(problems)} problem{'s' * (len(problems) > 1)}\n{lines}")


def _did_you_mean(word: str, known: list[str]) -> str:
    near = near_name(word, known)
    return f'did you mean "{near}"?' if near else f"known are: {', '.join(known)}"
