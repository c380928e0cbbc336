"""Fact, target, simulated value, deviation: ``python -m sim_institutions.calibration [--readme]``.

Targets come from a market report on small-enterprise finance in one province (figures for 2024 and 2025); the
last group are requirements of this project. ``--readme`` writes the table into README.md.
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
# Size of the sample behind the table in README.md; tests take a smaller one.
ENTERPRISES = 4 << 16


@dataclass(frozen=True)
class Fact:
    """One line of the table: what the report says, what is simulated, and how far apart they may be.

    A fact has either a ``target`` with a ``tolerance``, or a range from ``low`` to ``high``. ``unit`` decides
    how values are shown.
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
        """Whether the simulated value is within the tolerance or the range."""
        if self.target is not None:
            return abs(self.simulated - self.target) <= self.tolerance
        return self.low <= self.simulated <= self.high

    def row(self) -> str:
        """The line of the table."""
        if self.target is not None:
            wanted = self._say(self.target)
            off, tolerance = self._say(self.simulated - self.target, sign=True), self._say(self.tolerance)
            return f"| {self.name} | {wanted} | {self._say(self.simulated)} | {off} | ± {tolerance} |"
        wanted = f"{self._say(self.low)} to {self._say(self.high)}"
        return f"| {self.name} | {wanted} | {self._say(self.simulated)} | {'in' if self.met else 'out'} | |"

    def _say(self, value: float, *, sign: bool = False) -> str:
        if self.unit == "%":
            return f"{100 * value:{'+' if sign else ''}.1f} %"
        digits = {"auc": ".3f", "10,000": ".1f", "count": ".0f"}.get(self.unit, ".2f")
        return f"{value:{'+' if sign else ''}{digits}}"


def facts(sample: Sample) -> Iterator[Fact]:
    """Facts of the report, from a sample of the province."""
    yield from _population(sample)
    yield from _records(sample)
    yield from _accounts(sample)
    yield from _credit(sample)
    yield from _environment(sample)
    yield from _guarantees(sample)


def requirements(
    demo: Sample, consortium: AchievableAccuracy, province: AchievableAccuracy
) -> Iterator[Fact]:
    """What models must reach, on a sample of each profile."""
    at_demo = achievable_accuracy(demo)
    for name, at in (("demo", at_demo), ("consortium", consortium), ("province", province)):
        gain = f"{name}: gain of pooling over a bank alone, mean of {len(at.alone)} banks"
        share = f"{name}: share of that gain that additive models reach"
        best, column = at.best_column
        yield Fact(f"{name}: boosting on everything, AUC", at.everything, low=0.80, high=0.86, unit="auc")
        yield Fact(gain, at.gain, low=0.04, high=0.10, unit="auc")
        yield Fact(share, at.additive_share, low=0.5, high=1.1)
        yield Fact(f"{name}: best single column ({column}), AUC", best, low=0.5, high=0.75, unit="auc")
    yield from _histories(demo)


def table(lines: Iterable[Fact]) -> str:
    """The facts as a Markdown table."""
    head = "| fact | target | simulated | deviation | tolerance |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(line.row() for line in lines)


def _population(sample: Sample) -> Iterator[Fact]:
    truth = sample.truth
    million = 529.1 / len(sample.bank)
    groups = ((0, "enterprises", SECTORS_OF_ENTERPRISES), (1, "individual", SECTORS_OF_INDIVIDUALS))
    for individual, title, numbers in groups:
        of = truth["individual"] == individual
        yield Fact(f"{title}, in 10,000 of 529.1", of.sum() * million, numbers.sum(), 3.0, unit="10,000")
        for i, sector in enumerate(SECTORS):
            count = (of & (truth["sector"] == i)).sum() * million
            yield Fact(f"{title}: {sector}, in 10,000", count, numbers[i], 3.0, unit="10,000")
    yield Fact("prefectures", len(np.unique(truth["prefecture"])), 11, unit="count")
    yield Fact("counties", len(np.unique(truth["county"])), 100, unit="count")
    score = (truth["score"] - truth["score"].mean()) / truth["score"].std()
    in_clusters = score[truth["cluster"] != NO_CLUSTER].mean()
    yield Fact("credit score in clusters above the mean, in sd", in_clusters, 0.8, 0.1, unit="")


def _records(sample: Sample) -> Iterator[Fact]:
    """What departments and platforms have on record."""

    def none(office: str, column: str) -> float:
        """Share of the enterprises with a count of zero, among those with a count."""
        x = sample.columns[office, column][sample.known(office)]
        return float(np.mean(x[~np.isnan(x)] <= 0))

    n = len(sample.bank)
    continuous, stable = none("tax_office", "filing_gaps"), none("social_insurance", "contribution_gaps")
    yield Fact("continuous tax record over 12 months, of those with one", continuous, 0.923, 0.01)
    yield Fact("social insurance stable over 12 months, of the insured", stable, 0.768, 0.02)
    yield Fact("power bills never overdue", none("power_utility", "late_bills"), 0.981, 0.004)
    yield Fact("water bills never overdue", none("bureau_utilities", "late_water_bills"), 0.981, 0.004)
    sellers = np.nansum(sample.columns["fintech_online", "orders"] > 200) / n
    yield Fact("over 200 online orders a year, of all", sellers, 0.145, 0.01)
    enforced = np.nansum(sample.columns["court", "enforcement_cases"] > 0) / n
    yield Fact("open enforcement case, of all", enforced, 0.032, 0.004)


