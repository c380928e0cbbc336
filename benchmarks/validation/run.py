"""Whether the tests of a validation hold their level, and its intervals and bounds cover: on rows and on released counts.

PYTHONPATH=. python benchmarks/validation/run.py [--replications 2000] [--out benchmarks/validation/results.json]

Customers have log-odds from a normal distribution, or a skewed one, and default by the probability that is stated (the
null), or by a higher or flatter one (power). Released counts are those of the evaluation histogram of a study of three
banks, with the noise that its plan states at epsilon .5, 1 and 3.
"""

import argparse
import json
import math
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation import calibration_tests as ct
from fedrisk.analysis.validation import noisy_binomial as nb
from fedrisk.analysis.validation.concentration import concentration, grown
from fedrisk.analysis.validation.conservatism import LogOddsErrors, margins
from fedrisk.analysis.validation.discrimination import area, distance, fallen
from fedrisk.analysis.validation.grade_counts import by_grade, residuals
from fedrisk.analysis.validation.low_default import bounds
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE
from fedrisk.analysis.validation.rules import Conservatism
from fedrisk.analysis.validation.stability_tests import shift
from fedrisk.models.calibration import ScoreCounts as CalibrationCounts
from fedrisk.models.calibration import fit_calibration
from fedrisk.models.calibration_errors import calibration_errors
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.study import study_from

LEVEL, BINS = 0.05, 24
GRID = np.linspace(-9.0, 3.0, 1201)
POPULATIONS = {"normal": (-3.3, 1.1, 0.0), "skewed": (-3.6, 1.0, 3.0), "low_default": (-5.2, 0.9, 0.0)}
"""Mean and spread of log-odds, and skewness parameter."""

SETTINGS = [
    ("rows", 9_800, None),
    ("rows", 2_000, None),
    *(("released", size, epsilon) for size in (23_400, 6_000) for epsilon in (3.0, 1.0, 0.5)),
]


def study_of(epsilon):
    """A study of three banks and a holder."""
    banks = [{"name": f"bank{k}", "role": "bank"} for k in range(3)]
    plain = {
        "name": "sizes",
        "purpose": "credit_scoring",
        "institutions": [*banks, {"name": "tax", "role": "holder"}],
    }
    return study_from(
        {
            **plain,
            "alignment": {"authority": "tax", "epoch": "1"},
            "privacy": {"epsilon": epsilon, "delta": 9e-7},
        }
    )


def noise_of(epsilon):
    """Variance of the noise of each count of the evaluation."""
    return evaluation_release(study_of(epsilon), BINS).variance("bank")


def shares(population):
    """Share of customers at each of GRID's log-odds."""
    mean, sd, skew = POPULATIONS[population]
    z = (GRID - mean) / sd
    weight = np.exp(-z * z / 2) * (expit(skew * z * 1.7) if skew else 1.0)
    return weight / weight.sum()


def drawn(rng, population, size, tilt=(0.0, 1.0)):
    """(customers, defaults) by GRID. tilt: what is added to the true log-odds, and their slope about the mean."""
    share = shares(population)
    n = rng.multinomial(size, share)
    centre = share @ GRID
    return n, rng.binomial(n, expit(centre + tilt[0] + tilt[1] * (GRID - centre)))


def counts_of(rng, population, n, d, variance):
    """As rows (exact by log-odds), or as a released histogram of BINS quantile bins of both classes."""
    p = expit(GRID)
    if variance is None:
        there = n > 0
        return ScoreCounts(
            positives=d[there].astype(float),
            negatives=(n - d)[there].astype(float),
            variance=0.0,
            low=p[there],
            high=p[there],
            axis="probability",
            probability=p[there],
        )
    share = shares(population)
    both = np.cumsum(share * p / (share @ p) + share * (1 - p) / (share @ (1 - p))) / 2
    place = np.minimum((both * BINS * (1 - 1e-12)).astype(int), BINS - 1)
    mean = np.bincount(place, share * p, BINS) / np.maximum(np.bincount(place, share, BINS), 1e-300)
    noisy = [np.bincount(place, x, BINS) + rng.normal(0, math.sqrt(variance), BINS) for x in (d, n - d)]
    low = np.arange(BINS, dtype=float)
    return ScoreCounts(
        positives=noisy[0],
        negatives=noisy[1],
        variance=variance,
        low=low,
        high=low + 1,
        axis="risk",
        probability=mean,
    )


