"""Expected losses of a watched month: what is outstanding of each loan, and which share of it a default loses.

Both are columns of the bank's own table, which is another one in each month. So they are read when the month's page is
first written, and their sums are kept beside the scores (``losses/2026-05.json``).
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedrisk.alignment.ids import Scheme
from fedrisk.clients.node import Node
from fedrisk.data.source import read_header, read_texts
from fedrisk.errors import ConfigError
from fedrisk.files import read_json, write_atomic
from fedrisk.institution import Institution
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month
from fedrisk.watching.spelling import scheme_of, spelt

_REMEDY = "remove it; without it the page has no losses of that month"


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Of the loans with a score. exposure: outstanding. loss: expected; None where no column says what is lost."""

    exposure: float
    loss: float | None


def month_losses(node: Node, kept: Kept, month: Month, rows: pd.DataFrame) -> Losses | None:
    """Of a month, as they are kept, or else from the table where the month is the newest. rows: `drift_counts.scored`.

    None where the bank's file names no column of exposure, or the month's table is gone. ConfigError where a column is
    not there, DataError where the table cannot be read.
    """
    file = kept.folder / "losses" / f"{month}.json"
    if file.is_file():
        return Losses(**read_json(file, _REMEDY))
    rules = node.institution.watch
    if rules is None or rules.exposure is None or month != kept.newest() or node.institution.table is None:
        return None
    found = _from_table(node.institution, rows, rules.exposure, rules.loss_given_default)
    write_atomic(file, json.dumps(vars(found)).encode())
    return found


def _from_table(institution: Institution, rows: pd.DataFrame, exposure: str, lost: str | None) -> Losses:
    assert institution.table is not None and institution.dictionary is not None
    id, header = institution.dictionary.id, read_header(institution.table, institution.folder)
    names = [exposure] if lost is None else [exposure, lost]
    for key, name in zip(("exposure", "loss_given_default"), names, strict=False):
        if name not in header:
            raise ConfigError(
                f"watch.{key}: the bank's table has no column {name}; name one that it has, or remove the key"
            )
    blocks = read_texts(institution.table, institution.folder, list(dict.fromkeys([id, *names])))
    scheme = scheme_of(institution)
    found = pd.concat([_numbers(block, id, names, scheme) for block in blocks])
    there = spelt([str(one) for one in rows.index], scheme)
    found = found[~found.index.duplicated()].reindex(there).fillna(0.0)
    amount = found[exposure].to_numpy()
    loss = (
        None
        if lost is None
        else float((rows["probability"].to_numpy() * amount * found[lost].to_numpy()).sum())
    )
    return Losses(exposure=float(amount.sum()), loss=loss)


def _numbers(block: pd.DataFrame, id: str, names: list[str], scheme: Scheme) -> pd.DataFrame:
    """Columns of a block as numbers, by the one spelling of ids; what is no number is missing."""
    numbers = {name: pd.to_numeric(block[name], errors="coerce").astype(np.float64) for name in names}
    return pd.DataFrame(numbers).set_axis(spelt([text or "" for text in block[id]], scheme))
