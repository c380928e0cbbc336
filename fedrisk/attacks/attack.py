"""What an attack is, and what it leaves: a figure with its interval, beside chance and the bound that is claimed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scipy.stats import binom

Verdict = Literal["held", "broken", "not judged", "control succeeded", "control failed"]

SHARES = ("accuracy", "share", "tpr_at_fpr_0.001", "got_through")
"""Figures that are shares of independent tries, with intervals of Clopper and Pearson."""

UP_TO_ONE = (*SHARES, "auc")
"""Figures that cannot be above 1."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, and of how many trials it is."""

    value: float
    low: float
    high: float
    trials: int

    @classmethod
    def exact(cls, value: float, trials: int = 1) -> "Estimate":
        """What is no estimate: both ends are the figure."""
        return cls(float(value), float(value), float(value), trials)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure of one attack.

    attack: name of the attack. target: what was attacked, as codes with "/" between them: a recipe and its release,
    a message, a model. party: whose record or secret it is; empty where it is nobody's in particular. figure: unit of
    the numbers: "mu", "auc", "accuracy", "bits", "tpr_at_fpr_0.001" and others. Words for codes of targets, parties,
    figures and controls are the groups ``attack_...`` of report/words/en.toml. value, low, high: estimate and interval
    at ``confidence``; equal where the figure is exact. chance: what guessing gives. claimed: the most that the product
    says it may be; None where it claims nothing. control: the protection that was switched off, in a word ("noise",
    "pair_masks", ...), for a negative control, which must succeed; empty where the product was attacked as it is.
    trials: how many independent tries the interval stands on. method: the published method, as "Author (year)". most:
    the greatest value that the figure could have had, whatever the product gave away, such as the bits that there are;
    None where nothing limits it, or where the figure is a share or an AUC, of which it is 1.
    """

    attack: str
    target: str
    party: str = ""
    figure: str
    value: float
    low: float
    high: float
    confidence: float = 0.95
    chance: float | None = None
    claimed: float | None = None
    control: str = ""
    trials: int
    method: str
    most: float | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, found: Estimate, *, begun: float | None = None, **about: Any) -> "Measured":
        """The figure of an estimate. begun: when the work on it began, by the monotonic clock."""
        if begun is not None:
            about["seconds"] = time.monotonic() - begun
        return cls(**vars(found), **about)

    @property
    def bound(self) -> float | None:
        """What the lower end is held against: the claim, or chance where nothing is claimed."""
        return self.claimed if self.claimed is not None else self.chance

    @property
    def broken_from(self) -> float | None:
        """The least value that counts as broken in so many tries: smaller violations go unnoticed.

        Of a share, by its exact test; of any other estimate, the bound and as much as this interval reaches down. None
        where there is no bound, or where the figure could not have come so high: it is no evidence then.
        """
        if self.bound is None or self.trials < 1:
            return None
        least = self.bound + max(self.value - self.low, 0.0)
        if self.figure in SHARES and self.low != self.high:
            tail = (1 - self.confidence) / 2
            least = (float(binom.isf(tail, self.trials, max(self.bound, 0.0))) + 1) / self.trials
        most = 1.0 if self.most is None and self.figure in UP_TO_ONE else self.most
        if most is None:
            return least
        exact = self.low == self.high
        return None if least > most or (exact and least >= most) else least

    @property
    def verdict(self) -> Verdict:
        """Broken where even the lower end lies above the bound; that is what a control has to reach.

        What no result could have broken is not judged: that it did not break says nothing.
        """
        above = self.bound is not None and self.low > self.bound * (1 + 1e-9)
        if self.control:
            return "control succeeded" if above else "control failed"
        if above:
            return "broken"
        return "not judged" if self.broken_from is None else "held"


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long an attack may try: ``quick`` for seconds, else for minutes. seed: of everything that is drawn."""

    quick: bool = False
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack, in plain words for a data-protection officer, and how it is run.

    attacker: who attacks. knows: what it knows beforehand or sees. wants: what it wants to learn. how: how it goes
    about it. All of them are English sentences, which catalogues translate (kind "attack"). sources: published methods,
    as "Author (year)". run: given an empty folder and the effort, yields figures as they come; those of the product as
    it is and those of its controls. It makes its own tables there and opens no store outside of it.
    """

    name: str
    attacker: str
    wants: str
    sources: tuple[str, ...]
    run: Callable[[Path, Effort], Iterator[Measured]]
    knows: str = ""
    how: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that people read of it."""
        return tuple(text for text in (self.attacker, self.knows, self.wants, self.how) if text)
