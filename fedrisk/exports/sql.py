"""A card as one SQL query: a CASE for each column's points, the score, its probability, and reasons.

Numbers are compared as doubles, with every edge written so that the database reads exactly the double that the card
has. NULL and not-a-number are missing values. A value that is missing where the card has no points for that makes the
score NULL. Reasons are the same as the card's: the furthest short of the average first, ties in the card's order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fedrisk.errors import ConfigError
from fedrisk.exports.about import one_line
from fedrisk.exports.card_part import EXTERNAL_POINTS, CardPart, Case, ExportColumn, ExportPair, free_name
from fedrisk.exports.sql_dialects import DIALECTS, Dialect

DialectName = Literal["postgresql", "oracle", "hive"]

MOST_EXPONENT = "700"
"""Beyond it exp() of some databases is an error, and the probability is 0 or 1 to 300 digits."""

_TABLE = re.compile(r"[\w$\"`.]+")


@dataclass(frozen=True)
class _Names:
    """Names of the query's own columns, none of which is an input's or another's."""

    keys: tuple[str, ...]
    points: tuple[str, ...]
    bins: dict[int, str]
    pairs: tuple[str, ...]
    score: str
    probability: str
    reasons: tuple[str, ...]
    short: tuple[str, ...]
    places: tuple[str, ...]


