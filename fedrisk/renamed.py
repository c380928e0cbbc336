"""Old words of study and institution files, read for one version more with a note that names the new word."""

import warnings
from collections.abc import Mapping
from typing import Any

from fedrisk.errors import ConfigError

UNTIL = "0.3"
"""First version that no longer reads the old words."""

Words = Mapping[str, str]


class OldWord(FutureWarning):
    """A file uses a word that has a new name."""


STUDY_KEYS: Words = {
    "alignment.keep": "alignment.inclusion_probability",
    "privacy.tolerated": "privacy.colluders",
    "training.fewest": "training.threshold",
    "gram.rows": "scorecard.gram_rows",
}
STUDY_VALUES: Mapping[str, Words] = {
    "recipe": {"neural": "network"},
    "training.mode": {"shared_noise": "distributed", "own_noise": "silo"},
}
INSTITUTION_KEYS: Words = {"policy.least_tolerated": "policy.least_colluders"}
INSTITUTION_VALUES: Mapping[str, Words] = {"policy.recipes": {"neural": "network"}}


def renamed(
    content: Mapping[str, Any], keys: Words, values: Mapping[str, Words], *, where: str
) -> dict[str, Any]:
    """``content`` with old keys and values replaced by new ones; a warning for each.

    keys, values: by dotted path. ConfigError where a file states a thing by its old and its new word.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     renamed({"alignment": {"keep": 1.0}}, STUDY_KEYS, STUDY_VALUES, where="study")
    {'alignment': {'inclusion_probability': 1.0}}
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} is no table of sections; see the example files")
    out = {key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()}
    for old, new in keys.items():
        section, name = old.split(".")
        target, new_name = new.split(".")
        if not isinstance(out.get(section), dict) or name not in out[section]:
            continue
        if not isinstance(out.get(target, {}), dict):
            raise ConfigError(f"{where}: [{target}] is no section; see the example files")
        if new_name in out.get(target, {}):
            raise ConfigError(f"{where} states {old} and {new}, which are the same; remove {old}")
        out.setdefault(target, {})[new_name] = out[section].pop(name)
        if not out[section]:
            del out[section]
        _note(where, old, new)
    for path, words in values.items():
        _rename_value(out, path, words, where)
    return out


def _rename_value(content: dict[str, Any], path: str, words: Words, where: str) -> None:
    *sections, name = path.split(".")
    holder = content.get(sections[0]) if sections else content
    if not isinstance(holder, dict) or name not in holder:
        return
    value = holder[name]
    if isinstance(value, str) and value in words:
        holder[name] = words[value]
        _note(where, f'{path} = "{value}"', f'"{words[value]}"')
    elif isinstance(value, list | tuple) and any(v in words for v in value if isinstance(v, str)):
        holder[name] = [words.get(v, v) if isinstance(v, str) else v for v in value]
        _note(where, path, ", ".join(words.values()))


def _note(where: str, old: str, new: str) -> None:
    warnings.warn(
        f"{where}: {old} is called {new} now; the old word is read until version {UNTIL}",
        OldWord,
        stacklevel=4,
    )
