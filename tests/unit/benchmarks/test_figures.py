"""Paths into results files of any shape, and figures as tables write them."""

import pytest

from benchmarks.redo.figures import Figure, Unread

RESULTS = {
    "auc": {"1.0": 0.75, "inf": 0.8},
    "rows": [
        {"epsilon": 1, "set": "a", "x": 1.0},
        {"epsilon": 1, "set": "b", "x": 3.0},
        {"epsilon": 3, "set": "a", "x": 9.0},
    ],
    "epsilon 1": {"held": [0.9, 1.0]},
    "epsilon 3": {"held": [0.8, None]},
    "exact": True,
}


def figure(path, **more):
    return Figure(path=path, same=0.0, why="exact", **more)


@pytest.mark.parametrize(
    ("path", "more", "value"),
    [
        (["auc", "1.0"], {}, 0.75),
        (["rows", 2, "x"], {}, 9.0),
        (["rows", {"epsilon": 3}, "x"], {}, 9.0),
        (["rows", {"epsilon": 1}, "x"], {"of": "mean"}, 2.0),
        (["rows", "*", "x"], {"of": "most"}, 9.0),
        (["rows", "*", "x"], {"of": "count"}, 3.0),
        (["epsilon*", "held", "*"], {"of": "least"}, 0.8),
        (["exact"], {}, 1.0),
        (["auc", "1.0"], {"minus": ["auc", "inf"], "times": -1}, 0.05),
    ],
)
def test_a_path_leads_to_a_number(path, more, value):
    assert figure(path, **more).read(RESULTS) == pytest.approx(value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (["auc", "2.0"], "no '2.0' at"),
        (["rows", {"epsilon": 1}, "x"], "2 numbers are at"),
        (["rows", {"epsilon": 8}, "x"], "no row"),
        (["rows", 3, "x"], "no 3 at"),
        (["auc"], "no number is at"),
        (["epsilon 3", "held", 1], "no number is at"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ended(path, said):
    with pytest.raises(Unread, match=said):
        figure(path).read(RESULTS)


def test_bounds_have_a_side():
    assert figure(["x"], bound=2.0).holds(2.0) is True
    assert figure(["x"], bound=2.0, side="at least").holds(1.9) is False
    assert figure(["x"], bound=1.0, side="exactly").holds(0.0) is False
    assert figure(["x"]).holds(5.0) is None


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (".3f", 0.7712, ".771"),
        ("+.4f", -0.00123, "−.0012"),
        (".1%", 0.9549, "95.5 %"),
        (",.0f", 10000, "10,000"),
        ("yes", 1, "yes"),
    ],
)
def test_figures_are_written_in_the_style_of_the_tables(show, value, text):
    assert figure(["x"], show=show).text(value) == text


@pytest.mark.parametrize(
    ("show", "bound", "text"),
    [
        (".3f", 0.79, ".79"),
        (".1f", 20.0, "20"),
        (".1%", 0.05, "5 %"),
        (".0f", 40.0, "40"),
        (",.0f", 3000.0, "3,000"),
    ],
)
def test_bounds_are_written_without_zeros_at_the_end(show, bound, text):
    assert figure(["x"], show=show, bound=bound).asked == text
