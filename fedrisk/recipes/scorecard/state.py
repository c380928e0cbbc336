"""What an institution remembers of a scorecard study between exchanges, besides what all recipes keep."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ScorecardState:
    """What the label counts are about.

    bins: of all features, as dictionaries. sizes: bins of each feature by role. binary_labels: all labels are 0 or 1
    and none is weighted.
    """

    bins: list[dict[str, Any]]
    sizes: dict[str, list[int]]
    binary_labels: bool


@dataclass(frozen=True, kw_only=True)
class SecondState:
    """What the second release is about.

    chosen: features that are counted a second time, by role; empty where it is a Gram matrix. Then bases: shape bases
    of all features, (bins, k) each; own: of this institution's; owners: feature number of each shape column by role;
    radii: greatest norm of a role's part of a shape row. logistic: whether weights are those of a logistic regression;
    of attempts of versions that had none, they are not.
    """

    chosen: dict[str, list[int]] = field(default_factory=dict)
    bases: list[list[list[float]]] = field(default_factory=list)
    own: list[list[list[float]]] = field(default_factory=list)
    owners: dict[str, list[int]] = field(default_factory=dict)
    radii: dict[str, float] = field(default_factory=dict)
    share: float = 1.0
    bank_share: float = 1.0
    logistic: bool = False
