"""The vectorised sampler: every decision enumerated, every open case driven, distributions compared.

Tests on fresh randomness err below 1e-6 together; all others run on fixed bytes and cannot flake.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency, chisquare, ks_2samp, norm

from fedrisk.errors import ConfigError
from fedrisk.privacy import noise_vector as vg
from fedrisk.privacy.noise import VECTOR_DRAWS, discrete_gaussian

pytestmark = pytest.mark.slow

FALSE_ALARM = 1e-7


def fixed(seed):
    """Bytes of a seeded generator: repeatable, for tests only."""
    return np.random.Generator(np.random.Philox(seed)).bytes


def script(*parts):
    """Bytes given out one part after the other; asking for more, or another length, is an error."""
    rest = list(parts)

    def source(size):
        part = rest.pop(0)
        assert len(part) == size
        return part

    return source


def pmf(sigma, reach):
    x = np.arange(-reach, reach + 1)
    p = np.exp(-(x.astype(float) ** 2) / (2 * sigma**2))
    return x, p / p.sum()


# The decisions, one by one.


@pytest.mark.parametrize("run", [1, 2, 3, 5])
def test_every_word_decides_rightly_or_leaves_open(run):
    """All words of six bits against all fractions g: P(below) is g / run exactly, once the rest is drawn."""
    bits = 6
    words = np.arange(1 << bits, dtype=np.uint64)
    for q in range(1, 10):
        for p in range(q):
            g = Fraction(p, q)
            floor = math.floor(g * 64)
            for low, high in [(floor, math.ceil(g * 64)), (floor, floor + 2), (max(floor - 1, 0), floor + 1)]:
                bounds = (np.full(64, end, np.uint64) for end in (low, high))
                below, open_ = vg._verdicts(words, run, *bounds)
                chance = Fraction(0)
                for word in range(64):
                    # what u = (word + v) / 64 < g / run asks of v
                    asked = 64 * g / run - word
                    if open_[word]:
                        assert not below[word]
                        rest = vg._rest(word, run, p, q, bits)
                        assert Fraction(*rest) == asked
                        chance += min(max(Fraction(*rest), Fraction(0)), Fraction(1))
                    else:
                        assert asked >= 1 if below[word] else asked <= 0
                        chance += int(below[word])
                assert chance / 64 == g / run


def test_digits_are_compared_exactly():
    """All pairs of bytes: the share that says yes encloses the fraction; one pair at most stays open."""
    for p, q in [(1, 3), (1, 2), (255, 256), (1, 257), (65535, 65536), (1, 65537), (6, 7)]:
        yes = left_open = 0
        for first in range(256):
            # One byte decides for all that may follow.
            try:
                yes += 256 * vg._below(p, q, script(bytes([first])), size=1)
            except IndexError:
                for second in range(256):
                    try:
                        yes += vg._below(p, q, script(bytes([first]), bytes([second])), size=1)
                    except IndexError:  # asked for a third byte
                        left_open += 1
        assert left_open <= 1
        assert Fraction(yes, 65536) <= Fraction(p, q) <= Fraction(yes + left_open, 65536)
    for p, q, answer in [(0, 1, False), (-3, 5, False), (5, 5, True), (7, 5, True)]:
        assert vg._below(p, q, script()) is answer


@given(st.data())
def test_long_division_is_exact(data):
    m = data.draw(st.one_of(st.integers(1, 100), st.integers(1, 2**53 - 1)))
    inside = st.one_of(st.integers(0, m - 1), st.sampled_from([0, m // 2, m - 1]))
    x = data.draw(st.lists(inside, min_size=1, max_size=20))
    floors = vg._floors(np.array(x, np.uint64), m)
    assert floors.tolist() == [(value << 32) // m for value in x]
    for around, power in [(vg._around, lambda g: g), (vg._around_half_square, lambda g: g * g / 2)]:
        low, high = (end.tolist() for end in around(floors))
        for value, least, most in zip(x, low, high, strict=True):
            assert least <= power(Fraction(value, m)) * 2**32 <= most <= least + 2


def test_bounds_hold_at_the_ends_of_the_range():
    """The largest floor, of which the true x may come as near to one as it likes."""
    floors = np.array([2**32 - 1, 0, 2**31, 92_681], np.uint64)
    low, high = (end.tolist() for end in vg._around_half_square(floors))
    for floor, least, most in zip(floors.tolist(), low, high, strict=True):
        assert least <= Fraction(floor**2, 2**33) and Fraction((floor + 1) ** 2, 2**33) <= most


def test_shares_enclose_those_of_the_normal():
    """Against decimals of 120 digits; intervals less than two units wide at every precision."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 120
        terms = [(Decimal(-k * k) / 2).exp() for k in range(80)]
        total = sum(terms)
        for bits in (32, 160, 288):
            for m, (low, high) in enumerate(vg._shares(bits)):
                share = sum(terms[: m + 1]) / total * (Decimal(2) ** bits)
                slack = Decimal(2) ** bits * Decimal(10) ** -110
                assert low - slack <= share <= high + slack
                assert high - low <= 1
    assert len(vg._shares(160)) == 64


