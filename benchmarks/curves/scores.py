"""How often the intervals of a score's curves contain the truth, with noise and without."""

import numpy as np
from scipy.special import ndtr, ndtri

from fedrisk.analysis import curves
from fedrisk.analysis.score_counts import ScoreCounts

BINS = 24
GRID = (0.05, 0.1, 0.2, 0.5)
"""Shares of others refused, or of enterprises, at which curves are held against the truth."""


def truth(auc, rate):
    """Shares of defaults and of others by bin, in order of rising risk, of two normal classes."""
    gap = np.sqrt(2) * ndtri(auc)
    middle = np.linspace(-2.2, gap + 2.2, BINS - 1)
    ends = np.r_[-np.inf, middle, np.inf]
    p1, p0 = np.diff(ndtr(ends - gap)), np.diff(ndtr(ends))
    return p1, p0


def counts(n1, n0, noise):
    ends = np.arange(BINS + 1.0)
    return ScoreCounts(
        positives=np.asarray(n1, float), negatives=np.asarray(n0, float), variance=noise**2,
        low=ends[:-1], high=ends[1:], axis="risk", probability=None,
    )  # fmt: skip


def trial(rng, p1, p0, rows, rate, noise):
    positives = rng.binomial(rows, rate)
    n1 = rng.multinomial(positives, p1) + rng.normal(0, noise, BINS)
    n0 = rng.multinomial(rows - positives, p0) + rng.normal(0, noise, BINS)
    return counts(n1, n0, noise)


def inside(value, estimate):
    return estimate.low - 1e-9 <= value <= estimate.high + 1e-9


def in_band(x, y, at, band, across):
    return (
        np.interp(at, across, band.low) - 1e-9
        <= np.interp(at, x, y)
        <= np.interp(at, across, band.high) + 1e-9
    )


def coverage(rows, rate, auc, noise, trials, seed):
    """{what: share of trials whose interval has the truth}, and mean half widths of AUC and KS."""
    rng = np.random.default_rng(seed)
    p1, p0 = truth(auc, rate)
    true = counts(p1 * rate * 1e12, p0 * (1 - rate) * 1e12, 0.0)
    roc, gains = curves.roc(true), curves.gains(true)
    ks = curves.ks(true).value.value
    hits, widths, hidden = {}, {"auc": [], "ks": []}, 0
    for _ in range(trials):
        found = trial(rng, p1, p0, rows, rate, noise)
        if not found.usable:
            hidden += 1
            continue
        r, g, k = curves.roc(found), curves.gains(found), curves.ks(found)
        told = {"auc": inside(roc.auc.value, r.auc), "ks": inside(ks, k.value)}
        for at in GRID:
            told[f"roc at {at}"] = in_band(
                roc.false_positive, roc.true_positive.value, at, r.true_positive, r.false_positive
            )
            told[f"gains at {at}"] = in_band(gains.share, gains.captured.value, at, g.captured, g.share)
        for place in (6, 12, 18):
            cut = _cut(found, place)
            bad = (p1[:place] * rate).sum() / ((p1 * rate + p0 * (1 - rate))[:place].sum())
            told[f"bad rate below bin {place}"] = inside(bad, cut)
        for what, hit in told.items():
            hits.setdefault(what, []).append(hit)
        widths["auc"].append(r.auc.high - r.auc.low)
        widths["ks"].append(k.value.high - k.value.low)
    return {
        "rows": rows,
        "rate": rate,
        "true_auc": auc,
        "noise": noise,
        "trials": trials,
        "nothing_said": hidden,
        "coverage": {what: round(float(np.mean(v)), 4) for what, v in hits.items()},
        "half_width": {what: round(float(np.mean(v)) / 2, 4) if v else None for what, v in widths.items()},
    }


def _cut(found, place):
    n1, n0 = found.positives[:place].sum(), found.negatives[:place].sum()
    return curves.share_of(n1, n0, found.variance, place, place)
