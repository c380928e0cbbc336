"""Gaussian-DP accounting: known conversions, an independent accountant, and integer noise summed directly."""

import math

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logsumexp, ndtri_exp

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import (
    LABEL_IN_COUNTS,
    LABEL_IN_VECTORS,
    SIGMA_MIN,
    _log_delta,
    check_epsilon_delta,
    compose,
    contributor_sigma,
    delta_for,
    discreteness,
    epsilon_by_relation,
    epsilon_for,
    mu_for,
    sigma_for,
)

KNOWN = [(0.5, 0.124), (1.0, 0.237), (3.0, 0.648), (8.0, 1.532)]

# --- conversions


@pytest.mark.parametrize(("epsilon", "mu"), KNOWN)
def test_known_conversions_at_one_in_a_million(epsilon, mu):
    assert round(mu_for(epsilon, 1e-6), 3) == mu
    assert epsilon_for(mu_for(epsilon, 1e-6), 1e-6) == pytest.approx(epsilon, rel=1e-9)


def test_delta_at_epsilon_zero_is_the_total_variation_distance():
    assert delta_for(1.0, 0.0) == pytest.approx(math.erf(0.5 / math.sqrt(2.0)), rel=1e-14)


def test_the_ends_of_the_scale():
    assert delta_for(0.0, 1.0) == 0.0
    assert delta_for(math.inf, 1.0) == 1.0
    assert delta_for(1.0, math.inf) == 0.0
    assert epsilon_for(0.0, 1e-6) == 0.0
    assert epsilon_for(math.inf, 1e-6) == math.inf
    assert mu_for(math.inf, 1e-6) == math.inf
    assert epsilon_for(1e-13, 1e-12) == 0.0


@pytest.mark.parametrize("mu", [1e-4, 0.01, 0.237, 1.0, 3.0, 9.0, 30.0])
@pytest.mark.parametrize("epsilon", [0.0, 1e-6, 0.01, 1.0, 8.0, 100.0, 300.0])
def test_delta_against_sixty_digits(mu, epsilon):
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)
        if exact < 1e-290:
            assert delta_for(mu, epsilon) < 1e-280
        else:
            assert abs(delta_for(mu, epsilon) / exact - 1) < 1e-10


@given(st.floats(1e-3, 100.0), st.floats(-12.0, -0.01))
def test_conversion_and_back(epsilon, log10_delta):
    delta = 10.0**log10_delta
    mu = mu_for(epsilon, delta)
    assert delta_for(mu, epsilon) == pytest.approx(delta, rel=1e-8)
    assert epsilon_for(mu, delta) == pytest.approx(epsilon, rel=1e-8)


@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("mu", [0.05, 0.237, 1.0, 3.0])
def test_one_gaussian_against_dp_accounting(mu, delta):
    other = dp_accounting.get_epsilon_gaussian(1.0 / mu, delta)
    assert epsilon_for(mu, delta) == pytest.approx(other, rel=1e-6)


def test_composition_against_the_loss_distributions_of_dp_accounting():
    mus = [0.06, 0.17, 0.12, 0.1]
    accountant = PLDAccountant(value_discretization_interval=1e-4)
    for mu in mus:
        accountant.compose(dp_accounting.GaussianDpEvent(1.0 / mu))
    assert accountant.get_epsilon(1e-6) == pytest.approx(epsilon_for(compose(mus), 1e-6), rel=2e-3)


def test_compose_adds_squares():
    assert compose([]) == 0.0
    assert compose([3.0, 4.0, 12.0]) == 13.0
    assert compose([1.0, math.inf]) == math.inf
    mu = mu_for(1.0, 1e-6)
    assert epsilon_for(compose([mu] * 12), 1e-6) == pytest.approx(3.9, abs=0.05)


def test_readings_of_epsilon_one():
    mu = mu_for(1.0, 1e-6)
    r = epsilon_by_relation(mu, 1e-6, label=LABEL_IN_COUNTS)
    assert (round(r.zeroed, 2), round(r.label_flipped, 2), round(r.replaced, 2)) == (1.0, 1.45, 2.12)
    assert (r.mu, r.delta) == (mu, 1e-6)
    # A clipped gradient may be turned round by the label.
    assert epsilon_by_relation(mu, 1e-6, label=LABEL_IN_VECTORS).label_flipped == r.replaced
    assert epsilon_by_relation(math.inf, 1e-6, label=LABEL_IN_VECTORS).zeroed == math.inf


