"""Study files of statistics for a simulated province, and the settings by which a series of them is read.

Four studies, one for each of bank, tax office, power utility and social insurance, ask for the twelve indicators of the
fragility index by county and sector; they share epsilon 1 a quarter. A fifth asks for what loss sharing needs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.privacy.accounting import epsilon_for, mu_for
from sim_institutions.institutions import Office, offices
from sim_institutions.profiles import CORE, Profile
from sim_institutions.toml_text import pairs

BANK = "bank"


@dataclass(frozen=True)
class Indicator:
    """One of the indicators: whose column, public bounds of its mean, which side is fragile, its weight in the study.

    serious: a move of a cell's mean that a person would call serious.
    """

    owner: str
    column: str
    low: float
    high: float
    fragile: str
    weight: int
    serious: float
    title: str


INDICATORS = (
    Indicator(
        "tax_office", "invoice_growth_quarter", -0.4, 0.4, "low", 8, 0.2, "invoices on the year before"
    ),
    Indicator("tax_office", "invoice_variation", 0.25, 0.55, "high", 2, 0.04, "variation of invoices"),
    Indicator("tax_office", "filing_gaps", 0, 2, "high", 1, 0.05, "months without a filing"),
    Indicator("power_utility", "load_growth_quarter", -0.3, 0.3, "low", 8, 0.12, "load on the year before"),
    Indicator("power_utility", "load_variation", 0.05, 0.3, "high", 2, 0.04, "variation of load"),
    Indicator("power_utility", "late_bills", 0, 2, "high", 1, 0.02, "power bills paid late"),
    Indicator(
        "social_insurance", "headcount_growth_quarter", -0.2, 0.2, "low", 8, 0.05, "staff on the year before"
    ),
    Indicator("social_insurance", "contribution_gaps", 0, 3, "high", 1, 0.05, "months without contributions"),
    Indicator("social_insurance", "staff_turnover", 0, 0.6, "high", 1, 0.01, "staff turnover"),
    Indicator(
        BANK, "turnover_growth_quarter", -0.4, 0.4, "low", 8, 0.2, "account turnover on the year before"
    ),
    Indicator(BANK, "limit_use", 0, 1, "high", 1, 0.02, "use of credit limits"),
    Indicator(BANK, "overdraft_days", 0, 20, "high", 1, 0.5, "days overdrawn"),
)
"""Three of each institution: growth first, how much it varies, then what is not paid.

Bounds of growth are about the quartiles of enterprises: a fall moves those in the middle, and noise is as wide as
bounds.
"""

RULES = ("4321", "5221")

EPSILON = 1.0
"""Of all indicators of a quarter together, for an enterprise that all four know."""


def owners(profile: Profile) -> tuple[str, ...]:
    """Owners of indicators: the banks together, and the three departments that every profile has."""
    return (*CORE, BANK)


def write_rules(enterprises: int, out: Path, *, series: bool = False) -> None:
    """Write two sets of rules of loss sharing."""
    for digits in RULES:
        text = loss_rules(digits, enterprises, series=series)
        (out / f"rules_{digits}.toml").write_text(text, encoding="utf-8")


def write_statistics(profile: Profile, out: Path, delta: float, name: str = "") -> None:
    """Write the studies beside the other files.

    name: of the quarter, such as "demo_q3", with which the studies' names begin.
    """
    prefix = f"{name}_" if name else ""
    for owner in owners(profile):
        text = indicator_study(profile, owner, delta, prefix)
        (out / f"indicators_{owner}.toml").write_text(text, encoding="utf-8")
    (out / "losses.toml").write_text(loss_study(profile, delta, prefix), encoding="utf-8")
    (out / "joined.toml").write_text(joined_study(profile, delta, prefix), encoding="utf-8")


def indicator_study(profile: Profile, owner: str, delta: float, prefix: str = "") -> str:
    """Means of an owner's indicators by county and sector."""
    mine = [i for i in INDICATORS if i.owner == owner]
    part = sum(i.weight for i in mine) / sum(i.weight for i in INDICATORS)
    # All studies of a quarter compose to EPSILON: mu squared adds up.
    epsilon = math.floor(1000 * epsilon_for(mu_for(EPSILON, delta) * math.sqrt(part), delta)) / 1000
    measures: list[dict[str, Any]] = [
        {
            "kind": "mean",
            "column": f"{i.owner}.{i.column}",
            "name": i.column,
            "low": i.low,
            "high": i.high,
            "weight": i.weight,
        }
        for i in mine
    ]
    by = [f"{owner}.county", f"{owner}.sector"]
    about = f"Indicators of the fragility index that {_whose(owner)} know{'' if owner == BANK else 's'}"
    return _study(
        f"{about}, by county and sector.",
        f"{prefix}indicators_{owner}",
        _members(profile, (owner,)),
        epsilon,
        delta,
        {"by": by},
        measures,
    )


