"""Label counts: a second count, precision, and who is known to a holder."""

import numpy as np
import pytest

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts, combine_counts, few_positives, with_known
from support.binned_rows import with_holders


def test_recount_by_hand():
    first = LabelCounts(
        (np.array([10.0, 20.0]), np.array([5.0])),
        (np.array([1.0, 2.0]), np.array([3.0])),
        np.array([4.0, 9.0]),
    )
    second = LabelCounts((np.array([14.0, 24.0]),), (np.array([5.0, 6.0]),), np.array([12.0]))
    both = combine_counts(first, second, [0])
    assert both.n1[0].tolist() == pytest.approx([11.0, 21.0])
    assert both.n0[0].tolist() == pytest.approx([2.0, 3.0])
    assert both.n1[1].tolist() == [5.0]
    assert both.variance.tolist() == pytest.approx([3.0, 9.0])
    with pytest.raises(ConfigError):
        combine_counts(first, second, [0, 1])


def test_the_rule_of_a_second_count():
    assert few_positives(79, 8)
    assert not few_positives(80, 8)


def test_counts_are_weighted_by_precision():
    """A feature with a thousandfold variance must not spoil the rate."""
    n1 = (np.array([50.0, 50.0]), np.array([400.0, 500.0]))
    n0 = (np.array([450.0, 450.0]), np.array([450.0, 450.0]))
    counts = LabelCounts(n1, n0, np.array([1.0, 1000.0]))
    assert counts.positives == pytest.approx(100, abs=1)


def test_counts_of_bad_shapes_are_refused():
    with pytest.raises(ConfigError):
        LabelCounts((np.ones(2),), (np.ones(3),), np.ones(1))
    with pytest.raises(ConfigError):
        LabelCounts((np.ones(2),), (np.ones(2),), np.array([-1.0]))


def test_who_is_known_follows_from_the_columns_by_hand():
    """200 of 1,000 unknown by one column, 220 by the other: 210, as their mean says, with half of the variance."""
    bins = with_holders(2)
    counts = LabelCounts(
        (np.array([40.0, 60.0]), np.array([30.0, 50.0, 20.0]), np.array([26.0, 50.0, 24.0])),
        (np.array([500.0, 400.0]), np.array([400.0, 320.0, 180.0]), np.array([400.0, 304.0, 196.0])),
        np.array([4.0, 16.0, 16.0]),
    )
    got = with_known(counts, bins)
    assert [n.tolist() for n in got.n1[:3]] == [n.tolist() for n in counts.n1]
    assert got.n1[3].tolist() == pytest.approx([78.0, 22.0])
    assert got.n0[3].tolist() == pytest.approx([712.0, 188.0])
    assert got.variance.tolist() == pytest.approx([4.0, 16.0, 16.0, 8.0])
    # What is made up of the columns' counts is no further evidence on the rate.
    assert (got.positives, got.rate_error) == pytest.approx((counts.positives, counts.rate_error))


def test_each_holder_is_known_by_its_own_columns():
    bins = with_holders(1, 2)
    unknown = {1: 10.0, 3: 30.0, 4: 50.0}
    made = [np.array([20.0, 80.0])]
    made += [np.array([60.0 - u / 2, 40.0 - u / 2, u]) for j, u in unknown.items()]
    counts = LabelCounts(tuple(made), tuple(9 * n for n in made), np.ones(4))
    got = with_known(counts, bins)
    assert len(got.n1) == len(bins) == 6
    assert [got.n1[j].tolist() for j in (2, 5)] == [pytest.approx([90, 10]), pytest.approx([60, 40])]
    assert got.variance.tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    without = [b for b in bins if b.feature.kind != "known"]
    assert with_known(counts, without).n1 == counts.n1


def test_noise_of_the_unknown_where_one_column_was_counted_twice():
    """The mean of three counts of variances 1, 4 and 4 has variance 1."""
    columns = [
        Bins(Feature(institution="tax", column=c, kind="flag"), edges=(0.5,), unknown=True) for c in "abc"
    ]
    bins = [*columns, Bins.public(known_feature("tax"))]
    part = tuple(np.array([50.0, 30.0, 10.0, 20.0]) for _ in columns)
    counts = with_known(LabelCounts(part, part, np.array([1.0, 4.0, 4.0])), bins)
    assert counts.variance.tolist() == [1.0, 4.0, 4.0, 1.0]
    assert counts.n1[3].tolist() == pytest.approx([90.0, 20.0])
