"""Low-default bounds and margins of conservatism."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation.calibration_checks import least_found
from fedrisk.analysis.validation.conservatism import LogOddsErrors, margins
from fedrisk.analysis.validation.evidence import Evidence
from fedrisk.analysis.validation.grade_counts import by_grade
from fedrisk.analysis.validation.low_default import bounds, common_bound
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.analysis.validation.noisy_binomial import jeffreys_test
from fedrisk.analysis.validation.pack import validate
from fedrisk.analysis.validation.rules import Conservatism, ValidationRules

SCALE = MasterScale(("A", "B", "C"), (0.01, 0.05))


def grades(defaults, size, variance=0.0, pd=(0.004, 0.02, 0.1)):
    d, n, edge = np.asarray(defaults, float), np.asarray(size, float), np.arange(3.0)
    counts = ScoreCounts(
        positives=d,
        negatives=n - d,
        variance=variance,
        low=edge,
        high=edge + 1,
        axis="risk",
        probability=np.array(pd),
    )
    return by_grade(counts, SCALE)


def test_no_defaults_at_all_by_pluto_and_tasche():
    """Their example: without defaults a grade's bound is 1 - (1 - gamma)^(1 / customers of it and all riskier ones)."""
    found = bounds(grades([0, 0, 0], [100, 400, 300]), 0.9)
    assert found.prudent == pytest.approx([1 - 0.1 ** (1 / n) for n in (800, 700, 300)])
    assert found.near == pytest.approx(found.prudent)
    mean = (100 * 0.004 + 400 * 0.02 + 300 * 0.1) / 800
    assert found.scaled == pytest.approx([p * found.central / mean for p in (0.004, 0.02, 0.1)])


def test_a_grade_with_few_defaults_is_taken_with_as_few_riskier_ones_as_have_enough():
    found = bounds(grades([0, 25, 90], [100, 900, 700]), 0.9)
    assert found.near[0] == pytest.approx(common_bound(25, 1000, 0.0, 0.9, 0.0))
    assert found.near[1] == pytest.approx(common_bound(25, 900, 0.0, 0.9, 0.0))
    assert found.near[0] < found.prudent[0]


def test_correlation_and_noise_widen_a_bound():
    plain = common_bound(3, 500, 0.0, 0.9, 0.0)
    assert plain < common_bound(3, 500, 0.0, 0.9, 0.05) < common_bound(3, 500, 0.0, 0.9, 0.2)
    assert plain < common_bound(3, 500, 30.0, 0.9, 0.0)
    assert common_bound(-50, 500, 30.0, 0.9, 0.0) > 0


def test_a_margin_by_hand():
    one = grades([2, 18, 70], [500, 900, 700])
    errors = LogOddsErrors(calibration=np.full(3, 0.05), noise=np.full(3, 0.1), points=np.full(3, 0.2))
    rules = Conservatism(confidence=0.9, data=0.1, changes=0.05)
    found = margins(one, errors, rules)[2]
    steep, sampling = 0.1 * 0.9, (700 * 0.1 * 0.9) ** 0.5 / 700
    error = (sampling**2 + steep**2 * (0.05**2 + 0.1**2 + 0.2**2)) ** 0.5
    assert found.error == pytest.approx(error) and found.estimation == pytest.approx(1.2815515655 * error)
    assert found.final == pytest.approx(0.1 * 1.15 + found.estimation)
    without = 1.2815515655 * (error**2 - (steep * 0.1) ** 2) ** 0.5
    assert found.by_noise == pytest.approx(found.estimation - without)
    leaner = margins(one, errors, rules.model_copy(update={"points": False}))[2]
    assert leaner.points == 0 and leaner.final < found.final


def test_more_noise_makes_every_margin_larger_and_none_falls_towards_risk():
    nothing = np.zeros(3)
    finals = []
    for variance, noise in ((0.0, 0.0), (20.0, 0.1), (200.0, 0.3)):
        errors = LogOddsErrors(calibration=nothing, noise=np.full(3, noise), points=nothing)
        finals.append(
            [m.final for m in margins(grades([2, 18, 70], [500, 900, 700], variance), errors, Conservatism())]
        )
    assert (np.diff(finals, axis=0) > 0).all() and (np.diff(finals, axis=1) >= 0).all()


def test_a_tiny_safe_grade_is_no_riskier_than_the_next_one():
    nothing = np.zeros(3)
    errors = LogOddsErrors(calibration=nothing, noise=nothing, points=nothing)
    first, second, _ = margins(grades([0, 30, 90], [3, 1500, 900]), errors, Conservatism())
    assert first.pd + first.estimation > second.final == first.final


def test_what_is_by_noise_is_between_none_and_all_of_the_error_of_points():
    errors = LogOddsErrors(calibration=np.full(3, 0.05), noise=np.full(3, 0.1), points=np.full(3, 0.2))
    found = margins(grades([2, 18, 70], [500, 900, 700]), errors, Conservatism())[2]
    sampled = 1.2815515655 * np.hypot(found.sampling, found.calibration)
    assert found.by_noise_most == pytest.approx(found.estimation - sampled)
    assert 0 < found.by_noise < found.by_noise_most


def test_a_grade_with_few_defaults_is_no_objection_to_a_model_that_is_right():
    """Expected defaults to a whole number in each grade. A bound of riskier grades too is above the safest one's rate."""
    p, n = np.array([0.001, 0.004, 0.02, 0.1]), np.array([1000.0, 1000, 1500, 500])
    counts = ScoreCounts(
        positives=n * p,
        negatives=n * (1 - p),
        variance=0.0,
        low=p,
        high=p,
        axis="probability",
        probability=p,
    )

    def few(made):
        pack = validate(Evidence(model="shared", sample="holdout", now=made), ValidationRules())
        return next(c for c in pack.checks if c.code == "low_default")

    found = few(counts)
    assert found.values["few"] and found.light == "green"
    more = replace(counts, positives=4 * n * p, negatives=n * (1 - 4 * p))
    assert few(more).light == "yellow"


def test_the_portfolio_test_finds_what_it_says():
    """Of 4000 samples of 400 customers, 77 to 83 % (four standard errors, and .8) are found at the stated ratio."""
    rate, customers = 0.05, 400
    variance = customers * rate * (1 - rate)
    times = least_found(customers * rate, variance, 0.0, 0.05)
    drawn = np.random.default_rng(0).binomial(customers, times * rate, 4000)
    assert 0.75 < np.mean([jeffreys_test(d, customers, rate) <= 0.05 for d in drawn]) < 0.85
    assert least_found(20.0, 19.0, 900.0, 0.05) > 4 and least_found(0.0, 0.0, 1.0, 0.05) is None
