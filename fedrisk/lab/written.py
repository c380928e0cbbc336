"""A party of a data set on the disk: its table as Parquet, and its institution file, whose policy allows research."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.data.dictionary import Dictionary
from fedrisk.data.frame_file import parquet_of
from fedrisk.data.source import TableSource
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.files import write_atomic
from fedrisk.institution import Institution
from fedrisk.lab.parties import PartyTable, row_ids
from fedrisk.privacy.policy import Policy

RESEARCH = "# Public or simulated data: the policy allows research runs, which have no privacy. Never on real data.\n"


def write_party(
    party: PartyTable, folder: Path, about: str, recipes: Sequence[str], policy: Mapping[str, Any]
) -> Path:
    """Write ``data/NAME.parquet`` and ``institutions/NAME.toml``; the path of the latter.

    about: comment at its front. recipes: those that the policy allows. policy: further rules of it. ConfigError where
    these break a rule.
    """
    institution = party.institution
    if institution.dictionary is None:
        raise ConfigError(f"{party.name} has no [dictionary]; a data set's parties have tables")
    dictionary, frame = _as_written(party, institution.dictionary)
    write_atomic(folder / "data" / f"{party.name}.parquet", parquet_of(party.name, frame))
    rules = institution.policy.model_dump(exclude_defaults=True) | {"research": True, "recipes": recipes}
    written = Institution(
        name=party.name,
        kind=institution.kind,
        table=TableSource(source=f"../data/{party.name}.parquet"),
        dictionary=dictionary,
        policy=checked(Policy, {**rules, **policy}, where=f"[policy] of the data set, at {party.name}"),
        histories=institution.histories_at_home,
        encoders=institution.encoders_at_home,
    )
    file = folder / "institutions" / f"{party.name}.toml"
    write_atomic(file, (about + RESEARCH + written.to_toml()).encode())
    return file


def _as_written(party: PartyTable, d: Dictionary) -> tuple[Dictionary, pd.DataFrame]:
    """The table with the dictionary's own names and without its old codes, and a dictionary that says so.

    Columns that were computed from histories are written as the numbers that they are.
    """
    t = party.table
    frame = pd.DataFrame({row_ids(d): t.ids}).join(t.frame)
    plain = {"source": None, "missing_values": (), "history": None}
    columns = tuple(c.model_copy(update=plain) for c in d.columns)
    label = d.label
    if label is not None and t.label is not None:
        label = label.model_copy(update={"column": _free(label.column, frame)})
        frame[label.column] = pd.Series(t.label)
        if label.positive:
            label = label.model_copy(update={"positive": (1,), "negative": (0,)})
            frame[label.column] = pd.Series(t.label).astype("Int8")
        if label.weight is not None:
            label = label.model_copy(update={"weight": _free(label.weight, frame)})
            frame[label.weight] = t.weight
    changed = d.model_copy(
        update={"id": row_ids(d), "columns": columns, "label": label, "further_labels": ()}
    )
    return Dictionary.model_validate(changed.model_dump()), frame


def _free(name: str, frame: pd.DataFrame) -> str:
    """A name that no column has yet."""
    while name in frame.columns:
        name += "_"
    return name
