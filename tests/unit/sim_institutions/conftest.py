"""A small block of the province, generated without a pilot block."""

import pytest

from sim_institutions.block import Constants, generate_block
from sim_institutions.profiles import PROFILES

CONSTANTS = Constants(asked=0.0, intercept=-5.0)


@pytest.fixture(scope="session")
def block():
    return generate_block(PROFILES["province"], 2, 0, 6000, CONSTANTS)
