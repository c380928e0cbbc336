"""Release ``pairs`` of a scorecard study: one number for every pair of an institution's ordered columns.

It comes after the Gram matrix, and its form follows from the numbers released before (`fedrisk.models.pairs`). Every
institution knows of each row the products p and, from released numbers, the probability q that its columns alone make
likely. A bank sums (y - q) p over its rows; for a holder the sum of y p comes from the secure product that label counts
come from, and the sum of q p it subtracts itself. All of it is in whole numbers: p in 2^-PRODUCT_BITS, y and q in
2^-LABEL_BITS, |y - q| <= 1, so that the sensitivity is that of `fedrisk.models.pairs.pairs_sensitivity`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import CardSums, curves_of, noise_variance
from fedrisk.findings import Finding
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import with_pairs
from fedrisk.models.label_counts import with_known
from fedrisk.models.pairs import (
    Pair,
    PairDesign,
    fit_pairs,
    pair_design,
    pair_part,
    pair_rows,
    pairs_sensitivity,
)
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.shape_rows import radius_units
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.budget import ring_sigma, sigmas
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Block, Release
from fedrisk.study import Study
from fedrisk.study_members import BANK

Codes = Sequence[NDArray[Any]]
Designs = Mapping[str, PairDesign]

PAIRS = "pairs"
"""Name of the release."""

GRAM = "gram"
"""Name of the part of the common view with the totals of the Gram matrix, where pairs are released after it."""

RECORD_VERSION = 2
"""Version of a record with pairs: older programs, which would fit a card without them, refuse it."""

PRODUCT_BITS = 12
"""Fractional bits of a row's products."""

LABEL_BITS = 16
"""Fractional bits of labels and probabilities: the latter are often of a few percent."""


def asks_pairs(study: Study, *, gram: bool, binary: bool) -> bool:
    """Whether a study looks for pairs, before it is known whether there are any.

    gram: the second release was the Gram matrix. binary: every row has a label, of 0 or 1 and without a weight. Without
    that a holder could not subtract its own part, as it knows neither weights nor whose label is missing.
    """
    return ScorecardSettings.of(study).pairs == "auto" and gram and binary


def pair_designs(sums: CardSums) -> dict[str, PairDesign]:
    """What the release of each role is about; only of roles that have two ordered columns."""
    if sums.second is None:
        return {}
    counts, curves = with_known(sums.counts, sums.bins), curves_of(sums.counts, sums.bins, sums.prior)
    gram, variance = sums.second.gram, sums.second.variance
    roles = dict.fromkeys(b.feature.institution for b in sums.bins)
    found = {r: pair_design(sums.bins, counts, curves, sums.bases, gram, variance, r) for r in roles}
    return {role: design for role, design in found.items() if design is not None}


def pairs_release(study: Study, designs: Designs, mu: float) -> Release:
    """The release: for each role (pairs, 1); a holder's by secure products with the banks' labels.

    Sensitivity: that of the integer radii, to which institutions clip, times one in units of labels.
    """
    radii = [radius_units(d.radius, PRODUCT_BITS) for d in designs.values()]
    sigma = ring_sigma(pairs_sensitivity(radii) * 2**LABEL_BITS, mu)
    blocks = []
    for role, design in designs.items():
        noise = sigmas(study, sigma, role, BANK)
        shape = (len(design.places), 1)
        blocks.append(Block(name=role, left=role, right=BANK, shape=shape, sigma=noise))
    return Release(
        name=PAIRS,
        population="training",
        mu=mu,
        ring="uint64",
        scale_bits=PRODUCT_BITS + LABEL_BITS,
        blocks=tuple(blocks),
    )


def largest_sum(designs: Designs, rows: int) -> float:
    """Most that so many rows add to one number."""
    return rows * max((d.radius for d in designs.values()), default=0.0)


def own_products(codes: NDArray[Any], design: PairDesign) -> NDArray[np.int64]:
    """(rows, pairs): products of an institution's rows, from codes of its features, pairs not among them."""
    return pair_rows(list(codes.T), design, PRODUCT_BITS)


def own_expected(codes: NDArray[Any], design: PairDesign) -> NDArray[np.int64]:
    """(rows,): probability that the institution's columns make likely, in 2^-LABEL_BITS, within 0 and 1."""
    return np.rint(pair_part(list(codes.T), design) * 2.0**LABEL_BITS).astype(np.int64)


def own_columns(bins: Sequence[Bins], design: PairDesign, role: str) -> list[int]:
    """Positions of a design's columns among the features of its institution."""
    mine = [j for j, b in enumerate(bins) if b.feature.institution == role]
    return [mine.index(j) for j in design.own]


def kept_pairs(designs: Designs, released: ReleasedSums) -> dict[str, tuple[Pair, ...]]:
    """By role the pairs that the evidence keeps."""
    out = {}
    for role, design in designs.items():
        block = released.block(role)
        out[role] = fit_pairs(design, np.asarray(block.total, float)[:, 0], noise_variance(block))
    return out


def said_of_pairs(
    study: Study, card: Scorecard, released: ReleasedSums | None, *, gram: bool, binary: bool
) -> tuple[Finding, ...]:
    """What the report says where a study asks for pairs: what was kept, or why there are none; nothing otherwise."""
    if ScorecardSettings.of(study).pairs != "auto":
        return ()
    if not gram:
        return (Finding("pairs_beside_recount"),)
    if not binary:
        return (Finding("pairs_of_plain_labels"),)
    if released is None:
        return (Finding("pairs_of_no_columns"),)
    looked = sum(block.total.shape[0] for block in released.blocks)
    names = [b.feature.name for b in card.bins if b.feature.kind == "pair"]
    if not names:
        return (Finding("pairs_none", {"looked": looked}),)
    return (Finding("pairs_kept", {"kept": len(names), "looked": looked, "names": ", ".join(names)}),)


def paired(
    card: Scorecard,
    designs: Designs,
    released: ReleasedSums | None,
    rounded: Sequence[Sequence[int]] | None = None,
) -> Scorecard:
    """The card with the pairs that were kept; as it is where none was asked for. rounded: as for `with_pairs`."""
    return card if released is None else with_pairs(card, designs, kept_pairs(designs, released), rounded)
