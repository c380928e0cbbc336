"""Which rules a study or institution file breaks, in words: where in the file, the rule, and the remedy.

A place is said as the file writes it, ``[privacy] epsilon`` or ``[[dictionary.columns]] "debt": low``. A misspelt key
gets "did you mean", also where it belongs to another section. Values are repeated where they are numbers or one of a
few words; a text that may hold a password (source, query) never is.
"""

import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic._internal._model_construction import ModelMetaclass

from fedrisk.errors import ConfigError
from fedrisk.toml_file import near_name

Model = TypeVar("Model", bound=BaseModel)

_SECRET = ("source", "query", "store")
_NAME = "must be lower-case letters, digits and _, begin with a letter and have at most 48"
_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,47}$": _NAME,
    r"^[A-Za-z0-9._-]{1,32}$": "must be letters, digits, dots, - and _, at most 32",
    r"^[ -~]{1,200}$": "must be 1 to 200 letters and signs of ASCII",
}
_KINDS = {
    "string": 'a text in quotes, {key} = "..."',
    "int": "a whole number, without quotes",
    "float": "a number, without quotes",
    "bool": "true or false, without quotes",
    "date": "a date such as 2025-12-31, without quotes",
    "datetime": "a date such as 2025-12-31, without quotes",
    "list": "a list, {key} = [ ... ]",
    "tuple": "a list, {key} = [ ... ]",
    "dict": "a section or an inline table, {key} = {{ ... }}",
    "mapping": "a section or an inline table, {key} = {{ ... }}",
    "model": "a section or an inline table, {key} = {{ ... }}",
    "path": "a path in quotes",
}
_OWN = (Path, Path | None)
_RANGES = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


class Stated(ModelMetaclass):
    """Metaclass of models that people make in code: what they break is said as it is of a file, as a ConfigError.

    Models inside of them, and models read from files, are checked as before, so that all rules are told together.
    """

    def __call__(cls, *args: Any, **content: Any) -> Any:
        """The model; ConfigError with one line for each rule that it breaks."""
        try:
            return super().__call__(*args, **content)
        except ValidationError as error:
            broken = broken_rules(error, typing.cast(type[BaseModel], cls), content)
        lines = "\n".join(f"  {line}" for line in broken)
        raise ConfigError(f"{cls.__name__.lower()} breaks {len(broken)} rule(s):\n{lines}")


