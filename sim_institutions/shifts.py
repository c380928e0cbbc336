"""Planted shifts: from a month on, one column of one institution has another distribution, as after a new threshold.

``tax_office.invoice_amount:m07:0.5`` moves the column by .5 of its spread from m07 on. Nothing else moves: health, the
other columns and who defaults stay as they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim_institutions.institutions import Office
from sim_institutions.observations import Category, Observations
from sim_institutions.random_streams import Bools, Floats, coarse, stream, uniform

_WRITTEN = re.compile(r"([a-z]\w*)\.([a-z]\w*):m?(\d{1,3}):([-+]?\d*\.?\d+)")
BANK = "bank"
LARGEST = 5.0


class ShiftError(ValueError):
    """A rule that a shift breaks."""


@dataclass(frozen=True)
class Shift:
    """A change of one column's distribution.

    owner: an institution, or "bank" for all banks. column: a column of its dictionary, or one of its monthly series.
    month: from which on, 1 for m01. size: a number's move in its spread (half the distance from the 16th to the 84th
    percentile), on the log scale where the dictionary has ``grid = "log"``; the share of rows that a flag or the first
    category gains (loses, where negative); the move of a series on the log scale.
    """

    owner: str
    column: str
    month: int
    size: float

    @property
    def text(self) -> str:
        """As the option ``--shift`` has it."""
        return f"{self.owner}.{self.column}:m{self.month:02d}:{self.size:g}"

    def of(self, office: Office) -> bool:
        """Whether the column is this institution's."""
        return self.owner in (office.name, office.kind if office.kind == BANK else office.name)


def asked(texts: Sequence[str], offices: Sequence[Office]) -> tuple[Shift, ...]:
    """Shifts by the option ``--shift``; ShiftError where one is not written as it must be, or no such column is."""
    return tuple(_asked(text, offices) for text in texts)


def _asked(text: str, offices: Sequence[Office]) -> Shift:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ShiftError(
            f"--shift {text}: give OWNER.COLUMN:MONTH:SIZE, for example tax_office.invoice_amount:m07:0.5"
        )
    shift = Shift(found[1], found[2], int(found[3]), float(found[4]))
    if shift.month < 1 or not 0 < abs(shift.size) <= LARGEST:
        raise ShiftError(f"--shift {text}: give a month from m01 on and a size up to {LARGEST:g}, not 0")
    owners = [office for office in offices if shift.of(office)]
    if not owners:
        names = ", ".join([BANK, *(o.name for o in offices)])
        raise ShiftError(f"--shift {text}: no institution {shift.owner}; institutions are {names}")
    known = [c["name"] for c in owners[0].columns] + [s["name"] for s in owners[0].series]
    if shift.column not in known:
        raise ShiftError(
            f"--shift {text}: {shift.owner} has no column {shift.column}; it has {', '.join(known)}"
        )
    return shift


def shifted(
    shifts: Sequence[Shift], office: Office, found: Observations, number: int, place: tuple[int, int]
) -> Observations:
    """What an institution observes in month ``number`` with the shifts of its columns; place: seed and block."""
    for shift in shifts:
        if not shift.of(office) or number < shift.month:
            continue
        described = {column["name"]: column for column in office.columns}
        if shift.column in described:
            seed, block = place
            at = uniform(
                stream(seed, "shift", shift.owner, shift.column, block), int(found.rows.max(initial=0)) + 1
            )
            moved = _moved(found.columns[shift.column], described[shift.column], shift.size, at[found.rows])
            found = replace(found, columns={**found.columns, shift.column: moved})
        else:
            path = _path(found.histories[shift.column], number - shift.month + 1, shift.size)
            found = replace(found, histories={**found.histories, shift.column: path})
    return found


def _path(values: Floats, months: int, size: float) -> Floats:
    """The last so many months of a series, moved on the log scale; whole numbers stay whole."""
    out = values.copy()
    last = out[:, -months:] * np.float32(np.exp(size))
    out[:, -months:] = np.round(last) if _whole(values) else last
    return coarse(out)


def _moved(values: Floats | Category, column: dict[str, Any], size: float, at: Floats) -> Floats | Category:
    if isinstance(values, Category):
        last = len(values.names) - 1
        given, taken = (0, values.code != 0) if size > 0 else (last, values.code == 0)
        code = np.where(taken & (values.code >= 0) & (at < abs(size)), given, values.code)
        return Category(code, values.names)
    if column["kind"] == "flag":
        turned = (values == (size < 0)) & (at < abs(size))
        return np.where(turned, 1 - values, values).astype(np.float32)
    return _number(values, column, size)


def _number(values: Floats, column: dict[str, Any], size: float) -> Floats:
    known: Bools = ~np.isnan(values) & ~np.isin(values, column.get("special", ()))
    if not known.any():
        return values
    log = column.get("grid") == "log"
    x = np.log1p(values[known]) if log else values[known]
    low, high = np.quantile(x, (0.16, 0.84))
    spread = (high - low) / 2 or x.std()
    x = x + np.float32(size * spread)
    x = np.clip(np.expm1(x) if log else x, column["low"], column["high"])
    out = values.copy()
    out[known] = np.round(x) if _whole(values[known]) else x
    return out


def _whole(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return bool((known == np.round(known)).all())
