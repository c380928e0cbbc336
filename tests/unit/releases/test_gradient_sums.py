"""Noisy sums of gradients: price and noise of a training, and how many trainers have to stay."""

import math

import pytest

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import compose, mu_for
from fedrisk.releases.budget import total_mu
from fedrisk.releases.gradient_sums import (
    EXACT_CLIP,
    check_threshold,
    planned_training,
    training_findings,
    training_plan,
)
from fedrisk.secure.fixed_point import BITS, bound
from fedrisk.study import study_from

BASE = {"name": "n", "purpose": "p", "recipe": "network", "privacy": {"epsilon": 1.0}}
MU = mu_for(1.0, 1e-6)


def study(banks=3, **more):
    members = [{"name": f"b{k}", "role": "bank"} for k in range(banks)]
    return study_from({**BASE, "institutions": members, **more})


def test_the_sums_of_all_rounds_cost_the_budget():
    plan = training_plan(study(training={"mode": "silo", "steps": 4, "local_steps": 5}), MU)
    assert (plan.steps, plan.sums) == (4, 20)
    assert plan.mu_sum * math.sqrt(20) == pytest.approx(MU)
    assert plan.release(0, 7).mu * math.sqrt(4) == pytest.approx(MU)
    assert compose(plan.release(k, 7).mu for k in range(4)) == pytest.approx(MU)


def test_a_round_pays_for_as_many_draws_as_it_has_local_steps():
    plan = training_plan(study(training={"mode": "silo", "steps": 4, "local_steps": 5}), MU)
    release = plan.release(2, 7)
    assert (release.name, release.draws, release.ring, release.scale_bits) == ("step_2", 5, "uint64", BITS)
    (block,) = release.blocks
    assert (block.shape, block.contributors) == ((7,), ("b0", "b1", "b2"))
    assert training_plan(study(), MU).release(0, 7).draws == 1


def test_whole_noise_at_each_trainer_in_silo_mode():
    """By hand: clip 1 over one sum of price mu has deviation 1 / mu, in units of 2^-24."""
    plan = training_plan(study(banks=6, training={"mode": "silo", "steps": 1}), MU)
    assert plan.sigma == pytest.approx(2**BITS / MU, rel=1e-6)
    shared = training_plan(study(banks=6, training={"steps": 1}), MU)
    assert shared.sigma == pytest.approx(plan.sigma / math.sqrt(2), rel=1e-6)  # four left, one colludes
    assert plan.variance == pytest.approx(1 / MU**2, rel=1e-6)
    assert shared.variance == pytest.approx(6 * plan.variance / 2, rel=1e-6)  # all six add theirs


def test_no_privacy_has_no_noise_and_a_wider_clip():
    plan = training_plan(study(), math.inf)
    assert (plan.sigma, plan.variance, plan.clip) == (0.0, 0.0, EXACT_CLIP)
    assert plan.radius == bound(EXACT_CLIP)


def test_noise_of_the_mean_gradient_by_hand():
    rule = {"steps": 1, "clip": 2.0}
    shared = training_plan(study(banks=6, training=rule), MU)
    silo = training_plan(study(banks=6, training={**rule, "mode": "silo"}), MU)
    # Six parts, any two of which are the whole noise; its deviation is clip by mu, and clip cancels.
    assert shared.gradient_noise(100) == pytest.approx(math.sqrt(3) / MU / 100, rel=1e-6)
    assert silo.gradient_noise(100) == pytest.approx(math.sqrt(6) / MU / 100, rel=1e-6)


@pytest.mark.parametrize(
    ("banks", "threshold", "good"), [(4, 2, False), (4, 3, True), (4, 4, True), (4, 5, False)]
)
def test_the_threshold_is_more_than_half_and_not_more_than_all(banks, threshold, good):
    asked = study(banks, training={"threshold": threshold})
    if good:
        check_threshold(asked)
    else:
        with pytest.raises(ConfigError, match=f"training.threshold = {threshold} and there are 4 trainers"):
            check_threshold(asked)


def test_all_sums_are_one_line_of_a_plan():
    plan = training_plan(study(), MU)
    line = planned_training(plan)
    assert (line.name, line.population, line.mu, line.release) == ("training", "training", MU, None)
    assert line.deviation == (math.sqrt(plan.variance),) * 2


@pytest.mark.parametrize(("rows", "code"), [(100, "gradient_noise_much"), (10**6, "gradient_noise_little")])
def test_what_is_said_before_a_training(rows, code):
    asked = study()
    plan = training_plan(asked, total_mu(asked))
    noise, trainers = training_findings(asked, plan, dict.fromkeys(asked.trainers, rows))
    assert noise.code == code
    assert noise.values["noise"] == pytest.approx(plan.gradient_noise(3 * rows * 0.8 * 0.7))
    assert dict(trainers.values) == {"trainers": 3, "lost": 1, "threshold": 2, "exchanges": 58}
    assert [f.code for f in training_findings(asked, plan, {})] == ["trainers"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, False),
        ({"learning_rate": 24.0}, False),
        ({"learning_rate": 100.0}, True),
        # To adam a proposal is a direction, whatever its length.
        ({"learning_rate": 100.0, "optimiser": "adam"}, False),
    ],
)
def test_a_high_learning_rate_is_said_before_a_training(rule, said):
    asked = study(training=rule)
    found = training_findings(asked, training_plan(asked, total_mu(asked)), {})
    assert ("learning_rate_high" in [f.code for f in found]) is said
