"""A question becomes a study: whose columns are meant, who takes part, which cells, and what is shown of them.

Everything here is public: names, roles and dictionaries of institutions. No table is read.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedrisk.data.column import Column
from fedrisk.data.features import Feature, feature_of
from fedrisk.errors import ConfigError
from fedrisk.models.binning import even_edges
from fedrisk.recipes.statistics.owners import Extras, Known, Owners
from fedrisk.recipes.statistics.plan import WHOLE
from fedrisk.recipes.statistics.question import Named, Only, Question, Term
from fedrisk.recipes.statistics.settings import owner_of
from fedrisk.releases.axes import axis_of
from fedrisk.study_members import BANK

ASKED, OTHER = "asked", "other"
"""Groups of the categories that WHERE names, and of all others: both are cells, at no further price."""

EVEN_BINS = 16
"""Bins of a quantile where the dictionary has no public ones: even on the declared grid."""

_FLAG = {"1": "yes", "0": "no", "true": "yes", "false": "no"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What to show of the results.

    table: of the release. axes: columns of what is shown, in order. keep: categories by axis, of what WHERE named.
    quantiles: those asked for, by measure; none given is all.
    """

    table: str
    axes: tuple[str, ...]
    keep: Mapping[str, tuple[str, ...]]
    quantiles: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A study's content, as a study file has it, and what to show of its results."""

    content: dict[str, Any]
    shown: Shown


def study_of(
    question: Question,
    known: Mapping[str, Known],
    *,
    epsilon: float,
    purpose: str,
    extras: Extras | None = None,
    delta: float | None = None,
    listed: str | None = None,
) -> Asked:
    """The study that answers a question.

    known: institutions that may take part, by name. listed: whose enterprises are the population where owners differ
    (``bank`` or a holder). ConfigError where a column is nobody's, or several owners', or no cells can be made of it.
    """
    extras = extras or Extras()
    owners = Owners(question, known, extras)
    cells = _Cells(question, owners, extras)
    measures, quantiles = _measures(question.terms, owners)
    columns = [*cells.by.values(), *(m["column"] for m in measures if "column" in m)]
    roles = list(dict.fromkeys(c.partition(".")[0] for c in columns)) or [owners.default()]
    section = cells.section() | {"measures": measures}
    offices = {n: list(extras.offices[n]) for n in roles if n in extras.offices}
    section |= {"offices": offices} if offices else {}
    if len(roles) > 1:
        section["listed"] = owners.owner(listed) if listed is not None else _listed(roles, measures)
        roles.append(section["listed"])
    content: dict[str, Any] = {
        "name": "",
        "purpose": purpose,
        "recipe": "statistics",
        "institutions": [{"name": n, "role": known[n].role} for n in owners.members(roles)],
        "privacy": {"epsilon": epsilon} | ({} if delta is None else {"delta": delta}),
        "statistics": section,
    }
    content["name"] = _study_name(content)
    return Asked(
        content=content,
        shown=Shown(
            table=", ".join(cells.every) or WHOLE,
            axes=tuple(cells.axes),
            keep=cells.keep,
            quantiles=quantiles,
        ),
    )


def _listed(roles: Sequence[str], measures: Sequence[Mapping[str, Any]]) -> str:
    """Whose enterprises are counted where several owners are asked: the banks', or else those that are measured."""
    measured = [owner_of(m["column"]) for m in measures if "column" in m]
    return BANK if BANK in roles else (measured or [*roles])[0]


# --- cells ---------------------------------------------------------------------------------------------------


class _Cells:
    """Columns of the cells, their levels, and what is shown of them."""

    def __init__(self, question: Question, owners: Owners, extras: Extras) -> None:
        self._owners, self._extras, self._said = owners, extras, question.owner
        self.by: dict[str, str] = {}
        self.levels: dict[str, dict[str, Any]] = {}
        self.keep: dict[str, tuple[str, ...]] = {}
        self.axes = [self._axis(named) for named in question.by]
        if len(set(self.axes)) < len(self.axes):
            raise ConfigError("GROUP BY names a column twice; name each once")
        twice = [self.levels[a]["axis"] for a in self.axes if a in self.levels]
        if both := sorted(set(twice) & set(self.axes)):
            raise ConfigError(
                f"GROUP BY names {both[0]} and a level of it; ask for {both[0]} alone: every cell of it is in one group"
            )
        self.every = list(dict.fromkeys([*self.axes, *(self._only(only) for only in question.only)]))

    def section(self) -> dict[str, Any]:
        """Their part of the study's section."""
        out: dict[str, Any] = {"by": list(self.by.values())} if self.by else {}
        if self.every:
            out["tables"] = [{"by": self.every}]
        return out | ({"levels": self.levels} if self.levels else {})

    def _axis(self, named: Named) -> str:
        """The axis of a column of GROUP BY, or of a level of one."""
        level = self._extras.levels.get(named.column)
        if level is None or self._owners.has(named):
            return self._cell(named).name
        self._cell(Named(column=level.axis, owner=named.owner))
        groups = {name: list(categories) for name, categories in level.groups.items()}
        self.levels[named.column] = {"axis": level.axis, "groups": groups}
        return named.column

    def _cell(self, named: Named) -> Column:
        """A column whose categories are cells."""
        owner, column = self._owners.find(named)
        if column.kind == "number" and column.bins is None:
            raise ConfigError(
                f"{owner}.{column.name} is a number without public bins, and cells are public categories; state bins "
                "in its dictionary, or group by another column"
            )
        there = {c.partition(".")[0] for c in self.by.values()} | {owner}
        if len(there) > 1:
            raise ConfigError(
                f"cells are categories of one owner, and here they are of {' and '.join(sorted(there))}; group by "
                "columns of one of them"
            )
        self.by[column.name] = f"{owner}.{column.name}"
        return column

    def _only(self, only: Only) -> str:
        """The axis by which some categories alone are shown; enterprises of the others are in cells as well."""
        column = self._cell(only.column)
        if column.kind == "number":
            raise ConfigError(
                f"WHERE takes categories, and {column.name} is a number; group by it, and look at its cells"
            )
        named = self.by[column.name]
        there = axis_of(column.name, named, feature_of(column, owner_of(named))).categories[:-1]
        values = _flags(only.values) if column.kind == "flag" else only.values
        if unknown := [v for v in values if v not in there]:
            raise ConfigError(
                f"{column.name} has no category {unknown[0]!r}; it has {', '.join(map(repr, there[:12]))}"
            )
        if column.name in self.keep or f"only_{column.name}" in self.keep:
            raise ConfigError(f"WHERE names {column.name} twice; use IN for several categories of it")
        if column.name in self.axes:
            self.keep[column.name] = values
            return column.name
        name, rest = _short(f"only_{column.name}"), [v for v in there if v not in values]
        groups = {ASKED: list(values)} | ({OTHER: rest} if rest else {})
        self.levels[name], self.keep[name] = {"axis": column.name, "groups": groups}, (ASKED,)
        return name


