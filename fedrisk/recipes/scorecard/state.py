"""What an institution remembers of a scorecard study between exchanges, besides what all recipes keep."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ScorecardState:
    """What the label counts are about.

    bins: of the institution's features, as dictionaries. sizes: bins of each feature by role. binary_labels: all labels
    are 0 or 1 and none is weighted.
    """

    bins: list[dict[str, Any]]
    sizes: dict[str, list[int]]
    binary_labels: bool


@dataclass(frozen=True, kw_only=True)
class RecountState:
    """What the second count is about. chosen: features that are counted a second time, by role."""

    chosen: dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class GramState:
    """What the Gram matrix is about.

    bases: shape bases of the institution's features, (bins, k) each. owners: feature number of each shape column by
    role. radii: greatest norm of a role's part of a shape row.
    """

    bases: list[list[list[float]]]
    owners: dict[str, list[int]]
    radii: dict[str, float]
