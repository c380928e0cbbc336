"""What each institution sees: noisy, partial columns of its own facet, with gaps, and their dictionaries.

Amounts grow with the size of a firm and have heavy tails; counts are small and mostly zero; a holder knows
most enterprises but not all, also such that are not the bank's customers. Bounds and edges are public: they
follow from what the columns mean, not from the values drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sim_institutions.enterprises import SECTORS, Enterprises, stream

Floats = npt.NDArray[np.float64]

COVERAGE = 0.92
COUNTS = [0.5, 1.5, 2.5, 4.5, 7.5]


@dataclass(frozen=True)
class View:
    """One institution: its role, what its file says besides the table, and how its columns arise."""

    name: str
    kind: str
    title: str
    columns: tuple[dict[str, Any], ...]
    values: Callable[[Enterprises, np.random.Generator], dict[str, Any]]
    gaps: dict[str, float]
    label: dict[str, Any] | None = None


def table(view: View, everyone: Enterprises, seed: int) -> pa.Table:
    """The institution's table: its own enterprises in its own order, with gaps."""
    rng = stream(seed, view.name)
    n = len(everyone.ids)
    rows = everyone.customer if view.label else stream(seed, view.name, "coverage").random(n) < COVERAGE
    order = stream(seed, view.name, "order").permutation(np.flatnonzero(rows))
    # A firm whose data are thin in one column tends to be thin in the next.
    thin = np.exp(stream(seed, view.name, "thin").normal(size=n) - 0.5)
    columns = {"uscc": pa.array(everyone.ids[order], pa.string())}
    for name, values in view.values(everyone, rng).items():
        gap = stream(seed, view.name, name).random(n) < view.gaps.get(name, 0.0) * thin
        columns[name] = pa.array(values[order], mask=gap[order])
    if view.label:
        columns[view.label["column"]] = pa.array(everyone.default[order].astype(np.int8))
    return pa.table(columns)


def _noisy(facet: Floats, share: float, rng: np.random.Generator) -> Floats:
    """A column of variance 1 whose correlation with the facet is ``share``."""
    return share * facet + np.sqrt(1 - share**2) * rng.normal(size=len(facet))


def _count(level: Floats, rng: np.random.Generator, most: int) -> npt.NDArray[np.int64]:
    return np.minimum(rng.poisson(np.exp(np.minimum(level, 4.0))), most)


def _share(level: Floats) -> Floats:
    return np.round(1 / (1 + np.exp(-level)), 4)


def _bank(e: Enterprises, rng: np.random.Generator) -> dict[str, Any]:
    limit = np.round(np.clip(np.exp(12.0 + 0.6 * e.size + 0.3 * rng.normal(size=len(e.size))), 2e4, 5e6), -3)
    return {
        "credit_limit": limit,
        "limit_use": _share(0.2 - 1.1 * _noisy(e.liquidity, 0.6, rng)),
        "monthly_turnover": np.round(np.exp(11.2 + 0.9 * e.size + 0.7 * _noisy(e.liquidity, 0.5, rng))),
        "turnover_variation": np.round(0.42 * np.exp(-0.35 * _noisy(e.liquidity, 0.45, rng)), 3),
        "overdraft_days": _count(-0.9 - 1.0 * _noisy(e.liquidity, 0.6, rng), rng, 90),
        "loan_term": rng.choice([3, 6, 9, 12], size=len(e.size), p=[0.15, 0.3, 0.15, 0.4]),
        "tenure": np.round(e.age * rng.beta(2, 2, len(e.size)), 1),
        "secured": rng.random(len(e.size)) < 0.35,
    }


def _tax_office(e: Enterprises, rng: np.random.Generator) -> dict[str, Any]:
    invoices = np.exp(13.5 + 1.0 * e.size + 0.5 * _noisy(e.sales, 0.5, rng))
    return {
        "sector": np.array(SECTORS, dtype=object)[e.sector],
        "invoice_amount": np.round(invoices),
        "invoice_growth": np.round(0.05 + 0.22 * _noisy(e.sales, 0.6, rng) * np.exp(-0.1 * e.size), 4),
        "invoice_variation": np.round(0.5 * np.exp(-0.4 * _noisy(e.sales, 0.5, rng)), 3),
        "filing_gaps": _count(-2.0 - 1.0 * _noisy(e.sales, 0.6, rng), rng, 12),
        "tax_paid": np.round(invoices * 0.03 * np.exp(0.5 * _noisy(e.sales, 0.5, rng))),
        "customer_concentration": _share(-1.0 - 0.6 * _noisy(e.sales, 0.4, rng) - 0.4 * e.size),
    }