def broken_rules(
    error: ValidationError,
    model: type[BaseModel],
    content: Mapping[str, Any],
    *,
    sections: Sequence[str] = (),
    said: Callable[[Sequence[int | str], Any], str] | None = None,
) -> list[str]:
    """One line for each rule that ``content`` breaks: "place: rule and remedy".

    sections: keys at the top that the model itself does not name, such as that of a recipe. said: how a place is said,
    in place of `place`.
    """
    grouped: dict[tuple[int | str, ...], list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and item["input"]:
            # Its entries are wrong, and are told.
            continue
        grouped.setdefault(_cut(item["loc"], model, content), []).append(typing.cast(Mapping[str, Any], item))
    lines = []
    for loc, items in grouped.items():
        where = (said or place)(loc, content)
        for text in _texts(loc, items, model, sections):
            said_already = not where or text.startswith(f"{where}: ")
            lines.append(text if said_already else f"{where}: {text}")
    return lines


def checked(
    model: type[Model], content: Mapping[str, Any], *, where: str, sections: Sequence[str] = ()
) -> Model:
    """Validate ``content`` as ``model``; ``sections`` are further keys at the top, see `broken_rules`.

    ConfigError with one readable line for each broken rule; values of nested inputs are not repeated in it.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = broken_rules(error, model, content, sections=sections)
        listed = "\n".join(f"  {line}" for line in lines)
        raise ConfigError(f"{where} breaks {len(lines)} rule(s):\n{listed}") from None


def refuse(problems: Sequence[str]) -> None:
    """ValueError with all problems, if there are any: one text for pydantic, which `broken_rules` splits into lines."""
    if problems:
        raise ValueError("\n".join(problems))


def place(loc: Sequence[int | str], content: Any) -> str:
    """A place as the file writes it: the section's heading, the entry's name in a list of them, the key.

    >>> file = {"dictionary": {"columns": [{"name": "debt"}, {}]}, "privacy": {}}
    >>> place(("dictionary", "columns", 0, "low"), file), place(("dictionary", "columns", 1, "low"), file)
    ('[[dictionary.columns]] "debt": low', '[[dictionary.columns]] number 2: low')
    >>> place(("privacy", "epsilon"), file), place(("policy", "roles", 0), {"policy": {"roles": ["x"]}})
    ('[privacy] epsilon', '[policy] roles, entry 1')
    """
    heading: list[str] = []
    at, said = content, ""
    if len(loc) == 1 and isinstance(content, Mapping) and isinstance(content.get(str(loc[0])), Mapping):
        return f"[{loc[0]}]"
    for number, part in enumerate(loc):
        inner = at.get(part) if isinstance(at, Mapping) else _entry(at, part)
        last = number == len(loc) - 1
        if isinstance(part, int):
            named = inner.get("name") if isinstance(inner, Mapping) else None
            if isinstance(inner, Mapping):
                said = f"[[{'.'.join(heading)}]] " + (
                    f'"{named}"' if isinstance(named, str) else f"number {part + 1}"
                )
            else:
                said += f", entry {part + 1}"
        elif last or not isinstance(inner, Mapping | list | tuple):
            said = f"{said}{': ' if said.startswith('[[') else ' ' if said else ''}{part}"
        else:
            heading.append(str(part))
            listed = isinstance(inner, list | tuple)
            said = _heading(said, heading, listed and not any(isinstance(e, Mapping) for e in inner))
        at = inner
    return said


def sentence(item: Mapping[str, Any], key: str) -> str:
    """The rule of one of pydantic's errors in own words; ``item`` is an entry of ``ValidationError.errors()``."""
    kind, given = str(item["type"]), _given(item["input"], key)
    for kinds, words in _SENTENCES:
        if kind in kinds and (said := words(item, item.get("ctx", {}))):
            return (
                said
                if said.startswith(("must not", "needs", "has", "write")) or kind == "value_error"
                else given + said
            )
    return f"{given}must be {expected(kind, key)}"


def _range(item: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    name, words = _RANGES[item["type"]]
    bound = told[name]
    return f"must be {words} {f'{bound:g}' if isinstance(bound, int | float) else bound}"


def _choice(item: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    known = re.findall(r"'([^']*)'", str(told.get("expected", "")))
    return f"must be one of {', '.join(known)}{_meant(str(item['input']), known)}"


def _too_short(item: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    least, what = told.get("min_length", 1), "entries" if item["type"] == "too_short" else "letters"
    return "must not be empty" if least == 1 else f"needs at least {least} {what}"


def _too_long(item: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    what = "entries" if item["type"] == "too_long" else "letters"
    return f"has more than {told.get('max_length', 'the most allowed')} {what}; leave some out"


def _one_heading(item: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """A section where a list of them is wanted."""
    single = isinstance(item["input"], Mapping)
    return "write the heading in double brackets, [[ ]], once for each entry" if single else ""


Words = Callable[[Mapping[str, Any], Mapping[str, Any]], str]
_SENTENCES: list[tuple[Collection[str], Words]] = [
    (_RANGES, _range),
    (("literal_error", "enum"), _choice),
    (("too_short", "string_too_short"), _too_short),
    (("too_long", "string_too_long"), _too_long),
    (("list_type", "tuple_type"), _one_heading),
    (("finite_number",), lambda item, told: "must be a finite number"),
    (("int_from_float",), lambda item, told: "must be a whole number"),
    (
        ("string_pattern_mismatch",),
        lambda item, told: _PATTERNS.get(
            str(told.get("pattern")), "has a sign or a length that is not allowed"
        ),
    ),
    (("value_error",), lambda item, told: str(told.get("error", item["msg"])).removeprefix("Value error, ")),
]


def expected(kind: str, key: str) -> str:
    """What a value has to be, by pydantic's name of the error."""
    words = _KINDS.get(kind.split("_", 1)[0])
    if words and not key:
        return words.split(",")[0]
    return (
        words.format(key=key) if words else "of another kind; see docs/dictionary.md and the files in configs"
    )


def unknown_key(key: str, known: Sequence[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """What to say of a key that is not known. elsewhere: keys of other sections, with the heading.

    >>> unknown_key("epsilom", ["epsilon", "delta"])
    'is not a known key; did you mean "epsilon"?'
    """
    near = near_name(key, list(known), cutoff=0.66)
    if near:
        return f'is not a known key; did you mean "{near}"?'
    if elsewhere and key in elsewhere:
        return f"is not a known key here; it stands in {elsewhere[key]}"
    near = near_name(key, list(elsewhere or ()), cutoff=0.8)
    if near and elsewhere:
        return f'is not a known key; did you mean "{near}" in {elsewhere[near]}?'
    return f"is not a known key; remove it. Known here: {', '.join(known)}"


# --- inside -------------------------------------------------------------------------------------------------


def _cut(loc: tuple[int | str, ...], model: type[BaseModel], content: Any) -> tuple[int | str, ...]:
    """The place without the names of a union's branches, which pydantic puts after it."""
    at: Any = content
    for number, part in enumerate(loc):
        listed = isinstance(at, list | tuple) and isinstance(part, int) and part < len(at)
        if listed or (isinstance(at, Mapping) and part in at):
            at = at[part]
        else:
            # A key that is missing, or that stands under another name; else the name of a branch.
            home = _model_at(model, loc[:number])
            return loc[: number + 1] if home is not None and part in home.model_fields else loc[:number]
    return loc


def _texts(
    loc: tuple[int | str, ...],
    items: Sequence[Mapping[str, Any]],
    model: type[BaseModel],
    sections: Sequence[str],
) -> Iterator[str]:
    key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
    kinds = {item["type"] for item in items}
    if "extra_forbidden" in kinds:
        home = _model_at(model, loc[:-1]) or model
        # What the program adds to a file itself is no key of it.
        inner = {name for name, field in home.model_fields.items() if field.annotation in _OWN} | {"settings"}
        known = [name for name in home.model_fields if name not in inner]
        known += sections if len(loc) == 1 else ()
        text = unknown_key(key, known, _elsewhere(model, home))
        if len(loc) == 1 and sections and isinstance(items[0]["input"], Mapping) and "remove it" in text:
            text = f'is no section of a study with recipe = "{sections[0]}"; remove it, or name its recipe'
        yield text
    elif "missing" in kinds:
        yield "is missing; add it"
    elif len(items) == 1:
        yield from sentence(items[0], key).split("\n")
    else:
        # A union: the value fits none of its kinds.
        given = _given(items[0]["input"], key)
        if all(item["type"] in ("value_error", *_RANGES) for item in items):
            yield from dict.fromkeys(sentence(item, key) for item in items)
            return
        words = dict.fromkeys(
            expected(str(item["type"]), key) for item in items if item["type"] not in _RANGES
        )
        yield f"{given}must be {', or '.join(words)}"


def _given(value: Any, key: str) -> str:
    """The value, where it may be shown."""
    if key in _SECRET or isinstance(value, Mapping | list | tuple) or value is None:
        return ""
    if isinstance(value, bool):
        return f"is {str(value).lower()}, and "
    if isinstance(value, str):
        return f'is "{value}", and ' if len(value) <= 40 else ""
    return f"is {value}, and "


def _meant(word: str, known: Sequence[str]) -> str:
    near = near_name(word, list(known))
    return f'; did you mean "{near}"?' if near else ""


def _heading(said: str, heading: Sequence[str], plain_list: bool) -> str:
    if said.startswith("[["):
        return f"{said}: {heading[-1]}"
    if plain_list:
        before = f"[{'.'.join(heading[:-1])}] " if heading[:-1] else ""
        return f"{before}{heading[-1]}"
    return f"[{'.'.join(heading)}]"


def _entry(at: Any, part: int | str) -> Any:
    return at[part] if isinstance(at, list | tuple) and isinstance(part, int) and part < len(at) else None


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that a place is checked by, or None."""
    at: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int) or at is None:
            continue
        found = at.model_fields.get(part)
        at = None if found is None else next(iter(_models(found.annotation)), None)
    return at


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models in an annotation: itself, those of a union, and those of entries of a list."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)


def _elsewhere(model: type[BaseModel], but: type[BaseModel], heading: str = "") -> dict[str, str]:
    """Keys of all other sections below a model, with the heading of each."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            listed = typing.get_origin(field.annotation) in (tuple, list)
            path = f"{heading}.{name}" if heading else name
            if inner is not but:
                for key in inner.model_fields:
                    found.setdefault(key, f"[[{path}]]" if listed else f"[{path}]")
            found = {**_elsewhere(inner, but, path), **found}
    return found
