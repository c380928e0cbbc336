"""How often intervals of information values and of PSI contain the truth, and how far values are off."""

import numpy as np

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.feature_figures import column_values, divergence
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import stability
from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts

SHAPES = ("rising", "peak", "tail", "rare")


def column(size, shape, strength, rate):
    """(bins, shares of defaults, shares of others) of a column with so much information."""
    share = np.full(size, 1.0)
    if shape == "rare":
        share[size // 2 :] = 0.15
    share /= share.sum()
    place = (np.cumsum(share) - share / 2) * 2 - 1
    curve = {"peak": np.cos(np.pi * place) / 2, "tail": np.exp(2 * place) / 4}.get(shape, place)
    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        p1, p0 = classes(share, middle * curve, rate)
        low, high = (middle, high) if divergence(p1, p0) < strength else (low, middle)
    name = f"{shape}_{size}_{strength}"
    feature = Feature(institution="bank", column=name, low=0, high=1, missing=False)
    return Bins(feature, edges=tuple(np.arange(1, size) / size)), p1, p0


def classes(share, curve, rate):
    odds = rate / (1 - rate) * np.exp(curve)
    p1, p0 = share * odds / (1 + odds), share / (1 + odds)
    return p1 / p1.sum(), p0 / p0.sum()


def information(rows, rate, noise, trials, seed, sizes=(4, 8, 17), strengths=(0.0, 0.02, 0.1, 0.3, 0.6)):
    """[strength, bins, coverage, mean error of the value, mean width] of columns in studies of that size."""
    rng = np.random.default_rng(seed)
    made = [(column(k, s, v, rate), k, s, v) for s in SHAPES for k in sizes for v in strengths]
    found = {key[1:]: [] for key in made}
    bins = []
    for (b, _, _), _k, _s, _v in made:
        f = b.feature
        found_missing = Bins(
            Feature(institution="bank", column=f.column, low=0, high=1, missing=False), edges=b.edges
        )
        bins.append(found_missing)
    for _ in range(trials):
        positives = rng.binomial(rows, rate)
        n1 = [rng.multinomial(positives, p1) + rng.normal(0, noise, len(p1)) for (_, p1, _), *_ in made]
        n0 = [
            rng.multinomial(rows - positives, p0) + rng.normal(0, noise, len(p0)) for (_, _, p0), *_ in made
        ]
        counts = LabelCounts(tuple(n1), tuple(n0), np.full(len(bins), noise**2))
        values = {v.column: v.value for v in column_values(CardSums(bins=tuple(bins), counts=counts))}
        for b, (_, *key) in zip(bins, made, strict=True):
            found[tuple(key)].append(values[b.feature.column])
    out = []
    for (k, s, v), e in found.items():
        inside = [x.low <= v <= x.high for x in e]
        out.append(
            {
                "shape": s,
                "bins": k,
                "information": v,
                "coverage": float(np.mean(inside)),
                "above": float(np.mean([x.low > v for x in e])),
                "mean": float(np.mean([x.value for x in e])),
                "half_width": float(np.mean([x.high - x.low for x in e])) / 2,
            }
        )
    return out


def psi(rows, noise, shift, trials, seed, size=10):
    """Coverage of the PSI of two noisy histograms whose true distributions are so far apart."""
    rng = np.random.default_rng(seed)
    _, p, q = column(size, "rising", shift, 1e-6)
    true, found = divergence(p, q), []
    for _ in range(trials):
        before, now = (
            Histogram.of(rng.multinomial(rows, s) + rng.normal(0, noise, size), noise**2) for s in (p, q)
        )
        one = stability(before, now)
        if one is not None:
            found.append(one)
    return {
        "rows": rows,
        "noise": noise,
        "psi": shift,
        "coverage": float(np.mean([e.low - 1e-9 <= true <= e.high for e in found])),
        "mean": float(np.mean([e.index for e in found])),
        "half_width": float(np.mean([e.high - e.low for e in found])) / 2,
        "nothing_said": trials - len(found),
    }
