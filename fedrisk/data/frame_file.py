"""A DataFrame as the file that an institution keeps its table in."""

import io
from typing import Any

import pandas as pd
import pyarrow as pa

from fedrisk.errors import DataError


def parquet_of(name: str, frame: pd.DataFrame) -> bytes:
    """A DataFrame as a Parquet file; DataError where a column has values of several kinds."""
    content = io.BytesIO()
    broken = ""
    try:
        frame.set_axis([str(c) for c in frame.columns], axis=1).to_parquet(content, index=False)
    except (pa.ArrowException, ValueError, TypeError):
        # The reader's own words quote values.
        broken = next((str(c) for c in frame.columns if not _writable(frame[c])), "(its names)")
    if broken:
        raise DataError(
            f"table of {name}: column {broken} has values of several kinds, or its name stands twice; bring it to one "
            "kind, for example with astype(str)"
        )
    return content.getvalue()


def _writable(values: "pd.Series[Any]") -> bool:
    try:
        pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError):
        return False
    return True
