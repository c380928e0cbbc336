"""Monthly histories of enterprises: what a holder's file states about them, and their public scaling.

A history is a short sequence, say 18 months of invoices, amounts or load, with gaps where a month was not
reported. The institution's file states which series there are, their public bounds and their scale, as it
states the bounds of ordinary columns: bounds taken from the data would be a release without a price. Scaled
values lie in [0, 1], on a linear or a signed-logarithmic scale (the grid of `binning`), and a gap is NaN.

The file is wide: one row per enterprise, columns SERIES_m01 (oldest month) to SERIES_mNN for each series.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.data.column import Column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.features import LOG_DECADES
from fedrisk.data.source import TableSource
from fedrisk.errors import DataError
from fedrisk.models.series import Series, file_columns
from fedrisk.study_sections import Name

Histories = NDArray[np.float32]

OUTPUT_EDGES = (-0.95, -0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.15, 0.0, 0.15, 0.3, 0.5, 0.7, 0.85)
"""Public bins of every encoder column.

Distress is rare, so the bins must be fine where few enterprises are. Noisy edges give equally filled bins,
which would put a rare twentieth of the enterprises together with ordinary ones.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderRule(_Frozen):
    """A holder's sequence encoder: which histories it reads, and how many columns NAME_1.. it gives.

    Unless the file states ``outputs``, there are two columns per series. Without ``histories`` of its own it reads the
    last ``months`` of those of the institution (``[histories]``), and their series and months unless it states its own.
    """

    name: Name
    histories: TableSource | None = None
    series: Annotated[tuple[Series, ...], Field(min_length=1, max_length=8)]
    months: Annotated[int, Field(ge=6, le=60)] = 18
    outputs: Annotated[int, Field(ge=1, le=16)]
    hidden: Annotated[int, Field(ge=4, le=128)] = 32

    @model_validator(mode="before")
    @classmethod
    def _two_outputs_a_series(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and "outputs" not in raw and isinstance(raw.get("series"), (list, tuple)):
            return {**raw, "outputs": min(16, max(1, 2 * len(raw["series"])))}
        return raw

    @model_validator(mode="after")
    def _rules(self) -> "EncoderRule":
        names = [s.name for s in self.series]
        if len(set(names)) < len(names):
            raise ValueError(f"encoder {self.name}: a series is listed twice; names are unique")
        if self.histories is not None and self.histories.is_database:
            raise ValueError(f"encoder {self.name}: histories are read from a .parquet or .csv file")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the encoder's columns."""
        return tuple(f"{self.name}_{k}" for k in range(1, self.outputs + 1))

    def dictionary_columns(self) -> tuple[Column, ...]:
        """The encoder's outputs as ordinary columns: numbers in [-1, 1] with public bins."""
        names = ", ".join(s.name for s in self.series)
        return tuple(
            Column(
                name=name,
                kind="number",
                meaning=f"output {k} of sequence encoder {self.name} over {self.months} months of {names}",
                low=-1.0,
                high=1.0,
                bins=OUTPUT_EDGES,
            )
            for k, name in enumerate(self.columns, 1)
        )

    def file_dictionary(self, dictionary: Dictionary) -> Dictionary:
        """A dictionary of the histories' file, by which it is read and checked like a table."""
        columns = [c for series in self.series for c in file_columns(series, self.months)]
        return Dictionary(id=dictionary.id, id_scheme=dictionary.id_scheme, columns=tuple(columns))

    def public_digest(self) -> str:
        """SHA-256 of what holders that train one encoder must agree on: series, bounds, months, outputs.

        Codes of gaps may differ between their files; what is better, and the season, are nothing to an encoder.
        """
        own = {"series": {"__all__": {"missing_values", "better", "season"}}}
        text = self.model_dump_json(include={"series", "months", "outputs", "hidden"}, exclude=own)
        return hashlib.sha256(text.encode()).hexdigest()


def scaled(rule: EncoderRule, frame: pd.DataFrame) -> Histories:
    """The file's histories, (n, months, series) float32 in [0, 1], NaN where a month is missing.

    The log scale is that of the bins' grid: linear below a 10,000th of the larger bound, logarithmic above.
    """
    paths = {
        s.name: frame[list(s.columns(rule.months))].to_numpy(dtype=np.float64, na_value=np.nan)
        for s in rule.series
    }
    return scaled_paths(rule, paths)


def scaled_paths(rule: EncoderRule, paths: Mapping[str, NDArray[np.float64]]) -> Histories:
    """Histories by series, each (n, months) with NaN for gaps, as an encoder reads them; see `scaled`."""
    n = len(next(iter(paths.values())))
    out = np.empty((n, rule.months, len(rule.series)), dtype=np.float32)
    for k, series in enumerate(rule.series):
        out[:, :, k] = on_unit_scale(series, paths[series.name])
    return out


def on_unit_scale(series: Series, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between the public bounds as numbers in [0, 1]; values outside count as the bound; NaN stays.

    >>> on_unit_scale(Series(name="load", low=0, high=8, grid="linear"), np.array([2.0, 9.0])).tolist()
    [0.25, 1.0]
    """
    x = np.clip(values, series.low, series.high)
    low, high = series.low, series.high
    if series.grid == "log":
        unit = max(abs(low), abs(high)) / LOG_DECADES
        x = np.copysign(np.log1p(np.abs(x) / unit), x)
        low, high = (math.copysign(math.log1p(abs(v) / unit), v) for v in (low, high))
    return np.asarray((x - low) / (high - low))


def arranged(histories: Histories, ids: NDArray[np.object_], wanted: NDArray[np.object_]) -> Histories:
    """The histories in the order of the ``wanted`` ids; an enterprise without a history has only gaps.

    Raises:
        DataError: an id has two histories.
    """
    place = pd.Index(ids)
    if not place.is_unique:
        raise DataError("histories: an id occurs more than once; keep one row per enterprise")
    at = place.get_indexer(pd.Index(wanted))
    out = np.full((len(wanted), *histories.shape[1:]), np.nan, dtype=np.float32)
    out[at >= 0] = histories[at[at >= 0]]
    return out
