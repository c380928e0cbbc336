"""The one place that splits a study's budget and turns parts of it into noise.

Noise (all in integers of a ring): a block that several institutions compute together carries the full noise of a
holder, and of the banks together even when ``colluders`` of them and one more subtract theirs: each bank adds variance
sigma^2 / max(1, banks - 1 - colluders). The price in Gaussian-DP mu (Dong, Roth & Su 2022) includes a charge for the
noise being discrete; see privacy/accounting.
"""

import math
from collections.abc import Collection, Mapping

from fedrisk.privacy.accounting import SIGMA_MIN, contributor_sigma, mu_for, sigma_for
from fedrisk.study import Study
from fedrisk.study_members import BANK

EDGES_SHARE = 0.05
"""Share of mu^2 for the histograms from which bin edges come, where a study has columns without public bins."""

LABEL_BITS = 8
"""Fractional bits of soft labels and selection weights at least: a label of .1 is 26/256, not 0."""

NOISE_REACH = 12.0
"""Standard deviations beyond which no noise is expected: the chance is below 1e-31 for a number."""


def total_mu(study: Study) -> float:
    """The study's budget as Gaussian-DP mu; inf where epsilon is inf."""
    privacy = study.privacy
    return math.inf if math.isinf(privacy.epsilon) else mu_for(privacy.epsilon, privacy.delta)


def split(total: float, shares: Mapping[str, float], *, without: Collection[str] = ()) -> dict[str, float]:
    """Price mu of each release by its share of mu squared; the shares of those left ``without`` go to the others.

    >>> split(1.0, {"a": 0.2, "b": 0.64, "c": 0.16}, without=["a"])["b"]
    0.8944271909999159
    """
    if without:
        rest = 1 - sum(shares[name] for name in without)
        shares = {name: share / rest for name, share in shares.items() if name not in without}
    return {name: total * math.sqrt(share) for name, share in shares.items()}


def ring_sigma(sensitivity: float, mu: float) -> float:
    """Sigma in ring units at which a release of that sensitivity costs mu; 0, no noise, where mu is infinite."""
    return 0.0 if math.isinf(mu) else sigma_for(sensitivity, mu)


def scaled(
    sensitivity: float, mu: float, banks: int, colluders: int, least_bits: int = 0
) -> tuple[int, float]:
    """(bits, sigma): least power of two by which sums are scaled so that every contributor's noise is fine enough."""
    if math.isinf(mu):
        return least_bits, 0.0
    # A little more than sigma_for insists on.
    finest = SIGMA_MIN * math.sqrt(max(1, banks - 1 - colluders)) * 1.01
    bits = max(least_bits, math.ceil(math.log2(finest * mu / sensitivity)))
    return bits, sigma_for(sensitivity * 2**bits, mu)


def sigmas(study: Study, sigma: float, *roles: str) -> dict[str, float]:
    """Noise of each contributor of a block of these roles, in the study's order."""
    bank = contributor_sigma(sigma, len(study.banks), study.privacy.colluders) if sigma else 0.0
    owners = set(roles)
    return {
        name: bank if name in study.banks else sigma
        for name in study.members
        if name in owners or (BANK in owners and name in study.banks)
    }


def noise_reach(sigma: Mapping[str, float]) -> int:
    """How far all contributors' noise together may be expected to reach, in ring units."""
    return math.ceil(NOISE_REACH * math.sqrt(sum(s * s for s in sigma.values())))
