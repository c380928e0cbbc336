"""A scorecard study with pairs, in memory: the card's own releases at a smaller budget, then one release of pairs."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logit

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "calibration"))

from emulation import Emulated, Portfolio, emulate  # noqa: E402
from portfolios import at_epsilon  # noqa: E402

from fedrisk.analysis.card_sums import curves_of, gram_matrix  # noqa: E402
from fedrisk.models.estimator import with_known  # noqa: E402
from fedrisk.models.pairs import (  # noqa: E402
    Pair,
    PairDesign,
    fit_pairs,
    pair_design,
    pair_part,
    pair_rows,
    pairs_sensitivity,
)
from fedrisk.models.shape_rows import radius_units  # noqa: E402
from fedrisk.releases.budget import ring_sigma, sigmas, total_mu  # noqa: E402
from fedrisk.releases.release import Block, Release  # noqa: E402
from fedrisk.study import BANK, Study  # noqa: E402

Floats = NDArray[np.float64]
BITS = 16


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A study's card and its pairs. log_odds: of all rows, with and without the pairs."""

    card: Emulated
    pairs: tuple[Pair, ...]
    without: Floats
    log_odds: Floats


def epsilon_at(data: Portfolio, share: float) -> float:
    """The epsilon whose mu^2 is so much of that of the study, at the same delta."""
    whole = total_mu(data.study)
    if math.isinf(whole):
        return math.inf
    wanted = whole * math.sqrt(share)
    return float(
        brentq(lambda e: total_mu(at_epsilon(data, e).study) - wanted, 1e-3, data.study.privacy.epsilon)
    )


def with_pairs(data: Portfolio, *, holdout: int, noise: int, share: float) -> Paired:
    """A study that spends ``share`` of its mu^2 on pairs, and the rest on the card; its price is that of a card alone."""
    card = emulate(at_epsilon(data, epsilon_at(data, 1 - share)), holdout=holdout, noise=noise)
    without = logit(np.clip(card.probability, 1e-9, 1 - 1e-9))
    pairs = released_pairs(data, card, share, np.random.default_rng([noise, 5]))
    codes = data.codes(card.bins) if pairs else []
    added = sum((p.table[codes[p.left], codes[p.right]] for p in pairs), np.zeros(len(data)))
    return Paired(card=card, pairs=pairs, without=without, log_odds=without + added)


def released_pairs(
    data: Portfolio, card: Emulated, share: float, rng: np.random.Generator
) -> tuple[Pair, ...]:
    """The pairs of all institutions; none where positives were too few for a Gram matrix."""
    if card.second.chosen is not None:
        return ()
    designs = designs_of(data, card)
    if not designs:
        return ()
    release = pairs_release(data.study, designs, total_mu(data.study) * math.sqrt(share))
    codes, label = data.codes(card.bins), data.label[card.train]
    out: list[Pair] = []
    for role, design in designs.items():
        own = [codes[j][card.train] for j in design.own]
        rows = pair_rows(own, design, BITS) / 2.0**BITS
        exact = (label - pair_part(own, design)) @ rows
        variance = release.variance(role)
        noisy = exact + rng.normal(0, 1, len(exact)) * math.sqrt(variance)
        out += fit_pairs(design, noisy, variance)
    return tuple(out)


def designs_of(data: Portfolio, card: Emulated) -> dict[str, PairDesign]:
    """What each role's sums are of, from the numbers that the card's releases gave."""
    bins, second = card.bins, card.second
    owner = [b.feature.institution for b in bins]
    gram = gram_matrix(card.again, second.bases, owner, second.share, second.bank_share)
    curves, counts = curves_of(card.counts, bins), with_known(card.counts, bins)
    found = {
        role: pair_design(bins, counts, curves, second.bases, gram.gram, gram.variance, role)
        for role in data.study.roles
    }
    return {role: design for role, design in found.items() if design is not None}


def pairs_release(study: Study, designs: dict[str, PairDesign], mu: float) -> Release:
    """The release: for each role one number a pair; of holders by secure products with the banks' labels."""
    sigma = ring_sigma(pairs_sensitivity([radius_units(d.radius, BITS) for d in designs.values()]), mu)
    blocks = [
        Block(
            name=role,
            left=role,
            right=BANK,
            shape=(len(design.places),),
            sigma=sigmas(study, sigma, role, BANK),
        )
        for role, design in designs.items()
    ]
    return Release(
        name="pairs", population="training", mu=mu, ring="uint64", scale_bits=BITS, blocks=tuple(blocks)
    )
