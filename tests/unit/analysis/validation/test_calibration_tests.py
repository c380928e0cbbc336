"""Tests of calibration: by hand on few rows, by another derivation on many, and with noise in their variance."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.validation import calibration_tests as ct
from fedrisk.analysis.validation.grade_counts import by_grade, residuals
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale

TWO = MasterScale(("A", "B"), (0.15,))


def of_rows(label, probability):
    return counts_of_rows(label, probability, axis="probability")


def noisy(positives, negatives, probability, variance):
    edge = np.arange(len(probability), dtype=float)
    return ScoreCounts(
        positives=np.asarray(positives, float),
        negatives=np.asarray(negatives, float),
        variance=variance,
        low=edge,
        high=edge + 1,
        axis="risk",
        probability=np.asarray(probability, float),
    )


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(3)
    p = expit(rng.normal(-2.0, 1.0, 4000))
    return (rng.random(4000) < p).astype(float), p


def test_grades_by_hand():
    label, p = [0, 0, 1, 0, 1, 1], [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]
    grades = by_grade(of_rows(label, p), TWO)
    assert grades.size.tolist() == [3, 3] and grades.defaults.tolist() == [1, 2]
    assert grades.residual == pytest.approx([0.7, 1.4]) and grades.sampling == pytest.approx([0.27, 0.48])
    first, second = ct.grade_tests(grades, 0.05)
    assert first.binomial == pytest.approx(1 - 0.9**3)
    assert second.binomial == pytest.approx(3 * 0.2**2 * 0.8 + 0.2**3)
    assert second.normal == pytest.approx(norm.sf(1.4 / math.sqrt(0.48)))
    assert second.holm == pytest.approx(min(1, 2 * second.jeffreys)) or second.holm == first.holm
    assert first.over == pytest.approx(0.9**3 + 3 * 0.1 * 0.9**2)


def test_a_grade_without_customers_is_not_tested():
    tests = ct.grade_tests(by_grade(of_rows([0, 1], [0.1, 0.12]), TWO), 0.05)
    assert tests[1].binomial is None and tests[1].holm is None and tests[0].holm is not None


def test_hosmer_lemeshow_by_the_textbook(many):
    label, p = many
    counts = of_rows(label, p)
    scale = MasterScale(("A", "B", "C", "D", "E"), (0.00001, 0.05, 0.15, 0.3))
    found = ct.hosmer_lemeshow(by_grade(counts, scale))
    # Nobody is in the first grade, which is joined with the second.
    groups = [scale.codes(p) == k for k in range(1, 5)]
    value = sum((label[g].sum() - p[g].sum()) ** 2 / (p[g] * (1 - p[g])).sum() for g in groups)
    assert found.degrees == len(groups) and found.statistic == pytest.approx(value)
    assert found.p == pytest.approx(chi2.sf(value, len(groups)))


def test_spiegelhalter_by_its_formula(many):
    label, p = many
    top = ((label - p) * (1 - 2 * p)).sum()
    z = top / math.sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    assert ct.spiegelhalter(of_rows(label, p)).statistic == pytest.approx(z)


def test_score_tests_by_derivatives_of_the_likelihood(many):
    label, p = many
    x = logit(p)

    def fall(level, slope):
        q = expit(level + slope * x)
        return -(label * np.log(q) + (1 - label) * np.log1p(-q)).sum()

    h = 1e-4
    start = np.array([0.0, 1.0])
    step = [np.array([h, 0.0]), np.array([0.0, h])]
    slope = np.array([(fall(*(start - s)) - fall(*(start + s))) / (2 * h) for s in step])
    bend = np.array(
        [
            [
                (
                    fall(*(start + a + b))
                    - fall(*(start + a - b))
                    - fall(*(start - a + b))
                    + fall(*(start - a - b))
                )
                / (4 * h * h)
                for a in step
            ]
            for b in step
        ]
    )
    found = ct.line(of_rows(label, p))
    assert found.statistic == pytest.approx(slope @ np.linalg.solve(bend, slope), rel=1e-3)
    assert ct.in_the_large(of_rows(label, p)).statistic == pytest.approx(
        slope[0] / math.sqrt(bend[0, 0]), rel=1e-4
    )


def test_a_slope_that_is_too_flat_is_found_whatever_the_level(many):
    label, p = many
    bold = expit(0.7 + 1.5 * logit(p))
    assert ct.slope(of_rows(label, p)).p > 0.01
    found = ct.slope(of_rows(label, bold))
    assert found.p < 1e-6 and found.statistic < 0
    assert ct.slope(of_rows([0, 1, 0], [0.2, 0.2, 0.2])) is None


def test_rows_and_their_counts_by_score_say_the_same(many):
    label, p = many
    p = np.round(p, 2).clip(0.01, 0.99)
    cells, inverse = np.unique(p, return_inverse=True)
    n1, n = np.bincount(inverse, label), np.bincount(inverse)
    one, other = of_rows(label, p), noisy(n1, n - n1, cells, 0.0)
    for test in (ct.spiegelhalter, ct.in_the_large, ct.line, ct.slope):
        assert test(one).p == pytest.approx(test(other).p)


def test_noise_is_in_the_variance_of_every_residual():
    """By drawing noise on counts that are right: within 4 standard errors of a variance of 1500 draws."""
    p, n, v = np.array([0.01, 0.1, 0.4]), np.array([900.0, 300.0, 80.0]), 60.0
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(1500):
        n1 = rng.binomial(n.astype(int), p)
        found = residuals(noisy(n1 + rng.normal(0, v**0.5, 3), n - n1 + rng.normal(0, v**0.5, 3), p, v))
        draws.append(found.value / np.sqrt(found.variance))
    assert np.abs(np.mean(draws, axis=0)).max() < 4 / math.sqrt(1500)
    assert np.var(draws, axis=0) == pytest.approx(np.ones(3), abs=4 * math.sqrt(2 / 1500))


@pytest.mark.parametrize("variance", [10.0, 400.0])
def test_no_test_rejects_too_often_on_noisy_counts(variance):
    """200 trials at .05: more than .1 happens once in six hundred by chance."""
    rng = np.random.default_rng(int(variance))
    p = expit(np.linspace(-5, 0, 20))
    n = np.linspace(900, 60, 20).astype(int)
    rejected = dict.fromkeys(("line", "slope", "spiegelhalter", "in_the_large", "hosmer_lemeshow"), 0)
    for _ in range(200):
        n1 = rng.binomial(n, p)
        counts = noisy(*(x + rng.normal(0, variance**0.5, 20) for x in (n1, n - n1)), p, variance)
        for name in rejected:
            given = by_grade(counts, DEFAULT_SCALE) if name == "hosmer_lemeshow" else counts
            tested = getattr(ct, name)(given)
            rejected[name] += tested is not None and tested.p <= 0.05
    assert max(rejected.values()) / 200 <= 0.1
