"""What is true of each quarter, by county and sector: for tests and experiments, and known to no institution.

Sums of every number and flag over the rows of an institution (banks together), by the cells as its table writes them:
what a statistic without noise would say. And health and lateness as they are, by the cells as they are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sim_institutions.geography import COUNTIES, SECTORS
from sim_institutions.institutions import Office
from sim_institutions.observations import Observations
from sim_institutions.population import Window
from sim_institutions.random_streams import Bools, Floats, Ints, logistic

UNKNOWN = "(unknown)"
AXES = ((*COUNTIES, UNKNOWN), (*SECTORS, UNKNOWN))
SHAPE = (len(COUNTIES) + 1, len(SECTORS) + 1)
Doubles = np.typing.NDArray[np.float64]
# Rows, rows with a value, their sum and the sum of their squares; (4, cells).
Sums = Mapping[str, Doubles]
# By cell: enterprises, sum of health, borrowers, those that became late in the quarter, expected lateness in the next
# 12 months, and lateness that came then.
HEALTH = ("enterprises", "health", "borrowers", "late", "expected", "late_within_a_year")


@dataclass
class Truth:
    """Sums by quarter; add up those of blocks.

    columns: by (quarter, owner, column), (4, cells). health: of each quarter, (6, cells), in the order of HEALTH.
    """

    columns: dict[tuple[int, str, str], Doubles] = field(default_factory=dict)
    health: list[Doubles] = field(default_factory=list)

    @classmethod
    def empty(cls, quarters: int) -> "Truth":
        """Before any block."""
        return cls({}, [np.zeros((len(HEALTH), np.prod(SHAPE))) for _ in range(quarters)])

    def add_columns(self, quarter: int, office: Office, sums: Sums) -> None:
        """Sums of an institution; all banks have one owner."""
        owner = "bank" if office.kind == "bank" else office.name
        for name, values in sums.items():
            kept = self.columns.get((quarter, owner, name))
            self.columns[quarter, owner, name] = values if kept is None else kept + values

    def add(self, other: "Truth") -> None:
        """Another block."""
        for key, values in other.columns.items():
            self.columns[key] = self.columns[key] + values if key in self.columns else values
        self.health = [mine + its for mine, its in zip(self.health, other.health, strict=True)]

    def table(self) -> pa.Table:
        """One line for each quarter, owner, column and cell that has rows."""
        counties, sectors = (np.array(axis) for axis in AXES)
        parts = []
        for (quarter, owner, name), values in sorted(self.columns.items()):
            cells = np.flatnonzero(values[0])
            county, sector = np.unravel_index(cells, SHAPE)
            rows, known, total, squares = values[:, cells]
            parts.append(
                pa.table(
                    {
                        "quarter": pa.array(np.full(len(cells), quarter, dtype=np.int8)),
                        "owner": pa.array([owner] * len(cells)).dictionary_encode(),
                        "column": pa.array([name] * len(cells)).dictionary_encode(),
                        "county": pa.array(counties[county]),
                        "sector": pa.array(sectors[sector]),
                        "rows": rows.astype(np.int64),
                        "known": known.astype(np.int64),
                        "sum": total,
                        "squares": squares,
                    }
                )
            )
        return pa.concat_tables(parts)

    def cells(self) -> Iterator[dict[str, Any]]:
        """Health and lateness of each quarter and cell."""
        for quarter, values in enumerate(self.health, start=1):
            shaped = values.reshape(len(HEALTH), *SHAPE)
            for c, county in enumerate(COUNTIES):
                for s, sector in enumerate(SECTORS):
                    there, health, borrowers, late, expected, later = shaped[:, c, s].tolist()
                    yield {
                        "quarter": quarter,
                        "county": county,
                        "sector": sector,
                        "enterprises": int(there),
                        "health": round(health / there, 4) if there else None,
                        "borrowers": int(borrowers),
                        "late": int(late),
                        "default_rate": round(late / borrowers, 5) if borrowers else None,
                        "expected_rate": round(expected / borrowers, 5) if borrowers else None,
                        "rate_within_a_year": round(later / borrowers, 5) if borrowers else None,
                    }


def cell_sums(office: Office, found: Observations) -> Sums:
    """Sums of each number and flag by county and sector as the table writes them, values clipped to public bounds."""
    cell = _cells(found)
    out = {}
    size = int(np.prod(SHAPE))
    rows = np.bincount(cell, minlength=size)
    for column in office.columns:
        if column["kind"] not in ("number", "flag"):
            continue
        values = found.numbers(column["name"]).astype(np.float64)
        known = ~np.isnan(values) & ~np.isin(values, [float(code) for code in column.get("special", ())])
        clipped = np.clip(values[known], column.get("low", 0), column.get("high", 1))
        by = (cell[known], size)
        out[column["name"]] = np.stack(
            [rows, _bins(*by, np.ones(len(clipped))), _bins(*by, clipped), _bins(*by, clipped**2)]
        )
    return out


def health_by_cell(window: Window) -> Doubles:
    """What is true of a window, in the order of HEALTH."""
    enterprises, there = window.enterprises, window.there
    cell = enterprises.county * SHAPE[1] + enterprises.sector
    size = int(np.prod(SHAPE))
    borrower = window.lending.borrower & there
    # The mean of the moving facets, with what courses and shocks take of it (in log sales), over the quarter.
    moved = [window.health.paths[k][:, -3:] + effect[:, -3:] for k, effect in window.effects.items()]
    health = np.mean(moved, axis=(0, 2))
    expected = logistic(window.health.risk + np.float32(window.intercept))
    return np.stack(
        [
            _bins(cell[rows], size, values[rows])
            for rows, values in (
                (there, np.ones(len(cell))),
                (there, health),
                (borrower, np.ones(len(cell))),
                (borrower, window.came_due.any(axis=1)),
                (borrower, expected),
                (borrower, window.bank_default.any(axis=1)),
            )
        ]
    )


def _cells(found: Observations) -> Ints:
    county, sector = (
        np.where(code < 0, n - 1, code)
        for code, n in zip((found.codes("county"), found.codes("sector")), SHAPE, strict=True)
    )
    return np.asarray(county * SHAPE[1] + sector)


def _bins(cell: Ints, size: int, values: Floats | Bools | Doubles) -> Doubles:
    return np.asarray(np.bincount(cell, weights=np.asarray(values, dtype=np.float64), minlength=size))