def to_sql(
    part: CardPart,
    dialect: DialectName = "postgresql",
    *,
    table: str = "customers",
    keys: Sequence[str] = ("id",),
    reasons: int = 0,
) -> str:
    """The query's text, which gives a row for each row of ``table``.

    Its columns: ``keys`` as they are, ``points_COLUMN`` for each column and pair, ``external_points`` where the part
    has it, ``score``, ``probability`` for a bank's part or the whole card, and ``reason_1`` to ``reason_N``.

    Args:
        part: of a card.
        dialect: of the database.
        table: name of the table or view with the inputs as columns, as it is written in the dialect.
        keys: columns that are passed on, such as the customer's id.
        reasons: how many, 0 for none.

    Raises:
        ConfigError: an unknown dialect, a table's name that is none, or keys that are inputs too.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"dialect is {dialect}; use {', '.join(DIALECTS)}")
    if not _TABLE.fullmatch(table):
        raise ConfigError(
            f"table {table!r} is no table's name; write it as in the database, for example s.customers"
        )
    d = DIALECTS[dialect]
    both = sorted({k.casefold() for k in keys} & {c.casefold() for c in part.inputs})
    if both:
        raise ConfigError(f"{', '.join(both)} is a key and an input of the card; name other key columns")
    names = _names(part, keys, min(reasons, len(part.parts)), d)
    steps = [("typed", _typed(part, names, d, table)), ("scored", _points(part, names, d))]
    steps.append(("total", _total(part, names, d)))
    if names.reasons:
        steps.append(("shortfalls", _short(part, names, d)))
        steps.append(("ranked", _ranked(names, d)))
    fence = f"{d.fence} " if names.reasons and d.fence else ""
    body = ",\n".join(f"{name} AS {fence}(\n{text}\n)" for name, text in steps)
    comment = [*part.about.lines(), *_how(part, dialect)]
    head = "".join(f"-- {_commented(line)}\n" for line in comment)
    _refuse_names((*keys, *part.inputs), d)
    return f"{head}WITH {body}\n{_last(part, names, d, steps[-1][0])}\n"


def _commented(text: str) -> str:
    """A text in a comment, without what clients look for in comments too: quotes, variables, ends of statements."""
    return one_line(text).translate(str.maketrans(";'\"`$&", "      "))


def _refuse_names(names: Iterable[str], d: Dialect) -> None:
    """ConfigError where a name has a part that the database takes in no name."""
    for name in names:
        found = next((part for part in d.never if part in name), None)
        if found is not None:
            raise ConfigError(
                f"the column {name!r} has {found} in its name, which this database does not take; export another form, "
                "or rename the column in the dictionary and run the study again"
            )


def _how(part: CardPart, dialect: str) -> list[str]:
    said = [f"Dialect: {dialect}. Replace the table's name and the key columns by your own."]
    if dialect == "oracle":
        said.append(
            "In SQL*Plus and SQLcl say SET DEFINE OFF first, so that texts are taken as they are written"
        )
    if part.external is not None:
        said.append(
            f"{EXTERNAL_POINTS}: the sum of the holders' points, from the consortium; NULL stands for "
            f"{part.external.default}, the average"
        )
    return said


def _names(part: CardPart, keys: Sequence[str], reasons: int, d: Dialect) -> _Names:
    taken = {n.casefold() for n in (*keys, *part.inputs)}

    def new(wanted: str, number: int = 0) -> str:
        short = wanted if len(wanted.encode()) <= d.longest else f"{wanted.split('_')[0]}_{number}"
        name = free_name(short, taken)
        taken.add(name)
        return name

    paired = {k for p in part.pairs for k in (p.left, p.right)}
    every = [*(c.name for c in part.columns), *(re.sub(r"\W+", "_", p.name) for p in part.pairs)]
    points = [new(f"points_{name}", k) for k, name in enumerate(every, start=1)]
    return _Names(
        keys=tuple(keys),
        points=tuple(points[: len(part.columns)]),
        pairs=tuple(points[len(part.columns) :]),
        bins={k: new(f"bin_{part.columns[k].name}", k + 1) for k in sorted(paired)},
        score=new("score"),
        probability=new("probability"),
        reasons=tuple(new(f"reason_{k}") for k in range(1, reasons + 1)),
        short=tuple(new(f"short_{k}") for k in range(1, len(part.parts) + 1)),
        places=tuple(new(f"place_{k}") for k in range(1, len(part.parts) + 1)),
    )


def _select(columns: Iterable[str], source: str, word: str = "SELECT") -> str:
    return f"{word}\n  " + ",\n  ".join(columns) + f"\nFROM {source}"


def _typed(part: CardPart, names: _Names, d: Dialect, table: str) -> str:
    """Inputs in the types that they are compared in; not-a-number becomes NULL."""
    columns = [d.name(k) for k in names.keys]
    for c in part.columns:
        cast = d.text_of(c.name) if c.is_text else d.double_of(c.name)
        columns.append(f"{cast} AS {d.name(c.name)}")
    if part.external is not None:
        columns.append(
            f"COALESCE({d.name(EXTERNAL_POINTS)}, {part.external.default}) AS {d.name(EXTERNAL_POINTS)}"
        )
    return _select(columns, table)


def _points(part: CardPart, names: _Names, d: Dialect) -> str:
    columns = [d.name(k) for k in names.keys]
    if names.reasons:
        columns += [d.name(c.name) for c in part.columns if c.bins.feature.special]
    if part.external is not None:
        columns.append(d.name(EXTERNAL_POINTS))
    for c, name in zip(part.columns, names.points, strict=True):
        columns.append(f"{_case(c, [case.points for case in c.cases()], d)} AS {d.name(name)}")
    for k, name in names.bins.items():
        c = part.columns[k]
        columns.append(f"{_case(c, [case.code for case in c.cases()], d)} AS {d.name(name)}")
    return _select(columns, "typed")


def _case(column: ExportColumn, results: Sequence[int | None], d: Dialect) -> str:
    lines = []
    for case, result in zip(column.cases(), results, strict=True):
        value = "NULL" if result is None else str(result)
        label = _commented(case.label)
        if case.test == "else":
            lines.append(f"    ELSE {value}  -- {label}")
        else:
            lines.append(f"    WHEN {_test(column, case, d)} THEN {value}  -- {label}")
    if len(lines) == 1:
        return str(results[-1])
    return "CASE\n" + "\n".join(lines) + "\n  END"


def _test(column: ExportColumn, case: Case, d: Dialect) -> str:
    name = d.name(column.name)
    if case.test == "unknown":
        return f"COALESCE({d.name(column.knower or '')}, 0) <> 1"
    if case.test == "missing":
        return f"{name} IS NULL"
    if case.test == "category":
        return f"{name} = {d.text(str(case.value))}"
    return f"{name} {'<' if case.test == 'below' else '='} {d.number(float(case.value or 0.0))}"


def _total(part: CardPart, names: _Names, d: Dialect) -> str:
    """The points of pairs, and the sum of all."""
    pairs = [
        f"{_cells(p, names, d)} AS {d.name(name)}" for p, name in zip(part.pairs, names.pairs, strict=True)
    ]
    source = "scored"
    if pairs:
        source = "(\n" + _select(["scored.*", *pairs], "scored") + "\n) paired"
    terms = [str(part.base), *(d.name(n) for n in (*names.points, *names.pairs))]
    if part.external is not None:
        terms.append(d.name(EXTERNAL_POINTS))
    alias = "paired" if pairs else "scored"
    return _select([f"{alias}.*", " + ".join(terms) + f" AS {d.name(names.score)}"], source)


def _cells(pair: ExportPair, names: _Names, d: Dialect) -> str:
    cell = f"{d.name(names.bins[pair.left])} * {pair.width} + {d.name(names.bins[pair.right])}"
    by_points: dict[int, list[int]] = {}
    for k, points in enumerate(pair.points):
        by_points.setdefault(points, []).append(k)
    lines = [f"    WHEN {cell} IS NULL THEN NULL"]
    lines += [
        f"    WHEN {cell} IN ({', '.join(map(str, cells))}) THEN {points}"
        for points, cells in by_points.items()
    ]
    return "CASE\n" + "\n".join(lines) + "\n  END"


def _short(part: CardPart, names: _Names, d: Dialect) -> str:
    """How far each column, pair and the holders fall short of their averages."""
    points = [*names.points, *names.pairs, *([EXTERNAL_POINTS] if part.external else [])]
    columns = [
        f"{d.number(average)} - {d.as_double(d.name(given))} AS {d.name(short)}"
        for (_, average), given, short in zip(part.parts, points, names.short, strict=True)
    ]
    return _select(["total.*", *columns], "total", d.fenced)


def _ranked(names: _Names, d: Dialect) -> str:
    """The rank of each part by how far it falls short, the furthest first, ties in the card's order.

    Each rank is counted from the shortfalls alone, and not from the rank before: planners write expressions of inner
    queries into outer ones, and a chain of them would grow without bound.
    """
    columns = []
    for j, (short, place) in enumerate(zip(names.short, names.places, strict=True)):
        own = d.name(short)
        before = [
            f"CASE WHEN {d.name(other)} {'>=' if i < j else '>'} {own} THEN 1 ELSE 0 END"
            for i, other in enumerate(names.short)
            if i != j
        ]
        columns.append(f"{' + '.join(['1', *before])} AS {d.name(place)}")
    return _select(["shortfalls.*", *columns], "shortfalls", d.fenced)


def _last(part: CardPart, names: _Names, d: Dialect, source: str) -> str:
    columns = [d.name(n) for n in (*names.keys, *names.points, *names.pairs)]
    if part.external is not None:
        columns.append(d.name(EXTERNAL_POINTS))
    columns.append(d.name(names.score))
    if part.curve is not None:
        columns.append(
            f"{_probability(part, d.as_double(d.name(names.score)), d)} AS {d.name(names.probability)}"
        )
    for rank, name in enumerate(names.reasons, start=1):
        columns.append(f"{_reason(part, names, rank, d)} AS {d.name(name)}")
    return _select(columns, source)


def _probability(part: CardPart, score: str, d: Dialect) -> str:
    c = part.curve
    if c is None:
        return "NULL"
    u = f"({d.number(c.start)} + {d.number(c.step)} * {score})"
    if (c.level, c.slope, c.bend) == (0.0, 1.0, 0.0):
        z = u
    else:
        most = d.number(float(MOST_EXPONENT))
        plus = f"GREATEST({u}, {d.number(0.0)}) + LN({d.number(1.0)} + EXP(-LEAST(ABS({u}), {most})))"
        z = (
            f"({d.number(c.level)} + {d.number(c.slope)} * {u} + {d.number(c.bend)} * ({plus} - "
            f"{d.number(0.6931471805599453)}))"
        )
    low, high = d.number(-float(MOST_EXPONENT)), d.number(float(MOST_EXPONENT))
    return f"{d.number(1.0)} / ({d.number(1.0)} + EXP(GREATEST({low}, LEAST({high}, -{z}))))"


def _reason(part: CardPart, names: _Names, rank: int, d: Dialect) -> str:
    """The name of the part of a rank; none where it does not fall short."""
    lines = [f"    WHEN {d.name(names.score)} IS NULL THEN NULL"]
    for j, ((name, _), short, place) in enumerate(zip(part.parts, names.short, names.places, strict=True)):
        at = f"{d.name(place)} = {rank} AND {d.name(short)} > {d.number(1e-9)}"
        cases = part.columns[j].cases() if j < len(part.columns) else ()
        lines += [
            f"    WHEN {at} AND {_test(part.columns[j], c, d)} THEN {d.text(c.reason)}"
            for c in cases
            if c.test == "special"
        ]
        lines.append(f"    WHEN {at} THEN {d.text(name)}")
    return "CASE\n" + "\n".join(lines) + "\n  END"
