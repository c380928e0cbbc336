"""How long a sweep still takes, by hand."""

from pathlib import Path

from fedrisk.lab.cell import Cell
from fedrisk.lab.cell_task import Task
from fedrisk.lab.time_left import Pace


def task(data_set, seed=1):
    cell = Cell(data_set=data_set, seed=seed)
    return Task(cell=cell, data_set=data_set, folder=Path(), baselines=(), versions={}, parent=0)


def test_each_kind_counts_as_those_like_it():
    tasks = [task("a", k) for k in range(3)] + [task("b", k) for k in range(2)]
    pace = Pace(tasks, processes=2)
    assert pace.left() is None
    pace.ended(tasks[0], 10.0)
    # Two of a and two of b, of which nothing is known: 10 s each, by two processes.
    assert pace.left() == 20.0
    pace.ended(tasks[3], 2.0)
    assert pace.left() == (2 * 10 + 2) / 2
    # One that is at work since 4 s has 6 s to go.
    assert pace.left([(tasks[1], 4.0)]) == (2 * 10 + 2 - 4) / 2


def test_it_takes_at_least_as_long_as_the_one_at_work():
    tasks = [task("a", 1), task("a", 2)]
    pace = Pace(tasks, processes=2)
    pace.ended(tasks[0], 10.0)
    assert pace.left([(tasks[1], 1.0)]) == 9.0


def test_a_worker_that_was_ended_says_nothing():
    tasks = [task("a", 1), task("a", 2)]
    pace = Pace(tasks, processes=1)
    pace.ended(tasks[0], None)
    assert pace.left() is None
