"""What two versions of a card differ by, counted by hand."""

import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.card_difference import moved_points
from support.serving import part_of


def part(*columns):
    return part_of(
        "tax", ("tax",), ("bank",), bins=[b.to_dict() for b, _ in columns], points=[p for _, p in columns]
    )


def number(edges, **more):
    feature = Feature(institution="tax", column="sales", low=0.0, high=9.0, special=(("-1", "none"),), **more)
    return Bins(feature, edges=edges, unknown=True)


def category(names, same=()):
    feature = Feature(institution="tax", column="sector", kind="category", bins=("a", "b", "c"))
    return Bins(feature, categories=names, same=same, unknown=True)


def test_each_bin_that_one_of_them_tells_apart_is_counted():
    """Levels, then the special code, missing and unknown."""
    one = part((number((1.0, 2.0, 3.0)), (1, 2, 3, 4, 50, 60, 70)))
    other = part((number((1.0, 3.0)), (0, 5, 9, 49, 58, 67)))
    assert moved_points(one, other) == {"sales": (1, -3, -2, -5, 1, 2, 3)}
    assert moved_points(other, one) == {"sales": (-1, 3, 2, 5, -1, -2, -3)}


@pytest.mark.parametrize(
    ("names", "same", "points", "expected"),
    [
        # Points of a, b, c, other, missing and unknown; b has those of a.
        (("a", "c"), (("b", "a"),), (1, 3, 5, 9, 8), [0, 1, 0, -1, 0, 1]),
        # c is part of "other".
        (("a", "b"), (), (1, 2, 5, 9, 8), [0, 0, -2, -1, 0, 1]),
    ],
)
def test_merged_categories_are_told_apart_by_the_other_card(names, same, points, expected):
    one = part((category(("a", "b", "c")), (1, 2, 3, 4, 9, 9)))
    found = moved_points(one, part((category(names, same), points)))["sector"]
    assert sorted(set(found)) == sorted(set(expected))


def test_a_column_that_is_gone_gave_what_it_gave():
    sector = category(("a", "b", "c")), (1, 2, 3, 4, 9, 9)
    sales = number((1.0,)), (1, 2, 3, 4, 5)
    assert moved_points(part(sector, sales), part(sales)) == {"sector": (1, 2, 3, 4, 9, 9), "sales": (0,) * 5}
    assert moved_points(part(sales), part(sector, sales))["sector"] == (-1, -2, -3, -4, -9, -9)
