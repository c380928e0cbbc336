"""An institution's own table over the bins of its models, counted once a month; counts alone are kept.

``STORE/watch_columns/MODEL/2026-05.json`` has rows by bin of each of the institution's own columns in a model, and
nothing of any row. Nothing of it leaves the institution.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError
from fedrisk.files import read_json, write_atomic
from fedrisk.models.binning import Bins
from fedrisk.models.model_part import ModelPart
from fedrisk.serving.drift import key_of
from fedrisk.watching.month import Month

FOLDER = "watch_columns"
_REMEDY = "remove it: the month can be counted again as long as the table is that month's"


def counted_bins(part: ModelPart) -> dict[str, Bins]:
    """Bins of an institution's columns in a model, by the key under which rows are counted; cells of pairs are none."""
    every = [Bins.from_dict(dict(stored)) for stored in part.bins]
    return {key_of(b): b for b in every if b.feature.is_column and b.feature.kind != "pair"}


def count_table(node: Node, part: ModelPart, month: Month) -> dict[str, list[int]]:
    """Count the table as it is now, keep the counts as those of ``month``, and give them; a month that is kept stays.

    Raises:
        ConfigError: a later month is kept, or the institution has no table.
        DataError: the table cannot be read.
    """
    kept = months(node, part)
    if str(month) in kept:
        return kept[str(month)]
    if kept and str(month) < max(kept):
        raise ConfigError(
            f"{node.name} has counted {max(kept)} of model {part.model}, so {month} is not counted any more: months "
            "come in their order"
        )
    if node.institution.table is None:
        raise ConfigError(f"{node.name} has no table to count")
    table = node.institution.read()
    found = {}
    for key, b in counted_bins(part).items():
        if b.feature.column in table.frame:
            codes = b.codes(table.frame[b.feature.column].to_numpy())
            found[key] = np.bincount(codes, minlength=b.size).tolist()
    write_atomic(_folder(node, part) / f"{month}.json", json.dumps(found, sort_keys=True).encode())
    return found


def months(node: Node, part: ModelPart) -> dict[str, dict[str, list[int]]]:
    """Counts of a model by month, the oldest first; StoreError where a file is damaged."""
    files: Mapping[str, Path] = {f.stem: f for f in sorted(_folder(node, part).glob("????-??.json"))}
    return {month: read_json(file, _REMEDY) for month, file in files.items()}


def _folder(node: Node, part: ModelPart) -> Path:
    return node.store.path / FOLDER / part.model
