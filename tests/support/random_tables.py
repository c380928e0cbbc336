"""Small random tables with columns of all the kinds that institutions have."""

import numpy as np
import pandas as pd

from support.own_data import code


def random_table(seed: int, rows: int = 400) -> pd.DataFrame:
    """An id, an outcome ``bad``, and a random choice of columns, some of them odd."""
    rng = np.random.default_rng(seed)
    makers = list(MAKERS)
    chosen = rng.choice(len(makers), size=int(rng.integers(3, 9)))
    frame = {"uscc": [code(int(k)) for k in rng.permutation(10 * rows)[:rows]]}
    for place, k in enumerate(chosen):
        name = f"{makers[k]}_{place}" if rng.random() < 0.8 else f" {makers[k]} ({place})"
        values = pd.Series(MAKERS[makers[k]](rng, rows), dtype=object)
        if rng.random() < 0.4:
            values[rng.random(rows) < 0.1] = None
        frame[name] = values.to_numpy()
    frame["bad"] = (rng.random(rows) < 0.2).astype(int)
    return pd.DataFrame(frame)


def _codes(rng, rows):
    values = np.round(np.exp(rng.normal(3, 1, rows)), 1).astype(object)
    values[rng.random(rows) < 0.2] = rng.choice([-9, -999, -1])
    return values


MAKERS = {
    "amount": lambda rng, n: np.round(np.exp(rng.normal(8, 2, n)), 2),
    "balance": lambda rng, n: np.round(1000 * rng.standard_t(2, n), 2),
    "share": lambda rng, n: rng.random(n).round(4),
    "narrow": lambda rng, n: (0.6 + 0.001 * rng.standard_t(2, n)).round(6),
    "tiny": lambda rng, n: rng.random(n) * 1e-9,
    "huge": lambda rng, n: rng.random(n) * 1e15,
    "count": lambda rng, n: rng.poisson(2, n),
    "grade": lambda rng, n: rng.integers(1, 7, n),
    "below_zero": lambda rng, n: rng.integers(-2, 9, n),
    "since": _codes,
    "months_99": lambda rng, n: np.where(rng.random(n) < 0.1, 99, rng.integers(0, 40, n)),
    "yes": lambda rng, n: rng.choice(["Y", "N"], n),
    "flag": lambda rng, n: rng.integers(0, 2, n),
    "mostly": lambda rng, n: np.where(rng.random(n) < 0.995, 0, 1),
    "sector": lambda rng, n: rng.choice(["贸易", "制造", "农业", 'with "quotes"', "back\\slash"], n),
    "long_tail": lambda rng, n: rng.choice([f"place {k}" for k in range(30)], n, p=np.arange(1, 31) / 465),
    "region": lambda rng, n: rng.choice(["NA", "EU", "AS"], n),
    "branch": lambda rng, n: rng.choice(["0101", "0102", "1001"], n),
    "zip": lambda rng, n: rng.integers(10_000, 99_999, n),
    "name": lambda rng, n: [f"Li Wei {k}" for k in rng.integers(0, 10**6, n)],
    "day": lambda rng, n: (
        pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    ).strftime("%Y-%m-%d"),
    "day_last": lambda rng, n: [
        f"{d}/{m}/2024" for d, m in zip(rng.integers(1, 29, n), rng.integers(1, 13, n), strict=True)
    ],
    "compact_day": lambda rng, n: [
        f"2024{m:02d}{d:02d}" for d, m in zip(rng.integers(1, 29, n), rng.integers(1, 13, n), strict=True)
    ],
    "empty": lambda rng, n: [None] * n,
    "constant": lambda rng, n: ["x"] * n,
    "some_words": lambda rng, n: np.where(rng.random(n) < 0.03, "n/k", rng.integers(0, 1000, n).astype(str)),
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.97, 0.0, np.exp(rng.normal(5, 1, n)).round(2)),
    "year": lambda rng, n: rng.integers(1990, 2025, n),
    "age": lambda rng, n: rng.integers(19, 80, n),
}
