"""Messages of lower layers in the language of their reader: found by their pattern, since they are whole English texts.

What computes knows no language: it raises errors, and returns reasons, as English texts with values in them. Where they
are shown, `retold` looks for the catalogue's entry of that kind whose fixed parts are those of the text, and puts its
values into the translation. A text of no known pattern stays as it is; of a list ("a; b") each part is looked for, and
names ("a, b and c") are listed as the language does.

It is sound in this sense: a pattern has to fit from the first letter to the last, the values between its fixed parts
are shown as they are or retold in turn, and none is left out. Where several readings fit, the one is taken that knows
most letters of the text. tests/support/messages.py reads the English texts from the source.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from string import Formatter

from fedrisk.language import catalogue, language, listed

KIND = "message"
"""The kind (gettext's context) of these texts in a catalogue."""

LEAST_LETTERS = 6
"""Fixed letters of a pattern; one with fewer would fit what it does not mean."""

_NAMES = re.compile(r"[\w.-]+(, [\w.-]+)* and [\w.-]+")

_DEEPEST = 6
"""How often a value is looked at for a text within a text."""


@dataclass(frozen=True)
class Pattern:
    """An English text with its values as ``{name}``, and its translation."""

    english: str
    translation: str

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """The parts between values."""
        return tuple(part for part, *_ in Formatter().parse(self.english) if part)

    @cached_property
    def letters(self) -> int:
        """Letters of the parts between values."""
        return sum(c.isalpha() for part in self.fixed for c in part)

    @cached_property
    def longest(self) -> str:
        """The longest part, by which most texts are told not to fit, without an expression."""
        return max(self.fixed, key=len, default="")

    @cached_property
    def expressions(self) -> tuple[re.Pattern[str], ...]:
        """What a text of this pattern is, with its first values short, and with them long; equal where it is one."""
        both = (self._expression(".*?"), self._expression(".*"))
        return both if self.english.count("{") > 1 else both[:1]

    def _expression(self, value: str) -> re.Pattern[str]:
        """A value that occurs twice has to be the same."""
        seen: set[str] = set()
        parts = []
        for part, name, *_ in Formatter().parse(self.english):
            parts.append(re.escape(part))
            if name is not None:
                parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{value})")
                seen.add(name)
        return re.compile("".join(parts), re.DOTALL)

    def values(self, text: str) -> Iterator[Mapping[str, str]]:
        """The values of a text of this pattern; several where it is not clear what belongs to which."""
        if self.longest not in text:
            return
        seen: list[Mapping[str, str]] = []
        for expression in self.expressions:
            found = expression.fullmatch(text)
            if found is not None and found.groupdict() not in seen:
                seen.append(found.groupdict())
                yield seen[-1]

    def told(self, values: Mapping[str, str]) -> str:
        """The translation with values put in."""
        return "".join(
            part + ("" if name is None else values[name])
            for part, name, *_ in Formatter().parse(self.translation)
        )


def retold(text: str) -> str:
    """A message of a lower layer in the language that is spoken; line by line, each with its indent."""
    code = language()
    if code == "en":
        return text
    if "\n" in text and (whole := _whole(code, text, 0)) is not None:
        return whole.text
    return "\n".join(_line(code, line) for line in text.split("\n"))


@dataclass(frozen=True)
class _Told:
    """A text as it is retold; ``known``: how many of its English letters were those of patterns."""

    text: str
    known: int


def _line(code: str, line: str) -> str:
    content = line.lstrip()
    return line[: len(line) - len(content)] + _best(code, content, 0).text


@lru_cache(maxsize=4096)
def _best(code: str, text: str, depth: int) -> _Told:
    """The reading of a text that knows most of its letters: as a whole, or of two parts."""
    found = _Told(_named(text), 0)
    if depth > _DEEPEST or not any(c.isalpha() for c in text):
        return found
    whole = _whole(code, text, depth)
    for told in ([] if whole is None else [whole]) + [*_parts(code, text, depth)]:
        if told.known > found.known:
            found = told
    return found


def _named(text: str) -> str:
    """Names of lower layers, "a, b and c", as the language lists them; any other text as it is."""
    return listed(re.split(", | and ", text)) if _NAMES.fullmatch(text) else text


def _whole(code: str, text: str, depth: int) -> _Told | None:
    """The best pattern that fits from the first letter to the last; None where none does."""
    fixed, patterns = _patterns(code)
    if text in fixed:
        return _Told(fixed[text], sum(c.isalpha() for c in text))
    fitting = ((p, values) for p in patterns if _same_lines(p, text) for values in p.values(text))
    told = [_filled(code, p, values, depth) for p, values in fitting]
    return max(told, key=lambda t: t.known, default=None)


def _same_lines(pattern: Pattern, text: str) -> bool:
    """A text of several lines is no value of a text of one."""
    return "\n" in pattern.english or "\n" not in text


def _filled(code: str, pattern: Pattern, values: Mapping[str, str], depth: int) -> _Told:
    told = {name: _best(code, value, depth + 1) for name, value in values.items()}
    text = pattern.told({name: value.text for name, value in told.items()})
    return _Told(text, pattern.letters + sum(value.known for value in told.values()))


def _parts(code: str, text: str, depth: int) -> Iterator[_Told]:
    """A text as two: sentences, entries of a list ("a; b"), or a name and what is said of it ("name: a")."""
    for between, joined in ((". ", "。"), ("; ", "；"), (": ", "：")):
        first, found, rest = text.partition(between)
        if not found:
            continue
        told = [_best(code, part, depth + (between == ": ")) for part in (first, rest)]
        if told[1].known and (told[0].known or between == ": "):
            yield _Told(joined.join(t.text for t in told), sum(t.known for t in told))


@cache
def _patterns(code: str) -> tuple[Mapping[str, str], tuple[Pattern, ...]]:
    """Texts without values, and patterns with the most fixed letters first."""
    fixed, patterns = {}, []
    for english, translation in _entries(code):
        pattern = Pattern(english, translation)
        if all(name is None for _, name, *_ in Formatter().parse(english)):
            fixed["".join(pattern.fixed)] = pattern.told({})
        else:
            patterns.append(pattern)
    return fixed, tuple(sorted(patterns, key=lambda p: -p.letters))


def _entries(code: str) -> Iterator[tuple[str, str]]:
    return ((text, found) for (kind, text), found in catalogue(code).items() if kind == KIND)
