"""A question in one line, in the short form or as SQL, read by sqlglot: which figures, by which categories.

The short form is SQL with the words left out that a person in a hurry leaves out ::

    mean(load_growth), count(*) by county, sector from power_utility
    SELECT mean(load_growth), count(*) FROM power_utility GROUP BY county, sector

Only what a statistics study can answer is taken. Everything else of SQL is refused with a sentence that says what can
be asked, and never passed over: a clause that were ignored would make the figures those of another question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NoReturn

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import TokenType

from fedrisk.errors import ConfigError

CAN_BE_ASKED = (
    "what can be asked: SELECT count(*), sum(column), mean(column), share(column = 'value'), variance(column), "
    "median(column), quantile(column) FROM owner WHERE category = 'value' GROUP BY category, ...; or in short: "
    "mean(column) by category from owner"
)
"""Ends every refusal."""

LONGEST = 4000
"""Characters of a question at most."""

Kind = Literal["count", "sum", "mean", "share", "variance", "quantiles"]

FUNCTIONS: Mapping[str, Kind] = {
    "count": "count",
    "sum": "sum",
    "avg": "mean",
    "mean": "mean",
    "share": "share",
    "var": "variance",
    "variance": "variance",
    "median": "quantiles",
    "quantile": "quantiles",
    "quantiles": "quantiles",
}
"""Kind of measure by the name of a function."""

_REMEDIES = {
    "min": "the least value is one enterprise's own; ask for quantile(column)",
    "max": "the greatest value is one enterprise's own; ask for quantile(column)",
    "stddev": "ask for variance(column) and take its root",
    "std": "ask for variance(column) and take its root",
    "percentile": "ask for quantile(column)",
    "percentile_cont": "ask for quantile(column)",
    "count_if": "ask for share(column = 'value')",
}
"""What to ask in place of a function that there is none of."""


class _Functions(Parser):
    """Takes every function by its name: which of them there are is decided here, not by SQL's own lists."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {}
    NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}


class _Asked(Dialect):
    """Plain SQL."""

    Parser = _Functions


@dataclass(frozen=True, kw_only=True)
class Named:
    """A column as it was asked for; owner: None where none was said."""

    column: str
    owner: str | None = None

    def __str__(self) -> str:
        return self.column if self.owner is None else f"{self.owner}.{self.column}"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One figure. column: None for a count of enterprises. values: categories of a share. alias: after AS.

    quantile: the one that was asked for; None for all that there are.
    """

    kind: Kind
    column: Named | None = None
    values: tuple[str, ...] = ()
    alias: str | None = None
    quantile: float | None = None


@dataclass(frozen=True, kw_only=True)
class Only:
    """Enterprises of some categories alone: a column, and these."""

    column: Named
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked. owner: after FROM, the owner of columns that name none. by: columns of the cells, or levels."""

    terms: tuple[Term, ...]
    by: tuple[Named, ...] = ()
    owner: str | None = None
    only: tuple[Only, ...] = ()

    def from_owner(self, owner: str) -> "Question":
        """The same question of this owner."""
        return replace(self, owner=owner)


def parse_question(text: str) -> Question:
    """A question from its text; ConfigError, with what can be asked, where it is none that a study answers.

    >>> asked = parse_question("mean(load_growth) by county from power_utility")
    >>> asked.terms[0].kind, str(asked.by[0]), asked.owner
    ('mean', 'county', 'power_utility')
    >>> asked == parse_question("SELECT avg(load_growth) FROM power_utility GROUP BY county")
    True
    """
    if len(text) > LONGEST:
        _refuse(f"the question is longer than {LONGEST} characters")
    dialect = _Asked()
    try:
        trees = dialect.parse(_as_sql(text, dialect))
    except SqlglotError as error:
        _refuse(f"the question cannot be read: {_first_line(error)}")
    if len(trees) != 1 or trees[0] is None:
        _refuse("there has to be one question")
    tree = trees[0]
    if not isinstance(tree, exp.Select):
        _refuse("it is no SELECT, and nothing else can be asked")
    _check_clauses(tree)
    by = tuple(_column(e, "GROUP BY") for e in _grouped(tree))
    terms = tuple(t for e in tree.expressions if (t := _term(e, by)) is not None)
    if not terms:
        _refuse("it asks for no figure")
    where = tree.args.get("where")
    return Question(
        terms=terms,
        by=by,
        owner=_owner(tree),
        only=() if where is None else tuple(_only(where.this)),
    )


