"""The section of a statistics study's report, and names that its files have taken."""

import pytest

from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.recipes.statistics.settings import StatisticsSettings
from fedrisk.recipes.statistics.summary import summarise
from fedrisk.server.outcome import Outcome
from support.statistics import made_record


def test_every_figure_is_shown_or_silent():
    (section,) = summarise(Outcome(record=made_record()))
    rows = {(measure, table): (shown, silent) for measure, table, shown, silent in section.rows}
    assert len(rows) == 10 * 5
    assert sum(rows["count", "county"]) == 10
    assert rows["count", "all"] == (1, 0)
    assert sum(rows["quantiles", "county_sector"]) == 30 * 5
    assert 0 < rows["count", "county_sector"][1] < 30


@pytest.mark.parametrize("taken", ["kind", "says", "unit"])
def test_an_axis_cannot_be_named_as_a_column_of_figures(taken):
    with pytest.raises(ConfigError, match=f"no axis can be named {taken}"):
        checked(StatisticsSettings, {"by": [f"tax.{taken}"], "measures": [{"kind": "count"}]}, where="study")
