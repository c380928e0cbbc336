"""What ``[histories]`` of an institution's file says of its columns and encoders, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fedrisk.data.column import Column, stated_column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.history_kinds import gathered
from fedrisk.data.season import no_groups
from fedrisk.models.history_file import HistoriesSource


def filled(content: Mapping[str, Any]) -> dict[str, Any]:
    """An institution's file with what ``[histories]`` says of series put into its columns and encoders.

    A file without ``[histories]``, or with one that breaks a rule, stays as it is; that is told elsewhere.
    """
    out = dict(content)
    try:
        source = HistoriesSource.model_validate(out["histories"]) if out.get("histories") else None
    except ValidationError:
        return out
    if source is None:
        return out
    dictionary = out.get("dictionary")
    if isinstance(dictionary, Dictionary):
        dictionary = dictionary.stated() if dictionary.computed else dictionary
    if isinstance(dictionary, Mapping) and isinstance(dictionary.get("columns"), list | tuple):
        columns = [_with_terms(c, source) for c in dictionary["columns"]]
        out["dictionary"] = {**dictionary, "columns": columns}
    if isinstance(out.get("encoders"), list | tuple):
        out["encoders"] = [_encoder(rule, source) for rule in out["encoders"]]
    return out


def _with_terms(column: Any, source: HistoriesSource) -> Any:
    if isinstance(column, Column):
        column = stated_column(column)
    if not isinstance(column, Mapping) or not column.get("history"):
        return column
    column = gathered(column)
    rule = column["history"]
    series = source.of(rule["series"]) if isinstance(rule, Mapping) and "series" in rule else None
    if series is None:
        return column
    terms = {key: getattr(series, key) for key in ("unit", "low", "high", "grid", "better", "season")}
    return {**column, "history": {**rule, **terms, "over": source.months}}


def _encoder(rule: Any, source: HistoriesSource) -> Any:
    if not isinstance(rule, Mapping) or rule.get("histories") is not None:
        return rule
    return {"series": source.series, "months": source.months, **rule}


def problems_of(dictionary: Dictionary, source: HistoriesSource | None) -> list[str]:
    """What columns with a history and ``[histories]`` say that does not fit together."""
    found = []
    if source is not None and source.season_column == dictionary.id:
        found.append(no_groups(dictionary.id))
    for name, rule in dictionary.computed.items():
        where = f'column "{name}"'
        if source is None:
            found.append(
                f'{where}: history = "{rule.series}", and the file has no [histories]; add it with source, months and '
                "[[histories.series]]"
            )
        elif (series := source.of(rule.series)) is None:
            known = ", ".join(s.name for s in source.series)
            found.append(f'{where}: history = "{rule.series}" is no series of [histories], which has {known}')
        elif rule.over != source.months or (rule.low, rule.high) != (series.low, series.high):
            found.append(f"{where}: was made for another [histories]; read the file again")
        elif rule.of.calendar and not source.dated:
            found.append(
                f'{where}: kind "{rule.kind}" needs to know which month the last one is; write ends = "2026-05" or '
                'ends_column = "COLUMN" in [histories]'
            )
    return found