def _refuse(why: str) -> NoReturn:
    raise ConfigError(f"{why}; {CAN_BE_ASKED}")


def _first_line(error: SqlglotError) -> str:
    """What the parser says, without the colours with which it shows the place."""
    first = str(error).splitlines()[0] if str(error) else "it is no SQL"
    return re.sub(r"\x1b\[\d+m|<class '[\w.]+'>", "", first).strip(". ")


# --- the short form ------------------------------------------------------------------------------------------


def _as_sql(text: str, dialect: Dialect) -> str:
    """The question as a SELECT: the words of the short form are put in SQL's order."""
    tokens = dialect.tokenize(text)
    if not tokens:
        _refuse("the question is empty")
    if tokens[0].text.upper() in ("SELECT", "WITH", "("):
        return text
    if tokens[0].text.upper() in ("DELETE", "UPDATE", "INSERT", "DROP", "CREATE", "ALTER", "MERGE"):
        _refuse("a question changes nothing, and nothing can be changed")
    depth, starts = 0, list[tuple[str, int, int]]()
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.R_PAREN):
            depth += 1 if token.token_type is TokenType.L_PAREN else -1
            continue
        word = " ".join(token.text.upper().split())
        is_text = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
        if depth == 0 and not is_text and word in ("BY", "GROUP BY", "FROM", "WHERE"):
            starts.append(("GROUP BY" if word == "BY" else word, token.start, token.end + 1))
    names = [name for name, _, _ in starts]
    if len(set(names)) < len(names):
        _refuse(f"{next(n for n in names if names.count(n) > 1)} is there twice")
    ends = [*(start for _, start, _ in starts[1:]), len(text)]
    parts = {name: text[after:end] for (name, _, after), end in zip(starts, ends, strict=False)}
    head = text[: starts[0][1]] if starts else text
    rest = [f"{name} {parts[name]}" for name in ("FROM", "WHERE", "GROUP BY") if name in parts]
    # A remark ends with its line, and must not swallow the rest.
    return "\n".join([f"SELECT {head.strip()}", *rest])


# --- clauses -------------------------------------------------------------------------------------------------

_CLAUSES = {
    "joins": "a JOIN of tables (name a column with its owner, as owner.column: enterprises are matched by themselves)",
    "with_": "WITH",
    "having": "HAVING (cells that say less than their noise are marked anyhow)",
    "order": "ORDER BY (what comes is one table, and is sorted afterwards)",
    "limit": "LIMIT (all cells are released, at one price)",
    "distinct": "DISTINCT (an enterprise counts once anyhow)",
}
_TAKEN = {"expressions", "from_", "group", "where"}


def _check_clauses(tree: exp.Select) -> None:
    for name, value in tree.args.items():
        if value and name not in _TAKEN:
            _refuse(f"not offered: {_CLAUSES.get(name, name.strip('_').upper())}")


def _owner(tree: exp.Select) -> str | None:
    """The owner after FROM."""
    clause = tree.args.get("from_")
    if clause is None:
        return None
    table = clause.this
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        _refuse("FROM takes the name of an institution, of offices, or bank, and no other SELECT")
    if any(value for name, value in table.args.items() if name != "this"):
        _refuse("FROM takes one name and nothing beside it")
    return str(table.name)


def _grouped(tree: exp.Select) -> Sequence[exp.Expression]:
    group = tree.args.get("group")
    if group is None:
        return ()
    if any(value for name, value in group.args.items() if name != "expressions"):
        _refuse("GROUP BY takes columns alone")
    return list(group.expressions)


