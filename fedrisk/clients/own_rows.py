"""A bank's rows of one study, gathered from its own store and table (models/own_rows); nothing of it leaves.

The table is read for dates alone, and the page does without where it is not at hand.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients import own_results
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import Entry, Said
from fedrisk.errors import FedriskError
from fedrisk.models.knowledge import PastStudy
from fedrisk.models.own_rows import OwnRows, Reason


def own_rows(node: Node, entry: Entry, said: Said) -> OwnRows:
    """The bank's customers of an attempt with all that it keeps of them.

    said: in which words reasons are told. ConfigError where there are no scores, StoreError where figures are damaged.
    """
    node = own_results.in_study(node, entry)
    table = own_results.scores(node, entry)
    figures = own_results.figures(node, entry)
    # A card gives a score beside its probabilities; what is trained gives probabilities alone.
    main = "scorecard" if "score" in table else "shared"
    models = {m: table[f"{m}_probability"].to_numpy(float) for m in entry.models if m != "best"}
    return OwnRows(
        institution=node.name,
        study=entry.study,
        recipe=entry.recipe,
        attempt=entry.attempt,
        when=entry.when,
        held_from=entry.held_from,
        research=entry.research,
        split=table["split"].to_numpy(object),
        label=table["label"].to_numpy(float),
        main=main,
        probability={main: table["probability"].to_numpy(float), **models},
        score=_whole(table, "score"),
        own_points=_whole(table, "own_points"),
        external_points=_whole(table, "external_points"),
        points=_points(own_results.points_of(node, entry, table)),
        day=_days(node, table["id"]),
        card=own_results.card_of(node, entry),
        released=_released(node, entry),
        verdict=figures.get("verdict"),
        absent=figures.get("absent") or {},
        reasons=tuple(_reason(r) for r in own_results.reason_counts(node, entry, said, table)),
        meanings=own_results.meanings(node, said.language),
        warning=own_results.warning_of(node, entry),
    )


def _whole(table: pd.DataFrame, column: str) -> NDArray[np.int64] | None:
    return table[column].to_numpy(np.int64) if column in table else None


def _points(points: pd.DataFrame | None) -> dict[str, NDArray[np.int64]]:
    """Points by own column."""
    if points is None:
        return {}
    return {str(c).removeprefix("points:"): points[c].to_numpy(np.int64) for c in points if c != "id"}


def _reason(counted: Mapping[str, Any]) -> Reason:
    return Reason(
        column=counted["column"],
        meaning=counted["meaning"],
        first=counted["first"],
        below=counted["below_average"],
        points=counted["mean_points"],
    )


def _days(node: Node, ids: "pd.Series[Any]") -> NDArray[np.datetime64] | None:
    """Day of each customer by the dictionary's ``as_of``; None where there is none or the table cannot be read."""
    dictionary = node.institution.dictionary
    if dictionary is None or dictionary.as_of is None:
        return None
    try:
        table = node.institution.read()
    except (FedriskError, OSError):
        return None
    day = pd.Series(pd.to_datetime(table.frame[dictionary.as_of]).to_numpy(), index=pd.Index(table.ids))
    found = day[~day.index.duplicated()].reindex(pd.Index(ids)).to_numpy()
    return np.asarray(found, dtype="datetime64[D]")


def _released(node: Node, entry: Entry) -> PastStudy | None:
    """What the study released, as the bank itself saw it."""
    try:
        return node.store.past.find(entry.attempt)
    except FedriskError:
        return None
