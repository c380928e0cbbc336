"""Fact, target, simulated value, deviation: ``python -m sim_institutions.calibration [--readme]``.

Targets come from a market report on small-enterprise finance in one province (figures for 2024 and 2025); the
last group are this project's own requirements. ``--readme`` puts the table into README.md, where it stands.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim_institutions.achievable_accuracy import (
    AchievableAccuracy,
    achievable_accuracy,
    history_lift,
    warning_recall,
)
from sim_institutions.geography import (
    NO_CLUSTER,
    SECTORS,
    SECTORS_OF_ENTERPRISES,
    SECTORS_OF_INDIVIDUALS,
)
from sim_institutions.random_streams import Bools, Floats
from sim_institutions.sample import Sample, sample

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
ENTERPRISES = 4 << 16  # of the sample behind the table; the test takes fewer


@dataclass(frozen=True)
class Fact:
    """One line: what the report says, what is simulated, and within which distance of the target it counts as met.

    ``low`` and ``high``, where given instead of a tolerance, are the range that was asked for. ``scale`` and
    ``unit`` are for show.
    """

    name: str
    simulated: float
    target: float | None = None
    tolerance: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    unit: str = "%"

    @property
    def met(self) -> bool:
        """Within the tolerance, or the range."""
        if self.target is not None:
            return abs(self.simulated - self.target) <= self.tolerance
        return self.low <= self.simulated <= self.high

    def row(self) -> str:
        """The line of the table."""
        if self.target is not None:
            wanted, off = self._say(self.target), f"{self._say(self.simulated - self.target, sign=True)}"
            return f"| {self.name} | {wanted} | {self._say(self.simulated)} | {off} | ± {self._say(self.tolerance)} |"
        parts = [self._say(v) for v in (self.low, self.high) if np.isfinite(v)]
        wanted = (
            " to ".join(parts)
            if len(parts) == 2
            else ("at least " if np.isfinite(self.low) else "at most ") + parts[0]
        )
        return f"| {self.name} | {wanted} | {self._say(self.simulated)} | {'in' if self.met else 'out'} | |"

    def _say(self, value: float, *, sign: bool = False) -> str:
        if self.unit == "%":
            return f"{100 * value:{'+' if sign else ''}.1f} %"
        digits = {"auc": ".3f", "10,000": ".1f", "count": ".0f"}.get(self.unit, ".2f")
        return f"{value:{'+' if sign else ''}{digits}}"


def facts(s: Sample) -> Iterator[Fact]:
    """Facts of the report, from a sample of the province."""
    yield from _population(s)
    yield from _records(s)
    yield from _credit(s)


def requirements(
    demo: Sample, consortium: AchievableAccuracy, province: AchievableAccuracy
) -> Iterator[Fact]:
    """What models must reach, on a sample of each profile."""
    at_demo = achievable_accuracy(demo)
    for name, r in (("demo", at_demo), ("consortium", consortium), ("province", province)):
        banks = f"mean of {len(r.alone)} banks"
        yield Fact(f"{name}: boosting on everything, AUC", r.everything, low=0.80, high=0.86, unit="auc")
        yield Fact(
            f"{name}: gain of pooling over a bank alone, {banks}", r.gain, low=0.04, high=0.10, unit="auc"
        )
        yield Fact(
            f"{name}: share of that gain that additive models reach", r.additive_share, low=0.5, high=1.1
        )
        best, column = r.best_column
        yield Fact(f"{name}: best single column ({column}), AUC", best, low=0.5, high=0.75, unit="auc")
    yield from _histories(demo)


def table(lines: Iterable[Fact]) -> str:
    """As Markdown."""
    head = "| fact | target | simulated | deviation | tolerance |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(line.row() for line in lines)


def _population(s: Sample) -> Iterator[Fact]:
    t = s.truth
    million = 529.1 / len(s.bank)
    groups = ((0, "enterprises", SECTORS_OF_ENTERPRISES), (1, "individual", SECTORS_OF_INDIVIDUALS))
    for individual, title, numbers in groups:
        of = t["individual"] == individual
        yield Fact(f"{title}, in 10,000 of 529.1", of.sum() * million, numbers.sum(), 3.0, unit="10,000")
        for i, sector in enumerate(SECTORS):
            count = (of & (t["sector"] == i)).sum() * million
            yield Fact(f"{title}: {sector}, in 10,000", count, numbers[i], 3.0, unit="10,000")
    yield Fact("prefectures", len(np.unique(t["prefecture"])), 11, unit="count")
    yield Fact("counties", len(np.unique(t["county"])), 100, unit="count")
    score = (t["score"] - t["score"].mean()) / t["score"].std()
    yield Fact(
        "credit score in clusters above the mean, in sd",
        score[t["cluster"] != NO_CLUSTER].mean(),
        0.8,
        0.1,
        unit="",
    )


def _records(s: Sample) -> Iterator[Fact]:
    def share(office: str, column: str, test: str, bound: float) -> float:
        x = s.columns[office, column][s.known(office)]
        x = x[~np.isnan(x)]
        return float(np.mean(x <= bound if test == "<=" else x > bound))

    n = len(s.bank)
    yield Fact(
        "continuous tax record over 12 months, of those with one",
        share("tax_office", "filing_gaps", "<=", 0),
        0.923,
        0.01,
    )
    yield Fact(
        "social insurance stable over 12 months, of the insured",
        share("social_insurance", "contribution_gaps", "<=", 0),
        0.768,
        0.02,
    )
    yield Fact("power bills never overdue", share("power_utility", "late_bills", "<=", 0), 0.981, 0.004)
    yield Fact(
        "water bills never overdue", share("bureau_utilities", "late_water_bills", "<=", 0), 0.981, 0.004
    )
    yield Fact(
        "over 200 online orders a year, of all",
        np.nansum(s.columns["fintech_online", "orders"] > 200) / n,
        0.145,
        0.01,
    )
    yield Fact(
        "open enforcement case, of all",
        np.nansum(s.columns["court", "enforcement_cases"] > 0) / n,
        0.032,
        0.004,
    )
    yield Fact(
        "payments a day, mean",
        np.nanmean(s.columns["fintech_payments", "payments_a_day"]),
        17.3,
        1.0,
        unit="",
    )
    yield Fact(
        "variation coefficient of monthly turnover, mean",
        np.nanmean(s.columns["bank", "turnover_variation"]),
        0.42,
        0.02,
        unit="",
    )
    yield Fact("debts to assets, mean", np.nanmean(s.columns["bank", "debt_to_assets"]), 0.286, 0.015)
    keys = ("limit_use", "monthly_turnover", "turnover_variation", "debt_to_assets", "tenure")
    complete = np.logical_and.reduce([~np.isnan(s.columns["bank", k]) for k in keys])
    careless = [b.name for b in s.profile.banks].index("quick_bank")
    yield Fact(
        "key fields complete, careful banks",
        complete[(s.bank >= 0) & (s.bank != careless)].mean(),
        0.92,
        0.02,
    )
    yield Fact("key fields complete, the careless bank", complete[s.bank == careless].mean(), 0.68, 0.04)


def _credit(s: Sample) -> Iterator[Fact]:
    t, loan = s.truth, s.bank >= 0
    vendor, visible = t["vendor"] == 1, t["visible"] == 1
    yield Fact("invisible to lenders", 1 - visible.mean(), 0.193, 0.005)
    yield Fact("loans obtained, of those that apply", loan.sum() / t["applied"].sum(), 0.584, 0.015)
    yield Fact("street vendors with a loan", loan[vendor].mean(), low=0.0, high=0.35)
    yield Fact("default rate of borrowers", s.label[loan].mean(), 0.029, 0.003)
    late = s.columns["bank", "days_late"][loan]
    yield Fact("never late in the year before", np.mean(late == 0), 0.927, 0.006)
    yield Fact("over 30 days late in the year before", np.mean(late > 30), 0.018, 0.004)
    limit, term = s.columns["bank", "credit_limit"][loan], s.columns["bank", "loan_term"][loan]
    yield Fact("loans of 50,000 to 500,000 yuan", np.mean((limit >= 5e4) & (limit <= 5e5)), 1.0, 0.0)
    yield Fact("terms of 3 to 12 months", np.mean((term >= 3) & (term <= 12)), 1.0, 0.0)
    rated = s.known("environment_agency") & visible
    clean = _column(s, "environment_agency", "carbon_intensity")
    median = np.nanmedian(clean[rated])
    p = t["probability"]
    yield Fact(
        "default of high less that of low carbon intensity",
        _mean(p, rated & (clean > median)) - _mean(p, rated & (clean <= median)),
        0.007,
        0.004,
    )
    green = _column(s, "environment_agency", "environmental_rating") == 0
    yield Fact(
        "default of the green over that of the others",
        _mean(p, rated & green) / _mean(p, rated & ~green),
        1.35 / 1.87,
        0.1,
        unit="",
    )
    recovered = np.concatenate(
        [s.columns[g, "recovered_share"] for g in s.profile.holders if g.startswith("guarantor")]
    )
    yield Fact("of what guarantors paid, recovered", np.nanmean(recovered), 0.684, 0.03)


def _histories(demo: Sample) -> Iterator[Fact]:
    warned, by_hand = warning_recall(demo)
    yield Fact("early warning on histories: recall at 5.2 % false alarms", warned, 0.867, 0.04)
    yield Fact("the same on hand-made columns", by_hand, low=0.3, high=0.8)
    for office in ("tax_office", "power_utility", "social_insurance"):
        columns, lifted = history_lift(demo, office)
        yield Fact(
            f"{office}: default, its histories over its columns, AUC",
            lifted - columns,
            low=0.005,
            high=0.05,
            unit="auc",
        )


def _column(s: Sample, office: str, column: str) -> Floats:
    return s.columns[office, column]


def _mean(values: Floats, rows: Bools) -> float:
    return float(values[rows].mean(dtype=np.float64))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a fact is missed."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.calibration", description=__doc__)
    parser.add_argument("--enterprises", type=int, default=ENTERPRISES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    given = parser.parse_args(arguments)
    lines = list(facts(sample("province", given.enterprises, given.seed, histories=False)))
    # Most of the province do not borrow: with fewer enterprises a bank alone would lack defaults to learn from.
    at_province = achievable_accuracy(sample("province", 2 * given.enterprises, given.seed, histories=False))
    at_consortium = achievable_accuracy(sample("consortium", given.enterprises, given.seed, histories=False))
    lines += requirements(sample("demo", given.enterprises // 2, given.seed), at_consortium, at_province)
    text = table(lines)
    print(text)
    missed = [line.name for line in lines if not line.met]
    print("all met" if not missed else f"missed: {', '.join(missed)}")
    if given.readme:
        old = README.read_text(encoding="utf-8")
        before, after = old.split(BEGIN)[0], old.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
