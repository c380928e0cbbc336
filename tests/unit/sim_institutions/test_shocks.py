"""Planted shocks: their course, the usual two, drawn ones, and lists from a file."""

import numpy as np
import pytest

from sim_institutions.geography import draw_geography
from sim_institutions.shocks import Shock, ShockError, asked, drawn, usual


def test_a_shock_comes_in_within_a_quarter_stays_and_goes():
    path = Shock(quarter=3, county="p01c01", lasting=2).path(first=18, months=36)
    assert (path[:21] == 0).all()
    np.testing.assert_allclose(path[21:33], [0.6, 0.9, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0])


def test_the_usual_shocks_are_price_collapses_in_two_clusters():
    first, second = usual(draw_geography(1), 8)
    assert (first.quarter, second.quarter) == (4, 6)
    assert first.county.startswith("p02")
    assert second.county.startswith("p07")
    assert second.sectors == ("farming",)


def test_drawn_shocks_are_in_different_cells_and_leave_quarters_before_and_after():
    shocks = drawn(60, 9, seed=3)
    assert len({(s.county, s.sectors) for s in shocks}) == 60
    assert {s.quarter for s in shocks} <= set(range(4, 8))
    assert shocks == drawn(60, 9, seed=3)
    assert shocks != drawn(60, 9, seed=4)
    assert 0.25 <= min(s.depth for s in shocks) < max(s.depth for s in shocks) <= 0.6


def test_shocks_are_asked_for_by_a_word_a_number_or_a_file(tmp_path):
    geography = draw_geography(1)
    assert asked("none", geography, 8, 1) == ()
    assert asked("usual", geography, 8, 1) == usual(geography, 8)
    assert asked("5", geography, 8, 1) == drawn(5, 8, 1)
    file = tmp_path / "shocks.toml"
    file.write_text('[[shocks]]\nquarter = 2\ncounty = "p03c01"\nsectors = ["farming"]\ndepth = 0.3\n')
    (one,) = asked(str(file), geography, 8, 1)
    assert (one.quarter, one.depth, one.cells) == (2, 0.3, [(13, 2)])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('quarter = 1\ncounty = "p01c01"', "give 2 or more"),
        ('quarter = 2\ncounty = "p99c01"', "there is no county p99c01"),
        ('quarter = 2\ncounty = "p01c01"\nsectors = ["mining"]', "no sector mining"),
        ('quarter = 2\ncounty = "p01c01"\ndepth = 0', "depth above 0"),
        ('quarter = 2\ncounty = "p01c01"\ndeep = 1', "keys are quarter"),
        ("quarter = 2", "keys are quarter"),
        ("quarter", "with [[shocks]]"),
    ],
)
def test_rules_that_a_file_breaks_are_said(tmp_path, line, said):
    file = tmp_path / "shocks.toml"
    file.write_text(f"[[shocks]]\n{line}\n")
    with pytest.raises(ShockError) as caught:
        asked(str(file), draw_geography(1), 8, 1)
    assert said in str(caught.value)
