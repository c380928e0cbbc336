"""Attackers with shadow models: they find what is there, and nothing where nothing is."""

import numpy as np
import pytest

from fedrisk.attacks.coin_games import area
from fedrisk.attacks.shadow_attackers import ATTACKERS, Seen, each, stacked

TARGETS = 6


def seen(effect, studies=300, seed=1):
    """Studies in which a target that took part has more confidence, each target at a level of its own."""
    rng = np.random.default_rng(seed)
    coin = rng.random((studies, TARGETS)) < 0.5
    level = np.linspace(-5, 5, TARGETS)
    confidence = level + effect * coin + rng.normal(size=coin.shape)
    # A model in which who took part stands in plain numbers, each with noise.
    model = 4 * effect * coin + rng.normal(size=coin.shape)
    return Seen(coin, confidence, model, effect * coin + rng.normal(size=coin.shape))


def areas(effect):
    both = seen(effect)
    said = each(both[:150], both[150:])
    coin = both.coin[150:]
    return {name: area(score.ravel(), coin.ravel()).value for name, score in said.items()}


def test_what_is_there_is_found_and_by_scores_of_each_target_better_than_by_one_threshold():
    found = areas(2.0)
    # Two normals two deviations apart: .92
    assert found["likelihood_ratio"] == pytest.approx(0.92, abs=0.03)
    assert found["offline_ratio"] == pytest.approx(0.92, abs=0.03)
    assert found["totals"] > 0.88 and found["nearest"] > 0.75
    assert found["loss"] < 0.7


def test_nothing_is_found_where_nothing_is():
    assert set(areas(0.0)) == {*ATTACKERS, "totals"}
    assert all(abs(value - 0.5) < 0.1 for value in areas(0.0).values())


def test_all_together_know_more_than_each():
    both = seen(1.0, 600)
    shadows, learnt, attacked = both[:200], both[200:400], both[400:]
    before, now = each(shadows, learnt), each(shadows, attacked)
    coin = attacked.coin.ravel()
    together = area(stacked(before, learnt.coin, now).ravel(), coin).value
    assert together > max(area(score.ravel(), coin).value for score in now.values())


def test_models_alone_have_no_totals():
    both = seen(1.0)
    bare = Seen(both.coin, both.confidence, both.model)
    assert set(each(bare[:100], bare[100:])) == set(ATTACKERS)