def test_words_at_the_edges_of_the_table():
    floors = vg._floor_table().tolist()
    assert floors == sorted(set(floors)) and floors[-1] < 2**32 - 1
    for m, floor in enumerate(floors):
        for word, k in [(floor - 1, m), (floor + 1, m + 1)]:
            assert vg._wholes(1, script(np.uint32(word).tobytes())).tolist() == [k]
        for more, k in [(bytes(16), m), (b"\xff" * 16, m + 1)]:
            assert vg._wholes(1, script(np.uint32(floor).tobytes(), more)).tolist() == [k]
        # at the very share itself: its first 160 bits leave open, the next ones decide
        low, high = vg._shares(160)[m]
        assert high == low + 1
        start = low.to_bytes(20, "big")
        word = np.uint32(int.from_bytes(start[:4], "big")).tobytes()
        for more, k in [(bytes(16), m), (b"\xff" * 16, m + 1)]:
            assert vg._wholes(1, script(word, start[4:], more)).tolist() == [k]
    last = np.uint32(2**32 - 1).tobytes()
    assert vg._wholes(1, script(last, bytes(16))).tolist() == [len(floors)]
    assert vg._wholes(2, lambda size: b"\xff" * size).tolist() == [64, 64]  # all ones: beyond the reach


def test_an_open_word_in_a_run_is_decided_by_the_fraction():
    """With g = 1/3: the word floor(2^32 / 3) leaves open; 64 more bits below or above a third decide."""
    g = (1, 3)
    floor = 2**32 // 3
    low, high = np.array([floor], np.uint64), np.array([floor + 1], np.uint64)
    word, zero = np.uint32(floor).tobytes(), bytes(4)
    assert (floor + Fraction(1, 3)) / 2**32 == Fraction(1, 3)
    third = (2**64 // 3).to_bytes(8, "big")
    less, more = (2**64 // 3 - 1).to_bytes(8, "big"), (2**64 // 3 + 1).to_bytes(8, "big")
    ones = b"\xff" * 4
    for parts, kept in [
        ((word, more), True),  # not below: a run of one
        # Below g, then not below g / 2: a run of two.
        ((word, less, ones), False),
        # Equal digits, then below; a run of three.
        ((word, third, less, zero, ones), True),
        ((ones,), True),
        ((zero, zero, zero, ones), False),
    ]:
        assert vg._keeps(low, high, lambda i: g, script(*parts)).tolist() == [kept]


# Distributions.


@pytest.mark.parametrize("g", [Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(2**40 - 1, 2**40)])
def test_bernoulli_of_an_exponential(g):
    n = 400_000
    floor = np.full(n, math.floor(g * 2**32), np.uint64)
    kept = vg._keeps(floor, floor + np.uint64(1), lambda i: g.as_integer_ratio(), fixed(5))
    p = math.exp(-g)
    assert abs(kept.sum() - n * p) <= norm.isf(FALSE_ALARM / 2) * math.sqrt(n * p * (1 - p))


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 4.0, 4.3, 17.0 / 3.0, 11.125])
def test_chi_square_against_the_exact_probabilities(sigma):
    draws = vg.sample(sigma, 400_000, fixed(6))
    reach = math.floor(3.4 * sigma)
    x, p = pmf(sigma, 60 * math.ceil(sigma))
    cut = np.clip(x, -reach, reach)
    expected = np.bincount(cut + reach, weights=p) * len(draws)
    observed = np.bincount(np.clip(draws, -reach, reach) + reach, minlength=2 * reach + 1)
    assert expected.min() > 40
    assert chisquare(observed, expected).pvalue > FALSE_ALARM


