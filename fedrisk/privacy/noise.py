"""Integer Gaussian noise: what makes a sum private.

The discrete Gaussian has P(x) proportional to exp(-x^2 / (2 sigma^2)) on the integers (Canonne, Kamath &
Steinke 2020). Drawn exactly, with no floating-point number on the way, it leaves none of the gaps by which
noise made of rounded reals gives the data away (Mironov 2012), and it is added to numbers of the ring
directly.

Up to a few thousand draws come from OpenDP's sampler, whose bytes are those of OpenSSL's generator, which the
operating system seeds and which reseeds itself in a forked process. It takes about 20 microseconds per draw,
too slow for the 100,000 parameters of a network at every step. Vectors of ``VECTOR_DRAWS`` and more therefore
come from ``noise_vector``, which is as exact and some 70 times as fast: it works on whole arrays, with the
operating system's bytes. Scales that might leave 64 bits use the same published algorithm as OpenDP on
Python's integers and ``secrets``. A seed drives noise only where it is asked for by name, for research runs
that give no privacy.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.privacy import noise_vector

INT64_SIGMA = 2.0**56
"""Up to here draws fit in 64 bits: the ends are 128 sigma away, with probability below 1e-3500 per draw."""

SIGMA_CEILING = 2.0**512

VECTOR_DRAWS = 4096
"""For this many draws and more the vectorised sampler is used, for sigma from 1 to 2^52; OpenDP otherwise."""

_features = threading.Lock()


def discrete_gaussian(
    sigma: float, size: int | tuple[int, ...], *, research_seed: bytes | None = None
) -> NDArray[Any]:
    """Independent draws of the discrete Gaussian of that ``sigma``, in ring units, in the shape ``size``.

    Returns int64 up to sigma 2^56, beyond it an object array of Python integers; reduce either modulo the
    ring. The scale is honoured exactly: sigma is taken as the rational number that the float is. For sigma >=
    4 the variance equals sigma^2 to within 1e-130 relatively.

    Guarantee: exact draws from unpredictable bits. ``accounting.discreteness`` says what privacy that gives;
    debit the ledger before calling.

    With ``research_seed`` (at least 16 bytes) the draws repeat and there is NO PRIVACY: whoever knows the
    seed subtracts the noise, and the sampler is exact only up to floating-point rounding. The caller must
    mark every output that comes of it as research. The same seed, sigma and size give the same draws on one
    version of NumPy. Derive another seed for every release, or two releases share their noise.

    Raises ConfigError if sigma is not positive and finite, a size is negative or a seed too short. Sources:
    Canonne, Kamath & Steinke (2020), algorithms 1 to 3; OpenDP, ``make_gaussian``; Karney (2016).

    >>> noise = discrete_gaussian(1000.0, (2, 3))
    >>> noise.shape, noise.dtype.name
    ((2, 3), 'int64')
    """
    if not 0.0 < sigma <= SIGMA_CEILING:
        raise ConfigError(f"sigma is {sigma}; noise needs a positive scale of at most 2^512 ring units")
    shape = (size,) if isinstance(size, int) else tuple(size)
    if any(side < 0 for side in shape):
        raise ConfigError(f"size is {size}; sides must be 0 or more")
    count = math.prod(shape)
    if research_seed is not None:
        return _research(float(sigma), count, research_seed).reshape(shape)
    if sigma > INT64_SIGMA:
        return _big(int(sigma), count, secrets.randbelow).reshape(shape)
    if count >= VECTOR_DRAWS and noise_vector.SIGMA_MIN <= sigma <= noise_vector.SIGMA_MAX:
        return noise_vector.sample(float(sigma), count).reshape(shape)
    drawn = np.array(_opendp(float(sigma))([0] * count), dtype=np.int64)
    return drawn.reshape(shape)


@lru_cache(maxsize=64)
def _opendp(sigma: float) -> Callable[[list[int]], list[int]]:
    """OpenDP's mechanism that adds the discrete Gaussian to a vector of 64-bit integers."""
    import opendp.prelude as dp

    with _contrib():
        mechanism = dp.m.make_gaussian(
            dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64"), scale=sigma
        )
    called: Callable[[list[int]], list[int]] = mechanism
    return called


