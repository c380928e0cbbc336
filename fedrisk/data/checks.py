"""What rows of a table break: a rule with a count, a share and a remedy, and for the owner alone, where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

Severity = Literal["error", "warning", "note"]

MOST_SHOWN = 5
"""Most row numbers and most values that a check shows to the table's owner."""

LONGEST_SHOWN = 40
"""Longest value that is shown whole."""


@dataclass(frozen=True)
class Check:
    """One rule that rows of the table break: how many rows, which share, how severe it is, and the remedy.

    ``at`` and ``values`` are for the table's owner, on the owner's own screen: neither ``str`` nor ``repr`` shows
    them, so no error, log or message does.

    Attributes:
        at: numbers of the first such rows, as a spreadsheet shows them (a CSV's first row of data is row 2, a
            Parquet file's or a query's is row 1).
        values: a few of the distinct values that break the rule; never of an id or a label.
    """

    column: str
    rule: str
    rows: int
    share: float
    severity: Severity
    remedy: str
    at: tuple[int, ...] = field(default=(), repr=False, compare=False)
    values: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        rows = f" ({self.rows:,} rows, {self.share:.2%})" if self.rows else ""
        return f"{self.severity}: {self.column}: {self.rule}{rows}; {self.remedy}"

    def for_owner(self) -> str:
        """Which rows and values, in one line for the table's owner; "" where there is nothing to show.

        Only for the screen of the owner: never log it, raise it or send it.

        >>> Check("age", "not a number", 9, 0.1, "error", "", at=(2, 7), values=("x", "?")).for_owner()
        'rows 2, 7 and others; values "x", "?"'
        """
        parts = []
        if self.at:
            more = " and others" if self.rows > len(self.at) else ""
            parts.append(f"row{'s' * (self.rows > 1)} {', '.join(map(str, self.at))}{more}")
        if self.values:
            parts.append(f"value{'s' * (len(self.values) > 1)} {', '.join(_quoted(v) for v in self.values)}")
        return "; ".join(parts)


class Checks(list[Check]):
    """The checks of a table with ``total`` rows, whose first one a spreadsheet shows as row ``first_row``.

    ``read`` rows were read, before any was left out. ``typed`` are the columns, by their names in the table, whose
    values have a type in the source and are no texts.
    """

    total: int = 0
    read: int = 0
    first_row: int = 1
    typed: frozenset[str] | set[str] = frozenset()

    def note(
        self,
        column: str,
        rule: str,
        rows: int,
        remedy: str,
        severity: Severity = "error",
        at: Iterable[int] = (),
        values: Iterable[object] = (),
    ) -> None:
        """Add a check that ``rows`` rows break; nothing for zero rows.

        Args:
            column: of the table, as the dictionary calls it.
            rule: that is broken.
            rows: how many break it.
            remedy: what helps.
            severity: "error" refuses the table.
            at: row numbers from 0, of which the first few are kept as a spreadsheet shows them.
            values: values that break the rule, of which the first few distinct ones are kept.
        """
        if not rows:
            return
        places = tuple(int(i) + self.first_row for i in islice(at, MOST_SHOWN))
        shown = tuple(islice(dict.fromkeys(str(v) for v in values), MOST_SHOWN))
        share = rows / max(self.total, rows)
        self.append(Check(column, rule, rows, share, severity, remedy, places, shown))

    def always(self, column: str, rule: str, remedy: str) -> None:
        """Add an error that concerns the whole table or column, not single rows."""
        self.append(Check(column, rule, 0, 0.0, "error", remedy))


def _quoted(value: str) -> str:
    """A value on one short line, whatever characters it holds."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
    return f'"{plain[:LONGEST_SHOWN]}..."' if len(plain) > LONGEST_SHOWN else f'"{plain}"'