# --- measures ------------------------------------------------------------------------------------------------


def _measures(
    terms: Sequence[Term], owners: Owners
) -> tuple[list[dict[str, Any]], dict[str, tuple[float, ...]]]:
    """Measures as a study has them, and the quantiles that were asked for, by measure."""
    found: dict[str, dict[str, Any]] = {}
    quantiles: dict[str, list[float | None]] = {}
    for term in terms:
        rule = _rule(term, owners)
        key = json.dumps(rule, sort_keys=True)
        if key not in found:
            name = term.alias or "_".join([term.kind, *([term.column.column] if term.column else [])])
            taken = {m["name"] for m in found.values()}
            found[key] = {"kind": term.kind, "name": _unique(_short(name), taken)} | rule
        if term.kind == "quantiles":
            quantiles.setdefault(found[key]["name"], []).append(term.quantile)
    asked = {n: tuple(q for q in qs if q is not None) for n, qs in quantiles.items() if None not in qs}
    return list(found.values()), asked


def _rule(term: Term, owners: Owners) -> dict[str, Any]:
    """A measure as a study has it, but for its name."""
    rule: dict[str, Any] = {"kind": term.kind}
    if term.column is None:
        return rule
    owner, column = owners.find(term.column)
    rule["column"] = name = f"{owner}.{column.name}"
    if term.kind == "share":
        return rule | _shared(name, column, term.values)
    if column.kind == "category":
        raise ConfigError(f"{name} is a category, which has no {term.kind}; ask for share({name} = 'value')")
    if column.kind == "flag":
        if term.kind != "mean":
            raise ConfigError(f"{name} is yes or no and has no {term.kind}; ask for share({name} = 1)")
        return {"kind": "share", "column": name}
    if term.kind == "quantiles" and column.bins is None:
        return rule | {"bins": _even_bins(owner, column)}
    if term.kind != "quantiles" and (column.low is None or column.high is None):
        raise ConfigError(
            f"{name} has no public bounds, and without them one enterprise could be all of a sum; state low and high "
            "in its dictionary"
        )
    return rule


def _shared(name: str, column: Column, values: tuple[str, ...]) -> dict[str, Any]:
    """The categories that a share counts; of a flag, its ones."""
    if column.kind == "number":
        raise ConfigError(f"{name} is a number, which has no share; ask for mean({name}) or quantile({name})")
    if column.kind == "flag":
        if values and _flags(values) != ("yes",):
            raise ConfigError(f"a share of {name} is that of its ones; ask for share({name} = 1)")
        return {}
    there = column.categories or ()
    if not values:
        raise ConfigError(f"a share of {name} needs its categories; ask for share({name} = {there[0]!r})")
    if unknown := [v for v in values if v not in there]:
        raise ConfigError(f"{name} has no category {unknown[0]!r}; it has {', '.join(map(repr, there[:12]))}")
    return {"values": list(values)}


def _even_bins(owner: str, column: Column) -> list[float]:
    feature = Feature(
        institution=owner, column=column.name, low=column.low, high=column.high, grid=column.grid
    )
    return [float(e) for e in even_edges(feature, EVEN_BINS)]


def _flags(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_FLAG.get(v.lower(), v) for v in values)


# --- names ---------------------------------------------------------------------------------------------------


def _study_name(content: Mapping[str, Any]) -> str:
    """The same question of the same institutions at the same price has the same name, and is not charged twice."""
    section = content["statistics"]
    axes = [a for table in section.get("tables", []) for a in table["by"]]
    words = "_".join([*(m["name"] for m in section["measures"]), *(["by", *axes] if axes else [])])
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
    return f"{_short(f'query_{words}', 40).rstrip('_')}_{digest}"


def _short(text: str, most: int = 48) -> str:
    """A name as studies have them: small letters, digits, underscores.

    >>> _short("Load growth, %"), _short("增长")
    ('load_growth', 'x')
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    name = name if name[:1].isalpha() else f"x_{name}".rstrip("_")
    return name[:most].rstrip("_")


def _unique(name: str, taken: Collection[str]) -> str:
    if name not in taken:
        return name
    return next(n for k in range(2, 1000) if (n := f"{name[:44]}_{k}") not in taken)