@contextmanager
def _contrib() -> Iterator[None]:
    """OpenDP's "contrib" feature for one construction; afterwards it is as it was before."""
    from opendp.mod import GLOBAL_FEATURES, disable_features, enable_features

    with _features:
        before = "contrib" in GLOBAL_FEATURES
        enable_features("contrib")
        try:
            yield
        finally:
            if not before:
                disable_features("contrib")


# Scales beyond 64 bits. A float of 2^53 or more is an integer, so sigma is one here and every probability
# below is a ratio of integers. Names follow Canonne, Kamath & Steinke (2020).


def _big(sigma: int, count: int, randbelow: Callable[[int], int]) -> NDArray[np.object_]:
    drawn = np.empty(count, dtype=object)
    for i in range(count):
        drawn[i] = _big_gaussian(sigma, randbelow)
    return drawn


def _big_gaussian(sigma: int, randbelow: Callable[[int], int]) -> int:
    """Algorithm 3: discrete Laplace y of scale t = sigma + 1, kept with exp(-(|y|-sigma^2/t)^2/2sigma^2)."""
    t = sigma + 1
    while True:
        y = _big_laplace(t, randbelow)
        if _bernoulli_exp((abs(y) * t - sigma * sigma) ** 2, 2 * (sigma * t) ** 2, randbelow):
            return y


def _big_laplace(t: int, randbelow: Callable[[int], int]) -> int:
    """Algorithm 2 for an integer scale: P(x) proportional to exp(-|x| / t)."""
    while True:
        u = randbelow(t)
        if not _bernoulli_exp(u, t, randbelow):
            continue
        v = 0
        while _bernoulli_exp(1, 1, randbelow):
            v += 1
        x = u + t * v
        negative = randbelow(2) == 1
        if negative and x == 0:
            # Zero would otherwise be drawn twice as often.
            continue
        return -x if negative else x


def _bernoulli_exp(numerator: int, denominator: int, randbelow: Callable[[int], int]) -> bool:
    """Algorithm 1: true with probability exp(-numerator / denominator)."""
    while numerator > denominator:
        if not _bernoulli_exp(1, 1, randbelow):
            return False
        numerator -= denominator
    k = 1
    while randbelow(denominator * k) < numerator:
        k += 1
    return k % 2 == 1


# Research runs: repeatable, no privacy.


def _research(sigma: float, count: int, seed: bytes) -> NDArray[Any]:
    if len(seed) < 16:
        raise ConfigError(f"research_seed has {len(seed)} bytes; give 16 or more")
    words = np.frombuffer(seed + bytes(-len(seed) % 4), dtype="<u4").tolist()
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([len(seed), *words])))
    if sigma > INT64_SIGMA:
        return _big(int(sigma), count, _randbelow_of(rng))
    return _research_int64(sigma, count, rng)


def _research_int64(sigma: float, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The algorithm above on whole arrays: integers stay exact, acceptance probabilities are floats."""
    t = math.floor(sigma) + 1
    kept: list[NDArray[np.int64]] = []
    missing = count
    while missing > 0:
        # About .63 of the Laplace proposals and at least .5 of the rest survive; enough tries for few turns.
        tries = 4 * missing + 64
        u = rng.integers(0, t, tries)
        v = rng.geometric(-math.expm1(-1.0), tries) - 1
        negative = rng.integers(0, 2, tries) == 1
        size = u + t * v
        accept = rng.random(tries) < np.exp(-u / t)
        accept &= ~(negative & (size == 0))
        accept &= rng.random(tries) < np.exp(-((size - sigma * sigma / t) ** 2) / (2.0 * sigma * sigma))
        drawn = np.where(negative, -size, size)[accept][:missing].astype(np.int64)
        kept.append(drawn)
        missing -= len(drawn)
    return np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)


def _randbelow_of(rng: np.random.Generator) -> Callable[[int], int]:
    """Uniform integers below any bound, by rejection, from a seeded generator."""

    def randbelow(bound: int) -> int:
        bits = (bound - 1).bit_length()
        size = (bits + 7) // 8
        while True:
            value = int.from_bytes(rng.bytes(size), "little") & ((1 << bits) - 1)
            if value < bound:
                return value

    return randbelow