def _column(node: Any, where: str) -> Named:
    if isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
        _refuse(f"{where} takes columns as they are, without arithmetic: {_text(node)} is none")
    if node.args.get("db") or node.args.get("catalog"):
        _refuse(f"{_text(node)}: a column is named as column or owner.column")
    return Named(column=str(node.name), owner=str(node.table) or None)


def _text(node: Any) -> str:
    text = str(node.sql()) if isinstance(node, exp.Expr) else str(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- figures -------------------------------------------------------------------------------------------------


def _term(node: Any, by: Sequence[Named]) -> Term | None:
    """One figure; None for a column of GROUP BY, which SQL names once more beside the figures."""
    alias = None
    if isinstance(node, exp.Alias):
        node, alias = node.this, str(node.alias)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        named = _column(node, "SELECT")
        if any(named.column == b.column and named.owner in (None, b.owner) for b in by):
            return None
        _refuse(f"{named} is one enterprise's own; ask for a figure of it, or group by it")
    if isinstance(node, exp.Star) or not isinstance(node, exp.Anonymous):
        _refuse(f"{_text(node)} is no figure that is offered")
    name, arguments = str(node.this).lower(), list(node.expressions)
    if name not in FUNCTIONS:
        remedy = f" ({_REMEDIES[name]})" if name in _REMEDIES else ""
        _refuse(f"there is no function {name}{remedy}")
    if any(isinstance(a, exp.Distinct) for a in arguments):
        _refuse("DISTINCT is not offered: an enterprise counts once anyhow")
    return _of_kind(name, FUNCTIONS[name], arguments, alias)


def _of_kind(name: str, kind: Kind, arguments: Sequence[Any], alias: str | None) -> Term:
    if kind == "count":
        if len(arguments) != 1 or not isinstance(arguments[0], exp.Star):
            _refuse("count takes *: it counts enterprises")
        return Term(kind=kind, alias=alias)
    if name == "quantile" and len(arguments) == 2:
        return Term(kind=kind, column=_column(arguments[0], name), alias=alias, quantile=_level(arguments[1]))
    if len(arguments) != 1:
        _refuse(f"{name} takes one column")
    if kind != "share":
        half = 0.5 if name == "median" else None
        return Term(kind=kind, column=_column(arguments[0], name), alias=alias, quantile=half)
    if isinstance(arguments[0], exp.Column):
        return Term(kind=kind, column=_column(arguments[0], name), alias=alias)
    only = _compared(arguments[0], "share")
    return Term(kind=kind, column=only.column, values=only.values, alias=alias)


def _level(node: Any) -> float:
    try:
        level = float(str(node.name)) if isinstance(node, exp.Literal) else 0.0
    except ValueError:
        level = 0.0
    if not 0 < level < 1:
        _refuse("a quantile's level lies between 0 and 1")
    return level


def _only(node: Any) -> list[Only]:
    """Conditions of WHERE, which have to hold together."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.And):
        return [*_only(node.this), *_only(node.expression)]
    return [_compared(node, "WHERE")]


def _compared(node: Any, where: str) -> Only:
    """``column = 'value'`` or ``column IN ('a', 'b')``."""
    if isinstance(node, exp.EQ):
        return Only(column=_column(node.this, where), values=(_value(node.expression, where),))
    listed = isinstance(node, exp.In) and not any(
        v for k, v in node.args.items() if k not in ("this", "expressions")
    )
    if listed and node.expressions:
        values = tuple(dict.fromkeys(_value(e, where) for e in node.expressions))
        return Only(column=_column(node.this, where), values=values)
    _refuse(
        f"{where} takes public categories: column = 'value' or column IN ('a', 'b')"
        + (", several joined by AND" if where == "WHERE" else "")
        + f"; {_text(node)} is neither"
    )


def _value(node: Any, where: str) -> str:
    if isinstance(node, exp.Boolean):
        return "1" if node.this else "0"
    if isinstance(node, exp.Literal):
        return str(node.this)
    _refuse(f"{where} compares a column with a value in single quotes, and {_text(node)} is none")
