"""What a recipe's hub side gets, and what it leaves: the session of a study, and its outcome."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import code_of
from fedrisk.findings import Finding
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster

Made = TypeVar("Made")
Floats = NDArray[np.float64]
Counts = tuple[Floats, Floats, Floats]
"""Positives, negatives and probability of default by score bin, in order of rising risk."""


def _nothing(*_: Any) -> None:
    """Nothing to be done."""


@dataclass(frozen=True)
class HubSession:
    """The hub's side of one aligned study.

    so_far: keeps what there is; a recipe calls it before its last exchange, so that a hub that is killed in it loses
    the evaluation alone. note: keeps the whole text of an error that did not end the study. known: what the study knows
    beforehand (server/knowledge).
    """

    exchange: Exchange
    roster: Roster
    so_far: "Callable[[Outcome], None]" = _nothing
    note: Callable[[str, Exception], None] = _nothing
    known: Knowledge = NOTHING

    def optional(self, what: str, make: Callable[[], Made], without: Made, outcome: "Outcome") -> Made:
        """What ``make`` makes of released numbers; ``without`` and a finding where it fails.

        For whatever results are whole without: nothing that was paid for is lost because a summary of it failed.
        """
        try:
            return make()
        except Exception as error:
            self.note(what, error)
            outcome.findings = (*outcome.findings, left_undone(what, error))
            return without


def left_undone(what: str, error: Exception) -> Finding:
    """That something optional failed, with the code of its error and none of its text."""
    return Finding("left_undone", {"part": what, "code": code_of(error)})


@dataclass(frozen=True, kw_only=True)
class TrainingFigures:
    """Public numbers of a training: kind of model, noise, steps, and how it went."""

    kind: str
    mode: str
    parameters: int
    steps: int
    sums: int
    clip: float
    noise: float
    rate: float
    optimiser: str
    adam_step: float
    trainers: int
    threshold: int
    norms: tuple[float, ...]
    lost: dict[str, int]


@dataclass(kw_only=True)
class Outcome:
    """What a study leaves at the hub.

    record: every released number. card: a scorecard. network: a trained network or encoder with its design, as the
    bytes of a ``.npz`` file. training: public numbers of a training. evaluation: noisy counts of the hold-out by bank,
    or for all (``"bank"``), with the variance of each number; exact ones by score in a research run. figures: what
    banks send of their own models, in research runs only. second_release: which form a scorecard's second release
    had, None for other recipes. expectation: between which bounds the gain was to be expected, from released
    numbers. evaluated: whether there are scores that banks' labels could be held against. findings: what the study
    did otherwise than the dictionaries ask, and why. verdict: whether the model is worth using, from released numbers,
    the judgement first.
    """

    record: ReleaseRecord
    card: Scorecard | None = None
    network: bytes | None = None
    training: TrainingFigures | None = None
    evaluation: dict[str, Counts] = field(default_factory=dict)
    variance: float = 0.0
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    second_release: str | None = None
    expectation: Finding | None = None
    findings: tuple[Finding, ...] = ()
    verdict: tuple[Finding, ...] = ()
    evaluated: bool = True

    @property
    def pooled_variance(self) -> float:
        """Variance of the noise of each count of all banks' histograms added up."""
        return self.variance * len(self.evaluation)
