"""Integer noise: speed, variance and the price of discreteness. Prints tables, writes results.json,
then checks the claims.

Run from the root of the project: ``python benchmarks/noise/run.py``. About a minute on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfcx, logsumexp

from fedrisk.privacy.noise import discrete_gaussian

SCALES = (4.0, 100.3, 2.0**20, 2.0**36, 2.0**56, 2.0**80)
DRAWS = 100_000
BIG_DRAWS = 20_000
SEED = b"benchmark of noise, no privacy"

SIGMAS = (4.0, 4.2, 4.5, 5.0, 5.77, 6.5, 8.0, 11.3, 16.0, 32.0)
SHIFTS_OVER_SIGMA = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
LEAST_LOG_DELTA = -3000.0

LEAST_DRAWS_A_SECOND = 10_000
CHARGED = 1.0 / 20.0


def log_delta(mu: float, epsilon: float) -> float:
    """Logarithm of the hockey-stick divergence of N(mu, 1) from N(0, 1), apart from the library's code."""
    near, far = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    if near < -20:
        return math.log1p(-math.exp(-near * near / 2) * float(erfcx(-near / math.sqrt(2)) / 2))
    gap = float(erfcx(near / math.sqrt(2)) - erfcx(far / math.sqrt(2)))
    return -near * near / 2 + math.log(gap / 2)


def excess(sigma: float, shift: int) -> float:
    """The least c for which mu = (shift / sigma)(1 + c / sigma^2) covers the discrete Gaussian."""
    mu, step = shift / sigma, shift / sigma**2
    reach = (math.sqrt(-2 * LEAST_LOG_DELTA) + 12) * sigma + shift
    x = np.arange(-math.ceil(reach), math.ceil(reach) + 1, dtype=float)
    log_p = -(x**2) / (2 * sigma**2)
    log_p -= logsumexp(log_p)
    loss = (shift**2 - 2 * shift * x) / (2 * sigma**2)
    last = mu * mu / 2 + mu * math.sqrt(-2 * LEAST_LOG_DELTA)
    epsilons = np.union1d(np.arange(0.0, min(last, 30 * step), step / 24), np.linspace(0.0, last, 1500))
    worst = -math.inf
    for epsilon in epsilons:
        inside = loss > epsilon
        if not inside.any():
            break
        target = float(logsumexp(log_p[inside] + np.log(-np.expm1(epsilon - loss[inside]))))
        if target < LEAST_LOG_DELTA:
            break
        if log_delta(mu * (1 + max(worst, -0.1) / sigma**2), epsilon) >= target:
            # The c found so far covers this epsilon too.
            continue
        c = brentq(lambda c, e=epsilon, t=target: log_delta(mu * (1 + c / sigma**2), e) - t, -0.2, 0.5)
        worst = max(worst, float(c))
    return worst


def speed(sigma: float, count: int, seed: bytes | None) -> tuple[float, float]:
    """Draws per second of processor time, and the variance over sigma^2."""
    discrete_gaussian(sigma, 10, research_seed=seed)
    start = time.process_time()
    draws = discrete_gaussian(sigma, count, research_seed=seed)
    seconds = time.process_time() - start
    return count / seconds, float(np.mean([(float(x) / sigma) ** 2 for x in draws.tolist()]))


def main() -> None:
    """Measure, print the tables, and check the claims."""
    print("| sigma | draws per second | variance / sigma^2 | seeded, draws per second |")
    print("| --- | --- | --- | --- |")
    rates, deviations = [], []
    for sigma in SCALES:
        count = DRAWS if sigma <= 2.0**56 else BIG_DRAWS
        rate, variance = speed(sigma, count, None)
        seeded, _ = speed(sigma, count, SEED)
        rates.append(rate)
        deviations.append(abs(variance - 1) / math.sqrt(2 / count))
        name = f"{sigma:g}" if sigma < 2**20 else f"2^{math.log2(sigma):.0f}"
        print(f"| {name} | {rate:,.0f} | {variance:.4f} | {seeded:,.0f} |", flush=True)

    print("\n| sigma | worst c over shifts | at shift | times 24 |\n| --- | --- | --- | --- |")
    worst = []
    for sigma in SIGMAS:
        shifts = sorted({max(1, round(s * sigma)) for s in SHIFTS_OVER_SIGMA} | {1, 2, 3})
        c, shift = max((excess(sigma, k), k) for k in shifts)
        worst.append(c)
        print(f"| {sigma:g} | {c:.5f} | {shift} | {24 * c:.4f} |", flush=True)

    found = {
        "draws_a_second": dict(zip(map(str, SCALES), rates, strict=True)),
        "slowest_draws_a_second": min(rates),
        "most_deviation": max(deviations),
        "c": dict(zip(map(str, SIGMAS), worst, strict=True)),
        "worst_c": max(worst),
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(found, indent=1) + "\n")
    if min(rates) < LEAST_DRAWS_A_SECOND:
        raise SystemExit(f"too slow: {min(rates):,.0f} draws per second")
    # False alarms have a probability of about 2e-7 in all.
    if max(deviations) > 5.5:
        raise SystemExit(f"variance off by {max(deviations):.1f} standard errors")
    if max(worst) > CHARGED:
        raise SystemExit(f"c = {max(worst):.4f} is above the {CHARGED} that is charged")
    slowest, most = f"{min(rates):,.0f} draws per second or more", f"c at most {max(worst):.4f} < {CHARGED}"
    print(f"\nclaims hold: {slowest}, {most}")


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