def tests_of(counts, before):
    """{test: p} of one sample against another."""
    grades = by_grade(counts, DEFAULT_SCALE)
    found = {}
    single = []
    for k in np.flatnonzero(grades.tested):
        size, defaults, pd = float(grades.size[k]), float(grades.defaults[k]), float(grades.pd[k])
        if grades.exact:
            single.append(nb.jeffreys_test(defaults, size, pd))
        else:
            single.append(nb.upper_tail(float(grades.residual[k]), size, pd, float(grades.noise[k])))
    found["grades (Holm)"] = min(ct.holm(single), default=1.0)
    r, total = residuals(counts), float(counts.positives.sum())
    pd, size = float(r.size @ r.pd) / float(r.size.sum()), float(r.size.sum())
    found["portfolio"] = (
        nb.jeffreys_test(total, size, pd)
        if counts.exact
        else nb.upper_tail(float(r.value.sum()), size, pd, float(r.noise.sum()))
    )
    for name, tested in (
        ("in the large", ct.in_the_large(counts)),
        ("Hosmer-Lemeshow", ct.hosmer_lemeshow(grades)),
        ("Spiegelhalter", ct.spiegelhalter(counts)),
        ("line", ct.line(counts)),
        ("slope", ct.slope(counts)),
    ):
        found[name] = 1.0 if tested is None else tested.p
    old = by_grade(before, DEFAULT_SCALE)
    for name, measure in (("AUC fell", area), ("KS fell", distance)):
        a, b = measure(before), measure(counts)
        found[name] = 1.0 if a is None or b is None else fallen(a, b).p
    if counts.exact:
        moved = shift("grades", Histogram.of(old.size, 0.0), Histogram.of(grades.size, 0.0))
        found["PSI"] = 1.0 if moved.p is None else moved.p
        a, b = (concentration(g.size, 2 * g.count_noise) for g in (old, grades))
        found["concentration grew"] = 1.0 if a is None or b is None else grown(a, b)[1]
    return found, [float(p) for p in single]


def cover(counts, population, hits, variance):
    """Counts which intervals and bounds held the true rates of the grades."""
    share, code = shares(population), DEFAULT_SCALE.codes(expit(GRID))
    grades = by_grade(counts, DEFAULT_SCALE)
    if variance is None:
        weight = np.bincount(code, share, DEFAULT_SCALE.size)
        true = np.bincount(code, share * expit(GRID), DEFAULT_SCALE.size) / np.maximum(weight, 1e-300)
    else:
        true = grades.pd
    found = bounds(grades, 0.9)
    for k in np.flatnonzero(grades.tested):
        noise = float(grades.count_noise[k])
        low, high = nb.interval(float(grades.defaults[k]), float(grades.size[k]), noise, 0.95)
        hits["interval"].append(low <= true[k] <= high)
        hits["near bound"].append(found.near[k] >= true[k] - 1e-12)
        hits["prudent bound"].append(found.prudent[k] >= true[k] - 1e-12)


def one(job):
    """Rejections of one setting over replications."""
    population, basis, size, epsilon, tilt, replications, seed = job
    rng = np.random.default_rng(seed)
    variance = None if epsilon is None else noise_of(epsilon)
    rejected, run, hits = Counter(), Counter(), defaultdict(list)
    singles = []
    for k in range(replications):
        now = counts_of(rng, population, *drawn(rng, population, size, tilt), variance)
        before = counts_of(rng, population, *drawn(rng, population, size), variance)
        found, single = tests_of(now, before)
        singles += single
        for name, p in found.items():
            rejected[name] += p <= LEVEL
            run[name] += 1
        if tilt == (0.0, 1.0) and k < replications // 5:
            cover(now, population, hits, variance)
    return {
        "population": population,
        "basis": basis,
        "size": size,
        "epsilon": epsilon,
        "tilt": list(tilt),
        "noise_sd": None if variance is None else round(math.sqrt(variance), 2),
        "replications": replications,
        "rejected": {n: round(rejected[n] / run[n], 4) for n in run},
        "one grade": round(float(np.mean(np.array(singles) <= LEVEL)), 4) if singles else None,
        "covered": {n: round(float(np.mean(h)), 4) for n, h in hits.items()},
    }


