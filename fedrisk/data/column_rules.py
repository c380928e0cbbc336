"""What the declaration of a column may not say: each broken rule with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedrisk.data.special import special_code, special_problems
from fedrisk.data.text import Codes, canonical

if TYPE_CHECKING:
    from fedrisk.data.column import Column

MAX_BINS = 64
"""Most bins of a column: one-hot columns travel masked, and more bins cost traffic and noise for no gain."""

MOST_CELLS = 4096
"""Most categories of a column that no model uses, such as the counties of a province: statistics count by them."""

NUMBER_ONLY = ("low", "high", "bins", "bin_count", "monotone", "direction")
CATEGORY_ONLY = ("categories", "prefix")


def column_problems(c: Column) -> list[str]:
    """Rules that a column breaks, each with its remedy; [] if there are none."""
    found = []
    given = {k for k in c.model_fields_set if getattr(c, k) is not None}
    for keys, kind in ((NUMBER_ONLY, "number"), (CATEGORY_ONLY, "category")):
        if c.kind != kind:
            found += [f'{k} is for kind "{kind}", not "{c.kind}"; remove it' for k in keys if k in given]
    if c.grid == "log" and c.kind != "number":
        found.append(f'grid = "log" is for kind "number", not "{c.kind}"; remove it')
    if c.history is not None:
        found += _history_problems(c)
    if c.kind == "number":
        found += _number_problems(c)
    if c.kind == "category":
        found += _category_problems(c)
    if c.strength is not None and not c.feature:
        found.append("strength is for columns that models may use; remove it, or write feature = true")
    if c.kind == "date" and c.feature:
        found.append("a date is never a feature; write feature = false")
    found += special_problems(c.kind, c.special, c.low, c.high, c.bins)
    if both := {code for code, _ in c.special} & {special_code(v) for v in c.missing_values}:
        found.append(
            f"special and missing_values share {', '.join(map(repr, sorted(both)))}; a code has a bin of its own or "
            "counts as missing, so remove it from one of them"
        )
    return found


def _history_problems(c: Column) -> list[str]:
    found = []
    if c.kind != "number":
        found.append(f"is computed from a history and so is a number, not a {c.kind}; correct kind")
    given = [key for key in ("source", "missing_values", "special", "prefix") if getattr(c, key)]
    if given:
        found.append(
            f"{', '.join(given)} is for columns of the table, and this one is computed from a history; remove it "
            "(codes of gaps are missing_values of the series, in [[histories.series]])"
        )
    return found


def _number_problems(c: Column) -> list[str]:
    found = []
    if c.monotone is not None and c.direction is not None:
        found.append(
            "monotone (a constraint) and direction (an expectation) exclude each other; keep direction unless the "
            "points must never turn"
        )
    if c.bins is not None and c.bin_count is not None:
        found.append("bins (public edges) and bin_count (private edges) exclude each other; remove one")
    if (c.low is None) != (c.high is None):
        found.append("low and high are given together; add the other bound")
    elif c.low is None and c.bins is None and c.feature and (c.history is None or c.history.over):
        found.append(
            "a number needs public bounds low and high, or public edges in bins; bounds "
            "taken from the data would leak"
        )
    elif c.low is not None and c.high is not None and c.low >= c.high:
        found.append(f"low = {c.low} must be below high = {c.high}; swap or widen them")
    if c.bins is not None:
        if not 1 <= len(c.bins) < MAX_BINS:
            found.append(f"bins has {len(c.bins)} edges, allowed are 1 to {MAX_BINS - 1}; merge bins")
        if any(x >= y for x, y in zip(c.bins, c.bins[1:], strict=False)):
            found.append("bins must be strictly increasing; sort the edges and remove repeated ones")
        if c.low is not None and c.high is not None and any(not c.low < e < c.high for e in c.bins):
            found.append(
                f"bins must lie strictly between low = {c.low} and high = {c.high}; remove the edges outside"
            )
    return found


def _category_problems(c: Column) -> list[str]:
    found: list[str] = []
    if c.categories is None:
        if c.feature:
            found.append(
                "a category needs its public list in categories; a list taken from the data would leak"
            )
        return found
    most = MAX_BINS if c.feature else MOST_CELLS
    if not 1 <= len(c.categories) <= most:
        remedy = ", or write feature = false" if c.feature and len(c.categories) <= MOST_CELLS else ""
        found.append(
            f"categories has {len(c.categories)} entries, allowed are 1 to {most}; shorten with prefix, "
            f"or group them{remedy}"
        )
    if twice := sorted({x for x in c.categories if c.categories.count(x) > 1}):
        found.append(f"categories repeats {', '.join(map(repr, twice))}; remove the repetition")
    if any(x != x.strip() or not x for x in c.categories):
        found.append(
            "categories must be non-empty and without space around them; such space is removed when tables "
            "are read"
        )
    if both := sorted(
        {str(v) for v in c.missing_values if Codes(c.categories).place(canonical(v)) is not None}
    ):
        found.append(
            f"categories and missing_values share {', '.join(map(repr, both))}; a value is a category or counts as "
            "missing, so remove it from one of them"
        )
    if c.prefix is not None and (long := [x for x in c.categories if len(x) > c.prefix]):
        found.append(
            f"categories {', '.join(map(repr, long))} are longer than prefix = {c.prefix}, so no value can "
            "match; shorten them"
        )
    return found
