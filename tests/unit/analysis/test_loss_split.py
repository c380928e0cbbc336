"""Who bears a loss: by hand, and for rules and losses drawn at random, to the last fen."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_split import apportion, split_exactly, split_smoothly
from support.loss_rules import random_case

PARTIES = [{"name": n} for n in ("guarantor", "reguarantor", "bank", "city")]
SHARES = {"guarantor": 0.4, "reguarantor": 0.3, "bank": 0.2, "city": 0.1}


def rules(**more: Any) -> LossRules:
    plain = {
        "name": "r",
        "rest": "bank",
        "parties": PARTIES,
        "segments": [{"name": "all", "layers": [{"shares": SHARES}]}],
    }
    return LossRules.model_validate({**plain, **more})


def parts(made: LossRules, losses: list[int], exposures: list[int]) -> list[list[int]]:
    found = split_exactly(made, [0] * len(losses), np.array([losses]), np.array([exposures]))
    return [[int(p) for p in row] for row in found.parts[0]]


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=9))
def test_parts_add_up_and_are_within_one_unit_of_their_quota(total, weights):
    found = apportion(total, weights)
    assert sum(found) == total
    whole = sum(weights)
    if whole:
        assert all(abs(Fraction(total * w, whole) - p) < 1 for w, p in zip(weights, found, strict=True))
        assert all(p == 0 for w, p in zip(weights, found, strict=True) if w == 0)


def test_shares_by_hand():
    assert parts(rules(), [1_000_001], [10**9]) == [[400_001, 300_000, 200_000, 100_000]]


def test_a_deductible_is_a_first_layer():
    layers = [{"up_to": 0.01, "shares": {"bank": 1.0}}, {"shares": SHARES}]
    made = rules(segments=[{"name": "all", "layers": layers}])
    # 1 % of 100,000 is the banks' alone; of the other 4,000 they bear a fifth.
    assert parts(made, [5_000], [100_000]) == [[1_600, 1_200, 1_800, 400]]
    assert parts(made, [900], [100_000]) == [[0, 0, 900, 0]]


def test_a_cap_is_over_all_segments():
    capped = [{"name": "guarantor", "cap": 10.0}, *PARTIES[1:]]
    # 40 % of 6,000 fen are 2,400, and 1,000 is the most: 1,400 go to the banks, by segment as they were borne.
    assert parts(rules(parties=capped), [4_000, 2_000], [10**6, 10**6]) == [
        [667, 1_200, 1_733, 400],
        [333, 600, 867, 200],
    ]


def test_above_the_stop_nothing_more_is_compensated():
    made = rules(stop={"rate": 0.05})
    # 80 % of 10,000 would be compensated; the stop leaves 5,000 of the exposure of 100,000.
    assert parts(made, [10_000], [100_000]) == [[2_500, 1_875, 5_000, 625]]
    found = split_exactly(made, [0], np.array([[10_000], [100]]), np.array([100_000]))
    assert found.stopped.tolist() == [True, False]


def test_a_stop_of_business_moves_nothing():
    found = split_exactly(
        rules(stop={"rate": 0.05, "ends": "business"}), [0], np.array([[10_000]]), np.array([100_000])
    )
    assert found.parts[0, 0].tolist() == [4_000, 3_000, 2_000, 1_000]
    assert found.stopped.tolist() == [True]


def test_a_stop_by_segment():
    made = rules(stop={"rate": 0.05, "per": "segment"})
    assert parts(made, [10_000, 0], [100_000, 10**9]) == [[2_500, 1_875, 5_000, 625], [0, 0, 0, 0]]
    assert parts(rules(stop={"rate": 0.05}), [10_000, 0], [100_000, 10**9])[0] == [4_000, 3_000, 2_000, 1_000]


@pytest.mark.parametrize(("beyond", "city", "bank"), [("bank", 500, 2_500), (None, 1_000, 2_000)])
def test_a_pool_that_is_too_small(beyond, city, bank):
    found = split_exactly(
        rules(pool={"size": 5.0, "pays": ["city"], "beyond": beyond}),
        [0],
        np.array([[10_000]]),
        np.array([10**6]),
    )
    assert found.parts[0, 0].tolist() == [4_000, 3_000, bank, city]
    assert found.claims.tolist() == [1_000]


def test_the_order_matters():
    more = {"stop": {"rate": 0.05}, "parties": [{"name": "guarantor", "cap": 20.0}, *PARTIES[1:]]}
    first = parts(rules(order=["stop", "caps", "pool"], **more), [10_000], [100_000])
    second = parts(rules(order=["caps", "stop", "pool"], **more), [10_000], [100_000])
    assert first == [[2_000, 1_875, 5_500, 625]]
    assert second == [[1_667, 2_500, 5_000, 833]]


@pytest.mark.parametrize("seed", range(300))
def test_random_rules_and_losses_add_up_to_the_last_fen(seed):
    """benchmarks/statistics/losses.py goes through 10,000 of them."""
    made, which, losses, exposures = random_case(np.random.default_rng(seed))
    found = split_exactly(made, which, losses, exposures)
    assert (found.parts.sum(axis=2) == losses).all()
    assert (found.parts >= 0).all()
    smooth = split_smoothly(made, which, losses.astype(float), exposures.astype(float))
    # Each step rounds each amount by less than a fen.
    steps = 40 * losses.shape[1] * len(made.parties)
    assert np.allclose(found.parts.astype(float), smooth.parts, rtol=1e-9, atol=steps)
