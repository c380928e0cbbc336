"""Special codes: values of a column that are no quantities, each of which means something and is a bin of its own.

A bureau writes -9 for "no record", -8 for "no usable trade", -7 for "condition not met". As numbers they would stand
below the smallest one, as missing values they would all be one. A dictionary declares each code with its meaning; both
are public. A code is compared with a column's values as a number, exactly, so it may be no value that the column also
takes as a quantity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Special = tuple[tuple[str, str], ...]
"""Codes with their meanings, in the order of declaration, which is the order of their bins."""

MOST_SPECIAL = 16
"""Most special codes of a column: each is a bin more, with its own noise."""

MOST_TEXT = 200
"""Longest meaning; it is a label in the report."""

EXACT = 2.0**53
"""From here on, neighbouring whole numbers are one and the same double."""

RESERVED = ("missing", "other", "unknown")
"""Labels of bins that a feature may have besides."""


def special_code(code: object) -> str:
    """One spelling for a special code, which is a number: -9, -9.0 and " -9 " are all "-9"; a text stays as it is.

    >>> [special_code(v) for v in (-9.0, " -9e0", "99.990", "x")]
    ['-9', '-9', '99.99', 'x']
    """
    text = code.strip() if isinstance(code, str) else code
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(text)
    return str(int(number)) if math.isfinite(number) and number == int(number) else str(number)


def special_values(special: Special) -> tuple[float, ...]:
    """The codes as numbers, in order.

    >>> special_values((("-9", "no record"), ("-8", "no usable trade")))
    (-9.0, -8.0)
    """
    return tuple(float(code) for code, _ in special)


def special_problems(
    kind: str, special: Special, low: float | None, high: float | None, bins: Sequence[float] | None
) -> list[str]:
    """What is wrong with a column's special codes, each with its remedy; [] if nothing is.

    Args:
        kind: of the column.
        special: its codes with their meanings.
        low: lower public bound, if it has one.
        high: upper public bound, if it has one.
        bins: public edges, if it has them.

    >>> special_problems("number", (("5", "no record"),), 0.0, 10.0, None)[0][:36]
    'special: code 5 lies strictly within'
    """
    if not special:
        return []
    if kind == "category":
        return [
            "special is for numbers and flags; list the code in categories, where every entry is a bin of its own"
        ]
    if kind not in ("number", "flag"):
        return [f"special is for numbers and flags, not for a {kind}; remove it"]
    found = _meaning_problems([meaning for _, meaning in special])
    if len(special) > MOST_SPECIAL:
        found.append(
            f"special has {len(special)} codes, allowed are {MOST_SPECIAL}; group them at the source"
        )
    numbers = [_number(code) for code, _ in special]
    found += [
        f'special: code "{code}" is no finite number below 2^53 with the sign "-", which codes of a {kind} must be; '
        "recode it at the source, or list it in missing_values"
        for (code, _), x in zip(special, numbers, strict=True)
        if x is None
    ]
    given = [x for x in numbers if x is not None]
    found += [
        f"special: code {x:.17g} is given twice; remove one"
        for x in sorted({x for x in given if given.count(x) > 1})
    ]
    return found + _place_problems(kind, given, low, high, bins)


def _number(code: str) -> float | None:
    try:
        x = float(code)
    except ValueError:
        return None
    return x if math.isfinite(x) and abs(x) < EXACT else None


def _meaning_problems(meanings: Sequence[str]) -> list[str]:
    found = []
    if any(not m.strip() or m != m.strip() or len(m) > MOST_TEXT or not m.isprintable() for m in meanings):
        found.append(
            f"special: every code needs its meaning, at most {MOST_TEXT} characters in one line without space around "
            "them; it is the label of its bin"
        )
    if any(m.casefold() in RESERVED for m in meanings):
        found.append(
            f"special: a meaning is {', '.join(RESERVED[:-1])} or {RESERVED[-1]}, which are labels of other bins; "
            "say what the code means"
        )
    if len({m.casefold() for m in meanings}) < len(meanings):
        found.append(
            "special: two codes have one meaning; tell them apart, or recode them as one at the source"
        )
    return found


def _place_problems(
    kind: str, codes: Sequence[float], low: float | None, high: float | None, bins: Sequence[float] | None
) -> list[str]:
    """A code at a place where the column has its quantities."""
    if kind == "flag":
        return [
            f"special: code {x:.17g} is yes or no, which a flag has already; remove it"
            for x in codes
            if x in (0.0, 1.0)
        ]
    if low is None or high is None:
        if not bins:
            return []
        low, high, what = bins[0], bins[-1], "edges"
    else:
        what = "bounds"
    return [
        f"special: code {x:.17g} lies strictly within the public {what} {low:g} to {high:g}, where it would be a "
        "number too; let the bounds begin or end at the code, or recode it at the source"
        for x in codes
        if low < x < high
    ]