def _power_utility(e: Enterprises, rng: np.random.Generator) -> dict[str, Any]:
    heavy = np.take([0.0, 1.6, 0.4, 0.8], e.sector)
    return {
        "monthly_load": np.round(np.exp(7.0 + heavy + 0.8 * e.size + 0.5 * _noisy(e.activity, 0.5, rng)), 1),
        "load_trend": np.round(0.02 + 0.2 * _noisy(e.activity, 0.65, rng), 4),
        "load_variation": np.round(0.35 * np.exp(-0.35 * _noisy(e.activity, 0.55, rng)), 3),
        "night_share": _share(-1.2 + 0.4 * heavy + 0.4 * _noisy(e.activity, 0.4, rng)),
        "outages": _count(-0.7 + 0.3 * rng.normal(size=len(e.size)), rng, 20),
        "late_bills": _count(-2.4 - 1.1 * _noisy(e.activity, 0.6, rng), rng, 12),
    }


def _number(name: str, unit: str, meaning: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "number", "unit": unit, "meaning": meaning, **more}


BANK = View(
    "bank",
    "bank",
    "a regional bank: loans, labels and account behaviour",
    (
        _number("credit_limit", "yuan", "limit granted", low=1e4, high=1e7, grid="log"),
        _number("limit_use", "share", "mean use of the limit over 12 months", low=0, high=1),
        _number("monthly_turnover", "yuan", "mean account turnover a month", low=1e2, high=1e8, grid="log"),
        _number("turnover_variation", "ratio", "standard deviation over mean of turnover", low=0, high=3),
        _number("overdraft_days", "days", "days overdrawn in 12 months", low=0, high=90, bins=COUNTS),
        _number("loan_term", "months", "term of the loan", low=1, high=36, bins=[4.5, 7.5, 10.5]),
        _number("tenure", "years", "years as a customer", low=0, high=40),
        {"name": "secured", "kind": "flag", "meaning": "the loan is secured by collateral"},
    ),
    _bank,
    {"limit_use": 0.03, "monthly_turnover": 0.02, "turnover_variation": 0.05, "tenure": 0.01},
    {
        "column": "late_90_days",
        "positive": [1],
        "negative": [0],
        "horizon": "over 90 days late within 12 months",
        "selection": "labels exist for enterprises to which the bank granted a loan",
    },
)

TAX_OFFICE = View(
    "tax_office",
    "holder",
    "the tax office: invoices and filings of the last 12 months",
    (
        {
            "name": "sector",
            "kind": "category",
            "meaning": "sector of the register",
            "categories": list(SECTORS),
        },
        _number("invoice_amount", "yuan", "amount invoiced in 12 months", low=1e3, high=1e10, grid="log"),
        _number("invoice_growth", "share", "growth of invoices on the year before", low=-1, high=2),
        _number("invoice_variation", "ratio", "standard deviation over mean by month", low=0, high=5),
        _number("filing_gaps", "months", "months without a filing", low=0, high=12, bins=COUNTS),
        _number("tax_paid", "yuan", "tax paid in 12 months", low=0, high=1e9, grid="log"),
        _number("customer_concentration", "share", "share of the largest three customers", low=0, high=1),
    ),
    _tax_office,
    {"invoice_growth": 0.06, "invoice_variation": 0.03, "customer_concentration": 0.08},
)

POWER_UTILITY = View(
    "power_utility",
    "holder",
    "the power utility: load and bills of the last 12 months",
    (
        _number("monthly_load", "kWh", "mean load a month", low=1, high=1e7, grid="log"),
        _number("load_trend", "share", "change of load on the year before", low=-1, high=2),
        _number("load_variation", "ratio", "standard deviation over mean by month", low=0, high=3),
        _number("night_share", "share", "share of load between 22 and 6 h", low=0, high=1),
        _number("outages", "count", "outages in 12 months", low=0, high=20, bins=COUNTS[:4]),
        _number("late_bills", "count", "bills paid late in 12 months", low=0, high=12, bins=COUNTS[:4]),
    ),
    _power_utility,
    {"load_trend": 0.05, "night_share": 0.07, "load_variation": 0.03},
)

VIEWS = (BANK, TAX_OFFICE, POWER_UTILITY)