# --- integer noise


def worst_excess(sigma: float, shift: int, least_log_delta: float = -1500.0) -> float:
    """The c with which the discrete Gaussian shifted by ``shift`` touches the curve of mu (1 + c / sigma^2).

    Direct summation of sum_x max(p(x) - e^epsilon p(x - shift), 0), on a grid of epsilons that is fine
    against the steps of the privacy loss, down to log delta ``least_log_delta``; everything in logarithms.
    """
    reach = math.sqrt(-2.0 * least_log_delta) * sigma + 12.0 * sigma + shift
    x = np.arange(-math.ceil(reach), math.ceil(reach) + 1)
    log_p = -(x.astype(float) ** 2) / (2 * sigma**2)
    norm = logsumexp(log_p)
    log_p = log_p - norm
    log_q = -((x - shift).astype(float) ** 2) / (2 * sigma**2) - norm
    # The loss falls linearly in x, in steps of shift / sigma^2.
    loss = log_p - log_q
    mu = shift / sigma
    step = shift / sigma**2
    last = 0.5 * mu * mu + mu * math.sqrt(-2.0 * least_log_delta)
    epsilons = np.unique(
        np.concatenate([np.arange(0.0, min(last, 40 * step), step / 16), np.linspace(0, last, 400)])
    )
    worst = 0.0
    for epsilon in epsilons:
        inside = loss > epsilon
        with np.errstate(divide="ignore"):
            terms = log_p[inside] + np.log(-np.expm1(epsilon - loss[inside]))
        log_delta = logsumexp(terms) if inside.any() else -math.inf
        if log_delta < least_log_delta:
            break
        worst = max(worst, _excess_of(mu, sigma, epsilon, log_delta))
    return worst


def _excess_of(mu: float, sigma: float, epsilon: float, log_delta: float) -> float:
    low, high = -0.2, 0.2
    assert _log_delta(mu * (1 + high / sigma**2), epsilon) > log_delta
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _log_delta(mu * (1 + middle / sigma**2), epsilon) < log_delta:
            low = middle
        else:
            high = middle
    return high


@pytest.mark.parametrize(
    ("sigma", "shift"), [(4.0, 1), (4.0, 3), (4.0, 16), (4.37, 1), (5.5, 2), (8.0, 1), (8.3, 24), (16.0, 1)]
)
def test_discreteness_covers_the_discrete_gaussian(sigma, shift):
    excess = worst_excess(sigma, shift)
    assert excess < 1.0 / 20.0
    if shift == 1:
        # A smaller charge would not do: 1/25 does not cover it.
        assert excess > 1.0 / 25.0


def test_three_coordinates_by_convolution_stay_under_the_curve():
    """Shifts 1, 2 and 2 in three coordinates: the loss is a sum of independent ones on one lattice."""
    sigma, shifts = 4.0, (1, 2, 2)
    x = np.arange(-120, 121)
    p = np.exp(-(x.astype(float) ** 2) / (2 * sigma**2))
    p /= p.sum()
    dist, offset = np.ones(1), 0.0
    for k in shifts:
        # loss(x) = (k^2 - 2 k x) / (2 sigma^2): put x on a lattice of width 1, k steps apart.
        spread = np.zeros((len(x) - 1) * k + 1)
        spread[::k] = p[::-1]
        dist = np.convolve(dist, spread)
        offset += k * k / 2.0 - k * x[-1]
    losses = (offset + np.arange(len(dist))) / sigma**2
    mu = math.sqrt(sum(k * k for k in shifts)) / sigma
    charged = discreteness(mu, sigma)
    for epsilon in np.linspace(0.0, 12.0, 500):
        above = losses > epsilon
        delta = float(np.sum(dist[above] * -np.expm1(epsilon - losses[above])))
        # Below, the convolution's own rounding would be tested.
        if delta < 1e-12:
            break
        assert delta <= delta_for(charged, epsilon)
        assert delta >= 0.9 * delta_for(mu, epsilon) - 1e-13