def loss_study(profile: Profile, delta: float, prefix: str = "") -> str:
    """What loss sharing needs of the banks, by sector and by whether a guarantor stands behind the loan."""
    measures: list[dict[str, Any]] = [
        {"kind": "count", "name": "loans"},
        {"kind": "sum", "column": "bank.exposure", "name": "exposure", "weight": 2},
        {"kind": "sum", "column": "bank.expected_loss", "name": "expected_loss", "high": 30_000, "weight": 2},
        {"kind": "sum", "column": "bank.matured_loss", "name": "matured_loss", "high": 200_000, "weight": 2},
    ]
    return _study(
        "What a guarantee scheme needs of all banks together: exposure, expected and matured loss.",
        f"{prefix}losses",
        _members(profile, (BANK,)),
        EPSILON,
        delta,
        {"by": ["bank.sector", "bank.guaranteed"]},
        measures,
    )


def joined_study(profile: Profile, delta: float, prefix: str = "") -> str:
    """Lateness at the banks by the prefecture and sector of the registry, or of the tax office where there is none."""
    owner = "registry" if "registry" in profile.holders else "tax_office"
    measures: list[dict[str, Any]] = [
        {"kind": "count", "name": "borrowers"},
        {"kind": "share", "column": "bank.defaulted", "name": "default_rate", "weight": 2},
        {"kind": "mean", "column": "bank.days_late", "name": "days_late", "high": 30},
    ]
    return _study(
        f"Lateness at the banks by prefecture and sector as {_whose(owner)} knows them: rows are aligned.",
        f"{prefix}joined",
        _members(profile, (BANK, owner)),
        EPSILON,
        delta,
        {"by": [f"{owner}.prefecture", f"{owner}.sector"], "listed": BANK},
        measures,
    )


def loss_rules(digits: str, enterprises: int, *, series: bool = False) -> str:
    """Rules of loss sharing for the results of the loss studies: guaranteed loans are shared, the others the banks'.

    digits: tenths of guarantee company, re-guarantor, banks and government, such as "4321". series: whether matured
    losses are those of the quarter after, in place of those of the year that was foretold.
    """
    parties = ("guarantor", "reguarantor", "bank", "government")
    titles = ("guarantee companies", "re-guarantor", "lending banks", "government")
    shared = {name: int(tenths) / 10 for name, tenths in zip(parties, digits, strict=True)}
    later = (
        {"matured_later": 1, "matured_part": 0.25} if series else {"matured_later": 0, "matured_part": 1.0}
    )
    figures = {"enterprises": "loans", "matured_loss": "matured_loss", **later}
    parts = [
        f"# Who bears the losses of guaranteed loans, in tenths {digits}; losses of other loans are the banks' own.",
        pairs(
            {"name": f"rules_{digits}", "title": digits, "rest": "bank", "order": ["stop", "caps", "pool"]}
        ),
        *("[[parties]]\n" + pairs({"name": n, "title": t}) for n, t in zip(parties, titles, strict=True)),
        "[[segments]]\n" + pairs({"name": "guaranteed", "where": {"guaranteed": ["yes"]}}),
        "[[segments.layers]]\n" + pairs({"shares": shared}),
        "[[segments]]\n" + pairs({"name": "others"}),
        "[[segments.layers]]\n" + pairs({"shares": {"bank": 1.0}}),
        # The government's part of the expected losses, and half as much again.
        "[pool]\n"
        + pairs({"size": 1000 * round(0.075 * enterprises), "pays": ["government"], "beyond": "bank"}),
        "[figures]\n" + pairs(figures),
        "[model]\n" + pairs({"asset_correlation": 0.12, "loss_given_default": 0.51, "size_variation": 0.65}),
    ]
    return "\n".join(parts)


def _whose(owner: str) -> str:
    return "the banks" if owner == BANK else f"the {owner.replace('_', ' ')}"


def _members(profile: Profile, of: Sequence[str]) -> list[Office]:
    return [o for o in offices(profile) if o.name in of or (o.kind == BANK and BANK in of)]


def _study(
    about: str,
    name: str,
    members: Sequence[Office],
    epsilon: float,
    delta: float,
    statistics: Mapping[str, Any],
    measures: Sequence[Mapping[str, Any]],
) -> str:
    parts = [
        f"# {about}",
        pairs({"name": name, "purpose": "credit_scoring", "recipe": "statistics"}),
        *("[[institutions]]\n" + pairs({"name": o.name, "role": o.kind}) for o in members),
        "[alignment]\n" + pairs({"authority": CORE[0], "epoch": "2026"})
        if len({o.kind for o in members}) > 1
        else "",
        "[privacy]\n" + pairs({"epsilon": epsilon, "delta": delta}),
        "[statistics]\n" + pairs(statistics),
        *("[[statistics.measures]]\n" + pairs(m) for m in measures),
    ]
    return "\n".join(part for part in parts if part)


def fragility_series(quarters: Sequence[tuple[str, str]], profile: Profile) -> str:
    """The file of the index over a series; quarters: name and folder of each."""
    parts = [
        "# The fragility index over the quarters of this series: fedrisk fragility fragility.toml --out fragility",
        pairs({"cells": ["county", "sector"], "common": ["sector"]}),
        "[map]\n" + pairs({"file": "counties.geojson", "axis": "county", "property": "county"}),
    ]
    for name, folder in quarters:
        records = [f"{folder}/results/indicators_{owner}" for owner in owners(profile)]
        parts.append("[[quarters]]\n" + pairs({"name": name, "records": records}))
    parts += [
        "[[indicators]]\n"
        + pairs({"name": i.title, "measure": i.column, "fragile": i.fragile, "serious": i.serious})
        for i in INDICATORS
    ]
    return "\n".join(parts)
