"""Columns for statistics: where an enterprise is, what it does, how large it is, and what a bank's loan is worth.

No model uses them (``feature = false`` in the dictionary), and they are drawn from streams of their own, so that every
other column and every model study stays as it is without them. Categories are public and the same at all institutions.
"""

from typing import Any

import numpy as np

from sim_institutions.block import Block
from sim_institutions.geography import COUNTIES, PREFECTURES, SECTORS
from sim_institutions.observations import Category, Observations, Sheet, growth_of_quarter
from sim_institutions.profiles import Bank
from sim_institutions.random_streams import Floats, Ints, logistic, moving, noisy, normal, significant

INDUSTRIES = (
    "retail",
    "wholesale",
    "catering",
    "transport",
    "ceramics",
    "food processing",
    "textiles",
    "battery materials",
    "fruit",
    "grain and livestock",
    "handicrafts",
    "software and technology",
)
# The first industry of each sector, and how an ordinary enterprise's industries are spread within its sector.
FIRST_INDUSTRY = (0, 4, 8, 10, 12)
SPREAD = ((0.45, 0.2, 0.2, 0.15), (0.15, 0.35, 0.3, 0.2), (0.3, 0.7), (0.6, 0.4))
# Industries of the members of each cluster, by sector: ceramics (works and crafts), navel oranges, lithium.
CLUSTER_INDUSTRY = ({1: 4, 3: 10}, {2: 8}, {1: 7})
SIZE_CLASSES = ("micro", "small", "medium")
# On the log scale of `Enterprises.size`.
SIZE_EDGES = np.array([0.4, 1.6], dtype=np.float32)
PLACE = ("county", "prefecture", "sector")
FULL = (*PLACE, "industry", "size_class")

GRADES = tuple(f"g{i}" for i in range(1, 9))
# Highest probability of default of the grades g1 to g7.
GRADE_EDGES = np.array([0.005, 0.01, 0.02, 0.035, 0.06, 0.1, 0.18], dtype=np.float32)
# Mean and standard deviation of the log-odds of default over all enterprises (up to the profile's constant), and the
# correlation of a bank's own view of them with the truth.
RISK_MEAN, RISK_SPREAD, RATED = -0.3, 2.4, 0.75
SHARE_GUARANTEED, SHARE_SPREAD = 0.6, 0.15
# Share of an exposure that is lost in the end: of unsecured and of secured loans, and its precision (beta).
LOST, LOST_SECURED, LOST_PRECISION = 0.6, 0.35, 6.0


def _category(name: str, meaning: str, categories: tuple[str, ...]) -> dict[str, Any]:
    kept = {"name": name, "kind": "category", "meaning": meaning}
    return {**kept, "categories": list(categories), "feature": False}


