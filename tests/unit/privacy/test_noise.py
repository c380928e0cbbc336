"""The discrete Gaussian: exact scale, right shape, fresh bits; statistical tests err below 1e-6."""

import math
import subprocess
import sys

import numpy as np
import pytest
from opendp.mod import GLOBAL_FEATURES
from scipy.stats import chi2, chisquare, norm

from fedrisk.errors import ConfigError
from fedrisk.privacy.noise import INT64_SIGMA, VECTOR_DRAWS, discrete_gaussian

pytestmark = pytest.mark.slow

SEED = b"a research seed of no privacy"
# The rate of each test on fresh randomness, both sides together; there are about ten.
FALSE_ALARM = 1e-7


def check_moments(draws, sigma):
    """Mean and variance; sum of squares over sigma^2 is chi-square for sigma >= 4 to many digits."""
    n = len(draws)
    z = np.array([float(x) / sigma for x in draws.tolist()])
    low, high = chi2.ppf([FALSE_ALARM / 4, 1 - FALSE_ALARM / 4], n)
    assert low < np.sum(z * z) < high
    assert abs(z.mean()) * math.sqrt(n) < norm.isf(FALSE_ALARM / 4)


def check_shape(draws, sigma, reach):
    """Chi-square over the integers -reach .. reach and the two tails; no expected count below 40."""
    x = np.arange(-40 * math.ceil(sigma), 40 * math.ceil(sigma) + 1)
    p = np.exp(-(x.astype(float) ** 2) / (2 * sigma**2))
    p /= p.sum()
    cut = np.clip(x, -reach, reach)
    expected = np.array([p[cut == k].sum() for k in range(-reach, reach + 1)]) * len(draws)
    assert expected.min() > 40
    observed = np.array([(np.clip(draws, -reach, reach) == k).sum() for k in range(-reach, reach + 1)])
    assert chisquare(observed, expected).pvalue > FALSE_ALARM / 10


@pytest.mark.parametrize("sigma", [4.0, 100.3, 2.0**36, INT64_SIGMA])
@pytest.mark.parametrize("count", [VECTOR_DRAWS - 1, VECTOR_DRAWS])
def test_mean_and_variance_of_private_draws(sigma, count):
    draws = discrete_gaussian(sigma, count)
    assert draws.dtype == np.int64
    check_moments(draws, sigma)
    # Nothing saturates: 40 sigma is never met.
    assert np.abs(draws.astype(float)).max() < 40 * sigma


def small_requests(sigma, times):
    """Draws of OpenDP's sampler, which answers small requests."""
    return np.concatenate([discrete_gaussian(sigma, VECTOR_DRAWS - 1) for _ in range(times)])


def test_shape_of_private_draws():
    check_shape(small_requests(4.0, 4), 4.0, 11)
    check_shape(discrete_gaussian(4.0, 15000), 4.0, 11)


def test_which_sampler_draws(monkeypatch):
    """The vectorised one for large requests within its scales, OpenDP for all others."""
    asked = []

    def sample(sigma, count):
        asked.append((sigma, count))
        return np.zeros(count, np.int64)

    monkeypatch.setattr("fedrisk.privacy.noise_vector.sample", sample)
    for sigma, size in [(4.0, VECTOR_DRAWS - 1), (0.5, VECTOR_DRAWS), (2.0**53, VECTOR_DRAWS)]:
        assert discrete_gaussian(sigma, size).any()
    assert not asked
    assert not discrete_gaussian(4.0, (2, VECTOR_DRAWS)).any()
    assert discrete_gaussian(4.0, VECTOR_DRAWS, research_seed=SEED).any()
    assert asked == [(4.0, 2 * VECTOR_DRAWS)]


@pytest.mark.parametrize("draw", [small_requests, lambda sigma, times: discrete_gaussian(sigma, 8000)])
def test_a_large_scale_uses_its_lowest_bits(draw):
    """Draws at 2^36 must not be multiples of anything: the lowest four bits are uniform."""
    bits = draw(2.0**36, 2) & 15
    assert chisquare(np.bincount(bits, minlength=16)).pvalue > FALSE_ALARM / 10


