"""How databases write names, texts and doubles: PostgreSQL, Oracle, and Hive (and Spark, which reads Hive's SQL)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Dialect:
    """One database's way of writing.

    Attributes:
        name: a column's name in its quotes.
        text: a text as a literal.
        number: a literal of exactly this double.
        double_of: a column as a double, NULL where it is not a number.
        text_of: a column as a text.
        as_double: an expression's value as a double.
        longest: most bytes of a name. never: what no name may have in it.
        fence, fenced: words after AS of an inner query, and in place of its SELECT, so that the planner computes it
            once and does not write it into the outer ones.
    """

    name: Callable[[str], str]
    text: Callable[[str], str]
    number: Callable[[float], str]
    double_of: Callable[[str], str]
    text_of: Callable[[str], str]
    as_double: Callable[[str], str]
    longest: int
    never: tuple[str, ...] = ()
    fence: str = ""
    fenced: str = "SELECT"


def _whole(x: float) -> str | None:
    return str(int(x)) if x.is_integer() and abs(x) < 2**31 else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _doubled(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# --- PostgreSQL ---------------------------------------------------------------------------------------------


def _postgresql_text(text: str) -> str:
    """Read alike whatever standard_conforming_strings is set to."""
    return f" E{_doubled(text.replace(chr(92), chr(92) * 2))}" if "\\" in text else _doubled(text)


def _postgresql_number(x: float) -> str:
    """A numeral without a fraction is an integer; all others become exactly this double beside a double."""
    return _whole(x) or repr(x)


def _postgresql_double(name: str) -> str:
    return f"NULLIF(CAST({_quoted(name)} AS double precision), 'NaN')"


# --- Oracle -------------------------------------------------------------------------------------------------


def _oracle_name(name: str) -> str:
    """Small letters are the capitals in which Oracle keeps names that were made without quotes."""
    return _quoted(name.upper() if _PLAIN.fullmatch(name) else name)


def _oracle_double(name: str) -> str:
    x = f"CAST({_oracle_name(name)} AS BINARY_DOUBLE)"
    return f"CASE WHEN {x} IS NOT NAN THEN {x} END"


# --- Hive ---------------------------------------------------------------------------------------------------


def _hive_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _hive_text(text: str) -> str:
    """Hive puts the values of ${variables} into texts before it reads them."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\u0024{") + "'"


def _hive_number(x: float) -> str:
    return _whole(x) or f"CAST('{x!r}' AS DOUBLE)"


def _hive_double(name: str) -> str:
    """Not-a-number is neither below nor above zero in Hive, and equals itself in Spark."""
    x = f"CAST({_hive_name(name)} AS DOUBLE)"
    return f"CASE WHEN ({x} <= 0 OR {x} > 0) AND {x} <> CAST('NaN' AS DOUBLE) THEN {x} END"


DIALECTS = {
    "postgresql": Dialect(
        name=_quoted,
        text=_postgresql_text,
        number=_postgresql_number,
        double_of=_postgresql_double,
        text_of=lambda name: f"CAST({_quoted(name)} AS text)",
        as_double=lambda said: f"CAST({said} AS double precision)",
        longest=63,
        fence="MATERIALIZED",
    ),
    "oracle": Dialect(
        name=_oracle_name,
        text=_doubled,
        number=lambda x: f"{_whole(x) or repr(x)}d",
        double_of=_oracle_double,
        text_of=lambda name: f"TO_CHAR({_oracle_name(name)})",
        as_double=lambda said: f"CAST({said} AS BINARY_DOUBLE)",
        longest=128,
        never=('"',),
        fenced="SELECT /*+ MATERIALIZE */",
    ),
    "hive": Dialect(
        name=_hive_name,
        text=_hive_text,
        number=_hive_number,
        double_of=_hive_double,
        text_of=lambda name: f"CAST({_hive_name(name)} AS STRING)",
        as_double=lambda said: f"CAST({said} AS DOUBLE)",
        longest=128,
        never=("${",),
    ),
}
