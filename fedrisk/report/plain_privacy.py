"""What a guarantee means, in words for people who do not think in epsilon."""

import math
from statistics import NormalDist

from fedrisk.language import _

_NORMAL = NormalDist()


def guess(mu: float) -> float:
    """The best chance to guess right, by whoever knows all else, whether an enterprise's data were used.

    Both answers are equally likely to him beforehand, so that 1/2 is a blind guess; Phi(mu / 2) for a mechanism of
    mu-Gaussian differential privacy (Dong, Roth & Su 2022), 1 without protection.

    >>> round(guess(0.2368), 3), guess(0.0), guess(math.inf)
    (0.547, 0.5, 1.0)
    """
    return 1.0 if math.isinf(mu) else _NORMAL.cdf(mu / 2)


def guess_words(mu: float) -> str:
    """The same as a sentence."""
    return _(
        "Whoever saw all that was released, and knew everything else, could tell whether one enterprise's data at one "
        "institution were used or were zeros with a chance of at most {chance}; a blind guess has 50%.",
        chance=f"{guess(mu):.1%}",
    )


def price_of(spend: object) -> float:
    """The mu of a spend as it is in memory or in a file, where no protection is None or "inf".

    >>> price_of(None), price_of("inf"), price_of(0.25)
    (inf, inf, 0.25)
    """
    return math.inf if spend is None else float(str(spend))


def mu_words(mu: float, digits: int = 4) -> str:
    """A price; without noise there is none that protects."""
    return _("no privacy") if math.isinf(mu) else f"{mu:.{digits}f}"
