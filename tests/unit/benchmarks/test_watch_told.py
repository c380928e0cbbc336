"""What a year of a watch tells: the code length, the inversion and who moved, where they can be worked out by hand."""

import numpy as np
import pytest

from benchmarks.watch.told import code_length, differences, entropy, inversion, of_months

HALF = np.arange(4000) % 2 == 0


def test_a_code_is_no_shorter_than_what_there_is_and_hardly_longer():
    rng = np.random.default_rng(1)
    # A number of four that stays, and one that is drawn anew: 2 bits, and 2 bits for each of three months.
    stays = np.tile(rng.integers(0, 4, 4000), (3, 1))
    assert 1.99 <= code_length(stays, HALF) <= 2.1
    assert 5.95 <= code_length(rng.integers(0, 4, (3, 4000)), HALF) <= 6.1


def test_an_inversion_reads_what_the_numbers_say_and_nothing_of_what_they_do_not():
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 4, (2, 4000))
    truth = np.stack([numbers[0], rng.integers(0, 4, 4000)], axis=1)
    gained, right = inversion(truth, of_months(numbers), rng)
    told = gained.mean(axis=0)
    assert entropy(truth[:, 0]) - 0.1 < told[0] <= entropy(truth[:, 0])
    # Learning from chance costs a little, and never gains: the figure is a lower bound.
    assert -0.2 < told[1] < 0.02
    assert right[:, 0].mean() > 0.99


def test_who_moved_is_counted_by_hand():
    # Four enterprises, two holders, two months: one moves at the first, one at the second, one at both, one not.
    by_holder = np.array([[[10, 10, 10, 10], [20, 20, 20, 20]], [[11, 10, 11, 10], [20, 18, 22, 20]]])
    found = differences(by_holder, np.array([True, False, True, True]))
    assert found["moved"] == 0.75
    assert found["one_holder"] == pytest.approx(2 / 3, abs=1e-3)
    # Only the first holder was seen to move alone, so it is named, and it was the second.
    assert (found["named"], found["by_habit"]) == (0, 0)
