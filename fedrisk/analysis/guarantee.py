"""What a price in mu promises, in figures that people can read.

Gaussian differential privacy (Dong, Roth & Su 2022) says how well anybody can tell from released numbers which of two
things happened: never better than a standard normal from one that is shifted by mu. Who guesses with even odds before
is right with a probability of Phi(mu / 2) at most, whatever else he knows and however he computes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr

from fedrisk.privacy.accounting import epsilon_by_relation, epsilon_for


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """So many studies of the same price about the same rows: mu adds up in squares."""

    studies: int
    mu: float
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """One institution's price of a study, for one enterprise, read in several ways; epsilons at ``delta``.

    zeroed, label_flipped, replaced: what is to be hidden, see `epsilon_by_relation`; label_mu: price of the second.
    right: most of 100 guesses between the enterprise's rows there and none that can be right. institutions: that an
    enterprise may be known to, at most; everywhere: epsilon where all of its rows at all of them are to be hidden at
    once (group privacy: mu adds up).
    """

    mu: float
    delta: float
    zeroed: float
    label_flipped: float
    label_mu: float
    replaced: float
    right: float
    institutions: int
    everywhere_mu: float
    everywhere: float
    repeated: tuple[Repeated, ...]


def guarantee(
    mu: float,
    delta: float,
    *,
    label: float,
    institutions: int = 1,
    studies: Sequence[int] = (4, 12),
) -> Guarantee:
    """Figures of a price. label: what a flipped label costs, see `epsilon_by_relation`.

    >>> found = guarantee(0.25, 1e-6, label=2.0, institutions=2)
    >>> round(found.right, 3), found.everywhere_mu, [round(r.mu, 3) for r in found.repeated]
    (0.55, 0.5, [0.5, 0.866])
    """
    by = epsilon_by_relation(mu, delta, label=label)
    return Guarantee(
        mu=mu,
        delta=delta,
        zeroed=by.zeroed,
        label_flipped=by.label_flipped,
        label_mu=label * mu,
        replaced=by.replaced,
        right=float(ndtr(mu / 2)),
        institutions=institutions,
        everywhere_mu=institutions * mu,
        everywhere=epsilon_for(institutions * mu, delta),
        repeated=tuple(
            Repeated(studies=n, mu=mu * math.sqrt(n), epsilon=epsilon_for(mu * math.sqrt(n), delta))
            for n in studies
        ),
    )
