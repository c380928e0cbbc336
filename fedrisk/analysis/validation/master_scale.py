"""A master scale: grades by probability of default, from safest to riskiest.

By default each grade is twice as risky as the one before it, as master scales of rating systems are drawn up (Basel
Committee 2005, Working Paper 14). The edges are those of the grades that fedrisk's scores are shown in.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MasterScale:
    """names: of grades, safest first. edges: probability at which the next grade begins, one fewer, rising.

    ConfigError where there are fewer than two grades, edges do not rise between 0 and 1, or names are not as many or
    come twice.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.edges or not all(0 < e < 1 for e in self.edges):
            raise ConfigError("master scale: one edge at least is needed, and each must lie between 0 and 1")
        if any(b <= a for a, b in pairwise(self.edges)):
            raise ConfigError("master scale: edges must rise, from the safest grade to the riskiest")
        if len(self.names) != len(self.edges) + 1 or len(set(self.names)) != len(self.names):
            raise ConfigError(
                f"master scale: {len(self.edges)} edges make {len(self.edges) + 1} grades, and each needs a name "
                f"of its own; there are {len(set(self.names))}"
            )

    @classmethod
    def geometric(
        cls, grades: int, low: float, high: float, names: tuple[str, ...] | None = None
    ) -> "MasterScale":
        """Grades whose edges rise by one factor, from ``low``, where the second begins, to ``high``, the last.

        >>> MasterScale.geometric(4, 0.01, 0.04).edges
        (0.01, 0.02, 0.04)
        """
        if grades < 2 or not 0 < low < high < 1:
            raise ConfigError(
                "master scale: two grades at least are needed, and 0 < from < to < 1, for example from = 0.0025, "
                "to = 0.32"
            )
        edges = np.geomspace(low, high, grades - 1) if grades > 2 else np.array([low])
        return cls(names or letters(grades), tuple(float(round(e, 10)) for e in edges))

    @property
    def size(self) -> int:
        """Number of grades."""
        return len(self.names)

    def codes(self, probability: ArrayLike) -> NDArray[np.intp]:
        """Place of the grade of each probability; one at an edge has the riskier grade.

        >>> MasterScale.geometric(4, 0.01, 0.04).codes([0.001, 0.01, 0.5]).tolist()
        [0, 1, 3]
        """
        return np.searchsorted(np.asarray(self.edges), np.asarray(probability, float), side="right")

    def spans(self) -> list[tuple[float, float]]:
        """Lowest probability of each grade, and that at which the next begins."""
        return list(pairwise((0.0, *self.edges, 1.0)))


def letters(count: int) -> tuple[str, ...]:
    """Names of so many grades: A to Z where they suffice, else 1, 2, 3.

    >>> letters(3)
    ('A', 'B', 'C')
    """
    if count <= 26:
        return tuple(chr(ord("A") + k) for k in range(count))
    return tuple(str(k + 1) for k in range(count))


DEFAULT_SCALE = MasterScale.geometric(9, 0.0025, 0.32)
