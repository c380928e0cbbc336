"""What changed from one study to the next, from the sums that both released: no further release, no further price.

Two statistics studies of one layout are compared by their cells and measures, two scorecard studies by the bins of
their columns. Each comparison has a p-value that takes the privacy noise and the sampling of both studies into
account (analysis/homogeneity, analysis/ratio_change). Over all of them, Holm (1979) keeps the chance of any false
alarm at the stated rate, whatever the comparisons have to do with each other; Benjamini & Hochberg (1995) keeps the
expected part of false ones among those that are called changed.

Sampling: enterprises are taken as a sample of those that there could be. So a month with other enterprises and
nothing new raises no alarm. Enterprises that are in both studies make the true difference smaller than the test
allows for: its false alarms are then rarer than stated, and so are its findings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedrisk.analysis import scorecard_changes, statistics_changes
from fedrisk.analysis.changes import Change, Compared
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import RELEASE

RATE = 0.05
"""Stated rate of false alarms."""


@dataclass(frozen=True, kw_only=True)
class Called:
    """A comparison with its p-value among all: holm keeps any false alarm rare, bh the part of false ones."""

    change: Change
    holm: float
    bh: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What two studies' sums say of change.

    rate: of false alarms. p: chance of as much as was found anywhere, if nothing changed. called: comparisons, the
    clearest first. silent: comparisons of which noise leaves nothing to say, by name with the reason as a code. notes:
    what the comparison does not say, as codes. research: whether one of the two has no privacy.
    """

    old: str
    new: str
    rate: float
    p: float
    called: tuple[Called, ...]
    silent: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    research: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything changed, at the stated rate of false alarms."""
        return self.p <= self.rate

    @property
    def found(self) -> tuple[Called, ...]:
        """Comparisons that changed; any of them is a false alarm in at most ``rate`` of studies in which none did."""
        return tuple(c for c in self.called if c.holm <= self.rate)


def drift(old: ReleaseRecord, new: ReleaseRecord, *, rate: float = RATE) -> Drift:
    """What changed from the old record to the new one.

    Errors: ConfigError where they are the same, or cannot be compared: of different recipes, cells, measures or bins.
    """
    if not 0 < rate < 0.5:
        raise ConfigError(f"a rate of false alarms lies between 0 and .5, and {rate:g} does not; choose .05")
    if old.attempt == new.attempt:
        raise ConfigError("both records are of one run; name an older and a newer one")
    kinds = {"statistics" if r.find(RELEASE) else "scorecard" if r.find("counts") else "" for r in (old, new)}
    if kinds == {"statistics"}:
        found = statistics_changes.compare(old, new)
    elif kinds == {"scorecard"}:
        found = scorecard_changes.compare(old, new)
    else:
        raise ConfigError(
            "only two statistics studies, or two scorecard studies, can be compared; name two records of one kind"
        )
    return called(old, new, found, rate)


def called(old: ReleaseRecord, new: ReleaseRecord, found: Compared, rate: float) -> Drift:
    """Comparisons with their p-values among all."""
    if not found.changes:
        return Drift(
            old=old.attempt,
            new=new.attempt,
            rate=rate,
            p=1.0,
            called=(),
            silent=found.silent,
            notes=found.notes,
            research=old.research or new.research,
        )
    chances = [c.p for c in found.changes]
    ordered = sorted(
        (
            Called(change=c, holm=h, bh=b)
            for c, h, b in zip(found.changes, holm(chances), step_up(chances), strict=True)
        ),
        key=lambda one: (one.holm, one.change.p),
    )
    return Drift(
        old=old.attempt,
        new=new.attempt,
        rate=rate,
        p=ordered[0].holm,
        called=tuple(ordered),
        silent=found.silent,
        notes=found.notes,
        research=old.research or new.research,
    )


def holm(chances: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm among them is kept (Holm 1979).

    >>> holm([0.01, 0.04, 0.5])
    [0.03, 0.08, 0.5]
    """
    order = np.argsort(chances)
    out, most = np.empty(len(chances)), 0.0
    for k, place in enumerate(order):
        most = max(most, min(1.0, (len(chances) - k) * chances[place]))
        out[place] = most
    return [float(p) for p in out]


def step_up(chances: Sequence[float]) -> list[float]:
    """P-values adjusted so that the expected part of false alarms among those called is kept (Benjamini-Hochberg 1995).

    >>> [round(p, 3) for p in step_up([0.01, 0.04, 0.5])]
    [0.03, 0.06, 0.5]
    """
    order = np.argsort(chances)[::-1]
    out, least = np.empty(len(chances)), 1.0
    for k, place in enumerate(order):
        least = min(least, chances[place] * len(chances) / (len(chances) - k))
        out[place] = least
    return [float(p) for p in out]