def _accounts(sample: Sample) -> Iterator[Fact]:
    """What payments and bank accounts show, and how complete it is."""
    payments = np.nanmean(sample.columns["fintech_payments", "payments_a_day"])
    yield Fact("payments a day, mean", payments, 17.3, 1.0, unit="")
    turnover = np.nanmean(sample.columns["bank", "turnover_variation"])
    yield Fact("variation coefficient of monthly turnover, mean", turnover, 0.42, 0.02, unit="")
    yield Fact("debts to assets, mean", np.nanmean(sample.columns["bank", "debt_to_assets"]), 0.286, 0.015)
    keys = ("limit_use", "monthly_turnover", "turnover_variation", "debt_to_assets", "tenure")
    complete = np.logical_and.reduce([~np.isnan(sample.columns["bank", key]) for key in keys])
    careless = sample.bank == [b.name for b in sample.profile.banks].index("quick_bank")
    careful = (sample.bank >= 0) & ~careless
    yield Fact("key fields complete, careful banks", complete[careful].mean(), 0.92, 0.02)
    yield Fact("key fields complete, the careless bank", complete[careless].mean(), 0.68, 0.04)


def _credit(sample: Sample) -> Iterator[Fact]:
    truth, loan = sample.truth, sample.bank >= 0
    vendor, visible = truth["vendor"] == 1, truth["visible"] == 1
    yield Fact("invisible to lenders", 1 - visible.mean(), 0.193, 0.005)
    yield Fact("loans obtained, of those that apply", loan.sum() / truth["applied"].sum(), 0.584, 0.015)
    yield Fact("street vendors with a loan", loan[vendor].mean(), low=0.0, high=0.35)
    yield Fact("default rate of borrowers", sample.label[loan].mean(), 0.029, 0.003)
    late = sample.columns["bank", "days_late"][loan]
    yield Fact("never late in the year before", np.mean(late == 0), 0.927, 0.006)
    yield Fact("over 30 days late in the year before", np.mean(late > 30), 0.018, 0.004)
    limit = sample.columns["bank", "credit_limit"][loan]
    term = sample.columns["bank", "loan_term"][loan]
    yield Fact("loans of 50,000 to 500,000 yuan", np.mean((limit >= 5e4) & (limit <= 5e5)), 1.0, 0.0)
    yield Fact("terms of 3 to 12 months", np.mean((term >= 3) & (term <= 12)), 1.0, 0.0)


def _environment(sample: Sample) -> Iterator[Fact]:
    """Default against carbon intensity and rating, among the rated that lenders know."""
    rated = sample.known("environment_agency") & (sample.truth["visible"] == 1)
    carbon = sample.columns["environment_agency", "carbon_intensity"]
    median = np.nanmedian(carbon[rated])
    p = sample.truth["probability"]
    difference = _mean(p, rated & (carbon > median)) - _mean(p, rated & (carbon <= median))
    yield Fact("default rate at high less that at low carbon intensity", difference, 0.007, 0.004)
    green = sample.columns["environment_agency", "environmental_rating"] == 0
    ratio = _mean(p, rated & green) / _mean(p, rated & ~green)
    yield Fact("default rate of green enterprises over that of others", ratio, 1.35 / 1.87, 0.1, unit="")


def _guarantees(sample: Sample) -> Iterator[Fact]:
    guarantors = [name for name in sample.profile.holders if name.startswith("guarantor")]
    recovered = np.concatenate([sample.columns[name, "recovered_share"] for name in guarantors])
    yield Fact("recovered, of what guarantors paid", np.mean(recovered[recovered >= 0]), 0.684, 0.03)


def _histories(demo: Sample) -> Iterator[Fact]:
    warned, by_hand = warning_recall(demo)
    yield Fact("early warning on histories: recall at 5.2 % false alarms", warned, 0.867, 0.04)
    yield Fact("the same on hand-made columns", by_hand, low=0.3, high=0.8)
    for office in ("tax_office", "power_utility", "social_insurance"):
        columns, lifted = history_lift(demo, office)
        name = f"{office}: AUC for default, gain of its histories over its columns"
        yield Fact(name, lifted - columns, low=0.005, high=0.05, unit="auc")


def _mean(values: Floats, rows: Bools) -> float:
    return float(values[rows].mean(dtype=np.float64))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; returns 1 if a fact is missed."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.calibration", description=__doc__)
    parser.add_argument("--enterprises", type=int, default=ENTERPRISES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    given = parser.parse_args(arguments)
    lines = list(facts(sample("province", given.enterprises, given.seed, histories=False)))
    # Most enterprises of the province do not borrow, so its banks need more of them to have enough defaults.
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
