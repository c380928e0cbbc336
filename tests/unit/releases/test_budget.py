"""How a budget is split, and how parts of it become noise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.privacy.accounting import SIGMA_MIN, compose, mu_for
from fedrisk.releases.budget import NOISE_REACH, noise_reach, ring_sigma, scaled, sigmas, split, total_mu
from fedrisk.study import study_from


def study(banks=2, *, epsilon=1.0, colluders=1):
    return study_from(
        {
            "name": "s",
            "purpose": "p",
            "privacy": {"epsilon": epsilon, "colluders": colluders},
            "institutions": [
                *({"name": f"b{k}", "role": "bank"} for k in range(banks)),
                {"name": "tax", "role": "holder"},
                {"name": "power", "role": "holder"},
            ],
        }
    )


def test_the_budget_in_mu():
    assert total_mu(study()) == mu_for(1.0, 1e-6)
    assert total_mu(study(epsilon=math.inf)) == math.inf
    assert ring_sigma(3.0, math.inf) == 0.0


@given(st.floats(0.01, 10), st.lists(st.floats(0.1, 5), min_size=2, max_size=5), st.booleans())
def test_prices_by_share_add_up_to_the_whole(total, weights, leave_out):
    shares = {str(k): w / sum(weights) for k, w in enumerate(weights)}
    prices = split(total, shares, without=["0"] if leave_out else ())
    assert compose(prices.values()) == pytest.approx(total)
    assert ("0" in prices) == (not leave_out)


def test_prices_by_hand():
    assert split(10.0, {"a": 0.36, "b": 0.64}) == pytest.approx({"a": 6.0, "b": 8.0})
    assert split(10.0, {"a": 0.5, "b": 0.18, "c": 0.32}, without=["a"]) == pytest.approx({"b": 6.0, "c": 8.0})


def test_the_scale_is_the_least_power_of_two_whose_noise_is_fine_enough():
    bits, sigma = scaled(1.0, 100.0, 1, 0)
    assert sigma >= SIGMA_MIN
    assert sigma == pytest.approx(2**bits / 100.0, rel=3e-3)  # integers cost a little more
    assert (
        scaled(2.0 ** (bits - 1), 100.0, 1, 0)[0] == 1
    )  # a sensitivity that is a power of two takes its bits off
    assert scaled(1.0, 0.01, 1, 0) == (0, pytest.approx(100.0, rel=1e-3))
    assert scaled(1.0, 0.01, 1, 0, least_bits=8)[0] == 8
    assert scaled(1.0, math.inf, 5, 1, least_bits=8) == (8, 0.0)
    nine_share = scaled(1.0, 100.0, 9 + 1, 0)  # each adds a third of the deviation, so it needs more bits
    assert nine_share[0] > bits
    assert nine_share[1] / 3 >= SIGMA_MIN


def test_who_adds_how_much_noise():
    """Five banks, one colludes and one reads: any three others suffice. A holder carries it all."""
    asked = study(5)
    noise = sigmas(asked, 30.0, "bank", "tax")
    assert list(noise) == ["b0", "b1", "b2", "b3", "b4", "tax"]
    assert noise["b0"] == pytest.approx(30.0 / math.sqrt(3), rel=1e-3)
    assert noise["tax"] == 30.0
    assert sigmas(asked, 30.0, "tax", "power") == {"tax": 30.0, "power": 30.0}
    assert sigmas(asked, 30.0, "power") == {"power": 30.0}
    assert set(sigmas(asked, 0.0, "bank").values()) == {0.0}


def test_the_reach_of_noise_by_hand():
    assert noise_reach({"a": 3.0, "b": 4.0}) == 5 * NOISE_REACH
    assert noise_reach({}) == noise_reach({"a": 0.0}) == 0
