"""A simulated province's own index study at another epsilon, and what serves it, for the benchmarks.

Columns, label and the choice of columns are those of the province's own files (`sim_institutions/index_columns.py`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path

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


def prepare(folder: Path, *, serving: str = SERVING) -> None:
    """Put other rules of serving into the institutions' files; once more changes nothing."""
    for file in sorted((folder / "institutions").glob("*.toml")):
        before, _, after = file.read_text("utf-8").partition("[policy.serving]\n")
        after = after[after.index("\n[") :]
        file.write_text(f"{before}[policy.serving]\n{serving}\n{after}", "utf-8")


def study(folder: Path, *, index: str, epsilon: float) -> str:
    """The province's health.toml at another epsilon; index: ``histories`` or ``all``."""
    made = (folder / "health.toml").read_text("utf-8")
    said = tomllib.loads(made)
    made = made.replace(f'name = "{said["name"]}"', 'name = "health"', 1)
    made = made.replace(f"epsilon = {said['privacy']['epsilon']}", f"epsilon = {epsilon}", 1)
    return made.replace(f'index = "{said["scorecard"]["index"]}"', f'index = "{index}"', 1)
