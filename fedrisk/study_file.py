"""A study as its file says it, with single keys set on the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.study import Study, study_from
from fedrisk.toml_file import load_toml


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file; ``overrides`` are ``key.sub=value`` with values as in TOML.

    Errors: ConfigError for a missing file, bad syntax, a broken rule or an override that is not of that form.
    """
    content = load_toml(Path(path), what="study")
    if "institutions" not in content and {"kind", "table", "dictionary"} & content.keys():
        raise ConfigError(
            f"{path} is an institution's file, and a study's is wanted; name the study's file here"
        )
    for override in overrides:
        _override(content, override)
    return study_from(content, where=f"study {path}")


def members_named(path: Path) -> tuple[str, ...]:
    """Names of institutions in a study file that breaks rules, as far as they can be read; none where they cannot."""
    try:
        members = load_toml(path, what="study").get("institutions")
    except ConfigError:
        return ()
    named = [m.get("name") for m in members if isinstance(m, Mapping)] if isinstance(members, list) else []
    return tuple(name for name in named if isinstance(name, str))


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f'--set "{override}" is not of the form key.sub=value; for example privacy.epsilon=3'
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string: --set purpose=credit_scoring
    table = content
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f'--set "{override}": {part} is not a table, its parts cannot be set singly')
    table[parts[-1]] = value
