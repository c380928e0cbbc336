"""What institutions' files have beside the usual where a province moves on: further labels, and columns of histories.

The columns are computed by the product from the monthly histories, as their kinds say (docs/history-columns.md); each
looks at 18 months at most. Their season is taken out by published indices (`seasons`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sim_institutions.cells import flag
from sim_institutions.index_columns import DENSITY_SERIES, OWN, STRAINED, TAX_OFFICE
from sim_institutions.index_columns import KINDS as INDEX_KINDS
from sim_institutions.institutions import Office
from sim_institutions.seasons import BY_SERIES
from sim_institutions.views.banks import ACTIVE, DISTRESS_LABEL, LATE_LABEL

# Kinds of columns and their keys, of a series that shows sales, and of one that follows them. Banks know of distress
# from its third month on (``since``); a series that follows sales falls later.
SALES: tuple[Mapping[str, Any], ...] = (
    {"kind": "fall", "months": 3, "before": 12},
    {"kind": "yearly_fall", "months": 3},
    {"kind": "lasting_fall", "months": 9, "before": 6},
    {"kind": "bunched_fall_evidence", "months": 9, "before": 9, "since": 2},
    {"kind": "irregularity", "months": 12},
    {"kind": "unmade_gaps", "months": 9},
    {"kind": "bunching_rise", "months": 6, "before": 9},
)
FOLLOWS: tuple[Mapping[str, Any], ...] = (
    {"kind": "fall", "months": 3, "before": 12},
    {"kind": "yearly_fall", "months": 3},
    {"kind": "lasting_fall", "months": 9, "before": 6},
    {"kind": "fall_evidence", "months": 9, "before": 9},
    {"kind": "trend", "months": 12},
)
KINDS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "invoices": SALES,
    "invoice_amount": (FOLLOWS[1], FOLLOWS[2]),
    "load": tuple({**one, "since": 1} if one["kind"] == "fall_evidence" else one for one in FOLLOWS),
    "headcount": (*FOLLOWS, {"kind": "gaps", "months": 9}),
    "orders": FOLLOWS,
    "payments": FOLLOWS,
}
"""By series."""

LABELS: tuple[dict[str, Any], ...] = (
    {
        "name": "distress",
        "column": DISTRESS_LABEL,
        "positive": [1],
        "negative": [0],
        "horizon": "found by the bank's workout within 3 months",
        "meaning": "in distress: sales have fallen and stay down",
        "meaning_zh": "经营陷入困境：销售下滑且未恢复",
        "selection": "labels exist for enterprises to which the bank granted a loan",
    },
    {
        "name": "late_30_days",
        "column": LATE_LABEL,
        "positive": [1],
        "negative": [0],
        "horizon": "over 30 days late within 3 months",
        "meaning": "an instalment became over 30 days late",
        "meaning_zh": "分期还款逾期超过30天",
        "selection": "labels exist for enterprises to which the bank granted a loan",
    },
)


def monthly(office: Office, months: int) -> Office:
    """The institution with what it has where months go on; months: of its histories, 0 where it has none."""
    if office.bank is not None:
        active = flag(ACTIVE, "the loan is outstanding and not fallen due")
        return replace(office, series=(), further=(active,), labels=(*LABELS, STRAINED))
    own = OWN.get(office.name, ())
    if not months or not office.series:
        return replace(office, series=(), further=own)
    series = tuple(
        {**one, "season": BY_SERIES[one["name"]]} if one["name"] in BY_SERIES else one
        for one in (*office.series, *((DENSITY_SERIES,) if office.name == TAX_OFFICE else ()))
    )
    computed = tuple(
        {**kind, "name": f"{one['name']}_{kind.get('name', kind['kind'])}", "history": one["name"]}
        for one in series
        for kind in (*KINDS.get(one["name"], ()), *INDEX_KINDS.get(one["name"], ()))
    )
    return replace(office, series=series, further=(*own, *computed), history_months=months)
