"""Losses that may come, drawn: the noise of the released sums, one factor for all borrowers, and few loans.

A borrower defaults where its assets, ``sqrt(rho) F + sqrt(1 - rho) e``, fall below what its probability says; the
factor F is the same for all (Vasicek 2002). Given F, defaults of a group are binomial over as many equal loans as
its loans are worth: their number divided by 1 + (standard deviation by mean of their exposures) squared. A group
has one probability of default, its expected loss by exposure and loss given default; a group of unlike borrowers
has losses that vary a little less than so drawn, so quantiles err on the safe side.

Draws are nested: for each draw of what the exact sums may be (normal about the released ones, as wide as the
noise), the factor runs through all of its distribution, in strata. So the mean of each block is an expected loss,
and all together are future losses. Blocks come in panels; those of one panel have the same values of the factor, so
that what moves a mean from block to block inside a panel is the noise of the sums, and not which values were drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrisk.analysis.loss_book import Book, Sums, not_negative
from fedrisk.analysis.loss_rules import LossRules, Model
from fedrisk.errors import ConfigError

PANELS = 8
NOISE_DRAWS = 128 * PANELS
FACTOR_DRAWS = 64
_MOST_NUMBERS = 32_000_000
"""Numbers that are drawn at most, a quarter of a gigabyte: books of many groups are drawn less often."""
SEED = 20020101


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Drawn losses and exposures in fen.

    losses: (noise draws, factor draws, groups). exposures: (noise draws, groups). expected: (noise draws, groups), what
    the exact expected losses may be. noise: (noise draws, groups), standard normal, by which these are off. Noise draws
    stand panel by panel.
    """

    losses: NDArray[np.float64]
    exposures: NDArray[np.float64]
    expected: NDArray[np.float64]
    noise: NDArray[np.float64]


def draw(
    book: Book,
    rules: LossRules,
    *,
    figure: str = "expected_loss",
    noise_draws: int | None = None,
    factor_draws: int = FACTOR_DRAWS,
    seed: int = SEED,
) -> Draws:
    """Losses that may come. figure: the sums that foretell them. The same seed gives the same draws.

    noise_draws: an even multiple of PANELS; by default NOISE_DRAWS, fewer where there are very many groups.

    ConfigError where the sums say nothing, or expected losses are more than exposures can lose.
    """
    rng = np.random.default_rng(seed)
    foretold, exposure = book.sums[figure], book.sums["exposure"]
    given_default = _given_default(book, rules)
    _check(foretold, exposure, given_default)
    noise_draws = noise_draws or _affordable(book.groups, factor_draws)
    noise = _pairs(rng, noise_draws, book.groups)
    expected = not_negative(foretold.figure + noise * foretold.error, foretold.error)
    exposures = exposure.figure + _pairs(rng, noise_draws, book.groups) * exposure.error
    exposures = np.maximum(exposures, 1.0)
    most = exposures * given_default
    factor = _factor(len(expected), factor_draws)
    losses = np.empty((len(expected), factor_draws, book.groups))
    loans = _loans(book, rules.model)
    for group in range(book.groups):
        chance = conditional(
            np.clip(expected[:, group] / most[:, group], 0.0, 1.0)[:, None],
            factor,
            rules.model.asset_correlation,
        )
        if loans is not None:
            chance = rng.binomial(loans[group], chance) / loans[group]
        losses[:, :, group] = most[:, group, None] * chance
    # What is left of strata and binomial draws must not move the mean (moment matching).
    mean = losses.sum(axis=2).mean()
    losses *= expected.sum(axis=1).mean() / mean if mean > 0 else 0.0
    return Draws(losses=losses, exposures=exposures, expected=expected, noise=noise)


def conditional(
    chance: NDArray[np.float64], factor: NDArray[np.float64], correlation: float
) -> NDArray[np.float64]:
    """Probability of default given the factor (Vasicek 2002); a low factor is a bad year.

    >>> float(conditional(np.array(0.02), np.array(-2.326), 0.12).round(3))
    0.092
    """
    if correlation == 0:
        return np.broadcast_to(chance, np.broadcast_shapes(chance.shape, factor.shape))
    root = np.sqrt(correlation)
    given: NDArray[np.float64] = ndtr((ndtri(chance) - root * factor) / np.sqrt(1 - correlation))
    return given


def _factor(noise_draws: int, factor_draws: int) -> NDArray[np.float64]:
    """Values of the factor (noise draws, factor draws), from bad to good: strata, shifted from panel to panel."""
    shift = (np.arange(PANELS) + 0.5) / PANELS
    strata = (np.arange(factor_draws) + shift[:, None]) / factor_draws
    values: NDArray[np.float64] = np.repeat(ndtri(strata), noise_draws // PANELS, axis=0)
    return values


def _affordable(groups: int, factor_draws: int) -> int:
    """Noise draws for so many groups."""
    pairs = _MOST_NUMBERS // (2 * PANELS * factor_draws * groups)
    return 2 * PANELS * max(8, min(pairs, NOISE_DRAWS // (2 * PANELS)))


def _pairs(rng: np.random.Generator, draws: int, groups: int) -> NDArray[np.float64]:
    """Standard normal (draws, groups), in pairs to both sides inside each panel."""
    each = draws // PANELS
    half = rng.normal(size=(PANELS, each // 2, groups))
    return np.concatenate((half, -half), axis=1).reshape(PANELS * each, groups)


def _given_default(book: Book, rules: LossRules) -> NDArray[np.float64]:
    """Loss given default of each group, by the first set of rules."""
    stated = [s.loss_given_default or rules.model.loss_given_default for s in rules.segments]
    return np.array([stated[book.parts[0][segment].place] for segment in book.inside[0]])


def _loans(book: Book, model: Model) -> NDArray[np.int64] | None:
    """As how many equal loans each group's vary; None where their number is not known."""
    counted = book.sums.get("enterprises")
    if counted is None:
        return None
    equal = counted.figure / (1 + model.size_variation**2)
    return np.maximum(np.rint(equal), 1).astype(np.int64)


def _check(foretold: Sums, exposure: Sums, given_default: NDArray[np.float64]) -> None:
    if foretold.figure.sum() <= 0 or exposure.figure.sum() <= 0:
        raise ConfigError(
            "the sums of exposure or expected loss are not above zero, so they say less than their noise; run the "
            "study with a larger epsilon or fewer cells"
        )
    room = foretold.figure - given_default * exposure.figure
    error = np.hypot(foretold.error, given_default * exposure.error)
    if (room > 4 * error + 1).any():
        raise ConfigError(
            "expected losses of a segment are more than its exposure times loss_given_default; check that both sums "
            "are in one unit, and loss_given_default in [model]"
        )
