"""What is released of groups of the hold-out: for each column of groups, counts by level, band and label.

So that whoever reads a model's figures can see whether it serves enterprises of one sector, county or size worse than
others (analysis/fairness). Bands of the predicted probability of default are fixed by the study alone, and each cut-off
is an edge between two of them: below it an application would be approved. Few bands are enough. The size of a group,
its default rate and its approval rate need no more than two; more of them say what was predicted and how well it ranks,
and each adds noise to the first.

Sensitivity (L2, all K columns together). Every enterprise of the hold-out that has a label y in [0, 1] adds (y, 1 - y)
to exactly one pair of cells of each column: its level (the last one, UNKNOWN, where the value is missing or none of the
public ones) and its band. Levels are public, bands follow from the study, and the card was released before.

- A bank's record, made zero, takes (y, 1 - y) out of one pair of cells of each column. Since y^2 + (1 - y)^2 <= 1, the
  columns together change by at most sqrt(K).
- A holder's record, made zero or another, leaves label and levels of the enterprise in place: these are the bank's.
  Only its score may move, and so its band, the same in every column. One pair of cells of each column loses (y, 1 - y)
  and another one gets it: at most sqrt(2 K).
- A bank's record that becomes another, or whose label is flipped, moves by no more than twice, or sqrt(2) times, the
  first of these: what epsilon_by_relation says of any release.

So noise of deviation sqrt(K) / mu (sqrt(2 K) / mu wherever holders stand behind the scores) in each cell is one
Gaussian mechanism of price mu, whatever the number of levels and bands. Its price and that of the evaluation add up in
squares to the budget of the hold-out (Gaussian composition; Dong, Roth & Su 2022, corollary 3.3).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fedrisk.errors import ConfigError
from fedrisk.releases.budget import LABEL_BITS, scaled, sigmas, total_mu
from fedrisk.releases.release import Block, Planned, Release
from fedrisk.releases.statistics import Axis
from fedrisk.study import Study
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

GROUPS = "groups"
"""Name of the release."""

MOST_LEVELS = 250
"""Levels of a column of groups at most, with UNKNOWN."""

BAND_REACH = 1.5
"""How far band edges that are no cut-offs reach on either side of the expected log-odds."""

REFUSED_FROM = 2.0
"""The cut-off of a study that names none, in expected default rates."""

RATE = 0.1
"""Default rate around which bands lie where a study expects none, as score bins do."""


def asked_groups(study: Study) -> tuple[str, ...]:
    """What a person who decides about the study reads of its groups; nothing where it names none."""
    named = study.evaluation.groups
    if not named:
        return ()
    return (
        f"counts the hold-out by groups of enterprises ({', '.join(named)}; evaluation.groups), within the budget of "
        "the hold-out",
    )


def cut_offs(study: Study) -> tuple[float, ...]:
    """Probabilities of default from which on an application would be refused, rising."""
    rate = study.expected.default_rate or RATE
    return study.evaluation.cut_offs or (min(REFUSED_FROM * rate, 0.5),)


def band_edges(study: Study) -> Floats:
    """Inner edges of the bands, probabilities of default, rising, (bands - 1,).

    Even in log-odds around the expected rate; each cut-off takes the place of the edge that is nearest to it and not a
    cut-off yet.
    """
    rate = study.expected.default_rate or RATE
    edges = logit(rate) + BAND_REACH * np.linspace(-1, 1, study.evaluation.group_bands + 1)[1:-1]
    out, free = expit(edges), np.ones(len(edges), dtype=bool)
    for cut in cut_offs(study):
        place = int(np.argmin(np.where(free, np.abs(edges - logit(cut)), np.inf)))
        # Exactly the number that the study says, so that it is found again.
        out[place], free[place] = cut, False
    return np.sort(out)


def groups_mu(study: Study) -> float:
    """Price of the release."""
    return total_mu(study) * math.sqrt(study.evaluation.group_share)


def block_of(column: str) -> str:
    """Name of a column's block."""
    return f"by {column}"


def groups_release(study: Study, axes: Sequence[Axis]) -> Release:
    """One block for each column, (levels, bands, 2), with defaults before others; all banks together."""
    for axis in axes:
        if len(axis.categories) > MOST_LEVELS:
            raise ConfigError(
                f"evaluation.groups: {axis.name} has {len(axis.categories)} levels and {MOST_LEVELS} are the most; "
                "group by a coarser column"
            )
    bands, (bits, noise) = study.evaluation.group_bands, _noise(study)
    blocks = tuple(
        Block(
            name=block_of(axis.name),
            left=BANK,
            right=BANK,
            shape=(len(axis.categories), bands, 2),
            sigma=sigmas(study, noise, BANK),
        )
        for axis in axes
    )
    return Release(
        name=GROUPS, population="holdout", mu=groups_mu(study), ring="uint32", scale_bits=bits, blocks=blocks
    )


def planned_groups(study: Study) -> list[Planned]:
    """The release as a plan has it: price and noise follow from the study, the levels from what banks state."""
    if not study.evaluation.groups:
        return []
    bits, noise = _noise(study)
    variance = sum(s * s for s in sigmas(study, noise, BANK).values()) / 4.0**bits
    deviation = (math.sqrt(variance), math.sqrt(variance))
    return [Planned(name=GROUPS, population="holdout", mu=groups_mu(study), deviation=deviation)]


def _noise(study: Study) -> tuple[int, float]:
    """(fractional bits, sigma in ring units) of every block."""
    columns = len(study.evaluation.groups)
    sensitivity = math.sqrt(columns * (2 if study.holders else 1))
    return scaled(sensitivity, groups_mu(study), len(study.banks), study.privacy.colluders, LABEL_BITS)
