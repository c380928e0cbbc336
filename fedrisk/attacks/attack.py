"""What an attack is, and what it leaves: a figure with its interval, beside chance and the bound that is claimed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["held", "broken", "control succeeded", "control failed"]


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
    trials: how many independent tries the interval stands on. method: the published method, as "Author (year)".
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
    seconds: float = 0.0

    @property
    def bound(self) -> float | None:
        """What the lower end is held against: the claim, or chance where nothing is claimed."""
        return self.claimed if self.claimed is not None else self.chance

    @property
    def verdict(self) -> Verdict:
        """Broken where even the lower end lies above the bound; that is what a control has to reach."""
        above = self.bound is not None and self.low > self.bound * (1 + 1e-9)
        if self.control:
            return "control succeeded" if above else "control failed"
        return "broken" if above else "held"


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
