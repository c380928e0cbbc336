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

from fedrisk.analysis.card_sums import CardSums, gram_matrix  # noqa: E402
from fedrisk.models.pairs import Pair, PairDesign, fit_pairs  # noqa: E402
from fedrisk.recipes.scorecard.pairing import (  # noqa: E402
    LABEL_BITS,
    PRODUCT_BITS,
    own_expected,
    own_products,
    pair_designs,
    pairs_release,
)
from fedrisk.releases.budget import total_mu  # noqa: E402

Floats = NDArray[np.float64]


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
        own = np.stack([codes[j][card.train] for j in design.own], axis=1)
        rows, expected = own_products(own, design), own_expected(own, design) / 2.0**LABEL_BITS
        exact = (label - expected) @ (rows / 2.0**PRODUCT_BITS)
        variance = release.variance(role)
        noisy = exact + rng.normal(0, 1, len(exact)) * math.sqrt(variance)
        out += fit_pairs(design, noisy, variance)
    return tuple(out)


def designs_of(data: Portfolio, card: Emulated) -> dict[str, PairDesign]:
    """What each role's sums are of, from the numbers that the card's releases gave."""
    bins, second = card.bins, card.second
    owner = [b.feature.institution for b in bins]
    gram = gram_matrix(card.again, second.bases, owner, second.share, second.bank_share)
    sums = CardSums(bins=tuple(bins), counts=card.counts, bases=second.bases, second=gram)
    return pair_designs(sums)
