"""Makes a simulated province ready for an operating health index: history columns at holders, a label at banks.

What a holder's or bank's own people would write into its file by hand. The label: ``strained``, the account was
overdrawn on more than three days of a year or the bank's own grade is g6 or worse. It says how an enterprise fares now,
about every second one has it, and banks bring nothing else. The tax office adds the tax that is paid of what is
invoiced, as a share: both amounts say how large an enterprise is, their ratio how it fares.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MONTHS = 18
"""Months of the index. A look back of 15 months needs histories of 32 for them all."""

HOLDERS = {
    "d": ["tax_office", "power_utility", "social_insurance"],
    "c": ["tax_office", "power_utility", "social_insurance", "registry", "court"],
}
SERVING = (
    'consent = "none"\nper_day = 100000000\nper_enterprise = 100000\nindex_months = 18\napprove = "own_parts"\n'
    'ages = "always"'
)

KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "level", "months": 6, "bins": 10},
    {"kind": "yearly_fall", "months": 3},
    {"kind": "gaps", "months": 12, "name": "year_gaps"},
)
"""Columns of every series, where the province's own files do not have them; the longest look back is 15 months."""

MOVES = ("level", "yearly_fall")
"""History columns of every series that a study counts."""

COUNTED = {
    "tax_office": ("sector", "customer_concentration", "tax_burden", "invoices_year_gaps"),
    "power_utility": ("night_share", "late_bills"),
    "social_insurance": ("staff_turnover", "monthly_wage", "headcount_year_gaps"),
    "registry": ("changes", "listed_abnormal", "chattel_mortgages"),
    "court": ("cases_as_defendant", "enforcement_cases"),
}
SERIES = {"tax_office": "invoices", "power_utility": "load", "social_insurance": "headcount"}
"""What a study counts at each holder, beside the moves of its series.

Few columns that say different things. Each further one has noise of its own: of 40 columns without noise more is known
than of these 15, and at epsilon 3 less.
"""

BURDEN = """
[[dictionary.columns]]
name = "tax_burden"
kind = "number"
unit = "share"
meaning = "tax paid in 12 months, as a share of the amount invoiced"
low = 0
high = 0.2
bins = [0.006, 0.009, 0.012, 0.014, 0.016, 0.018, 0.02, 0.0225, 0.025, 0.028, 0.032, 0.037, 0.045, 0.06]
direction = "decreasing"

"""
OVERDRAWN = 3
WORST_GRADES = ("g6", "g7", "g8")
LABEL = {
    "column": "strained",
    "positive": [1],
    "negative": [0],
    "horizon": "overdrawn on more than three days of a year, or own grade g6 or worse",
}


def prepare(folder: Path, *, serving: str = "") -> None:
    """Rewrite institution files and banks' tables of a province of ``--months``; once more changes nothing.

    serving: lines of [policy.serving] of every institution.
    """
    for file in sorted((folder / "institutions").glob("*.toml")):
        text = file.read_text("utf-8")
        if "# Prepared." in text:
            continue
        said = tomllib.loads(text)
        text = _as_bank(text) if said["kind"] == "bank" else _as_holder(text, said)
        if serving:
            before, _, after = text.partition("[policy.serving]\n")
            text = f"{before}[policy.serving]\n{serving}\n\n{after[after.index('[') :]}"
        file.write_text(f"# Prepared.\n{text}", "utf-8")
    for name in sorted(p.stem for p in (folder / "institutions").glob("*.toml")):
        for month in ("development", f"m{MONTHS:02d}"):
            file = folder / month / "data" / f"{name}.parquet"
            if _is_bank(folder, name):
                _with(file, "strained", _strained)
            elif name == "tax_office":
                _with(file, "tax_burden", _tax_burden)