def margin_coverage(job):
    """How often a grade's probability with its margin reaches the true one, by a calibration fitted to noisy counts."""
    population, epsilon, replications, seed = job
    rng = np.random.default_rng(seed)
    variance = 20 * noise_of(epsilon)
    share, edges = shares(population), np.linspace(-6.5, -0.5, 11)
    place = np.searchsorted(edges, GRID)
    step = edges[1] - edges[0]
    middles = np.r_[edges[0] - step / 2, (edges[1:] + edges[:-1]) / 2, edges[-1] + step / 2]
    # The card states log-odds that are bold by a fifth; the calibration has to find that.
    centre = float(share @ GRID)
    truth = expit(centre + 0.1 + 0.8 * (GRID - centre))
    reached, tested = 0, 0
    for _ in range(replications):
        n = rng.multinomial(54_000, share)
        d = rng.binomial(n, truth)
        noisy = [np.bincount(place, x, 12) + rng.normal(0, math.sqrt(variance), 12) for x in (d, n - d)]
        rows = CalibrationCounts(
            positives=noisy[0],
            negatives=noisy[1],
            variance=variance,
            middles=middles,
            rate=d.sum() / n.sum() + rng.normal(0, 5e-4),
            rate_error=5e-4,
        )
        fitted = fit_calibration(rows, centre + 1.0)
        p = expit(fitted.log_odds(GRID))
        m = rng.multinomial(9_800, share)
        y = rng.binomial(m, truth)
        there = m > 0
        counts = ScoreCounts(
            positives=y[there].astype(float),
            negatives=(m - y)[there].astype(float),
            variance=0.0,
            low=p[there],
            high=p[there],
            axis="probability",
            probability=p[there],
        )
        grades = by_grade(counts, DEFAULT_SCALE)
        stated = fitted.centre + (logit(grades.pd) - fitted.level) / fitted.slope
        sampling, noise = calibration_errors(rows, fitted).of(stated)
        nothing = np.zeros(DEFAULT_SCALE.size)
        found = margins(
            grades, LogOddsErrors(calibration=sampling, noise=noise, points=nothing), Conservatism()
        )
        code = DEFAULT_SCALE.codes(p)
        for k in np.flatnonzero(grades.tested):
            true = float((m * truth)[code == k].sum() / m[code == k].sum())
            reached += found[k].final >= true
            tested += 1
    return {
        "population": population,
        "epsilon": epsilon,
        "confidence": 0.9,
        "covered": round(reached / tested, 4),
    }


def main():
    """Run everything and write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/validation/results.json"))
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    n = asked.replications
    jobs = [
        (population, *setting, tilt, n if tilt == (0.0, 1.0) else n // 5, seed)
        for seed, (population, setting, tilt) in enumerate(
            (p, s, t) for p in POPULATIONS for s in SETTINGS for t in ((0.0, 1.0), (0.2, 1.0), (0.0, 0.8))
        )
    ]
    with ProcessPoolExecutor(asked.workers) as pool:
        found = list(pool.map(one, jobs))
        kept = list(
            pool.map(
                margin_coverage, [(p, e, max(n // 5, 20), 7) for p in POPULATIONS for e in (3.0, 1.0, 0.5)]
            )
        )
    error = round(math.sqrt(LEVEL * (1 - LEVEL) / n), 4)
    asked.out.write_text(
        json.dumps({"level": LEVEL, "monte_carlo_error": error, "runs": found, "margins": kept}, indent=1)
    )
    for f in found:
        if f["tilt"] == [0.0, 1.0]:
            print(
                f["population"],
                f["basis"],
                f["size"],
                f["epsilon"],
                f["rejected"],
                f["one grade"],
                f["covered"],
            )
    print(kept)


if __name__ == "__main__":
    main()
