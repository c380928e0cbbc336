"""Changes to the text of a file with a dictionary: confirm a draft, declare a column, put in another dictionary.

The text is changed line by line, so that comments stay. Afterwards it is read again: what it says must differ by what
was asked for and nothing else, or the change is refused and the file is left to its owner.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedrisk.data.column import Column
from fedrisk.data.column_rules import CATEGORY_ONLY, NUMBER_ONLY
from fedrisk.data.dictionary_rules import FILL_IN
from fedrisk.data.draft.write import CONFIRM, remark, toml
from fedrisk.data.label import Label
from fedrisk.errors import ConfigError

LABEL, LABELS = "label", "labels"
"""Sections of labels. That of ``[dictionary.label]`` is called ``label`` where columns are named, a further one by its
own name, both in brackets where a column is called so."""

_HEADER = re.compile(r"\s*\[{1,2}\s*([\w.\-\" ]+?)\s*\]{1,2}\s*(#.*)?")
_KEY = re.compile(r"\s*([A-Za-z_]+)\s*=")
_MARK = re.compile(rf"\s*{CONFIRM}.*$")
_NUMBERS = (*NUMBER_ONLY, "grid", "unit")
_BY_KIND = {
    "number": CATEGORY_ONLY,
    "category": (*_NUMBERS, "special"),
    "flag": (*_NUMBERS, *CATEGORY_ONLY),
    "date": (*_NUMBERS, *CATEGORY_ONLY),
}
"""Keys that a column of a kind has no use for, and that go when its kind is declared."""

_ORDER = (
    "name",
    "history",
    "kind",
    "months",
    "before",
    "source",
    "unit",
    "meaning",
    "meaning_zh",
    "low",
    "high",
    "bins",
    "grid",
    "categories",
    "prefix",
)


@dataclass(frozen=True)
class Entry:
    """A column or a label as a file states it.

    settings: its keys. drafted: whether nobody has confirmed it. unwritten: keys that a person has still to fill in.
    """

    name: str
    settings: Mapping[str, Any]
    drafted: bool
    unwritten: tuple[str, ...]


def entries(text: str) -> tuple[Entry, ...]:
    """All columns of the dictionary in a file, and last its labels; ConfigError where it has no dictionary."""
    return tuple(_entry(name, settings) for name, settings in _named(_dictionary(_read(text))))


def _label_name(names: Iterable[str], name: str = LABEL) -> str:
    return name if name not in names else f"({name})"


def _entry(name: str, settings: Mapping[str, Any]) -> Entry:
    rest = {k: v for k, v in settings.items() if k != "drafted"}
    unwritten = tuple(k for k, v in rest.items() if FILL_IN in str(v))
    return Entry(str(name), rest, settings.get("drafted") is True, unwritten)


def confirmed(text: str, names: Sequence[str] | None, *, by: str, day: str) -> str:
    """The text with these columns (None: all that were drafted) confirmed by somebody on a day.

    ConfigError for a name that is not there, or where something is still to be filled in.
    """
    known = {e.name: e for e in entries(text)}
    chosen = [n for n, e in known.items() if e.drafted] if names is None else list(names)
    for name in chosen:
        if name not in known:
            raise ConfigError(f'no column "{name}" in the dictionary; it has {", ".join(known)}')
        if unwritten := known[name].unwritten:
            raise ConfigError(
                f'{name}: {", ".join(unwritten)} still says "{FILL_IN}"; write it in the file, or: fedrisk dictionary '
                f'declare FILE {name} {unwritten[0]}="..."'
            )
    changed = _stamped(text, chosen, f"# confirmed by {remark(by)} on {day}")

    def expect(dictionary: dict[str, Any]) -> None:
        for name, entry in _named(dictionary):
            if name in chosen:
                entry.pop("drafted", None)

    _same_but(text, changed, expect)
    return changed


def _stamped(text: str, chosen: Sequence[str], stamp: str) -> str:
    """The text with a stamp in place of the mark in these blocks."""
    lines = text.split("\n")
    for place in _blocks(lines):
        if place.name in chosen:
            for k in range(place.first, place.last):
                lines[k] = stamp if _key(lines[k]) == "drafted" else _unmarked(lines[k])
    return "\n".join(lines)


def declared(text: str, name: str, settings: Mapping[str, Any], *, by: str, day: str) -> str:
    """The text with a column, or the label, declared by hand: keys set, or taken away where the value is None.

    A column that is not there is added. The change is a confirmation. ConfigError lists the rules that it breaks.
    """
    lines = text.split("\n")
    place = next((b for b in _blocks(lines) if b.name == name), None)
    if place is None:
        if name == LABEL:
            raise ConfigError(
                "the dictionary has no label; add [dictionary.label] with column and horizon to the file"
            )
        return _added(text, name, settings, by=by, day=day)
    current = dict(next(e for e in entries(text) if e.name == name).settings)
    wanted = _merged(current, settings)
    _check(name, wanted, place.is_label)
    block = _rewritten(lines[place.first : place.last], current, wanted)
    lines[place.first : place.last] = [*block, f"# declared by {remark(by)} on {day}", *_gap(lines, place)]
    changed = "\n".join(lines)

    def expect(dictionary: dict[str, Any]) -> None:
        for n, entry in _named(dictionary):
            if n == name:
                entry.clear()
                entry.update(wanted)

    _same_but(text, changed, expect)
    return changed


def replaced(text: str, dictionary: str, table: Mapping[str, Any]) -> str:
    """The text with another ``[dictionary]``, and with these settings in its ``[table]`` unless that states others."""
    lines, kept, inside = text.rstrip("\n").split("\n"), [], False
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header:
            inside = header[1].split(".")[0].strip('" ') == "dictionary"
        if not inside:
            kept.append(line)
    missing = [f"{k} = {toml(v)}" for k, v in table.items()]
    missing = [line for line in missing if _key(line) not in _read("\n".join(kept)).get("table", {})]
    for k, line in enumerate(kept):
        if missing and (header := _HEADER.fullmatch(line)) and header[1] == "table":
            kept[k + 1 : k + 1] = missing
            break
    changed = "\n".join(kept).rstrip("\n") + "\n\n" + dictionary
    _read(changed)
    return changed


# --- the parts of a file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """Lines of a column or of a label, the header not among them."""

    name: str
    first: int
    last: int
    is_label: bool


def _blocks(lines: Sequence[str]) -> list[_Block]:
    found: list[_Block] = []
    heads = [(k, m[1]) for k, line in enumerate(lines) if (m := _HEADER.fullmatch(line))]
    ends = [*(k for k, _ in heads), len(lines)][1:]
    for (k, header), following in zip(heads, ends, strict=True):
        part = header.split(".")[-1]
        if part not in ("columns", LABEL, LABELS) or header not in (part, f"dictionary.{part}"):
            continue
        last = following
        # Comments and gaps before the next header belong to what follows.
        while last > k + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
            last -= 1
        named = [tomllib.loads(line) for line in lines[k + 1 : last] if _key(line) == "name"]
        name = LABEL if part == LABEL else str(named[0]["name"]) if named else ""
        found.append(_Block(name, k + 1, last, part != "columns"))
    columns = [b.name for b in found if not b.is_label]
    return [_Block(_label_name(columns, b.name), b.first, b.last, True) if b.is_label else b for b in found]


def _key(line: str) -> str | None:
    found = _KEY.match(line)
    return found[1] if found else None


def _unmarked(line: str) -> str:
    """A line without its mark, if that is a comment and not part of a text."""
    bare = _MARK.sub("", line)
    try:
        return bare if tomllib.loads(bare) == tomllib.loads(line) else line
    except tomllib.TOMLDecodeError:
        return line


def _rewritten(lines: Sequence[str], current: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Lines of a block with the wanted keys; those that stay keep their comments."""
    out = []
    for line in lines:
        key = _key(line)
        if key == "drafted" or (key in current and key not in wanted):
            continue
        if key is not None and key in wanted and wanted[key] != current.get(key):
            out.append(f"{key} = {toml(wanted[key])}")
        else:
            out.append(_unmarked(line))
    return out + [f"{k} = {toml(v)}" for k, v in wanted.items() if k not in current]


