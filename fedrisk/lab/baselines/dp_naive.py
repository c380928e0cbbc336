"""A naive scorecard with differential privacy: noisy counts of each column's bins by label, and nothing else.

One trusted party counts pooled training rows by label in each bin of each column, and adds Gaussian noise. A row adds 1
to one cell of each of F columns, so that setting its contribution to zero moves all counts together by at most sqrt(F)
in L2: noise of deviation sqrt(F) / mu makes them mu-GDP (Dong, Roth & Su 2022). Bins are those that dictionaries state,
or even ones on the declared grid.

The score is the sum of weights of evidence as though columns were independent given the label (naive Bayes). Columns
that agree count several times, so it ranks worse than a card and its probabilities are far too bold: what the rest of a
scorecard study is worth.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fedrisk.lab.baselines.inputs import public_codes
from fedrisk.lab.split import Baseline, Split
from fedrisk.privacy.accounting import mu_for

BINS = 16
"""Even bins of a number whose dictionary states none."""


def dp_naive(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """Probabilities by noisy weights of evidence, (rows,)."""
    rng = np.random.default_rng([seed, 3])
    bins, codes = public_codes(split, BINS)
    sigma = math.sqrt(len(bins)) / mu_for(epsilon, delta)
    label = split.label[split.training]
    log_odds: NDArray[np.float64] = np.zeros(len(split.label))
    counted = []
    for b, c in zip(bins, codes, strict=True):
        exact = np.stack([np.bincount(c[split.training], w, b.size) for w in (label, 1 - label)])
        counted.append(exact + sigma * rng.normal(size=exact.shape))
    # Every column counts all rows once, so the mean of their totals has the least noise.
    total = np.maximum(np.mean([n.sum(1) for n in counted], axis=0), 1.0)
    for c, noisy in zip(codes, counted, strict=True):
        # As many rows of the average rate as the noise of a count, lest an empty bin says much.
        shares = (np.maximum(noisy, 0) + (1 + sigma) * total[:, None] / total.sum()) / total[:, None]
        log_odds += np.log(shares[0] / shares[1])[c]
    return np.asarray(expit(log_odds + math.log(total[0] / total[1])))


BASELINES = (Baseline(name="DP naive scorecard", private=True, fit=dp_naive),)
