"""One monthly series of a file of histories, in public terms."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.data.column import Column
from fedrisk.data.text import Value


class Series(BaseModel):
    """One monthly series in public terms; bounds and grid are those of a number in the dictionary.

    ``missing_values`` are codes in the institution's file that count as a gap: an encoder reads numbers and gaps.
    ``better`` says whether more of it is better (sales) or worse (bills overdue), from which columns computed from it
    take the direction in which risk is expected to move; without it they expect none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    unit: str = ""
    low: float
    high: float
    grid: Literal["linear", "log"] = "log"
    missing_values: tuple[Value, ...] = ()
    better: Literal["high", "low"] | None = Field(default=None, exclude_if=lambda said: said is None)

    @model_validator(mode="after")
    def _rules(self) -> "Series":
        if not self.low < self.high:
            raise ValueError(
                f"series {self.name}: low = {self.low} must be below high = {self.high}; swap or widen them"
            )
        return self

    def columns(self, months: int) -> tuple[str, ...]:
        """Names in the file, oldest month first.

        >>> Series(name="load", low=0, high=1).columns(2)
        ('load_m01', 'load_m02')
        """
        return tuple(f"{self.name}_m{m:02d}" for m in range(1, months + 1))


def file_columns(series: Series, months: int) -> tuple[Column, ...]:
    """The columns of a series in a dictionary of the file, oldest month first."""
    return tuple(
        Column(
            name=name,
            kind="number",
            unit=series.unit,
            meaning=f"{series.name} of a month",
            low=series.low,
            high=series.high,
            grid=series.grid,
            missing_values=series.missing_values,
        )
        for name in series.columns(months)
    )
