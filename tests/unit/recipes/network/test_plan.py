"""What is said before a network is trained: which kind, and whether a card, by public sizes alone."""

import pytest

from fedrisk.data.features import Feature
from fedrisk.recipes import study_from
from fedrisk.recipes.network.plan import expect, make_plan

FEATURES = [Feature(institution="bank", column="late", low=0, high=12, bins=(0.5, 1.5, 3.5))]


def codes(rows, epsilon=1.0, **network):
    study = study_from(
        {
            "name": "n",
            "purpose": "p",
            "recipe": "network",
            "network": network,
            "privacy": {"epsilon": epsilon},
            "institutions": [{"name": f"b{k}", "role": "bank"} for k in range(3)],
        }
    )
    sizes = {f"b{k}": rows // 3 for k in range(3)}
    found = expect(study, make_plan(study, FEATURES, rows), sizes)
    return {f.code for f in found} & {"network_mlp", "network_noisy"}


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (3_000, {}, {"network_mlp", "network_noisy"}),
        (3_000, {"kind": "products"}, {"network_noisy"}),
        (3_000, {"start": "card.json"}, set()),
        (3_000_000, {}, {"network_mlp"}),
        (3_000_000, {"kind": "logistic"}, set()),
    ],
)
def test_kinds_and_cards(rows, settings, said):
    assert codes(rows, **settings) == said


def test_without_noise_nothing_is_said():
    assert codes(3_000, float("inf")) == set()
