"""Inference on models and totals: what is simulated is what nodes do, bounds hold, and controls succeed."""

import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.attacks import labels, membership, network_membership, score_inversion
from fedrisk.attacks.attack import Effort
from fedrisk.attacks.coin_games import area
from fedrisk.attacks.controls import unbounded_points
from fedrisk.attacks.crafted import bits, digits, lying
from fedrisk.attacks.membership_game import layers_of, noise_of, outlying, play, standing
from fedrisk.attacks.score_reading import Population, Version
from fedrisk.attacks.stated_columns import CRAFTED, HOLDER, consortium
from fedrisk.attacks.study_as_simulated import exact_difference, noise_share
from fedrisk.attacks.study_in_sums import Rows, Simulator
from fedrisk.releases.budget import total_mu

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def made(scratch):
    return consortium(scratch(), 500, 1)


@pytest.fixture(scope="module")
def exact(made):
    run = made.run(made.with_study(privacy={"epsilon": math.inf}), research_seed=1)
    return run, Rows.of(run, made.tables)


@pytest.fixture(scope="module")
def rows(exact):
    """The same in studies of epsilon 3."""
    run, found = exact
    return membership.stated_at(found, 3.0, run.plan.features, len(found) // 2)


def test_without_noise_the_simulated_study_is_the_real_one_to_the_last_digit(exact):
    assert exact_difference(*exact) == 0.0


def test_rows_that_were_made_to_stand_out_are_found_first(rows):
    ids = rows.ids[outlying(Simulator(rows), 4)]
    assert sum(str(name).startswith(CRAFTED) for name in ids) >= 2


def test_the_noise_of_a_real_study_is_what_the_simulation_takes_it_to_be(made):
    run = made.run(made.with_study(privacy={"epsilon": 3.0}))
    found = noise_share([(run, Rows.of(run, made.tables))])
    assert found.low < 1.0 < found.high


def test_simulated_noise_has_the_covariance_that_the_attackers_take(rows):
    """Defaults and all rows of a holder share its noise: sampled, against the matrix."""
    simulator, rng = Simulator(rows), np.random.default_rng(1)
    layers = layers_of(simulator, simulator.study(np.ones(len(rows), bool), rng))[1][:1]
    release = simulator.first.release
    zeros = simulator.first.exact(np.zeros(len(rows)))
    drawn = np.array(
        [np.concatenate(list(simulator.noisy(release, zeros, rng).values())) for _ in range(4000)]
    )
    wanted = noise_of(layers, "")
    error = np.abs(np.cov(drawn.T) - wanted) / np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    assert error.max() < 0.12
    # The holder knows its own part: nothing is left of what it sends alone.
    own = np.diag(noise_of(layers, HOLDER))
    assert own.min() < 1e-6 < own.max()


def test_nobody_gets_further_than_mu_and_the_worst_row_nearly_that_far(rows):
    simulator, rng = Simulator(rows), np.random.default_rng(2)
    found = play(simulator, standing(simulator, rng, HOLDER, 4), 6, rng, HOLDER)
    mu = total_mu(rows.facts.study)
    for distance in (found.outsider_mu, found.holder_mu):
        assert 0.7 * mu < distance.max() <= mu * (1 + 1e-9)


def test_without_noise_it_is_known_who_took_part(rows):
    simulator, rng = Simulator(rows, noise=False), np.random.default_rng(3)
    found = play(simulator, [0, 1, 2, 3], 5, rng, HOLDER)
    for score in (found.outsider, found.holder):
        assert area(score.ravel(), found.coin.ravel()).value == 1.0


def test_without_noise_a_label_is_read_and_with_noise_it_is_held_to_its_price(exact):
    run, every = exact
    small = membership.stated_at(every.taken(np.arange(60)), 3.0, run.plan.features, 60)
    rng = np.random.default_rng(4)
    limit = math.sqrt(2) * total_mu(small.facts.study)
    for coin in (True, False):
        score, distance = labels._coin_of(small, 5, coin, rng, noise=False)
        assert (score > 0) == coin and 0 < distance <= limit


@pytest.mark.long
@pytest.mark.parametrize("unbounded", [False, True])
def test_what_points_tell_is_as_the_bank_opened_it_and_bounded_by_the_policy(unbounded, tmp_path):
    access = replace(score_inversion.FEW, enterprises=900)
    small = score_inversion._consortium(tmp_path, access, Effort(quick=True))
    with unbounded_points() if unbounded else nullcontext(), lying(digits) as loot:
        run = small.run()
        version = Version.of(run)
    assert (sum(version.seen(Population(loot.ids, small.tables))) == loot.external).all()
    assert (bits(loot.external) > math.log2(score_inversion.FEW_VALUES)) == unbounded


@pytest.mark.long
@pytest.mark.parametrize("attack", [membership, network_membership, labels, score_inversion])
def test_attacks_are_held_and_controls_succeed(attack, tmp_path):
    figures = list(attack.ATTACK.run(tmp_path, Effort(quick=True)))
    assert {f.verdict for f in figures} == {"held", "control succeeded"}
