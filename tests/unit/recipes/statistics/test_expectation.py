"""Expected errors from public sizes: by hand where that can be, and of the size that comes out."""

import math

import numpy as np
import pytest

from fedrisk.analysis.intervals import mean, reach
from fedrisk.recipes.statistics.expectation import expected, in_unit, least_rows, standard_error
from fedrisk.releases.release import Block, Release
from fedrisk.releases.statistics import MEAN_COUNT, Axis, CellTable, Layout, Measure


def test_errors_of_totals_are_the_noise_itself():
    count, amount = Measure(name="n", kind="count"), Measure(name="s", kind="sum", low=0, high=500)
    assert standard_error(count, 12.0, 300) == 12.0
    assert standard_error(amount, 12.0, 300) == 6000.0


def test_a_draw_adds_its_own_error():
    # 400 enterprises, half of them drawn: the draw's deviation is sqrt(400 / 2 / 2) = 10, and doubled 20.
    assert standard_error(Measure(name="n", kind="count"), 0.0, 400, 0.5) == pytest.approx(20.0)


def test_errors_of_means_fall_with_the_size_of_a_cell():
    one = Measure(name="m", kind="mean", low=0, high=10)
    assert standard_error(one, 5.0, 200) == pytest.approx(standard_error(one, 5.0, 100) / 2)
    assert least_rows(one, 5.0) == pytest.approx(5 * least_rows(one, 1.0))


def test_expected_errors_of_means_are_those_that_come_out():
    """Means that are anywhere between the bounds, in cells of one size; a mean of 400 errors is within 10 %."""
    rng, sigma, rows = np.random.default_rng(1), 6.0, 400.0
    truth = rng.uniform(-1, 1, 400)
    weight = math.sqrt(1 - MEAN_COUNT**2)
    count = rows + rng.normal(0, sigma / MEAN_COUNT, 400)
    total = truth * rows + rng.normal(0, sigma / weight, 400)
    noise = np.full(400, (sigma / MEAN_COUNT) ** 2), np.full(400, (sigma / weight) ** 2)
    found = mean(count, total, noise, reach(0.95), 1.0).moved(0.0, 5.0)
    said = standard_error(Measure(name="m", kind="mean", low=-5, high=5), sigma, rows)
    assert float(np.sqrt(((found.estimate - 5 * truth) ** 2).mean())) == pytest.approx(said, rel=0.12)


def test_cells_that_are_likely_to_be_silent():
    layout = Layout(
        owner="power",
        axes=(Axis(name="county", column="power.county", categories=("a", "b", "c", "d", "(unknown)")),),
        tables=(CellTable(name="county", axes=("county",)),),
        measures=(Measure(name="n", kind="count"),),
    )
    block = Block(name="county|n", left="power", right="power", shape=(5, 1), sigma={"power": 10.0})
    release = Release(
        name="statistics", population="all", mu=0.1, ring="uint64", scale_bits=0, blocks=(block,)
    )
    (found,) = expected(layout, release, 400)
    assert (found.cells, found.rows, found.error) == (4, 100.0, 10.0)
    # A broken stick of mean length 100 is shorter than 19.6 with probability 1 - exp(-.196).
    assert found.silent == pytest.approx(4 * (1 - math.exp(-0.196)))


@pytest.mark.parametrize(
    ("error", "kind", "unit", "words"),
    [
        (0.00123, "share", None, "0.123 percentage points"),
        (7.3256, "count", None, "7.33 enterprises"),
        (0.0, "mean", "kWh", "0 kWh"),
        (123456.0, "variance", "yuan", "123,000 yuan squared"),
    ],
)
def test_errors_in_words(error, kind, unit, words):
    assert in_unit(error, kind, unit) == words
