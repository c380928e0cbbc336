"""A year of a watch that is made by hand: loans whose columns wander, one planted change, outcomes and a challenger."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.watching.history import CHALLENGER, SCORES, Kept
from fedrisk.watching.month import Month

MODEL, OTHER = "0123456789abcdef", "fedcba9876543210"
FIRST = Month(2025, 6)
COLUMNS = ("limit_use", "days_late", "debt_to_assets", "turnover")
EDGES = (-1.0, -0.4, 0.2, 0.9)


def node(name="city_bank"):
    """A bank that keeps nothing of the model's study."""
    return SimpleNamespace(
        name=name,
        institution=SimpleNamespace(watch=None, dictionary=None),
        store=SimpleNamespace(models=SimpleNamespace(has=lambda _model: False)),
    )


def bins(column):
    return Bins(Feature(institution="bank", column=column, low=-9, high=9), edges=EDGES, unknown=True)


def year(folder, *, loans=600, months=13, seed=1, shift=None, outcomes=True, challenger=True, gone=0.0):
    """A watch of so many months from FIRST on. shift: (column, number of the month, size). gone: part without a score."""
    rng, kept = np.random.default_rng(seed), Kept(folder).opened()
    x = rng.normal(size=(loans, len(COLUMNS)))
    ids = np.array([f"loan-{k:05d}" for k in range(loans)], object)
    born, told = loans, []
    for k in range(months):
        month = FIRST.minus(-k)
        x = 0.97 * x + np.sqrt(1 - 0.97**2) * rng.normal(size=x.shape)
        new = rng.random(loans) < 0.03
        x[new] = rng.normal(size=(new.sum(), len(COLUMNS)))
        ids[new] = [f"loan-{born + j:05d}" for j in range(new.sum())]
        born += int(new.sum())
        seen = x.copy()
        if shift is not None and k >= shift[1]:
            seen[:, COLUMNS.index(shift[0])] += shift[2]
        log_odds = -4.0 + seen @ np.array([0.8, 0.7, 0.4, -0.3])
        _month(kept, month, ids, log_odds, seen, gone, rng)
        if challenger:
            _keep(
                kept,
                month,
                ids,
                0.9 * log_odds + rng.normal(0, 0.4, loans) - 0.3,
                CHALLENGER,
                OTHER,
                0.0,
                rng,
            )
        if outcomes and k + 12 < months + 9:
            told.append(_outcomes(month, ids, log_odds, rng, part=1.0 if k < months - 8 else 0.3))
    if told:
        pa.parquet.write_table(
            pa.Table.from_pandas(pd.concat(told), preserve_index=False), kept.outcomes_file
        )
    return kept


def _outcomes(month, ids, log_odds, rng, part):
    late = rng.random(len(ids)) < 1 / (1 + np.exp(-log_odds))
    known = late | (rng.random(len(ids)) < part)
    rows = {"id": ids[known], "month": str(month), "outcome": late[known].astype(np.int8)}
    return pd.DataFrame(rows)


def _month(kept, month, ids, log_odds, seen, gone, rng):
    codes = np.searchsorted(EDGES, seen)
    table = {c: codes[:, j].astype(np.int16) for j, c in enumerate(COLUMNS)}
    kept.write_bins(month, pa.table({"id": ids, **table}))
    size = bins("a").size
    kept.write_own_columns(
        month,
        {
            c: {
                "bins": bins(c).to_dict(),
                "counts": np.bincount(table[c], minlength=size).tolist(),
                "shares": [0.159, 0.186, 0.234, 0.237, 0.184, 0, 0] if c != "turnover" else [],
            }
            for c in COLUMNS
        },
    )
    _keep(kept, month, ids, log_odds, SCORES, MODEL, gone, rng)


def _keep(kept, month, ids, log_odds, of, model, gone, rng):
    probability = 1 / (1 + np.exp(-log_odds))
    scored = rng.random(len(ids)) >= gone
    rows = pd.DataFrame(
        {
            "id": ids,
            "score": pd.array(np.where(scored, np.round(500 - 20 / np.log(2) * log_odds), 0), "Int32"),
            "probability": np.where(scored, probability, np.nan),
            "external_points": pd.array(np.zeros(len(ids)), "Int32"),
            "code": np.where(scored, "", "own_row"),
            **{f"reason_{k}": "days_late" if k == 1 else None for k in range(1, 5)},
        }
    )
    rows.loc[~scored, "score"] = pd.NA
    about = {
        "model": model,
        "name": "loans",
        "version": 3 if model == MODEL else 4,
        "rows": len(ids),
        "scored": int(scored.sum()),
        "codes": {"own_row": int((~scored).sum())} if not scored.all() else {},
    }
    kept.write_month(month, pa.Table.from_pandas(rows, preserve_index=False), about, of)