def _gap(lines: Sequence[str], place: _Block) -> list[str]:
    """An empty line where the block would touch the next one."""
    return [""] if place.last < len(lines) and lines[place.last].strip() else []


def _merged(current: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keys after a declaration; a new kind takes away what is of the old one alone."""
    wanted = {**current, **settings}
    if settings.get("kind") not in (None, current.get("kind")):
        for key in _BY_KIND.get(str(settings["kind"]), ()):
            if key not in settings:
                wanted.pop(key, None)
        if settings["kind"] == "date":
            wanted["feature"] = False
    if "direction" in settings:
        wanted.pop("monotone", None)
    if "monotone" in settings:
        wanted.pop("direction", None)
    return {k: v for k, v in wanted.items() if v is not None}


def _added(text: str, name: str, settings: Mapping[str, Any], *, by: str, day: str) -> str:
    given = {k: v for k, v in settings.items() if v is not None}
    # What a column from a history is and means follows from its rule.
    usual = {} if "history" in given else {"kind": "number", "meaning": name}
    wanted = {"name": name, **usual, **given}
    if wanted.get("kind") == "date":
        wanted.setdefault("feature", False)
    _check(name, wanted, is_label=False)
    ordered = sorted(wanted, key=lambda k: _ORDER.index(k) if k in _ORDER else len(_ORDER))
    head = "[[dictionary.columns]]" if "dictionary" in _read(text) else "[[columns]]"
    block = [head, *(f"{k} = {toml(wanted[k])}" for k in ordered), f"# declared by {remark(by)} on {day}", ""]
    lines = text.split("\n")
    places = [b for b in _blocks(lines) if not b.is_label]
    at = places[-1].last if places else len(lines)
    if places:
        # Behind what was written about the last column.
        while at < len(lines) and lines[at].strip():
            at += 1
    changed = "\n".join([*lines[:at], "", *block[:-1], *lines[at:]])
    _same_but(text, changed, lambda d: d.setdefault("columns", []).append(dict(wanted)))
    return changed


def _check(name: str, settings: Mapping[str, Any], is_label: bool) -> None:
    """ConfigError with the rules that a column or label breaks."""
    from fedrisk.file_rules import checked

    model: type[Column | Label] = Label if is_label else Column
    checked(model, settings, where=f"column {name}" if not is_label else "the label")


# --- what a text says ---------------------------------------------------------------------------------------


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the file is not valid TOML: {error}; correct that first") from None


def _dictionary(content: dict[str, Any]) -> dict[str, Any]:
    inner = content.get("dictionary", content)
    if not isinstance(inner, dict) or not isinstance(inner.get("columns", []), list) or "id" not in inner:
        raise ConfigError("the file has no [dictionary]; make one with fedrisk dictionary draft TABLE")
    return inner


def _named(dictionary: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [(str(c.get("name", "?")), c) for c in dictionary.get("columns", [])]
    columns = [n for n, _ in found]
    if isinstance(dictionary.get(LABEL), dict):
        found.append((_label_name(columns), dictionary[LABEL]))
    labels = [one for one in dictionary.get(LABELS, ()) if isinstance(one, dict)]
    return found + [(_label_name(columns, str(one.get("name", "?"))), one) for one in labels]


def _same_but(before: str, after: str, change: Callable[[dict[str, Any]], None]) -> None:
    """ConfigError unless the changed text says what the old one says after ``change`` to its dictionary."""
    wanted = _read(before)
    change(_dictionary(wanted))
    if _read(after) != wanted:
        raise ConfigError(
            "the file is written in a way that this command cannot change safely (values over several lines, or "
            "columns as inline tables); edit it by hand: correct the lines with CONFIRM and remove drafted = true"
        )
