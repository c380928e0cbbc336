"""One monthly series of a file of histories, in public terms."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.data.column import Column
from fedrisk.data.season import OTHER, Season
from fedrisk.data.text import Value


class Series(BaseModel):
    """One monthly series in public terms; bounds and grid are those of a number in the dictionary.

    ``missing_values`` are codes in the institution's file that count as a gap: an encoder reads numbers and gaps.
    ``better`` says whether more of it is better (sales) or worse (bills overdue), from which columns computed from it
    take the direction in which risk is expected to move; without it they expect none. ``season`` are public indices by
    which months are divided before columns are computed from them (`fedrisk.data.season`); an encoder reads the months
    as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    unit: str = ""
    low: float
    high: float
    grid: Literal["linear", "log"] = "log"
    missing_values: tuple[Value, ...] = ()
    better: Literal["high", "low"] | None = Field(default=None, exclude_if=lambda said: said is None)
    season: Season | None = Field(default=None, exclude_if=lambda said: said is None)

    @model_validator(mode="after")
    def _rules(self) -> "Series":
        if not self.low < self.high:
            raise ValueError(
                f"series {self.name}: low = {self.low} must be below high = {self.high}; swap or widen them"
            )
        if self.season is not None and self.low < 0:
            raise ValueError(
                f"series {self.name}: months are divided by their season, and may be negative (low = {self.low:g}); "
                "write low = 0 if they never are, or remove season"
            )
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of enterprises that have a season of their own, beside all others."""
        return tuple(name for name in self.season or () if name != OTHER)

    def reads_as(self, other: "Series | None") -> bool:
        """Whether an encoder reads both alike: it looks neither at what is better nor at the season."""
        looked_at = set(Series.model_fields) - {"better", "season"}
        return other is not None and all(getattr(self, key) == getattr(other, key) for key in looked_at)

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
