"""Random numbers of one institution over time: by month, lasting, and moving."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import poisson

from sim_institutions.random_streams import MONTHS, moving, normal, uniform
from sim_institutions.rolling import Rolling, poisson_quantile, quarters_of_year

N = 4000


def rolling(month, size=N, office="tax_office"):
    return Rolling(1, office, 0, size, month)


def test_months_that_two_windows_share_have_the_same_numbers():
    first, later = (normal(rolling(m), N, MONTHS) for m in (18, 21))
    assert np.array_equal(first[:, 3:], later[:, :-3])
    assert abs(np.corrcoef(first[:, 0], first[:, 1])[0, 1]) < 0.06


def test_lasting_numbers_stay_and_other_draws_and_offices_differ():
    one, two = rolling(18), rolling(30)
    assert np.array_equal(uniform(one, N), uniform(two, N))
    assert not np.array_equal(uniform(one, N), uniform(rolling(18), N))
    assert not np.array_equal(uniform(rolling(18), N), uniform(rolling(18, office="court"), N))
    assert normal(one, N, 1).shape == (N, 1)


@pytest.mark.parametrize(("later", "correlation"), [(3, 0.75), (6, 0.5), (12, 0.0), (1, 0.93)])
def test_moving_numbers_share_the_quarters_of_their_years(later, correlation):
    first, second = (normal(moving(rolling(18 + m)), N) for m in (0, later))
    assert first.var() == pytest.approx(1, abs=0.1)
    # 4,000 pairs: a standard error of .016 at most.
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(correlation, abs=0.06)


def test_numbers_go_with_the_enterprise_wherever_its_row_is():
    first, later = rolling(18), rolling(21)
    rows = [rng.permutation(np.arange(0, N, 2)) for rng in (first, later)]
    assert not np.array_equal(*rows)
    drawn = [normal(rng, N // 2) for rng in (first, later)]
    places = [np.argsort(r) for r in rows]
    assert np.array_equal(drawn[0][places[0]], drawn[1][places[1]])


def test_more_enterprises_change_no_numbers_of_others():
    few, many = (rng.random((rng._size, MONTHS)) for rng in (rolling(18), rolling(18, size=N + 50)))
    assert np.array_equal(few, many[:N])


def test_numbers_that_belong_to_nobody_are_refused():
    with pytest.raises(ValueError, match="belong neither"):
        normal(rolling(18), 17)
    with pytest.raises(NotImplementedError):
        rolling(18).integers(0, 5, N)


@pytest.mark.parametrize("mean", [0.3, 4.0, 25.0, 400.0])
def test_poisson_numbers_have_their_distribution(mean):
    z = normal(rolling(18), N)
    exact = poisson.ppf(ndtr(z.astype(float)), mean)
    off = poisson_quantile(np.full(N, mean, dtype=np.float32), z) - exact
    assert np.abs(off).max() <= (0 if mean < 8 else 1)
    assert abs(off.mean()) < 0.2


def test_a_count_is_zero_or_more_and_a_share_within_its_bounds():
    rng = rolling(18)
    counts = rng.binomial(np.full(N, 5), 0.4)
    assert counts.min() >= 0
    assert counts.mean() == pytest.approx(2, abs=0.1)
    shares = rng.beta(2, 2, N)
    assert 0 < shares.min() < shares.max() < 1
    assert shares.mean() == pytest.approx(0.5, abs=0.02)


def test_a_year_that_ends_within_a_quarter_has_parts_of_five():
    weights = [w for _, w in quarters_of_year(19)]
    assert len(weights) == 5
    assert np.sum(np.square(weights)) == pytest.approx(1)
