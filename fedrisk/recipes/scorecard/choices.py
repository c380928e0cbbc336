"""How a study may spend: choices tried in simulated studies, and kept where they gain two standard errors.

Choices are tried one after another, each against the best so far, in the same worlds, in a few of them first: which
second release and which share of the budget for the label counts, how many bins, and columns left out. What gains less
than LEAST, or less than twice the standard error of the difference, is not chosen; as the best of several is taken,
some of what gains is luck. What is chosen is written into the study, since hub and members have to make the same plan
and floating-point sums may differ between machines; for a series of studies it is written once, for all of them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.recipes.scorecard.columns import SHARES
from fedrisk.recipes.scorecard.planner import Expected, Planner
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.study import Study

Floats = NDArray[np.float64]

LEAST = 0.005
"""AUC that a choice has to bring."""

ERRORS = 2.0
"""Standard errors that it has to bring."""

COUNTS = (0.5, 0.75)
"""Shares of the label counts that are tried besides the usual one; the second release has the rest."""

BINS = (8, 16)
"""Numbers of bins that are tried."""

KEPT = (0.75, 0.5)
"""Shares of the columns that are tried, those believed to tell most."""

WORLDS = 6
"""Worlds in which the likeliest choices are tried."""

FIRST = 2
"""Worlds in which all are tried first; the best of a group is then tried in the others."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a study would state. name: as people read it. shares, second, bins, left_out: None and empty as it is."""

    name: str
    shares: Mapping[str, float] | None = None
    second: str | None = None
    bins: int | None = None
    left_out: tuple[str, ...] = ()

    def on(self, study: Study) -> Study:
        """The study with this stated."""
        settings = ScorecardSettings.of(study).model_dump(mode="json")
        if self.shares is not None:
            settings["shares"] = dict(self.shares)
        if self.second is not None:
            settings["second"] = self.second
        if self.left_out:
            settings["left_out"] = {**settings.get("left_out", {}), **dict.fromkeys(self.left_out, REASON)}
        checked = ScorecardSettings.model_validate(settings).model_dump(mode="json")
        bins = study.bins if self.bins is None else study.bins.model_copy(update={"count": self.bins})
        return study.model_copy(update={"settings": checked, "bins": bins})


REASON = "believed to tell less than its noise costs the others (fedrisk plan)"
"""Why a column is left out, as the study states it."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A choice with what it was expected to bring: AUC more than the best before it, and the error of that."""

    choice: Choice
    gain: float
    error: float
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """study: with all choices stated. before, after: AUC expected without and with them. tried: in order."""

    study: Study
    before: Expected
    after: Expected
    tried: tuple[Tried, ...] = ()
    choices: tuple[Choice, ...] = field(default=())


def choose(planner: Planner) -> Chosen:
    """The choices by which a study is expected to gain.

    planner: of the study, with at least four simulated worlds. ConfigError where its size is not declared, or where it
    has no privacy to spend.
    """
    study = planner.study
    if planner.training is None or study.expected.default_rate is None:
        raise ConfigError(
            "nothing can be planned without the size of the study; declare expected.enterprises and "
            "expected.default_rate, as publicly known or agreed on"
        )
    if math.isinf(study.privacy.epsilon):
        raise ConfigError(
            "a study without privacy spends nothing; plan it at the epsilon at which it is to run"
        )
    best, found = study, planner.found(study)
    tried, chosen = [], []
    for group in (_spending, _bins, _columns):
        choices = list(group(planner, best))
        gains = [planner.found(c.on(best), FIRST) - found[:FIRST] for c in choices]
        if not choices:
            continue
        top = max(range(len(choices)), key=lambda k: float(gains[k].mean()))
        auc = planner.found(choices[top].on(best)) if gains[top].mean() > 0 else None
        if auc is not None:
            gains[top] = auc - found
        offers = [_tried(c, gain) for c, gain in zip(choices, gains, strict=True)]
        if auc is not None and _gains(offers[top]):
            offers[top] = replace(offers[top], chosen=True)
            chosen.append(choices[top])
            best, found = choices[top].on(best), auc
        tried += offers
    before, after = planner.expected(study), planner.expected(best)
    return Chosen(study=best, before=before, after=after, tried=tuple(tried), choices=tuple(chosen))


def _tried(choice: Choice, gain: Floats) -> Tried:
    error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
    return Tried(choice=choice, gain=float(gain.mean()), error=error, chosen=False)


def _gains(offer: Tried) -> bool:
    return offer.gain > max(LEAST, ERRORS * offer.error)


def _spending(planner: Planner, study: Study) -> Iterator[Choice]:
    """Second releases and shares of the counts."""
    settings = ScorecardSettings.of(study)
    if settings.shares is not None or settings.second != "auto":
        return
    # A study that asks for pairs has them beside a Gram matrix alone.
    for second in ("gram", "recount") if settings.pairs == "none" else ("gram",):
        for counts in (None, *COUNTS):
            name = f"second release: {second}" + (
                "" if counts is None else f", {counts:.0%} for the label counts"
            )
            yield Choice(name=name, second=second, shares=None if counts is None else _with_counts(counts))


def _with_counts(counts: float) -> dict[str, float]:
    """Shares with this one for the label counts, the second release having the rest."""
    return {
        **SHARES,
        "counts": counts,
        "gram": round(1 - SHARES["edges"] - SHARES["calibration"] - counts, 10),
    }


def _bins(planner: Planner, study: Study) -> Iterator[Choice]:
    """Numbers of bins, where a column's edges are still to be found."""
    if study.bins.count is not None or not any(b.feature.private_edges for b in planner.bins(study)):
        return
    for count in BINS:
        yield Choice(name=f"{count} bins", bins=count)


def _columns(planner: Planner, study: Study) -> Iterator[Choice]:
    """The weakest columns left out, as they are believed to be, or declared to be; one of each institution stays."""
    ranked = planner.by_strength(study)
    if not ranked:
        return
    left = {b.feature.institution: 0 for b in planner.bins(study)}
    for b in planner.bins(study):
        left[b.feature.institution] += 1
    for share in KEPT:
        out: list[str] = []
        remaining = dict(left)
        for name, institution in ranked:
            if len(out) < round((1 - share) * len(ranked)) and remaining[institution] > 1:
                out.append(name)
                remaining[institution] -= 1
        if out:
            yield Choice(name=f"without the {len(out)} weakest columns", left_out=tuple(sorted(out)))


def toml_of(chosen: Chosen) -> str:
    """The lines that state the choices in a study's file; empty where nothing is chosen."""
    lines: list[str] = []
    bins = [c.bins for c in chosen.choices if c.bins is not None]
    if bins:
        lines += ["[bins]", f"count = {bins[-1]}", ""]
    settings: dict[str, Any] = {}
    for c in chosen.choices:
        if c.second is not None:
            settings["second"] = f'"{c.second}"'
        if c.shares is not None:
            settings["shares"] = "{ " + ", ".join(f"{k} = {v:g}" for k, v in c.shares.items()) + " }"
        if c.left_out:
            settings["left_out"] = (
                "{ " + ", ".join(f'"{_escaped(n)}" = "{REASON}"' for n in c.left_out) + " }"
            )
    if settings:
        lines += ["[scorecard]", *(f"{k} = {v}" for k, v in settings.items()), ""]
    return "\n".join(lines)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')
