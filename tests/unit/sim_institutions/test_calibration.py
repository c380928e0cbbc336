"""Facts against targets, and the table in README.md."""

import pytest

from sim_institutions.calibration import BEGIN, END, README, Fact, table


def test_readme_holds_the_table():
    text = README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert text.count("\n| ") > 45
    assert "| out |" not in text


def test_fact_is_met_within_its_tolerance_or_range():
    assert Fact("f", 0.52, 0.5, 0.03).met
    assert not Fact("f", 0.54, 0.5, 0.03).met
    assert Fact("f", 0.05, low=0.04, high=0.1).met
    assert not Fact("f", 0.11, low=0.04, high=0.1).met
    assert table([Fact("f", 0.52, 0.5, 0.03)]).endswith("| f | 50.0 % | 52.0 % | +2.0 % | ± 3.0 % |")


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        (Fact("f", 0.8213, low=0.8, high=0.86, unit="auc"), "| f | 0.800 to 0.860 | 0.821 | in | |"),
        (Fact("f", 0.9, low=0.8, high=0.86, unit="auc"), "| f | 0.800 to 0.860 | 0.900 | out | |"),
        (Fact("f", 16.87, 17.3, 1.0, unit=""), "| f | 17.30 | 16.87 | -0.43 | ± 1.00 |"),
        (Fact("f", 11, 11, unit="count"), "| f | 11 | 11 | +0 | ± 0 |"),
    ],
)
def test_rows_of_the_table_show_values_by_their_unit(fact, row):
    assert fact.row() == row
