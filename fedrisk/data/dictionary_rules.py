"""What a dictionary as a whole may not say: each broken rule with its remedy, and where in the file it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedrisk.data.label import Label
from fedrisk.study import DEFAULT_LABEL

if TYPE_CHECKING:
    from fedrisk.data.dictionary import Dictionary

FILL_IN = "FILL IN"
"""With this begins a text that a person has still to write; a dictionary that holds one is refused."""

ROW_NUMBER = "@row"
"""Stands for the row number of the file in ``Dictionary.id``."""

MOST_NAMED = 6
"""Most columns that one problem names."""


def dictionary_problems(d: Dictionary) -> list[str]:
    """Rules that a dictionary breaks, each with its remedy; [] if there are none."""
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


def place_of(loc: Sequence[int | str], raw: Any) -> str:
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
