"""Checks of discrimination, stability, concentration and overrides, with their traffic lights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation.calibration_checks import basis_of, totals
from fedrisk.analysis.validation.check import Check, Light, by_p
from fedrisk.analysis.validation.concentration import Concentration, concentration, grown
from fedrisk.analysis.validation.discrimination import area, distance, enough, fallen
from fedrisk.analysis.validation.evidence import Column, Evidence
from fedrisk.analysis.validation.grade_counts import GradeCounts, residuals
from fedrisk.analysis.validation.rules import Limits, ValidationRules
from fedrisk.analysis.validation.stability_tests import Shift, shift, together
from fedrisk.metrics import Measured

Floats = NDArray[np.float64]

SCORE_GROUPS = 10
"""Groups of about equally many customers of development, over which the score's stability is measured."""

LEAST_PERIODS = 3
"""Periods for which the default rates of several periods are tested together."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """One period of the bank's dates. z: observed defaults less expected ones, in standard deviations of sampling."""

    name: str
    customers: float
    defaults: float
    expected: float
    z: float
    auc: Measured | None


@dataclass(frozen=True, kw_only=True)
class SampleChecks:
    """Checks, with what stands behind them."""

    checks: tuple[Check, ...]
    figures: Mapping[str, Measured] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    columns: tuple[Shift, ...] = ()
    whole: tuple[Shift, ...] = ()
    periods: tuple[Period, ...] = ()
    concentration: Mapping[str, Concentration] = field(default_factory=dict)


def checks(
    evidence: Evidence, grades: GradeCounts, before: GradeCounts | None, rules: ValidationRules
) -> SampleChecks:
    """All of them."""
    figures, told = _discrimination(evidence, rules)
    shifts, columns = _score_shifts(evidence, grades, before), _columns(evidence.columns)
    whole = _against_all(evidence.columns)
    periods = tuple(_period(name, counts) for name, counts in evidence.periods)
    spread, crowded = _concentration(evidence, grades, before, rules)
    return SampleChecks(
        checks=(
            *told,
            _moved("psi", "stability", shifts, evidence, rules),
            _moved("csi", "stability", columns, evidence, rules),
            _periods(evidence, periods, rules.level),
            crowded,
            _overrides(evidence, rules.limits),
            _moved("all_banks", "representativeness", whole, evidence, rules),
        ),
        figures=figures,
        shifts=shifts,
        columns=columns,
        whole=whole,
        periods=periods,
        concentration=spread,
    )


def _discrimination(evidence: Evidence, rules: ValidationRules) -> tuple[dict[str, Measured], list[Check]]:
    figures: dict[str, Measured] = {}
    for name, measure in (("auc", area), ("ks", distance)):
        for when, counts in (("now", evidence.now), ("before", evidence.before)):
            found = None if counts is None else measure(counts)
            if found is not None:
                figures[f"{name}_{when}"] = found
    told = [_auc(evidence.now, figures.get("auc_now"), rules)]
    told += [_fell(name, evidence.now, figures, rules) for name in ("auc", "ks")]
    return figures, told


def _auc(now: ScoreCounts, found: Measured | None, rules: ValidationRules) -> Check:
    light: Light = "none"
    values: dict[str, float] = {}
    if found is not None:
        low, high = found.interval(1 - rules.level)
        least = rules.limits.least_auc
        light = "red" if high < least else "yellow" if low < least else "green"
        values = {"auc": found.value, "low": low, "high": high, "gini": 2 * found.value - 1, "least": least}
        values |= {"sampling": found.sampling, "noise": found.noise}
    return Check(
        code="auc",
        group="discrimination",
        light=light,
        rule="least_auc" if found is not None else "too_few",
        basis=basis_of(now),
        noise="inside",
        level=rules.level,
        **totals(now),
        values=values,
    )


def _fell(name: str, now: ScoreCounts, figures: Mapping[str, Measured], rules: ValidationRules) -> Check:
    before, after = figures.get(f"{name}_before"), figures.get(f"{name}_now")
    if before is None or after is None:
        return Check(
            code=f"{name}_fell",
            group="discrimination",
            light="none",
            rule="too_few" if after is None else "no_development",
            basis="nothing",
        )
    found = fallen(before, after)
    light = by_p(found.p, rules.level)
    if light == "red" and found.fall <= rules.limits.fall:
        light = "yellow"
    return Check(
        code=f"{name}_fell",
        group="discrimination",
        light=light,
        rule="fell",
        basis=basis_of(now),
        noise="variance",
        statistic=found.z,
        p=found.p,
        level=rules.level,
        **totals(now),
        values={"before": before.value, "now": after.value, "fall": found.fall, "limit": rules.limits.fall},
    )


def _score_shifts(evidence: Evidence, grades: GradeCounts, before: GradeCounts | None) -> tuple[Shift, ...]:
    """Of score and grades, on rows alone: released histograms of the two samples have other bins."""
    if before is None or evidence.before is None or not evidence.own:
        return ()
    scores = [_histogram(c, _edges(evidence.before)) for c in (evidence.before, evidence.now)]
    return together(
        [
            shift("score", *scores),
            shift("grades", *(Histogram.of(g.size, 0.0) for g in (before, grades))),
        ]
    )


def _edges(counts: ScoreCounts) -> Floats:
    """Probabilities that part a sample into SCORE_GROUPS about equally large groups, inner edges."""
    size, pd = counts.positives + counts.negatives, residuals(counts).pd
    place = np.cumsum(size) / size.sum() * SCORE_GROUPS
    wanted = [int(np.searchsorted(place, k)) for k in range(1, SCORE_GROUPS)]
    return np.asarray(np.unique(pd[np.minimum(wanted, len(pd) - 1)]))


