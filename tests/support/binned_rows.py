"""Rows in bins with labels, what they add up to, and bins of a bank and of holders who do not know everybody."""

import numpy as np

from fedrisk.data.features import Feature, known_feature
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts


def simulate(n=12_000, seed=0, features=8):
    """Correlated features, half at the bank and half at a holder, additive log-odds with curved parts."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 1, (n, 1))
    x = 0.7 * common + 0.7 * rng.normal(0, 1, (n, features))
    z = -2 + x @ np.linspace(0.5, -0.4, features) + 0.4 * (x[:, 0] ** 2 - 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    bins = [
        Bins(
            Feature(institution="bank" if j % 2 else "tax", column=f"x{j}", low=-4, high=4, missing=False),
            edges=tuple(np.linspace(-1.5, 1.5, 9)),
        )
        for j in range(features)
    ]
    codes = [b.codes(x[:, j]) for j, b in enumerate(bins)]
    return y, bins, codes


def exact_counts(y, bins, codes, variance=0.0, rng=None):
    def noisy(label, size, c):
        out = np.bincount(c, label, size)
        return out if rng is None else out + rng.normal(0, variance**0.5, size)

    n1 = tuple(noisy(y, b.size, c) for b, c in zip(bins, codes, strict=True))
    n0 = tuple(noisy(1 - y, b.size, c) for b, c in zip(bins, codes, strict=True))
    return LabelCounts(n1, n0, np.full(len(bins), variance))


def gram_of(bases, codes):
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    return x.T @ x


def column(institution, name, edges=(1.0,), missing=False, **parts):
    feature = Feature(institution=institution, column=name, low=0, high=9, missing=missing, **parts)
    return Bins(feature, edges, unknown=institution != "bank")


def with_holders(*holders):
    """One column of the bank, then these holders' columns, by the count of them, each with what says who is known."""
    bins = [column("bank", "a")]
    for number, columns in enumerate(holders):
        bins += [column(f"h{number}", f"x{k}") for k in range(columns)]
        bins.append(Bins.public(known_feature(f"h{number}")))
    return bins
