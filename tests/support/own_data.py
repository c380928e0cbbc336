"""Two tables as institutions have them: a bank's loans with 40 columns, and a tax office's export from a spreadsheet."""

from pathlib import Path

import numpy as np
import pandas as pd

from fedrisk.alignment.ids import USCC_ALPHABET, uscc_check_character


def code(k: int) -> str:
    """A unified social credit code of a district that is not assigned."""
    digits = ""
    for _ in range(9):
        k, rest = divmod(k, 31)
        digits = USCC_ALPHABET[rest] + digits
    first = "91999900" + digits
    return first + uscc_check_character(first)


def write_own_data(folder: Path, rows: int = 30_000, seed: int = 3) -> None:
    """Write ``data/loans.csv`` and ``data/tax.csv`` below the folder."""
    rng = np.random.default_rng(seed)
    ids = np.array([code(10_000 + 7 * k) for k in range(rows)])
    risk = rng.normal(size=rows)
    bad = (rng.random(rows) < 1 / (1 + np.exp(3.0 - 1.1 * risk))).astype(int)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    loans(rng, ids, risk, bad).to_csv(folder / "data" / "loans.csv", index=False)
    known = rng.permutation(np.flatnonzero(rng.random(rows) < 0.85))
    office = tax(rng, ids, risk).iloc[known]
    # As a spreadsheet in a Chinese Windows with European numbers writes it.
    office.to_csv(folder / "data" / "tax.csv", index=False, sep=";", decimal=",", encoding="gb18030")


def loans(rng: np.random.Generator, ids: np.ndarray, risk: np.ndarray, bad: np.ndarray) -> pd.DataFrame:
    """The bank's table: KINDS says what each column is."""
    n = len(ids)

    def amount(level: float, slope: float) -> np.ndarray:
        return np.round(np.exp(level + slope * risk + rng.normal(size=n)), 2)

    def day(start: str) -> pd.Series:
        return (pd.Timestamp(start) + pd.to_timedelta(rng.integers(0, 700, n), unit="D")).strftime("%Y-%m-%d")

    since = rng.integers(0, 110, n).astype(float)
    since[rng.random(n) < 0.7] = -9
    since[rng.random(n) < 0.05] = -8
    columns: dict[str, object] = {
        "uscc": ids,
        "branch": rng.choice([f"{p:02d}{b:02d}" for p in (1, 2, 3) for b in range(60)], n),
        "opened": day("2022-01-01"),
        "approved": day("2024-01-01"),
        "product": rng.choice(
            ["credit line", "invoice loan", "mortgage", "micro loan"], n, p=[0.4, 0.3, 0.2, 0.1]
        ),
        "行业": rng.choice(["贸易", "制造", "农业", "手工业"], n),
        "secured": rng.choice(["Y", "N"], n),
        "guarantor": rng.integers(0, 2, n),
        "rating": rng.integers(1, 8, n),
        "months_since_default": since.astype(int),
        "days_late_max": np.maximum(0, np.round(20 * rng.normal(size=n) + 15 * risk)).astype(int),
        "inquiries": rng.poisson(np.exp(0.4 * risk)),
        "limit": amount(12.0, -0.3),
        "limit_used": np.clip(0.5 + 0.15 * risk + 0.2 * rng.normal(size=n), 0, 1).round(4),
        "rate_percent": np.clip(5 + 0.8 * risk + rng.normal(size=n), 2, 24).round(2),
        "owner_age": np.clip(45 + 10 * rng.normal(size=n), 19, 88).astype(int),
        "founded_year": rng.integers(1985, 2024, n),
        "empty": np.full(n, np.nan),
        "currency": np.full(n, "CNY"),
        "contact_phone": [f"139{k:08d}" for k in rng.integers(0, 10**8, n)],
        "note": [f"visited, see file {k}" for k in rng.integers(0, 10**7, n)],
        "loan_no": np.arange(n) + 5_000_000,
    }
    for k in range(1, 10):
        columns[f"turnover_m{k}"] = amount(11.0, -0.2)
    for k in range(1, 9):
        columns[f"balance_m{k}"] = np.round(20_000 * rng.standard_t(3, size=n) - 4_000 * risk, 2)
    columns["bad"] = bad
    return pd.DataFrame(columns)


KINDS = {
    **dict.fromkeys(["branch", "empty", "currency", "contact_phone", "note", "loan_no"], "left out"),
    **dict.fromkeys(["opened", "approved"], "date"),
    **dict.fromkeys(["product", "行业"], "category"),
    **dict.fromkeys(["secured", "guarantor"], "flag"),
    **dict.fromkeys(["rating", "months_since_default", "days_late_max", "inquiries", "limit"], "number"),
    **dict.fromkeys(["limit_used", "rate_percent", "owner_age", "founded_year"], "number"),
    **{f"turnover_m{k}": "number" for k in range(1, 10)},
    **{f"balance_m{k}": "number" for k in range(1, 9)},
}
"""What each column of the loans is, id and label aside."""


def tax(rng: np.random.Generator, ids: np.ndarray, risk: np.ndarray) -> pd.DataFrame:
    """The tax office's table, with Chinese names."""
    n = len(ids)
    grade = np.array(["A", "B", "C", "D", "M"])[
        np.clip(np.round(1.5 + 0.8 * risk + rng.normal(size=n)), 0, 4).astype(int)
    ]
    return pd.DataFrame(
        {
            "统一社会信用代码": ids,
            "纳税信用": grade,
            "年销售收入": np.round(np.exp(13 - 0.5 * risk + rng.normal(size=n)), 2),
            "未申报月数": np.minimum(12, rng.poisson(np.exp(-1 + 0.6 * risk))),
            "开票金额": np.round(np.exp(12 - 0.4 * risk + rng.normal(size=n)), 2),
            "欠税": (rng.random(n) < 0.04).astype(int),
        }
    )
