"""The institutions of a profile: name, role, dictionary templates, and the function that observes a block."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sim_institutions import views
from sim_institutions.block import Block
from sim_institutions.cells import COLUMNS, FULL, LOAN, PLACE, with_cells
from sim_institutions.geography import PREFECTURES
from sim_institutions.ids import Style
from sim_institutions.observations import Observations
from sim_institutions.profiles import Profile
from sim_institutions.random_streams import stream
from sim_institutions.views.banks import LABEL

TEMPLATES = Path(__file__).parent / "templates"
View = Callable[[Block, np.random.Generator], Observations]


@dataclass(frozen=True, kw_only=True)
class Office:
    """One institution.

    templates: files below ``templates/`` whose columns make its dictionary. view: what it observes of a
    block. style, odd: how it writes ids, and the share of rows in which it writes them so. wrong: share of
    ids with a mistyped character. series: monthly histories that a sequence encoder may be trained on, with
    their public bounds. cells: columns for statistics, which no model uses. bank: its number, or None.
    further: columns beside those that every simulation has. labels: a bank's, beside the usual one. history_months:
    months of ``[histories]``, of which columns are computed; None where encoders alone read histories.
    """

    name: str
    kind: str
    title: str
    templates: tuple[str, ...]
    view: View
    style: Style = "plain"
    odd: float = 0.4
    wrong: float = 0.0005
    series: tuple[Mapping[str, Any], ...] = ()
    cells: tuple[str, ...] = PLACE
    bank: int | None = None
    further: tuple[Mapping[str, Any], ...] = ()
    labels: tuple[Mapping[str, Any], ...] = ()
    history_months: int | None = None

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the institution's dictionary: those of models first, then those for statistics alone."""
        found = self.features
        known = {column["name"] for column in found}
        cells = [COLUMNS[name] for name in self.cells if name not in known]
        return found + cells + [dict(column) for column in self.further if "history" not in column]

    @property
    def computed(self) -> list[dict[str, Any]]:
        """The columns that are computed from monthly histories, and so in no table."""
        return [dict(column) for column in self.further if "history" in column]

    @property
    def features(self) -> list[dict[str, Any]]:
        """The columns that models may use."""
        return [column for name in self.templates for column in template(name)]

    def observe(
        self, block: Block, rng: np.random.Generator, more: np.random.Generator | None = None
    ) -> Observations:
        """What it observes of a block, with the columns for statistics, which are drawn from ``more``."""
        more = stream(block.seed, self.name, block.number, "cells") if more is None else more
        return with_cells(block, self.view(block, rng), self.cells, more, self.bank)


def template(name: str) -> list[dict[str, Any]]:
    """The columns of a dictionary template."""
    text = (TEMPLATES / f"{name}.toml").read_text(encoding="utf-8")
    columns: list[dict[str, Any]] = tomllib.loads(text)["columns"]
    return columns


def offices(profile: Profile) -> tuple[Office, ...]:
    """All institutions of a profile, banks first."""
    banks = tuple(
        Office(
            name=bank.name,
            kind="bank",
            title=bank.title,
            templates=("bank",),
            view=partial(_bank, number=i),
            style=bank.ids,
            wrong=0.001 * bank.sloppy,
            cells=(*FULL, "turnover_growth_quarter", *LOAN),
            bank=i,
        )
        for i, bank in enumerate(profile.banks)
    )
    return banks + tuple(_HOLDERS[name] for name in profile.holders)


def prefecture_offices() -> dict[str, str]:
    """Eleven tax offices, name to prefecture; each reads one prefecture's rows of the provincial table."""
    return {f"tax_office_{p}": p for p in PREFECTURES}


def label() -> dict[str, Any]:
    """The label of every bank."""
    return {
        "column": LABEL,
        "positive": [1],
        "negative": [0],
        "horizon": "over 90 days late within 12 months",
        "selection": "labels exist for enterprises to which the bank granted a loan",
    }


def _bank(block: Block, rng: np.random.Generator, number: int) -> Observations:
    return views.bank(block, number, block.profile.banks[number], rng)


def _guarantor(block: Block, rng: np.random.Generator, number: int) -> Observations:
    return views.guarantor(block, number, rng)


def _holder(name: str, title: str, view: View, *templates: str, kind: str = "holder", **more: Any) -> Office:
    return Office(name=name, kind=kind, title=title, templates=templates, view=view, **more)


_bureau = partial(_holder, kind="bureau")


def _series(name: str, unit: str, high: float) -> dict[str, Any]:
    return {"name": name, "unit": unit, "low": 0, "high": high}


_HOLDERS = {
    office.name: office
    for office in (
        _holder(
            "tax_office",
            "the tax office: invoices and filings",
            views.tax_office,
            "tax",
            cells=(*FULL, "invoice_growth_quarter"),
            series=(
                _series("invoices", "invoices", 30_000),
                _series("invoice_amount", "yuan", 1e9),
            ),
        ),
        _holder(
            "power_utility",
            "the power utility: load and bills",
            views.power_utility,
            "power",
            cells=(*FULL, "load_growth_quarter"),
            style="spaced",
            series=(_series("load", "kWh", 1e7),),
        ),
        _holder(
            "social_insurance",
            "social insurance: headcount and contributions",
            views.social_insurance,
            "social_insurance",
            cells=(*FULL, "headcount_growth_quarter"),
            style="lower",
            series=(_series("headcount", "persons", 5_000),),
        ),
        _holder("court", "the courts: cases and enforcement", views.court, "judicial", style="full_width"),
        _holder(
            "registry",
            "the registry: form, age, capital, changes",
            views.registry,
            "registration",
            cells=FULL,
        ),
        _holder(
            "environment_agency",
            "the environment agency: rating and carbon",
            views.environment_agency,
            "environment",
            style="lower",
        ),
        _bureau("bureau_supply", "a credit bureau: supply chains", views.bureau_supply, "supply_chain"),
        _bureau(
            "bureau_utilities", "a credit bureau: water, gas, rent", views.bureau_utilities, "water_gas_rent"
        ),
        _bureau(
            "bureau_conduct",
            "a credit bureau: conduct and innovation",
            views.bureau_conduct,
            "conduct",
            "innovation",
        ),
        _holder(
            "fintech_online",
            "a fintech company: online trade",
            views.fintech_online,
            "online_trade",
            cells=(*PLACE, "order_growth_quarter"),
            style="lower",
        ),
        _holder(
            "fintech_payments",
            "a fintech company: payments by code",
            views.fintech_payments,
            "payments",
            cells=(*PLACE, "payment_growth_quarter"),
        ),
        *(
            _holder(
                f"guarantor_{i + 1:02d}",
                f"guarantee institution number {i + 1}",
                partial(_guarantor, number=i),
                "guarantee",
                kind="guarantor",
            )
            for i in range(8)
        ),
    )
}
