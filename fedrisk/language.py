"""The language of what people read: English texts, and their translations by gettext's catalogues.

The English text is the key: ``_("{count} rows", count=3)``. ``fedrisk/languages/LANGUAGE/*.po`` have the others, a file
for each subject; a text that has no translation is shown in English. Codes, names of files and keys, JSON and logs are
not translated. tests/unit/test_language.py holds the catalogues against every text that the package says.

The language is that of `speaking`, else of ``FEDRISK_LANGUAGE``, else of the locale where it is one of LANGUAGES, else
English.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, partial
from importlib.resources import files
from typing import Any

from fedrisk.errors import ConfigError

LANGUAGES = {"en": "English", "zh": "中文"}
"""Codes (ISO 639-1) of the languages that people may choose, with their own names."""

PLACE = {"en": "en", "zh": "zh-CN"}
"""What a page says its language is (BCP 47)."""

VARIABLE = "FEDRISK_LANGUAGE"

_spoken: ContextVar[str | None] = ContextVar("language", default=None)
_label: ContextVar[str] = ContextVar("label", default="")

_NAMED: dict[str, tuple[tuple[str, Callable[[re.Match[str], str], str]], ...]] = {
    "en": (
        (r"\b([Dd])efault rates?\b", lambda m, label: f"{'Rate' if m[1] == 'D' else 'rate'} of {label}"),
        (r"\bof default\b", lambda _m, label: f"of {label}"),
        (r"\bodds of repaying\b", lambda _m, label: f"odds against {label}"),
        (r"\bare no defaults\b", lambda _m, label: f"are no cases of {label}"),
        (r"\b([Oo])ne default\b", lambda m, label: f"{m[1]}ne case of {label}"),
        (r"\ba default\b", lambda _m, label: f"a case of {label}"),
        (r"\benterprises default\b", lambda _m, label: f"enterprises have {label}"),
        (r"\bwho defaults\b", lambda _m, label: f"who has {label}"),
        (r"\bdefaults (more|less) often\b", lambda m, label: f"has {label} {m[1]} often"),
        (
            r"(?<![{(.])\b([Dd])efaults\b(?! to\b)",
            lambda m, label: f"{'Cases' if m[1] == 'D' else 'cases'} of {label}",
        ),
        (r"\benterprise defaulted\b", lambda _m, label: f"enterprise had {label}"),
    ),
    "zh": ((r"违约(?!损失|相关)", lambda _m, label: f"“{label}”"),),
}
"""Where the texts of a language say default and mean a study's label, and what they say of another label."""


def language() -> str:
    """The code of the language that is spoken now.

    >>> with speaking("zh"):
    ...     language()
    'zh'
    """
    return _spoken.get() or _of_surroundings()


@contextlib.contextmanager
def speaking(code: str | None) -> Iterator[None]:
    """Speak a language in a block of code; None leaves it as it is. ConfigError where it is not one of LANGUAGES."""
    if code is None:
        yield
        return
    token = _spoken.set(checked(code))
    try:
        yield
    finally:
        _spoken.reset(token)


@contextlib.contextmanager
def about(label: str | None) -> Iterator[None]:
    """In a block of code texts name this label where they say default, since they are about another outcome.

    label: name of a study's label; None, or the one called default, leaves texts as they are. Values are not touched.

    >>> with about("distress"):
    ...     _("default rate of the hold-out")
    'rate of distress of the hold-out'
    """
    token = _label.set("" if label in (None, "default") else str(label).replace("{", "").replace("}", ""))
    try:
        yield
    finally:
        _label.reset(token)


def speak(code: str | None) -> None:
    """Speak a language from now on, as a program does for its user; None: that of its surroundings. ConfigError."""
    _spoken.set(None if code is None else checked(code))


def checked(code: str) -> str:
    """The code of a language as LANGUAGES has it, also of ``zh_CN`` or ``zh-Hans``; ConfigError where there is none.

    >>> checked("zh_CN.UTF-8")
    'zh'
    """
    found = _known(code)
    if found is None:
        names = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
        raise ConfigError(f"there is no language {code}; choose one of {names}")
    return found


def N_(message: str) -> str:
    """Marks a text that is translated later, where it is shown, such as a constant of a module."""
    return message


def _(message: str, /, **values: Any) -> str:
    """A text in the language that is spoken, with its values put in: ``{name}`` and format as of ``str.format``."""
    return _said(language(), "", message, values)


def of_kind(kind: str, message: str, /, **values: Any) -> str:
    """The same for a text that means several things: ``kind`` says which (gettext's context)."""
    return _said(language(), kind, message, values)


def either(one: str, many: str, count: int, /, **values: Any) -> str:
    """The text for one or for many, with ``count`` among its values (gettext's plural)."""
    chosen = one if count == 1 else many
    code = language()
    translated = catalogue(code).get(("", one), None) if code != "en" else None
    return _named(code, chosen if translated is None else translated).format(count=count, **values)


def listed(names: Iterable[Any]) -> str:
    """Names one after the other, with the sign that the language that is spoken has between them.

    >>> listed(["a", "b"])
    'a, b'
    """
    return ("、" if language() == "zh" else ", ").join(map(str, names))


def _said(code: str, kind: str, message: str, values: Mapping[str, Any]) -> str:
    found = _named(code, message if code == "en" else catalogue(code).get((kind, message), message))
    return found.format(**values) if values else found


def _named(code: str, text: str) -> str:
    """A text before its values are put in, with the label that is spoken of in place of default."""
    label = _label.get()
    for pattern, say in _NAMED.get(code, ()) if label else ():
        text = re.sub(pattern, partial(_say_label, say, label), text)
    return text


def _say_label(say: Callable[[re.Match[str], str], str], label: str, found: re.Match[str]) -> str:
    return say(found, label)


@cache
def catalogue(code: str) -> dict[tuple[str, str], str]:
    """Translations of a language by (kind or "", English text), all its files together."""
    # Babel takes a tenth of a second, which English does without.
    from babel.messages.pofile import read_po

    found: dict[tuple[str, str], str] = {}
    folder = files("fedrisk") / "languages" / code
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".po"):
            continue
        with file.open("rb") as content:
            for message in read_po(content, locale=code):
                one, text = (
                    v if isinstance(v, str) else v[0] if v else "" for v in (message.id, message.string)
                )
                if one and text and not message.fuzzy:
                    found[(message.context or "", one)] = text
    return found


def _of_surroundings() -> str:
    """The language of environment and locale."""
    for name in (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return _known(value) or "en"
    return "en"


def _known(value: str) -> str | None:
    code = value.replace("-", "_").split("_")[0].split(".")[0].lower()
    return code if code in LANGUAGES else None
