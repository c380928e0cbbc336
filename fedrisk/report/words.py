"""Words for codes, in one place: ``words/en.toml`` beside this file, translated as all texts are (fedrisk.language).

Everything else in fedrisk passes codes with figures; only what people read asks here. A code that has no words is shown
as it is, so that an entry of another version stays readable.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from fedrisk.findings import Finding
from fedrisk.language import _, listed, of_kind
from fedrisk.language_patterns import retold
from fedrisk.recipe import Cell


@cache
def _table() -> dict[str, dict[str, str]]:
    file = files("fedrisk.report") / "words" / "en.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def word(group: str, code: str, /, **values: Any) -> str:
    """The words for a code of a group; ``a.b`` asks for ``a`` with ``b`` as its detail.

    >>> word("kind", "noisy_sums.counts")
    'noisy sums (label counts)'
    >>> word("kind", "something of another version")
    'something of another version'
    """
    table = _table().get(group, {})
    if code in table:
        return of_kind(f"word {group}", table[code]).format(**values)
    head, _, detail = code.partition(".")
    if head not in table:
        return code
    return of_kind(f"word {group}", table[head]).format(detail=word("release", detail), **values)


def sentence(finding: Finding) -> str:
    """A finding in words.

    >>> sentence(Finding("lost_from", {"trainer": "alfa", "step": 3}))
    'alfa from step 3'
    """
    values = dict(finding.values)
    if "kind" in values and finding.code.startswith("trails_"):
        values["kind"] = word("kind", str(values["kind"]))
    for name in ("model", "use"):
        if name in values and finding.code.startswith("own_"):
            values[name] = word("model", str(values[name]))
    for name in ("way", "stated"):
        if name in values and finding.code.startswith("curve_"):
            values[name] = word("way", str(values[name]))
    for name in ("reason", "reasons", "state", "source"):
        if isinstance(values.get(name), str):
            values[name] = retold(values[name])
    if finding.code == "season_stated":
        values = _season(values)
    if "chance" in values:
        values["chance"] = _chance(float(values["chance"]))
    return word("finding", finding.code, **values)


MOST_NAMES = 6
"""Series, or groups of enterprises, that a sentence names."""


def _season(values: Mapping[str, Any]) -> dict[str, str]:
    """Series, groups, and lowest and highest index with its month, of indices that a member states.

    What it names so is another member's text, so no longer than a name, and nothing that a screen would obey.
    """
    season = values["season"]
    cells = [(i, m, group) for group, indices in season.items() for m, i in enumerate(indices, 1)]
    low, high = min(cells, key=lambda cell: cell[0]), max(cells, key=lambda cell: cell[0])
    by, grouped = values.get("by"), len(season) > 1
    if not grouped:
        said = ""
    elif by:
        said = _(", by {column}", column=_printable(by))
    else:
        said = _(", by group ({groups})", groups=_names(list(season)))
    return {
        "series": _names(values["series"]),
        "by": said,
        "low": _index(low, grouped),
        "high": _index(high, grouped),
    }


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return listed(map(_printable, names[:MOST_NAMES])) + (
        _(" and {count} more", count=more) if more > 0 else ""
    )


def _index(cell: tuple[float, int, str], grouped: bool) -> str:
    index, month, group = cell
    where = [word("month", str(month)), *([_printable(group)] if grouped else [])]
    return _("{index} ({where})", index=f"{index:g}", where=listed(where))


def _printable(text: str, most: int = 40) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:most])


def _chance(value: float) -> str:
    """A chance in per cent; none is said to be 0 or 1.

    >>> _chance(0.0001), _chance(0.37), _chance(0.999)
    ('under 1%', '37%', 'over 99%')
    """
    return _("under 1%") if value < 0.01 else _("over 99%") if value > 0.99 else f"{value:.0%}"


def cell(value: Cell, group: str = "row") -> str:
    """One cell of a section in words."""
    if value is None:
        return "–"
    if isinstance(value, Finding):
        return sentence(value)
    return word(group, value) if isinstance(value, str) else str(value)


def together(names: Iterable[str]) -> str:
    """Few names that belong together.

    >>> together(["county", "sector"])
    'county and sector'
    """
    return of_kind("list", " and ").join(names)
