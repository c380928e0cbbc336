"""A block is generated without any other block; the pilot's constants give the profile's rates."""

import numpy as np
import pytest

from sim_institutions.block import Constants, generate_block, pilot_constants
from sim_institutions.health import MOVING
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import MONTHS


def test_a_block_depends_on_profile_seed_and_number_alone(block):
    again = generate_block(PROFILES["province"], 2, 0, 6000, Constants(asked=0.0, intercept=-5.0))
    other = generate_block(PROFILES["province"], 2, 1, 6000, Constants(asked=0.0, intercept=-5.0))
    assert np.array_equal(again.health.risk, block.health.risk)
    assert np.array_equal(again.bank_default, block.bank_default)
    assert not np.array_equal(other.health.risk, block.health.risk)
    assert other.number == 1


def test_banks_see_defaults_of_their_borrowers_only(block):
    assert block.bank_default.shape == (6000, len(block.profile.banks))
    assert not (block.bank_default & ~block.lending.loan).any()
    assert np.array_equal(block.bank_default.any(axis=1), block.default & block.lending.borrower)


def test_effects_are_by_moving_facet(block):
    assert set(block.effects) == set(MOVING)
    assert all(effect.shape == (6000, MONTHS) for effect in block.effects.values())


def test_constants_of_the_pilot_give_the_rates_of_the_profile():
    demo = PROFILES["demo"]
    block = generate_block(demo, 1, 0, 10_000, pilot_constants(demo, 1))
    borrower = block.lending.borrower
    # 10,000 enterprises: both shares have a standard error of about .003.
    assert borrower.sum() / block.lending.applied.sum() == pytest.approx(demo.approval, abs=0.02)
    assert block.default[borrower].mean() == pytest.approx(demo.default_rate, abs=0.015)
