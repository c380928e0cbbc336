"""A question becomes a study: owners are found, categories are public, and WHERE is a cell."""

import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.recipes.statistics.asked import study_of
from fedrisk.recipes.statistics.owners import Extras, Known
from fedrisk.recipes.statistics.question import parse_question


def dictionary(*columns):
    return load_dictionary(
        {"id": "id", "id_scheme": "opaque", "columns": [{"meaning": "m", **c} for c in columns]}
    )


COUNTY = {"name": "county", "kind": "category", "categories": ["c1", "c2", "c3"]}
SECTOR = {"name": "sector", "kind": "category", "categories": ["trade", "farming", "other"]}
GROWTH = {"name": "growth", "kind": "number", "low": -1, "high": 1}
DEBT = {"name": "debt", "kind": "number", "low": 0, "high": 100, "bins": [10, 50]}
OPEN = {"name": "open", "kind": "flag"}
KNOWN = {
    "alfa": Known(role="bank", dictionary=dictionary(DEBT, SECTOR)),
    "beta": Known(role="bank", dictionary=dictionary(DEBT, SECTOR)),
    "power": Known(role="holder", dictionary=dictionary(GROWTH, COUNTY, SECTOR, OPEN)),
    "north": Known(role="holder", dictionary=dictionary(GROWTH, OPEN)),
    "key": Known(role="authority", dictionary=None),
}


def ask(text, extras=None, **how):
    more = None if extras is None else checked(Extras, extras, where="levels")
    return study_of(parse_question(text), KNOWN, epsilon=0.2, purpose="statistics", extras=more, **how)


def members(asked):
    return [m["name"] for m in asked.content["institutions"]]


def section(asked):
    return asked.content["statistics"]


def test_a_column_that_one_owner_has_needs_no_owner():
    asked = ask("mean(growth) by county from power")
    assert members(asked) == ["power"]
    assert section(asked)["by"] == ["power.county"]
    assert section(asked)["measures"] == [{"kind": "mean", "name": "mean_growth", "column": "power.growth"}]
    assert members(ask("mean(debt)")) == ["alfa", "beta"]


def test_a_bank_that_is_named_is_asked_alone():
    asked = ask("mean(debt) by sector from alfa")
    assert members(asked) == ["alfa"]
    assert section(asked)["by"] == ["bank.sector"]
    assert members(ask("mean(debt) by sector from bank")) == ["alfa", "beta"]


def test_the_same_question_has_the_same_name_and_another_price_another():
    assert ask("mean(debt)").content["name"] == ask("SELECT avg(debt)").content["name"]
    other = study_of(parse_question("mean(debt)"), KNOWN, epsilon=0.3, purpose="statistics")
    assert other.content["name"] != ask("mean(debt)").content["name"]


def test_where_is_a_cell_and_the_rest_another():
    asked = ask("count(*) by county from power where sector in ('farming', 'trade') and open = true")
    assert section(asked)["tables"] == [{"by": ["county", "only_sector", "only_open"]}]
    groups = section(asked)["levels"]["only_sector"]["groups"]
    assert groups == {"asked": ["farming", "trade"], "other": ["other"]}
    assert section(asked)["levels"]["only_open"]["groups"] == {"asked": ["yes"], "other": ["no"]}
    assert asked.shown.keep == {"only_sector": ("asked",), "only_open": ("asked",)}
    assert asked.shown.axes == ("county",)


def test_where_on_a_column_of_group_by_picks_its_cells():
    asked = ask("count(*) by county from power where county = 'c2'")
    assert asked.shown.keep == {"county": ("c2",)}
    assert "levels" not in section(asked)


def test_levels_and_offices_come_from_a_file():
    extras = {
        "levels": {"prefecture": {"axis": "county", "groups": {"a": ["c1"], "b": ["c2", "c3"]}}},
        "offices": {"grids": ["power", "north"]},
    }
    asked = ask("count(*) by prefecture from power", extras)
    assert section(asked)["by"] == ["power.county"]
    assert section(asked)["tables"] == [{"by": ["prefecture"]}]
    asked = ask("share(open) from grids", extras)
    assert members(asked) == ["power", "north"]
    assert section(asked)["offices"] == {"grids": ["power", "north"]}


def test_a_median_without_public_bins_gets_even_ones():
    asked = ask("median(growth) from power")
    (measure,) = section(asked)["measures"]
    assert len(measure["bins"]) == 15
    assert -1 < measure["bins"][0] < measure["bins"][-1] < 1
    assert asked.shown.quantiles == {measure["name"]: (0.5,)}
    (both,) = section(ask("median(debt), quantile(debt)"))["measures"]
    assert "bins" not in both


def test_owners_that_differ_need_no_word_but_one_population():
    asked = ask("SELECT avg(bank.debt) FROM power GROUP BY power.county", listed="bank")
    assert members(asked) == ["alfa", "beta", "power"]
    assert section(asked)["listed"] == "bank"


REFUSED = {
    "mean(growth)": "power, north have a column growth each",
    "mean(debts)": "did you mean debt",
    "mean(growth) from powr": "did you mean power",
    "count(*)": "whose enterprises",
    "mean(sector) from power": "no mean; ask for share",
    "sum(open) from power": "ask for share",
    "share(sector) from power": "needs its categories",
    "share(sector = 'mining') from power": "no category 'mining'",
    "share(growth) from power": "is a number",
    "share(open = 0) from power": "share of power.open is that of its ones",
    "count(*) by growth from power": "without public bins",
    "count(*) by county, county from power": "twice",
    "count(*) from power where sector = 'mining'": "no category 'mining'",
    "count(*) from power where sector = 'trade' and sector = 'other'": "twice",
    "count(*) by county where debt = '3' from power": "no column debt",
    "count(*) by power.county, bank.sector": "of one owner",
    "SELECT avg(alfa.debt), avg(beta.debt)": "are asked together",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=list(REFUSED))
def test_what_nobody_can_answer_is_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        ask(text)


def test_a_level_and_its_own_axis_are_one_question():
    levels = {"levels": {"prefecture": {"axis": "county", "groups": {"a": ["c1"], "b": ["c2", "c3"]}}}}
    with pytest.raises(ConfigError, match="a level of it"):
        ask("count(*) by county, prefecture from power", levels)
