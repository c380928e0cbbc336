"""Words for codes, in one place by language: ``words/LANGUAGE.toml`` beside this file.

Everything else in fedrisk passes codes with figures; only what people read asks here. A code that has no words is shown
as it is, so that an entry of another version stays readable.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.recipe import Cell

DEFAULT = "en"


@cache
def _table(language: str) -> dict[str, dict[str, str]]:
    file = files("fedrisk.report") / "words" / f"{language}.toml"
    if not file.is_file():
        raise ConfigError(f"there are no words for language {language}; choose {DEFAULT}")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def word(group: str, code: str, /, language: str = DEFAULT, **values: Any) -> str:
    """The words for a code of a group; ``a.b`` asks for ``a`` with ``b`` as its detail.

    >>> word("kind", "noisy_sums.counts")
    'noisy sums (label counts)'
    >>> word("kind", "something of another version")
    'something of another version'
    """
    table = _table(language).get(group, {})
    if code in table:
        return table[code].format(**values)
    head, _, detail = code.partition(".")
    if head not in table:
        return code
    return table[head].format(detail=word("release", detail, language), **values)


def sentence(finding: Finding, language: str = DEFAULT) -> str:
    """A finding in words.

    >>> sentence(Finding("lost_from", {"trainer": "alfa", "step": 3}))
    'alfa from step 3'
    """
    values = dict(finding.values)
    if "kind" in values and finding.code.startswith("trails_"):
        values["kind"] = word("kind", str(values["kind"]), language)
    for name in ("model", "use"):
        if name in values and finding.code.startswith("own_"):
            values[name] = word("model", str(values[name]), language)
    if "chance" in values:
        values["chance"] = _chance(float(values["chance"]))
    return word("finding", finding.code, language, **values)


def _chance(value: float) -> str:
    """A chance in per cent; none is said to be 0 or 1.

    >>> _chance(0.0001), _chance(0.37), _chance(0.999)
    ('under 1%', '37%', 'over 99%')
    """
    return "under 1%" if value < 0.01 else "over 99%" if value > 0.99 else f"{value:.0%}"


def cell(value: Cell, group: str = "row", language: str = DEFAULT) -> str:
    """One cell of a section in words."""
    if value is None:
        return "–"
    if isinstance(value, Finding):
        return sentence(value, language)
    return word(group, value, language) if isinstance(value, str) else str(value)