def test_chi_square_on_fresh_randomness():
    draws = vg.sample(4.0, 200_000)
    x, p = pmf(4.0, 200)
    expected = np.bincount(np.clip(x, -13, 13) + 13, weights=p) * len(draws)
    observed = np.bincount(np.clip(draws, -13, 13) + 13, minlength=27)
    assert chisquare(observed, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("sigma", [100.3, 2.0**20, 2.0**31 * 1.2345, 2.0**40, 2.0**40 / 3.0, 2.0**52])
def test_moments_cells_tails_and_lowest_bits_of_large_scales(sigma):
    n = 300_000
    draws = vg.sample(sigma, n, fixed(7))
    z = draws / sigma
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n)
    assert low < np.sum(z * z) < high
    assert abs(z.mean()) * math.sqrt(n) < norm.isf(FALSE_ALARM / 2)
    # sixty-four cells of equal probability, and the tails beyond 3.5 and 4 deviations
    edges = np.r_[norm.ppf(np.arange(1, 64) / 64), 3.5, 4.0, -3.5, -4.0]
    # Between integers, where the step is exact.
    edges = np.sort((np.floor(edges * sigma) + 0.5) / sigma)
    p = np.diff(np.r_[0.0, norm.cdf(edges), 1.0])
    observed = np.bincount(np.searchsorted(edges, z), minlength=len(p))
    assert chisquare(observed, p * n / p.sum()).pvalue > FALSE_ALARM
    if sigma > 1000:
        # Lowest bits, and bits just below the scale.
        for shift in (0, math.floor(math.log2(sigma)) - 8):
            assert chisquare(np.bincount((draws >> shift) & 15, minlength=16)).pvalue > FALSE_ALARM


def test_whole_sigmas_meet_without_gap_or_double():
    """At the seams k sigma, also of a scale that is no integer, neighbours are equally likely."""
    draws = vg.sample(11.125, 2_000_000, fixed(8))
    x, p = pmf(11.125, 700)
    for seam in (0, 11, 12, 22, 23, 33, 34, -11, -12, -22, -23):
        expected = len(draws) * p[x == seam][0]
        assert abs((draws == seam).sum() - expected) < norm.isf(FALSE_ALARM / 2) * math.sqrt(expected)


@pytest.mark.parametrize("sigma", [4.0, 2.0**36 * 1.1])
def test_the_distribution_is_that_of_opendp(sigma):
    theirs = np.concatenate([discrete_gaussian(sigma, VECTOR_DRAWS - 1) for _ in range(5)])
    ours = vg.sample(sigma, 200_000)
    if sigma == 4.0:
        table = [np.bincount(np.clip(d, -11, 11) + 11, minlength=23) for d in (ours, theirs)]
        assert chi2_contingency(table).pvalue > FALSE_ALARM
    else:
        assert ks_2samp(ours, theirs).pvalue > FALSE_ALARM


@settings(max_examples=60, deadline=None)
@given(st.floats(1.0, 2.0**52), st.integers(0, 300), st.integers(0, 2**32))
def test_any_scale_and_count(sigma, count, seed):
    draws = vg.sample(sigma, count, fixed(seed))
    assert draws.shape == (count,) and draws.dtype == np.int64
    assert (np.abs(draws.astype(float)) <= 12 * sigma).all()  # beyond: 1e-32 per draw


def test_more_than_one_block(monkeypatch):
    monkeypatch.setattr(vg, "_BLOCK", 64)
    draws = vg.sample(1000.0, 5000, fixed(9))
    assert abs((draws / 1000).var() - 1) < 0.12
    assert len(np.unique(draws[:64])) > 40


def test_refusals_of_the_vectorised_sampler():
    for sigma in (0.99, 0.0, -1.0, math.nan, math.inf, 2.0**53):
        with pytest.raises(ConfigError, match="sigma"):
            vg.sample(sigma, 1)
    with pytest.raises(ConfigError, match="count"):
        vg.sample(4.0, -1)
