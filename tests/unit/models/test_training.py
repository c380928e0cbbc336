"""The plan of a training: noise, price and what has to be installed."""

import math

import pytest

from fedrisk.errors import ConfigError
from fedrisk.models import training
from fedrisk.models.training import logit_edges, training_plan
from fedrisk.privacy.accounting import mu_for
from fedrisk.secure.fixed_point import BITS
from fedrisk.study import study_from

BASE = {"name": "n", "purpose": "p", "recipe": "neural", "privacy": {"epsilon": 1.0}}


def study(banks=3, **more):
    members = [{"name": f"b{k}", "role": "bank"} for k in range(banks)]
    return study_from({**BASE, "institutions": members, **more})


def test_the_sums_of_all_rounds_cost_the_budget():
    plan = training_plan(study(training={"mode": "own_noise", "steps": 4, "local_steps": 5}), edges=False)
    assert (plan.steps, plan.sums) == (4, 20)
    assert plan.mu_sum * math.sqrt(20) == pytest.approx(mu_for(1.0, 1e-6))
    assert plan.release(0, 7).mu * math.sqrt(4) == pytest.approx(mu_for(1.0, 1e-6))


def test_edges_take_their_share_first():
    whole, rest = (training_plan(study(), edges=e).mu for e in (False, True))
    assert rest == pytest.approx(whole * math.sqrt(0.95))


def test_own_noise_is_whole_at_each_trainer():
    """By hand: clip 1 over one sum of price mu has deviation 1 / mu, in units of 2^-24."""
    rule = {"mode": "own_noise", "steps": 1}
    plan = training_plan(study(banks=6, training=rule), edges=False)
    assert plan.sigma == pytest.approx(2**BITS / mu_for(1.0, 1e-6), rel=1e-6)
    shared = training_plan(study(banks=6, training={"steps": 1}), edges=False)
    assert shared.sigma == pytest.approx(plan.sigma / math.sqrt(2), rel=1e-6)  # four left, one tolerated


def test_score_bins_lie_evenly_around_the_expected_rate():
    edges = logit_edges(study(expected={"default_rate": 0.5}, evaluation={"bins": 5}))
    assert edges == pytest.approx([-3.0, -1.0, 1.0, 3.0])


def test_what_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(training, "find_spec", lambda name: None if name == "opacus" else object())
    with pytest.raises(ConfigError, match=r"need opacus.*pip install fedrisk\[neural\]"):
        training.require_torch()
