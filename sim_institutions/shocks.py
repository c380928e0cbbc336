"""Planted shocks: in a county, and some of its sectors, sales fall within a quarter, and defaults rise in the next one.

A price collapse shows first in sales and liquidity, a month later in load, two months later in staff. Who does not pay
any more is over 90 days late three months later, so default rates rise a quarter after the shock.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim_institutions.geography import (
    CLUSTER_PREFECTURE,
    CLUSTER_SECTORS,
    CLUSTERS,
    COUNTIES,
    PREFECTURE_OF_COUNTY,
    SECTORS,
    Geography,
)
from sim_institutions.random_streams import Floats, stream

# Months of a quarter in which a shock comes in, as shares of its depth, and months in which it goes.
COMES = (0.6, 0.9)
GOES = 3
# The default: this deep, so long, and in these clusters one after the other.
DEPTH, LASTING = 0.45, 3
DEFAULT_CLUSTERS = (0, 1)
# Depths of shocks that are drawn.
SHALLOWEST, DEEPEST = 0.25, 0.6


class ShockError(ValueError):
    """A rule that a list of shocks breaks."""


@dataclass(frozen=True, kw_only=True)
class Shock:
    """One shock.

    quarter: in which it begins, 2 or later. county: a public name such as "p02c03". sectors: that it hits; none is all.
    depth: fall of log sales of the median enterprise. lasting: quarters at full depth. name: what it is called.
    """

    quarter: int
    county: str
    sectors: tuple[str, ...] = ()
    depth: float = DEPTH
    lasting: int = LASTING
    name: str = "shock"

    def __post_init__(self) -> None:
        if self.quarter < 2:
            raise ShockError(f"shock {self.name}: quarter {self.quarter} has none before it; give 2 or more")
        if self.county not in COUNTIES:
            raise ShockError(f"shock {self.name}: there is no county {self.county}; give one such as p02c03")
        if unknown := set(self.sectors) - set(SECTORS):
            raise ShockError(f"shock {self.name}: no sector {min(unknown)}; sectors are {', '.join(SECTORS)}")
        if not 0 < self.depth <= 3 or self.lasting < 1:
            raise ShockError(f"shock {self.name}: give a depth above 0 and up to 3, and 1 or more quarters")

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Numbers of county and sector of each cell that it hits."""
        hit = self.sectors or SECTORS
        return [(COUNTIES.index(self.county), i) for i, name in enumerate(SECTORS) if name in hit]

    def path(self, first: int, months: int) -> Floats:
        """Share of the depth in each month, (months,); ``first``: the month in which quarter 1 ends, exclusive."""
        age = np.arange(months) - (first + 3 * (self.quarter - 2))
        left = 1 - (age - 3 * self.lasting + 1) / (GOES + 1)
        out = np.clip(np.where(age >= 3 * self.lasting, left, 1.0), 0, 1)
        out = np.where(age < len(COMES), np.asarray(COMES)[np.clip(age, 0, len(COMES) - 1)], out)
        return np.where(age < 0, 0, out).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the file of truths."""
        return {**asdict(self), "sectors": list(self.sectors or SECTORS)}


def usual(geography: Geography, quarters: int) -> tuple[Shock, ...]:
    """Two price collapses in the largest counties of two clusters, in the middle and towards the end."""
    found = []
    for cluster, quarter in zip(DEFAULT_CLUSTERS, (quarters // 2, quarters - 2), strict=True):
        inside = np.flatnonzero(CLUSTER_PREFECTURE[cluster] == PREFECTURE_OF_COUNTY)
        county = int(inside[np.argmax(geography.weights[inside])])
        sectors = tuple(SECTORS[s] for s in CLUSTER_SECTORS[cluster])
        name = f"prices of {CLUSTERS[cluster]} collapse"
        if 2 <= quarter <= quarters:
            found.append(Shock(quarter=quarter, county=COUNTIES[county], sectors=sectors, name=name))
    return tuple(found)


def drawn(count: int, quarters: int, seed: int) -> tuple[Shock, ...]:
    """So many shocks in different cells of county and sector, of random depth, two or more quarters before the end."""
    rng = stream(seed, "shocks")
    cells = rng.permutation(len(COUNTIES) * len(SECTORS))[:count]
    first = min(4, quarters)
    return tuple(
        Shock(
            quarter=int(rng.integers(max(first, 2), max(quarters - 1, first + 1))),
            county=COUNTIES[cell // len(SECTORS)],
            sectors=(SECTORS[cell % len(SECTORS)],),
            depth=round(float(rng.uniform(SHALLOWEST, DEEPEST)), 3),
            name=f"drawn {i + 1}",
        )
        for i, cell in enumerate(cells)
    )


def asked(text: str, geography: Geography, quarters: int, seed: int) -> tuple[Shock, ...]:
    """Shocks by the option ``--shocks``: "usual", "none", a number to draw, or a TOML file with [[shocks]]."""
    if text == "usual":
        return usual(geography, quarters)
    if text == "none":
        return ()
    if text.isdigit():
        return drawn(int(text), quarters, seed)
    return read(Path(text))


def read(path: Path) -> tuple[Shock, ...]:
    """Shocks from a TOML file; ShockError where it is none."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ShockError(
            f"{path}: {error}; give usual, none, a number, or a TOML file with [[shocks]]"
        ) from None
    return tuple(_shock(entry) for entry in content.get("shocks", ()))


def _shock(entry: Mapping[str, Any]) -> Shock:
    try:
        return Shock(**{**entry, "sectors": tuple(entry.get("sectors", ()))})
    except TypeError as error:
        raise ShockError(
            f"[[shocks]]: {error}; keys are quarter, county, sectors, depth, lasting, name"
        ) from None
