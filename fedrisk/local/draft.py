"""A dictionary drafted from a DataFrame, as ``fedrisk init`` does it from a file, for a person to read and confirm."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fedrisk.data import dictionary_file
from fedrisk.data.dictionary import Dictionary, load_dictionary
from fedrisk.data.draft.draft import draft_dictionary as drafted_from
from fedrisk.data.draft.write import dictionary_text
from fedrisk.data.source import TableSource
from fedrisk.user import user_name


@dataclass(frozen=True)
class DictionaryDraft:
    """What was proposed from a table, as commented TOML; nobody has taken responsibility for it yet."""

    text: str

    def __str__(self) -> str:
        return self.text

    def declared(self, column: str, **settings: Any) -> DictionaryDraft:
        """The draft with one column, or ``label``, as a person states it; keys as in a dictionary, None takes one away.

        ConfigError lists the rules that it breaks.
        """
        return DictionaryDraft(
            dictionary_file.declared(self.text, column, settings, by=user_name(), day=_today())
        )

    def confirmed(self, columns: Sequence[str] | None = None, *, by: str = "") -> Dictionary:
        """The dictionary, once a person has read the draft: bounds and categories are public from then on.

        columns: which of the proposed ones are confirmed; all by default. by: who confirms; the login by default.
        ConfigError where something is still to be filled in, or not confirmed.
        """
        text = dictionary_file.confirmed(self.text, columns, by=by or user_name(), day=_today())
        content: Mapping[str, Any] = tomllib.loads(text)
        return load_dictionary(content)


def draft_dictionary(
    table: pd.DataFrame,
    *,
    kind: Literal["bank", "holder"],
    id: str | None = None,
    label: str | None = None,
    horizon: str | None = None,
) -> DictionaryDraft:
    """Propose the dictionary of a DataFrame: kinds, bounds in round numbers, categories that many rows have.

    id, label: columns, where they are known. horizon: what default means, for example "90 days past due within 12
    months". A proposal follows from the table, so a person reads it before it is used: `DictionaryDraft.confirmed`.

    Errors: ConfigError for a column that is not there, DataError where the table cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        table.set_axis([str(c) for c in table.columns], axis=1).to_parquet(
            f"{folder}/table.parquet", index=False
        )
        source = TableSource(source="table.parquet")
        draft = drafted_from(source, Path(folder), kind=kind, id_column=id, label_column=label)
    return DictionaryDraft(dictionary_text(draft, horizon=horizon))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