def _number(name: str, unit: str, meaning: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    kept = {"name": name, "kind": "number", "unit": unit, "meaning": meaning, "low": low, "high": high}
    return {**kept, **more, "feature": False}


def flag(name: str, meaning: str) -> dict[str, Any]:
    """A column for statistics that is yes or no."""
    return {"name": name, "kind": "flag", "meaning": meaning, "feature": False}


COLUMNS = {
    c["name"]: c
    for c in (
        _category("county", "county of the site", COUNTIES),
        _category("prefecture", "prefecture of the site", PREFECTURES),
        _category("sector", "sector of the register", SECTORS),
        _category("industry", "industry, a part of its sector", INDUSTRIES),
        _category("size_class", "size class of the register", SIZE_CLASSES),
        _number("invoice_growth_quarter", "share", "amount invoiced in 3 months on the year before", -1, 2),
        _number("load_growth_quarter", "share", "load of the last 3 months on the year before", -1, 2),
        _number(
            "headcount_growth_quarter", "share", "headcount of the last 3 months on the year before", -1, 2
        ),
        _number("order_growth_quarter", "share", "orders of the last 3 months on the year before", -1, 2),
        _number("payment_growth_quarter", "share", "payments of the last 3 months on the year before", -1, 2),
        _number("turnover_growth_quarter", "share", "account turnover of 3 months on the year before", -1, 2),
        _category("grade", "grade of the bank's own rating, g1 the best", GRADES),
        _number("exposure", "yuan", "outstanding amount", 0, 500_000),
        _number("default_probability", "share", "within 12 months, by the bank's own rating", 0, 1),
        _number("loss_given_default", "share", "of the exposure, as the bank expects", 0, 1),
        _number("expected_loss", "yuan", "exposure x default probability x loss given default", 0, 100_000),
        flag("guaranteed", "a guarantor stands behind the loan"),
        _number("share_guaranteed", "share", "share of the loan that is guaranteed", 0, 1),
        flag("defaulted", "became over 90 days late in the period that the loss columns cover"),
        _number(
            "matured_loss", "yuan", "lost on loans that defaulted in the period, less recoveries", 0, 500_000
        ),
        _number("recovered", "yuan", "recovered of loans that defaulted in the period", 0, 500_000),
    )
}
"""By name, as they stand in dictionaries."""

LOAN = (
    "grade",
    "exposure",
    "default_probability",
    "loss_given_default",
    "expected_loss",
    "guaranteed",
    "share_guaranteed",
    "defaulted",
    "matured_loss",
    "recovered",
)
"""Columns of banks alone."""

QUARTERS = {
    "invoice_growth_quarter": "invoice_amount",
    "load_growth_quarter": "load",
    "headcount_growth_quarter": "headcount",
    "order_growth_quarter": "orders",
    "payment_growth_quarter": "payments",
    "turnover_growth_quarter": "turnover",
}
"""Growth over the last quarter, and the series that it is computed from."""


def with_cells(
    block: Block, observed: Observations, names: tuple[str, ...], rng: np.random.Generator, bank: int | None
) -> Observations:
    """What an institution observes, and the columns ``names`` for statistics, in this order, after its others.

    bank: the bank's number in the profile, or None. rng: of these columns alone.
    """
    taste = None if bank is None else block.profile.banks[bank]
    sheet = Sheet(block.enterprises, observed.rows, rng, 1.0 if taste is None else taste.sloppy)
    drawn = _place(block, sheet)
    drawn |= {n: _quarter(observed, series) for n, series in QUARTERS.items() if series in observed.histories}
    if bank is not None and taste is not None:
        drawn |= _loan(block, observed, bank, taste, sheet, rng)
    more = {name: drawn[name] for name in names if name not in observed.columns}
    return Observations(observed.rows, {**observed.columns, **more}, observed.histories)


def industries(block: Block) -> Ints:
    """Industry of each enterprise, (n,): the same at all institutions."""
    enterprises = block.enterprises
    at = block.fixed("industry")
    out = np.empty(len(enterprises), dtype=np.int64)
    for sector, spread in enumerate(SPREAD):
        rows = enterprises.sector == sector
        bounds = np.cumsum(spread)[:-1]
        out[rows] = FIRST_INDUSTRY[sector] + np.searchsorted(bounds, at[rows], side="right")
    for cluster, by_sector in enumerate(CLUSTER_INDUSTRY):
        for sector, industry in by_sector.items():
            out[(enterprises.cluster == cluster) & (enterprises.sector == sector)] = industry
    return out


def _place(block: Block, sheet: Sheet) -> dict[str, Floats | Category]:
    """Place, industry and size; a few are missing."""
    enterprises, rows = block.enterprises, sheet.rows
    sheet.category("county", enterprises.county[rows], COUNTIES, gap=0.003)
    sheet.category("prefecture", enterprises.prefecture[rows], PREFECTURES)
    sheet.category("sector", enterprises.sector[rows], SECTORS, gap=0.003)
    sheet.category("industry", industries(block)[rows], INDUSTRIES, gap=0.01)
    sheet.category("size_class", np.searchsorted(SIZE_EDGES, enterprises.size[rows]), SIZE_CLASSES, gap=0.005)
    # The prefecture follows from the county, so it is missing with it.
    missing = sheet.codes("county") < 0
    sheet.columns["prefecture"] = Category(np.where(missing, -1, enterprises.prefecture[rows]), PREFECTURES)
    return sheet.columns


def _quarter(observed: Observations, series: str) -> Floats:
    return significant(np.clip(growth_of_quarter(observed.histories[series]), -1, 2), 3)


def _loan(
    block: Block, observed: Observations, bank: int, taste: Bank, sheet: Sheet, rng: np.random.Generator
) -> dict[str, Floats | Category]:
    """What the bank keeps of each loan: its own rating, exposure, and what was lost."""
    rows, n = observed.rows, len(observed.rows)
    rated = RATED / np.sqrt(taste.blind)
    probability = own_probability(block, rows, rated, rng)
    use = observed.numbers("limit_use")
    filled = np.where(np.isnan(use), logistic(normal(rng, n)), use)
    exposure = np.round(observed.numbers("credit_limit") * np.clip(0.15 + 0.85 * filled, 0, 1), -2)
    expected = np.where(observed.numbers("secured") == 1, LOST_SECURED, LOST).astype(np.float32)
    expected = np.clip(expected + 0.05 * normal(rng, n), 0.05, 0.95)
    lost = rng.beta(LOST_PRECISION * expected, LOST_PRECISION * (1 - expected)).astype(np.float32)
    guaranteed = block.guaranteed[rows]
    share = np.clip(SHARE_GUARANTEED + SHARE_SPREAD * normal(rng, n), 0.1, 0.9) * guaranteed
    fallen = block.came_due[rows, bank]
    loss = np.round(exposure * lost * fallen)
    rounded = significant(probability, 3), significant(expected, 2)
    sheet.category("grade", np.searchsorted(GRADE_EDGES, probability), GRADES, gap=0.01)
    sheet.columns |= {
        "exposure": exposure.astype(np.float32),
        "default_probability": rounded[0],
        "loss_given_default": rounded[1],
        "expected_loss": significant(exposure * rounded[0] * rounded[1], 4),
        "guaranteed": guaranteed.astype(np.float32),
        "share_guaranteed": significant(share, 2),
        "defaulted": fallen.astype(np.float32),
        "matured_loss": loss.astype(np.float32),
        "recovered": (exposure * fallen - loss).astype(np.float32),
    }
    return sheet.columns


def own_probability(block: Block, rows: Ints, rated: float, rng: np.random.Generator) -> Floats:
    """Probability of default by a rating whose view of the log-odds has the correlation ``rated`` with the truth.

    The mean of logistic(x) over what is not seen of x is by the probit approximation (MacKay 1992).
    """
    true = (block.health.risk[rows] - RISK_MEAN) / RISK_SPREAD
    seen = noisy(true.astype(np.float32), rated, moving(rng))
    unseen = RISK_SPREAD**2 * (1 - rated**2)
    mean = block.intercept + RISK_MEAN + RISK_SPREAD * rated * seen
    level = logistic(block.health.risk[rows] + np.float32(block.intercept)).mean() if len(rows) else 0.5
    return np.clip(_levelled(mean / np.sqrt(1 + np.pi / 8 * unseen), float(level)), 0.0005, 0.9999)


def _levelled(odds: Floats, level: float) -> Floats:
    """Probabilities whose mean is ``level``: a bank knows how its own portfolio fares."""
    low, high = -8.0, 8.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if logistic(odds + middle).mean() > level else (middle, high)
    return logistic(odds + low)
