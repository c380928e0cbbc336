"""A card as one Python file that needs nothing but Python: the points as a table, and a few short functions."""

from __future__ import annotations

from fedrisk.exports.about import one_line
from fedrisk.exports.card_part import EXTERNAL_POINTS, CardPart, Case, ExportColumn, ExportPair
from fedrisk.models.scorecard import EXTERNAL

_HEAD = '''"""{about}

Import it, or score a CSV:   python {file} < customers.csv > scores.csv

score({{"column": value, ...}}) takes one enterprise as a dictionary with these columns:
{inputs}
None and not-a-number are missing values; numbers may be written as text. A column that is absent is an error.
"""

import csv
import math
import sys

BASE = {base}

# Column, its average points, and its bins in the order in which they are looked at: test, value, code, points, reason.
COLUMNS = [
{columns}]

# Two columns together: name, position of each, bins of the right one, average points, points of each cell.
PAIRS = [
{pairs}]

'''

_CODE = '''

def bin_of(row, column, bins, knower):
    """The bin that the row's value falls in, as (test, value, code, points, reason)."""
    value = _value(row, column)
    known = knower is None or _number(row, knower) == 1
    text = _text(value)
    number = None if any(test == "category" for test, *_ in bins) or knower == column else _number(row, column)
    for found in bins:
        test, against = found[0], found[1]
        if (
            test == "else"
            or (test == "unknown" and not known)
            or (test == "missing" and (text is None if number is None else math.isnan(number)))
            or (test == "special" and number == against)
            or (test == "category" and text == against)
            or (test == "below" and number < against)
        ):
            if found[3] is None:
                raise ValueError(f"column {column}: the value is missing, and the card has no points for that")
            return found
    raise ValueError(f"column {column}: no bin")


def points(row):
    """Points by column and pair, without the base."""
    return {name: given for name, given, _, _ in _parts(row)}


def _parts(row):
    """Name, points, average and reason of everything that gives points."""
    found = [(column, average, bin_of(row, column, bins, knower)) for column, average, knower, bins in COLUMNS]
    out = [(column, bin[3], average, bin[4]) for column, average, bin in found]
    for name, left, right, width, average, cells in PAIRS:
        given = cells[found[left][2][2] * width + found[right][2][2]]
        out.append((name, given, average, name))
{external}    return out


def score(row):
    """{said}."""
    return BASE + sum(given for _, given, _, _ in _parts(row))

'''

_EXTERNAL = """    given = _number(row, {name!r})
    given = {default} if math.isnan(given) else int(given)
    out.append(({name!r}, given, {average!r}, {reason!r}))
"""

_PROBABILITY = '''
def probability(score):
    """Probability of default at a score."""
    u = {start!r} + {step!r} * score
    z = {z}
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, z))))

'''

_REASONS = '''
def reasons(row, most=4):
    """Up to so many reasons: where the enterprise falls furthest short of the average points, furthest first."""
    short = sorted(((average - given, reason) for _, given, average, reason in _parts(row)), key=lambda s: -s[0])
    return [reason for shortfall, reason in short[:most] if shortfall > 1e-9]


def _value(row, column):
    if column not in row:
        raise KeyError(f"column {column} is absent; give None where its value is missing")
    return row[column]


def _number(row, column):
    value = _value(row, column)
    return math.nan if value is None or value == "" else float(value)


def _text(value):
    """A category's text: 2, 2.0 and "2" are one category; None where the value is missing."""
    if value is None or value != value or value == "":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

'''

_MAIN = """
if __name__ == "__main__":
    rows = list(csv.DictReader(sys.stdin))
    out = csv.writer(sys.stdout)
    out.writerow([{titles}])
    for row in rows:
        total = score(row)
        out.writerow([{values}])
"""


def to_python(part: CardPart, file: str = "card.py") -> str:
    """The file's text: ``score(row)``, ``points(row)``, ``reasons(row)``, and ``probability(score)`` for a bank's part.

    Points and probability are those of the card: points exactly, probabilities to rounding. file: its name, for the
    example at its top.
    """
    head = _HEAD.format(
        about="\n".join(_documented(line) for line in part.about.lines()),
        file=_documented(file),
        inputs="\n".join(f"    {_documented(name)}" for name in part.inputs),
        base=part.base,
        columns="".join(_column(c) for c in part.columns),
        pairs="".join(_pair(p) for p in part.pairs),
    )
    said = (
        "Score of one enterprise; higher is safer" if part.curve else "Points of this institution's columns"
    )
    code = _CODE.replace("{external}", _external(part)).replace("{said}", said)
    titles, values = ["score"], ["total"]
    if part.curve is not None:
        titles.append("probability")
        values.append("probability(total)")
    titles += [f"reason_{k}" for k in range(1, 5)]
    values.append("*reasons(row)")
    main = _MAIN.replace("{titles}", ", ".join(f'"{t}"' for t in titles)).replace(
        "{values}", ", ".join(values)
    )
    return head + code.lstrip("\n") + _probability(part) + _REASONS + main


def _documented(text: str) -> str:
    """A text inside the docstring, which it cannot end."""
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _column(column: ExportColumn) -> str:
    bins = "".join(f"        {_case(case)}\n" for case in column.cases())
    return f"    ({column.name!r}, {column.average!r}, {column.knower!r}, [\n{bins}    ]),\n"


def _case(case: Case) -> str:
    label = "".join(c for c in case.label if c.isprintable())
    return f"({case.test!r}, {case.value!r}, {case.code}, {case.points}, {case.reason!r}),  # {label}"


def _pair(pair: ExportPair) -> str:
    cells = "".join(
        f"        {', '.join(map(str, pair.points[k : k + pair.width]))},\n"
        for k in range(0, len(pair.points), pair.width)
    )
    return (
        f"    ({pair.name!r}, {pair.left}, {pair.right}, {pair.width}, {pair.average!r}, [\n{cells}    ]),\n"
    )


def _external(part: CardPart) -> str:
    if part.external is None:
        return ""
    return _EXTERNAL.format(
        name=EXTERNAL_POINTS,
        default=part.external.default,
        average=part.external.average,
        reason=EXTERNAL,
    )


def _probability(part: CardPart) -> str:
    c = part.curve
    if c is None:
        return ""
    if (c.level, c.slope, c.bend) == (0.0, 1.0, 0.0):
        z = "u"
    else:
        z = (
            f"{c.level!r} + {c.slope!r} * u + {c.bend!r} * (max(u, 0.0) + math.log1p(math.exp(-abs(u))) "
            "- math.log(2))"
        )
    return _PROBABILITY.format(start=c.start, step=c.step, z=z)