def study(folder: Path, *, index: str, epsilon: float, holders: list[str]) -> str:
    """The study file of an index; index: ``histories`` or ``all``."""
    made = (folder / "study.toml").read_text("utf-8")
    said = tomllib.loads(made)
    made = made.replace(f'name = "{said["name"]}"\npurpose', 'name = "health"\npurpose', 1)
    made = made.replace(f"epsilon = {said['privacy']['epsilon']}", f"epsilon = {epsilon}", 1)
    made = made.replace(f"default_rate = {said['expected']['default_rate']}", "default_rate = 0.5", 1)
    kept = []
    for block in made.split("[[institutions]]"):
        name = block.split('name = "', 1)[1].split('"', 1)[0] if 'role = "' in block else ""
        if 'role = "bank"' in block or name in holders or not kept:
            kept.append(block)
        elif "\n[" in block:
            kept[-1] = kept[-1].rstrip("\n") + "\n\n[" + block.split("\n[", 1)[1]
    made = "[[institutions]]".join(kept)
    left = [f'"{name}" = "others say it as well"' for name in left_out(folder, holders)]
    return f'{made}\n[scorecard]\nindex = "{index}"\nleft_out = {{ {", ".join(left)} }}\n'


def left_out(folder: Path, holders: list[str]) -> list[str]:
    """Columns of the holders that the study does not count."""
    found = []
    for name in holders:
        said = tomllib.loads((folder / "institutions" / f"{name}.toml").read_text("utf-8"))
        own = [c["name"] for c in said["dictionary"]["columns"] if c.get("feature", True)]
        moves = [f"{SERIES[name]}_{move}" for move in MOVES] if name in SERIES else []
        found += [f"{name}.{column}" for column in own if column not in (*COUNTED[name], *moves)]
    return found


def _as_bank(text: str) -> str:
    label = "\n".join(f"{key} = {_toml(value)}" for key, value in LABEL.items())
    head, _, rest = text.partition("[dictionary.label]\n")
    tail = rest.split("\n[", 1)
    return f"{head}[dictionary.label]\n{label}\n" + (f"\n[{tail[1]}" if len(tail) > 1 else "")


def _as_holder(text: str, said: dict[str, Any]) -> str:
    """With history columns, and the tax office with its share of tax."""
    if "histories" not in said:
        return text
    head, _, rest = text.partition("[histories]\n")
    there = {c["name"] for c in said["dictionary"]["columns"]}
    wanted = [(one["name"], kind) for one in said["histories"]["series"] for kind in KINDS]
    columns = [
        _column(series, dict(kind))
        for series, kind in wanted
        if f"{series}_{kind.get('name', kind['kind'])}" not in there
    ]
    burden = BURDEN if said["name"] == "tax_office" else ""
    return head + burden + "\n".join([*columns, "[histories]\n"]) + rest


def _column(series: str, kind: dict[str, Any]) -> str:
    name = kind.pop("name", kind["kind"])
    said = {"name": f"{series}_{name}", "history": series, **kind}
    return "[[dictionary.columns]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in said.items())


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _is_bank(folder: Path, name: str) -> bool:
    return tomllib.loads((folder / "institutions" / f"{name}.toml").read_text("utf-8"))["kind"] == "bank"


def _with(file: Path, name: str, make: Callable[[pa.Table], np.ndarray]) -> None:
    """Add a column as the institution's own people make it of its own records."""
    table = pq.read_table(file)
    if name not in table.column_names:
        pq.write_table(table.append_column(name, pa.array(make(table), from_pandas=True)), file)


def _strained(table: pa.Table) -> np.ndarray:
    grade = np.isin(table["grade"].to_pylist(), WORST_GRADES)
    days = table["overdraft_days"].to_numpy(zero_copy_only=False)
    return ((days > OVERDRAWN) | grade).astype(np.int8)


def _tax_burden(table: pa.Table) -> np.ndarray:
    paid, amount = (table[n].to_numpy(zero_copy_only=False) for n in ("tax_paid", "invoice_amount"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(amount > 0, paid / amount, np.nan).astype(np.float32)
