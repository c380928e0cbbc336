"""Grades: a master scale of nine classes by probability of default, the same for every model and bank.

Each grade is twice as risky as the one before it, as master scales of rating systems are drawn up (Basel Committee
2005, "Studies on the validation of internal rating systems"). Edges are public and fixed, so that a grade means the
same whatever model gave it.

| grade | probability of default |
| --- | --- |
| A | below 0.25% |
| B | 0.25% to below 0.5% |
| C | 0.5% to below 1% |
| D | 1% to below 2% |
| E | 2% to below 4% |
| F | 4% to below 8% |
| G | 8% to below 16% |
| H | 16% to below 32% |
| I | 32% and above |
"""

from bisect import bisect_right
from typing import Final

GRADES: Final = tuple("ABCDEFGHI")
"""From safest to riskiest."""

EDGES: Final = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Probability at which the next grade begins."""


def grade(probability: float) -> str:
    """The grade of a probability of default; one at an edge has the riskier grade.

    >>> grade(0.001), grade(0.0025), grade(0.031), grade(0.9)
    ('A', 'B', 'E', 'I')
    """
    return GRADES[bisect_right(EDGES, probability)]


def span(of: str) -> tuple[float, float]:
    """Lowest probability of a grade, and that at which the next begins.

    >>> span("E")
    (0.02, 0.04)
    """
    place = GRADES.index(of)
    return (0.0, *EDGES)[place], (*EDGES, 1.0)[place]
