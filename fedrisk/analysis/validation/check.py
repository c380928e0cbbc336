"""One check of a validation: its figures, what it stands on, and a traffic light with the rule that set it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Light = Literal["green", "yellow", "red", "none"]
"""none: nothing can be said, or it was not recorded."""

ORDER: Mapping[Light, int] = {"none": 0, "green": 1, "yellow": 2, "red": 3}

Basis = Literal["rows", "released", "rows_and_released", "card", "file", "nothing"]
"""rows: exact counts of the bank's own. released: noisy counts of a study's record. card: figures that the card states.
file: a file that the bank gave."""

Noise = Literal["none", "variance", "convolved", "taken_off", "inside"]
"""How released noise was taken into account. none: there is none. variance: its variance is added to that of the
statistic. convolved: the distribution under the hypothesis is convolved with it. taken_off: what it adds on average is
taken off, and the interval contains it. inside: it is a part of the figure."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    code: what is checked; group: calibration, discrimination, stability, concentration, overrides, low_default,
    conservatism or representativeness. statistic, degrees, p: of the test, where it is one; level: at which it is
    read. light, rule: verdict, and code of the rule that set it. customers, defaults: what it stands on, noisy where
    released. values: further figures.
    """

    code: str
    group: str
    light: Light
    rule: str
    basis: Basis
    noise: Noise = "none"
    statistic: float | None = None
    degrees: int = 0
    p: float | None = None
    level: float | None = None
    customers: float | None = None
    defaults: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def correction(self) -> Noise:
        """How noise was corrected; none where it stands on no released number."""
        return "none" if self.basis in ("rows", "file", "nothing") else self.noise


def by_p(p: float | None, level: float) -> Light:
    """Yellow at a level, red at a fifth of it: 5 % and 1 %, as in the traffic lights of Tasche (2003).

    >>> by_p(0.5, 0.05), by_p(0.04, 0.05), by_p(0.01, 0.05), by_p(None, 0.05)
    ('green', 'yellow', 'red', 'none')
    """
    if p is None:
        return "none"
    return "red" if p <= level / 5 else "yellow" if p <= level else "green"


def worst(lights: list[Light]) -> Light:
    """The worst of some lights.

    >>> worst(["green", "none", "yellow"])
    'yellow'
    """
    return max(lights, key=lambda light: ORDER[light], default="none")
