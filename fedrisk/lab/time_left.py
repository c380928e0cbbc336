"""How long a sweep still takes, by the cells that have ended: each counts as those like it did."""

from collections import defaultdict
from collections.abc import Sequence

from fedrisk.lab.cell_task import Task

Kind = tuple[str, str]


def kind_of(task: Task) -> Kind:
    """Cells of one data set and recipe take about the same time."""
    return task.cell.data_set, task.cell.recipe


class Pace:
    """Seconds of cells by kind, and which are still to come."""

    def __init__(self, tasks: Sequence[Task], processes: int) -> None:
        self._processes = max(1, min(processes, len(tasks)))
        self._waiting: dict[Kind, int] = defaultdict(int)
        for task in tasks:
            self._waiting[kind_of(task)] += 1
        self._seconds: dict[Kind, list[float]] = defaultdict(list)

    def ended(self, task: Task, seconds: float | None) -> None:
        """Count a cell; seconds: None where its worker was ended, which says nothing of the others."""
        self._waiting[kind_of(task)] -= 1
        if seconds is not None:
            self._seconds[kind_of(task)].append(seconds)

    def left(self, running: Sequence[tuple[Task, float]] = ()) -> float | None:
        """Seconds until all have ended; None before the first has. running: with the seconds that each has had.

        A kind of which none has ended yet counts as the mean of all.
        """
        every = [s for seconds in self._seconds.values() for s in seconds]
        if not every:
            return None
        total, longest = 0.0, 0.0
        for kind, count in self._waiting.items():
            total += count * self._mean(kind, every)
        for task, had in running:
            mean = self._mean(kind_of(task), every)
            total -= min(had, mean)
            longest = max(longest, mean - had)
        return max(total / self._processes, longest, 0.0)

    def _mean(self, kind: Kind, every: Sequence[float]) -> float:
        own = self._seconds.get(kind) or every
        return sum(own) / len(own)
