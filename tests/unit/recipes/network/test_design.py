"""Design and learning rate of a network from public facts, for hub and banks alike."""

import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.network import NetworkDesign
from fedrisk.models.network_defaults import default_rate
from fedrisk.recipes import study_from
from fedrisk.recipes.network.design import design_of, tuning
from fedrisk.releases.budget import total_mu
from fedrisk.releases.gradient_sums import training_plan

BINS = [Bins.public(Feature(institution="bank", column="late", low=0, high=12, bins=(0.5, 1.5, 3.5)))]


def study(epsilon=1.0, **training):
    return study_from(
        {
            "name": "n",
            "purpose": "p",
            "recipe": "network",
            "privacy": {"epsilon": epsilon},
            "institutions": [{"name": f"b{k}", "role": "bank"} for k in range(3)],
            "training": training,
        }
    )


def plan_of(s):
    return training_plan(s, total_mu(s))


def test_both_follow_from_the_noise_beside_the_rows():
    s = study()
    for rows in (2_000, 20_000, 2_000_000):
        noise = plan_of(s).gradient_noise(rows)
        assert tuning(s, plan_of(s), rows).rate == default_rate(noise)
        assert design_of(s, plan_of(s), rows, BINS) == NetworkDesign.of(BINS, noise=noise)
    few, many = (tuning(s, plan_of(s), rows).rate for rows in (2_000, 2_000_000))
    assert few < many
    assert design_of(s, plan_of(s), 500, BINS).kind == "logistic"
    assert design_of(s, plan_of(s), 2_000_000, BINS).kind == "mlp"


@pytest.mark.parametrize(
    ("epsilon", "training", "optimiser"),
    [
        (1.0, {}, "momentum"),
        (float("inf"), {}, "adam"),
        (1.0, {"mode": "silo"}, "momentum"),
        (1.0, {"mode": "silo", "local_steps": 5}, "sgd"),
        (1.0, {"mode": "silo", "local_steps": 5, "optimiser": "adam"}, "adam"),
    ],
)
def test_the_optimiser_follows_from_the_study(epsilon, training, optimiser):
    s = study(epsilon, **training)
    assert tuning(s, plan_of(s), 10_000).optimiser == optimiser


def test_what_the_study_chooses_is_taken():
    s = study(learning_rate=0.125)
    assert tuning(s, plan_of(s), 10_000).rate == 0.125