@given(st.floats(1.0, 2.0**40), st.floats(1e-3, 10.0))
def test_sigma_for_charges_exactly_what_was_asked(sensitivity, mu):
    assume(sensitivity / mu >= SIGMA_MIN)
    sigma = sigma_for(sensitivity, mu)
    charged = discreteness(sensitivity / sigma, sigma)
    assert charged <= mu
    assert charged == pytest.approx(mu, rel=1e-14)


def test_sigma_below_four_names_the_remedy():
    with pytest.raises(ConfigError, match=r"[Ss]cale up"):
        sigma_for(1.0, 1.0)
    with pytest.raises(ConfigError, match=r"[Ss]cale up"):
        discreteness(1.0, 3.999)
    assert discreteness(1.0, 4.0) == 1.0 + 1.0 / 320.0


def test_contributors():
    assert contributor_sigma(12.0, 1) == 12.0
    assert contributor_sigma(12.0, 2) == 12.0
    assert contributor_sigma(12.0, 3) == 12.0
    assert contributor_sigma(12.0, 6, 1) == 6.0
    assert contributor_sigma(12.0, 5, 0) == 6.0
    with pytest.raises(ConfigError, match=r"[Ss]cale up"):
        contributor_sigma(12.0, 20)
    with pytest.raises(ConfigError, match="banks"):
        contributor_sigma(12.0, 0)
    with pytest.raises(ConfigError, match="tolerated"):
        contributor_sigma(12.0, 4, -1)


# --- refusals


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, 100.5, -math.inf])
def test_epsilon_out_of_range(epsilon):
    with pytest.raises(ConfigError, match="epsilon"):
        check_epsilon_delta(epsilon, 1e-6, 1000)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, math.nan])
def test_delta_out_of_range(delta):
    with pytest.raises(ConfigError, match="delta"):
        check_epsilon_delta(1.0, delta, 1)


def test_delta_against_the_number_of_enterprises():
    check_epsilon_delta(1.0, 1e-6, 100_000)
    check_epsilon_delta(100.0, 1e-12, 1)
    check_epsilon_delta(math.inf, 1e-6, 10)
    with pytest.raises(ConfigError, match=r"\.1 / enterprises = 1e-07"):
        check_epsilon_delta(1.0, 1e-6, 1_000_000)
    with pytest.raises(ConfigError, match="enterprises"):
        check_epsilon_delta(1.0, 1e-6, 0)


@pytest.mark.parametrize("mu", [-0.1, math.nan])
def test_mu_must_be_a_price(mu):
    for call in (lambda: epsilon_for(mu, 1e-6), lambda: delta_for(mu, 1.0), lambda: compose([mu])):
        with pytest.raises(ConfigError, match="mu"):
            call()


def steps_of(sigma, reach):
    """h(x + 1) - h(x) in units of 1 / sigma for x = 0, 1, ..., with Phi(-h(x)) = P(X >= x), X discrete Gaussian."""
    x = np.arange(reach + math.ceil(40 * sigma))
    log_p = -(x.astype(float) ** 2) / (2 * sigma**2)
    whole = np.logaddexp(log_p[0], math.log(2.0) + logsumexp(log_p[1:]))
    tail = np.logaddexp.accumulate(log_p[::-1])[::-1] - whole
    h = -ndtri_exp(tail[1 : reach + 1])
    # Around zero: P(X >= 0) = 1 - P(X >= 1), so h(0) = -h(1).
    return np.concatenate([[2 * h[0]], np.diff(h)]) * sigma


@pytest.mark.parametrize("sigma", [SIGMA_MIN, 4.1, 4.5, 5.0, 6.7, 9.0, 12.0, 20.0, 47.0])
def test_one_step_of_the_discrete_gaussian_costs_no_more_than_is_charged(sigma):
    """The proof in docs/proofs.md asks for no more: shifts by k, and vectors, follow. Far into the tails.

    The best test of a shift by one is a threshold; its price is the step of the normal quantile of the tail.
    """
    steps = steps_of(sigma, round(min(30 * sigma**2, 400 * sigma)))
    assert steps.max() <= 1 + 1 / (20 * sigma**2)
    # Least of all at zero does it cost more, and there by 1 / 24, as the Euler-Maclaurin formula says.
    assert steps.argmax() == 0
    assert (steps[0] - 1) * sigma**2 == pytest.approx(1 / 24, rel=0.01)
