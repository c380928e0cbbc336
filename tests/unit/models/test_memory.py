"""Counts with those of earlier studies: what is equal, what is honest, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import PastStudy, places
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.memory import Remembered, remember_counts, smoothed

SIZE = 6
"""Bins of each column: five ordered and missing."""


def number(name: str, institution: str = "bank", edges: tuple[float, ...] = (1, 2, 3, 4)) -> Bins:
    return Bins(Feature(institution=institution, column=name, low=0, high=9, bins=edges), edges=edges)


def columns(count: int) -> tuple[Bins, ...]:
    return tuple(number(f"c{j}", "bank" if j < 2 else "tax") for j in range(count))


def exact(count: int, rows: float = 20_000, rate: float = 0.05, tilt: float = 0.5) -> LabelCounts:
    """Counts without noise of columns whose risk rises over their bins."""
    share = np.array([0.2, 0.2, 0.2, 0.2, 0.15, 0.05])
    risk = np.exp(tilt * np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.0]))
    risk /= share @ risk
    n1, n0 = rows * rate * share * risk, rows * share * (1 - rate * risk)
    return LabelCounts((n1,) * count, (n0,) * count, np.zeros(count))


def noisy(counts: LabelCounts, variance: float, rng: np.random.Generator) -> LabelCounts:
    n1, n0 = (
        tuple(a + rng.normal(0, np.sqrt(variance), a.shape) for a in part) for part in (counts.n1, counts.n0)
    )
    return LabelCounts(n1, n0, np.full(len(n1), variance))


def past(bins: tuple[Bins, ...], counts: LabelCounts, name: str = "before") -> PastStudy:
    return PastStudy(study=name, digest="00", ended="2026-01-01T00:00:00Z", bins=bins, counts=counts)


def series(
    seed: int, studies: int = 4, count: int = 3, variance: float = 900.0
) -> tuple[list[PastStudy], LabelCounts]:
    rng = np.random.default_rng(seed)
    bins = columns(count)
    every = [noisy(exact(count), variance, rng) for _ in range(studies)]
    return [past(bins, c, f"s{k}") for k, c in enumerate(every[:-1])], every[-1]


def errors(found: Remembered, truth: LabelCounts) -> np.ndarray:
    return np.concatenate(
        [
            (a - t) / np.sqrt(v)
            for a, t, v in zip(found.counts.n1, truth.n1, found.counts.variance, strict=True)
        ]
    )


def test_one_study_stands_as_it_is():
    _, counts = series(1)
    found = remember_counts((), columns(3), counts)
    assert found.counts is counts
    assert found.gain == 1.0
    assert found.breaks == ()


def test_bins_fit_code_by_code():
    here = number("a")
    there = [number("b"), number("a", edges=(1, 2, 3, 4 + 1e-12)), number("a", "tax")]
    assert places(there, [here, number("c")]) == [1, None]
    assert places([number("a", edges=(1, 2, 3, 5))], [here]) == [None]
    assert places([replace(here, unknown=True)], [here]) == [None]
    codes = Feature(institution="bank", column="a", low=0, high=9, special=(("-1", "none"),))
    assert places([Bins(codes, edges=(1, 2, 3, 4))], [here]) == [None]


def test_equal_studies_share_the_noise():
    memory, counts = series(2, studies=8, count=8)
    found = remember_counts(memory, columns(8), counts)
    assert 4 < found.studies < 8.1
    assert found.gain == pytest.approx(found.studies**0.5)
    truth = exact(8)
    alone = np.mean([(a - t) ** 2 for a, t in zip(counts.n1, truth.n1, strict=True)])
    together = np.mean([(a - t) ** 2 for a, t in zip(found.counts.n1, truth.n1, strict=True)])
    assert together < alone / 3


def test_stated_variances_are_those_of_the_errors():
    truth, z = exact(8), []
    for seed in range(12):
        memory, counts = series(seed, studies=6, count=8)
        z.append(errors(remember_counts(memory, columns(8), counts), truth))
    # 576 errors: the standard error of their root mean square is .03.
    assert np.sqrt(np.mean(np.concatenate(z) ** 2)) == pytest.approx(0.95, abs=0.12)


def test_sizes_of_rosters_do_not_matter():
    rng = np.random.default_rng(3)
    bins = columns(4)
    memory = [past(bins, noisy(exact(4, rows=40_000), 400.0, rng)) for _ in range(5)]
    counts = noisy(exact(4), 400.0, rng)
    found = remember_counts(memory, bins, counts)
    assert found.counts.positives == pytest.approx(1000, rel=0.05)
    assert found.counts.negatives == pytest.approx(19_000, rel=0.01)
    # Noise of a study of twice the size is half the noise at this one's scale: 20 of 21 parts but for what may drift.
    assert all(0.8 < w.sum() < 20 / 21 for w in found.weights)


def test_defaults_follow_the_others_where_these_move():
    rng = np.random.default_rng(4)
    bins, before, after = (
        columns(1),
        np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.05]),
        np.array([0.05, 0.1, 0.2, 0.3, 0.3, 0.05]),
    )
    risk = np.array([0.02, 0.03, 0.05, 0.08, 0.1, 0.05])

    def counts(share: np.ndarray) -> LabelCounts:
        return LabelCounts((20_000 * share * risk,), (20_000 * share * (1 - risk),), np.zeros(1))

    memory = [past(bins, noisy(counts(before), 400.0, rng)) for _ in range(6)]
    found = remember_counts(memory, bins, noisy(counts(after), 400.0, rng))
    n1, n0 = found.counts.n1[0], found.counts.n0[0]
    assert n0 == pytest.approx(20_000 * after * (1 - risk), rel=0.1)
    assert n1[3:5] == pytest.approx((20_000 * after * risk)[3:5], rel=0.25)
    assert {b.what for b in found.breaks} >= {"others"}


def test_a_break_of_risk_is_reported_and_forgotten():
    rng = np.random.default_rng(5)
    bins = columns(6)
    memory = [past(bins, noisy(exact(6), 100.0, rng)) for _ in range(6)]
    turned = exact(6, tilt=-1.0).n1[0]
    new = exact(6)
    new = LabelCounts((turned, *new.n1[1:]), new.n0, new.variance)
    found = remember_counts(memory, bins, noisy(new, 100.0, rng))
    assert [(b.study, b.feature, b.what) for b in found.breaks] == [(6, 0, "defaults")]
    assert found.weights[0].sum() < 0.4
    assert found.weights[1].sum() > 0.6
    assert np.corrcoef(found.counts.n1[0], turned)[0, 1] > 0.97


def test_a_break_of_the_rate_is_reported_and_followed():
    rng = np.random.default_rng(6)
    bins = columns(6)
    memory = [past(bins, noisy(exact(6, rate=0.03), 100.0, rng)) for _ in range(6)]
    found = remember_counts(memory, bins, noisy(exact(6, rate=0.06), 100.0, rng))
    assert [(b.study, b.what) for b in found.breaks] == [(6, "rate")]
    assert found.counts.positives == pytest.approx(1200, rel=0.1)
    assert found.rate_weights.sum() < 0.2
    # At twice the rate the past has twice the noise: 6 studies are worth 1.5.
    assert 0.3 < found.weights[0].sum() < 0.6


def test_the_rate_is_as_unsure_as_its_own_series_says():
    """Less than a study alone where the rate stands still, and not where it moved: the past says nothing of it then."""
    before, last = series(6)
    still = remember_counts(before, columns(3), last).counts
    assert 0.5 * last.rate_error < still.rate_error < 0.9 * last.rate_error
    half = LabelCounts(tuple(a / 2 for a in last.n1), last.n0, last.variance)
    moved = remember_counts(before, columns(3), half).counts
    assert moved.rate_error > 0.9 * half.rate_error


def test_a_column_that_is_new_stands_by_itself():
    memory, counts = series(7)
    bins = (*columns(2), number("new", "tax"))
    found = remember_counts(memory, bins, counts)
    assert found.weights[2] == pytest.approx(np.zeros(3))
    assert found.worth[2] == pytest.approx(1.0, abs=0.05)
    assert found.counts.n1[2] == pytest.approx(counts.n1[2], rel=0.1, abs=5)
    assert found.weights[0].sum() > 0.4


def test_last_months_counts_smoothed_by_this_months():
    memory, counts = series(8, studies=6, count=6)
    memory = [*memory, past(columns(6), counts)]
    truth = exact(6)
    for place in (0, 4):
        found = smoothed(memory, place).counts
        own = memory[place].counts
        better = np.mean([(a - t) ** 2 for a, t in zip(found.n1, truth.n1, strict=True)])
        assert better < np.mean([(a - t) ** 2 for a, t in zip(own.n1, truth.n1, strict=True)]) / 2
    assert smoothed(memory[:1], 0).counts is memory[0].counts
    last = remember_counts(memory[:-1], columns(6), counts)
    assert smoothed(memory, 5).counts.n1[0] == pytest.approx(last.counts.n1[0])


@pytest.mark.parametrize("variance", [0.0, 1e-9, 1e9])
def test_any_noise_leaves_finite_counts(variance):
    rng = np.random.default_rng(9)
    bins = columns(3)
    memory = [past(bins, noisy(exact(3), variance, rng)), past(bins, noisy(exact(3, rows=5), 100.0, rng))]
    found = remember_counts(memory, bins, noisy(exact(3), variance, rng))
    numbers = np.concatenate([*found.counts.n1, *found.counts.n0, *found.weights, found.worth])
    assert np.isfinite(numbers).all()
    assert np.isfinite(found.counts.variance).all()


def test_counts_that_do_not_fit_the_bins_are_refused():
    memory, counts = series(10)
    with pytest.raises(ConfigError, match="one number per bin"):
        remember_counts(memory, columns(2), counts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), studies=st.integers(2, 6), noise=st.floats(1.0, 1e5))
def test_weights_are_shares(seed, studies, noise):
    memory, counts = series(seed, studies, 3, noise)
    found = remember_counts(memory, columns(3), counts)
    every = np.stack(found.weights)
    assert every.min() >= 0
    assert every.sum(1).max() <= 1 + 1e-9
    assert (found.worth >= 1).all()
    assert found.rate_weights.sum() <= 1 + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(4)))
def test_the_order_of_columns_does_not_matter(seed, order):
    memory, counts = series(seed, count=4)
    bins = columns(4)

    def turned(c: LabelCounts) -> LabelCounts:
        return LabelCounts(tuple(c.n1[j] for j in order), tuple(c.n0[j] for j in order), c.variance[order])

    mixed = tuple(bins[j] for j in order)
    one = remember_counts(memory, bins, counts).counts
    other = remember_counts([past(mixed, turned(p.counts)) for p in memory], mixed, turned(counts)).counts
    for place, j in enumerate(order):
        assert other.n1[place] == pytest.approx(one.n1[j], rel=1e-6, abs=1e-6)
        assert other.variance[place] == pytest.approx(one.variance[j], rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), less=st.floats(1.5, 20.0))
def test_more_noise_in_the_past_weighs_less(seed, less):
    memory, counts = series(seed)
    far = [
        past(p.bins, LabelCounts(p.counts.n1, p.counts.n0, p.counts.variance * (less if k == 0 else 1.0)))
        for k, p in enumerate(memory)
    ]
    near = remember_counts(memory, columns(3), counts)
    found = remember_counts(far, columns(3), counts)
    assert sum(w[0] for w in found.weights) < sum(w[0] for w in near.weights)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_past_with_rows_of_any_scale_says_the_same(seed):
    # Earlier studies of ten times the rows with ten times the noise are the same knowledge but for their sampling.
    memory, counts = series(seed)
    ten = [
        past(
            p.bins,
            LabelCounts(
                tuple(10 * a for a in p.counts.n1),
                tuple(10 * a for a in p.counts.n0),
                100 * p.counts.variance,
            ),
        )
        for p in memory
    ]
    one, other = (remember_counts(m, columns(3), counts) for m in (memory, ten))
    assert np.concatenate(one.counts.n1) == pytest.approx(np.concatenate(other.counts.n1), rel=1e-3, abs=0.1)
