"""A small province that moves on: 1,200 enterprises, four months, a planted shift."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import pyarrow.parquet as pq

from sim_institutions.__main__ import main

ENTERPRISES, MONTHS, SEED = 1200, 4, 1
SHIFT = "tax_office.invoice_amount:m03:1"


def write(out: Path, months: int = MONTHS, *more: str, shift: str | None = SHIFT) -> Path:
    """The province below ``out``; more: further options."""
    options = {"enterprises": ENTERPRISES, "months": months, "seed": SEED, "out": out, "workers": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    main([*words, *(["--shift", shift] if shift else []), *more])
    return out


def read(out: Path, *place: str) -> pd.DataFrame:
    """A table, by folders and name, such as ``read(out, "m01", "data", "city_bank")``."""
    return pq.read_table(out.joinpath(*place).with_suffix(".parquet")).to_pandas()


@cache
def at_hand() -> Path:
    """The province, written once a session; not to be changed."""
    return write(Path(mkdtemp(prefix="moving_")))