def _histogram(counts: ScoreCounts, edges: Floats) -> Histogram:
    place = np.searchsorted(edges, residuals(counts).pd, side="left")
    counted = np.bincount(place, counts.positives + counts.negatives, len(edges) + 1)
    return Histogram.of(np.asarray(counted, np.float64), 0.0)


def _columns(columns: Sequence[Column]) -> tuple[Shift, ...]:
    there = [c for c in columns if c.before is not None and c.now is not None]
    return together([shift(c.name, c.before, c.now, ordered=c.ordered) for c in there if c.before and c.now])


def _against_all(columns: Sequence[Column]) -> tuple[Shift, ...]:
    return together(
        [shift(c.name, c.whole, c.before, ordered=c.ordered) for c in columns if c.whole and c.before]
    )


def _moved(
    code: str, group: str, shifts: Sequence[Shift], evidence: Evidence, rules: ValidationRules
) -> Check:
    """The worst of several shifts, by what is sure of it: an index above a bound counts where a test shows a change."""
    limits, level = rules.limits, rules.level
    tested = [s for s in shifts if s.holm is not None and s.index is not None]
    if not tested:
        rule = "no_rows" if not evidence.own else "no_columns" if not shifts else "too_few"
        return Check(code=code, group=group, light="none", rule=rule, basis="nothing")
    lights = [_shift_light(s, limits, level) for s in tested]
    worst = max(tested, key=lambda s: (s.index or 0.0) * ((s.holm or 0.0) <= level))
    return Check(
        code=code,
        group=group,
        light="red" if "red" in lights else "yellow" if "yellow" in lights else "green",
        rule="index",
        basis="rows_and_released" if code == "all_banks" else "rows",
        noise="taken_off",
        statistic=worst.statistic,
        degrees=worst.degrees,
        p=worst.holm,
        level=level,
        customers=worst.now,
        values={
            "compared": len(tested),
            "worst": worst.name,
            "index": worst.index,
            "low": worst.low,
            "high": worst.high,
            "moved": [s.name for s, light in zip(tested, lights, strict=True) if light != "green"],
            "stable": limits.stable,
            "bound": limits.moved,
        },
    )


def _shift_light(found: Shift, limits: Limits, level: float) -> Light:
    if found.holm is None or found.index is None or found.holm > level or found.index < limits.stable:
        return "green"
    return "yellow" if found.index < limits.moved else "red"


def _period(name: str, counts: ScoreCounts) -> Period:
    found, counted = residuals(counts), totals(counts)
    total = float(found.value.sum())
    return Period(
        name=name,
        customers=counted["customers"],
        defaults=counted["defaults"],
        expected=counted["defaults"] - total,
        z=total / math.sqrt(max(float(found.variance.sum()), 1e-12)),
        auc=area(counts) if enough(counts) else None,
    )


def _periods(evidence: Evidence, periods: Sequence[Period], level: float) -> Check:
    """The normal test of several periods (Basel Committee 2005, Working Paper 14).

    Whether rates are above what was foretold, allowing for good and bad years: their spread is estimated, so that the
    statistic has Student's distribution.
    """
    if len(periods) < LEAST_PERIODS:
        return Check(code="periods", group="stability", light="none", rule="no_periods", basis="nothing")
    gaps = np.array([(p.defaults - p.expected) / max(p.customers, 1.0) for p in periods])
    spread = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    value = float(gaps.mean()) / max(spread, 1e-12)
    p = float(t.sf(value, len(gaps) - 1))
    return Check(
        code="periods",
        group="stability",
        light=by_p(p, level),
        rule="by_p",
        basis=basis_of(evidence.now),
        statistic=value,
        degrees=len(gaps) - 1,
        p=p,
        level=level,
        **totals(evidence.now),
        values={"periods": len(gaps)},
    )


def _concentration(
    evidence: Evidence, grades: GradeCounts, before: GradeCounts | None, rules: ValidationRules
) -> tuple[dict[str, Concentration], Check]:
    found = {
        when: c
        for when, g in (("now", grades), ("before", before))
        if g is not None and (c := concentration(g.size, 2 * g.count_noise)) is not None
    }
    now = found.get("now")
    if now is None:
        return found, Check(
            code="concentration",
            group="concentration",
            light="none",
            rule="too_few",
            basis=basis_of(evidence.now),
        )
    # Released histograms of two samples have other bins, so that their grades are not comparable.
    comparable = "before" in found and evidence.own
    z, p = grown(found["before"], now) if comparable else (None, None)
    crowded, more = now.most > rules.limits.largest_grade, p is not None and p <= rules.level
    return found, Check(
        code="concentration",
        group="concentration",
        light="red" if crowded and more else "yellow" if crowded or more else "green",
        rule="concentration",
        basis=basis_of(evidence.now),
        noise="taken_off",
        statistic=z,
        p=p,
        level=rules.level if p is not None else None,
        **totals(evidence.now),
        values={
            "index": now.index,
            "variation": now.variation,
            "largest": grades.names[now.largest],
            "share": now.most,
            "limit": rules.limits.largest_grade,
        },
    )


def _overrides(evidence: Evidence, limits: Limits) -> Check:
    found = evidence.overrides
    if found is None:
        return Check(code="overrides", group="overrides", light="none", rule="not_recorded", basis="nothing")
    return Check(
        code="overrides",
        group="overrides",
        light="yellow" if found.rate > limits.overrides else "green",
        rule="overrides",
        basis="file",
        customers=found.recorded,
        values={
            "rate": found.rate,
            "low": found.low,
            "high": found.high,
            "better": found.better.customers,
            "worse": found.worse.customers,
            "limit": limits.overrides,
        },
    )