def test_scales_beyond_64_bits_give_python_integers():
    sigma = 2.0**80
    draws = discrete_gaussian(sigma, (50, 40))
    assert draws.shape == (50, 40)
    assert all(type(x) is int for x in draws.ravel())
    check_moments(draws.ravel(), sigma)
    bits = np.array([x & 15 for x in draws.ravel()])
    assert chisquare(np.bincount(bits, minlength=16)).pvalue > FALSE_ALARM / 10


@pytest.mark.parametrize("count", [50, VECTOR_DRAWS])
def test_private_draws_never_repeat_and_forks_do_not_share_them(count):
    assert (discrete_gaussian(2.0**50, count) != discrete_gaussian(2.0**50, count)).all()
    script = (
        "import os\n"
        "from fedrisk.privacy.noise import discrete_gaussian as g\n"
        # The generator is seeded before the fork.
        f"g(2.0**50, {count})\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        f"        print(g(2.0**50, {count})[:3].tolist(), flush=True); os._exit(0)\n"
        "    os.wait()\n"
        f"print(g(2.0**50, {count})[:3].tolist())\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = out.stdout.split("\n")[:3]
    assert len(set(lines)) == 3


def test_features_of_opendp_are_left_as_found():
    before = set(GLOBAL_FEATURES)
    GLOBAL_FEATURES.discard("contrib")
    discrete_gaussian(4.03125, 1)
    assert "contrib" not in GLOBAL_FEATURES
    GLOBAL_FEATURES.add("contrib")
    discrete_gaussian(4.0625, 1)
    assert "contrib" in GLOBAL_FEATURES
    GLOBAL_FEATURES.clear()
    GLOBAL_FEATURES.update(before)


# The seeded sampler: one fixed seed, so these tests cannot flake.


@pytest.mark.parametrize("sigma", [4.0, 100.3, 2.0**36, INT64_SIGMA, 2.0**80])
def test_mean_and_variance_of_research_draws(sigma):
    check_moments(discrete_gaussian(sigma, 5000 if sigma <= INT64_SIGMA else 1000, research_seed=SEED), sigma)


@pytest.mark.parametrize(("sigma", "reach"), [(0.7, 2), (1.0, 3), (4.0, 13)])
def test_shape_of_research_draws(sigma, reach):
    check_shape(discrete_gaussian(sigma, 200_000, research_seed=SEED), sigma, reach)


@pytest.mark.parametrize("sigma", [4.0, 2.0**80])
def test_research_draws_repeat_with_their_seed_only(sigma):
    first = discrete_gaussian(sigma, (5, 10), research_seed=SEED)
    assert (first == discrete_gaussian(sigma, (5, 10), research_seed=SEED)).all()
    for other in (SEED + b"!", SEED + b"\0", SEED[:-1]):
        assert (first != discrete_gaussian(sigma, (5, 10), research_seed=other)).any()


@pytest.mark.parametrize("seed", [None, SEED])
def test_empty_and_shaped_sizes(seed):
    assert discrete_gaussian(4.0, 0, research_seed=seed).shape == (0,)
    assert discrete_gaussian(4.0, (2, 0, 3), research_seed=seed).shape == (2, 0, 3)
    assert discrete_gaussian(4.0, (), research_seed=seed).shape == ()
    assert discrete_gaussian(4.0, (3, 2), research_seed=seed).dtype == np.int64


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, 2.0**600])
def test_scales_that_are_refused(sigma):
    with pytest.raises(ConfigError, match="sigma"):
        discrete_gaussian(sigma, 3)


def test_other_refusals():
    with pytest.raises(ConfigError, match="size"):
        discrete_gaussian(4.0, -1)
    with pytest.raises(ConfigError, match="research_seed"):
        discrete_gaussian(4.0, 1, research_seed=b"short")
