"""The file of a fragility index: which quarters, cells and indicators, and how they are read.

Everything in it is public and is decided before the figures are known; a weight that is chosen after them makes the
stated rate of false alarms wrong.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedrisk.file_rules import checked
from fedrisk.study_sections import Settings
from fedrisk.toml_file import load_toml

LEAST_REFERENCE = 4
"""Fewest earlier quarters against which a quarter is held."""

Transformation = Literal["level", "quarter", "year"]
Text = Annotated[str, Field(min_length=1, max_length=200)]
_QUARTER = re.compile(r"^(\d{4})Q([1-4])$")


class Quarter(Settings):
    """One quarter, and the results of its studies.

    name: such as 2025Q3. records: folders of results, or release records; relative to the file.
    """

    name: Text
    records: Annotated[tuple[Text, ...], Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if not _QUARTER.match(name):
            raise ValueError("must be a year and a quarter, such as 2025Q3")
        return name

    @property
    def number(self) -> int:
        """Quarters since year 0: consecutive quarters differ by 1."""
        year, quarter = name_parts(self.name)
        return 4 * year + quarter - 1


class Indicator(Settings):
    """One of the indicators.

    name: for people. measure: the statistics study's measure. study: name of the study, where several have a measure of
    this name. fragile: whether a cell is more fragile where it is ``high`` or ``low``. weight: how much of it is
    expected in a shock, against the others. transformation: the ``level``, its change on the ``quarter`` before,
    or on the same quarter a ``year`` before (counts and sums: relative). serious: the move, in the measure's unit, that
    a person would call serious; by default the usual move of a typical cell. minimum_reliability: variance of a serious
    move, as a share of that and of all errors, below which the indicator is left out in a cell.
    """

    name: Text
    measure: Text
    study: Text | None = None
    fragile: Literal["high", "low"]
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    transformation: Transformation = "level"
    serious: Annotated[float, Field(gt=0)] | None = None
    minimum_reliability: Annotated[float, Field(ge=0, lt=1)] = 0.01


class MapSettings(Settings):
    """The map: a GeoJSON file of polygons, the axis whose categories they are, and the property that names them."""

    file: Text
    axis: Text
    property: Text = "name"


class FragilitySettings(Settings):
    """A fragility index.

    cells: axes of the table that the index is of. common: axes within which moves are common to all cells (``sector``:
    each sector's own move of the whole province is set apart); none is one move for all. reference_quarters:
    earlier quarters that say what is usual, at most. false_alarms: share of cells without a shock that raise an alarm.
    worst: how many cells are called the worst. least_found: chance that a serious move of all indicators raises an
    alarm in a cell, below which the cell says less than its noise and is withheld.
    """

    title: Text = "Fragility index of small and micro enterprises"
    cells: Annotated[tuple[Text, ...], Field(min_length=1)]
    common: tuple[Text, ...] = ()
    quarters: Annotated[tuple[Quarter, ...], Field(min_length=1)]
    indicators: Annotated[tuple[Indicator, ...], Field(min_length=1, max_length=64)]
    reference_quarters: Annotated[int, Field(ge=LEAST_REFERENCE, le=40)] = 8
    false_alarms: Annotated[float, Field(gt=0, le=0.25)] = 0.05
    worst: Annotated[int, Field(ge=1, le=1000)] = 10
    least_found: Annotated[float, Field(ge=0, lt=1)] = 0.5
    map: MapSettings | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.quarters) <= LEAST_REFERENCE:
            raise ValueError(
                f"quarters: {len(self.quarters)} are listed, and an index needs {LEAST_REFERENCE + 1}; list "
                "earlier ones"
            )
        for before, after in zip(self.quarters, self.quarters[1:], strict=False):
            if after.number != before.number + 1:
                raise ValueError(
                    f"quarters: {after.name} follows {before.name}; list consecutive quarters, the oldest first"
                )
        names = [i.name for i in self.indicators]
        if len(set(names)) < len(names):
            raise ValueError("indicators: two have the same name; name each differently")
        if strange := [a for a in self.common if a not in self.cells]:
            raise ValueError(
                f"common: {', '.join(strange)} is no axis of cells; take some of {list(self.cells)}"
            )
        if self.map and self.map.axis not in self.cells:
            raise ValueError(f"map: axis {self.map.axis} is none of cells ({', '.join(self.cells)})")
        return self


def name_parts(name: str) -> tuple[int, int]:
    """Year and quarter of a quarter's name.

    >>> name_parts("2025Q3")
    (2025, 3)
    """
    year, quarter = name.split("Q")
    return int(year), int(quarter)


def load_settings(path: Path) -> FragilitySettings:
    """Read and check the file; ConfigError with every rule that it breaks."""
    return checked(
        FragilitySettings, load_toml(path, what="fragility index"), where=f"fragility index {path}"
    )
