"""What institutions have for an operating health index where a province moves on: label, columns, the choice of them.

The label ``strained``: the account was overdrawn on more than three days of a year, or the bank's own grade is g6 or
worse. It says how an enterprise fares now, and about every second one has it.

Amounts and numbers of invoices say how large an enterprise is before they say how it fares, and the share of load at
night which sector it is in. So there are ratios: the tax paid as a share of what is invoiced, how many invoices there
are for their mean amount (large enterprises write more of them and larger ones), and the share of load at night over
that of the load profile that is published for the sector.

Few columns count, and they say different things: each has noise of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sim_institutions.cells import GRADES
from sim_institutions.observations import Observations
from sim_institutions.random_streams import Floats, coarse, significant
from sim_institutions.views.banks import STRAINED_LABEL

TAX_OFFICE, POWER_UTILITY = "tax_office", "power_utility"
OVERDRAWN = 3
WORST_GRADE = "g6"
STRAINED: dict[str, Any] = {
    "name": STRAINED_LABEL,
    "column": STRAINED_LABEL,
    "positive": [1],
    "negative": [0],
    "horizon": "now: overdrawn on more than three days of the last year, or own grade g6 or worse",
    "meaning": "money is tight, as the account or the bank's own grade shows",
    "meaning_zh": "资金紧张：账户一年内透支超过三天，或本行评级为g6及以下",
    "selection": "labels exist for enterprises to which the bank granted a loan",
}
STRAINED_SHARE = 0.5
"""Share of borrowers with that label."""

BURDEN: Mapping[str, Any] = {
    "name": "tax_burden",
    "kind": "number",
    "unit": "share",
    "meaning": "tax paid in 12 months, as a share of the amount invoiced",
    "meaning_zh": "近12个月纳税额占开票金额的比例",
    "low": 0,
    "high": 0.2,
    "bins": [0.006, 0.009, 0.012, 0.014, 0.016, 0.018, 0.02, 0.0225, 0.025, 0.028, 0.032, 0.037, 0.045, 0.06],
    "direction": "decreasing",
}
PROFILE = (0.214, 0.354, 0.241, 0.279)
"""Share of load at night in the load profiles that the power utility publishes, by sector: constants of no table."""
NIGHT: Mapping[str, Any] = {
    "name": "night_ratio",
    "kind": "number",
    "unit": "ratio",
    "meaning": "share of load between 22 and 6 h, over that of the published load profile of its sector",
    "meaning_zh": "22时至6时用电占比与所属行业公布的标准负荷曲线占比之比",
    "low": 0,
    "high": 5,
    "bins": [0.45, 0.55, 0.63, 0.7, 0.77, 0.84, 0.92, 1.0, 1.08, 1.17, 1.28, 1.4, 1.55, 1.8],
    "direction": "decreasing",
}
OWN: dict[str, tuple[Mapping[str, Any], ...]] = {TAX_OFFICE: (BURDEN,), POWER_UTILITY: (NIGHT,)}
"""Columns of the tables, by institution."""

DENSITY = "invoice_density"
DENSITY_SERIES: Mapping[str, Any] = {
    "name": DENSITY,
    "unit": "invoices for each 1,000 yuan of their mean amount",
    "low": 0,
    "high": 100_000,
}
LEVEL: Mapping[str, Any] = {"kind": "level", "months": 6, "bins": 10}
GAPS: Mapping[str, Any] = {"name": "year_gaps", "kind": "gaps", "months": 12}
KINDS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "invoices": (LEVEL, GAPS),
    DENSITY: (LEVEL,),
    "load": (LEVEL,),
    "headcount": (LEVEL, GAPS),
}
"""Columns of histories by series, beside those of `monthly.KINDS`; the longest look back is 15 months."""

COUNTED: dict[str, tuple[str, ...]] = {
    "tax_office": (
        "customer_concentration",
        "tax_burden",
        "invoices_level",
        "invoices_yearly_fall",
        "invoices_year_gaps",
        f"{DENSITY}_level",
    ),
    "power_utility": ("night_ratio", "late_bills", "load_level", "load_yearly_fall"),
    "social_insurance": (
        "staff_turnover",
        "headcount_level",
        "headcount_yearly_fall",
        "headcount_year_gaps",
    ),
    "registry": ("changes", "listed_abnormal", "chattel_mortgages"),
    "court": ("cases_as_defendant",),
}
"""What the index counts of each of these holders; of others it counts all."""


FOR_INDEX: dict[str, tuple[str, ...]] = {
    "tax_office": ("tax_burden", "invoices_level", "invoices_year_gaps", f"{DENSITY}_level"),
    "power_utility": ("night_ratio", "load_level"),
    "social_insurance": ("headcount_level", "headcount_year_gaps"),
}
"""Columns that other studies leave out."""


def with_index(office: str, found: Observations) -> Observations:
    """What an institution observes, with what it makes of its own records for an index."""
    if "overdraft_days" in found.columns:
        return replace(found, columns={**found.columns, STRAINED_LABEL: _strained(found)})
    if office == POWER_UTILITY:
        return replace(found, columns={**found.columns, "night_ratio": _night_ratio(found)})
    if office != TAX_OFFICE:
        return found
    paid, amount = found.numbers("tax_paid"), found.numbers("invoice_amount")
    burden = np.where(amount > 0, paid / np.where(amount > 0, amount, 1), np.nan).astype(np.float32)
    number, total = found.histories["invoices"], found.histories["invoice_amount"]
    mean = np.where(total > 0, total / np.where(number > 0, number, 1), 1.0)
    density = np.where(np.isnan(number), np.nan, np.where(number > 0, number / mean * 1000, 0.0))
    return replace(
        found,
        columns={**found.columns, "tax_burden": burden},
        histories={**found.histories, DENSITY: coarse(density.astype(np.float32))},
    )


def left_out(office: str, names: Iterable[str], *, index: bool) -> dict[str, str]:
    """What a study does not count of the columns of an institution, with the reason.

    index: whether the study is that of the index. Others leave out what is there for the index alone.
    """
    if not index:
        return {f"{office}.{name}": "for the index" for name in names if name in FOR_INDEX.get(office, ())}
    counted = COUNTED.get(office)
    return {
        f"{office}.{name}": "others say it as well"
        for name in names
        if counted is not None and name not in counted
    }


def _strained(found: Observations) -> Floats:
    grade = found.codes("grade")
    worst = grade >= GRADES.index(WORST_GRADE)
    strained: Floats = ((found.numbers("overdraft_days") > OVERDRAWN) | worst).astype(np.float32)
    return strained


def _night_ratio(found: Observations) -> Floats:
    """Unknown where the sector is."""
    sector = found.codes("sector")
    usual = np.where(sector >= 0, np.array(PROFILE, np.float32)[sector], np.float32(np.nan))
    ratio: Floats = significant((found.numbers("night_share") / usual).astype(np.float32), 3)
    return ratio
