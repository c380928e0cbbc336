"""The figures of a statistics study as files: CSV and Parquet, a row for each figure."""

import io
from dataclasses import replace

import pandas as pd

from fedrisk.analysis.estimates import Estimates
from fedrisk.releases.statistics import CSV, PARQUET
from fedrisk.study import NO_PRIVACY


def result_files(found: Estimates) -> dict[str, bytes]:
    """Content by name of file. Empty cells of a figure: it says less than its noise (``says``), in both files.

    Columns as of :class:`~fedrisk.analysis.estimates.Estimates`; ``notice`` says in each row of a research run that
    there is no privacy.
    """
    frame = _noted(found)
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    # Excel reads UTF-8 with its mark alone.
    return {CSV: frame.to_csv(index=False).encode("utf-8-sig"), PARQUET: out.getvalue()}


def plain_rows(found: Estimates, only: pd.DataFrame | None = None) -> list[dict[str, object]]:
    """The same rows for JSON; what is not there is null. only: some of the rows and columns of its frame."""
    frame = _noted(found if only is None else replace(found, frame=only)).astype(object)
    rows: list[dict[str, object]] = [
        {str(k): v for k, v in row.items()} for row in frame.where(frame.notna(), None).to_dict("records")
    ]
    return rows


def _noted(found: Estimates) -> pd.DataFrame:
    frame = found.frame.replace([float("inf"), float("-inf")], float("nan"))
    return frame.assign(notice=NO_PRIVACY) if found.research else frame
